"""Models: layers that can be trained."""

from typing import TYPE_CHECKING

from stepfit.core import errors
from stepfit.models.functional import Functional
from stepfit.models.model import Model
from stepfit.models.sequential import Sequential

__all__ = ["Functional", "Model", "Sequential"]

if not TYPE_CHECKING:  # to a type checker, every name would be there
    __getattr__ = errors.missing_name(__name__, __all__)
