"""Registration of user classes and functions by name."""

from stepfit.core.registry import (
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)

__all__ = ["get_registered_name", "get_registered_object", "register_keras_serializable"]
