"""Weights on disk while training goes on."""

import os
import string

from stepfit.callbacks.saver import Saver
from stepfit.core import errors
from stepfit.utils.weights_file import check_path, save_weights


class ModelCheckpoint(Saver):
    """Saves the weights of the model after epochs or batches.

    The weights go into a NumPy archive, one array per variable, named by the variable's path. A
    file appears only when it is complete: an older file of the same name survives a crash in the
    middle, or a full disk. Half-precision floats are stored as float32, which loses nothing. To
    load a file: ``model.load_weights("weights.npz")``.

    Args:
        filepath: path that ends in ".npz"; may hold fields such as "{epoch:02d}" (from 1),
            "{batch}" and "{val_loss:.2f}".
        monitor: name of the metric that `save_best_only` looks at.
        verbose: 1 to print a message when it acts.
        save_best_only: whether to save only when the metric is better than ever before.
        save_weights_only: has to be True in this version; whole models cannot be saved yet.
        mode: "min", "max", or "auto" (by the name of the metric).
        save_freq: "epoch", or the number of batches between two savings (steps stay fused between
            them). Metrics of a batch are those of the epoch so far, without validation.
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
        super().__init__(monitor, mode, verbose, save_best_only, save_freq, initial_value_threshold)
        self.filepath, self.save_weights_only = os.fspath(filepath), save_weights_only
        if not save_weights_only:
            raise errors.bad_value(
                "ModelCheckpoint", "weights only (this version cannot save whole models yet)",
                f"save_weights_only=False with filepath={self.filepath!r}",
                "pass save_weights_only=True and a filepath that ends in '.npz'",
            )  # fmt: skip
        check_path(self.filepath, "ModelCheckpoint(filepath)")

    def place(self, epoch, batch, logs):
        return self.path_for(epoch, batch, logs)

    def write(self, epoch, batch, logs):
        save_weights(self.model, self.path_for(epoch, batch, logs))

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
