"""Resizing one image on the host.

The numbers are those of `ops.image.resize` without `antialias`; nothing is compiled, where XLA
would compile once for every size of image in a folder or a dataset.
"""

import functools
from typing import Any

import numpy as np


def _linear(x):
    return np.maximum(0.0, 1.0 - x)


def _cubic(x):
    near = ((1.5 * x - 2.5) * x) * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x >= 2.0, 0.0, np.where(x >= 1.0, far, near))


def _lanczos(radius, x):
    y = np.maximum(x, 1e-9) * np.pi
    value = radius * np.sin(y) * np.sin(y / radius) / y**2
    return np.where(x < 1e-3, 1.0, np.where(x > radius, 0.0, value))


# name -> (half the number of neighbours that count, their weight by distance)
_KERNELS: dict[str, tuple[int, Any]] = {
    "bilinear": (1, _linear),
    "bicubic": (2, _cubic),
    "lanczos3": (3, functools.partial(_lanczos, 3)),
    "lanczos5": (5, functools.partial(_lanczos, 5)),
}
INTERPOLATIONS = ("nearest", *_KERNELS)


@functools.lru_cache(maxsize=256)
def _taps(old, new, interpolation):
    """Return indices and weights, each ``(new, neighbours)``."""
    centres = (np.arange(new) + 0.5) * (old / new)
    if interpolation == "nearest":
        return np.floor(centres).astype(int)[:, None], np.ones((new, 1), "float32")
    radius, kernel = _KERNELS[interpolation]
    centres -= 0.5
    indices = np.floor(centres).astype(int)[:, None] + np.arange(1 - radius, radius + 1)
    weights = kernel(np.abs(centres[:, None] - indices))
    weights = np.where((indices >= 0) & (indices < old), weights, 0.0)
    weights /= weights.sum(1, keepdims=True)
    return np.clip(indices, 0, old - 1), weights.astype("float32")


def crop_to_ratio(height, width, target_height, target_width):
    """Return ``(top, left, height, width)`` of the largest centred part of a target's ratio."""
    rows = max(min(height, width * target_height // target_width), 1)
    columns = max(min(width, height * target_width // target_height), 1)
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def pad_to_ratio(height, width, target_height, target_width):
    """Return how many rows, and columns, go to each side so that a target's ratio is reached."""
    rows = (max(height, width * target_height // target_width) - height) // 2
    columns = 0 if rows else (max(width, height * target_width // target_height) - width) // 2
    return rows, columns


def resize(x, size, interpolation, fit=None, fill_value=0.0):
    """Return an image ``(height, width, channels)`` in another size, of the same dtype.

    Args:
        x: NumPy array.
        size: (height, width) to come to.
        interpolation: one of `INTERPOLATIONS`.
        fit: None; "crop": the middle is cut out, or "pad": a border of `fill_value` is added, so
            that nothing is distorted.
    """
    dtype, (height, width) = x.dtype, x.shape[:2]
    if fit == "crop":
        top, left, height, width = crop_to_ratio(height, width, *size)
        x = x[top : top + height, left : left + width]
    elif fit == "pad":
        rows, columns = pad_to_ratio(height, width, *size)
        x = np.pad(x.astype("float32"), [(rows, rows), (columns, columns), (0, 0)],
                   constant_values=fill_value)  # fmt: skip
    for axis, new in enumerate(size):
        if x.shape[axis] == new:
            continue
        indices, weights = _taps(x.shape[axis], new, interpolation)
        if interpolation == "nearest":
            x = np.take(x, indices[:, 0], axis)
            continue
        shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
        x = sum(
            np.take(x, indices[:, k], axis) * weights[:, k].reshape(shape)
            for k in range(indices.shape[1])
        )
    if x.dtype == dtype:
        return x
    if dtype.kind == "b":
        return np.rint(x) != 0
    limits = np.iinfo(dtype) if dtype.kind in "iu" else None
    return (x if limits is None else np.clip(np.rint(x), limits.min, limits.max)).astype(dtype)
