"""Models, or their weights, on disk while training goes on."""

import os
import string

from stepfit.callbacks.saver import Saver
from stepfit.core import errors
from stepfit.utils.weights_file import check_path


class ModelCheckpoint(Saver):
    """Saves the model, or its weights, after epochs or batches.

    A file appears only when it is complete: an older file of the same name survives a crash in the
    middle, or a full disk. To load one: ``saving.load_model("model.keras")``, or
    ``model.load_weights("model.weights.h5")``.

    Args:
        filepath: path that ends in ".keras"; with `save_weights_only`, in ".weights.h5",
            ".weights.json", ".safetensors" or ".npz" (half-precision floats are float32 there). It
            may hold fields such as "{epoch:02d}" (from 1), "{batch}" and "{val_loss:.2f}".
        monitor: name of the metric that `save_best_only` looks at.
        verbose: 1 to print a message when it acts.
        save_best_only: whether to save only when the metric is better than ever before.
        save_weights_only: whether only the weights are saved, not the model's config.
        mode: "min", "max", or "auto" (by the name of the metric).
        save_freq: "epoch", or the number of batches between two savings (steps stay fused between
            them). Metrics of a batch are those of the epoch so far, without validation.
        initial_value_threshold: value that the first saving with `save_best_only` has to beat.

    Raises:
        ValueError: for another kind of file, at the end of the first epoch for a metric that does
            not exist, and for a field of `filepath` that the logs do not have.

    Example:

    >>> import stepfit as keras
    >>> saver = keras.callbacks.ModelCheckpoint("{epoch:02d}.keras")
    >>> saver.path_for(0, None, {"loss": 0.5})
    '01.keras'
    """

    def __init__(
        self, filepath, monitor="val_loss", verbose=0, save_best_only=False,
        save_weights_only=False, mode="auto", save_freq="epoch", initial_value_threshold=None,
    ):  # fmt: skip
        super().__init__(monitor, mode, verbose, save_best_only, save_freq, initial_value_threshold)
        self.filepath, self.save_weights_only = os.fspath(filepath), save_weights_only
        if save_weights_only:
            check_path(self.filepath, "ModelCheckpoint(filepath)")
        elif not self.filepath.endswith(".keras"):
            raise errors.bad_value(
                "ModelCheckpoint(filepath)", "a path that ends in '.keras'", repr(self.filepath),
                "rename it, or pass save_weights_only=True",
            )  # fmt: skip
        self.what = "the weights" if save_weights_only else "the model"

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        check = getattr(self.model, "_check_savable", None)
        if check is not None and type(self).write is ModelCheckpoint.write:
            check(self.save_weights_only, f"ModelCheckpoint(filepath={self.filepath!r})")

    def place(self, epoch, batch, logs):
        return self.path_for(epoch, batch, logs)

    def write(self, epoch, batch, logs):
        path = self.path_for(epoch, batch, logs)
        save = self.model.save_weights if self.save_weights_only else self.model.save
        save(path)

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
