"""The base of layers that change images, and what belongs to images: labels, boxes, masks.

A layer's work has two parts. `get_random_transformation` says what will be done, one line per
image (angles, factors, what was flipped); `transform_images`, `transform_bounding_boxes` and
`transform_segmentation_masks` do it, to everything that belongs to an image alike.
"""

import jax
import jax.numpy as jnp

from stepfit import random
from stepfit.core import errors
from stepfit.core.config import standardize_data_format
from stepfit.layers.preprocessing import boxes as box_maths
from stepfit.layers.preprocessing.base import DataLayer, Draws, draw


class BaseImagePreprocessingLayer(DataLayer):
    """Base of image layers: an image, a batch of images, or a dict of what belongs to them.

    The dict has "images", and may have "labels", "bounding_boxes" (a dict of "boxes"
    (batch, count, 4) and "labels" (batch, count)) and "segmentation_masks"; other entries stay as
    they are. Subclasses give `get_random_transformation` if they draw, `transform_images`, and
    what else has to move along. `factor_bounds` is the range of the `factor` argument.

    Args:
        factor: number or pair of numbers, where the layer takes one.
        bounding_box_format: what the four numbers of a box are: "xyxy", "yxyx", "xywh",
            "center_xywh", "center_yxhw", or with "rel_" before it for parts of the image's size.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.
    """

    factor_bounds = (-1.0, 1.0)
    _untracked_names = DataLayer._untracked_names | {"_compiled"}
    _unwatched_names = DataLayer._unwatched_names | {"_compiled"}

    def __init__(self, factor=None, bounding_box_format=None, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.autocast = False  # labels and boxes are none of the compute dtype's business
        self.bounding_box_format = box_maths.check_format(
            bounding_box_format, f"{type(self).__name__}(bounding_box_format)"
        )
        self.data_format = standardize_data_format(data_format)
        self._compiled = None
        if factor is not None:
            self.factor = factor_range(factor, f"{type(self).__name__}(factor)", self.factor_bounds)

    # -- what subclasses give --------------------------------------------------------------------

    def get_random_transformation(self, data, training=True, seed=None):
        """Say what is to be done to each image.

        Args:
            data: images, or a dict with "images".
            training: whether anything random is done.
            seed: None (the layer's own generator), int, `SeedGenerator` or key.

        Returns:
            What the `transform_...` methods take; None for nothing.
        """
        return None

    def transform_images(self, images, transformation=None, training=True):
        """Return a batch of images, transformed."""
        return self._cast(images)

    def transform_labels(self, labels, transformation=None, training=True):
        """Return the labels of a batch; they stay as they are."""
        return labels

    def transform_bounding_boxes(self, bounding_boxes, transformation=None, training=True):
        """Return the boxes of a batch, moved along with the images."""
        return bounding_boxes

    def transform_segmentation_masks(self, segmentation_masks, transformation=None, training=True):
        """Return the masks of a batch, moved along with the images; their dtype stays."""
        return segmentation_masks

    def transform_single_image(self, image, transformation=None, training=True):
        """Return one image, transformed."""
        return self.transform_images(jnp.asarray(image)[None], transformation, training)[0]

    def transform_single_label(self, label, transformation=None, training=True):
        """Return the label of one image."""
        return self.transform_labels(jnp.asarray(label)[None], transformation, training)[0]

    def transform_single_bounding_box(self, bounding_box, transformation=None, training=True):
        """Return the boxes of one image, moved along with it."""
        batch = {k: jnp.asarray(v)[None] for k, v in bounding_box.items()}
        moved = self.transform_bounding_boxes(batch, transformation, training)
        return {k: v[0] for k, v in moved.items()}

    def transform_single_segmentation_mask(
        self, segmentation_mask, transformation=None, training=True
    ):
        """Return the mask of one image, moved along with it."""
        batch = jnp.asarray(segmentation_mask)[None]
        return self.transform_segmentation_masks(batch, transformation, training)[0]

    # -- the call ----------------------------------------------------------------------------------

    def call(self, data, training=True):
        generator = getattr(self, "generator", None)
        key = draw(generator) if training and generator is not None else None
        parts = self._parts(data)
        given = parts if isinstance(data, dict) else parts["images"]
        traced = any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves((given, key)))
        run = self._transform if traced else self._when_alone(parts["images"])
        found = run(given, key, bool(training))
        return {**data, **found} if isinstance(data, dict) else found

    def _when_alone(self, images):
        """Return `_transform`, compiled for the settings as they are now."""
        settings = [v for k, v in vars(self).items() if not k.startswith("_")]
        known = self._compiled
        if known is None or not _same(known[0], settings):
            run = lambda data, key, training: self._transform(data, key, training)
            self._compiled = known = settings, jax.jit(run, static_argnums=2)
        return known[1]

    def _transform(self, data, key, training):
        seed = None if key is None else Draws(key)
        parts = data if isinstance(data, dict) else {"images": data}
        methods = _MANY if jnp.ndim(parts["images"]) == 4 else _ONE
        transformation = self.get_random_transformation(data, training=training, seed=seed)
        found = {}
        for name, value in parts.items():
            method = getattr(self, methods[name])
            found[name] = method(value, transformation=transformation, training=training)
        return found if isinstance(data, dict) else found["images"]

    def _parts(self, data):
        """Return what this layer knows of in its data, as arrays, or raise."""
        where, parts = f"{self._where()} call", data if isinstance(data, dict) else {"images": data}
        if "images" not in parts:
            raise errors.bad_value(where, "a dict with 'images'", errors.describe(parts))
        found = {k: jnp.asarray(v) for k, v in parts.items() if k in _MANY and k not in _BOXES}
        if found["images"].ndim not in (3, 4):
            raise errors.bad_value(
                where, "an image (3 axes) or a batch of images (4 axes)",
                errors.describe(found["images"]),
            )  # fmt: skip
        for name in _BOXES & parts.keys():
            if not self.bounding_box_format:
                raise errors.bad_value(
                    f"{self._where()} bounding_box_format", "the format of the boxes", "None",
                    'make the layer with bounding_box_format="xyxy", or another format',
                )  # fmt: skip
            found[name] = box_maths.dense(parts[name], f"{self._where()} {name}")
        return found

    def __getstate__(self):
        return {**vars(self), "_compiled": None}

    # -- helpers -----------------------------------------------------------------------------------

    def _cast(self, images):
        return jnp.asarray(images, self.compute_dtype)

    def _size(self, data):
        """Return ``(number of images, height, width)`` of images or of a dict with images."""
        shape = jnp.shape(data["images"] if isinstance(data, dict) else data)
        last = self.data_format == "channels_last"
        height, width = shape[-3:-1] if last else shape[-2:]
        return (shape[0] if len(shape) == 4 else 1), height, width

    def _input_shape(self, data):
        return tuple(jnp.shape(data["images"] if isinstance(data, dict) else data))

    def _size_of_shape(self, shape):
        return shape[-3:-1] if self.data_format == "channels_last" else shape[-2:]


_MANY = {
    "images": "transform_images",
    "labels": "transform_labels",
    "bounding_boxes": "transform_bounding_boxes",
    "segmentation_masks": "transform_segmentation_masks",
}
_ONE = {k: v.replace("transform_", "transform_single_").removesuffix("s") for k, v in _MANY.items()}
_ONE["bounding_boxes"] = "transform_single_bounding_box"
_BOXES = {"bounding_boxes"}


def _same(before, now):
    return len(before) == len(now) and all(a is b for a, b in zip(before, now, strict=True))


def factor_range(factor, where, bounds, strict=False, open_below=False):
    """Return ``(lower, upper)`` for a number f, meaning from -f to f, or for a pair.

    Args:
        factor: number or pair; in any order.
        where: name in messages.
        bounds: the range that a number must be in, and a pair must meet.
        strict: whether both numbers of a pair must be in the range.
        open_below: whether the lower bound itself is outside.
    """
    values = factor if isinstance(factor, (tuple, list)) else (factor,)
    whole = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    if not whole or len(values) not in (1, 2):
        raise errors.bad_type(where, "a number or a pair of numbers", errors.describe(factor))
    low, high = min(values), max(values)
    outside = low > bounds[1] or high < bounds[0]
    if len(values) == 1 or strict:
        outside = low < bounds[0] or high > bounds[1] or (open_below and low == bounds[0])
    if outside:
        left = "(" if open_below else "["
        raise errors.bad_value(
            where, f"numbers in {left}{bounds[0]:g}, {bounds[1]:g}]", repr(factor)
        )
    if len(values) == 2:
        return low, high
    return max(-abs(low), bounds[0]), abs(low)


class RandomImageLayer(BaseImagePreprocessingLayer):
    """Base of image layers that draw: `seed` and the generator made of it.

    Args:
        seed: int, or None for other numbers in each run.
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    def _uniform(self, shape, lower, upper, seed):
        return random.uniform(
            shape, lower, upper, dtype="float32", seed=self.generator if seed is None else seed
        )
