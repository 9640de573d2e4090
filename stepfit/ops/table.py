"""How a row of an op table becomes a function: Keras's signature on top of a JAX function.

Most ops are a JAX function under another signature. `same` takes the signature as text and writes
the wrapper, so that a module of ops is a list of rows. The wrapper turns lists, NumPy arrays and
Variables into arrays, passes settings on by keyword, and gives floats made from integers the dtype
`config.floatx()`.
"""

import ast

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import config
from stepfit.core.op import op

# Parameters that hold arrays, and those that hold lists of arrays; all others are settings.
_ARRAYS = {
    "x", "x1", "x2", "y", "a", "b", "array", "indices", "condition", "values", "data",
    "sorted_sequence", "bins", "q", "weights", "targets", "predictions", "segment_ids", "abs_",
    "angle",
}  # fmt: skip
_LISTS = {"xs"}


def tensor(x):
    """Return `x` as something JAX computes with; Python numbers keep their weak dtype."""
    if isinstance(x, (jax.Array, np.ndarray, bool, int, float, complex)) or x is None:
        return x
    if hasattr(x, "__jax_array__"):
        return x.__jax_array__()
    if isinstance(x, (list, tuple)):
        return jnp.asarray(_plain(x))
    return jnp.asarray(x)


def _plain(x):
    """Replace Variables inside nested lists by their values."""
    if isinstance(x, (list, tuple)):
        return [_plain(part) for part in x]
    return x.__jax_array__() if hasattr(x, "__jax_array__") else x


def tensors(xs):
    """Return a list (or one stacked array) of arrays as a list of arrays."""
    return [jnp.asarray(tensor(x)) for x in xs]


def as_float(x):
    """Return `x`, or for integers and booleans its values as `config.floatx()`."""
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(config.floatx())


def _holds_inexact(x):
    if isinstance(x, list):
        return any(_holds_inexact(part) for part in x)
    return isinstance(x, (float, complex)) or jnp.issubdtype(
        getattr(x, "dtype", jnp.int32), jnp.inexact
    )


def follow_floatx(result, *arrays):
    """Cast a float result made from integers alone to `config.floatx()`."""
    dtype = getattr(result, "dtype", None)
    if dtype is None or dtype == config.floatx() or not jnp.issubdtype(dtype, jnp.floating):
        return result
    return result if any(map(_holds_inexact, arrays)) else result.astype(config.floatx())


def same(signature, summary, target=None):
    """Make the op ``name(parameters)`` out of the JAX function `target`.

    Args:
        signature: the op's signature as Keras writes it, ``"sum(x, axis=None)"``.
        summary: the first sentence of its documentation.
        target: the function to call; by default the one of that name in `jax.numpy`. Arrays are
            passed by position in the order of the signature, settings by keyword.

    Returns:
        The op, a function that also takes symbolic tensors.
    """
    name = signature.partition("(")[0]
    (definition,) = ast.parse(f"def {signature}: pass").body
    assert isinstance(definition, ast.FunctionDef)
    names = [p.arg for p in definition.args.args]
    arrays = [n for n in names if n in _ARRAYS or n in _LISTS]
    converted = [f"{'tensors' if n in _LISTS else 'tensor'}({n})" for n in arrays]
    settings = [f"{n}={n}" for n in names if n not in arrays]
    body = (
        f"def {signature}:\n"
        f"    arrays = [{', '.join(converted)}]\n"
        f"    return follow_floatx(target({', '.join(['*arrays', *settings])}), *arrays)\n"
    )
    scope = {
        "target": target or getattr(jnp, name),
        "tensor": tensor,
        "tensors": tensors,
        "follow_floatx": follow_floatx,
        "__name__": "stepfit.ops",
    }
    exec(compile(body, f"<op {name}>", "exec"), scope)
    function = scope[name]
    function.__doc__ = summary
    return op(function)
