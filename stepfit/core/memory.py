"""Memory that the process no longer needs, back to the system."""

import ctypes
import functools


@functools.cache
def _trim():
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # not the GNU C library
        return None


def give_back():
    """Have the C library return free memory to the system, where it can be asked to.

    A compiler needs much memory for a short time, in a thread of its own; glibc keeps it for that
    thread, and the training that follows takes as much again. (Measured: a peak of 408 MB and not
    512 with 84 MB of weights. It takes some 10 ms.)
    """
    trim = _trim()
    if trim is not None:
        trim(0)
