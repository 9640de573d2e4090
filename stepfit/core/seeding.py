"""The one source of seeds that nobody gave: a process-wide generator that `set_seed` restarts."""

import threading
from typing import Any

import numpy as np

from stepfit.core import errors

_lock = threading.Lock()
_state: dict[str, Any] = {
    "generator": np.random.Generator(np.random.Philox()), "seed": None, "again": [],
}  # fmt: skip


def set_seed(seed):
    """Restart the process-wide generator, so that every later `draw_seed` is determined.

    Args:
        seed: a non-negative int.

    Raises:
        TypeError: not an int. ValueError: negative.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise errors.bad_type("set_seed(seed)", "an int", errors.describe(seed))
    if seed < 0:
        raise errors.bad_value("set_seed(seed)", "a non-negative int", repr(int(seed)))
    with _lock:
        _state["generator"] = np.random.Generator(np.random.Philox(int(seed)))
        _state["seed"], _state["again"] = int(seed), []


def draw_seed():
    """Return a fresh int in ``[0, 2**31)``; the next call returns another one.

    >>> set_seed(7)
    >>> first = draw_seed()
    >>> set_seed(7)
    >>> draw_seed() == first, draw_seed() == first
    (True, False)
    """
    with _lock:
        if _state["again"]:
            return _state["again"].pop()
        return int(_state["generator"].integers(2**31))


def give_back(seed):
    """Have the next `draw_seed` return a seed that was drawn, and not used for anything."""
    with _lock:
        _state["again"].append(seed)


def get_state():
    """Return the state of the process-wide generator, as JSON can hold it."""
    with _lock:
        generator = _plain(_state["generator"].bit_generator.state)
        return {"seed": _state["seed"], "generator": generator, "again": list(_state["again"])}


def set_state(state):
    """Have the process-wide generator go on from what `get_state` returned.

    >>> state = get_state()
    >>> first = draw_seed()
    >>> set_state(state)
    >>> draw_seed() == first
    True
    """
    generator = np.random.Philox()
    generator.state = state["generator"]
    with _lock:
        _state.update(seed=state["seed"], generator=np.random.Generator(generator))
        _state["again"] = list(state.get("again", ()))


def _plain(tree):
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items()}
    return tree.tolist() if isinstance(tree, (np.ndarray, np.generic)) else tree


def last_seed():
    """Return the seed given to `set_seed`, or None before any."""
    return _state["seed"]
