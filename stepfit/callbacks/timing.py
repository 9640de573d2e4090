"""Where the time of an epoch went."""

import collections
import functools
import time
from typing import Any

from stepfit.callbacks.callback import HOOKS, Callback
from stepfit.utils.console import print_msg


class Timing(Callback):
    """Measures, for each epoch, how long steps, data, validation and callbacks took.

    "data" is the time in which the device waited for batches, "callbacks" that in which the hooks
    of the other callbacks ran, "validation" that of `fit`'s own evaluation, and "steps" the rest:
    the computation, and, in the first epoch, tracing and compiling.

    Args:
        verbose: 1 to print one line per epoch.

    Attributes:
        history: list with one dict per epoch: "epoch", "seconds" in all, and of these "steps",
            "data", "validation" and "callbacks"; "by_callback", a dict from class name to seconds.

    Example:

    >>> import numpy as np, stepfit as keras
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x, timing = np.ones((8, 2), "float32"), keras.callbacks.Timing()
    >>> history = model.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=[timing])
    >>> len(timing.history), list(timing.shares(1))
    (2, ['steps', 'data', 'validation', 'callbacks'])
    """

    comes_last = True

    def __init__(self, verbose=0):
        super().__init__()
        self.verbose = verbose
        self.history: list[dict[str, Any]] = []
        self._spent: dict[str, float] = collections.defaultdict(float)  # class name -> seconds
        self._depth = 0  # hooks that call others count once
        self._wrapped: list[tuple[Any, str, Any]] = []  # callback, hook, what it had of its own
        self._since = self._validating_since = self._validation = 0.0

    def shares(self, index=-1):
        """Return the shares of an epoch's time, from 0 to 1.

        Args:
            index: into `history`.
        """
        row = self.history[index]
        parts = ("steps", "data", "validation", "callbacks")
        return {name: row[name] / max(row["seconds"], 1e-9) for name in parts}

    # -- the hooks of the others -------------------------------------------------------------------

    def set_progress(self, progress):
        self._unwrap()
        for callback in progress.callbacks:
            if callback is not self:
                for hook in HOOKS:
                    self._wrap(callback, hook)

    def _wrap(self, callback, hook):
        of_class = getattr(type(callback), hook) is not getattr(Callback, hook)
        own = vars(callback).get(hook)
        if not of_class and own is None:
            return  # not defined: not called
        method = getattr(callback, hook)

        @functools.wraps(method)
        def timed(*args, **kwargs):
            self._depth += 1
            begin = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                self._depth -= 1
                if not self._depth:
                    name = type(callback).__name__
                    self._spent[name] += time.perf_counter() - begin

        self._wrapped.append((callback, hook, own))
        setattr(callback, hook, timed)

    def _unwrap(self):
        for callback, hook, own in self._wrapped:
            if own is None:
                vars(callback).pop(hook, None)
            else:
                setattr(callback, hook, own)
        self._wrapped = []

    def on_train_end(self, logs=None):
        self._unwrap()

    def interrupted(self):
        self._unwrap()

    def failed(self):
        self._unwrap()

    # -- the epochs --------------------------------------------------------------------------------

    def on_train_begin(self, logs=None):
        self.history = []
        self._start(time.perf_counter())

    def _start(self, now):
        self._since, self._validation = now, 0.0
        self._spent.clear()

    def on_test_begin(self, logs=None):
        self._validating_since = time.perf_counter() - self._in_callbacks()

    def on_test_end(self, logs=None):
        # Without the time of hooks, which are counted by themselves.
        self._validation += time.perf_counter() - self._in_callbacks() - self._validating_since

    def _in_callbacks(self):
        return sum(self._spent.values(), 0.0)

    def on_epoch_end(self, epoch, logs=None):
        now = time.perf_counter()
        row = {"epoch": epoch, "seconds": now - self._since, "steps": 0.0}
        row["data"] = self.model._runner("train").seconds["data"]
        row["validation"], row["callbacks"] = self._validation, self._in_callbacks()
        rest = row["seconds"] - row["data"] - row["validation"] - row["callbacks"]
        row["steps"] = max(rest, 0.0)
        row["by_callback"] = dict(sorted(self._spent.items(), key=lambda item: -item[1]))
        self.history.append(row)
        if self.verbose:
            print_msg(self._line())
        self._start(now)

    def _line(self):
        row, shares = self.history[-1], self.shares()
        text = f"Epoch {row['epoch'] + 1}: {row['seconds']:.3g} s, {shares['steps']:.0%} steps"
        text += f", {shares['data']:.0%} waiting for data"
        if row["validation"]:
            text += f", {shares['validation']:.0%} validation"
        text += f", {shares['callbacks']:.0%} callbacks"
        for name, seconds in list(row["by_callback"].items())[:1]:
            text += f" (most: {name}, {seconds:.2g} s)"
        return text

    def state(self):
        return {"history": [dict(row) for row in self.history]}

    def restore(self, state):
        self.history = [dict(row) for row in state["history"]]
