"""Helpers around training: labels, seeds, packing of data, downloads, and the progress bar."""

from typing import TYPE_CHECKING

from stepfit.core import errors
from stepfit.utils.console import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from stepfit.utils.get_file import get_file
from stepfit.utils.numerical import normalize, to_categorical
from stepfit.utils.packing import pack_x_y_sample_weight, unpack_x_y_sample_weight
from stepfit.utils.progbar import Progbar
from stepfit.utils.py_dataset import PyDataset, Sequence
from stepfit.utils.seeds import set_random_seed

__all__ = [
    "Progbar",
    "PyDataset",
    "Sequence",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_file",
    "is_interactive_logging_enabled",
    "normalize",
    "pack_x_y_sample_weight",
    "set_random_seed",
    "to_categorical",
    "unpack_x_y_sample_weight",
]

if not TYPE_CHECKING:  # to a type checker, every name would be there
    __getattr__ = errors.missing_name(__name__, __all__)
