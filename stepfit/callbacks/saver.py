"""When to save: after epochs or batches, always or when a metric is better than ever."""

from stepfit.callbacks.monitor import MonitorCallback
from stepfit.checkpoint import contents
from stepfit.core import errors, placement, processes
from stepfit.utils.console import print_msg


class Saver(MonitorCallback):
    """Base of callbacks that save the model: subclasses define `write` and `place`.

    Batches are counted over the whole run, from how many there were in the epochs before this one,
    so the count is right after a run was resumed in mid-epoch, too.

    Args:
        monitor, mode, verbose, save_best_only, save_freq, initial_value_threshold: see
            `ModelCheckpoint`.
    """

    what = "the weights"

    def __init__(
        self, monitor, mode, verbose, save_best_only, save_freq, initial_value_threshold
    ):  # fmt: skip
        threshold = None if initial_value_threshold is None else float(initial_value_threshold)
        super().__init__(monitor, mode, threshold)
        self.verbose, self.save_best_only, self.save_freq = verbose, save_best_only, save_freq
        wrong_type = isinstance(save_freq, bool) or not isinstance(save_freq, int)
        if save_freq != "epoch" and (wrong_type or save_freq < 1):
            expected = "'epoch' or a positive number of batches"
            where = f"{type(self).__name__}(save_freq)"
            raise errors.bad_value(where, expected, errors.describe(save_freq))
        if save_best_only and save_freq != "epoch" and monitor.startswith("val_"):
            raise errors.bad_value(
                f"{type(self).__name__}(monitor={monitor!r})",
                f"a metric of training, because save_freq={save_freq} looks at batches",
                "one of validation", "pass monitor='loss', or save_freq='epoch'",
            )  # fmt: skip
        self._epoch, self._before, self._heard = 0, 0, 0
        if save_freq != "epoch":  # to hear of the last step of each chunk, with steps fused
            self.lazy_batch_logs = (
                type(self).on_train_batch_end is Saver.on_train_batch_end
            )  # a subclass may look at the model or at its logs in a hook of its own

    def write(self, epoch, batch, logs):
        """Save the model; `batch` is None after an epoch."""
        raise NotImplementedError

    def place(self, epoch, batch, logs):
        """Return where `write` is going to save to, for a message."""
        raise NotImplementedError

    def needs_model_after(self, batch):
        if self.save_freq == "epoch":
            return None
        return batch + -(self._before + batch + 1) % self.save_freq

    def on_train_begin(self, logs=None):
        self._before = self._heard = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self._heard = batch + 1
        if self.save_freq != "epoch" and self.needs_model_after(batch) == batch:
            self._save(self._epoch, batch, (logs() if callable(logs) else logs) or {})

    def on_epoch_end(self, epoch, logs=None):
        if self.save_freq == "epoch":
            self._save(epoch, None, logs or {})
        self._before, self._heard = self._before + self._heard, 0

    def state(self):
        return {"best": self.best, "batches": [self._before, self._heard]}

    def restore(self, state):
        self.best, (self._before, self._heard) = state["best"], state["batches"]

    def _save(self, epoch, batch, logs):
        place, note = self.place(epoch, batch, logs), f"Epoch {epoch + 1}: "
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
            print_msg(f"{note}saving {self.what} to {place}")
        parts = contents.variables_of(self.model).values() if processes.several() else ()
        with placement.written_once([v for part in parts for v in part]) as ours:
            if ours:
                self.write(epoch, batch, logs)
