"""Layers that change brightness and contrast by chance."""

import jax.numpy as jnp

from stepfit.core import errors
from stepfit.layers.preprocessing.image_base import RandomImageLayer
from stepfit.ops.image_filters import spatial_axes


class _Color(RandomImageLayer):
    """Base: the range of the images' values, to which results are clipped."""

    def __init__(self, value_range, **kwargs):
        super().__init__(**kwargs)
        pair = isinstance(value_range, (tuple, list)) and len(value_range) == 2
        if not pair or not value_range[0] < value_range[1]:
            raise errors.bad_value(
                f"{type(self).__name__}(value_range)", "a pair of numbers (low, high)",
                repr(value_range),
            )  # fmt: skip
        self.value_range = value_range

    def _one_each(self, data, lower, upper, seed):
        """Draw a number for each image, shaped so that it broadcasts to the images."""
        return self._uniform((*self._input_shape(data)[:-3], 1, 1, 1), lower, upper, seed)


class RandomBrightness(_Color):
    """In training adds to each image a number drawn for it, the same to all channels.

    Args:
        factor: how much, as a part of the `value_range`: number f for parts from -f to f, or a
            pair; -1 is black, 1 is white. In [-1, 1].
        value_range: (low, high) of the images' values; results are clipped to it.
        seed: int, or None for other numbers in each run.

    Output: the inputs' shape, in the compute dtype.

    >>> import numpy as np, stepfit as keras
    >>> brighter = keras.layers.RandomBrightness((0.1, 0.1), value_range=(0, 1))
    >>> brighter(np.array([[[0.5], [0.95]]]), training=True).round(3).ravel().tolist()
    [0.6000000238418579, 1.0]
    """

    def __init__(self, factor, value_range=(0, 255), seed=None, **kwargs):
        super().__init__(value_range, factor=factor, seed=seed, **kwargs)

    def get_random_transformation(self, data, training=True, seed=None):
        """Return what is added to each image: "rgb_delta", (batch, 1, 1, 1)."""
        if not training:
            return None
        (lower, upper), (low, high) = self.factor, self.value_range
        return {"rgb_delta": self._one_each(data, lower, upper, seed) * (high - low)}

    def transform_images(self, images, transformation=None, training=True):
        """Return the images, brighter or darker."""
        images = self._cast(images)
        if not training or transformation is None:
            return images
        delta = jnp.asarray(transformation["rgb_delta"]).astype(images.dtype)
        return jnp.clip(images + delta, *self.value_range)


class RandomContrast(_Color):
    """In training scales each image's distance from its channels' means by a number drawn for it.

    Args:
        factor: a pair (lower, upper): the scale is drawn from ``[1 - lower, 1 + upper]``. A number
            f stands for (0, f), as in Keras. Numbers in [0, 1].
        value_range: (low, high) of the images' values; results are clipped to it.
        seed: int, or None for other numbers in each run.

    Output: the inputs' shape, in the compute dtype.

    >>> import numpy as np, stepfit as keras
    >>> more = keras.layers.RandomContrast((-0.5, 0.5))
    >>> more(np.array([[[100.0], [200.0]]]), training=True).ravel().tolist()
    [75.0, 225.0]
    """

    factor_bounds = (0.0, 1.0)

    def __init__(self, factor, value_range=(0, 255), seed=None, **kwargs):
        super().__init__(value_range, factor=factor, seed=seed, **kwargs)

    def get_random_transformation(self, data, training=True, seed=None):
        """Return the scale of each image: "contrast_factor", (batch, 1, 1, 1)."""
        if not training:
            return None
        lower, upper = self.factor
        return {"contrast_factor": self._one_each(data, 1 - lower, 1 + upper, seed)}

    def transform_images(self, images, transformation=None, training=True):
        """Return the images, with more or less contrast."""
        images = self._cast(images)
        if not training or transformation is None:
            return images
        scale = jnp.asarray(transformation["contrast_factor"]).astype(images.dtype)
        mean = jnp.mean(images, spatial_axes(self.data_format), keepdims=True)
        return jnp.clip((images - mean) * scale + mean, *self.value_range)
