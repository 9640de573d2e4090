"""Models: layers that can be trained."""

from stepfit.models.functional import Functional
from stepfit.models.model import Model
from stepfit.models.sequential import Sequential

__all__ = ["Functional", "Model", "Sequential"]
