"""Training that goes on, after whatever stopped it, as if nothing had happened."""

import os
import pathlib
import re
import tempfile
import time
import warnings
from typing import Any

from stepfit.callbacks.callback import Callback
from stepfit.checkpoint import contents, folders, reading
from stepfit.checkpoint.description import check_same, described
from stepfit.checkpoint.writing import Writer
from stepfit.core import errors, processes
from stepfit.utils.console import end_line, print_msg

_UNITS = {"s": 1, "min": 60, "h": 3600}


class BackupAndRestore(Callback):
    """Keeps backups of the whole training state, and goes on from the newest one.

    Run the same script again, after a crash, a kill or a reboot: `fit` goes on at the very batch
    after the backup. Weights and History become what they would have been without the stop, to
    the bit, for data whose order a seed determines (see docs/resume.md). Backups are written in the
    background; each has checksums, and a damaged one is passed over with a warning. Ctrl-C and
    SIGTERM make one more backup before they end `fit`. Give each `fit` a directory of its own.

    Args:
        directory: path of a folder for the backups (`backup_dir` in Keras).
        save_freq: when to make a backup: "epoch", after so many steps (int), or after so much time:
            "30s", "10min", "2h".
        keep: how many backups stay, at least 2.
        delete_checkpoint: whether they are removed when `fit` has come to its end.
        backup_dir: Keras's name for `directory`.
        double_checkpoint: accepted for Keras; two backups always stay.

    Raises:
        ValueError: a backup is of another model, other data or another `fit`.
        BackupError: a backup could not be written, at the next step or backup; or all are damaged.

    Example:

    >>> import tempfile, numpy as np, stepfit as keras
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> x = np.ones((64, 2), "float32")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     backup = keras.callbacks.BackupAndRestore(f"{folder}/run", save_freq="10min")
    ...     history = model.fit(x, x[:, :1], epochs=3, verbose=0, callbacks=[backup])
    >>> len(history.history["loss"])
    3
    """

    comes_last = True  # it saves what the hooks of the others have done

    def __init__(
        self, directory: Any = None, save_freq: str | int = "epoch", keep: int = 2,
        delete_checkpoint: bool = True, *, backup_dir: Any = None, double_checkpoint: bool = False,
    ):  # fmt: skip
        super().__init__()
        directory = backup_dir if directory is None else directory
        if not isinstance(directory, (str, os.PathLike)) or not os.fspath(directory):
            found = errors.describe(directory)
            raise errors.bad_type("BackupAndRestore(directory)", "the path of a folder", found)
        self.directory = os.fspath(directory)
        self._where = f"BackupAndRestore({self.directory!r})"
        self._steps, self._seconds = _interval(save_freq)
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 2:
            fix = "the newest one may be damaged, so one is not enough"
            raise errors.bad_value(
                "BackupAndRestore(keep)", "an int of at least 2", errors.describe(keep), fix
            )
        self.save_freq, self.keep, self.delete_checkpoint = save_freq, keep, delete_checkpoint
        self._progress: Any = None
        self._writer: Any = None
        self._described: Any = None
        self._backup: Any = None  # the one to go on from, until that is done
        self._saved_at = 0.0

    def set_progress(self, progress):
        self._progress = progress

    # -- going on --------------------------------------------------------------------------------

    def on_train_begin(self, logs=None):
        self._check_callbacks()
        self._prepare_directory()
        self._writer = Writer(self.directory, self.keep)
        self._writer.wait()
        if processes.is_first():
            folders.remove_parts(self.directory)
        self._saved_at = time.monotonic()
        self._progress.source.state(*self._progress.data_place())  # from now on it takes notes
        self._described = described(self.model, self._progress)
        self._backup = self._newest()
        if self._backup is None:
            return
        place = self._backup.document["place"]
        initial_epoch = self._progress.initial_epoch
        check_same(self._where, self._backup, self.model, self._described, initial_epoch)
        self._progress.move_to(place)
        self._go_on()
        contents.set_data(self._progress, self._backup)
        self._tell(place)
        if not place["step"] and not place["trained"]:  # else once more, after `on_epoch_begin`
            self._progress.over = self._backup.document["stopped"]
            self._backup = None

    def on_epoch_begin(self, epoch, logs=None):
        if self._backup is not None:
            self._go_on()
            self.model.stop_training = self._backup.document["stopped"]
            self._backup = None

    def _go_on(self):
        contents.set_values(self.model, self._backup)
        contents.set_callbacks(self._progress.callbacks, self._backup)
        contents.set_randomness(self._backup)

    def _newest(self):
        """Return the newest backup that is intact; None where there is none at all."""
        if not processes.is_first():  # that one has looked, and says which
            name = processes.agreed(None)
            return None if name is None else reading.read(pathlib.Path(self.directory, name))
        found = self._newest_of_all()
        processes.agreed(found and found.name)
        return found

    def _newest_of_all(self):
        damaged: list = []
        found = reading.newest(self.directory, lambda *of_one: damaged.append(of_one))
        for folder, what in damaged:
            text = f"{self._where}: {folder.name} is damaged and not used: {what}"
            aside = found and folders.set_aside(folder)  # so that it does not count as one kept
            text += f"; it is now called {aside.name}" if aside else ""
            instead = f"going on from {found.name}" if found else "none is intact"
            warnings.warn(f"{text}; {instead}.", UserWarning, stacklevel=errors.users_level())
        if found is None and damaged:
            text = errors.message(
                self._where, "a backup that is intact", f"{len(damaged)} that are damaged",
                "remove the folder to start anew",
            )  # fmt: skip
            raise errors.BackupError(text)
        return found

    def _check_callbacks(self):
        here = os.path.abspath(self.directory)
        for other in self._progress.callbacks:
            cls = type(other)
            if cls.state is not Callback.state and cls.restore is Callback.restore:
                fix = "define restore(self, state), or its state is lost when a run goes on"
                raise errors.bad_value(cls.__name__, "restore beside state", "state alone", fix)
            if isinstance(other, BackupAndRestore) and other is not self:
                if os.path.abspath(other.directory) == here:
                    fix = "give each a folder of its own, or leave one out"
                    raise errors.bad_value(self._where, "one callback for a folder", "two", fix)

    def _prepare_directory(self):
        try:
            os.makedirs(self.directory, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.directory):
                pass
        except OSError as e:
            found = f"{type(e).__name__}: {e.strerror}"
            text = errors.message(self._where, "a folder that can be written to", found)
            raise errors.BackupError(text) from e

    def _tell(self, place):
        if (self.params or {}).get("verbose"):
            at = f"epoch {place['epoch'] + 1}"
            at += f", after step {place['step']}" if place["step"] else ""
            print_msg(f"Going on from {self._backup.name} in {self.directory}: {at}")

    # -- backups ---------------------------------------------------------------------------------

    def needs_model_after(self, batch):
        self._writer.check()
        if self._steps is not None:
            return batch + -(self._progress.before + batch + 1) % self._steps
        return batch if self._is_time() else None

    def on_train_batch_end(self, batch, logs=None):
        self._save()

    def on_epoch_end(self, epoch, logs=None):
        self._writer.check()
        if self.save_freq == "epoch" or self._is_time():
            self._save()

    def interrupted(self):
        if self._writer is not None:
            saved = self._save()
            self._writer.wait()
            if saved and (self.params or {}).get("verbose"):
                end_line()
                print_msg(f"Saved a backup in {self.directory}; the next run goes on from it")

    def failed(self):
        if self._writer is not None:
            try:
                self._writer.wait()
            except errors.BackupError as e:  # the error that ended `fit` counts more
                warnings.warn(str(e), RuntimeWarning, stacklevel=errors.users_level())

    def on_train_end(self, logs=None):
        self._writer.wait()
        if self.delete_checkpoint and processes.is_first():
            folders.clear(self.directory)

    def _is_time(self):
        return self._seconds is not None and time.monotonic() - self._saved_at >= self._seconds

    def _save(self):
        self._saved_at = time.monotonic()
        arrays, document = contents.capture(self.model, self._progress, self._described)
        path = contents.not_finite(arrays)
        if path is not None:
            now = f"epoch {self._progress.epoch + 1}, step {self._progress.step}"
            text = f"{self._where}: {path!r} has values that are not finite ({now}); no backup is "
            text += "made, the last good one stays."
            warnings.warn(text, RuntimeWarning, stacklevel=errors.users_level())
            return False
        if processes.is_first():
            self._writer.save(arrays, document)
        return True


def _interval(save_freq):
    """Return ``(steps, seconds)`` between two backups; both None for "epoch"."""
    if save_freq == "epoch":
        return None, None
    if isinstance(save_freq, int) and not isinstance(save_freq, bool) and save_freq > 0:
        return save_freq, None
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|min|h)", str(save_freq))
    if match and isinstance(save_freq, str) and float(match[1]) > 0:
        return None, float(match[1]) * _UNITS[match[2]]
    expected = "'epoch', a positive number of steps, or a time such as '30s', '10min' or '2h'"
    raise errors.bad_value("BackupAndRestore(save_freq)", expected, errors.describe(save_freq))
