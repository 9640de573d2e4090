"""The order of samples: a pure function of (seed, epoch, step).

NumPy's legacy `RandomState` is used on purpose: its streams never change between NumPy versions,
so a run resumed elsewhere reads its data in the same order.
"""

import numpy as np


def permutation(size, seed, *place):
    """Return a permutation of `range(size)` that depends on `seed` and `place` alone.

    Args:
        size: number of elements.
        seed: non-negative integer of any size.
        place: non-negative integers, such as the epoch and the step.
    """
    words = []
    for number in (seed, *place):
        words += [number & 0xFFFFFFFF, (number >> 32) & 0xFFFFFFFF]
    return np.random.RandomState(words).permutation(size)
