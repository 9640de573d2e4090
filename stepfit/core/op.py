"""`@op`: one decorator that makes a JAX function work on symbolic tensors too."""

import functools
import operator
import sys
from collections.abc import Callable
from typing import Any, TypeVar, overload

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import naming, symbolic
from stepfit.core.variable import Variable

F = TypeVar("F", bound=Callable[..., Any])


class OpCall:
    """A function called on symbolic tensors, as it stands in a model's graph."""

    def __init__(self, fn, name):
        self.fn = fn
        self.name = naming.auto_name(name)

    def __getstate__(self):
        public = _find_public(self.fn)
        return {**self.__dict__, "fn": self.fn if public is None else public}

    def __setstate__(self, state):
        fn = state["fn"]
        self.__dict__.update(state, fn=getattr(fn, "eager", fn))

    def __call__(self, *args, **kwargs):
        return self.fn(*args, **kwargs)

    def __repr__(self):
        return f"<Operation name={self.name}>"


@overload
def op(fn: F, *, name: str | None = None) -> F: ...
@overload
def op(fn: None = None, *, name: str | None = None) -> Callable[[F], F]: ...
def op(fn: Any = None, *, name: str | None = None) -> Any:
    """Make a JAX function an operation: on arrays it is the function, on symbolic tensors a node.

    Args:
        fn: function of arrays (anywhere in its arguments, in lists, tuples and dicts too) that
            `jax.eval_shape` can trace.
        name: name in a model's graph; default the function's.

    Returns:
        A function with the same signature. Given a `KerasTensor`, it infers shapes and dtypes by
        tracing `fn` abstractly and returns new `KerasTensor`s.

    Example:

    >>> import jax.numpy as jnp, stepfit as keras
    >>> @keras.op
    ... def mean_and_max(x):
    ...     return jnp.mean(x, axis=-1), jnp.max(x, axis=-1)
    >>> mean, largest = mean_and_max(keras.Input((5, 3)))
    >>> mean.shape
    (None, 5)
    """
    if fn is None:
        return functools.partial(op, name=name)
    label = name or getattr(fn, "__name__", "op").strip("_<>") or "op"

    @functools.wraps(fn)
    def operation(*args, **kwargs):
        if symbolic.any_symbolic(args, kwargs):
            return record(fn, label, args, kwargs)
        return fn(*args, **kwargs)

    setattr(operation, "eager", fn)  # noqa: B010
    return operation


def _find_public(fn):
    """Return the operation by whose name a function can be pickled: it hides the function's."""
    found: Any = sys.modules.get(getattr(fn, "__module__", None) or "")
    for part in getattr(fn, "__qualname__", "<lambda>").split("."):
        found = getattr(found, part, None)
    return found if getattr(found, "eager", None) is fn else None


def record(fn, label, args, kwargs):
    """Note a call of a function on symbolic tensors in their graph, and return what it gives."""
    call = OpCall(fn, label)
    outputs = symbolic.infer(fn, args, kwargs, f"operation {call.name!r}", named=True)
    symbolic.Node(call, args, kwargs, outputs)
    return outputs


def _operator(function, name):
    run = op(function, name=name)

    def forward(self, *others):
        return run(self, *others)

    def reflected(self, other):
        return run(other, self)

    return forward, reflected


_function: Any
for _name, _function in {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "truediv": operator.truediv,
    "floordiv": operator.floordiv, "mod": operator.mod, "pow": operator.pow,
    "matmul": operator.matmul, "and": operator.and_, "or": operator.or_, "xor": operator.xor,
}.items():  # fmt: skip
    _label = {"sub": "subtract", "mul": "multiply"}.get(_name, _name)
    _forward, _reflected = _operator(_function, _label)
    setattr(symbolic.KerasTensor, f"__{_name}__", _forward)
    setattr(symbolic.KerasTensor, f"__r{_name}__", _reflected)


def _is_value(x):
    kinds = (int, float, np.ndarray, np.generic, jax.Array, Variable)
    return isinstance(x, kinds) and not isinstance(x, bool)


def _equal(self, other):
    # Symbolic tensors stay comparable by identity, so that `in` and `list.index` find them.
    return _equal_to(self, other) if _is_value(other) else self is other


def _not_equal(self, other):
    if _is_value(other) or isinstance(other, symbolic.KerasTensor):
        return _not_equal_to(self, other)
    return self is not other


def _round(x, digits=0):
    return jnp.round(x, digits or 0)


def _reshape(x, newshape):
    return jnp.reshape(x, newshape)


def _squeeze(x, axis=None):
    return jnp.squeeze(x, axis)


_equal_to, _not_equal_to = op(operator.eq, name="equal"), op(operator.ne, name="not_equal")
for _name, _method in {
    "__eq__": _equal,
    "__ne__": _not_equal,
    "__round__": op(_round, name="round"),
    "reshape": op(_reshape, name="reshape"),
    "squeeze": op(_squeeze, name="squeeze"),
}.items():
    setattr(symbolic.KerasTensor, _name, _method)

for _name, _function in {
    "neg": operator.neg, "abs": operator.abs, "invert": operator.invert, "lt": operator.lt,
    "le": operator.le, "gt": operator.gt, "ge": operator.ge,
    "getitem": operator.getitem,
}.items():  # fmt: skip
    setattr(symbolic.KerasTensor, f"__{_name}__", _operator(_function, _name)[0])
