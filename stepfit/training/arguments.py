"""The arguments of `fit`, `evaluate` and `predict`: checked, and put in one form."""

import contextlib
import warnings

import jax
import numpy as np

from stepfit.callbacks import CSVLogger, History, LearningRateScheduler, TerminateOnNaN
from stepfit.callbacks.monitor import MonitorCallback
from stepfit.callbacks.progbar_logger import ProgbarLogger
from stepfit.core import config, errors
from stepfit.training.data import checks, make_source
from stepfit.training.data.sparse import is_sparse


def count(value, argument, least):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise errors.bad_type(argument, f"an int of at least {least}", errors.describe(value))
    if value < least:
        raise errors.bad_value(argument, f"an int of at least {least}", str(value))
    return int(value)


def epochs(initial_epoch, epochs):
    """Return the checked numbers of the first epoch and of the one to stop before."""
    last = count(epochs, "fit(epochs)", least=1)
    first = count(initial_epoch, "fit(initial_epoch)", least=0)
    if first >= last:
        fix = "no epoch is run; `epochs` is the number of the last one, not how many to add"
        text = errors.message("fit(epochs)", f"more than initial_epoch={first}", str(last), fix)
        warnings.warn(text, UserWarning, stacklevel=errors.users_level())
    limit = config.max_epochs()
    if limit is not None and limit < last:
        text = f"epochs is limited to {limit} by config.set_max_epochs."
        warnings.warn(text, UserWarning, stacklevel=errors.users_level())
        last = limit
    return first, last


def validation(validation_data, validation_steps, batch_size):
    """Return the checked batch size of validation data; warn of what would have no effect."""
    fix = "leave it out to use batch_size"
    size = checks.positive_int(batch_size, "validation_batch_size", fix)
    given = {"validation_steps": validation_steps, "validation_batch_size": size}
    if validation_data is None:
        for name, value in given.items():
            if value is not None:
                fix = "pass validation_data or validation_split too"
                text = errors.message(f"fit({name})", "validation data beside it", "none", fix)
                warnings.warn(text, UserWarning, stacklevel=errors.users_level())
    return size


# Callbacks of which it is known what they add to the logs: nothing, or "learning_rate".
_PLAIN = (CSVLogger, History, LearningRateScheduler, MonitorCallback, ProgbarLogger, TerminateOnNaN)


def check_monitors(callbacks, names):
    """Raise before training where a callback waits for a metric that cannot come.

    Args:
        callbacks: all callbacks; if one of them may add to the logs, nothing is known.
        names: those that the model will report, or None where nothing is known.
    """
    if names is None:
        return
    for callback in callbacks:
        known = type(callback).__module__.startswith("stepfit.callbacks.")
        if not known or not isinstance(callback, _PLAIN):
            return
    for callback in callbacks:
        if isinstance(callback, MonitorCallback) and callback.monitor != "learning_rate":
            callback.check_monitor(names)


def flag(value, argument):
    if not isinstance(value, (bool, np.bool_)):
        raise errors.bad_type(argument, "True or False", errors.describe(value))
    return bool(value)


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
    plain = type(x) is np.ndarray and x.dtype == config.floatx() and x.ndim and len(x)
    if plain and y is None and sample_weight is None:
        return x  # nothing to check or to convert
    size = None
    for leaf in jax.tree.leaves(x, is_leaf=is_sparse):
        shape = leaf.shape if hasattr(leaf, "shape") else np.shape(leaf)
        size = shape[0] if len(shape) else 1
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
