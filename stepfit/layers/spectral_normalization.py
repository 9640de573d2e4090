"""Spectral normalization of a layer's kernel."""

import jax
import jax.numpy as jnp

from stepfit import initializers
from stepfit.core import errors
from stepfit.layers import arguments
from stepfit.layers.wrappers import Wrapper


def _unit(x):
    return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(x)), 1e-12))


class SpectralNormalization(Wrapper):
    """In training runs a layer with its kernel over the kernel's largest singular value.

    ``v = unit(u K')``, ``u <- unit(v K)``, repeated; ``y = layer(x)`` with ``K / (v K u')``, where
    `K` is the kernel with all axes but the last merged. The layer's own kernel stays as it is, and
    is what inference uses, as with `fit` of Keras on JAX.

    Args:
        layer: a layer with a `kernel` or `embeddings`.
        power_iterations: int, how often `u` is improved per call.

    Raises:
        ValueError: a layer without a kernel, or `power_iterations` below 1.

    >>> import numpy as np, stepfit as keras
    >>> layer = keras.layers.SpectralNormalization(keras.layers.Dense(2, use_bias=False))
    >>> x = np.eye(2, dtype="float32")
    >>> _ = layer(x)
    >>> _ = layer.layer.kernel.assign([[4.0, 0.0], [0.0, 4.0]])
    >>> layer(x, training=True).round(3).tolist()
    [[1.0, 0.0], [0.0, 1.0]]

    Source: Miyato et al., 2018, https://arxiv.org/abs/1802.05957.
    """

    def __init__(self, layer, power_iterations=1, **kwargs):
        super().__init__(layer, **kwargs)
        where = f"{type(self).__name__}(power_iterations)"
        self.power_iterations = arguments.positive_int(power_iterations, where)

    def build(self, input_shape):
        super().build(input_shape)
        kernel = getattr(self.layer, "kernel", getattr(self.layer, "embeddings", None))
        if kernel is None:
            raise errors.bad_value(
                f"{type(self).__name__}(layer)", "a layer with a kernel or embeddings",
                f"{type(self.layer).__name__} {self.layer.name!r}, which has neither",
            )  # fmt: skip
        self.kernel = kernel
        self.vector_u = self.add_weight(
            shape=(1, kernel.shape[-1]),
            initializer=initializers.TruncatedNormal(stddev=0.02),
            trainable=False,
            name="vector_u",
            dtype=kernel.dtype,
        )

    def call(self, inputs, training=False):
        if not training:
            return self.layer(inputs).astype(inputs.dtype)
        own = self.kernel.value
        u, normalized = self._normalized(own, self.vector_u.value)
        self.vector_u.assign(u)
        self.kernel.assign(normalized)
        outputs = self.layer(inputs)
        self.kernel.assign(own)
        return outputs.astype(inputs.dtype)

    def _normalized(self, kernel, u):
        """Return the next `u` and the kernel over its largest singular value."""
        matrix, first = kernel.reshape(-1, kernel.shape[-1]), u
        for _ in range(self.power_iterations):
            v = _unit(u @ matrix.T)
            u = _unit(v @ matrix)
        u, v = jax.lax.stop_gradient(u), jax.lax.stop_gradient(v)
        nothing = jnp.all(kernel == 0)
        sigma = jnp.where(nothing, 1.0, (v @ matrix @ u.T)[0, 0])
        return jnp.where(nothing, first, u), kernel / sigma
