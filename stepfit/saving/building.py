"""From a config in a file to a model; what goes wrong says which file, and which part of it."""

import contextlib

from stepfit.core import deserialization, errors, serialization
from stepfit.saving.file_errors import FileError, wrong


def build(config, place):
    """Return the model that a config describes; errors say where the config stands."""
    with _as_file_errors(place), serialization.sharing():
        model = deserialization.deserialize(config, kind="layer")
        if not hasattr(model, "save_own_variables"):
            raise errors.bad_value("config", "a model", errors.describe(model))
        return model


def compile_model(model, config, place):
    """Compile a model by a file's config."""
    with _as_file_errors(f"{place} compile_config", " compile=False loads the model without it."):
        model.compile_from_config(config)


@contextlib.contextmanager
def _as_file_errors(place, hint=""):
    try:
        yield
    except FileError:
        raise
    except errors.StepfitError as e:
        raise FileError(f"{place}: {e}{hint}") from e
    except RecursionError:
        raise wrong(place, "objects that hold each other less deeply", "endless depth") from None
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError) as e:
        found = f"{type(e).__name__}: {str(e)[:200]}".rstrip(".")
        error = wrong(place, "what the classes that it names can take", found)
        raise FileError(f"{error}{hint}") from e
