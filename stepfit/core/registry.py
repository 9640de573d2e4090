"""Names and objects: string identifiers, user registrations, and configs.

*Catalogue*: the names of one family ("loss", "optimizer", ...) and what they stand for; `get` turns
whatever a user may write (name, config, instance, function) into an object.
*Configurable*: the base that derives `get_config` and `from_config` from the constructor's
signature, so that no class writes them by hand.
"""

import inspect
from typing import Any

import numpy as np

from stepfit.core import constructors, dtypes, errors

_custom: dict[str, Any] = {}  # registered name, and plain class or function name -> object
_builtin: dict[Any, Any] = {}  # class name, and (family, class name), -> class of the package
_catalogues: dict[str, "Catalogue"] = {}


def register_keras_serializable(package="Custom", name=None):
    """Return a decorator that makes a class or function known by name.

    Args:
        package: prefix of the registered name, to keep names of different libraries apart.
        name: name; default the class's or function's own.

    Example:

    >>> import stepfit as keras
    >>> @keras.saving.register_keras_serializable(package="docs")
    ... def double_relu(x):
    ...     return 2 * keras.ops.relu(x)
    >>> keras.activations.get("docs>double_relu") is double_relu
    True
    """

    def decorator(obj):
        own = name or obj.__name__
        obj_name = f"{package}>{own}"
        before = _custom.get(obj_name)  # a cell of a notebook run again defines it anew
        _function_names.pop(id(before), None)
        if _custom.get(own, before) is before:
            _custom[own] = obj
        _custom[obj_name] = obj
        if isinstance(obj, type):
            setattr(obj, "_registered_name", obj_name)  # noqa: B010
        else:
            _function_names[id(obj)] = obj_name
        return obj

    return decorator


_function_names: dict[int, str] = {}


def get_registered_name(obj):
    """Return the name under which `obj` was registered, else its own name."""
    if isinstance(obj, type):
        return obj.__dict__.get("_registered_name", obj.__name__)
    return _function_names.get(id(obj), getattr(obj, "__name__", type(obj).__name__))


def get_registered_object(name, custom_objects=None):
    """Return the class or function registered under `name`, or None."""
    if custom_objects and name in custom_objects:
        return custom_objects[name]
    return _custom.get(name)


class Catalogue:
    """The names of one family of objects.

    Args:
        kind: what a member is called in messages, such as "loss".
        entries: dict from name to class or function.
        base: the family's base class, for recognising instances.
        argument: argument name used in messages; default `kind`.
    """

    def __init__(self, kind, entries, base=None, argument=None):
        self.kind, self.entries, self.base = kind, dict(entries), base
        self.argument = argument or kind
        _catalogues[kind] = self

    def get(self, identifier, argument=None):
        """Return the object that `identifier` stands for (None stays None).

        Raises:
            ValueError: unknown name. TypeError: a class, or something that cannot be a member.
        """
        where = argument or self.argument
        if identifier is None:
            return None
        if isinstance(identifier, str):
            return self._instantiate(self.find(identifier, where))
        if isinstance(identifier, dict) and "class_name" in identifier:
            obj = self.find(identifier.get("registered_name") or identifier["class_name"], where,
                            identifier["class_name"])  # fmt: skip
            cfg = identifier.get("config") or {}
            if not isinstance(obj, type):
                return obj
            return obj.from_config(cfg) if hasattr(obj, "from_config") else obj(**cfg)
        if isinstance(identifier, type):
            expected = f"{errors.with_article(self.kind)} instance"
            raise errors.bad_type(where, expected, identifier, f"write {identifier.__name__}(...)")
        if callable(identifier) or (self.base and isinstance(identifier, self.base)):
            return identifier
        kind = errors.with_article(self.kind)
        raise errors.bad_type(where, f"{kind}, its name, or a callable", identifier)

    def find(self, name, where=None, fallback=None):
        """Return the class or function called `name`."""
        for candidate in (name, fallback):
            if candidate in self.entries:
                return self.entries[candidate]
            if candidate in _custom:
                return _custom[candidate]
        raise errors.unknown_name(where or self.argument, self.kind, name, self.entries)

    @staticmethod
    def _instantiate(obj):
        return obj() if isinstance(obj, type) else obj


def catalogue(kind):
    """Return the catalogue of a family."""
    return _catalogues[kind]


class Configurable:
    """Derives `get_config` and `from_config` from the constructor's signature."""

    _init_arguments: tuple[tuple, dict[str, Any]]  # args, kwargs
    _config_aliases: dict[str, str] = {}  # constructor argument -> attribute with its value now

    def __new__(cls, *args, **kwargs):
        if args or kwargs:  # a copy is made without any
            constructors.check(cls, args, kwargs)
        self = super().__new__(cls)
        object.__setattr__(self, "_init_arguments", (args, kwargs))
        return self

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("stepfit."):
            _builtin.setdefault(cls.__name__, cls)
            _builtin[_family(cls), cls.__name__] = cls

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
        return cls(**{k: deserialize(v, custom_objects) for k, v in config.items()})


def _family(cls):
    """Return the package that tells classes of one name apart, such as "stepfit.losses"."""
    parts = cls.__module__.split(".")
    return ".".join(parts[:2]) if parts[0] == "stepfit" else None


def serialize(value):
    """Return a constructor argument as plain data: numbers, strings, lists, dicts."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dtypes.DTypePolicy):
        return value.name
    if isinstance(value, (list, tuple)):
        return type(value)(serialize(v) for v in value) if type(value) in (list, tuple) else value
    if isinstance(value, dict):
        return {k: serialize(v) for k, v in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, type):
        return get_registered_name(value)
    if hasattr(value, "get_config"):
        return {
            "module": _family(type(value)),
            "class_name": type(value).__name__,
            "config": value.get_config(),
            "registered_name": get_registered_name(type(value)),
        }
    if callable(value):
        return get_registered_name(value)
    return value


def deserialize(value, custom_objects=None):
    """Return the object for a config made by `serialize`; other values unchanged."""
    if isinstance(value, str) and ">" in value:  # the name of a registered function
        return get_registered_object(value, custom_objects) or value
    if type(value) in (list, tuple):
        return type(value)(deserialize(v, custom_objects) for v in value)
    if isinstance(value, dict) and "class_name" in value and "config" in value:
        name = value.get("registered_name") or value["class_name"]
        cls = (
            get_registered_object(name, custom_objects)
            or get_registered_object(value["class_name"], custom_objects)
            or _builtin.get((value.get("module"), value["class_name"]))
            or _builtin.get(value["class_name"])
        )
        if cls is None:
            known = [*_custom, *(k for k in _builtin if isinstance(k, str))]
            raise errors.unknown_name("config['class_name']", "registered class", name, known)
        return cls.from_config(value["config"])
    if type(value) is dict:
        return {k: deserialize(v, custom_objects) for k, v in value.items()}
    return value
