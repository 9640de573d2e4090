"""Filters of images: blur, edges, and the similarity that is measured through a blur.

All windows here are products of one window per axis, and are applied one axis after the other.
"""

import jax.numpy as jnp

from stepfit.core import errors
from stepfit.core.config import standardize_data_format
from stepfit.core.op import op
from stepfit.ops.table import as_float, tensor


def spatial_axes(data_format):
    """Return the axes of rows and of columns, counted from the end."""
    return (-3, -2) if standardize_data_format(data_format) == "channels_last" else (-2, -1)


def blur_kernel(size, sigma, dtype):
    """Return `size` numbers of a Gaussian bell that sum to 1."""
    places = jnp.arange(size, dtype=dtype) - jnp.asarray((size - 1) / 2, dtype)
    bell = jnp.exp(-0.5 * (places / jnp.asarray(sigma, dtype)) ** 2)
    return bell / jnp.sum(bell)


def correlate(x, window, axis, same=True):
    """Slide a window along an axis; `same` pads with zeros so that the length stays.

    Shifted sums: a depthwise convolution of few channels takes several times as long on the CPU.
    """
    size, axis = len(window), axis % x.ndim
    if same:
        pads = [(0, 0)] * x.ndim
        pads[axis] = ((size - 1) // 2, size // 2)
        x = jnp.pad(x, pads)
    length = x.shape[axis] - size + 1
    before = (slice(None),) * axis
    return sum(x[(*before, slice(i, i + length))] * window[i] for i in range(size))


@op
def gaussian_blur(images, kernel_size=(3, 3), sigma=(1.0, 1.0), data_format=None):
    """Blur images with a Gaussian window; beyond the border there are zeros.

    Args:
        images: float (height, width, channels) or a batch of them, or channels first.
        kernel_size: the window's sizes along columns (x) and rows (y).
        sigma: the bell's widths along columns and rows, in pixels.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Returns:
        Array like `images`.

    >>> import numpy as np, stepfit as keras
    >>> y = keras.ops.image.gaussian_blur(np.ones((5, 5, 1), "float32"))
    >>> round(float(y[2, 2, 0]), 4), round(float(y[0, 2, 0]), 4)
    (1.0, 0.7259)
    """
    images = _as_images(images, "gaussian_blur(images)")
    rows, columns = spatial_axes(data_format)
    for axis, size, width in zip((columns, rows), kernel_size, sigma, strict=True):
        images = correlate(images, blur_kernel(size, width, images.dtype), axis)
    return images


@op
def sobel_edges(images, data_format=None):
    """Slope of the brightness along rows and columns, by Sobel's filter.

    Args:
        images: a batch of images, (batch, height, width, channels), or channels first.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Returns:
        Array of the images' shape and one more axis of size 2: the slopes (dy, dx).

    >>> import numpy as np, stepfit as keras
    >>> ramp = np.tile(np.arange(4.0), (4, 1)).reshape(1, 4, 4, 1)
    >>> keras.ops.image.sobel_edges(ramp)[0, 1, 1, 0].tolist()
    [0.0, 8.0]
    """
    images = _as_images(images, "sobel_edges(images)", (4,))
    rows, columns = spatial_axes(data_format)
    smooth, slope = (jnp.asarray(w, images.dtype) for w in ([1, 2, 1], [-1, 0, 1]))
    dy = correlate(correlate(images, smooth, columns), slope, rows)
    dx = correlate(correlate(images, smooth, rows), slope, columns)
    return jnp.stack([dy, dx], -1)


@op
def ssim(
    image1, image2, max_val=1.0, filter_size=11, filter_sigma=1.5, k1=0.01, k2=0.03,
    data_format=None,
):  # fmt: skip
    """Structural similarity of two images: 1 for equal ones, less the more they differ.

    Args:
        image1, image2: (height, width, channels) or batches of them, or channels first.
        max_val: the largest possible value of a pixel.
        filter_size: pixels on a side of the window in which the images are compared.
        filter_sigma: width of the bell by which pixels in the window count.
        k1, k2: small numbers that keep flat and dark regions stable.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Returns:
        A number for each image, in the dtype of `image1` where that is a float one.

    Source: Wang et al., 2004, https://doi.org/10.1109/TIP.2003.819861

    >>> import numpy as np, stepfit as keras
    >>> x = np.random.default_rng(0).uniform(size=(16, 16, 3))
    >>> float(keras.ops.image.ssim(x, x)), bool(keras.ops.image.ssim(x, 1 - x) < 0)
    (1.0, True)
    """
    a, b = _as_images(image1, "ssim(image1)"), _as_images(image2, "ssim(image2)")
    axes = spatial_axes(data_format)
    if min(a.shape[axis] for axis in axes) < filter_size:
        raise errors.bad_value(
            "ssim(filter_size)", "at most the images' height and width",
            f"{filter_size} for {errors.describe(a)}", "pass a smaller filter_size",
        )  # fmt: skip
    window = blur_kernel(filter_size, filter_sigma, a.dtype)

    def mean(x):
        return correlate(correlate(x, window, axes[0], same=False), window, axes[1], same=False)

    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    mean_a, mean_b = mean(a), mean(b)
    squares = mean_a * mean_a + mean_b * mean_b
    spread = mean(a * a) + mean(b * b) - squares
    shared = mean(a * b) - mean_a * mean_b
    found = (2 * mean_a * mean_b + c1) * (2 * shared + c2) / ((squares + c1) * (spread + c2))
    return jnp.mean(found, (-3, -2, -1)).astype(a.dtype)


def _as_images(images, where, ranks=(3, 4)):
    images = as_float(tensor(images))
    if images.ndim not in ranks:
        what = "an image (3 axes) or a batch of images (4 axes)"
        expected = what if len(ranks) == 2 else "a batch of images (4 axes)"
        raise errors.bad_value(where, expected, errors.describe(images))
    return images
