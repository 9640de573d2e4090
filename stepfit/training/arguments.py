"""The arguments of `fit`, `evaluate` and `predict`: checked, and put in one form."""

import contextlib

import jax
import numpy as np

from stepfit.core import errors
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
    size = None
    for leaf in jax.tree.leaves(x):
        size = np.shape(leaf)[0] if np.ndim(leaf) else 1
        break
    return make_source(x, y, sample_weight, batch_size=max(size or 1, 1)).peek()


def chunks(batches, size):
    """Group batches of equal shapes, `size` at a time; what is left runs one by one."""
    if size == 1:
        for batch in batches:
            yield [batch]
        return
    chunk: list = []
    for batch in batches:
        if chunk and _shapes(batch) != _shapes(chunk[0]):
            yield from ([b] for b in chunk)
            chunk = []
        chunk.append(batch)
        if len(chunk) == size:
            yield chunk
            chunk = []
    yield from ([b] for b in chunk)


def _shapes(batch):
    return [np.shape(x) for x in jax.tree.leaves(batch)]


@contextlib.contextmanager
def naming(argument):
    """Add the argument's name to errors about its data."""
    try:
        yield
    except Exception as e:
        e.add_note(f"This happened while checking {argument}.")
        raise
