"""The order of samples: a pure function of (seed, epoch, step).

NumPy's legacy `RandomState` is used on purpose: its streams never change between NumPy versions,
so a run resumed elsewhere reads its data in the same order. Its numbers come from a counter-based
generator, which is ready at once for any seed and place.
"""

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
    key = np.array([(seed ^ seed >> 64) & _MASK, first], "uint64")
    counter = np.array([0, 0, 0, second], "uint64")  # the low words count the draws
    return np.random.RandomState(np.random.Philox(key=key, counter=counter)).permutation(size)
