"""Layers that turn, zoom and shift images: each pixel of the output looks at another place."""

import math

import jax.numpy as jnp

from stepfit.layers.preprocessing import boxes as box_maths
from stepfit.layers.preprocessing.image_base import RandomImageLayer, factor_range
from stepfit.ops import image

_FILL_MODES = ("reflect", "wrap", "constant", "nearest")


class _Affine(RandomImageLayer):
    """Base: subclasses draw, and say in `_matrix` where in the input an output pixel looks."""

    def __init__(self, fill_mode, interpolation, fill_value, **kwargs):
        super().__init__(**kwargs)
        cls = type(self).__name__
        self.fill_mode = image.one_of(fill_mode, _FILL_MODES, f"{cls}(fill_mode)", "fill mode")
        self.interpolation = image.one_of(
            interpolation, ("nearest", "bilinear"), f"{cls}(interpolation)", "interpolation"
        )
        self.fill_value = fill_value

    def _matrix(self, transformation, height, width):
        """Return float32 (batch, 8) for `ops.image.affine_transform`."""
        raise NotImplementedError

    def _moved(self, images, transformation, training, interpolation):
        if not training or transformation is None:
            return images
        return image.affine_transform(
            images, self._matrix(transformation, *self._size_of_shape(images.shape)),
            interpolation, self.fill_mode, self.fill_value, self.data_format,
        )  # fmt: skip

    def transform_images(self, images, transformation=None, training=True):
        """Return the images, moved."""
        return self._moved(self._cast(images), transformation, training, self.interpolation)

    def transform_segmentation_masks(self, segmentation_masks, transformation=None, training=True):
        """Return the masks, moved with their images, by the nearest pixel."""
        masks = jnp.asarray(segmentation_masks)
        return self._moved(masks, transformation, training, "nearest")

    def transform_bounding_boxes(self, bounding_boxes, transformation=None, training=True):
        """Return the boxes around the moved corners of the boxes."""
        if not training or transformation is None:
            return bounding_boxes
        size = self._size_of_shape(transformation["input_shape"])
        matrix = jnp.atleast_2d(self._matrix(transformation, *size))
        a0, a1, a2, b0, b1, b2 = (part[:, None, None] for part in matrix.T[:6])
        area = a0 * b1 - a1 * b0

        def move(xyxy):  # the inverse: from where a pixel is looked at to where it is seen
            return box_maths.corners_moved(
                xyxy,
                lambda x, y: (b1 * (x - a2) - a1 * (y - b2)) / area,
                lambda x, y: (a0 * (y - b2) - b0 * (x - a2)) / area,
            )

        return box_maths.moved(bounding_boxes, self.bounding_box_format, size, size, move)


def _rows(a0, a1, a2, b0, b1, b2):
    parts = jnp.broadcast_arrays(a0, a1, a2, b0, b1, b2, 0.0, 0.0)
    return jnp.stack([p.reshape(-1).astype("float32") for p in parts], -1)


class RandomRotation(_Affine):
    """In training turns each image around its middle by an angle drawn for it.

    Args:
        factor: the angle, in full turns: number f for angles from -f to f, or a pair (lower,
            upper); positive is counter-clockwise. In [-1, 1].
        fill_mode: what comes in from outside: "reflect", "wrap", "constant" or "nearest".
        interpolation: "bilinear" or "nearest".
        seed: int, or None for other numbers in each run.
        fill_value: number, for "constant".
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Output: the inputs' shape, in the compute dtype.

    >>> import numpy as np, stepfit as keras
    >>> quarter = keras.layers.RandomRotation((0.25, 0.25), interpolation="nearest")
    >>> quarter(np.array([[[1.0], [2.0]], [[3.0], [4.0]]]), training=True)[..., 0].tolist()
    [[2.0, 4.0], [1.0, 3.0]]
    """

    def __init__(
        self, factor, fill_mode="reflect", interpolation="bilinear", seed=None, fill_value=0.0,
        data_format=None, **kwargs,
    ):  # fmt: skip
        super().__init__(
            fill_mode, interpolation, fill_value, factor=factor, seed=seed,
            data_format=data_format, **kwargs,
        )  # fmt: skip

    def get_random_transformation(self, data, training=True, seed=None):
        """Return the angles in degrees, (batch,), and the matrices that turn by them."""
        if not training:
            return None
        count, height, width = self._size(data)
        lower, upper = self.factor
        angle = self._uniform((count,), lower * 360.0, upper * 360.0, seed)
        matrix = self._turn(angle, height, width)
        shape = self._input_shape(data)
        return {
            "angle": angle, "rotation_matrix": matrix if len(shape) == 4 else matrix[0],
            "image_height": height, "image_width": width, "batch_size": count,
            "input_shape": shape,
        }  # fmt: skip

    @staticmethod
    def _turn(angle, height, width):
        radians = angle * (math.pi / 180)
        cos, sin = jnp.cos(radians), jnp.sin(radians)
        x, y = (width - 1) / 2, (height - 1) / 2
        return _rows(cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos)

    def _matrix(self, transformation, height, width):
        return transformation["rotation_matrix"]


class RandomZoom(_Affine):
    """In training zooms each image by a factor drawn for it, around its middle.

    Args:
        height_factor: how much larger the part of the image is that is seen: number f for parts
            from -f to f, or a pair. 0.2 to 0.3 zooms out by 20 to 30 %, (-0.3, -0.2) zooms in.
            In (-1, 1].
        width_factor: the same for the width; None keeps the image's proportions.
        fill_mode: what comes in from outside: "reflect", "wrap", "constant" or "nearest".
        interpolation: "bilinear" or "nearest".
        seed: int, or None for other numbers in each run.
        fill_value: number, for "constant".
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Output: the inputs' shape, in the compute dtype.

    >>> import numpy as np, stepfit as keras
    >>> zoom = keras.layers.RandomZoom((-0.5, -0.5), fill_mode="nearest")
    >>> zoom(np.arange(3.0).reshape(1, 3, 1), training=True).ravel().tolist()
    [0.5, 1.0, 1.5]
    """

    def __init__(
        self, height_factor, width_factor=None, fill_mode="reflect", interpolation="bilinear",
        seed=None, fill_value=0.0, data_format=None, **kwargs,
    ):  # fmt: skip
        super().__init__(
            fill_mode, interpolation, fill_value, seed=seed, data_format=data_format, **kwargs
        )
        how = {"bounds": (-1.0, 1.0), "strict": True, "open_below": True}
        self.height_factor, self.width_factor = height_factor, width_factor
        self.height_range = factor_range(height_factor, "RandomZoom(height_factor)", **how)
        self.width_range = None
        if width_factor is not None:
            self.width_range = factor_range(width_factor, "RandomZoom(width_factor)", **how)

    def get_random_transformation(self, data, training=True, seed=None):
        """Return "height_zoom" and "width_zoom", (batch, 1): sizes of the part that is seen."""
        if not training:
            return None
        shape = (self._size(data)[0], 1)
        lower, upper = self.height_range
        tall = wide = self._uniform(shape, 1 + lower, 1 + upper, seed)
        if self.width_range is not None:
            lower, upper = self.width_range
            wide = self._uniform(shape, 1 + lower, 1 + upper, seed)
        return {"height_zoom": tall, "width_zoom": wide, "input_shape": self._input_shape(data)}

    def _matrix(self, transformation, height, width):
        tall, wide = transformation["height_zoom"], transformation["width_zoom"]
        x, y = (width - 1) / 2 * (1 - wide), (height - 1) / 2 * (1 - tall)
        return _rows(wide, 0.0, x, 0.0, tall, y)


class RandomTranslation(_Affine):
    """In training shifts each image by parts of its size drawn for it.

    Args:
        height_factor: shift downwards as a part of the height: number f for shifts from -f to f,
            or a pair. In [-1, 1].
        width_factor: the same to the right, as a part of the width.
        fill_mode: what comes in from outside: "reflect", "wrap", "constant" or "nearest".
        interpolation: "bilinear" or "nearest".
        seed: int, or None for other numbers in each run.
        fill_value: number, for "constant".
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Output: the inputs' shape, in the compute dtype.

    >>> import numpy as np, stepfit as keras
    >>> right = keras.layers.RandomTranslation(0, (0.25, 0.25), fill_mode="constant")
    >>> right(np.arange(1.0, 5).reshape(1, 4, 1), training=True).ravel().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """

    def __init__(
        self, height_factor, width_factor, fill_mode="reflect", interpolation="bilinear",
        seed=None, fill_value=0.0, data_format=None, **kwargs,
    ):  # fmt: skip
        super().__init__(
            fill_mode, interpolation, fill_value, seed=seed, data_format=data_format, **kwargs
        )
        how = {"bounds": (-1.0, 1.0), "strict": True}
        self.height_factor, self.width_factor = height_factor, width_factor
        self.height_range = factor_range(height_factor, "RandomTranslation(height_factor)", **how)
        self.width_range = factor_range(width_factor, "RandomTranslation(width_factor)", **how)

    def get_random_transformation(self, data, training=True, seed=None):
        """Return the shifts in pixels: "translations", (batch, 2) of x and y."""
        if not training:
            return None
        count, height, width = self._size(data)
        (top, bottom), (left, right) = self.height_range, self.width_range
        down = self._uniform((count, 1), top, bottom, seed) * height
        right = self._uniform((count, 1), left, right, seed) * width
        shifts = jnp.concatenate([right, down], 1)
        return {"translations": shifts, "input_shape": self._input_shape(data)}

    def _matrix(self, transformation, height, width):
        shifts = transformation["translations"]
        return _rows(1.0, 0.0, -shifts[:, :1], 0.0, 1.0, -shifts[:, 1:])
