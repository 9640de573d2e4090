"""Images seen through a map of coordinates: affine, perspective and elastic transforms.

Each output pixel says where in the input it looks; `_sample` reads the input there.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import errors
from stepfit.core.config import standardize_data_format
from stepfit.core.op import op
from stepfit.ops.image_filters import blur_kernel, correlate
from stepfit.ops.table import as_float, tensor
from stepfit.random import draw_key

ORDERS = {"nearest": 0, "bilinear": 1}
FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


def as_images(images, where):
    """Return an image or a batch of images as an array, or raise naming the argument."""
    images = jnp.asarray(tensor(images))
    if images.ndim not in (3, 4):
        raise errors.bad_value(
            where, "an image (3 axes) or a batch of images (4 axes)", errors.describe(images)
        )
    return images


def one_of(value, known, where, kind):
    """Return a name, or raise suggesting the nearest known one."""
    if value not in known:
        raise errors.unknown_name(where, kind, value, known)
    return value


def _mirrored(index, size):
    """Fold indices back at the centres of the first and the last pixel."""
    last = max(size - 1, 1)
    return jnp.abs((index + last) % (2 * last) - last) if size > 1 else index * 0


_FOLDS = {
    "constant": lambda i, size: i,
    "nearest": lambda i, size: jnp.clip(i, 0, size - 1),
    "wrap": lambda i, size: i % size,
    "mirror": _mirrored,
    "reflect": lambda i, size: _mirrored(2 * i + 1, 2 * size + 1) // 2,
}


def _corners(place, size, order, fill_mode):
    """Return ``(index, weight, whether inside)`` of the pixels next to places along one axis."""
    if order == 0:
        near = [(jax.lax.round(place), jnp.ones((), place.dtype))]
    else:
        below = jnp.floor(place)
        share = place - below
        near = [(below, 1 - share), (below + 1, share)]
    found = []
    for index, weight in near:
        index = _FOLDS[fill_mode](index.astype("int32"), size)
        found.append((index, weight, (index >= 0) & (index < size)))
    return found


def _sample(image, rows, columns, order, fill_mode, fill_value):
    """Read an image ``(height, width, channels)`` at places ``(h, w)``; whole pixels at a time."""
    fill, shares = jnp.asarray(fill_value, image.dtype), []
    for row, row_weight, row_inside in _corners(rows, image.shape[0], order, fill_mode):
        for column, weight, inside in _corners(columns, image.shape[1], order, fill_mode):
            pixels = image.at[row, column].get(mode="clip")
            if fill_mode == "constant":
                pixels = jnp.where((row_inside & inside)[..., None], pixels, fill)
            shares.append((row_weight * weight)[..., None] * pixels)
    total = functools.reduce(jnp.add, shares)
    if not jnp.issubdtype(image.dtype, jnp.inexact):
        total = jax.lax.round(total)
    return total.astype(image.dtype)


def _warp(images, places, data_format, **how):
    """Sample each image of a batch, or one, at the places that `places(height, width)` gives."""
    single, first = images.ndim == 3, standardize_data_format(data_format) == "channels_first"
    batch = images[None] if single else images
    batch = jnp.moveaxis(batch, 1, -1) if first else batch
    rows, columns = places(*batch.shape[1:3])
    result = jax.vmap(lambda image, r, c: _sample(image, r, c, **how))(
        batch,
        *(jnp.broadcast_to(p, batch.shape[:1] + batch.shape[1:3]) for p in (rows, columns)),
    )
    result = jnp.moveaxis(result, -1, 1) if first else result
    return result[0] if single else result


def _grid(height, width):
    """Return the row and the column of each pixel, float32 ``(height, width)`` each."""
    return jnp.meshgrid(
        jnp.arange(height, dtype="float32"), jnp.arange(width, dtype="float32"), indexing="ij"
    )


@op
def affine_transform(
    images, transform, interpolation="bilinear", fill_mode="constant", fill_value=0,
    data_format=None,
):  # fmt: skip
    """Rotate, scale, shear and shift: output (x, y) shows the input at an affine map of (x, y).

    ``(a0 x + a1 y + a2, b0 x + b1 y + b2)`` for a transform ``[a0, a1, a2, b0, b1, b2, c0, c1]``;
    c0 and c1 are taken for 0, as Keras does on JAX.

    Args:
        images: (height, width, channels) or a batch of them, or channels first.
        transform: (8,), or (batch, 8) with one for each image.
        interpolation: "bilinear" or "nearest".
        fill_mode: what lies outside: "constant" (`fill_value`), "nearest", "wrap", "mirror" or
            "reflect".
        fill_value: number.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Returns:
        Array like `images`; integers are rounded.

    >>> import numpy as np, stepfit as keras
    >>> image = np.arange(4.0).reshape(2, 2, 1)
    >>> left = [1, 0, 1, 0, 1, 0, 0, 0]
    >>> keras.ops.image.affine_transform(image, left)[..., 0].tolist()
    [[1.0, 0.0], [3.0, 0.0]]
    """
    where = "affine_transform"
    images = as_images(images, f"{where}(images)")
    order = ORDERS[one_of(interpolation, ORDERS, f"{where}(interpolation)", "interpolation")]
    one_of(fill_mode, FILL_MODES, f"{where}(fill_mode)", "fill mode")
    transform = as_float(tensor(transform))
    if transform.ndim not in (1, 2) or transform.shape[-1] != 8:
        raise errors.bad_value(
            f"{where}(transform)", "shape (8,) or (batch, 8)", errors.describe(transform)
        )

    def places(height, width):
        y, x = _grid(height, width)
        a0, a1, a2, b0, b1, b2 = (part[:, None, None] for part in jnp.atleast_2d(transform).T[:6])
        return y * b1 + x * b0 + b2, y * a1 + x * a0 + a2

    return _warp(images, places, data_format, order=order, fill_mode=fill_mode,
                 fill_value=fill_value)  # fmt: skip


@op
def perspective_transform(
    images, start_points, end_points, interpolation="bilinear", fill_value=0, data_format=None
):
    """Move four points of an image to four others, and everything else along, in perspective.

    Args:
        images: (height, width, channels) or a batch of them, or channels first.
        start_points: (4, 2) or (batch, 4, 2): points (x, y) of the input.
        end_points: where they go, of the same shape.
        interpolation: "bilinear" or "nearest".
        fill_value: number for what lies outside the input.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Returns:
        Array like `images`.

    >>> import numpy as np, stepfit as keras
    >>> image, corners = np.arange(9.0).reshape(3, 3, 1), np.array([[0, 0], [2, 0], [0, 2], [2, 2]])
    >>> mirrored = corners * [-1, 1] + [2, 0]
    >>> y = keras.ops.image.perspective_transform(image, corners, mirrored, "nearest")
    >>> y[0, :, 0].tolist()
    [2.0, 1.0, 0.0]
    """
    where = "perspective_transform"
    images = as_images(images, f"{where}(images)")
    order = ORDERS[one_of(interpolation, ORDERS, f"{where}(interpolation)", "interpolation")]
    start, end = (jnp.asarray(tensor(p), "float32") for p in (start_points, end_points))
    for name, points in (("start_points", start), ("end_points", end)):
        if points.ndim not in (2, 3) or points.shape[-2:] != (4, 2):
            raise errors.bad_value(
                f"{where}({name})", "shape (4, 2) or (batch, 4, 2)", errors.describe(points)
            )
    if start.shape != end.shape:
        raise errors.bad_value(
            f"{where}(start_points, end_points)", "arrays of the same shape",
            f"{errors.describe(start)} and {errors.describe(end)}",
        )  # fmt: skip
    h = _homography(jnp.atleast_3d(end.T).T, jnp.atleast_3d(start.T).T)

    def places(height, width):
        y, x = _grid(height, width)
        h0, h1, h2, h3, h4, h5, h6, h7 = (part[:, None, None] for part in h.T)
        below = h6 * x + h7 * y + 1
        return (h3 * x + h4 * y + h5) / below, (h0 * x + h1 * y + h2) / below

    return _warp(images, places, data_format, order=order, fill_mode="constant",
                 fill_value=fill_value)  # fmt: skip


def _homography(points, images):
    """Return the 8 numbers (batch, 8) of the projective maps that take `points` to `images`."""
    (x, y), (u, v) = (jnp.moveaxis(p, -1, 0) for p in (points, images))
    one, none = jnp.ones_like(x), jnp.zeros_like(x)
    for_u = jnp.stack([x, y, one, none, none, none, -u * x, -u * y], -1)
    for_v = jnp.stack([none, none, none, x, y, one, -v * x, -v * y], -1)
    equations, right = jnp.concatenate([for_u, for_v], 1), jnp.concatenate([u, v], 1)
    return jnp.linalg.solve(equations, right[..., None])[..., 0]


@op
def elastic_transform(
    images, alpha=20.0, sigma=5.0, interpolation="bilinear", fill_mode="reflect", fill_value=0.0,
    seed=None, data_format=None,
):  # fmt: skip
    """Distort images as if drawn on rubber: each pixel is read at a place a little beside it.

    The shifts are normal noise, smoothed with a Gaussian of `sigma` pixels and scaled by `alpha`;
    rows and columns are shifted alike, as in Keras.

    Args:
        images: (height, width, channels) or a batch of them, or channels first.
        alpha: strength.
        sigma: number, the scale in pixels over which shifts differ.
        interpolation: "bilinear" or "nearest".
        fill_mode, fill_value: as in `affine_transform`.
        seed: None, int, or `SeedGenerator`.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Returns:
        Array like `images`.

    Source: Simard et al., 2003.
    """
    where = "elastic_transform"
    images = as_images(images, f"{where}(images)")
    order = ORDERS[one_of(interpolation, ORDERS, f"{where}(interpolation)", "interpolation")]
    one_of(fill_mode, FILL_MODES, f"{where}(fill_mode)", "fill mode")
    count = 1 if images.ndim == 3 else images.shape[0]
    key, dtype = draw_key(seed), as_float(images).dtype
    window = blur_kernel(int(6 * np.asarray(sigma)) | 1, sigma, dtype)

    def places(height, width):
        shift = jax.random.normal(key, (count, height, width), dtype) * jnp.asarray(sigma, dtype)
        shift = correlate(correlate(shift, window, -2), window, -1)
        y, x = _grid(height, width)
        shift = jnp.asarray(alpha, dtype) * shift
        return y + shift, x + shift

    return _warp(images, places, data_format, order=order, fill_mode=fill_mode,
                 fill_value=fill_value)  # fmt: skip


@op
def map_coordinates(inputs, coordinates, order, fill_mode="constant", fill_value=0):
    """Read an array at places between its elements.

    Args:
        inputs: array of any rank.
        coordinates: (rank of the inputs, ...): a place along each axis, for each output element.
        order: 0 (the nearest element) or 1 (linear interpolation).
        fill_mode, fill_value: as in `affine_transform`.

    Returns:
        Array of shape ``coordinates.shape[1:]`` and the inputs' dtype.

    >>> import numpy as np, stepfit as keras
    >>> keras.ops.image.map_coordinates(np.array([0.0, 10.0]), np.array([[0.25, 1.0]]), 1).tolist()
    [2.5, 10.0]
    """
    inputs = jnp.asarray(tensor(inputs))
    coordinates = jnp.asarray(tensor(coordinates))
    one_of(fill_mode, FILL_MODES, "map_coordinates(fill_mode)", "fill mode")
    if coordinates.ndim < 2 or coordinates.shape[0] != inputs.ndim:
        raise errors.bad_value(
            "map_coordinates(coordinates)", f"shape ({inputs.ndim}, ...), a row for each axis",
            errors.describe(coordinates),
        )  # fmt: skip
    if order not in (0, 1):
        raise errors.bad_value("map_coordinates(order)", "0 or 1", errors.describe(order))
    return jax.scipy.ndimage.map_coordinates(
        inputs, list(coordinates), order, fill_mode, fill_value
    )
