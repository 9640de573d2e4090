"""Neural-network maths: normalisation, encodings, cross-entropies, attention, image blocks.

The names of `stepfit.ops.nonlinear` (activations) and `stepfit.ops.convolution` are public here
too.
"""

import jax
import jax.numpy as jnp

from stepfit.core import config, dtypes, errors
from stepfit.core.op import op
from stepfit.ops.adaptive_pooling import adaptive_average_pool, adaptive_max_pool
from stepfit.ops.convolution import (
    average_pool,
    conv,
    conv_transpose,
    depthwise_conv,
    fold,
    max_pool,
    separable_conv,
)  # fmt: skip
from stepfit.ops.ctc import ctc_decode, ctc_loss
from stepfit.ops.nonlinear import (
    celu,
    elu,
    gelu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    sparsemax,
    squareplus,
    swish,
    tanh_shrink,
    threshold,
)  # fmt: skip
from stepfit.ops.table import tensor, tensors

__all__ = [
    "adaptive_average_pool", "adaptive_max_pool", "average_pool", "batch_normalization",
    "binary_crossentropy", "categorical_crossentropy", "celu", "conv", "conv_transpose",
    "ctc_decode", "ctc_loss", "depth_to_space", "depthwise_conv", "dot_product_attention",
    "elu", "fold", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish",
    "hard_tanh", "l2_normalize", "layer_normalization", "leaky_relu", "log_sigmoid",
    "log_softmax", "max_pool", "moments", "multi_hot", "normalize", "one_hot", "polar", "psnr",
    "relu", "relu6", "rms_normalization", "selu", "separable_conv", "sigmoid", "silu",
    "soft_shrink", "softmax", "softplus", "softsign", "space_to_depth",
    "sparse_categorical_crossentropy", "sparse_plus", "sparse_sigmoid", "sparsemax",
    "squareplus", "swish", "tanh_shrink", "threshold", "unfold",
]  # fmt: skip


# Normalisation.


def _axes(axis, rank):
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    return tuple(sorted(a % rank for a in axes))


def _along(value, x, axes):
    """Reshape a parameter with one element per place on `axes` so that it broadcasts to `x`."""
    value = jnp.asarray(tensor(value))
    return value.reshape([n if i in axes else 1 for i, n in enumerate(x.shape)])


@op
def moments(x, axes, keepdims=False, synchronized=False):
    """Mean and variance over `axes`; 16-bit floats are summed in float32.

    Args:
        x: array.
        axes: the axis or axes to reduce.
        keepdims: whether reduced axes stay, with size 1.
        synchronized: must be False: under a sharded batch JAX reduces over all devices anyway.

    Returns:
        ``(mean, variance)`` in the dtype of `x`.

    >>> import stepfit as keras
    >>> mean, variance = keras.ops.moments([0.0, 1.0, 2.0, 3.0], axes=0)
    >>> float(mean), float(variance)
    (1.5, 1.25)
    """
    if synchronized:
        raise errors.bad_value(
            "moments(synchronized)", "False", "True",
            "under jit over a sharded batch the statistics span all devices already",
        )  # fmt: skip
    x = jnp.asarray(tensor(x))
    axes = axes if axes is None or isinstance(axes, int) else tuple(axes)
    wide = x.astype("float32") if x.dtype in (jnp.float16, jnp.bfloat16) else x
    mean = jnp.mean(wide, axes, keepdims=keepdims)
    variance = jnp.var(wide, axes, keepdims=keepdims)
    if wide is x:
        return mean, variance
    limit = float(jnp.finfo(jnp.float16).max)
    return tuple(jnp.clip(s, -limit, limit).astype(x.dtype) for s in (mean, variance))


@op
def batch_normalization(x, mean, variance, axis, offset=None, scale=None, epsilon=1e-3):
    """``(x - mean) / sqrt(variance + epsilon) * scale + offset``, parameters along `axis`.

    Args:
        x: array.
        mean, variance, offset, scale: one element per place on `axis`; the last two may be None.
        axis: the axis of `x` that keeps its statistics (the channels).
        epsilon: added to the variance.
    """
    x = jnp.asarray(tensor(x))
    axes = _axes(axis, x.ndim)
    factor = jax.lax.rsqrt(_along(variance, x, axes) + epsilon)
    if scale is not None:
        factor = factor * _along(scale, x, axes)
    shift = -_along(mean, x, axes) * factor
    if offset is not None:
        shift = shift + _along(offset, x, axes)
    return x * factor + shift


@op
def layer_normalization(x, gamma=None, beta=None, axis=-1, epsilon=None):
    """``(x - mean) / sqrt(variance + epsilon) * gamma + beta``, statistics over `axis`.

    Args:
        x: array; 16-bit floats are normalised in float32.
        gamma, beta: one element per place on `axis`, or None.
        axis: the axis or axes to normalise over.
        epsilon: added to the variance; None: `config.epsilon()`.
    """
    x = jnp.asarray(tensor(x))
    wide = x.astype(jnp.promote_types(x.dtype, "float32"))
    axes = _axes(axis, x.ndim)
    mean = jnp.mean(wide, axes, keepdims=True)
    variance = jnp.var(wide, axes, keepdims=True)
    factor = jax.lax.rsqrt(variance + (config.epsilon() if epsilon is None else epsilon))
    result = (wide - mean) * factor
    if gamma is not None:
        result = result * _along(gamma, x, axes).astype(wide.dtype)
    if beta is not None:
        result = result + _along(beta, x, axes).astype(wide.dtype)
    return result.astype(x.dtype)


@op
def rms_normalization(x, scale=None, axis=-1, epsilon=None):
    """``x / sqrt(mean(x**2) + epsilon) * scale``, mean over `axis`.

    Args:
        x: array; 16-bit floats are normalised in float32.
        scale: one element per place on `axis`, or None.
        axis: the axis or axes to normalise over.
        epsilon: added to the mean; None: `config.epsilon()`.

    Source: Zhang and Sennrich, 2019, https://arxiv.org/abs/1910.07467
    """
    x = jnp.asarray(tensor(x))
    wide = x.astype(jnp.promote_types(x.dtype, "float32"))
    axes = _axes(axis, x.ndim)
    epsilon = config.epsilon() if epsilon is None else epsilon
    result = wide * jax.lax.rsqrt(jnp.mean(jnp.square(wide), axes, keepdims=True) + epsilon)
    if scale is not None:
        result = result * _along(scale, x, axes).astype(wide.dtype)
    return result.astype(x.dtype)


@op
def normalize(x, axis=-1, order=2, epsilon=None):
    """``x / max(norm(x), epsilon)`` along `axis`; 16-bit floats are normalised in float32.

    Where the norm is below `epsilon`, at zero too, the gradient is that of ``x / epsilon``.

    Args:
        x: array.
        axis: the axis or axes over which the norm is taken.
        order: order of the norm, an int of at least 1.
        epsilon: smallest divisor; None: `config.epsilon()`.

    >>> import stepfit as keras
    >>> [round(float(v), 2) for v in keras.ops.normalize([3.0, 4.0])]
    [0.6, 0.8]
    """
    if not isinstance(order, int) or order < 1:
        raise errors.bad_value("normalize(order)", "an int of at least 1", errors.describe(order))
    x = jnp.atleast_1d(jnp.asarray(tensor(x)))
    wide = x.astype(jnp.promote_types(x.dtype, "float32"))
    epsilon = config.epsilon() if epsilon is None else epsilon
    powers = jnp.square(wide) if order == 2 else jnp.abs(wide) ** order
    total = jnp.sum(powers, axis=axis, keepdims=True)
    small = total <= epsilon**order
    total = jnp.where(small, 1.0, total)  # a root has no slope at 0
    inverse = jax.lax.rsqrt(total) if order == 2 else total ** (-1.0 / order)
    result = wide * jnp.where(small, 1.0 / epsilon, inverse)
    return result.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else result


def l2_normalize(x, axis=-1, epsilon=None):
    """``x / max(sqrt(sum(x**2)), epsilon)`` along `axis`."""
    return normalize(x, axis=axis, order=2, epsilon=epsilon)


# Encodings.


@op
def one_hot(x, num_classes, axis=-1, dtype=None, sparse=False):
    """A new axis with 1 at the place of each integer and 0 elsewhere.

    Args:
        x: integers; those outside ``[0, num_classes)`` give zeros throughout.
        num_classes: size of the new axis.
        axis: where the new axis goes.
        dtype: dtype of the result; None: `config.floatx()`.
        sparse: must be False.

    >>> import stepfit as keras
    >>> keras.ops.one_hot([0, 2], 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if sparse:
        raise errors.bad_value("one_hot(sparse)", "False", "True", "sparse results do not exist")
    x = jnp.asarray(tensor(x))
    return jax.nn.one_hot(x, num_classes, axis=axis, dtype=dtypes.standardize_dtype(dtype))


@op
def multi_hot(inputs, num_classes=None, axis=-1, dtype=None, sparse=False):
    """1 at the place of each integer of a row, 0 elsewhere: ``(batch, n) -> (batch, classes)``."""
    if num_classes is None:
        raise errors.bad_value("multi_hot(num_classes)", "the number of classes", "None")
    x = jnp.asarray(tensor(inputs)).astype("int32")
    encoded = one_hot(x, num_classes, axis=axis, dtype=dtype, sparse=sparse)
    return jnp.max(encoded, axis=1 if x.ndim > 1 else 0)


# Cross-entropies, one value per sample.


def _same_shape(where, target, output):
    if target.shape != output.shape or (target.ndim == 0 and where != "binary_crossentropy"):
        raise errors.bad_value(
            f"{where}(target, output)", "arrays of the same shape",
            f"{errors.describe(target)} and {errors.describe(output)}",
        )  # fmt: skip


def _log_probabilities(output, from_logits, axis):
    if from_logits:
        return jax.nn.log_softmax(output, axis=axis)
    output = output / jnp.sum(output, axis, keepdims=True)
    return jnp.log(jnp.clip(output, config.epsilon(), 1.0 - config.epsilon()))


@op
def categorical_crossentropy(target, output, from_logits=False, axis=-1):
    """``-sum(target * log(output))`` along `axis`.

    Args:
        target: probabilities, same shape as `output`.
        output: probabilities (scaled here to sum to 1), or logits.
        from_logits: whether `output` holds logits.
        axis: the axis of the classes.
    """
    target, output = tensors((target, output))
    _same_shape("categorical_crossentropy", target, output)
    return -jnp.sum(target * _log_probabilities(output, from_logits, axis), axis=axis)


@op
def sparse_categorical_crossentropy(target, output, from_logits=False, axis=-1):
    """``-log(output[target])`` along `axis`.

    Args:
        target: class indices, shape of `output` without `axis` (or with a last axis of size 1);
            indices outside the classes contribute 0.
        output: probabilities (scaled here to sum to 1), or logits.
        from_logits: whether `output` holds logits.
        axis: the axis of the classes.
    """
    target, output = tensors((target, output))
    if output.ndim and target.ndim == output.ndim and target.shape[-1] == 1:
        target = jnp.squeeze(target, -1)
    if output.ndim == 0 or target.shape != output.shape[:-1]:
        raise errors.bad_value(
            "sparse_categorical_crossentropy(target, output)",
            "a target shaped like the output without its last axis",
            f"{errors.describe(target)} and {errors.describe(output)}",
        )
    log = _log_probabilities(output, from_logits, axis)
    chosen = jax.nn.one_hot(target.astype("int32"), output.shape[axis], axis=axis, dtype=log.dtype)
    return -jnp.sum(chosen * log, axis=axis)


@op
def binary_crossentropy(target, output, from_logits=False):
    """``-(target * log(output) + (1 - target) * log(1 - output))``, element by element.

    Args:
        target: values in [0, 1], same shape as `output`.
        output: probabilities, or logits.
        from_logits: whether `output` holds logits.
    """
    target, output = tensors((target, output))
    _same_shape("binary_crossentropy", target, output)
    if from_logits:
        return -target * jax.nn.log_sigmoid(output) - (1 - target) * jax.nn.log_sigmoid(-output)
    output = jnp.clip(output, config.epsilon(), 1.0 - config.epsilon())
    return -(target * jnp.log(output) + (1.0 - target) * jnp.log(1.0 - output))


# Attention, measures and image blocks.


@op
def dot_product_attention(
    query, key, value, bias=None, mask=None, scale=None, is_causal=False, flash_attention=None,
    attn_logits_soft_cap=None,
):  # fmt: skip
    """``softmax(query @ key.T * scale + bias) @ value`` per head.

    Args:
        query: ``(batch, targets, heads, size)``.
        key, value: ``(batch, sources, key_heads, size)``; `key_heads` divides `heads`.
        bias, mask: broadcastable to ``(batch, heads, targets, sources)``; True attends.
        scale: factor of the logits; None: ``1 / sqrt(size)``.
        is_causal: whether a target sees no later source.
        flash_attention: True: cuDNN's fused kernel (a GPU, 16-bit inputs); False: none; None: as
            `config.disable_flash_attention` says, else JAX decides.
        attn_logits_soft_cap: must be None.
    """
    if attn_logits_soft_cap is not None:
        raise errors.bad_value("dot_product_attention(attn_logits_soft_cap)", "None", "a value")
    query, key, value = tensors((query, key, value))
    flash = config.is_flash_attention_enabled() if flash_attention is None else flash_attention
    if flash and jax.default_backend() != "gpu":
        where, found = "dot_product_attention(flash_attention)", f"True on {jax.default_backend()}"
        raise errors.bad_value(where, "None or False where there is no GPU", found)
    return jax.nn.dot_product_attention(
        query, key, value, bias=tensor(bias), mask=tensor(mask), scale=scale, is_causal=is_causal,
        implementation={None: None, True: "cudnn", False: "xla"}[flash],
    )  # fmt: skip


@op
def polar(abs_, angle):
    """Complex numbers of given absolute value and angle (radians)."""
    abs_, angle = tensors((abs_, angle))
    return jax.lax.complex(abs_ * jnp.cos(angle), abs_ * jnp.sin(angle))


@op
def psnr(x1, x2, max_val):
    """Peak signal-to-noise ratio in dB: ``20 log10(max_val) - 10 log10(mean((x1 - x2)**2))``."""
    x1, x2 = tensors((x1, x2))
    _same_shape("psnr", x1, x2)
    noise = jnp.mean(jnp.square(x1 - x2))
    return 20 * jnp.log10(jnp.asarray(max_val, x2.dtype)) - 10 * jnp.log10(noise)


@op
def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    """All blocks of images: ``(n, c, h, w) -> (n, c * size, blocks)``, channels first."""
    size, dilation, padding, stride = (
        (v, v) if isinstance(v, int) else tuple(v) for v in (kernel_size, dilation, padding, stride)
    )
    blocks = jax.lax.conv_general_dilated_patches(
        jnp.asarray(tensor(x)), size, stride, [(p, p) for p in padding], rhs_dilation=dilation
    )
    return blocks.reshape(*blocks.shape[:2], -1)


@op
def depth_to_space(x, block_size, data_format="channels_last"):
    """Channels to blocks of pixels: ``(n, h, w, c) -> (n, h * b, w * b, c / b**2)``."""
    x, last = jnp.asarray(tensor(x)), data_format == "channels_last"
    b = block_size
    n, h, w, c = x.shape if last else (x.shape[0], *x.shape[2:], x.shape[1])
    c = c // b**2
    if last:
        x = x.reshape(n, h, w, b, b, c).transpose(0, 1, 3, 2, 4, 5)
        return x.reshape(n, h * b, w * b, c)
    x = x.reshape(n, c, b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(n, c, h * b, w * b)


@op
def space_to_depth(x, block_size, data_format="channels_last"):
    """Blocks of pixels to channels: ``(n, h, w, c) -> (n, h / b, w / b, c * b**2)``."""
    x, last = jnp.asarray(tensor(x)), data_format == "channels_last"
    b = block_size
    n, h, w, c = x.shape if last else (x.shape[0], *x.shape[2:], x.shape[1])
    h, w = h // b, w // b
    if last:
        x = x.reshape(n, h, b, w, b, c).transpose(0, 1, 3, 2, 4, 5)
        return x.reshape(n, h, w, c * b**2)
    x = x.reshape(n, c, h, b, w, b).transpose(0, 1, 3, 5, 2, 4)
    return x.reshape(n, c * b**2, h, w)
