"""The guard: looks at the losses of a `fit` as they come, and stops it at the first bad one."""

import dataclasses
import math
import time
import warnings
from typing import Any

import jax
import numpy as np

from stepfit.callbacks import TerminateOnNaN
from stepfit.core import errors
from stepfit.training.autopsy.diagnosis import examine
from stepfit.training.autopsy.journal import BadStep, Journal, are_finite, is_weight
from stepfit.training.autopsy.report import Autopsy
from stepfit.training.data import ArraySource

_SHARE = 1 / 200  # of the time, for looking at the weights at the ends of epochs


def watched(logs):
    """Return the names of the logs that must be finite: the losses, or all where there are none.

    >>> watched({"loss": 1.0, "accuracy": 0.5}), watched({"score": 1.0})
    (['loss'], ['score'])
    """
    return [name for name in logs if "loss" in name.lower()] or list(logs)


class Guard:
    """Looks at the losses of one `fit`, for the `TerminateOnNaN`s in it; a context manager.

    Args:
        callbacks: list of the callbacks of the `fit`.

    Attributes:
        report: the `Autopsy`, once a step went wrong.
    """

    def __init__(self, callbacks):
        self.report = None
        self._callbacks = [c for c in callbacks if isinstance(c, TerminateOnNaN)]
        self._armed = any(c.autopsy for c in self._callbacks)
        self._journal: Any = None
        self._before: Any = None  # a `BadStep`, of steps that are not compiled
        self._runner: Any = None  # these come with each pass
        self._outer: Any = None  # the guard of a `fit` that this one runs in
        self._source: Any = None
        self._shield: Any = None
        self._epoch = 0
        self._look_after = 0.0  # when the weights are to be looked at next
        self._warned = self._acted = False

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._leave()

    def begin(self, runner, source, epoch, shield):
        """Note which pass begins.

        Args:
            runner, source, epoch: what runs, on which data.
            shield: calls a function so that no Ctrl-C interrupts it.
        """
        if self._armed and runner is not self._runner:
            self._leave()
            if not runner.eager:
                self._journal = Journal()
        self._runner, self._source, self._epoch, self._shield = runner, source, epoch, shield
        if self._armed and runner.guard is not self:
            self._outer, runner.guard = runner.guard, self
        if self._journal is not None:
            self._journal.epoch = epoch

    def _leave(self):
        if self._runner is not None and self._runner.guard is self:
            self._runner.guard = self._outer
        if self._journal is not None:
            self._journal.close()
        self._journal = self._before = None

    # -- what the runner tells -------------------------------------------------------------------

    def before(self, chunk, values):
        """Note a chunk that is about to be dispatched, and the values it begins with."""
        self._journal.before(chunk, values)

    def after(self, values, done):
        """Note what the chunk's values became, and an array that is ready when it is done."""
        self._journal.after(values, done)

    def before_eager(self, step, values, key, batch):
        """Note a step that is about to be run without compiling it."""
        leaves, structure = jax.tree.flatten(batch)
        self._before = BadStep(self._epoch, 0, step, list(values), key, leaves, structure)

    # -- what the pass asks ----------------------------------------------------------------------

    def look(self, result):
        """Return a chunk's result, cut after the first bad step; None for what came after that."""
        if self.report is not None:
            return None
        if not self._callbacks:
            return result
        rows = result.outputs()
        bad = _first_bad(rows)
        if bad is not None:
            result = Cut(result, bad + 1)
        elif self._journal is not None and self._journal.fine():
            return result
        elif self._before is not None and self._eager_weights_finite():
            return result
        elif self._journal is None and self._before is None:
            return result
        self._find(result.first + result.count - 1, result.logs())
        return result

    def end(self, last):
        """Look at the weights at the end of a pass; `last`: no other follows."""
        begin = time.monotonic()
        if self.report is None and self._journal is not None and (last or begin > self._look_after):
            if not self._journal.weights_finite():
                self._find(None, {})
            now = time.monotonic()
            self._look_after = now + (now - begin) / _SHARE
        self.act()

    def act(self):
        """Have the callbacks stop the training, or raise, if a step went wrong."""
        if self.report is not None and not self._acted:
            self._acted = True
            for callback in self._callbacks:
                callback.stop(self.report)

    def end_epoch(self, epoch, logs):
        """Warn of losses that are not finite, where nobody else did."""
        if self._warned or self.report is not None:
            return
        for name in watched(logs):
            if not math.isfinite(logs[name]):
                self._warned = True
                fix = (
                    "pass callbacks=[keras.callbacks.TerminateOnNaN()] to be told where it came "
                    "from, and to keep the weights from before"
                )
                text = errors.message(
                    f"fit, epoch {epoch + 1}", f"a finite {name}", repr(logs[name]), fix
                )
                warnings.warn(text, UserWarning, stacklevel=errors.users_level())
                return

    # -- finding out -----------------------------------------------------------------------------

    def _find(self, number, logs):
        """Find the first step that went wrong, put the state before it back, and report."""
        if not self._armed:
            name = next(n for n in watched(logs) if not math.isfinite(logs[n]))
            self.report = Autopsy(self._epoch, number, name, logs[name], "unknown")
            return
        step = self._before
        if self._journal is not None:
            step = self._journal.replay(lambda rows: _first_bad(rows) is not None)
        else:
            step.logs, step.number = logs, number
        self._shield(_put_back, step)
        report = examine(step, watched, self._samples(step))
        self.report = dataclasses.replace(report, kept=True)

    def _samples(self, step):
        source = self._source
        if not isinstance(source, ArraySource):
            return None
        rows = source.row_numbers(step.epoch, step.number, 1)[0]
        return lambda numbers: rows[numbers]

    def _eager_weights_finite(self):
        layout = self._before.traced.layout
        pairs = zip(layout.variables, self._before.values, strict=True)
        return are_finite(
            [v.peek() for v, old in pairs if v.peek() is not old and is_weight(layout, v)]
        )


class Cut:
    """The first steps of a `Result`."""

    def __init__(self, result, count):
        self.first, self.count, self._result = result.first, count, result

    def logs(self, index=-1):
        """Return the logs of one step."""
        return self._result.logs(range(self.count)[index])

    def outputs(self, index=slice(None)):
        """Return what all steps returned, stacked, or one."""
        rows = self._result.outputs()
        return jax.tree.map(lambda x: x[: self.count][index], rows)


def _first_bad(rows):
    """Return the number of the first step with a log that is not finite but should be, or None."""
    found = None
    for name in watched(rows):
        fine = np.isfinite(rows[name])
        if not fine.all():
            first = int(np.argmin(fine))
            found = first if found is None else min(found, first)
    return found


def _put_back(step):
    for variable, value in zip(step.traced.layout.variables, step.values, strict=True):
        if variable.peek() is not value:
            variable.assign(value)
