"""The order of samples: a pure function of (seed, epoch, step).

NumPy's legacy `RandomState` is used on purpose: its streams never change between NumPy versions,
so a run resumed elsewhere reads its data in the same order. Its numbers come from a counter-based
generator, which is ready at once for any seed and place.
"""

import threading

import numpy as np

_MASK = 2**64 - 1


def permutation(size, seed, *place):
    """Return a permutation of `range(size)` that depends on `seed` and `place` alone.

    Args:
        size: number of elements.
        seed: non-negative integer of any size.
        place: at most two non-negative integers, such as the epoch and the step.
    """
    first, second = (*place, 0, 0)[:2]
    state = _mine.generator.state
    state["state"]["key"][:] = (seed ^ seed >> 64) & _MASK, first
    state["state"]["counter"][:] = 0, 0, 0, second  # the low words count the draws
    state["buffer_pos"], state["has_uint32"] = 4, 0  # nothing is left of an earlier place
    _mine.generator.state = state
    return _mine.random.permutation(size)


class _Mine(threading.local):
    """A generator for each thread, moved from place to place: a new one takes longer to make."""

    def __init__(self):
        self.generator = np.random.Philox(0)
        self.random = np.random.RandomState(self.generator)


_mine = _Mine()
