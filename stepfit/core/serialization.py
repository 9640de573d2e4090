"""Objects as plain data, and back, in Keras's form: module, class name, config, registered name.

A config may come from anywhere. What it can name is stepfit's public classes and functions, by
Keras's modules, and what the user has registered or passed in: nothing is imported, no code is run
that the config brings along. Where a built-in class has a slot for one family (an activation, an
initializer, a layer), only that family is taken there. This holds whoever calls: there is no scope
to open first, only one that lifts it (`unsafe`).
"""

import base64
import contextlib
import marshal
import types
import warnings
from contextvars import ContextVar
from typing import Any

import numpy as np

from stepfit.core import catalogue, constructors, custom_objects, dtypes, errors
from stepfit.core.custom_objects import get_registered_name, get_registered_object

_builtin: dict[Any, Any] = {  # class name, and (family, class name), -> class of the package
    "DTypePolicyMap": dtypes.DTypePolicyMap,
    ("", "DTypePolicyMap"): dtypes.DTypePolicyMap,
}

_unsafe: ContextVar[bool] = ContextVar("stepfit_unsafe", default=False)
_shared: ContextVar[Any] = ContextVar("stepfit_shared", default=None)


@contextlib.contextmanager
def unsafe(on=True):
    """Have code in a config (a lambda's) run, inside a ``with`` block."""
    token = _unsafe.set(on)
    try:
        yield
    finally:
        _unsafe.reset(token)


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
_ROOT_FAMILIES = ("", "models", "dtypes", "dtype_policies")


def add_builtin(cls):
    """Have a class of the package be found by its name."""
    _builtin.setdefault(cls.__name__, cls)
    _builtin[family(cls.__module__), cls.__name__] = cls


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
    for key in ("build_config", "compile_config"):
        found = getattr(obj, f"get_{key}", lambda: None)()
        if found is not None:
            config[key] = serialize(found)
    return config


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


# -- from plain data -----------------------------------------------------------------------------


def deserialize(value, custom=None, kind=None):
    """Return the object for a config made by `serialize`; other values unchanged.

    Args:
        value: plain data.
        custom: dict from name to class or function, looked at first.
        kind: the family that the object has to be of, such as "initializer"; None: any.

    Raises:
        ValueError: the config names what is not known, or of another family.
    """
    if isinstance(value, str) and ">" in value:  # the name of a registered function
        found = get_registered_object(value, custom)
        return value if found is None or kind in _CATALOGUED else _checked(found, kind, value)
    if type(value) in (list, tuple):
        return type(value)(deserialize(v, custom, kind) for v in value)
    if not isinstance(value, dict):
        return value
    if "class_name" in value and "config" in value:
        with custom_objects.custom_object_scope(custom) if custom else contextlib.nullcontext():
            return _checked(_deserialize_object(value, kind), kind, value["class_name"])
    return {k: deserialize(v, custom, kind) for k, v in value.items()}


def _deserialize_object(value, kind):
    name, config = value["class_name"], value["config"]
    if not isinstance(name, str):
        raise errors.bad_type("config['class_name']", "a str", errors.describe(name))
    if name.startswith("__"):
        return _plain(name, config)
    if name == "function":
        return find_function(value, kind)
    table, key = _shared.get(), value.get("shared_object_id")
    if table is not None and key is not None and ("made", key) in table:
        return table["made", key]
    cls = find_class(value)
    if not isinstance(cls, type):
        return cls  # a function that was registered under this name
    if not isinstance(config, (dict, type(None))):
        raise errors.bad_type(f"config of {name}", "a dict", errors.describe(config))
    if not hasattr(cls, "from_config"):
        raise errors.bad_value(f"config of {name}", "a class with `from_config`", cls.__name__)
    obj = cls.from_config(dict(config or {}))
    if value.get("build_config") and not getattr(obj, "built", True):
        obj.build_from_config(value["build_config"])
    if value.get("compile_config") and hasattr(obj, "compile_from_config"):
        obj.compile_from_config(value["compile_config"])
    if table is not None and key is not None:
        table["made", key] = obj
    return obj


def _plain(name, config):
    """Return what stands in a config by another name: an array, bytes, a slice."""
    if name in ("__numpy__", "__tensor__") and isinstance(config, dict):
        array = np.array(config["value"], dtype=dtypes.jax_dtype(config["dtype"]))
        if array.dtype.kind in "OUS":
            raise errors.bad_value(f"config of {name}", "numbers", f"dtype {array.dtype}")
        return array
    if name == "__bytes__":
        return config["value"].encode("utf-8")
    if name == "__slice__":
        return slice(*(config[k] for k in ("start", "stop", "step")))
    if name == "__ellipsis__":
        return Ellipsis
    if name == "__lambda__":
        return _lambda(config)
    raise errors.bad_value("config['class_name']", "a class that stepfit knows", repr(name))


def _lambda(config):
    if not _unsafe.get():
        raise errors.bad_value(
            "config['class_name']", "no code", "'__lambda__', a function's bytecode",
            "write it as a function with a name, register it with "
            "@keras.saving.register_keras_serializable() and save the model anew; or, if you trust "
            "whoever wrote the file as you trust a program, pass safe_mode=False",
        )  # fmt: skip
    names = ("code", "defaults", "closure")  # as Keras's Lambda layer writes them
    code, defaults, closure = config.get("value") or [config[name] for name in names]
    cells = None if closure is None else tuple(types.CellType(c) for c in closure)
    code = marshal.loads(base64.b64decode(code))
    defaults = None if defaults is None else tuple(defaults)
    return types.FunctionType(code, {"__builtins__": __builtins__}, code.co_name, defaults, cells)


def find_class(value):
    """Return the class that a config names; a class of the user's comes first."""
    name, registered = value["class_name"], value.get("registered_name")
    for candidate in (registered, name):
        if isinstance(candidate, str):
            found = get_registered_object(candidate)
            if found is not None:
                return found
    module = value.get("module", "")
    top = str(module or "").partition(".")[0]
    if "module" not in value:
        found = _builtin.get(name)
    elif top in ("keras", "stepfit", "tf_keras"):
        found = _builtin.get((family(module), name))
        if found is None and family(module) in _ROOT_FAMILIES:
            found = next((_builtin[f, name] for f in _ROOT_FAMILIES if (f, name) in _builtin), None)
    else:
        found = None
    if found is None and name in ("DTypePolicy", "FloatDTypePolicy"):
        return _Policy
    if found is None:
        known = [*custom_objects.known_names(), *(k for k in _builtin if isinstance(k, str))]
        near = errors.nearest(name, known)
        raise errors.bad_value(
            "config['class_name']", "the name of a registered class", repr(name),
            (f"did you mean {near!r}? A" if near else "a") + " class of your own: decorate it with "
            "@keras.saving.register_keras_serializable(), or pass it in custom_objects",
        )  # fmt: skip
    return found


class _Policy:
    """Stands for `DTypePolicy` in configs."""

    @staticmethod
    def from_config(config):
        return dtypes.get_policy(config.get("name"))


def find_function(value, kind=None):
    """Return the function that a config names: a registered one, or one of stepfit's families."""
    name = value.get("registered_name") or value["config"]
    if not isinstance(name, str):
        raise errors.bad_type("config of a function", "its name", errors.describe(name))
    for candidate in (name, value["config"]):
        found = get_registered_object(candidate) if isinstance(candidate, str) else None
        if found is not None:
            return found
    if value.get("module") in ("builtins", None) or family(value["module"]) in _FUNCTIONS:
        for where in (kind,) if kind else ("activation", "loss", "metric"):
            entries = catalogue.catalogue(where).entries if where in _CATALOGUED else {}
            if name in entries:
                return entries[name]
    known = custom_objects.known_names()
    if known:
        raise errors.unknown_name("config of a function", "registered function", name, known)
    raise errors.bad_value(
        "config of a function", "a function that was registered", repr(name),
        "decorate it with @keras.saving.register_keras_serializable(), or pass custom_objects",
    )  # fmt: skip


_FUNCTIONS = ("activations", "losses", "metrics", "ops")
_CATALOGUED = ("activation", "loss", "metric", "initializer", "regularizer", "constraint")

# -- slots ---------------------------------------------------------------------------------------

_KINDS = {  # how an argument is called, or how its name ends -> what it takes
    "activation": "activation", "initializer": "initializer", "regularizer": "regularizer",
    "constraint": "constraint", "optimizer": "optimizer", "layer": "layer", "cell": "layer",
    "cells": "layer", "layers": "layer", "optimizers": "optimizer", "dtype": "policy",
    "fn": "function", "learning_rate": "schedule",
}  # fmt: skip


def kind_of(argument):
    """Return what a built-in class takes as an argument of this name, or None: anything."""
    return _KINDS.get(argument) or _KINDS.get(argument.rpartition("_")[2])


def _checked(obj, kind, name):
    """Return `obj`, refused where it is of another family than the slot is for."""
    if kind is None or obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    own = catalogue.family_base(obj if isinstance(obj, type) else type(obj))
    if kind == "policy":
        fits = isinstance(obj, dtypes.DTypePolicy)
    elif kind == "activation":
        fits = not isinstance(obj, type) and callable(obj) and own in (None, _base("layer"))
    elif kind == "function":
        fits = not isinstance(obj, type) and callable(obj) and own is None
    elif own is not None:
        fits = own is _base(kind) and not isinstance(obj, type)
    else:
        fits = kind not in ("layer", "optimizer") and callable(obj)
    if not fits:
        expected = errors.with_article(_TITLES.get(kind, kind))
        raise errors.bad_value(f"config of {name}", expected, repr(name))
    return obj


_TITLES = {"policy": "dtype policy", "schedule": "learning rate schedule"}


def _base(kind):
    if kind in ("layer", "schedule"):
        return _builtin.get(("layers", "Layer") if kind == "layer" else _SCHEDULE)
    return catalogue.catalogue(kind).base


_SCHEDULE = ("optimizers.schedules", "LearningRateSchedule")

# What Keras's configs say beside, with the value that means "as if it were not there".
_KERAS_ONLY = {
    "quantization_config": None, "input_axes": None, "output_axes": None, "renorm": False,
    "renorm_clipping": None, "renorm_momentum": 0.99, "ragged": False, "sparse": False,
    "optional": False, "rms_scaling": False, "lora_rank": None, "lora_alpha": None,
}  # fmt: skip


_MAY_NAME_FILES = ("vocabulary", "idf_weights")  # in code; a config reads no other file
_MOST = {  # of what is made while the object is, before anything is compared with the file
    "num_thresholds": 10**5, "num_classes": 5000, "ngrams": 100, "output_size": 10**4,
    "fft_length": 2**16, "frame_length": 2**16, "num_mel_bins": 512,
    "Discretization.num_bins": 10**6,
}  # fmt: skip


def _is_ours(cls, argument):
    """Say whether a class, or one that it inherits from, is stepfit's and has such an argument."""
    return any(is_own(c) and argument in constructors.known(c) for c in cls.__mro__)


def _check_most(cls, argument, value):
    names = [argument, *(f"{c.__name__}.{argument}" for c in cls.__mro__ if is_own(c))]
    most = next((_MOST[name] for name in names if name in _MOST), None)
    numbers = value if isinstance(value, list) else [value]
    too_large = [n for n in numbers if isinstance(n, (int, float)) and most and n > most]
    if too_large and _is_ours(cls, argument):
        raise errors.bad_value(
            f"config of {cls.__name__}: {argument}", f"at most {most}", f"{too_large[0]}",
            "make such an object in code",
        )  # fmt: skip


def arguments(cls, config, custom=None):
    """Return the constructor's arguments for a config, with the objects that it describes."""
    own = is_own(cls)
    names = constructors.known(cls)
    result = {}
    for key, value in config.items():
        if own and key not in names and key in _KERAS_ONLY:
            if value != _KERAS_ONLY[key]:
                raise errors.bad_value(
                    f"config of {cls.__name__}: {key}", f"{_KERAS_ONLY[key]!r}, all that stepfit "
                    "can do", errors.describe(value),
                )  # fmt: skip
            continue
        _check_most(cls, key, value)
        if key in _MAY_NAME_FILES and isinstance(value, str) and _is_ours(cls, key):
            raise errors.bad_value(
                f"config of {cls.__name__}: {key}", "the values themselves, or None for those that "
                "are kept beside the config", "the path of a file", "pass it to the layer in code",
            )  # fmt: skip
        result[key] = deserialize(value, custom, kind_of(key) if own else None)
    return result
