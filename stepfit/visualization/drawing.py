"""Boxes and masks drawn on images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stepfit.core import config, errors
from stepfit.utils import optional
from stepfit.utils.bounding_boxes import convert_format


def draw_bounding_boxes(
    images: Any,
    bounding_boxes: Mapping[str, Any],
    bounding_box_format: str,
    class_mapping: Mapping[int, str] | None = None,
    color: Sequence[int] = (128, 128, 128),
    line_thickness: int = 2,
    text_thickness: int | None = 1,
    font_scale: float = 1.0,
    data_format: str | None = None,
) -> np.ndarray:
    """Draw boxes on images, with the names of their classes.

    Args:
        images: batch of images, from 0 to 255, or floats from 0 to 1.
        bounding_boxes: dict with "boxes" ``(batch, count, 4)``, "labels" ``(batch, count)`` (-1: no
            box), and perhaps "confidences" of that shape.
        bounding_box_format: see `utils.bounding_boxes`.
        class_mapping: dict from label to the name written beside the box.
        color: red, green, blue, from 0 to 255.
        line_thickness: width of lines, in pixels.
        text_thickness: width of the strokes of letters, in pixels.
        font_scale: size of letters; 1 makes them some 20 pixels high.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Returns:
        uint8 array ``(batch, height, width, channels)``.
    """
    images = as_images("draw_bounding_boxes(images)", images, data_format)
    if not isinstance(bounding_boxes, Mapping) or not {"boxes", "labels"} <= set(bounding_boxes):
        expected = "a dict with 'boxes' and 'labels'"
        found = errors.describe(bounding_boxes)
        raise errors.bad_value("draw_bounding_boxes(bounding_boxes)", expected, found)
    image = optional.load("PIL.Image", "draw_bounding_boxes", "images")
    draw = optional.load("PIL.ImageDraw", "draw_bounding_boxes", "images")
    fonts = optional.load("PIL.ImageFont", "draw_bounding_boxes", "images")
    height, width = images.shape[1:3]
    boxes = convert_format(bounding_boxes["boxes"], bounding_box_format, "xyxy", height, width)
    boxes = np.asarray(boxes).astype(int)
    labels = np.asarray(bounding_boxes["labels"]).astype(int)
    confidences = bounding_boxes.get("confidences")
    font = fonts.load_default(20 * font_scale)
    bold = max(0, (text_thickness or line_thickness) - 1)
    drawn = []
    for i, pixels in enumerate(as_bytes(images)):
        canvas = image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        fill = tuple(color) if pixels.shape[-1] > 1 else int(np.mean(color))
        pen = draw.Draw(canvas)
        for k, (box, label) in enumerate(zip(boxes[i], labels[i], strict=True)):
            if label == -1:
                continue
            x1, x2 = sorted((int(box[0]), int(box[2])))
            y1, y2 = sorted((int(box[1]), int(box[3])))
            pen.rectangle((x1, y1, x2, y2), outline=fill, width=line_thickness)
            name = (class_mapping or {}).get(int(label))
            if name is not None:
                if confidences is not None:
                    name = f"{name} | {float(confidences[i][k]):.2f}"
                top = y1 - 8 - int(20 * font_scale)
                place = (x1, top) if top > 0 else (x1 + line_thickness + 3, y1 + line_thickness)
                pen.text(place, name, fill=fill, font=font, stroke_width=bold)
        drawn.append(np.asarray(canvas).reshape(pixels.shape))
    return np.stack(drawn)


def draw_segmentation_masks(
    images: Any,
    segmentation_masks: Any,
    num_classes: int | None = None,
    color_mapping: Any = None,
    alpha: float = 0.8,
    blend: bool = True,
    ignore_index: int = -1,
    data_format: str | None = None,
) -> np.ndarray:
    """Paint each pixel of images in the colour of its class.

    Args:
        images: batch of images, from 0 to 255.
        segmentation_masks: integers ``(batch, height, width, 1)``, or channels first.
        num_classes: number of classes; default the largest one there is.
        color_mapping: dict or list from class to red, green, blue.
        alpha: how far the colour hides the image, from 0 to 1.
        blend: whether it is laid over the image; else only painted pixels change, wholly.
        ignore_index: class that is left unpainted.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.

    Returns:
        Array ``(batch, height, width, channels)``, uint8, or float32 without `blend`.
    """
    images = as_images("draw_segmentation_masks(images)", images, data_format).astype("float32")
    where = "draw_segmentation_masks(segmentation_masks)"
    masks = as_images(where, segmentation_masks, data_format)[..., 0]
    if not np.issubdtype(masks.dtype, np.integer):
        raise errors.bad_type(where, "integers", f"dtype {masks.dtype}")
    if num_classes is None:
        num_classes = int(masks.max())
    palette = np.array([2**25 - 1, 2**15 - 1, 2**21 - 1])
    painted = images.copy()
    for i in range(num_classes):
        color = i * palette % 255 if color_mapping is None else color_mapping[i]
        painted[masks == i] = np.asarray(color, "float32")
    if not blend:
        return painted
    mixed = images * (1 - alpha) + painted * alpha
    return np.where((masks != ignore_index)[..., None], mixed, images).astype("uint8")


def as_images(where, images, data_format=None):
    """Return a batch of images as a NumPy array, channels last."""
    images = np.asarray(images)
    if images.ndim != 4:
        expected = "a batch of images, 4 axes"
        raise errors.bad_value(where, expected, f"shape {images.shape}")
    if config.standardize_data_format(data_format) == "channels_first":
        images = images.transpose(0, 2, 3, 1)
    return images


def as_bytes(images):
    """Return images as uint8; floats up to 1 are stretched."""
    if images.dtype.kind == "f" and images.size:
        images = np.clip(images, 0, 1) * 255 if images.max() <= 1 else np.clip(images, 0, 255)
    return images.astype("uint8")
