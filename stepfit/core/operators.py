"""Operators: what has a `value` that is an array takes part in arithmetic as that array."""

from collections.abc import Callable
from typing import Any

import jax


def _binary(name: str) -> Callable[[Any, Any], jax.Array]:
    def method(self, other):
        return getattr(self.value, name)(other.value if isinstance(other, Operators) else other)

    method.__name__ = name
    return method




def _unary(name: str) -> Callable[..., jax.Array]:
    def method(self, *args):
        return getattr(self.value, name)(*args)

    method.__name__ = name
    return method


class Operators:
    """Mixin that gives an object with a `value` the operators of JAX's arrays."""

    value: Any

    __add__, __radd__ = _binary("__add__"), _binary("__radd__")
    __sub__, __rsub__ = _binary("__sub__"), _binary("__rsub__")
    __mul__, __rmul__ = _binary("__mul__"), _binary("__rmul__")
    __truediv__, __rtruediv__ = _binary("__truediv__"), _binary("__rtruediv__")
    __floordiv__, __rfloordiv__ = _binary("__floordiv__"), _binary("__rfloordiv__")
    __mod__, __rmod__ = _binary("__mod__"), _binary("__rmod__")
    __divmod__, __rdivmod__ = _binary("__divmod__"), _binary("__rdivmod__")
    __pow__, __rpow__ = _binary("__pow__"), _binary("__rpow__")
    __matmul__, __rmatmul__ = _binary("__matmul__"), _binary("__rmatmul__")
    __and__, __rand__ = _binary("__and__"), _binary("__rand__")
    __or__, __ror__ = _binary("__or__"), _binary("__ror__")
    __xor__, __rxor__ = _binary("__xor__"), _binary("__rxor__")
    __lshift__, __rlshift__ = _binary("__lshift__"), _binary("__rlshift__")
    __rshift__, __rrshift__ = _binary("__rshift__"), _binary("__rrshift__")

    __lt__, __le__ = _binary("__lt__"), _binary("__le__")
    __gt__, __ge__ = _binary("__gt__"), _binary("__ge__")
    __eq__: Any = _binary("__eq__")  # an array, where `object` gives a bool
    __ne__: Any = _binary("__ne__")

    __neg__, __pos__ = _unary("__neg__"), _unary("__pos__")
    __abs__, __invert__ = _unary("__abs__"), _unary("__invert__")
    __round__, __complex__ = _unary("__round__"), _unary("__complex__")

    def __hash__(self):
        return id(self)
