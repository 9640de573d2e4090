"""Rules for pooling and its gradients: one dimension after the other, by slices.

XLA's CPU kernels for windows are naive loops over every window. The largest of a window is the
largest of its rows' largest; so it is found along the last dimension first, then along the one
before, each time by comparing a few slices of the whole array. The *winner*, the position of the
first largest, is found by the same steps, and ties are met in the order of the elements.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax

from stepfit.rewrite.rule import Change
from stepfit.rewrite.windows import interleave, take, take_each, zero

_WIDEST = 16  # elements of a window along one dimension


def _dimensions(params, shape):
    """Return (axis, window, stride, padding before, size, windows) per pooled axis, last first."""
    found = []
    for axis, (size, window, stride, (low, high)) in enumerate(
        zip(shape, params["window_dimensions"], params["window_strides"], params["padding"])
    ):
        if window > 1 or stride > 1 or low or high:
            count = (size + low + high - window) // stride + 1
            found.append((axis, window, stride, low, size, count))
    return found[::-1]


def _fits(equation, operand):
    params, aval = equation.params, operand.aval
    return (
        max(params["window_dimensions"]) in range(2, _WIDEST + 1)
        and all(d == 1 for d in params.get("base_dilation", ()))
        and all(d == 1 for d in params.get("window_dilation", ()))
        and 0 not in (*aval.shape, *equation.outvars[0].aval.shape)
        and jnp.issubdtype(aval.dtype, jnp.number)
        and not jnp.issubdtype(aval.dtype, jnp.complexfloating)
    )


def _slices(x, dimension, fill):
    """Return the slices of an array that hold the first, second, ... element of each window."""
    axis, window, stride, low, _, count = dimension
    return take_each(x, [axis], [[i - low] for i in range(window)], [stride], [count], fill)


def _lowest(dtype):
    floating = jnp.issubdtype(dtype, jnp.floating)
    return np.array(-np.inf if floating else jnp.iinfo(dtype).min, dtype)


def _highest(dtype):
    floating = jnp.issubdtype(dtype, jnp.floating)
    return np.array(np.inf if floating else jnp.iinfo(dtype).max, dtype)


_REDUCERS = {
    "reduce_window_max": (lax.max, _lowest),
    "reduce_window_min": (lax.min, _highest),
    "reduce_window_sum": (lax.add, zero),
}


def _reduce_rule(equation):
    operand = equation.invars[0]
    if not _fits(equation, operand):
        return None
    combine, fill = _REDUCERS[equation.primitive.name]
    dtype = operand.aval.dtype
    exact = combine is lax.add and jnp.issubdtype(dtype, jnp.floating)
    wide = jnp.promote_types(dtype, jnp.float32) if exact else dtype

    def reduce(x):
        x = x.astype(wide)
        for dimension in _dimensions(equation.params, operand.aval.shape):
            first, *others = _slices(x, dimension, fill(wide))
            for other in others:
                first = combine(first, other)
            x = first
        return x.astype(dtype)

    return Change("pooling", reduce)


def _winners(equation, x, carried=()):
    """Pool an array, and return for each dimension which element of each window won.

    Args:
        equation: the equation, with the parameters of the windows.
        x: the array.
        carried: arrays of the same shape of which the winners' elements are wanted.

    Returns:
        ``(winners, carried)``: a list of int8 arrays, and the winners' elements of `carried`.
    """
    wins = {"ge": lax.ge, "le": lax.le}[equation.params["select_prim"].name]
    winners, carried = [], list(carried)
    for dimension in _dimensions(equation.params, x.shape):
        padded = any(equation.params["padding"][dimension[0]])
        # Outside of the array nothing wins: no comparison with NaN holds.
        fill = np.array(np.nan, x.dtype) if padded else None
        best, *others = _slices(x, dimension, fill)
        moved = [_slices(y, dimension, None) for y in carried]
        carried = [slices[0] for slices in moved]
        winner = jnp.zeros(best.shape, jnp.int8)
        for i, other in enumerate(others, 1):
            stays = wins(best, other)
            if padded:
                stays |= other != other
            best = lax.select(stays, best, other)
            winner = lax.select(stays, winner, lax.full_like(winner, i))
            carried = [lax.select(stays, y, slices[i]) for y, slices in zip(carried, moved)]
        x = best
        winners.append(winner)
    return winners, carried


def _scatter_rule(equation):
    """The gradient: a window's cotangent goes to its winner."""
    operand = equation.invars[1]
    if not _fits(equation, operand) or not jnp.issubdtype(operand.aval.dtype, jnp.floating):
        return None
    dtype = operand.aval.dtype
    wide = jnp.promote_types(dtype, jnp.float32)

    def scatter(cotangent, x):
        winners, _ = _winners(equation, x)
        cotangent = cotangent.astype(wide)
        dimensions = _dimensions(equation.params, x.shape)
        for winner, dimension in zip(winners[::-1], dimensions[::-1]):
            cotangent = _to_winner(cotangent, winner, dimension)
        return cotangent.astype(dtype)

    return Change("pooling gradient", scatter)


def _to_winner(cotangent, winner, dimension):
    """Spread cotangents of windows over one dimension of the array that was pooled.

    Elements with the same remainder of (index + padding) / stride are first or last, say, in every
    window that they are in: they form one strided slice of the result.
    """
    axis, window, stride, low, size, _ = dimension
    count = -(-(size + low) // stride)
    nothing = lax.full_like(cotangent, 0)

    def of_element(i):
        mine = lax.select(lax.eq(winner, lax.full_like(winner, i)), cotangent, nothing)
        return take(mine, [axis], [-(i // stride)], [1], [count])

    phases = []
    for phase in range(stride):
        parts = [of_element(i) for i in range(phase, window, stride)]
        shape = [count if d == axis else n for d, n in enumerate(cotangent.shape)]
        phases.append(sum(parts[1:], parts[0]) if parts else jnp.zeros(shape, cotangent.dtype))
    return take(interleave(phases, axis), [axis], [low], [1], [size])


def _gather_rule(equation):
    """The derivative in one direction: the tangent of a window is its winner's.

    XLA's own may take the tangent of another of several equals in a padded array, one to which the
    gradient gives nothing. This one is always the transpose of the gradient.
    """
    operand = equation.invars[1]
    if not _fits(equation, operand) or not jnp.issubdtype(operand.aval.dtype, jnp.floating):
        return None
    return Change("pooling derivative", lambda t, x: _winners(equation, x, [t])[1][0])


RULES = {
    **dict.fromkeys(_REDUCERS, _reduce_rule),
    "select_and_scatter_add": _scatter_rule,
    "select_and_gather_add": _gather_rule,
}
