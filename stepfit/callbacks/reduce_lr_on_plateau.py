"""A smaller learning rate when a metric has stopped improving."""

import math
import numbers

from stepfit.callbacks.monitor import MonitorCallback
from stepfit.callbacks.optimizers import with_learning_rate
from stepfit.core import errors
from stepfit.utils.console import print_msg

_STATE = ("wait", "cooldown_counter", "best")


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by a factor once a metric has not improved for some epochs.

    ``learning_rate <- max(learning_rate * factor, min_lr)``

    The rate with which each epoch was trained is recorded in the logs as "learning_rate".

    Args:
        monitor: name of the metric, such as "val_loss".
        factor: float of at least 0 and below 1.
        patience: number of epochs without improvement after which the rate is reduced.
        verbose: 1 to print a message when it acts.
        mode: "min", "max", or "auto" (by the name of the metric).
        min_delta: smallest change that counts as an improvement.
        cooldown: number of epochs after a reduction in which none is counted.
        min_lr: the rate goes no lower.

    Attributes:
        wait, cooldown_counter: epochs without improvement so far, epochs of cooldown to come.
        best: the best value so far.

    Raises:
        ValueError: an argument out of range; a learning rate that follows a schedule; at the end
            of the first epoch, where there is no such metric.

    Example:

    >>> import stepfit as keras
    >>> reduce = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=2, min_lr=1e-4)
    >>> reduce.factor
    0.5
    """

    def __init__(
        self, monitor="val_loss", factor=0.1, patience=10, verbose=0, mode="auto", min_delta=1e-4,
        cooldown=0, min_lr=0.0, **kwargs,
    ):  # fmt: skip
        where = type(self).__name__
        for name in kwargs:
            known = ("monitor", "factor", "patience", "verbose", "mode", "min_delta", "cooldown",
                     "min_lr")  # fmt: skip
            raise errors.unknown_name(where, "argument", name, known)
        super().__init__(monitor, mode, min_delta=min_delta)
        for name, value, most in (("factor", factor, 1), ("min_lr", min_lr, math.inf)):
            number = isinstance(value, numbers.Real) and not isinstance(value, bool)
            if not number or not 0 <= value < most:
                expected = "a number from 0 to below 1" if most == 1 else "a number of at least 0"
                raise errors.bad_value(f"{where}({name})", expected, errors.describe(value))
        self.factor, self.min_lr = factor, min_lr
        self.patience, self.verbose, self.cooldown = patience, verbose, cooldown
        self._reset()

    def _reset(self):
        self.wait = self.cooldown_counter = 0
        self.best = None

    def in_cooldown(self):
        """Say whether epochs without improvement are not counted now."""
        return self.cooldown_counter > 0

    def on_train_begin(self, logs=None):
        self._reset()
        with_learning_rate(self.model, type(self).__name__)

    def state(self):
        return {name: getattr(self, name) for name in _STATE}

    def restore(self, state):
        for name in _STATE:
            setattr(self, name, state[name])

    def on_epoch_end(self, epoch, logs=None):
        optimizer = with_learning_rate(self.model, type(self).__name__)
        rate = float(optimizer.learning_rate)
        if logs is not None:
            logs["learning_rate"] = rate
        value = self.monitored(epoch, logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_improvement(value, self.best):
            self.best, self.wait = value, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                self._reduce(optimizer, rate, epoch)

    def _reduce(self, optimizer, rate, epoch):
        optimizer.learning_rate = max(rate * self.factor, self.min_lr)
        self.cooldown_counter, self.wait = self.cooldown, 0
        if self.verbose:
            now = float(optimizer.learning_rate)
            print_msg(f"Epoch {epoch + 1}: learning rate reduced from {rate:.6g} to {now:.6g}")
