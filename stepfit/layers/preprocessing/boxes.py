"""Bounding boxes: their formats, and what happens to them when an image is moved or cut.

Inside the layers a box is "xyxy": left, top, right, bottom, in pixels, float32.
"""

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import errors
from stepfit.utils.bounding_boxes import FORMATS
from stepfit.utils.bounding_boxes import convert_format as convert


def check_format(name, where):
    """Return the name of a format in lower case, or raise suggesting the nearest one."""
    if name is None:
        return None
    if not isinstance(name, str) or name.lower() not in FORMATS:
        raise errors.unknown_name(where, "box format", name, FORMATS)
    return name.lower()


def moved(bounding_boxes, fmt, size, new_size, move):
    """Apply `move` to boxes as "xyxy", clip them to the new image and mark those that left it.

    Args:
        bounding_boxes: dict of "boxes" (..., 4) and perhaps "labels" (...), or one-hot labels.
        fmt: format of the boxes.
        size, new_size: (height, width) of the image before and after.
        move: function of "xyxy" boxes.

    Returns:
        The dict with new boxes; labels of boxes without any area left are -1.
    """
    xyxy = move(convert(bounding_boxes["boxes"], fmt, "xyxy", *size))
    height, width = new_size
    limit = jnp.asarray([width, height, width, height], xyxy.dtype)
    xyxy = jnp.clip(xyxy, 0, limit)
    found = {**bounding_boxes, "boxes": convert(xyxy, "xyxy", fmt, height, width)}
    labels = bounding_boxes.get("labels")
    if labels is not None:
        seen = (xyxy[..., 2] > xyxy[..., 0]) & (xyxy[..., 3] > xyxy[..., 1])
        labels = jnp.asarray(labels)
        seen = seen.reshape(seen.shape + (1,) * (labels.ndim - seen.ndim))
        found["labels"] = jnp.where(seen, labels, jnp.asarray(-1, labels.dtype))
    return found


def corners_moved(xyxy, x_of, y_of):
    """Return the boxes around the four corners of boxes (..., 4), moved by two functions."""
    x1, y1, x2, y2 = jnp.moveaxis(xyxy, -1, 0)
    x, y = jnp.stack([x1, x2, x2, x1], -1), jnp.stack([y1, y1, y2, y2], -1)
    x, y = x_of(x, y), y_of(x, y)
    return jnp.stack([x.min(-1), y.min(-1), x.max(-1), y.max(-1)], -1)


def dense(bounding_boxes, where):
    """Return boxes as arrays; lists of unequal length are filled up with zeros, labels with -1."""
    if not isinstance(bounding_boxes, dict) or not {"boxes", "labels"} <= bounding_boxes.keys():
        raise errors.bad_value(
            where, "a dict with 'boxes' and 'labels'", errors.describe(bounding_boxes)
        )
    boxes, labels = bounding_boxes["boxes"], bounding_boxes["labels"]
    if isinstance(boxes, (list, tuple)) and not _are_numbers(boxes):
        boxes, labels = _filled(boxes, 0.0, (4,)), _filled(labels, -1, ())
    boxes, labels = jnp.asarray(boxes, "float32"), jnp.asarray(labels)
    if boxes.ndim not in (2, 3) or boxes.shape[-1] != 4:
        raise errors.bad_value(
            f"{where}['boxes']", "shape (count, 4) or (batch, count, 4)", errors.describe(boxes)
        )
    if labels.shape[: boxes.ndim - 1] != boxes.shape[:-1]:
        raise errors.bad_value(
            f"{where}['labels']", f"shape {boxes.shape[:-1]}, a label for each box",
            errors.describe(labels),
        )  # fmt: skip
    return {**bounding_boxes, "boxes": boxes, "labels": labels}


def _are_numbers(boxes):
    """Say whether a nested list holds one image's boxes: numbers two levels down."""
    return bool(len(boxes)) and all(np.ndim(b) == 1 for b in boxes)


def _filled(lists, fill, tail):
    if any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(lists)):
        lists = [jnp.asarray(x) for x in lists]
    longest = max((len(x) for x in lists), default=0)
    rows = []
    for x in lists:
        x = jnp.asarray(x) if len(x) else jnp.full((0, *tail), fill)
        rows.append(jnp.pad(x, [(0, longest - len(x))] + [(0, 0)] * (x.ndim - 1),
                            constant_values=fill))  # fmt: skip
    return jnp.stack(rows)
