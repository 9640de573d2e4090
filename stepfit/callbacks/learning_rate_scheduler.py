"""A learning rate for each epoch."""

import inspect
import math

from stepfit.callbacks.callback import Callback
from stepfit.callbacks.optimizers import with_learning_rate
from stepfit.core import errors
from stepfit.utils.console import print_msg


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of each epoch and records it in the logs.

    Args:
        schedule: function of `(epoch, learning_rate)` or of `(epoch)` that returns the new
            learning rate; epochs are counted from 0.
        verbose: 1 to print a message at each epoch.

    Raises:
        TypeError, ValueError: at the beginning of an epoch, where the result is not a finite
            number of at least 0.

    Example:

    >>> import stepfit as keras
    >>> halve = keras.callbacks.LearningRateScheduler(lambda epoch, lr: lr / 2)
    >>> halve.schedule(1, 0.5)
    0.25
    """

    def __init__(self, schedule, verbose=0):
        super().__init__()
        if not callable(schedule):
            expected = "a function of (epoch, learning_rate)"
            found = errors.describe(schedule)
            raise errors.bad_type("LearningRateScheduler(schedule)", expected, found)
        self.schedule, self.verbose = schedule, verbose
        self._takes_rate = _takes_two(schedule)

    def on_epoch_begin(self, epoch, logs=None):
        optimizer = with_learning_rate(self.model, type(self).__name__)
        if self._takes_rate:
            rate = self.schedule(epoch, float(optimizer.learning_rate))
        else:
            rate = self.schedule(epoch)
        rate = _checked(rate, epoch)
        optimizer.learning_rate = rate
        if self.verbose:
            print_msg(f"Epoch {epoch + 1}: learning rate {rate:.6g}")

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            optimizer = with_learning_rate(self.model, type(self).__name__)
            logs["learning_rate"] = float(optimizer.learning_rate)


def _takes_two(schedule):
    try:
        parameters = inspect.signature(schedule).parameters.values()
    except (TypeError, ValueError):
        return True
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return True
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters) >= 2


def _checked(rate, epoch):
    where, expected = f"LearningRateScheduler, epoch {epoch + 1}", "a learning rate"
    fix = "return a float from schedule"
    try:
        number = float(rate)
    except (TypeError, ValueError):
        raise errors.bad_type(where, expected, errors.describe(rate), fix) from None
    if not math.isfinite(number) or number < 0:
        raise errors.bad_value(where, "a finite number of at least 0", repr(number), fix)
    return number
