"""`RandomFlip`: images mirrored by chance."""

import jax.numpy as jnp

from stepfit.layers.preprocessing import boxes as box_maths
from stepfit.layers.preprocessing.image_base import RandomImageLayer
from stepfit.ops.image import one_of
from stepfit.ops.image_filters import spatial_axes

MODES = ("horizontal", "vertical", "horizontal_and_vertical")


class RandomFlip(RandomImageLayer):
    """In training mirrors each image with probability 1/2; else leaves images alone.

    Args:
        mode: "horizontal" (left becomes right), "vertical", or "horizontal_and_vertical" (both
            at once, or neither).
        seed: int, or None for other numbers in each run.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Output: the inputs' shape, in the compute dtype.

    >>> import numpy as np, stepfit as keras
    >>> x = np.arange(2.0).reshape(1, 1, 2, 1).repeat(50, axis=0)
    >>> y = keras.layers.RandomFlip("horizontal", seed=1)(x, training=True)
    >>> sorted({tuple(row) for row in y[:, 0, :, 0].tolist()})
    [(0.0, 1.0), (1.0, 0.0)]
    """

    def __init__(self, mode="horizontal_and_vertical", seed=None, data_format=None, **kwargs):
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.mode = one_of(mode, MODES, "RandomFlip(mode)", "mode")

    def get_random_transformation(self, data, training=True, seed=None):
        """Return which images are flipped: "flips", bool (batch, 1, 1, 1)."""
        if not training:
            return None
        shape = self._input_shape(data)
        flips = self._uniform((*shape[:-3], 1, 1, 1), 0.0, 1.0, seed) <= 0.5
        return {"flips": flips, "input_shape": shape}

    def transform_images(self, images, transformation=None, training=True):
        """Return the images, some of them mirrored."""
        return self._flipped(self._cast(images), transformation, training)

    def transform_segmentation_masks(self, segmentation_masks, transformation=None, training=True):
        """Return the masks, mirrored with their images."""
        return self._flipped(jnp.asarray(segmentation_masks), transformation, training)

    def _flipped(self, images, transformation, training):
        if not training or transformation is None:
            return images
        axes = dict(zip(("vertical", "horizontal"), spatial_axes(self.data_format), strict=True))
        mirrored = jnp.flip(images, [axis for name, axis in axes.items() if name in self.mode])
        return jnp.where(transformation["flips"], mirrored, images)

    def transform_bounding_boxes(self, bounding_boxes, transformation=None, training=True):
        """Return the boxes, mirrored with their images."""
        if not training or transformation is None:
            return bounding_boxes
        height, width = size = self._size_of_shape(transformation["input_shape"])
        flips = jnp.reshape(transformation["flips"], (-1, 1, 1))

        def move(xyxy):
            x1, y1, x2, y2 = jnp.moveaxis(xyxy, -1, 0)
            if "horizontal" in self.mode:
                x1, x2 = width - x2, width - x1
            if "vertical" in self.mode:
                y1, y2 = height - y2, height - y1
            return jnp.where(flips, jnp.stack([x1, y1, x2, y2], -1), xyxy)

        return box_maths.moved(bounding_boxes, self.bounding_box_format, size, size, move)
