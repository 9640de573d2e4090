"""Models, weights and configs in files, Keras 3's files; and what is known by name in them."""

from typing import TYPE_CHECKING

from stepfit.core import errors
from stepfit.core.custom_objects import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from stepfit.saving.exported import ExportedModel, load_exported
from stepfit.saving.inspection import inspect
from stepfit.saving.model_file import load_model, save_model
from stepfit.saving.objects import deserialize_keras_object, serialize_keras_object
from stepfit.saving.report import LoadReport
from stepfit.saving.transfer import TransferReport, transfer_weights
from stepfit.saving.weights_file import load_weights, save_weights

CustomObjectScope = custom_object_scope  # Keras's other name

__all__ = [
    "CustomObjectScope", "ExportedModel", "LoadReport", "TransferReport", "custom_object_scope",
    "deserialize_keras_object", "get_custom_objects", "get_registered_name",
    "get_registered_object", "inspect", "load_exported", "load_model", "load_weights",
    "register_keras_serializable", "save_model", "save_weights", "serialize_keras_object",
    "transfer_weights",
]  # fmt: skip

if not TYPE_CHECKING:  # to a type checker, every name would be there
    __getattr__ = errors.missing_name(__name__, __all__)
