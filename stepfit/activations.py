"""Activation functions: most are the ops of the same name; here stand those with other defaults."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from stepfit.core import errors, registry
from stepfit.core.op import op
from stepfit.ops import nonlinear
from stepfit.ops.nonlinear import (
    celu,
    elu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
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
    tanh_shrink,
    threshold,
)
from stepfit.ops.numpy import tanh
from stepfit.ops.table import tensor

__all__ = [
    "celu", "deserialize", "elu", "exponential", "gelu", "get", "glu", "hard_shrink",
    "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid",
    "log_softmax", "mish", "relu", "relu6", "selu", "serialize", "sigmoid", "silu", "soft_shrink",
    "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus",
    "swish", "tanh", "tanh_shrink", "threshold",
]  # fmt: skip

swish, hard_swish = silu, hard_silu


@op
def relu(x, negative_slope=0.0, max_value=None, threshold=0.0):
    """Rectify: 0 below `threshold`, `x` above it, at most `max_value`.

    ``min(x, max_value)`` where ``x > threshold``, else ``negative_slope * (x - threshold)``.

    Args:
        x: array of any shape.
        negative_slope: slope below the threshold.
        max_value: largest value of the result, or None.
        threshold: where the function leaves 0.

    Returns:
        Array of the shape and dtype of `x`.

    Example:

    >>> import stepfit as keras
    >>> keras.activations.relu([-2.0, 1.0, 9.0], negative_slope=0.5, max_value=6.0).tolist()
    [-1.0, 1.0, 6.0]
    """
    x = jnp.asarray(tensor(x))
    if not jnp.issubdtype(x.dtype, jnp.inexact) and (negative_slope or threshold % 1):
        x = x.astype(jnp.result_type(float))
    if threshold:
        above = jnp.where(x > threshold, x, jnp.zeros((), x.dtype))
    else:
        above = jax.nn.relu6(x) if max_value == 6 else jax.nn.relu(x)
    if max_value is not None and (threshold or max_value != 6):
        above = jnp.clip(above, 0, jnp.asarray(max_value, x.dtype))
    if negative_slope:
        above = above - negative_slope * jax.nn.relu(threshold - x)
    return above


@op
def gelu(x, approximate=False):
    """Weigh `x` by the normal distribution: ``x * P(normal < x)``.

    Args:
        x: array of any shape.
        approximate: use the tanh form, ``0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x**3)))``.

    Returns:
        Array of the shape of `x`.

    Example:

    >>> import stepfit as keras
    >>> round(float(keras.activations.gelu(1.0)), 4)
    0.8413

    Source: Hendrycks and Gimpel, 2016, https://arxiv.org/abs/1606.08415.
    """
    return nonlinear.gelu(x, approximate=approximate)


@op
def mish(x):
    """Return ``x * tanh(softplus(x))``.

    Args:
        x: array of any shape.

    Returns:
        Array of the shape of `x`.

    Example:

    >>> import stepfit as keras
    >>> round(float(keras.activations.mish(1.0)), 4)
    0.8651

    Source: Misra, 2019, https://arxiv.org/abs/1908.08681.
    """
    x = jnp.asarray(tensor(x))
    return x * jnp.tanh(jax.nn.softplus(x))


@op
def exponential(x):
    """Return ``exp(x)``.

    >>> import stepfit as keras
    >>> float(keras.activations.exponential(0.0))
    1.0
    """
    return jnp.exp(jnp.asarray(tensor(x)))


def linear(x):
    """Return `x` itself.

    >>> import stepfit as keras
    >>> keras.activations.linear(3.0)
    3.0
    """
    return x


_functions = (
    celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_tanh, leaky_relu,
    linear, log_sigmoid, log_softmax, mish, relu, relu6, selu, sigmoid, silu, soft_shrink, softmax,
    softplus, softsign, sparse_plus, sparse_sigmoid, sparsemax, squareplus, tanh, tanh_shrink,
    threshold,
)  # fmt: skip

_catalogue = registry.Catalogue(
    "activation",
    {f.__name__: f for f in _functions} | {"swish": silu, "hard_swish": hard_silu},
)


def get(identifier):
    """Return the activation that `identifier` stands for; None means `linear`.

    Args:
        identifier: None, a name ("relu", "swish", ...), a config, or a function of one array.

    Raises:
        ValueError: unknown name. TypeError: not a function.

    >>> import stepfit as keras
    >>> keras.activations.get("swish") is keras.activations.silu
    True
    """
    if identifier is None:
        return linear
    if isinstance(identifier, dict) and isinstance(identifier.get("config"), str):
        identifier = identifier["config"]  # {"class_name": "function", "config": name}
    return _catalogue.get(identifier)


def serialize(activation):
    """Return an activation's name, or the config of an activation that is an object.

    Raises:
        ValueError: a function without a name to find it by.

    >>> import stepfit as keras
    >>> keras.activations.serialize(keras.activations.gelu)
    'gelu'
    """
    name = registry.serialize(activation)
    if name == "<lambda>":
        raise errors.bad_value(
            "activation", "a function with a name", "a lambda",
            "define it with `def` and @keras.saving.register_keras_serializable()",
        )  # fmt: skip
    return name


def deserialize(config, custom_objects=None):
    """Return the activation for `serialize`'s result."""
    if isinstance(config, str) and custom_objects and config in custom_objects:
        return custom_objects[config]
    return get(registry.deserialize(config, custom_objects))

if not TYPE_CHECKING:  # to a type checker, every name would be there
    __getattr__ = errors.missing_name(__name__, __all__)
