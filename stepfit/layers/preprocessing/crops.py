"""Layers that cut a part out of images: the middle, or a place drawn by chance."""

import jax
import jax.numpy as jnp

from stepfit.layers import arguments
from stepfit.layers.preprocessing import boxes as box_maths
from stepfit.layers.preprocessing.image_base import BaseImagePreprocessingLayer, RandomImageLayer
from stepfit.ops import image
from stepfit.ops.image_filters import spatial_axes
from stepfit.ops.resampling import crop_to_ratio


class _Crop(BaseImagePreprocessingLayer):
    """Base: images of one size come out, whatever came in."""

    def _set_size(self, height, width):
        cls = type(self).__name__
        self.height = arguments.positive_int(height, f"{cls}(height)")
        self.width = arguments.positive_int(width, f"{cls}(width)")

    def _is_larger(self, height, width):
        return height >= self.height and width >= self.width

    def _cut(self, images, top, left):
        rows, columns = (axis % images.ndim for axis in spatial_axes(self.data_format))
        images = jax.lax.dynamic_slice_in_dim(images, top, self.height, rows)
        return jax.lax.dynamic_slice_in_dim(images, left, self.width, columns)

    def _fitted(self, images, interpolation="bilinear"):
        """Resize the largest centred part of the layer's ratio; integers are rounded."""
        return image.resize(images, (self.height, self.width), interpolation,
                            crop_to_aspect_ratio=True, data_format=self.data_format)  # fmt: skip

    def _boxes_cut(self, bounding_boxes, size, top, left):
        shift = jnp.stack([jnp.asarray(v, "float32") for v in (left, top, left, top)])
        return box_maths.moved(
            bounding_boxes, self.bounding_box_format, size, (self.height, self.width),
            lambda xyxy: xyxy - shift,
        )  # fmt: skip

    def _boxes_fitted(self, bounding_boxes, size):
        tall, wide = size
        top, left, height, width = crop_to_ratio(tall, wide, self.height, self.width)
        scale = jnp.asarray([self.width / width, self.height / height] * 2, "float32")
        shift = jnp.asarray([left, top, left, top], "float32")
        return box_maths.moved(
            bounding_boxes, self.bounding_box_format, size, (self.height, self.width),
            lambda xyxy: (xyxy - shift) * scale,
        )  # fmt: skip


class CenterCrop(_Crop):
    """Cuts the middle out of images; smaller ones are resized, without distortion, and cut.

    Args:
        height, width: the size to come to.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Output: (batch, height, width, channels) in the compute dtype.

    >>> import numpy as np, stepfit as keras
    >>> x = np.arange(4.0).reshape(1, 4, 1)
    >>> keras.layers.CenterCrop(1, 2)(x).ravel().tolist()
    [1.0, 2.0]
    """

    def __init__(self, height, width, data_format=None, **kwargs):
        super().__init__(data_format=data_format, **kwargs)
        self._set_size(height, width)

    def get_random_transformation(self, data, training=True, seed=None):
        """Return the shape that images come with."""
        return {"input_shape": self._input_shape(data)}

    def _start(self, shape):
        height, width = self._size_of_shape(shape)
        return (height - self.height) // 2, (width - self.width) // 2

    def transform_images(self, images, transformation=None, training=True):
        """Return the middle of the images."""
        images = self._cast(images)
        if self._is_larger(*self._size_of_shape(images.shape)):
            return self._cut(images, *self._start(images.shape))
        return self._fitted(images)

    def transform_segmentation_masks(self, segmentation_masks, transformation=None, training=True):
        """Return the middle of the masks."""
        masks = jnp.asarray(segmentation_masks)
        if self._is_larger(*self._size_of_shape(masks.shape)):
            return self._cut(masks, *self._start(masks.shape))
        return self._fitted(masks, "nearest")

    def transform_bounding_boxes(self, bounding_boxes, transformation=None, training=True):
        """Return boxes as they lie in the middle of the images."""
        shape = transformation["input_shape"]
        size = self._size_of_shape(shape)
        if self._is_larger(*size):
            return self._boxes_cut(bounding_boxes, size, *self._start(shape))
        return self._boxes_fitted(bounding_boxes, size)


class RandomCrop(_Crop, RandomImageLayer):
    """Cuts a part of one size out of images, at one place drawn for each call (each batch).

    In inference, and for images that are smaller than the part, it resizes the largest centred
    part of the wanted ratio. So the output's size is the same always. To have a place for each
    image, map the layer over a dataset before batching.

    Args:
        height, width: the size to come to.
        seed: int, or None for other places in each run.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Output: (batch, height, width, channels) in the compute dtype.

    >>> import numpy as np, stepfit as keras
    >>> crop = keras.layers.RandomCrop(4, 4, seed=1)
    >>> crop(np.ones((2, 8, 8, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    def __init__(self, height, width, seed=None, data_format=None, name=None, **kwargs):
        super().__init__(seed=seed, data_format=data_format, name=name, **kwargs)
        self._set_size(height, width)

    def get_random_transformation(self, data, training=True, seed=None):
        """Return where the part lies, "top" and "left" (None: images are resized instead)."""
        _, height, width = self._size(data)
        found = {"top": None, "left": None, "input_shape": self._input_shape(data)}
        if training and self._is_larger(height, width):
            for name, spare in (("top", height - self.height), ("left", width - self.width)):
                place = self._uniform((), 0.0, float(spare + 1), seed)
                found[name] = jnp.minimum(place.astype("int32"), spare)
        return found

    def _place(self, transformation):
        if isinstance(transformation, (tuple, list)):  # as Keras gives it: (top, left)
            return (*transformation, (self.height, self.width))
        shape = transformation["input_shape"]
        return transformation["top"], transformation["left"], self._size_of_shape(shape)

    def transform_images(self, images, transformation=None, training=True):
        """Return the part of the images."""
        images, (top, left, _) = self._cast(images), self._place(transformation)
        return self._fitted(images) if top is None else self._cut(images, top, left)

    def transform_segmentation_masks(self, segmentation_masks, transformation=None, training=True):
        """Return the part of the masks."""
        masks, (top, left, _) = jnp.asarray(segmentation_masks), self._place(transformation)
        return self._fitted(masks, "nearest") if top is None else self._cut(masks, top, left)

    def transform_bounding_boxes(self, bounding_boxes, transformation=None, training=True):
        """Return boxes as they lie in the part."""
        top, left, size = self._place(transformation)
        if top is None:
            return self._boxes_fitted(bounding_boxes, size)
        return self._boxes_cut(bounding_boxes, size, top, left)
