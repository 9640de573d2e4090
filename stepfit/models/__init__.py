"""Models: layers that can be trained."""

from typing import TYPE_CHECKING

from stepfit.core import errors
from stepfit.models.cloning import clone_model
from stepfit.models.functional import Functional
from stepfit.models.model import Model
from stepfit.models.sequential import Sequential
from stepfit.saving import load_model, save_model
from stepfit.saving.json_model import model_from_json

__all__ = [
    "Functional", "Model", "Sequential", "clone_model", "load_model", "model_from_json",
    "save_model",
]  # fmt: skip

if not TYPE_CHECKING:  # to a type checker, every name would be there
    __getattr__ = errors.missing_name(__name__, __all__)
