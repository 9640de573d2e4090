"""Breaking a `fit` off and going on with it, with fresh callbacks: what `test_resume.py` stands on.

It does, in memory, what `BackupAndRestore` does with files.
"""

import json

import numpy as np

from stepfit.callbacks import Callback


class Crash(Exception):
    """Ends a run."""


class BreakOff(Callback):
    """Keeps the place, the model and the callbacks' states after a batch or an epoch; then crashes.

    Args:
        epoch, batch: when; `batch` is None for the end of the epoch.
        later: number of further epochs to run after the state was kept.
    """

    comes_last = True

    def __init__(self, epoch, batch=None, later=0):
        self.when, self.last, self.kept = (epoch, batch), epoch + later, None

    def set_progress(self, progress):
        self.progress = progress

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def needs_model_after(self, batch):
        epoch, wanted = self.when
        return wanted if wanted is not None and self.epoch == epoch and batch <= wanted else None

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.when:
            self._keep()
            self._crash()

    def on_epoch_end(self, epoch, logs=None):
        if (epoch, None) == self.when:
            self._keep()
        self._crash()

    def _crash(self):
        if self.kept is not None and self.epoch >= self.last:
            raise Crash

    def _keep(self):
        others = [c for c in self.progress.callbacks if c is not self]
        state = [[np.array(v) for v in part] for part in self.model.get_state()]
        states = [through_a_file(c.state()) for c in others]
        self.kept = {"place": self.progress.place(), "state": state, "callbacks": states}


class GoOn(Callback):
    """Puts a run where another one was broken off.

    Args:
        kept: what `BreakOff` kept.
    """

    comes_last = True

    def __init__(self, kept):
        self.kept = kept

    def set_progress(self, progress):
        self.progress = progress

    def on_train_begin(self, logs=None):
        self.progress.move_to(self.kept["place"])
        self._restore()

    def on_epoch_begin(self, epoch, logs=None):
        if self.kept is not None and self.kept["place"]["step"]:  # the epoch was under way
            self._restore()
        self.kept = None

    def _restore(self):
        self.model.set_state(tuple(self.kept["state"]))
        others = [c for c in self.progress.callbacks if c is not self]
        for callback, state in zip(others, self.kept["callbacks"], strict=True):
            callback.restore(state)


def through_a_file(state):
    """Return a state as it comes back from a file: JSON, with the arrays kept beside it."""
    arrays = []

    def pack(x):
        if isinstance(x, np.ndarray):
            arrays.append(x.copy())
            return {"__array__": len(arrays) - 1}
        if isinstance(x, dict):
            assert all(isinstance(key, str) for key in x)
            return {k: pack(v) for k, v in x.items()}
        return [pack(v) for v in x] if isinstance(x, (list, tuple)) else x

    def unpack(x):
        if isinstance(x, dict):
            return arrays[x["__array__"]] if "__array__" in x else {
                k: unpack(v) for k, v in x.items()
            }  # fmt: skip
        return [unpack(v) for v in x] if isinstance(x, list) else x

    return unpack(json.loads(json.dumps(pack(state))))
