"""How far `fit` has come: what an exact resume must know beside the values of the model."""

from typing import Any


class Progress:
    """The place that a running `fit` is at.

    Between two hooks it says what was done and what comes next: the next step is `step` of `epoch`.
    `BackupAndRestore` saves a place, and moves `fit` to the one it read.

    Args:
        epoch: the first epoch.
        source: the `DataSource` of the training data.
        callbacks: list of the callbacks.
        validation: the `DataSource` of the validation data, or None.

    Attributes:
        initial_epoch: the first epoch, whatever it was resumed from.
        trained: whether the epoch's steps are over and its validation is not.
        over: whether training is over, though epochs may be left.
        before: number of steps in the epochs before this one.
    """

    def __init__(self, epoch, source, callbacks, validation=None):
        self.initial_epoch = self.epoch = epoch
        self.step, self.trained, self.over = 0, False, False
        self.source, self.callbacks, self.before = source, callbacks, 0
        self.validation = validation
        self._validated: Any = None  # the place of the validation data before the latest pass
        self._result: Any = None  # of the last chunk
        self._logs: dict[str, float] = {}  # those known as floats

    def note(self, result):
        """Note that the steps of a chunk are done."""
        self.step, self._result = result.first + result.count, result

    def logs(self):
        """Return the logs of the epoch's last step, {} before any."""
        if self._result is not None:
            self._logs, self._result = self._result.logs(), None
        return dict(self._logs)

    def steps_are_over(self):
        """Note that the epoch's steps are done."""
        self._validated, self.trained = self.validation_state(), True

    def next_epoch(self):
        """Note that the epoch, its validation included, is over."""
        self.epoch, self.before = self.epoch + 1, self.before + self.step
        self.step, self.trained, self._result, self._logs = 0, False, None, {}

    def validation_state(self):
        """Return the place of validation data that are read on and on, else None."""
        if not getattr(self.validation, "_one_shot", False):
            return None
        return self._validated if self.trained else self.validation.state(1, 0)

    def data_place(self):
        """Return ``(epoch, step)`` of the batch to be trained on next."""
        return (self.epoch + 1, 0) if self.trained else (self.epoch, self.step)

    def place(self):
        """Return the place as a dict that JSON can hold."""
        return {
            "epoch": self.epoch, "step": self.step, "trained": self.trained, "logs": self.logs(),
            "validation": self.validation_state(), "before": self.before,
            "initial_epoch": self.initial_epoch,
        }  # fmt: skip

    def move_to(self, place):
        """Go on from a place that `place` returned."""
        self.epoch, self.step, self.trained = place["epoch"], place["step"], place["trained"]
        self._validated = place["validation"]
        self._result, self._logs, self.before = None, dict(place["logs"]), place["before"]
