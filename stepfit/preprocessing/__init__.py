"""Data from files and arrays: images, texts and sounds in folders, windows of a series."""

from stepfit.core import errors
from stepfit.preprocessing import image, sequence
from stepfit.preprocessing.image_folder import image_dataset_from_directory
from stepfit.preprocessing.text_folder import text_dataset_from_directory
from stepfit.preprocessing.timeseries import timeseries_dataset_from_array

__all__ = [
    "image", "image_dataset_from_directory", "sequence", "text_dataset_from_directory",
    "timeseries_dataset_from_array",
]  # fmt: skip

__getattr__ = errors.missing_name(__name__, __all__)
