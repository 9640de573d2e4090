"""Bounding boxes: formats, how far boxes overlap, and boxes as offsets from anchors.

A box is four numbers. "xyxy": left, top, right, bottom; "yxyx": top, left, bottom, right; "xywh":
left, top, width, height; "center_xywh" and "center_yxhw": middle and size. In pixels, or with
"rel_" before the name as parts of the image's width and height.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from stepfit.core import config, errors

__all__ = [
    "clip_to_image_size", "compute_ciou", "compute_iou", "convert_format", "crop",
    "decode_deltas_to_boxes", "encode_box_to_deltas", "pad",
]  # fmt: skip

_TO_XYXY = {
    "xyxy": lambda x1, y1, x2, y2: (x1, y1, x2, y2),
    "yxyx": lambda y1, x1, y2, x2: (x1, y1, x2, y2),
    "xywh": lambda x, y, w, h: (x, y, x + w, y + h),
    "center_xywh": lambda x, y, w, h: (x - w / 2, y - h / 2, x + w / 2, y + h / 2),
    "center_yxhw": lambda y, x, h, w: (x - w / 2, y - h / 2, x + w / 2, y + h / 2),
}
_FROM_XYXY = {
    "xyxy": lambda x1, y1, x2, y2: (x1, y1, x2, y2),
    "yxyx": lambda x1, y1, x2, y2: (y1, x1, y2, x2),
    "xywh": lambda x1, y1, x2, y2: (x1, y1, x2 - x1, y2 - y1),
    "center_xywh": lambda x1, y1, x2, y2: ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1),
    "center_yxhw": lambda x1, y1, x2, y2: ((y1 + y2) / 2, (x1 + x2) / 2, y2 - y1, x2 - x1),
}
FORMATS = (*_TO_XYXY, "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh")


def convert_format(
    boxes: Any,
    source: str,
    target: str,
    height: Any = None,
    width: Any = None,
    dtype: Any = "float32",
) -> Any:
    """Return boxes in another format.

    Args:
        boxes: ``(..., 4)``, or a dict with such an array as "boxes".
        source, target: names of formats.
        height, width: of the image, in pixels; needed between relative and absolute formats.
        dtype: dtype of the result.

    Returns:
        Array ``(..., 4)``, or a new dict.

    >>> import numpy as np, stepfit as keras
    >>> keras.utils.bounding_boxes.convert_format(
    ...     np.array([10, 20, 30, 60]), "xyxy", "center_xywh").tolist()
    [20.0, 40.0, 20.0, 40.0]
    """
    if isinstance(boxes, Mapping):
        made = convert_format(boxes["boxes"], source, target, height, width, dtype)
        return {**boxes, "boxes": made}
    source, target = (_checked(n, v) for n, v in (("source", source), ("target", target)))
    boxes = _boxes("convert_format(boxes)", boxes, dtype)
    relative = [name.startswith("rel_") for name in (source, target)]
    if any(relative) and (height is None or width is None):
        where, fix = "convert_format(height, width)", "pass both"
        expected = "the size of the image for a relative format"
        raise errors.bad_value(where, expected, "None", fix)
    if source == target:
        return boxes
    xyxy = jnp.stack(_TO_XYXY[source.removeprefix("rel_")](*jnp.moveaxis(boxes, -1, 0)), -1)
    if relative[0] != relative[1]:
        unit = jnp.asarray([width, height, width, height], boxes.dtype)
        xyxy = xyxy * unit if relative[0] else xyxy / unit
    return jnp.stack(_FROM_XYXY[target.removeprefix("rel_")](*jnp.moveaxis(xyxy, -1, 0)), -1)


def clip_to_image_size(
    bounding_boxes: Mapping[str, Any],
    height: Any = None,
    width: Any = None,
    bounding_box_format: str = "xyxy",
) -> dict[str, Any]:
    """Cut boxes off at the edges of the image; labels of boxes of which nothing is left become -1.

    Args:
        bounding_boxes: dict with "boxes" ``(..., 4)`` and perhaps "labels" ``(...)``.
        height, width: of the image, for "xyxy".
        bounding_box_format: "xyxy" or "rel_xyxy".

    >>> import numpy as np, stepfit as keras
    >>> boxes = {"boxes": np.array([[-2.0, 1, 5, 20], [9, 9, 12, 12]]), "labels": np.array([3, 4])}
    >>> found = keras.utils.bounding_boxes.clip_to_image_size(boxes, height=8, width=8)
    >>> found["boxes"].tolist(), found["labels"].tolist()
    ([[0.0, 1.0, 5.0, 8.0], [8.0, 8.0, 8.0, 8.0]], [3, -1])
    """
    if bounding_box_format not in ("xyxy", "rel_xyxy"):
        where = "clip_to_image_size(bounding_box_format)"
        raise errors.unknown_name(where, "box format", bounding_box_format, ("xyxy", "rel_xyxy"))
    if bounding_box_format == "rel_xyxy":
        height = width = 1
    elif height is None or width is None:
        where = "clip_to_image_size(height, width)"
        raise errors.bad_value(where, "the size of the image", "None", "pass both")
    given = jnp.asarray(bounding_boxes["boxes"])
    boxes = jnp.clip(given, 0, jnp.asarray([width, height, width, height], given.dtype))
    found = {**bounding_boxes, "boxes": boxes}
    if found.get("labels") is not None:
        labels = jnp.asarray(found["labels"])
        area = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
        found["labels"] = jnp.where(area > 0, labels, jnp.asarray(-1, labels.dtype))
    return found


def crop(
    boxes: Any, top: Any, left: Any, height: Any, width: Any, bounding_box_format: str = "xyxy"
) -> Any:
    """Return where boxes lie in a part of the image, cut off at its edges.

    Args:
        boxes: ``(..., 4)`` as "xyxy".
        top, left, height, width: the part.
        bounding_box_format: "xyxy".
    """
    _only_xyxy("crop", bounding_box_format)
    boxes = jnp.asarray(boxes)
    moved = boxes - jnp.asarray([left, top, left, top], boxes.dtype)
    return jnp.clip(moved, 0, jnp.asarray([width, height, width, height], boxes.dtype))


def pad(
    boxes: Any, top: Any, left: Any, height: Any = None, width: Any = None,
    bounding_box_format: str = "xyxy",
) -> Any:  # fmt: skip
    """Return where boxes lie once the image got a border.

    Args:
        boxes: ``(..., 4)`` as "xyxy".
        top, left: width of the border, in pixels.
        height, width: of the image; change nothing.
        bounding_box_format: "xyxy".
    """
    _only_xyxy("pad", bounding_box_format)
    boxes = jnp.asarray(boxes)
    return boxes + jnp.asarray([left, top, left, top], boxes.dtype)


def compute_iou(
    boxes1: Any, boxes2: Any, bounding_box_format: str, use_masking: bool = False,
    mask_val: float = -1, image_shape: Any = None,
) -> Any:  # fmt: skip
    """Return how far each box of one set overlaps each of another: intersection over union.

    Args:
        boxes1: ``(n, 4)`` or ``(batch, n, 4)``.
        boxes2: ``(m, 4)`` or ``(batch, m, 4)``.
        bounding_box_format: format of both.
        use_masking: whether pairs with a box of which all numbers are negative get `mask_val`.
        mask_val: that value.
        image_shape: ``(height, width, channels)``, for relative formats.

    Returns:
        Array ``(n, m)`` or ``(batch, n, m)``.

    >>> import numpy as np, stepfit as keras
    >>> a, b = np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2], [5, 5, 6, 6]])
    >>> keras.utils.bounding_boxes.compute_iou(a, b, "xyxy").round(3).tolist()
    [[0.3330000042915344, 0.0]]
    """
    for name, boxes in (("boxes1", boxes1), ("boxes2", boxes2)):
        if np.ndim(boxes) not in (2, 3):
            expected = "shape (count, 4) or (batch, count, 4)"
            raise errors.bad_value(f"compute_iou({name})", expected, errors.describe(boxes))
    a, b = (_absolute(x, bounding_box_format, image_shape) for x in (boxes1, boxes2))
    first, second = a[..., :, None, :], b[..., None, :, :]
    size = jnp.minimum(first[..., 2:], second[..., 2:]) - jnp.maximum(
        first[..., :2], second[..., :2]
    )
    shared = jnp.prod(jnp.maximum(size, 0), -1)
    union = _area(a)[..., :, None] + _area(b)[..., None, :] - shared
    found = shared / (union + config.epsilon())
    if not use_masking:
        return found
    masked = [jnp.max(jnp.asarray(x), -1) < 0 for x in (a, b)]
    either = masked[0][..., :, None] | masked[1][..., None, :]
    return jnp.where(either, jnp.asarray(mask_val, found.dtype), found)


def compute_ciou(
    boxes1: Any, boxes2: Any, bounding_box_format: str, image_shape: Any = None
) -> Any:
    """Return the complete IoU of pairs of boxes: overlap, distance of middles, shape.

        iou - distance**2 / diagonal**2 - alpha * v
        v = 4 / pi**2 * (atan(w2 / h2) - atan(w1 / h1))**2,   alpha = v / (1 - iou + v)

    Args:
        boxes1, boxes2: ``(..., 4)``, of one shape.
        bounding_box_format: format of both.
        image_shape: ``(height, width, channels)``, for relative formats.

    Returns:
        Array ``(...)``.

    Source: Z. Zheng et al., Distance-IoU Loss, 2020, https://arxiv.org/abs/1911.08287.
    """
    epsilon = config.epsilon()
    a, b = (_absolute(x, bounding_box_format, image_shape) for x in (boxes1, boxes2))
    size = jnp.minimum(a[..., 2:], b[..., 2:]) - jnp.maximum(a[..., :2], b[..., :2])
    shared = jnp.prod(jnp.maximum(size, 0), -1)
    (w1, h1), (w2, h2) = (jnp.moveaxis(x[..., 2:] - x[..., :2], -1, 0) for x in (a, b))
    h1, h2 = h1 + epsilon, h2 + epsilon
    iou = shared / (w1 * h1 + w2 * h2 - shared + 2 * epsilon)
    around = jnp.maximum(a[..., 2:], b[..., 2:]) - jnp.minimum(a[..., :2], b[..., :2])
    diagonal = jnp.sum(around**2, -1) + epsilon
    middles = [(x[..., :2] + x[..., 2:]) / 2 for x in (a, b)]
    distance = jnp.sum((middles[0] - middles[1]) ** 2, -1)
    v = 4 / math.pi**2 * (jnp.arctan(w2 / h2) - jnp.arctan(w1 / h1)) ** 2
    alpha = v / (v - iou + (1 + epsilon))
    return iou - (distance / diagonal + v * alpha)


def encode_box_to_deltas(
    anchors: Any, boxes: Any, anchor_format: str, box_format: str,
    encoding_format: str = "center_yxhw", variance: Any = None, image_shape: Any = None,
) -> Any:  # fmt: skip
    """Return boxes as offsets from anchors: ``(middle - anchor) / size, log(size / anchor)``.

    Args:
        anchors: ``(..., 4)``.
        boxes: ``(..., 4)``; broadcast against the anchors.
        anchor_format, box_format: their formats.
        encoding_format: "center_yxhw" or "center_xywh": the order of the result.
        variance: four numbers that the result is divided by, or None.
        image_shape: ``(height, width, channels)``, for relative formats.
    """
    size = _check_encoding("encode_box_to_deltas", encoding_format, variance, image_shape)
    anchors = convert_format(anchors, anchor_format, encoding_format, *size)
    boxes = convert_format(boxes, box_format, encoding_format, *size)
    extent, other = (jnp.maximum(x[..., 2:], config.epsilon()) for x in (anchors, boxes))
    moved = (boxes[..., :2] - anchors[..., :2]) / extent
    found = jnp.concatenate([moved, jnp.log(other / extent)], -1)
    return found if variance is None else found / jnp.asarray(variance, "float32")


def decode_deltas_to_boxes(
    anchors: Any, boxes_delta: Any, anchor_format: str, box_format: str,
    encoded_format: str = "center_yxhw", variance: Any = None, image_shape: Any = None,
) -> Any:  # fmt: skip
    """Return the boxes that `encode_box_to_deltas` was given.

    Args:
        anchors, boxes_delta: ``(..., 4)``, or dicts of them with the same keys.
        anchor_format: format of the anchors.
        box_format: format of the result.
        encoded_format, variance, image_shape: as the `encoding_format`, `variance` and
            `image_shape` of `encode_box_to_deltas`.
    """
    size = _check_encoding("decode_deltas_to_boxes", encoded_format, variance, image_shape)

    def decode(anchor, delta):
        anchor = convert_format(anchor, anchor_format, encoded_format, *size)
        if variance is not None:
            delta = delta * jnp.asarray(variance, "float32")
        extent = anchor[..., 2:]
        middle = delta[..., :2] * extent + anchor[..., :2]
        box = jnp.concatenate([middle, jnp.exp(delta[..., 2:]) * extent], -1)
        return convert_format(box, encoded_format, box_format, *size)

    if isinstance(anchors, Mapping) and isinstance(boxes_delta, Mapping):
        return {level: decode(anchor, boxes_delta[level]) for level, anchor in anchors.items()}
    return decode(anchors, jnp.asarray(boxes_delta))


def _checked(argument, name, where="convert_format"):
    if not isinstance(name, str) or name.lower() not in FORMATS:
        raise errors.unknown_name(f"{where}({argument})", "box format", name, FORMATS)
    return name.lower()


def _boxes(where, boxes, dtype):
    shape = np.shape(boxes)
    if not shape or shape[-1] != 4:
        raise errors.bad_value(where, "shape (..., 4)", f"shape {shape}")
    return jnp.asarray(boxes, dtype)


def _size(image_shape):
    return (None, None) if image_shape is None else tuple(image_shape)[:2]


def _absolute(boxes, name, image_shape):
    return convert_format(boxes, name, "xyxy", *_size(image_shape))


def _area(xyxy):
    return jnp.prod(xyxy[..., 2:] - xyxy[..., :2], -1)


def _only_xyxy(where, name):
    if name != "xyxy":
        where = f"{where}(bounding_box_format)"
        raise errors.bad_value(where, "'xyxy'", repr(name), "convert_format makes it of others")


def _check_encoding(where, name, variance, image_shape):
    known = ("center_xywh", "center_yxhw")
    if name not in known:
        argument = "encoding_format" if where.startswith("encode") else "encoded_format"
        raise errors.unknown_name(f"{where}({argument})", "encoding", name, known)
    if variance is not None and np.shape(variance)[-1:] != (4,):
        raise errors.bad_value(f"{where}(variance)", "four numbers", errors.describe(variance))
    return _size(image_shape)
