"""Helpers: labels, sequences, seeds, downloads, datasets from files, images, drawings of models.

Names that live in rooms above this one (`_ELSEWHERE`) are only told of here, and loaded when they
are first used.
"""

import importlib
from typing import TYPE_CHECKING

from stepfit.core import errors
from stepfit.core.dtypes import standardize_dtype
from stepfit.core.session import clear_session
from stepfit.core.symbolic import get_source_inputs
from stepfit.core.symbolic import is_symbolic as is_keras_tensor
from stepfit.utils import bounding_boxes
from stepfit.utils.config import Config
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

_ELSEWHERE = {
    "CustomObjectScope": "saving",
    "array_to_img": "preprocessing.image",
    "audio_dataset_from_directory": "preprocessing.audio_folder",
    "custom_object_scope": "saving",
    "deserialize_keras_object": "saving",
    "get_custom_objects": "saving",
    "get_registered_name": "saving",
    "get_registered_object": "saving",
    "image_dataset_from_directory": "preprocessing",
    "img_to_array": "preprocessing.image",
    "load_img": "preprocessing.image",
    "model_to_dot": "visualization.model_graph",
    "pad_sequences": "preprocessing.sequence",
    "plot_model": "visualization.model_graph",
    "register_keras_serializable": "saving",
    "save_img": "preprocessing.image",
    "serialize_keras_object": "saving",
    "split_dataset": "preprocessing.splitting",
    "text_dataset_from_directory": "preprocessing",
    "timeseries_dataset_from_array": "preprocessing",
}

__all__ = [
    "Config",
    "CustomObjectScope",
    "Progbar",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "audio_dataset_from_directory",
    "bounding_boxes",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "image_dataset_from_directory",
    "img_to_array",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "load_img",
    "model_to_dot",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]

if TYPE_CHECKING:
    from stepfit.preprocessing import (
        image_dataset_from_directory,
        text_dataset_from_directory,
        timeseries_dataset_from_array,
    )
    from stepfit.preprocessing.audio_folder import audio_dataset_from_directory
    from stepfit.preprocessing.image import array_to_img, img_to_array, load_img, save_img
    from stepfit.preprocessing.sequence import pad_sequences
    from stepfit.preprocessing.splitting import split_dataset
    from stepfit.saving import (
        CustomObjectScope,
        custom_object_scope,
        deserialize_keras_object,
        get_custom_objects,
        get_registered_name,
        get_registered_object,
        register_keras_serializable,
        serialize_keras_object,
    )
    from stepfit.visualization.model_graph import model_to_dot, plot_model
else:  # to a type checker, every name would be there
    _missing = errors.missing_name(__name__, __all__)

    def __getattr__(name):
        if name not in _ELSEWHERE:
            return _missing(name)
        value = getattr(importlib.import_module(f"stepfit.{_ELSEWHERE[name]}"), name)
        globals()[name] = value
        return value


def __dir__():
    return sorted({*globals(), *__all__})
