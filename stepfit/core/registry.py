"""Names and objects: string identifiers, user registrations, and configs.

*Catalogue*: the names of one family ("loss", "optimizer", ...) and what they stand for.
*Configurable*: the base that derives `get_config` and `from_config` from the constructor's
signature, so that no class writes them by hand.
"""

import inspect
from typing import Any

from stepfit.core import constructors, deserialization
from stepfit.core.catalogue import Catalogue, _catalogues, add_family_base, catalogue
from stepfit.core.custom_objects import (
    _custom,
    _function_names,
    custom_object_scope,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from stepfit.core.deserialization import deserialize
from stepfit.core.serialization import serialize

__all__ = [
    "Catalogue", "Configurable", "_catalogues", "_custom", "_function_names", "add_family_base",
    "catalogue", "custom_object_scope", "deserialize", "get_registered_name",
    "get_registered_object", "register_keras_serializable", "serialize",
]  # fmt: skip


class Configurable:
    """Derives `get_config` and `from_config` from the constructor's signature."""

    _init_arguments: tuple[tuple, dict[str, Any]]  # args, kwargs
    _config_aliases: dict[str, str] = {}  # constructor argument -> attribute with its value now

    __signature__ = constructors.SignatureOfInit()

    def __new__(cls, *args, **kwargs):
        if args or kwargs:  # a copy is made without any
            constructors.check(cls, args, kwargs)
        self = super().__new__(cls)
        object.__setattr__(self, "_init_arguments", (args, kwargs))
        return self

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("stepfit."):
            deserialization.add_builtin(cls)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data.

        Returns:
            dict that ``type(self).from_config`` accepts.
        """
        args, kwargs = self._init_arguments
        signature = inspect.signature(type(self).__init__)
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        values = dict(list(bound.arguments.items())[1:])
        for parameter in signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                values.update(values.pop(parameter.name))
            elif parameter.kind is parameter.VAR_POSITIONAL and not values.get(parameter.name):
                values.pop(parameter.name, None)
        values.update(self._current_config())
        return {k: serialize(v) for k, v in values.items()}

    def _current_config(self):
        """Return arguments whose value may have changed since construction."""
        return {}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Build an object from `get_config`'s result."""
        return cls(**deserialization.arguments(cls, config, custom_objects))
