"""The one source of seeds that nobody gave: a process-wide generator that `set_seed` restarts."""

import threading
from typing import Any

import numpy as np

from stepfit.core import errors

_lock = threading.Lock()
_state: dict[str, Any] = {"generator": np.random.Generator(np.random.Philox()), "seed": None}


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
        _state["seed"] = int(seed)


def draw_seed():
    """Return a fresh int in ``[0, 2**31)``; the next call returns another one.

    >>> set_seed(7)
    >>> first = draw_seed()
    >>> set_seed(7)
    >>> draw_seed() == first, draw_seed() == first
    (True, False)
    """
    with _lock:
        return int(_state["generator"].integers(2**31))


def last_seed():
    """Return the seed given to `set_seed`, or None before any."""
    return _state["seed"]
