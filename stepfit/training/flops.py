"""How many floating-point operations a traced step takes."""

import math

import jax.numpy as jnp

from stepfit.core import jax_private

_MOVES = frozenset({
    "reshape", "broadcast_in_dim", "transpose", "squeeze", "expand_dims", "slice", "concatenate",
    "dynamic_slice", "dynamic_update_slice", "gather", "rev", "pad", "copy", "copy_p",
    "convert_element_type", "stop_gradient", "iota", "split", "select_n", "bitcast_convert_type",
})  # fmt: skip


def count(program):
    """Return the floating-point operations of a program.

    A product and a sum count as two; any other operation counts one for each element that it reads
    or makes, whichever is more. A scan counts all its rounds, a `while` loop (whose rounds nobody
    knows) one, a branch the largest.

    Args:
        program: a jaxpr, open or closed.

    Example:

    >>> import jax, jax.numpy as jnp
    >>> count(jax.make_jaxpr(lambda x: x @ x.T)(jnp.ones((8, 16))))
    2048
    """
    return sum(map(_of_equation, getattr(program, "jaxpr", program).eqns))


def _of_equation(equation):
    name, params = equation.primitive.name, equation.params
    inner = [count(program) for program in jax_private.programs_in(params)]
    if name == "cond":
        return max(inner)
    if name == "scan":
        return params["length"] * sum(inner)
    if inner:
        return sum(inner)
    if not any(jnp.issubdtype(x.aval.dtype, jnp.inexact) for x in equation.outvars):
        return 0
    out = math.prod(equation.outvars[0].aval.shape)
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        return 2 * out * math.prod(equation.invars[0].aval.shape[i] for i in contracted)
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        features = kernel[params["dimension_numbers"].rhs_spec[0]]
        return 2 * out * math.prod(kernel) // max(features, 1)
    if name in _MOVES:
        return 0
    return max([out, *(math.prod(x.aval.shape) for x in equation.invars)])
