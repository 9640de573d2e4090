"""Activations with settings or weights."""

import jax
import jax.numpy as jnp

from stepfit import activations, constraints, initializers, regularizers
from stepfit.core import errors
from stepfit.layers.input_spec import InputSpec
from stepfit.layers.layer import Layer


def _at_least_zero(value, where, none_allowed=False):
    if value is None and none_allowed:
        return
    if not isinstance(value, (int, float)) or value < 0:
        wanted = "a number of at least 0" + (", or None" if none_allowed else "")
        raise errors.bad_value(where, wanted, errors.describe(value))


class LeakyReLU(Layer):
    """``x`` above 0, ``negative_slope * x`` below.

    Args:
        negative_slope: slope below 0, at least 0; `alpha` is accepted as its name in tf.keras.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.LeakyReLU(negative_slope=0.5)(np.array([[-1.0, 2.0]])).tolist()
    [[-0.5, 2.0]]
    """

    def __init__(self, negative_slope=0.3, **kwargs):
        negative_slope = kwargs.pop("alpha", negative_slope)
        super().__init__(**kwargs)
        _at_least_zero(negative_slope, "LeakyReLU(negative_slope)")
        self.negative_slope = negative_slope
        self.supports_masking = True

    def call(self, inputs):
        return jax.nn.leaky_relu(inputs, self.negative_slope)

    def get_config(self):
        config = super().get_config()
        config.pop("alpha", None)
        return {**config, "negative_slope": self.negative_slope}


class ReLU(Layer):
    """``min(x, max_value)`` above `threshold`, ``negative_slope * (x - threshold)`` below.

    Args:
        max_value: largest output, or None.
        negative_slope: slope below the threshold, at least 0.
        threshold: where the function leaves 0, at least 0.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.ReLU(max_value=6)(np.array([[-1.0, 2.0, 9.0]])).tolist()
    [[0.0, 2.0, 6.0]]
    """

    def __init__(self, max_value=None, negative_slope=0.0, threshold=0.0, **kwargs):
        super().__init__(**kwargs)
        _at_least_zero(max_value, "ReLU(max_value)", none_allowed=True)
        _at_least_zero(negative_slope, "ReLU(negative_slope)")
        _at_least_zero(threshold, "ReLU(threshold)")
        self.max_value, self.negative_slope = max_value, negative_slope
        self.threshold = threshold
        self.supports_masking = True

    def call(self, inputs):
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class ELU(Layer):
    """``x`` above 0, ``alpha * (exp(x) - 1)`` below.

    Args:
        alpha: minus the limit far below 0.

    Source: Clevert et al., 2015, https://arxiv.org/abs/1511.07289

    >>> import numpy as np, stepfit as keras
    >>> round(float(keras.layers.ELU()(np.array([[-1.0]]))[0, 0]), 4)
    -0.6321
    """

    def __init__(self, alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        self.alpha = alpha
        self.supports_masking = True

    def call(self, inputs):
        return jax.nn.elu(inputs, self.alpha)


class PReLU(Layer):
    """``x`` above 0, ``alpha * x`` below, with a learned `alpha` per element.

    Args:
        alpha_initializer, alpha_regularizer, alpha_constraint: of the slopes.
        shared_axes: axes (from 1) along which slopes are shared, such as ``[1, 2]`` for images.

    Source: He et al., 2015, https://arxiv.org/abs/1502.01852

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.PReLU(alpha_initializer="ones")(np.array([[-1.0, 2.0]])).tolist()
    [[-1.0, 2.0]]
    """

    def __init__(
        self,
        alpha_initializer="Zeros",
        alpha_regularizer=None,
        alpha_constraint=None,
        shared_axes=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes
        self.supports_masking = True

    def build(self, input_shape):
        shared = {axis % len(input_shape) for axis in self.shared_axes or ()}
        rank = len(input_shape)
        self.alpha = self.add_weight(
            name="alpha",
            shape=[1 if axis in shared else input_shape[axis] for axis in range(1, rank)],
            initializer=self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )
        axes = {a: input_shape[a] for a in range(1, rank) if shared and a not in shared}
        self.input_spec = InputSpec(ndim=rank, axes=axes)

    def call(self, inputs):
        return jax.nn.relu(inputs) - self.alpha.value * jax.nn.relu(-inputs)


class Softmax(Layer):
    """``exp(x) / sum(exp(x))`` along `axis`; masked places get 0.

    Args:
        axis: the axis, or several axes, to normalise over.

    Call arguments:
        mask: array that broadcasts to the inputs; True takes part.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Softmax()(np.array([[1.0, 1.0, 5.0]]), mask=np.array([[1, 1, 0]])).tolist()
    [[0.5, 0.5, 0.0]]
    """

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis
        self.supports_masking = True

    def call(self, inputs, mask=None):
        axis = tuple(self.axis) if isinstance(self.axis, (list, tuple)) else self.axis
        if mask is None:
            return jax.nn.softmax(inputs, axis=axis)
        fits = mask.ndim <= inputs.ndim and all(
            m in (1, n) for m, n in zip(mask.shape[::-1], inputs.shape[::-1], strict=False)
        )
        if not fits:
            raise errors.bad_value(
                f"{self._where()} mask", f"an array that broadcasts to {tuple(inputs.shape)}",
                f"shape {tuple(mask.shape)}",
            )  # fmt: skip
        mask = mask if mask.dtype == bool else mask > 0.5
        low = -3e4 if inputs.dtype == jnp.float16 else -1e9
        result = jax.nn.softmax(jnp.where(mask, inputs, low), axis=axis)
        return jnp.where(mask, result, 0)
