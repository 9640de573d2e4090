"""Indices as one-hot, multi-hot or count vectors, on the host or in compiled code."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from stepfit.core import errors

MODES = ("int", "one_hot", "multi_hot", "count")


def output_mode(value, where, modes=MODES):
    """Return the name of an output mode, or raise naming the known ones."""
    value = {"binary": "multi_hot", "tf-idf": "tf_idf"}.get(value, value)
    if value not in modes:
        raise errors.unknown_name(where, "output mode", value, modes)
    return value


def encode(indices, mode, depth, dtype, weights=None):
    """Encode integers; those outside ``[0, depth)`` are left out.

    Args:
        indices: integers, a NumPy array or a JAX array (the result is of the same kind).
        mode: "int" (as they are), "one_hot" (a vector for each), "multi_hot" or "count" (a vector
            for each row: axis 1 is summed over, or the only axis).
        depth: int, length of the vectors.
        dtype: of the result.
        weights: what each index counts for, of the indices' shape; with "count" only.

    >>> encode(np.array([[0, 2, 2]]), "count", 3, "float32").tolist()
    [[1.0, 0.0, 2.0]]
    """
    xp: Any = np if isinstance(indices, np.ndarray) else jnp
    if mode == "int":
        return indices.astype(dtype)
    indices = xp.atleast_1d(indices)
    if indices.dtype.itemsize < 4:  # `depth` itself may not fit into 8 or 16 bits
        indices = indices.astype("int32")
    if mode == "one_hot":
        if indices.ndim > 1 and indices.shape[-1] == 1:
            indices = indices[..., 0]
        lead, indices = indices.shape, indices.reshape(-1, 1)
    else:
        lead, indices = _rows(xp, indices)
        weights = None if weights is None else _rows(xp, xp.atleast_1d(weights))[1]
    indices = xp.where((indices < 0) | (indices >= depth), depth, indices)
    rows = np.arange(math.prod(lead))[:, None]
    wanted = np.ones((), dtype) if weights is None else weights
    if xp is np:
        table: Any = np.zeros((len(rows), depth + 1), dtype)
        if mode == "count":
            np.add.at(table, (rows, indices), wanted)
        else:
            table[rows, indices] = 1
        table = table[:, :depth]
    else:
        place = jnp.zeros((len(rows), depth), dtype).at[rows, indices]
        table = (place.add if mode == "count" else place.set)(wanted, mode="drop")
    return table.reshape(*lead, depth)


def encoded_shape(shape, mode, depth):
    """Return the shape of what `encode` gives for indices of a shape with None where unknown."""
    if mode == "int":
        return tuple(shape)
    shape = tuple(shape) or (1,)
    if mode == "one_hot":
        return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), depth)
    return (*shape[:1], *shape[2:], depth) if len(shape) > 1 else (depth,)


def _rows(xp, x):
    """Return the shape of the vectors to come, and the values as one row for each."""
    if x.ndim == 1:
        return (), x[None]
    x = xp.moveaxis(x, 1, -1)
    return x.shape[:-1], x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
