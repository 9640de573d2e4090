"""Normalisation: over the batch, over features, over groups, to unit length."""

import jax
import jax.numpy as jnp

from stepfit import constraints, initializers, ops, regularizers
from stepfit.core import config, errors
from stepfit.core.variable import Variable
from stepfit.layers import arguments
from stepfit.layers.input_spec import InputSpec
from stepfit.layers.layer import Layer


class _ScaleAndCentre(Layer):
    """Base: a scale `gamma` and an offset `beta`, kept in the variable dtype inside `call`."""

    gamma: Variable | None
    beta: Variable | None

    def __init__(
        self, center, scale, beta_initializer, gamma_initializer, beta_regularizer,
        gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.center, self.scale = center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.supports_masking = True

    def _add_scale_and_offset(self, shape):
        for name, wanted in (("gamma", self.scale), ("beta", self.center)):
            weight = None
            if wanted:
                weight = self.add_weight(
                    name=name,
                    shape=shape,
                    initializer=getattr(self, f"{name}_initializer"),
                    regularizer=getattr(self, f"{name}_regularizer"),
                    constraint=getattr(self, f"{name}_constraint"),
                    autocast=False,
                )
            setattr(self, name, weight)

    def _size(self, input_shape, axis):
        if not -len(input_shape) <= axis < len(input_shape):
            raise errors.bad_value(
                f"{self._where()} input", f"an axis {axis}", f"shape {tuple(input_shape)}"
            )
        if input_shape[axis] is None:
            raise errors.bad_value(
                f"{self._where()} input axis {axis}", "a known size", "None",
                "give the Input this size",
            )  # fmt: skip
        return input_shape[axis]


def _value(variable, dtype=None):
    if variable is None:
        return None
    return variable.value if dtype is None else variable.value.astype(dtype)


class BatchNormalization(_ScaleAndCentre):
    """``(x - mean) / sqrt(variance + epsilon) * gamma + beta`` with statistics of the batch.

    In training the statistics are the batch's, and moving averages follow them:
    ``moving = moving * momentum + batch * (1 - momentum)``. In inference, and where `trainable` is
    False, the moving averages are used and stay as they are. 16-bit floats are normalised in
    float32.

    Args:
        axis: the axis that keeps its statistics (the channels).
        momentum: of the moving averages.
        epsilon: added to the variance.
        center, scale: whether `beta` and `gamma` exist.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer:
            initial values.
        beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: as in `Dense`.
        synchronized: accepted for Keras's signature: over a sharded batch the statistics span all
            devices under `jit` anyway.

    Call arguments:
        training: whether statistics are the batch's.
        mask: shape of the inputs without the last axis; only True places count.

    Weights: gamma, beta; moving_mean, moving_variance (not trainable).

    Source: Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167

    >>> import numpy as np, stepfit as keras
    >>> y = keras.layers.BatchNormalization()(np.array([[0.0], [2.0]]), training=True)
    >>> [round(v, 3) for v in y.ravel().tolist()]
    [-1.0, 1.0]
    """

    def __init__(
        self,
        axis=-1,
        momentum=0.99,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        moving_mean_initializer="zeros",
        moving_variance_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        synchronized=False,
        **kwargs,
    ):
        super().__init__(
            center, scale, beta_initializer, gamma_initializer, beta_regularizer,
            gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        if not isinstance(axis, int):
            raise errors.bad_type("BatchNormalization(axis)", "an int", errors.describe(axis))
        self.axis = axis
        self.momentum = arguments.share(momentum, "BatchNormalization(momentum)")
        self.epsilon = epsilon
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape):
        size = self._size(input_shape, self.axis)
        self._add_scale_and_offset((size,))
        self.moving_mean = self.add_weight(
            name="moving_mean", shape=(size,), initializer=self.moving_mean_initializer,
            trainable=False, autocast=False,
        )  # fmt: skip
        self.moving_variance = self.add_weight(
            name="moving_variance", shape=(size,), initializer=self.moving_variance_initializer,
            trainable=False, autocast=False,
        )  # fmt: skip
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: size})

    def call(self, inputs, training=None, mask=None):
        if mask is not None and mask.ndim != inputs.ndim - 1:
            raise errors.bad_value(
                f"{self._where()} mask", f"{inputs.ndim - 1} axes", f"{mask.ndim} axes"
            )
        x = inputs.astype(jnp.promote_types(inputs.dtype, "float32"))
        mean, variance = self.moving_mean.value, self.moving_variance.value
        if training and self.trainable:
            batch_mean, batch_variance = self._batch_statistics(x, mask)
            keep = self.momentum
            self.moving_mean.assign(mean * keep + batch_mean * (1 - keep))
            self.moving_variance.assign(variance * keep + batch_variance * (1 - keep))
            mean, variance = batch_mean, batch_variance
        y = ops.batch_normalization(
            x, mean.astype(x.dtype), variance.astype(x.dtype), self.axis,
            offset=_value(self.beta, x.dtype), scale=_value(self.gamma, x.dtype),
            epsilon=self.epsilon,
        )  # fmt: skip
        return y.astype(self.compute_dtype)

    def _batch_statistics(self, x, mask):
        axes = tuple(a for a in range(x.ndim) if a != self.axis % x.ndim)
        if mask is None:
            return jnp.mean(x, axes), jnp.var(x, axes)
        seen = jnp.broadcast_to(mask[..., None].astype(bool), x.shape)
        count = jnp.sum(seen, axes, keepdims=True).astype(x.dtype) + config.epsilon()
        mean = jnp.sum(jnp.where(seen, x, 0), axes, keepdims=True) / count
        squares = jnp.square(jnp.where(seen, x - mean, 0))
        variance = jnp.sum(squares, axes, keepdims=True) / count
        return mean.reshape(-1), variance.reshape(-1)


class LayerNormalization(_ScaleAndCentre):
    """``(x - mean) / sqrt(variance + epsilon) * gamma + beta``, statistics of each sample.

    Args:
        axis: the axis or axes to normalise over.
        epsilon: added to the variance.
        center, scale, beta_initializer, ...: as in `BatchNormalization`.

    Source: Ba et al., 2016, https://arxiv.org/abs/1607.06450

    >>> import numpy as np, stepfit as keras
    >>> y = keras.layers.LayerNormalization()(np.array([[0.0, 2.0]]))
    >>> [round(v, 3) for v in y.ravel().tolist()]
    [-1.0, 1.0]
    """

    def __init__(
        self,
        axis=-1,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        **kwargs,
    ):
        super().__init__(
            center, scale, beta_initializer, gamma_initializer, beta_regularizer,
            gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        self.axis = sorted(axis) if isinstance(axis, (list, tuple)) else axis
        self.epsilon = epsilon

    def build(self, input_shape):
        axes = self.axis if isinstance(self.axis, list) else [self.axis]
        self._add_scale_and_offset(tuple(self._size(input_shape, a) for a in axes))

    def call(self, inputs):
        return ops.layer_normalization(
            inputs, _value(self.gamma), _value(self.beta), self.axis, self.epsilon
        ).astype(self.compute_dtype)


class GroupNormalization(_ScaleAndCentre):
    """`LayerNormalization` over space and one group of channels at a time.

    Args:
        groups: number of groups; -1: one per channel.
        axis: the axis of the channels.
        epsilon, center, scale, beta_initializer, ...: as in `BatchNormalization`.

    Source: Wu and He, 2018, https://arxiv.org/abs/1803.08494

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.GroupNormalization(groups=2)(np.ones((2, 4, 4, 6))).shape
    (2, 4, 4, 6)
    """

    def __init__(
        self,
        groups=32,
        axis=-1,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        **kwargs,
    ):
        super().__init__(
            center, scale, beta_initializer, gamma_initializer, beta_regularizer,
            gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        self.groups, self.axis, self.epsilon = groups, axis, epsilon

    def build(self, input_shape):
        size = self._size(input_shape, self.axis)
        self._groups = size if self.groups == -1 else self.groups
        if self._groups < 1 or size % self._groups:
            raise errors.bad_value(
                f"{self._where()} input axis {self.axis}",
                f"channels that groups={self.groups} divides", f"{size} channels",
            )  # fmt: skip
        self._add_scale_and_offset((size,))
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: size})

    def call(self, inputs):
        x = inputs.astype(jnp.promote_types(inputs.dtype, "float32"))
        x = jnp.moveaxis(x, self.axis, -1)
        grouped = x.reshape(*x.shape[:-1], self._groups, -1)
        axes = (*range(1, x.ndim - 1), x.ndim)
        mean = jnp.mean(grouped, axes, keepdims=True)
        variance = jnp.var(grouped, axes, keepdims=True)
        y = ((grouped - mean) * jax.lax.rsqrt(variance + self.epsilon)).reshape(x.shape)
        if self.scale:
            y = y * _value(self.gamma, x.dtype)
        if self.center:
            y = y + _value(self.beta, x.dtype)
        return jnp.moveaxis(y, -1, self.axis).astype(self.compute_dtype)


class RMSNormalization(Layer):
    """``x / sqrt(mean(x**2) + epsilon) * scale``, mean of each sample.

    Args:
        axis: the axis or axes to normalise over.
        epsilon: added to the mean.

    Source: Zhang and Sennrich, 2019, https://arxiv.org/abs/1910.07467

    >>> import numpy as np, stepfit as keras
    >>> y = keras.layers.RMSNormalization()(np.array([[3.0, 4.0]]))
    >>> [round(v, 3) for v in y.ravel().tolist()]
    [0.849, 1.131]
    """

    def __init__(self, axis=-1, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.axis = sorted(axis) if isinstance(axis, (list, tuple)) else axis
        self.epsilon = epsilon

    def build(self, input_shape):
        axes = self.axis if isinstance(self.axis, list) else [self.axis]
        shape = tuple(input_shape[a] for a in axes)
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones")

    def call(self, inputs):
        return ops.rms_normalization(inputs, self.scale.value, self.axis, self.epsilon)


class UnitNormalization(Layer):
    """``x / sqrt(sum(x**2))`` along `axis`.

    Args:
        axis: the axis or axes whose norm becomes 1.

    >>> import numpy as np, stepfit as keras
    >>> y = keras.layers.UnitNormalization()(np.array([[3.0, 4.0]]))
    >>> [round(v, 3) for v in y.ravel().tolist()]
    [0.6, 0.8]
    """

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(axis, (int, list, tuple)):
            found = errors.describe(axis)
            raise errors.bad_type("UnitNormalization(axis)", "an int or several", found)
        self.axis = axis
        self.supports_masking = True

    def call(self, inputs):
        axis = self.axis if isinstance(self.axis, int) else tuple(self.axis)
        return ops.normalize(inputs, axis=axis, order=2, epsilon=1e-12)
