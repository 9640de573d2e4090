"""Pictures: boxes and masks drawn on images, galleries of images, graphs of models."""

from stepfit.core import errors
from stepfit.visualization.drawing import draw_bounding_boxes, draw_segmentation_masks
from stepfit.visualization.galleries import (
    plot_bounding_box_gallery,
    plot_image_gallery,
    plot_segmentation_mask_gallery,
)
from stepfit.visualization.sharding import plot_sharding

__all__ = [
    "draw_bounding_boxes", "draw_segmentation_masks", "plot_bounding_box_gallery",
    "plot_image_gallery", "plot_segmentation_mask_gallery", "plot_sharding",
]  # fmt: skip

__getattr__ = errors.missing_name(__name__, __all__)
