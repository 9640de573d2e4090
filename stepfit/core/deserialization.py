"""Objects from plain data in Keras's form, as `serialization` writes it.

A config may come from anywhere. What it can name is stepfit's public classes and functions, by
Keras's modules, and what the user has registered or passed in: nothing is imported, no code is run
that the config brings along. Where a built-in class has a slot for one family (an activation, an
initializer, a layer), only that family is taken there. This holds whoever calls: there is no scope
to open first, only one that lifts it (`unsafe`).
"""

import base64
import contextlib
import marshal
import re
import types
from contextvars import ContextVar
from typing import Any

import numpy as np

from stepfit.core import catalogue, constructors, custom_objects, dtypes, errors
from stepfit.core.custom_objects import get_registered_object
from stepfit.core.serialization import _shared, family, is_own

_builtin: dict[Any, Any] = {  # class name, and (family, class name), -> class of the package
    "DTypePolicyMap": dtypes.DTypePolicyMap,
    ("", "DTypePolicyMap"): dtypes.DTypePolicyMap,
}

_unsafe: ContextVar[bool] = ContextVar("stepfit_unsafe", default=False)
_ROOT_FAMILIES = ("", "models", "dtypes", "dtype_policies")


@contextlib.contextmanager
def unsafe(on=True):
    """Have code in a config (a lambda's) run, inside a ``with`` block."""
    token = _unsafe.set(on)
    try:
        yield
    finally:
        _unsafe.reset(token)


def add_builtin(cls):
    """Have a class of the package be found by its name."""
    _builtin.setdefault(cls.__name__, cls)
    _builtin[family(cls.__module__), cls.__name__] = cls


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
    if value.get("integer_keys"):
        config = _with_integer_keys(config, value["integer_keys"], name)
    obj = cls.from_config(dict(config or {}))
    if value.get("build_config") and not getattr(obj, "built", True):
        obj.build_from_config(value["build_config"])
    if value.get("compile_config") and hasattr(obj, "compile_from_config"):
        obj.compile_from_config(value["compile_config"])
    if table is not None and key is not None:
        table["made", key] = obj
    return obj


def _with_integer_keys(value, paths, name):
    """Return a config whose keys at some paths are integers again; JSON made text of them."""
    fine = isinstance(paths, list) and all(
        isinstance(path, list) and path and all(type(part) in (int, str) for part in path)
        for path in paths
    )
    if not fine:
        raise errors.bad_type(f"integer_keys of {name}", "a list of paths", errors.describe(paths))
    here = {path[0] for path in paths if len(path) == 1}
    below: dict[Any, list] = {}
    for path in paths:
        if len(path) > 1:
            below.setdefault(path[0], []).append(path[1:])

    def inside(part, item):
        return _with_integer_keys(item, below[part], name) if part in below else item

    if isinstance(value, (list, tuple)):
        return type(value)(inside(i, item) for i, item in enumerate(value))
    if not isinstance(value, dict):
        return value
    wrong = [key for key in here if not re.fullmatch("-?[0-9]{1,40}", str(key))]
    if wrong:
        found = errors.describe(wrong[0])
        raise errors.bad_value(f"integer_keys of {name}", "texts of integers", found)
    return {int(k) if k in here else k: inside(str(k), item) for k, item in value.items()}


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
