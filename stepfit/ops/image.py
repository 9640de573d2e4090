"""Images: colours and sizes; what is in `warping` and two `image_...` files is public here too.

An image has 3 axes, a batch of images 4; both are taken by every function here.
"""

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import dtypes, errors
from stepfit.core.config import standardize_data_format
from stepfit.core.op import op
from stepfit.ops.core import saturate_cast
from stepfit.ops.image_filters import gaussian_blur, sobel_edges, spatial_axes, ssim
from stepfit.ops.image_patches import extract_patches, extract_patches_3d
from stepfit.ops.resampling import INTERPOLATIONS, crop_to_ratio, pad_to_ratio
from stepfit.ops.table import as_float, tensor
from stepfit.ops.warping import (
    affine_transform,
    as_images,
    elastic_transform,
    map_coordinates,
    one_of,
    perspective_transform,
)

__all__ = [
    "affine_transform", "crop_images", "elastic_transform", "extract_patches",
    "extract_patches_3d", "gaussian_blur", "hsv_to_rgb", "map_coordinates", "pad_images",
    "perspective_transform", "resize", "rgb_to_grayscale", "rgb_to_hsv", "scale_and_translate",
    "sobel_edges", "ssim",
]  # fmt: skip

_METHODS = ("linear", "bilinear", "trilinear", "cubic", "bicubic", "tricubic", "lanczos3",
            "lanczos5")  # fmt: skip


# Colours.


def _channels(images, where, data_format, counts):
    """Return the images and the axis of their channels, of which there must be one of `counts`."""
    images = as_images(images, f"{where}(images)")
    axis = -1 if standardize_data_format(data_format) == "channels_last" else -3
    if images.shape[axis] not in counts:
        many = " or ".join(map(str, counts))
        raise errors.bad_value(
            f"{where}(images)", f"{many} channels on axis {axis}", errors.describe(images),
            "pass data_format= where the channels are on another axis",
        )  # fmt: skip
    return images, axis


@op
def rgb_to_grayscale(images, data_format=None):
    """Brightness of colour images: ``0.2989 red + 0.587 green + 0.114 blue``.

    Args:
        images: (height, width, 3) or a batch of them, or channels first; with 1 channel, unchanged.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Returns:
        Array like `images` with 1 channel, of the same dtype.

    >>> import numpy as np, stepfit as keras
    >>> keras.ops.image.rgb_to_grayscale(np.array([[[255, 0, 0]]], "uint8")).tolist()
    [[[76]]]
    """
    images, axis = _channels(images, "rgb_to_grayscale", data_format, (3, 1))
    if images.shape[axis] == 1:
        return images
    wide = as_float(images)
    weights = jnp.asarray([0.2989, 0.5870, 0.1140], wide.dtype)
    grey = jnp.tensordot(wide, weights, axes=(axis, -1))
    return jnp.expand_dims(grey, axis).astype(images.dtype)


def _planes(images, where, data_format):
    images, axis = _channels(images, where, data_format, (3,))
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise errors.bad_value(
            f"{where}(images)", "a float dtype", errors.describe(images),
            "divide by 255 first",
        )  # fmt: skip
    return jnp.moveaxis(images, axis, 0), axis


@op
def rgb_to_hsv(images, data_format=None):
    """Colours as hue, saturation and value, each in [0, 1].

    Args:
        images: float (height, width, 3) in [0, 1] or a batch of them, or channels first.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Returns:
        Array like `images`.

    >>> import numpy as np, stepfit as keras
    >>> keras.ops.image.rgb_to_hsv(np.array([[[0.0, 0.5, 0.0]]])).ravel().round(3).tolist()
    [0.3330000042915344, 1.0, 0.5]
    """
    planes, axis = _planes(images, "rgb_to_hsv", data_format)
    tiny = jnp.finfo(planes.dtype).eps
    red, green, blue = jnp.where(jnp.abs(planes) < tiny, 0, planes)
    value = jnp.maximum(jnp.maximum(red, green), blue)
    spread = value - jnp.minimum(jnp.minimum(red, green), blue)
    coloured = spread > 0
    saturation = jnp.where(value > 0, spread / jnp.where(value > 0, value, 1), 0)
    sixth = 1 / (6 * jnp.where(coloured, spread, 1))
    hue = jnp.where(value == green, sixth * (blue - red) + 2 / 6, sixth * (red - green) + 4 / 6)
    hue = jnp.where(value == red, sixth * (green - blue), hue)
    hue = jnp.where(coloured, hue, 0) + (hue < 0).astype(hue.dtype)
    return jnp.stack([hue, saturation, value], axis)


@op
def hsv_to_rgb(images, data_format=None):
    """Hue, saturation and value, each in [0, 1], as red, green and blue; undoes `rgb_to_hsv`.

    Args:
        images: float (height, width, 3) or a batch of them, or channels first.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Returns:
        Array like `images`.

    >>> import numpy as np, stepfit as keras
    >>> keras.ops.image.hsv_to_rgb(np.array([[[1 / 3, 1.0, 0.5]]])).ravel().round(3).tolist()
    [0.0, 0.5, 0.0]
    """
    (hue, saturation, value), axis = _planes(images, "hsv_to_rgb", data_format)
    place = jnp.mod(hue, 1) * 6
    pure = (
        jnp.abs(place - 3) - 1, 2 - jnp.abs(place - 2), 2 - jnp.abs(place - 4)
    )  # fmt: skip
    parts = [value * (1 - saturation + saturation * jnp.clip(p, 0, 1)) for p in pure]
    return jnp.stack(parts, axis)


# Sizes.


def _cut(images, axes, top, left, height, width):
    images = jax.lax.slice_in_dim(images, top, top + height, axis=axes[0] % images.ndim)
    return jax.lax.slice_in_dim(images, left, left + width, axis=axes[1] % images.ndim)


@op
def resize(
    images, size, interpolation="bilinear", antialias=False, crop_to_aspect_ratio=False,
    pad_to_aspect_ratio=False, fill_mode="constant", fill_value=0.0, data_format=None,
):  # fmt: skip
    """Bring images to another size.

    Args:
        images: (height, width, channels) or a batch of them, or channels first.
        size: (height, width) to come to.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        antialias: whether images are smoothed before they are made smaller.
        crop_to_aspect_ratio: cut the middle out, so that nothing is distorted.
        pad_to_aspect_ratio: add a border of `fill_value`, so that nothing is distorted.
        fill_mode: "constant".
        fill_value: number.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Returns:
        Array like `images`, of the same dtype; integers are rounded and stay in range.

    >>> import numpy as np, stepfit as keras
    >>> keras.ops.image.resize(np.array([[[0], [9]]], "uint8"), (1, 4))[0, :, 0].tolist()
    [0, 2, 7, 9]
    """
    images = as_images(images, "resize(images)")
    one_of(interpolation, INTERPOLATIONS, "resize(interpolation)", "interpolation")
    one_of(fill_mode, ("constant",), "resize(fill_mode)", "fill mode")
    size = tuple(size) if isinstance(size, (tuple, list)) else (size,)
    if len(size) != 2 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in size):
        raise errors.bad_value("resize(size)", "two positive ints (height, width)", repr(size))
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise errors.bad_value(
            "resize(crop_to_aspect_ratio, pad_to_aspect_ratio)", "at most one of them", "both"
        )
    axes, given = spatial_axes(data_format), images.dtype
    height, width = (images.shape[axis] for axis in axes)
    if crop_to_aspect_ratio:
        images = _cut(images, axes, *crop_to_ratio(height, width, *size))
    elif pad_to_aspect_ratio:
        rows, columns = pad_to_ratio(height, width, *size)
        pads = [(0, 0)] * images.ndim
        pads[axes[0]], pads[axes[1]] = (rows, rows), (columns, columns)
        images = jnp.pad(as_float(images), pads, constant_values=fill_value)
    shape = list(images.shape)
    shape[axes[0]], shape[axes[1]] = size
    resized = jax.image.resize(images, shape, interpolation, antialias)
    if resized.dtype == given:
        return resized
    return saturate_cast(resized if dtypes.is_float(given) else jnp.round(resized), given)


def _margins(function, word, images, data_format, rows, columns, sign):
    """Return ``{axis: (before, after)}``, how much to pad or to crop.

    Args:
        function: its name, for messages.
        word: "padding" or "cropping", as in the names of its arguments.
        images: array.
        data_format: of `images`.
        rows, columns: ``(before, after, target length)``, one of them None.
        sign: 1 if margins make the image larger, -1 if smaller.
    """
    margins = {}
    sides = (("top", "bottom", "height"), rows), (("left", "right", "width"), columns)
    for axis, ((first, last, length), values) in zip(spatial_axes(data_format), sides, strict=True):
        names = f"{first}_{word}", f"{last}_{word}", f"target_{length}"
        given = [v is not None for v in values]
        if sum(given) != 2:
            raise errors.bad_value(
                f"{function}({', '.join(names)})", "exactly two of the three", f"{sum(given)}"
            )
        for name, value in zip(names, values, strict=True):
            if value is not None and value < 0:
                raise errors.bad_value(f"{function}({name})", "an int of at least 0", repr(value))
        before, after, target = values
        if target is None:
            target = images.shape[axis] + sign * (before + after)
        both = sign * (target - images.shape[axis])
        before = both - after if before is None else before
        after = both - before
        if min(before, after, target) < 0:
            missing = names[given.index(False)]
            raise errors.bad_value(
                f"{function}({missing})", "margins that fit the image",
                f"{min(before, after, target)} for {missing}, which the others leave",
            )  # fmt: skip
        margins[axis % images.ndim] = before, after
    return margins


@op
def pad_images(
    images, top_padding=None, left_padding=None, bottom_padding=None, right_padding=None,
    target_height=None, target_width=None, data_format=None,
):  # fmt: skip
    """Add rows and columns of zeros around images.

    Args:
        images: (height, width, channels) or a batch of them, or channels first.
        top_padding, bottom_padding, target_height: ints, exactly two of them.
        left_padding, right_padding, target_width: ints, exactly two of them.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Returns:
        Array like `images`.

    >>> import numpy as np, stepfit as keras
    >>> image = np.ones((1, 2, 1))
    >>> keras.ops.image.pad_images(image, 0, 1, target_height=1, target_width=4)[..., 0].tolist()
    [[0.0, 1.0, 1.0, 0.0]]
    """
    images = as_images(images, "pad_images(images)")
    margins = _margins(
        "pad_images", "padding", images, data_format, (top_padding, bottom_padding, target_height),
        (left_padding, right_padding, target_width), sign=1,
    )  # fmt: skip
    return jnp.pad(images, [margins.get(axis, (0, 0)) for axis in range(images.ndim)])


@op
def crop_images(
    images, top_cropping=None, left_cropping=None, bottom_cropping=None, right_cropping=None,
    target_height=None, target_width=None, data_format=None,
):  # fmt: skip
    """Cut rows and columns off images.

    Args:
        images: (height, width, channels) or a batch of them, or channels first.
        top_cropping, bottom_cropping, target_height: ints, exactly two of them.
        left_cropping, right_cropping, target_width: ints, exactly two of them.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Returns:
        Array like `images`.

    >>> import numpy as np, stepfit as keras
    >>> image = np.arange(4.0).reshape(1, 4, 1)
    >>> keras.ops.image.crop_images(image, 0, 1, 0, target_width=2)[..., 0].tolist()
    [[1.0, 2.0]]
    """
    images = as_images(images, "crop_images(images)")
    margins = _margins(
        "crop_images", "cropping", images, data_format,
        (top_cropping, bottom_cropping, target_height),
        (left_cropping, right_cropping, target_width), sign=-1,
    )  # fmt: skip
    for axis, (before, after) in margins.items():
        images = jax.lax.slice_in_dim(images, before, images.shape[axis] - after, axis=axis)
    return images


@op
def scale_and_translate(
    images, output_shape, scale, translation, spatial_dims, method, antialias=True
):
    """Scale and shift an array along some of its axes: output place = input place * scale + shift.

    Args:
        images: array of any rank.
        output_shape: ints, one per axis.
        scale, translation: numbers, one for each axis of `spatial_dims`; places are counted from
            the border, so that the first element is at 0.5.
        spatial_dims: the axes.
        method: "linear", "cubic" ("bi..." and "tri..." mean the same), "lanczos3" or "lanczos5".
        antialias: whether the array is smoothed where it is made smaller.

    Returns:
        Float array of shape `output_shape`; 0 where the input does not reach.

    >>> import numpy as np, stepfit as keras
    >>> x = np.array([0.0, 2.0, 4.0])
    >>> keras.ops.image.scale_and_translate(x, (3,), [1.0], [1.0], (0,), "linear").tolist()
    [0.0, 0.0, 2.0]
    """
    one_of(method, _METHODS, "scale_and_translate(method)", "method")
    images = jnp.asarray(tensor(images))
    scale, translation = (as_float(tensor(v)) for v in (scale, translation))
    return jax.image.scale_and_translate(
        images, tuple(output_shape), tuple(spatial_dims), scale, translation, method, antialias
    )
