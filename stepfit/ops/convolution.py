"""Convolution and pooling over 1, 2 or 3 spatial axes, in either data format.

Vocabulary: the *kernel* has shape ``(*size, in, out)``; *strides*, *dilation* and *pool size* are
an int for all spatial axes or a tuple with one int per axis; *padding* is "valid" (windows inside
the input only) or "same" (as many outputs as inputs, divided by the stride and rounded up).
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import errors
from stepfit.core.config import standardize_data_format
from stepfit.core.op import op
from stepfit.ops.table import tensor


def per_axis(value, rank, where):
    """Return an int, or a tuple of `rank` ints, as a tuple of `rank` ints of at least 1."""
    values = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(values) != rank or any(not isinstance(v, int) or v < 1 for v in values):
        raise errors.bad_value(
            where, f"a positive int or a tuple of {rank} positive ints", repr(value)
        )
    return values


def _check_padding(padding, where):
    if not isinstance(padding, str) or padding.lower() not in ("valid", "same"):
        raise errors.unknown_name(f"{where}(padding)", "padding", padding, ("valid", "same"))
    return padding.upper()


def _operands(inputs, kernel, where):
    inputs, kernel = jnp.asarray(tensor(inputs)), jnp.asarray(tensor(kernel))
    if inputs.ndim not in (3, 4, 5) or kernel.ndim != inputs.ndim:
        raise errors.bad_value(
            f"{where}(inputs, kernel)",
            "arrays of the same rank: batch, 1 to 3 spatial axes, channels",
            f"{errors.describe(inputs)} and {errors.describe(kernel)}",
        )
    return inputs, kernel


def _dimensions(rank, data_format):
    """Name the axes as `jax.lax` wants them."""
    space = "DHW"[3 - rank :]
    image = f"N{space}C" if data_format == "channels_last" else f"NC{space}"
    return (image, f"{space}IO", image)


def _convolve(inputs, kernel, strides, padding, data_format, dilation, groups, where):
    rank = inputs.ndim - 2
    return jax.lax.conv_general_dilated(
        inputs.astype(kernel.dtype),
        kernel,
        per_axis(strides, rank, f"{where}(strides)"),
        _check_padding(padding, where),
        rhs_dilation=per_axis(dilation, rank, f"{where}(dilation_rate)"),
        dimension_numbers=_dimensions(rank, data_format),
        feature_group_count=groups,
    )


@op
def conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1):
    """Convolution (cross-correlation); the kernel's `in` may divide the channels (groups).

    Args:
        inputs: ``(batch, *space, channels)``, or channels first.
        kernel: ``(*size, channels / groups, filters)``.
        strides, dilation_rate: int or tuple of ints.
        padding: "valid" or "same".
        data_format: "channels_last", "channels_first", or None for the default.

    Returns:
        ``(batch, *new_space, filters)``, or channels first.

    Raises:
        ValueError: for ranks or channels that do not fit, or where no window fits in the input.

    >>> import stepfit as keras
    >>> x, kernel = keras.ops.ones((1, 4, 1)), keras.ops.ones((3, 1, 1))
    >>> keras.ops.conv(x, kernel, padding="same").ravel().tolist()
    [2.0, 3.0, 3.0, 2.0]
    """
    data_format = standardize_data_format(data_format)
    inputs, kernel = _operands(inputs, kernel, "conv")
    channels = inputs.shape[-1 if data_format == "channels_last" else 1]
    if channels % kernel.shape[-2]:
        raise errors.bad_value(
            "conv(inputs)",
            f"channels that the kernel's {kernel.shape[-2]} input channels divide",
            f"{channels} channels",
        )
    result = _convolve(
        inputs, kernel, strides, padding, data_format, dilation_rate,
        channels // kernel.shape[-2], "conv",
    )  # fmt: skip
    if _has_zero(result.shape) and not _has_zero(inputs.shape):
        raise errors.bad_value(
            "conv(inputs)", "space for at least one window",
            f"{errors.describe(inputs)} for a kernel of shape {kernel.shape}",
            'use padding="same", a smaller kernel or a larger input',
        )  # fmt: skip
    return result


def _has_zero(shape):
    return any(isinstance(n, int) and n == 0 for n in shape)


@op
def depthwise_conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1):
    """Convolution of each channel by itself, with `multiplier` outputs per channel.

    Args:
        inputs: ``(batch, *space, channels)``, or channels first.
        kernel: ``(*size, channels, multiplier)``.
        strides, padding, data_format, dilation_rate: as in `conv`.

    Returns:
        ``(batch, *new_space, channels * multiplier)``, or channels first.
    """
    data_format = standardize_data_format(data_format)
    inputs, kernel = _operands(inputs, kernel, "depthwise_conv")
    channels = inputs.shape[-1 if data_format == "channels_last" else 1]
    if channels != kernel.shape[-2]:
        raise errors.bad_value(
            "depthwise_conv(inputs)", f"{kernel.shape[-2]} channels (the kernel's)",
            f"{channels} channels",
        )  # fmt: skip
    kernel = kernel.reshape(*kernel.shape[:-2], 1, channels * kernel.shape[-1])
    return _convolve(inputs, kernel, strides, padding, data_format, dilation_rate, channels,
                     "depthwise_conv")  # fmt: skip


@op
def separable_conv(
    inputs, depthwise_kernel, pointwise_kernel, strides=1, padding="valid", data_format=None,
    dilation_rate=1,
):  # fmt: skip
    """`depthwise_conv`, then a `conv` of kernel size 1 that mixes the channels.

    Args:
        inputs: ``(batch, *space, channels)``, or channels first.
        depthwise_kernel: ``(*size, channels, multiplier)``.
        pointwise_kernel: ``(1, ..., channels * multiplier, filters)``.
        strides, padding, data_format, dilation_rate: as in `conv`.

    Returns:
        ``(batch, *new_space, filters)``, or channels first.
    """
    hidden = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(hidden, pointwise_kernel, 1, "valid", data_format)


def transposed_padding(size, stride, dilation, padding, output_padding):
    """Return how far `conv_transpose` pads before and after along one axis.

    With k = (size - 1) * dilation + 1, the output has n * stride elements for "same",
    (n - 1) * stride + max(k, stride) for "valid", and with an `output_padding` p
    (n - 1) * stride + k % 2 + p for "same", (n - 1) * stride + k + p for "valid".
    """
    k = (size - 1) * dilation + 1
    if padding.lower() == "valid":
        extra = max(stride - k, 0) if output_padding is None else output_padding
        return k - 1, k - 1 + extra
    total = k - 2 + (stride if output_padding is None else k % 2 + output_padding)
    before = min((total + 1) // 2, k - 1)
    return before, total - before


@op
def conv_transpose(
    inputs, kernel, strides=1, padding="valid", output_padding=None, data_format=None,
    dilation_rate=1,
):  # fmt: skip
    """Transpose (gradient) of a convolution: spreads each input over a window of outputs.

    Args:
        inputs: ``(batch, *space, channels)``, or channels first.
        kernel: ``(*size, filters, channels)``: output channels before input channels.
        strides: int or tuple: how far apart inputs lie in the output.
        padding: "valid" or "same".
        output_padding: None (smallest output that fits), an int or one int per axis.
        data_format, dilation_rate: as in `conv`.

    Returns:
        ``(batch, *new_space, filters)``, or channels first; lengths: `transposed_padding`.
    """
    data_format = standardize_data_format(data_format)
    inputs, kernel = _operands(inputs, kernel, "conv_transpose")
    channels = inputs.shape[-1 if data_format == "channels_last" else 1]
    if channels != kernel.shape[-1]:
        raise errors.bad_value(
            "conv_transpose(inputs)", f"{kernel.shape[-1]} channels (the kernel's)",
            f"{channels} channels",
        )  # fmt: skip
    rank = inputs.ndim - 2
    _check_padding(padding, "conv_transpose")
    strides = per_axis(strides, rank, "conv_transpose(strides)")
    dilation = per_axis(dilation_rate, rank, "conv_transpose(dilation_rate)")
    extra = output_padding
    extra = (extra,) * rank if extra is None or isinstance(extra, int) else tuple(extra)
    pads = [
        transposed_padding(kernel.shape[i], strides[i], dilation[i], padding, extra[i])
        for i in range(rank)
    ]
    return jax.lax.conv_transpose(
        inputs, kernel, strides, pads, rhs_dilation=dilation,
        dimension_numbers=_dimensions(rank, data_format), transpose_kernel=True,
    )  # fmt: skip


@op
def fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Images from all their blocks, added up where they overlap; reverses `unfold`.

    Args:
        x: blocks, shape ``(n, c * size, blocks)``.
        output_size: int or ``(height, width)``.
        kernel_size, dilation, padding, stride: int or pair, as for `unfold`.

    Returns:
        ``(n, c, height, width)``.

    Raises:
        ValueError: another number of blocks, or of elements per block.

    >>> import numpy as np, stepfit as keras
    >>> keras.ops.fold(np.ones((1, 4, 4)), output_size=3, kernel_size=2)[0, 0].tolist()
    [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """
    x = jnp.asarray(tensor(x))
    image, kernel, dilation, padding, stride = (
        (v, v) if isinstance(v, int) else tuple(v)
        for v in (output_size, kernel_size, dilation, padding, stride)
    )
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    whole = [n + 2 * p for n, p in zip(image, padding, strict=True)]
    counts = [(n - r) // s + 1 for n, r, s in zip(whole, reach, stride, strict=True)]
    if x.ndim != 3 or x.shape[1] % math.prod(kernel) or x.shape[2] != math.prod(counts):
        raise errors.bad_value(
            "fold(x)", f"shape (n, c * {math.prod(kernel)}, {math.prod(counts)})",
            errors.describe(x),
        )  # fmt: skip
    n, channels = x.shape[0], x.shape[1] // math.prod(kernel)
    x = x.reshape(n, channels, *kernel, *counts)
    places = [
        np.arange(k)[:, None] * d + np.arange(c) * s
        for k, d, c, s in zip(kernel, dilation, counts, stride, strict=True)
    ]
    rows, columns = places[0][:, None, :, None], places[1][None, :, None, :]
    found = jnp.zeros((n, channels, *whole), x.dtype).at[:, :, rows, columns].add(x)
    (top, left), (height, width) = padding, image
    return found[:, :, top : top + height, left : left + width]


# Pooling.


def _windows(inputs, pool_size, strides, padding, data_format, where):
    """Return the arguments of `lax.reduce_window`: window, strides and padding on all axes."""
    rank = inputs.ndim - 2
    if rank not in (1, 2, 3):
        raise errors.bad_value(
            f"{where}(inputs)", "batch, 1 to 3 spatial axes, channels", errors.describe(inputs)
        )
    size = per_axis(pool_size, rank, f"{where}(pool_size)")
    steps = size if strides is None else per_axis(strides, rank, f"{where}(strides)")
    if standardize_data_format(data_format) == "channels_last":
        size, steps = (1, *size, 1), (1, *steps, 1)
    else:
        size, steps = (1, 1, *size), (1, 1, *steps)
    return size, steps, _check_padding(padding, where)


@op
def max_pool(inputs, pool_size, strides=None, padding="valid", data_format=None):
    """Largest element of each window.

    Args:
        inputs: ``(batch, *space, channels)``, or channels first.
        pool_size: size of the window, int or tuple.
        strides: how far apart windows lie; None: side by side.
        padding, data_format: as in `conv`.

    Returns:
        ``(batch, *new_space, channels)``, or channels first.

    >>> import stepfit as keras
    >>> keras.ops.max_pool(keras.ops.reshape([1.0, 3.0, 2.0, 0.0], (1, 4, 1)), 2).ravel().tolist()
    [3.0, 2.0]
    """
    inputs = jnp.asarray(tensor(inputs))
    window = _windows(inputs, pool_size, strides, padding, data_format, "max_pool")
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        lowest = np.array(jnp.iinfo(inputs.dtype).min, inputs.dtype)
    else:
        lowest = np.array(-np.inf, inputs.dtype)
    return jax.lax.reduce_window(inputs, lowest, jax.lax.max, *window)


@op
def average_pool(inputs, pool_size, strides=None, padding="valid", data_format=None):
    """Mean of each window; elements outside the input do not count.

    Args:
        inputs: ``(batch, *space, channels)``, or channels first.
        pool_size, strides, padding, data_format: as in `max_pool`.

    Returns:
        ``(batch, *new_space, channels)``, or channels first.
    """
    inputs = jnp.asarray(tensor(inputs))
    window = _windows(inputs, pool_size, strides, padding, data_format, "average_pool")
    zero = np.array(0, inputs.dtype)
    total = jax.lax.reduce_window(inputs, zero, jax.lax.add, *window)
    if window[2] == "VALID":
        return total / math.prod(window[0])
    places = [n if size > 1 else 1 for n, size in zip(inputs.shape, window[0], strict=True)]
    counts = jax.lax.reduce_window(jnp.ones(places, inputs.dtype), zero, jax.lax.add, *window)
    return total / counts
