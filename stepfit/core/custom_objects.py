"""Classes and functions of the user's, known by name: registered once, or for the time of a block.

Only what stands here, and stepfit's own public classes and functions, can be named in a file; no
module that a file names is ever imported.
"""

import contextlib
from contextvars import ContextVar
from typing import Any

_custom: dict[str, Any] = {}  # registered name, and plain class or function name -> object
_function_names: dict[int, str] = {}
_scoped: ContextVar[dict[str, Any]] = ContextVar("stepfit_custom_objects", default={})  # noqa: B039


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


def get_registered_name(obj):
    """Return the name under which `obj` was registered, else its own name."""
    if isinstance(obj, type):
        return obj.__dict__.get("_registered_name", obj.__name__)
    return _function_names.get(id(obj), getattr(obj, "__name__", type(obj).__name__))


def get_registered_object(name, custom_objects=None, module_objects=None):
    """Return the class or function registered under `name`, or None.

    Args:
        name: registered name ("package>name"), or the plain one.
        custom_objects: dict from name to class or function, looked at first.
        module_objects: a further such dict, looked at last.
    """
    for table in (custom_objects, _scoped.get(), _custom, module_objects):
        if table and name in table:
            return table[name]
    return None


def known_names():
    """Return the names of all custom objects there are now."""
    return [*_scoped.get(), *_custom]


def get_custom_objects():
    """Return the dict of all registered names; what is added to it is known from then on."""
    return _custom


@contextlib.contextmanager
def custom_object_scope(custom_objects):
    """Have some classes and functions known by name inside a ``with`` block.

    Args:
        custom_objects: dict from name to class or function.

    Example:

    >>> import stepfit as keras
    >>> with keras.saving.custom_object_scope({"twice": lambda x: 2 * x}):
    ...     keras.activations.get("twice")(3)
    6
    """
    token = _scoped.set({**_scoped.get(), **(custom_objects or {})})
    try:
        yield
    finally:
        _scoped.reset(token)
