"""Activation functions and normalised exponentials: a table."""

import warnings

import jax
import jax.numpy as jnp

from stepfit.core import errors, naming
from stepfit.core import scope as scopes
from stepfit.core.op import op
from stepfit.ops.table import as_float, same, tensor


def _nn(name):
    """Return the function of `jax.nn`, on arrays only."""
    function = getattr(jax.nn, name)
    return lambda x, **settings: function(jnp.asarray(x), **settings)


def _gelu(x, approximate):
    """Return gelu by `erf`, of which XLA's code is shorter than that of the usual `erfc`."""
    x = as_float(x)
    if approximate:
        return jax.nn.gelu(x, approximate=True)
    wide = x.astype(jnp.promote_types(x.dtype, "float32"))
    return (wide * (0.5 + 0.5 * jax.lax.erf(wide * 0.5**0.5))).astype(x.dtype)


def _seen_before(x):
    """Say whether a layer's call is traced once more, after it was traced for its shapes."""
    in_layer = bool(naming.current_path()) and isinstance(x, jax.core.Tracer)
    return in_layer and not scopes.is_first_look()


def _softmax(x, axis):
    x = as_float(x)
    if isinstance(axis, int) and x.ndim and x.shape[axis] == 1 and not _seen_before(x):
        shape = x.shape
        if isinstance(x, jax.core.Tracer) and axis % x.ndim:
            shape = (None, *shape[1:])  # its batch size is one of several, or a probe
        found = f"shape {shape}: the result is 1, whatever they are"
        fix = "for one probability use sigmoid"
        text = errors.message("softmax", f"several values along axis {axis}", found, fix)
        warnings.warn(text, UserWarning, stacklevel=errors.users_level())
    return jax.nn.softmax(x, axis)


relu = same("relu(x)", "`max(x, 0)`; the gradient at 0 is 0.", _nn("relu"))
relu6 = same("relu6(x)", "`min(max(x, 0), 6)`.", _nn("relu6"))
sigmoid = same("sigmoid(x)", "`1 / (1 + exp(-x))`.", _nn("sigmoid"))
sparse_sigmoid = same(
    "sparse_sigmoid(x)", "0 below -1, 1 above 1, `(x + 1) / 2` between.", _nn("sparse_sigmoid")
)
log_sigmoid = same("log_sigmoid(x)", "`-log(1 + exp(-x))`.", _nn("log_sigmoid"))
hard_sigmoid = same("hard_sigmoid(x)", "`relu6(x + 3) / 6`.", _nn("hard_sigmoid"))
tanh_shrink = same("tanh_shrink(x)", "`x - tanh(x)`.", lambda x: x - jnp.tanh(x))
hard_tanh = same("hard_tanh(x)", "`x` limited to [-1, 1].", _nn("hard_tanh"))
softplus = same("softplus(x)", "`log(1 + exp(x))`.", _nn("softplus"))
softsign = same("softsign(x)", "`x / (1 + |x|)`.", _nn("soft_sign"))
sparse_plus = same(
    "sparse_plus(x)", "0 below -1, x above 1, `(x + 1)**2 / 4` between.", _nn("sparse_plus")
)
squareplus = same("squareplus(x, b=4)", "`(x + sqrt(x**2 + b)) / 2`.",
                  lambda x, b: jax.nn.squareplus(jnp.asarray(x), b))  # fmt: skip
silu = same("silu(x)", "`x * sigmoid(x)`.", _nn("silu"))
swish = same("swish(x)", "`x * sigmoid(x)`.", _nn("silu"))
hard_silu = same("hard_silu(x)", "`x * hard_sigmoid(x)`.", _nn("hard_silu"))
hard_swish = same("hard_swish(x)", "`x * hard_sigmoid(x)`.", _nn("hard_silu"))
leaky_relu = same("leaky_relu(x, negative_slope=0.2)", "`x` above 0, `negative_slope * x` below.",
                  _nn("leaky_relu"))  # fmt: skip
elu = same("elu(x, alpha=1.0)", "`x` above 0, `alpha * (exp(x) - 1)` below.", _nn("elu"))
selu = same("selu(x)", "Scaled `elu` that keeps mean 0 and variance 1.", _nn("selu"))
celu = same("celu(x, alpha=1.0)", "`x` above 0, `alpha * (exp(x / alpha) - 1)` below.", _nn("celu"))
gelu = same("gelu(x, approximate=True)", "`x * P(normal < x)`, by default in the tanh form.",
            _gelu)  # fmt: skip
glu = same("glu(x, axis=-1)", "First half along `axis` times the sigmoid of the second half.",
           _nn("glu"))  # fmt: skip
soft_shrink = same(
    "soft_shrink(x, threshold=0.5)", "`x` moved towards 0 by `threshold`, 0 within it.",
    lambda x, threshold: jnp.where(
        x > threshold, x - threshold, jnp.where(x < -threshold, x + threshold, 0.0)
    ),
)  # fmt: skip
hard_shrink = same("hard_shrink(x, threshold=0.5)", "`x`, and 0 within `threshold` of 0.",
                   lambda x, threshold: jnp.where(jnp.abs(x) > threshold, x, 0.0))  # fmt: skip
threshold = same(
    "threshold(x, threshold, default_value)", "`x` above `threshold`, else `default_value`.",
    lambda x, threshold, default_value: jnp.where(x > threshold, x, default_value),
)  # fmt: skip
softmax = same("softmax(x, axis=-1)", "`exp(x) / sum(exp(x))` along `axis`.", _softmax)
log_softmax = same("log_softmax(x, axis=-1)", "`x - log(sum(exp(x)))` along `axis`.",
                   lambda x, axis: jax.nn.log_softmax(as_float(x), axis))  # fmt: skip


@op
def sparsemax(x, axis=-1):
    """Nearest point of the probability simplex along `axis`: many entries become exactly 0.

    Source: Martins and Astudillo, 2016, https://arxiv.org/abs/1602.02068

    >>> import stepfit as keras
    >>> keras.ops.sparsemax([1.0, 0.5, -1.0]).tolist()
    [0.75, 0.25, 0.0]
    """
    x = jnp.moveaxis(jnp.asarray(tensor(x)), axis, -1)
    ordered = jnp.flip(jnp.sort(x, axis=-1), axis=-1)
    rank = jnp.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    kept = 1 + rank * ordered > jnp.cumsum(ordered, axis=-1)
    count = jnp.sum(kept, axis=-1, keepdims=True)
    total = jnp.sum(jnp.where(kept, ordered, 0), axis=-1, keepdims=True)
    return jnp.moveaxis(jnp.maximum(x - (total - 1) / count.astype(x.dtype), 0), -1, axis)
