"""State that a step keeps in Python: it is read once, when the step is traced, and then frozen.

Two kinds are told, each once per step: draws from the process-wide generators of NumPy and Python,
and attributes of the model that the step reads and sets anew, as a counter or an average.
"""

import random
import threading
import warnings
from typing import Any

import jax
import numpy as np

from stepfit.core import errors

_READERS = ("stepfit-read", "stepfit-worker")  # threads that read the user's data, and may draw


class Frozen:
    """Looks before and after a step is traced.

    Args:
        model: the model whose step it is.
    """

    def __init__(self, model):
        self._model = model
        self._random: Any = None if _is_reading() else (random.getstate(), _of_numpy())
        self._held = {name: v for name, v in vars(model).items() if _is_state(v)}

    def tell(self, where, missed):
        """Warn of what was frozen; return whether there was anything.

        Args:
            where: the step, for messages.
            missed: set of the (id of a layer, name) that were asked for, and not there.
        """
        texts = [f"{where}: {text}." for text in [*self._attributes(missed), *self._draws()]]
        for text in texts:
            warnings.warn(text, stacklevel=errors.users_level())
        return bool(texts)

    def _attributes(self, missed):
        model = self._model
        skip = model._untracked_names | model._unwatched_names
        for name, new in vars(model).items():
            asked = (id(model), name) in missed
            if name in skip or not (asked or name in self._held):
                continue
            old = self._held.get(name)
            if isinstance(new, jax.core.Tracer):
                found, fix = "a value of this one batch", "v.assign(...)"
            elif _is_count(old, new):
                fix = "v.assign_add(1)" if isinstance(new, int) else "v.assign(...)"
                found = f"the number {new}"
            else:
                continue
            yield (
                f"expected what a step keeps for the next one in a Variable, found {found} in "
                f"{model._where()} attribute {name!r}: Python code runs once, when the step is "
                "compiled, and every step computes with what it read then; make a Variable v in "
                f"__init__ and call {fix}, or update a metric"
            )

    def _draws(self):
        if self._random is None or _is_reading():
            return
        python, numpy = self._random
        names = []
        if not _same(numpy, _of_numpy()):
            names.append("numpy.random")
        if python != random.getstate():
            names.append("Python's random")
        for name in names:
            yield (
                f"expected random numbers from keras.random, found a draw from {name}, which runs "
                "once, when the step is compiled: every step gets the same numbers; write "
                "keras.random.normal(shape, seed=keras.random.SeedGenerator()), with the "
                "generator made in __init__"
            )


def _of_numpy():
    return np.random.get_state(legacy=False)


def _same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    return np.array_equal(a, b)


def _is_reading():
    return any(thread.name.startswith(_READERS) for thread in threading.enumerate())


def _is_state(value):
    """Say whether a value was set by hand; an array of JAX's may be left from an earlier call."""
    numbers = (int, float, np.number, np.ndarray)
    return isinstance(value, numbers) and not isinstance(value, bool)


def _is_count(old, new):
    """Say whether a number was counted up, or is a float that changed; sizes are neither."""
    if isinstance(new, bool) or not isinstance(new, (int, float)):
        return False
    if old is None and isinstance(new, float):
        return False  # made on first use, perhaps to be kept
    if isinstance(new, int):
        return isinstance(old, int | None) and new == (old or 0) + 1
    return new is not old and new != old
