"""Slices of arrays by windows, shared by convolutions and pooling."""

import math

import numpy as np
from jax import lax


def zero(dtype):
    """Return a scalar zero that is written into the program, not kept beside it."""
    return np.zeros((), dtype)


def take(x, axes, starts, steps, counts, fill=None):
    """Return ``x[start + step * i]`` for i < count along some axes, `fill` where that is outside.

    Args:
        x: array.
        axes: the axes to take along; all others are kept.
        starts, steps, counts: ints, one per axis; a start may be negative.
        fill: scalar of the dtype of `x`; zero if None.

    Returns:
        Array.
    """
    padding = [(0, 0, 0)] * x.ndim
    strides = [1] * x.ndim
    for axis, start, step, count in zip(axes, starts, steps, counts):
        end = start + step * (count - 1) + 1
        padding[axis] = (-start, end - x.shape[axis], 0)
        strides[axis] = step
    if any(map(any, padding)):
        x = lax.pad(x, zero(x.dtype) if fill is None else fill, padding)
    return x if math.prod(strides) == 1 else lax.slice(x, [0] * x.ndim, x.shape, strides)


def take_each(x, axes, starts, steps, counts, fill=None):
    """Return the list of ``take(x, axes, start, steps, counts, fill)`` for each of some starts.

    The array is padded once, and kept so, instead of inside of each loop over a slice.
    """
    padding, shape = [(0, 0, 0)] * x.ndim, x.shape
    lows = []
    for d, (axis, step, count) in enumerate(zip(axes, steps, counts)):
        first, last = min(s[d] for s in starts), max(s[d] for s in starts)
        low, high = max(0, -first), max(0, last + step * (count - 1) + 1 - shape[axis])
        padding[axis] = (low, high, 0)
        lows.append(low)
    if any(map(any, padding)) and len(starts) > 1:
        x = lax.pad(x, zero(x.dtype) if fill is None else fill, padding)
        x = lax.optimization_barrier(x)
        starts = [[i + low for i, low in zip(start, lows)] for start in starts]
    return [take(x, axes, start, steps, counts, fill) for start in starts]


def interleave(parts, axis):
    """Return an array that has, along an axis, the first of each part, then the second of each...

    Args:
        parts: list of arrays of one shape.
        axis: int.

    Returns:
        Array.
    """
    if len(parts) == 1:
        return parts[0]
    shape = parts[0].shape
    split = (*shape[: axis + 1], 1, *shape[axis + 1 :])
    x = lax.concatenate([part.reshape(split) for part in parts], axis + 1)
    return x.reshape(*shape[:axis], shape[axis] * len(parts), *shape[axis + 1 :])


def interleave_all(parts, periods, axes):
    """Interleave along several axes.

    Args:
        parts: function from a tuple of phases, one per axis, to the array of that phase.
        periods: the number of phases per axis.
        axes: the axes.

    Returns:
        Array.
    """

    def gather(phases):
        done = len(phases)
        if done == len(periods):
            return parts(phases)
        return interleave([gather((*phases, p)) for p in range(periods[done])], axes[done])

    return gather(())
