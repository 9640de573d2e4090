"""The arguments of `fit`, `evaluate` and `predict`: checked, and put in one form."""

import contextlib

import jax
import numpy as np

from stepfit.core import config, errors
from stepfit.training.data import make_source


def count(value, argument, least):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise errors.bad_type(
            argument, f"an int of at least {least}", errors.describe(value)
        )
    if value < least:
        raise errors.bad_value(argument, f"an int of at least {least}", str(value))
    return int(value)


def verbosity(verbose):
    if isinstance(verbose, str) and verbose == "auto":
        return 1
    if isinstance(verbose, (bool, int)) and int(verbose) in (0, 1, 2):
        return int(verbose)
    raise errors.bad_value("verbose", "0, 1, 2 or 'auto'", errors.describe(verbose))


def validation_epochs(frequency):
    if isinstance(frequency, (list, tuple, set)):
        return lambda epoch: epoch in frequency
    frequency = count(frequency, "fit(validation_freq)", least=1)
    return lambda epoch: epoch % frequency == 0


def one_batch(x, y, sample_weight):
    plain = type(x) is np.ndarray and x.dtype.name == config.floatx() and x.ndim and len(x)
    if plain and y is None and sample_weight is None:
        return x  # nothing to check or to convert
    size = None
    for leaf in jax.tree.leaves(x):
        size = np.shape(leaf)[0] if np.ndim(leaf) else 1
        break
    return make_source(x, y, sample_weight, batch_size=max(size or 1, 1)).peek()


@contextlib.contextmanager
def naming(argument):
    """Add the argument's name to errors about its data."""
    try:
        yield
    except Exception as e:
        e.add_note(f"This happened while checking {argument}.")
        raise
