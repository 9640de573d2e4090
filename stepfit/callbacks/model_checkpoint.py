"""Weights on disk while training goes on."""

import os
import string

from stepfit.callbacks.monitor import MonitorCallback
from stepfit.core import errors
from stepfit.utils.console import print_msg
from stepfit.utils.weights_file import check_path, save_weights


class ModelCheckpoint(MonitorCallback):
    """Saves the weights of the model after epochs or batches.

    The weights go into a NumPy archive, one array per variable, named by the variable's path. A
    file appears only when it is complete: an older file of the same name survives a crash in the
    middle. Half-precision floats are stored as float32, which loses nothing. To load a file:
    ``model.load_weights("weights.npz")``.

    Args:
        filepath: path that ends in ".npz"; may hold fields such as "{epoch:02d}" (from 1),
            "{batch}" and "{val_loss:.2f}".
        monitor: name of the metric that `save_best_only` looks at.
        verbose: 1 to print a message when it acts.
        save_best_only: whether to save only when the metric is better than ever before.
        save_weights_only: has to be True in this version; whole models cannot be saved yet.
        mode: "min", "max", or "auto" (by the name of the metric).
        save_freq: "epoch", or the number of batches between two savings.
        initial_value_threshold: value that the first saving with `save_best_only` has to beat.

    Raises:
        ValueError: for another kind of file, at the end of the first epoch for a metric that does
            not exist, and for a field of `filepath` that the logs do not have.

    Example:

    >>> import stepfit as keras
    >>> saver = keras.callbacks.ModelCheckpoint("{epoch:02d}.npz", save_weights_only=True)
    >>> saver.path_for(0, None, {"loss": 0.5})
    '01.npz'
    """

    def __init__(
        self, filepath, monitor="val_loss", verbose=0, save_best_only=False,
        save_weights_only=False, mode="auto", save_freq="epoch", initial_value_threshold=None,
    ):  # fmt: skip
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath = os.fspath(filepath)
        self.verbose, self.save_best_only = verbose, save_best_only
        self.save_weights_only, self.save_freq = save_weights_only, save_freq
        self._check()
        self._epoch, self._batches, self._last_batch = 0, 0, -1
        if save_freq != "epoch":  # only then is there anything to do after a batch
            vars(self)["on_train_batch_end"] = self._after_batch

    def _check(self):
        where = "ModelCheckpoint"
        if not self.save_weights_only:
            fix = "pass save_weights_only=True and a filepath that ends in '.npz'"
            found = f"save_weights_only=False with filepath={self.filepath!r}"
            raise errors.bad_value(where, "weights only, in this version", found, fix)
        check_path(self.filepath, f"{where}(filepath)")
        freq = self.save_freq
        if freq != "epoch" and (isinstance(freq, bool) or not isinstance(freq, int) or freq < 1):
            expected = "'epoch' or a positive number of batches"
            raise errors.bad_value(f"{where}(save_freq)", expected, errors.describe(freq))

    def on_train_begin(self, logs=None):
        self._batches, self._last_batch = 0, -1

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._last_batch = epoch, -1

    def on_epoch_end(self, epoch, logs=None):
        if self.save_freq == "epoch":
            self._save(epoch, None, logs or {})

    def _after_batch(self, batch, logs=None):
        self._batches += batch - self._last_batch
        self._last_batch = batch
        if self._batches >= self.save_freq:
            self._batches = 0
            self._save(self._epoch, batch, logs or {})

    def _save(self, epoch, batch, logs):
        path, note = self.path_for(epoch, batch, logs), f"Epoch {epoch + 1}: "
        if self.save_best_only:
            value = self.monitored(epoch, logs)
            if value is None:
                return
            before = "none" if self.best is None else f"{self.best:.5f}"
            if not self.is_improvement(value, self.best):
                if self.verbose:
                    print_msg(f"{note}{self.monitor} did not improve from {before}")
                return
            self.best = value
            note += f"{self.monitor} improved from {before} to {value:.5f}, "
        if self.verbose:
            print_msg(f"{note}saving the weights to {path}")
        save_weights(self.model, path)

    def path_for(self, epoch, batch, logs):
        """Return `filepath` with its fields filled in."""
        fields = {"epoch": epoch + 1, **logs}
        if batch is not None:
            fields.setdefault("batch", batch + 1)
        where = f"ModelCheckpoint(filepath={self.filepath!r})"
        for _, field, _, _ in string.Formatter().parse(self.filepath):
            if field is not None and field not in fields:
                raise errors.unknown_name(where, "value to fill in", field, fields)
        return self.filepath.format(**fields)
