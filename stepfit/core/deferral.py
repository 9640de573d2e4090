"""Variables without values yet: their shapes are known first, their values are made or read later.

Inside `deferring`, a Variable made with an initializer gets a `Placeholder`. Shapes are inferred as
ever; nothing is allocated until a value is assigned, or read, or the block ends. So a model can be
built from a file, and all shapes compared, before any of them costs memory.
"""

import contextlib
import math
import os
from contextvars import ContextVar
from typing import Any

from stepfit.core import errors

_pending: ContextVar[Any] = ContextVar("stepfit_pending", default=None)


class Placeholder:
    """The value to come of one Variable.

    Args:
        shape: tuple of ints. dtype: NumPy dtype.
        make: function without arguments that returns the initial value.
    """

    __slots__ = ("dtype", "make", "shape")

    def __init__(self, shape, dtype, make):
        self.shape, self.dtype, self.make = shape, dtype, make

    @property
    def nbytes(self):
        """Bytes of the value."""
        return math.prod(self.shape) * self.dtype.itemsize


def is_on():
    """Say whether Variables made now get placeholders."""
    return _pending.get() is not None


def note(variable):
    """Have a Variable with a placeholder get its value when the block ends."""
    _pending.get().append(variable)


@contextlib.contextmanager
def deferring(finish=True):
    """Have Variables made inside a ``with`` block get values when it ends (or they are read).

    Args:
        finish: False leaves those that nobody has read by then without a value until somebody does.

    Raises:
        ValueError: at the end, where the values would not fit into memory.
    """
    if is_on():  # what is made here is the outer block's
        yield _pending.get()
        return
    pending: list[Any] = []
    token = _pending.set(pending)
    try:
        yield pending
    finally:
        _pending.reset(token)
    left = [v for v in pending if v.is_deferred] if finish else []
    check_memory(sum(v.peek_placeholder().nbytes for v in left), left[0].path if left else "")
    for variable in left:
        variable.peek()


def check_memory(needed, where):
    """Refuse what does not fit into memory.

    Raises:
        ValueError: naming the first Variable.
    """
    free = available_memory()
    if needed > free:
        raise errors.bad_value(
            f"Variable {where!r} and others", f"at most {free / 1e9:.1f} GB, the free memory",
            f"{needed / 1e9:.1f} GB", "check the sizes in the config",
        )  # fmt: skip


def available_memory():
    """Return the bytes of memory that are free."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 2**34
