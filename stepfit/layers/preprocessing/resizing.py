"""`Resizing`: images brought to one size."""

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import dtypes, errors
from stepfit.layers import arguments
from stepfit.layers.preprocessing import boxes as box_maths
from stepfit.layers.preprocessing.image_base import BaseImagePreprocessingLayer
from stepfit.ops import image, resampling


class Resizing(BaseImagePreprocessingLayer):
    """Brings images to one size, in inference and training alike.

    Args:
        height, width: the size to come to.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        crop_to_aspect_ratio: cut the middle out, so that nothing is distorted.
        pad_to_aspect_ratio: add a border of `fill_value`, so that nothing is distorted.
        fill_mode: "constant".
        fill_value: number.
        antialias: whether images are smoothed before they are made smaller.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Output: (batch, height, width, channels); floats in the compute dtype, integers as they came.

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Resizing(1, 4)(np.array([[[0], [9]]], "uint8")).ravel().tolist()
    [0, 2, 7, 9]
    """

    def __init__(
        self, height, width, interpolation="bilinear", crop_to_aspect_ratio=False,
        pad_to_aspect_ratio=False, fill_mode="constant", fill_value=0.0, antialias=False,
        data_format=None, **kwargs,
    ):  # fmt: skip
        super().__init__(data_format=data_format, **kwargs)
        self.height = arguments.positive_int(height, "Resizing(height)")
        self.width = arguments.positive_int(width, "Resizing(width)")
        self.interpolation = image.one_of(
            interpolation, image.INTERPOLATIONS, "Resizing(interpolation)", "interpolation"
        )
        self.fill_mode = image.one_of(fill_mode, ("constant",), "Resizing(fill_mode)", "fill mode")
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            where = "Resizing(crop_to_aspect_ratio, pad_to_aspect_ratio)"
            raise errors.bad_value(where, "at most one of them", "both")
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        self.pad_to_aspect_ratio = pad_to_aspect_ratio
        self.fill_value, self.antialias = fill_value, bool(antialias)

    def _when_alone(self, images):
        # Single images come in many sizes, and XLA would take half a second for each.
        by_numpy = images.ndim == 3 and not self.antialias and _is_on_cpu(images)
        return self._transform if by_numpy else super()._when_alone(images)

    def get_random_transformation(self, data, training=True, seed=None):
        """Return the (height, width) that images come with."""
        return self._size(data)[1:]

    def transform_images(self, images, transformation=None, training=True):
        """Return images of the layer's size."""
        if dtypes.is_float(images.dtype):
            images = self._cast(images)
        return self._resized(images, self.interpolation)

    def transform_single_image(self, image, transformation=None, training=True):
        """Return an image of the layer's size."""
        return self.transform_images(image, transformation, training)

    def transform_single_segmentation_mask(
        self, segmentation_mask, transformation=None, training=True
    ):
        """Return a mask of the layer's size, by the nearest pixel."""
        return self.transform_segmentation_masks(segmentation_mask, transformation, training)

    def transform_segmentation_masks(self, segmentation_masks, transformation=None, training=True):
        """Return masks of the layer's size, by the nearest pixel."""
        return self._resized(segmentation_masks, "nearest")

    def _resized(self, images, interpolation):
        if images.ndim == 3 and not self.antialias and _is_on_cpu(images):
            return self._resized_by_numpy(np.asarray(images), interpolation)
        return image.resize(
            images, (self.height, self.width), interpolation, self.antialias,
            self.crop_to_aspect_ratio, self.pad_to_aspect_ratio, self.fill_mode, self.fill_value,
            self.data_format,
        )  # fmt: skip

    def _resized_by_numpy(self, image, interpolation):
        first = self.data_format == "channels_first"
        fit = "crop" if self.crop_to_aspect_ratio else "pad" if self.pad_to_aspect_ratio else None
        found = resampling.resize(
            np.moveaxis(image, 0, -1) if first else image, (self.height, self.width),
            interpolation, fit, self.fill_value,
        )  # fmt: skip
        return jnp.asarray(np.moveaxis(found, -1, 0) if first else found)

    def transform_bounding_boxes(self, bounding_boxes, transformation=None, training=True):
        """Return boxes for the new size; those that are all 0 or all -1 (none) become 0."""
        boxes = bounding_boxes["boxes"]
        none = (boxes == -1).all(-1, keepdims=True) | (boxes == 0).all(-1, keepdims=True)

        def move(xyxy):
            return jnp.where(none, 0, self._moved(xyxy, *transformation))

        return box_maths.moved(
            bounding_boxes, self.bounding_box_format, transformation, (self.height, self.width),
            move,
        )  # fmt: skip

    def _moved(self, xyxy, height, width):
        tall, wide = self.height / height, self.width / width
        if self.pad_to_aspect_ratio:
            tall = wide = min(tall, wide)
        elif self.crop_to_aspect_ratio:
            tall = wide = max(tall, wide)
        down, right = (self.height - height * tall) / 2, (self.width - width * wide) / 2
        if self.pad_to_aspect_ratio:  # whole pixels, as Keras counts them
            down, right = down // 1, right // 1
        elif self.crop_to_aspect_ratio:
            down, right = -(-down // 1), -(-right // 1)
        return xyxy * jnp.asarray([wide, tall, wide, tall]) + jnp.asarray(
            [right, down, right, down]
        )


def _is_on_cpu(x):
    return not isinstance(x, jax.core.Tracer) and all(d.platform == "cpu" for d in x.devices())
