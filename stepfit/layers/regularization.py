"""Layers that add noise in training, or a penalty on activity. Without training: the identity."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from stepfit import random, regularizers
from stepfit.core import errors
from stepfit.core.config import standardize_data_format
from stepfit.layers import arguments
from stepfit.layers.input_spec import InputSpec
from stepfit.layers.layer import Layer


class _Random(Layer):
    """Base: a seed generator, and `_disturb`, which runs in training where `amount` is above 0."""

    _disturb: Callable[[Any], Any]

    def __init__(self, amount, seed, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.supports_masking = True
        self._active = amount > 0
        if self._active:
            self.seed_generator = random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        return self._disturb(inputs) if training and self._active else inputs


class Dropout(_Random):
    """In training sets a share of the elements to 0 and scales the rest by ``1 / (1 - rate)``.

    Args:
        rate: the share, in [0, 1).
        noise_shape: shape of the mask of kept elements (None: that of the inputs; None inside it:
            that axis of the inputs), such as ``(None, 1, None)`` to drop whole features.
        seed: int, or None for other numbers in each run.

    Source: Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html

    >>> import numpy as np, stepfit as keras
    >>> y = keras.layers.Dropout(0.5, seed=1)(np.ones((1, 100)), training=True)
    >>> sorted(set(y.ravel().tolist()))
    [0.0, 2.0]
    """

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        self.rate = rate = _rate(rate, "Dropout(rate)")
        super().__init__(rate, seed, **kwargs)
        self.noise_shape = noise_shape

    def _disturb(self, inputs):
        shape = _noise_shape(self, inputs)
        return random.dropout(inputs, self.rate, noise_shape=shape, seed=self.seed_generator)


def _rate(rate, where):
    """Return a rate in [0, 1]; 1 itself drops everything, as in Keras."""
    return 1 if rate == 1 and not isinstance(rate, bool) else arguments.share(rate, where)


def _noise_shape(layer, inputs):
    if layer.noise_shape is None:
        return tuple(inputs.shape)
    if len(layer.noise_shape) != inputs.ndim:
        raise errors.bad_value(
            f"{layer._where()} noise_shape", f"{inputs.ndim} axes, as the input has",
            f"{tuple(layer.noise_shape)}",
        )  # fmt: skip
    return tuple(
        size if given is None else given
        for given, size in zip(layer.noise_shape, inputs.shape, strict=True)
    )


class _SpatialDropout(_Random):
    rank = 2

    def __init__(self, rate, data_format=None, seed=None, name=None, dtype=None):
        self.rate = rate = _rate(rate, f"{type(self).__name__}(rate)")
        super().__init__(rate, seed, name=name, dtype=dtype)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def _disturb(self, inputs):
        first = 1 if self.data_format == "channels_last" else 2
        space = range(first, first + self.rank)
        shape = [1 if a in space else n for a, n in enumerate(inputs.shape)]
        return random.dropout(inputs, self.rate, noise_shape=shape, seed=self.seed_generator)


class SpatialDropout1D(_SpatialDropout):
    """`Dropout` of whole channels of a sequence ``(batch, steps, channels)``.

    Args:
        rate: share of channels, in [0, 1).
        seed: int or None.

    >>> import numpy as np, stepfit as keras
    >>> y = keras.layers.SpatialDropout1D(0.5, seed=1)(np.ones((1, 4, 9)), training=True)
    >>> bool((y == y[:, :1]).all())
    True
    """

    rank = 1

    def __init__(self, rate, seed=None, name=None, dtype=None):
        super().__init__(rate, "channels_last", seed, name, dtype)


class SpatialDropout2D(_SpatialDropout):
    """`Dropout` of whole channels of an image.

    Args:
        rate: share of channels, in [0, 1).
        data_format: "channels_last" or "channels_first".
        seed: int or None.

    Source: Tompson et al., 2014, https://arxiv.org/abs/1411.4280

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.SpatialDropout2D(0.5)(np.ones((1, 4, 4, 3))).shape
    (1, 4, 4, 3)
    """


class SpatialDropout3D(_SpatialDropout):
    """`Dropout` of whole channels of a volume; arguments as in `SpatialDropout2D`.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.SpatialDropout3D(0.5)(np.ones((1, 2, 2, 2, 3))).shape
    (1, 2, 2, 2, 3)
    """

    rank = 3


class GaussianNoise(_Random):
    """In training adds normal noise with mean 0.

    Args:
        stddev: standard deviation of the noise, at least 0.
        seed: int or None.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.GaussianNoise(0.1)(np.zeros((1, 3))).tolist()
    [[0.0, 0.0, 0.0]]
    """

    def __init__(self, stddev, seed=None, **kwargs):
        if not isinstance(stddev, (int, float)) or not stddev >= 0:
            raise errors.bad_value(
                "GaussianNoise(stddev)", "a number of at least 0", errors.describe(stddev)
            )
        self.stddev = stddev
        super().__init__(stddev, seed, **kwargs)

    def _disturb(self, inputs):
        noise = random.normal(inputs.shape, 0.0, self.stddev, self.compute_dtype,
                              seed=self.seed_generator)  # fmt: skip
        return inputs + noise


class GaussianDropout(_Random):
    """In training multiplies by normal noise of mean 1 and variance ``rate / (1 - rate)``.

    Args:
        rate: in [0, 1); the noise is as strong as that of `Dropout` with this rate.
        seed: int or None.

    Source: Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.GaussianDropout(0.5)(np.ones((1, 3))).tolist()
    [[1.0, 1.0, 1.0]]
    """

    def __init__(self, rate, seed=None, **kwargs):
        self.rate = rate = arguments.share(rate, "GaussianDropout(rate)")
        super().__init__(rate, seed, **kwargs)

    def _disturb(self, inputs):
        stddev = math.sqrt(self.rate / (1.0 - self.rate))
        noise = random.normal(inputs.shape, 1.0, stddev, self.compute_dtype,
                              seed=self.seed_generator)  # fmt: skip
        return inputs * noise


_SELU_LIMIT = -1.6732632423543772 * 1.0507009873554805  # what selu tends to far below 0


class AlphaDropout(_Random):
    """`Dropout` that keeps mean and variance of what `selu` returns.

    Dropped elements get the limit of `selu` far below 0; the result is scaled and moved to mean 0
    and variance 1.

    Args:
        rate, noise_shape, seed: as in `Dropout`.

    Source: Klambauer et al., 2017, https://arxiv.org/abs/1706.02515

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.AlphaDropout(0.5)(np.ones((1, 3))).tolist()
    [[1.0, 1.0, 1.0]]
    """

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        self.rate = rate = arguments.share(rate, "AlphaDropout(rate)")
        super().__init__(rate, seed, **kwargs)
        self.noise_shape = noise_shape

    def _disturb(self, inputs):
        shape = _noise_shape(self, inputs)
        kept = random.uniform(shape, seed=self.seed_generator) >= self.rate
        scale = ((1 - self.rate) * (1 + self.rate * _SELU_LIMIT**2)) ** -0.5
        offset = -scale * _SELU_LIMIT * self.rate
        return scale * jnp.where(kept, inputs, _SELU_LIMIT).astype(inputs.dtype) + offset


class ActivityRegularization(Layer):
    """The identity, with ``l1 * sum(|x|) + l2 * sum(x**2)`` per sample added to the losses.

    Args:
        l1, l2: factors of the penalties.

    >>> import numpy as np, stepfit as keras
    >>> layer = keras.layers.ActivityRegularization(l1=0.5)
    >>> _ = layer(np.ones((2, 3)))
    >>> float(layer.losses[0])
    1.5
    """

    def __init__(self, l1=0.0, l2=0.0, **kwargs):
        kwargs.pop("activity_regularizer", None)
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1, self.l2 = l1, l2
        self.supports_masking = True

    def call(self, inputs):
        return inputs

    def get_config(self):
        config = super().get_config()
        config.pop("activity_regularizer", None)
        return config
