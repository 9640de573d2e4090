"""Names: automatic ones (``dense``, ``dense_1``) and the stack that turns names into paths."""

import collections
import contextlib
import re
from collections.abc import Iterator
from contextvars import ContextVar

from stepfit.core import errors

_stack: ContextVar[tuple[str, ...]] = ContextVar("stepfit_name_stack", default=())
_counters: collections.Counter[str] = collections.Counter()


def to_snake_case(name):
    """Return a class name in snake case, as Keras spells automatic names.

    >>> to_snake_case("Conv2DTranspose"), to_snake_case("BatchNormalization")
    ('conv2d_transpose', 'batch_normalization')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def auto_name(prefix):
    """Return `prefix`, then ``prefix_1``, ``prefix_2``, ... for each further call."""
    prefix = to_snake_case(prefix)
    count = _counters[prefix]
    _counters[prefix] += 1
    return prefix if count == 0 else f"{prefix}_{count}"


def reset_names():
    """Start automatic names afresh."""
    _counters.clear()


def check_name(name, where):
    """Return a given name, refusing what cannot stand in a path or a file."""
    if not isinstance(name, str):
        raise errors.bad_type(f"{where} name", "a str", name)
    if "/" in name or "\\" in name:
        raise errors.bad_value(
            f"{where} name", "a name without path separators", repr(name), "use '_' in place of '/'"
        )
    return name


@contextlib.contextmanager
def name_scope(name: str) -> Iterator[None]:
    """Add `name` to the path of every variable and layer made inside."""
    token = _stack.set((*_stack.get(), name))
    try:
        yield
    finally:
        _stack.reset(token)


def current_path():
    """Return the path of the innermost name scope, "" at the top."""
    return "/".join(_stack.get())


def in_scope(name):
    """Say whether the innermost name scope is `name`."""
    stack = _stack.get()
    return bool(stack) and stack[-1] == name


def get_uid(prefix: str = "") -> int:
    """Return how many times a prefix has been counted now, automatic names included.

    >>> import stepfit as keras
    >>> keras.backend.get_uid("docs"), keras.backend.get_uid("docs")
    (1, 2)
    """
    _counters[prefix] += 1
    return _counters[prefix]
