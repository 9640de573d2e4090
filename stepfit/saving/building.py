"""From a config in a file to a model; what goes wrong says which file, and which part of it."""

import contextlib

from stepfit.core import deserialization, errors, serialization
from stepfit.saving.file_errors import FileError, wrong
from stepfit.saving.state_tree import places


def build(config, place):
    """Return the model that a config describes; errors say where the config stands."""
    with _as_file_errors(place), serialization.sharing():
        model = deserialization.deserialize(config, kind="layer")
        if not hasattr(model, "save_own_variables"):
            raise errors.bad_value("config", "a model", errors.describe(model))
        return model


def shapes_of_layers(model):
    """Return ``{path: build config}`` of the layers that a model holds and that were called."""
    found: dict[str, dict] = {}
    covered: list[str] = []
    for place in places(model):
        if place.object is model or not hasattr(place.object, "get_build_config"):
            continue
        if place.path.startswith(tuple(covered)):
            continue
        config = place.object.get_build_config()
        if config:
            found[place.path] = config
        if config or getattr(place.object, "_graph", None) is not None:
            covered.append(f"{place.path}/")
    return found


def build_layers(model, configs):
    """Build the layers that a model holds for the shapes that `shapes_of_layers` returned."""
    if not isinstance(configs, dict):
        raise errors.bad_type("build_config['layers']", "a dict", errors.describe(configs))
    for place in places(model):
        config = configs.get(place.path)
        if config and hasattr(place.object, "build_from_config") and not place.object.built:
            place.object.build_from_config(config)


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
