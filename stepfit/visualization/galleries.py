"""Images side by side, as they are, with boxes, or beside their masks."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stepfit.core import config, errors
from stepfit.utils import optional
from stepfit.visualization.drawing import (
    as_images,
    draw_bounding_boxes,
    draw_segmentation_masks,
)


def plot_image_gallery(
    images: Any,
    y_true: Any = None,
    y_pred: Any = None,
    label_map: Mapping[int, str] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    value_range: tuple[float, float] = (0, 255),
    scale: float = 2,
    path: Any = None,
    show: bool | None = None,
    transparent: bool = True,
    dpi: int = 60,
    legend_handles: Any = None,
    data_format: str | None = None,
) -> None:
    """Show images side by side, or write them to a file.

    Args:
        images: batch of images.
        y_true, y_pred: labels and predicted labels, ``(batch,)``, for the titles.
        label_map: dict from label to name, for them.
        rows, cols: of the gallery; default about a square.
        value_range: the values that stand for black and white.
        scale: inches per image.
        path: file to write; None: show it.
        show: whether to show it; default if there is no `path`.
        transparent: whether the ground of the file is transparent.
        dpi: dots per inch of the file.
        legend_handles: Matplotlib's handles, for a legend.
        data_format: "channels_last" or "channels_first"; default `config.image_data_format()`.
    """
    if path is not None and show:
        raise errors.bad_value("plot_image_gallery(path, show)", "one of them", "both")
    if label_map is None and not (y_true is None and y_pred is None):
        expected = "a dict from label to name"
        raise errors.bad_value("plot_image_gallery(label_map)", expected, "None")
    pyplot = optional.load("matplotlib.pyplot", "plot_image_gallery", "plot")
    images = as_images("plot_image_gallery(images)", images, data_format)
    count = len(images)
    if rows is None:
        rows = math.ceil(count / cols) if cols else math.ceil(math.sqrt(count))
    cols = cols or math.ceil(count / rows)
    low, high = value_range
    pixels = np.clip((images.astype("float32") - low) * (255 / (high - low)), 0, 255)
    figure, axes = pyplot.subplots(
        rows, cols, figsize=(cols * scale, rows * scale), frameon=False, layout="tight",
        squeeze=False,
    )  # fmt: skip
    if legend_handles is not None:
        figure.legend(handles=legend_handles, loc="lower center")
    for i, axis in enumerate(axes.flat):
        axis.axis("off")
        if i >= count:
            continue
        image = pixels[i].astype("uint8")
        axis.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray")
        axis.margins(x=0, y=0)
        parts = [
            f"{name}: {(label_map or {}).get(int(labels[i]), 'Unknown')}"
            for name, labels in (("Label", y_true), ("Pred", y_pred)) if labels is not None
        ]  # fmt: skip
        if parts:
            axis.set_title("  ".join(parts), fontsize=8)
    if path is not None:
        figure.savefig(path, pad_inches=0, bbox_inches="tight", transparent=transparent, dpi=dpi)
    elif show is not False:
        pyplot.show()
    pyplot.close(figure)


def plot_bounding_box_gallery(
    images: Any,
    bounding_box_format: str,
    y_true: Any = None,
    y_pred: Any = None,
    value_range: tuple[float, float] = (0, 255),
    true_color: Sequence[int] = (0, 188, 212),
    pred_color: Sequence[int] = (255, 235, 59),
    line_thickness: int = 2,
    font_scale: float = 1.0,
    text_thickness: int | None = None,
    class_mapping: Mapping[int, str] | None = None,
    ground_truth_mapping: Mapping[int, str] | None = None,
    prediction_mapping: Mapping[int, str] | None = None,
    legend: bool = False,
    legend_handles: Any = None,
    rows: int | None = None,
    cols: int | None = None,
    data_format: str | None = None,
    **kwargs: Any,
) -> None:
    """Show images with the boxes that are there and those that were predicted.

    Args:
        y_true, y_pred: dicts of boxes, as in `draw_bounding_boxes`.
        true_color, pred_color: their colours.
        class_mapping: dict from label to name, of both.
        ground_truth_mapping, prediction_mapping: the same, of one of them.
        legend: whether to say which colour is which.
        images, bounding_box_format, line_thickness, font_scale, text_thickness: as in
            `draw_bounding_boxes`.
        value_range, legend_handles, rows, cols, data_format, kwargs: as in `plot_image_gallery`.
    """
    if legend and legend_handles:
        where = "plot_bounding_box_gallery(legend, legend_handles)"
        raise errors.bad_value(where, "one of them", "both")
    pixels = as_images("plot_bounding_box_gallery(images)", images, data_format)
    for boxes, color, names in (
        (y_true, true_color, ground_truth_mapping), (y_pred, pred_color, prediction_mapping),
    ):  # fmt: skip
        if boxes is not None:
            pixels = draw_bounding_boxes(
                pixels, boxes, bounding_box_format, names or class_mapping, color, line_thickness,
                text_thickness, font_scale, "channels_last",
            )  # fmt: skip
            value_range = (0, 255)
    if legend:
        patches = optional.load("matplotlib.patches", "plot_bounding_box_gallery", "plot")
        legend_handles = [
            patches.Patch(color=np.asarray(color) / 255, label=label)
            for color, label in ((true_color, "Ground Truth"), (pred_color, "Prediction"))
        ]
    plot_image_gallery(
        pixels, value_range=value_range, legend_handles=legend_handles, rows=rows, cols=cols,
        data_format="channels_last", **kwargs,
    )  # fmt: skip


def plot_segmentation_mask_gallery(
    images: Any,
    num_classes: int,
    value_range: tuple[float, float] = (0, 255),
    y_true: Any = None,
    y_pred: Any = None,
    color_mapping: Any = None,
    blend: bool = True,
    alpha: float = 0.8,
    ignore_index: int = -1,
    data_format: str | None = None,
    **kwargs: Any,
) -> None:
    """Show images, each beside itself with the masks that are there and those predicted.

    Args:
        y_true, y_pred: masks, integers ``(batch, height, width, 1)``.
        images, num_classes, color_mapping, blend, alpha, ignore_index: as in
            `draw_segmentation_masks`.
        value_range, data_format, kwargs: as in `plot_image_gallery`.
    """
    data_format = config.standardize_data_format(data_format)
    pixels = as_images("plot_segmentation_mask_gallery(images)", images, data_format)
    columns = [pixels] + [
        draw_segmentation_masks(
            pixels, as_images("plot_segmentation_mask_gallery(masks)", y, data_format).astype(int),
            num_classes, color_mapping, alpha, blend, ignore_index, "channels_last",
        )
        for y in (y_true, y_pred) if y is not None
    ]  # fmt: skip
    gallery = np.stack(columns, 1).reshape(-1, *pixels.shape[1:])
    plot_image_gallery(gallery, value_range=value_range, rows=len(pixels), cols=len(columns),
                       data_format="channels_last", **kwargs)  # fmt: skip
