"""Objects as plain data, in Keras's form: module, class name, config, registered name.

`deserialization` makes the objects again. JSON has no keys but text: where dicts in an object's
config have integers as keys, their paths stand beside the config, as `integer_keys`. There Keras,
which does not know them, has no other config than its own.
"""

import base64
import contextlib
import marshal
import types
import warnings
from contextvars import ContextVar
from typing import Any

import numpy as np

from stepfit.core import dtypes, errors
from stepfit.core.custom_objects import get_registered_name

_shared: ContextVar[Any] = ContextVar("stepfit_shared", default=None)


@contextlib.contextmanager
def sharing():
    """Have an object that stands in several places be one object again, after loading."""
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


# -- where classes live --------------------------------------------------------------------------

_AT_THE_ROOT = ("Sequential", "DTypePolicy", "DTypePolicyMap", "Variable")


def family(module):
    """Return what tells classes of one name apart: "layers" for "keras.src.layers.core.dense"."""
    parts = [p for p in str(module or "").split(".") if p not in ("keras", "stepfit", "src")]
    if parts[:1] == ["core"]:
        return ""
    return ".".join(parts[:2]) if "schedules" in parts[1:2] else "".join(parts[:1])


def is_own(cls):
    """Say whether a class is stepfit's."""
    return cls.__module__.partition(".")[0] == "stepfit"


def address(cls):
    """Return ``(module, class name, registered name)``, as Keras writes them."""
    registered = get_registered_name(cls)
    if is_own(cls) and registered == cls.__name__:
        if cls.__name__ in _AT_THE_ROOT:
            return "keras", cls.__name__, None
        if cls.__name__ == "Functional":
            return "keras.src.models.functional", "Functional", "Functional"
        return f"keras.{family(cls.__module__)}", cls.__name__, None
    module = None if cls.__module__ == "__main__" else cls.__module__
    return module, cls.__name__, registered


# -- to plain data -------------------------------------------------------------------------------


def serialize(value):
    """Return a constructor argument as plain data: numbers, strings, lists, dicts."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if type(value) is dtypes.DTypePolicy:
        return value.name
    if type(value) in (list, tuple):
        return type(value)(serialize(v) for v in value)
    if isinstance(value, dict):
        return {k: serialize(v) for k, v in value.items()}
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind not in "OUSMm":
        config = {"value": value.tolist(), "dtype": value.dtype.name}
        return {"class_name": "__numpy__", "config": config}
    if isinstance(value, bytes):
        return {"class_name": "__bytes__", "config": {"value": _text(value)}}
    if isinstance(value, slice):
        ends = {"start": value.start, "stop": value.stop, "step": value.step}
        return {"class_name": "__slice__", "config": serialize(ends)}
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(value, type):
        return get_registered_name(value)
    if hasattr(value, "get_config"):
        return _note_shared(value, serialize_object(value))
    if isinstance(value, types.FunctionType):
        return _function(value)
    return _name_of(value) if callable(value) else value


def _text(value):
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise errors.bad_value("a config", "bytes that are text in UTF-8", "others") from None


def _name_of(fn):
    """Return the name of something that can be called; for a file, it must have one."""
    name = get_registered_name(fn)
    if _shared.get() is not None and name == type(fn).__name__ and not hasattr(fn, "__name__"):
        raise errors.bad_value(
            "a config", "a function with a name, or an object with get_config",
            errors.describe(fn), "write it as a function, and register it with "
            "@keras.saving.register_keras_serializable()",
        )  # fmt: skip
    return name


def serialize_object(obj):
    """Return the config of an object with `get_config`, and how it was built and compiled."""
    module, name, registered = address(type(obj))
    config: dict[str, Any] = {
        "module": module, "class_name": name, "config": serialize(obj.get_config()),
        "registered_name": registered,
    }  # fmt: skip
    paths = list(_integer_keys(config["config"], ()))
    if paths:
        config["integer_keys"] = paths
    for key in ("build_config", "compile_config"):
        found = getattr(obj, f"get_{key}", lambda: None)()
        if found is not None:
            config[key] = serialize(found)
    return config


def _integer_keys(value, path):
    """Yield the path of each key that is an integer; objects inside have lists of their own."""
    if isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            if isinstance(item, (list, tuple, dict)):  # not one call for each word of a vocabulary
                yield from _integer_keys(item, (*path, i))
    if not isinstance(value, dict) or {"class_name", "config"} <= value.keys():
        return
    for key, item in value.items():
        if type(key) is int:
            if str(key) in value and _shared.get() is not None:
                raise errors.bad_value(
                    f"a config: {'/'.join(map(str, path))}", "keys that differ as text",
                    f"{key} and {str(key)!r}", "use keys of one type",
                )  # fmt: skip
            yield [*path, str(key)]
        if type(key) in (int, str):
            yield from _integer_keys(item, (*path, str(key)))


def _note_shared(obj, config):
    table = _shared.get()
    if table is not None:
        _, first = table.setdefault(id(obj), (obj, config))  # kept, so that no other gets its id
        if first is not config:
            first["shared_object_id"] = config["shared_object_id"] = id(obj)
    return config


def _function(fn):
    """Return a function's name; for a file, how to find it."""
    name = get_registered_name(fn)
    if _shared.get() is None:  # a config to look at
        return name
    if name == fn.__name__ and fn.__module__.partition(".")[0] in ("stepfit", "jax", "optax"):
        return name
    if name == "<lambda>":
        return _bytecode(fn)
    module = None if fn.__module__ == "__main__" else fn.__module__
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def _bytecode(fn):
    warnings.warn(
        "A lambda is saved as bytecode: it will be loaded with safe_mode=False only, and by this "
        "version of Python; use a function with a name, registered with "
        "@keras.saving.register_keras_serializable().",
        stacklevel=errors.users_level(),
    )
    code = base64.encodebytes(marshal.dumps(fn.__code__)).decode("ascii")
    closure = fn.__closure__ and [c.cell_contents for c in fn.__closure__]
    defaults = fn.__defaults__ and list(fn.__defaults__)
    parts = {"code": code, "defaults": serialize(defaults), "closure": serialize(closure)}
    # Keras reads `value`, but its Lambda layer the three by name.
    return {"class_name": "__lambda__", "config": {"value": list(parts.values()), **parts}}
