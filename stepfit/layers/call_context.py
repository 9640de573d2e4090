"""What a running `call` knows of the calls around it: who began, and whether it is training."""

import contextvars
import itertools
from typing import Any

_context: contextvars.ContextVar[Any] = contextvars.ContextVar("stepfit_call_context", default=None)


class Token:
    """The identity of one outermost call; `number` grows from call to call."""

    __slots__ = ("number",)
    _count = itertools.count()

    def __init__(self, number=None):
        self.number = next(self._count) if number is None else number

    def __reduce__(self):
        return Token, (-1,)  # a copy is older than any call to come


class CallContext:
    """One running layer call; nested calls share the token and inherit `training`."""

    __slots__ = ("_reset", "layer", "parent", "token", "training")

    def __init__(self, layer):
        parent = _context.get()
        self.layer, self.parent = layer, parent
        self.token = Token() if parent is None else parent.token
        self.training = None if parent is None else parent.training

    def __enter__(self):
        self._reset = _context.set(self)
        return self

    def __exit__(self, *exc):
        _context.reset(self._reset)


def enter(layer):
    """Return a context manager for one call of `layer`."""
    return CallContext(layer)


def token():
    """Return the identity of the outermost running call, or None outside any."""
    context = _context.get()
    return None if context is None else context.token


def current():
    """Return the innermost running call, or None."""
    return _context.get()
