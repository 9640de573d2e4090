"""Stopping when a metric has stopped improving."""

from stepfit.callbacks.monitor import MonitorCallback
from stepfit.utils.console import print_msg

_STATE = ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")


class EarlyStopping(MonitorCallback):
    """Stops training once a metric has not improved for some epochs.

    An epoch is an improvement if `value < best - min_delta` (mode "min") or
    `value > best + min_delta` (mode "max"); a NaN never is one.

    Args:
        monitor: name of the metric, such as "val_loss".
        min_delta: smallest change that counts.
        patience: number of epochs without improvement after which training stops.
        verbose: 1 to print a message when it acts.
        mode: "min", "max", or "auto" (by the name of the metric).
        baseline: value that has to be reached as well for the epochs to be counted anew.
        restore_best_weights: whether the model gets back its weights of the best epoch.
        start_from_epoch: number of epochs that are not looked at.

    Attributes:
        stopped_epoch: index of the epoch in which training was stopped, else 0.
        best, best_epoch: the best value and the index of its epoch.

    Raises:
        ValueError: at the end of the first epoch, where there is no such metric.

    Example:

    >>> import stepfit as keras
    >>> stop = keras.callbacks.EarlyStopping("loss", patience=3, restore_best_weights=True)
    >>> stop.patience
    3
    """

    def __init__(
        self, monitor="val_loss", min_delta=0, patience=0, verbose=0, mode="auto", baseline=None,
        restore_best_weights=False, start_from_epoch=0,
    ):  # fmt: skip
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._reset()

    def _reset(self):
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.best_weights = None

    def on_train_begin(self, logs=None):
        self._reset()

    def state(self):
        return {name: getattr(self, name) for name in _STATE}

    def restore(self, state):
        for name in _STATE:
            setattr(self, name, state[name])

    def on_epoch_end(self, epoch, logs=None):
        value = self.monitored(epoch, logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._keep_weights(epoch)
        self.wait += 1
        if self.is_improvement(value, self.best):
            self.best = value
            self._keep_weights(epoch)
            if self.baseline is None or self.is_improvement(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _keep_weights(self, epoch):
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs=None):
        if self.stopped_epoch and self.verbose:
            print_msg(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print_msg(f"Restoring the weights of epoch {self.best_epoch + 1}, the best one")
            self.model.set_weights(self.best_weights)
