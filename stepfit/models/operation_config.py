"""Operations of a graph as configs, in the form in which Keras writes its own, and back.

An operation of stepfit's becomes the Keras class that does the same, made with some of the
arguments and called with the others. A function of the user's is named by its registration.
"""

import inspect
import operator
from typing import Any

from stepfit import ops
from stepfit.core import errors, symbolic
from stepfit.core.custom_objects import get_registered_name, get_registered_object
from stepfit.core.op import op
from stepfit.core.serialization import serialize
from stepfit.models.operation_table import BY_CLASS, BY_NAME

_OPERATORS = {
    operator.add: "add", operator.sub: "subtract", operator.mul: "multiply",
    operator.truediv: "divide", operator.floordiv: "floor_divide", operator.mod: "mod",
    operator.pow: "power", operator.matmul: "matmul", operator.and_: "logical_and",
    operator.or_: "logical_or", operator.xor: "logical_xor", operator.neg: "negative",
    operator.abs: "absolute", operator.invert: "logical_not", operator.lt: "less",
    operator.le: "less_equal", operator.gt: "greater", operator.ge: "greater_equal",
    operator.eq: "equal", operator.ne: "not_equal", operator.getitem: "get_item",
}  # fmt: skip
_METHODS = {"_reshape": "reshape", "_squeeze": "squeeze", "_round": "round"}
_BITS = {"logical_and": "bitwise_and", "logical_or": "bitwise_or", "logical_xor": "bitwise_xor",
         "logical_not": "bitwise_not"}  # fmt: skip


def to_config(operation, args, kwargs, where):
    """Return ``(config, args, kwargs)`` of one operation and its call.

    Raises:
        ValueError: a function that no file can name.
    """
    name = _public_name(operation.fn, args)
    if name is None:
        return _registered(operation, where), list(args), dict(kwargs)
    row = BY_NAME[name]
    given = _bind(row, args, kwargs, operation.fn)
    config: dict[str, Any] = {"name": operation.name}
    positional, named = [], {}
    for argument, mark in row.arguments:
        if argument not in given:
            continue
        value = given[argument]
        if mark == "*":
            if symbolic.any_symbolic([value]):
                raise errors.bad_value(
                    f"{where} operation {operation.name!r}: {argument}", "a plain value in a file",
                    "a symbolic tensor", "compute it in a layer of your own",
                )  # fmt: skip
            config[argument] = serialize(_named_dtype(value) if argument == "dtype" else value)
        elif mark == "+":
            positional.extend(value)
        elif mark == "=":
            named[argument] = value
        else:
            positional.append(value)
    if row.name == "rearrange":  # lengths of axes
        named.update({k: v for k, v in given.items() if (k, "") not in row.arguments})
    entry = {"module": row.module, "class_name": row.cls, "config": config,
             "registered_name": row.cls}  # fmt: skip
    return entry, positional, named


def _named_dtype(value):
    return value if value is None or isinstance(value, str) else getattr(
        value, "name", getattr(value, "__name__", str(value))
    )  # fmt: skip


def _public_name(fn, args):
    """Return the name of stepfit's operation that `fn` is, or None."""
    if fn in _OPERATORS:
        name = _OPERATORS[fn]
        first = args[0] if args else None
        if name in _BITS and getattr(first, "dtype", "bool") != "bool":
            name = _BITS[name]
        return name
    name = getattr(fn, "__name__", "")
    if getattr(fn, "__module__", "") == "stepfit.core.op":
        return _METHODS.get(name)
    for candidate in (name, *_LABELS.get(id(fn), ())):
        public = getattr(ops, candidate, None) if candidate in BY_NAME else None
        if public is not None and (getattr(public, "eager", None) is fn or public is fn):
            return candidate
    return None


_LABELS: dict[int, tuple[str, ...]] = {}
for _name in BY_NAME:
    _fn = getattr(getattr(ops, _name, None), "eager", None)
    if _fn is not None:
        _LABELS[id(_fn)] = (*_LABELS.get(id(_fn), ()), _name)


def _bind(row, args, kwargs, fn):
    """Return ``{argument: value}`` of a call, by Keras's names, which are the function's."""
    names = [argument for argument, _ in row.arguments]
    given: dict[str, Any] = {}
    values = list(args)
    for argument, mark in row.arguments:
        if mark == "+":
            given[argument], values = values, []
            if row.name != "einsum" and len(given[argument]) == 1:
                only = given[argument][0]
                given[argument] = list(only) if isinstance(only, (list, tuple)) else [only]
        elif values:
            given[argument] = values.pop(0)
    given.update({k: v for k, v in kwargs.items() if k in names})
    more = {k: v for k, v in kwargs.items() if k not in names}
    odd = [k for k in more if more[k] is not None and row.name != "rearrange"]
    if values or odd:
        raise errors.bad_value(
            f"operation {row.name!r}", f"the arguments {names}", f"{odd or len(args)}"
        )
    for parameter in _parameters(fn):
        if parameter.name in names and parameter.default is not parameter.empty:
            given.setdefault(parameter.name, parameter.default)
    return {**given, **more} if row.name == "rearrange" else given


def _parameters(fn):
    try:
        return inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return ()


def _registered(operation, where):
    name = get_registered_name(operation.fn)
    if name == "<lambda>" or get_registered_object(name) is None:
        raise errors.bad_value(
            f"{where} operation {operation.name!r}", "a function that a file can name",
            f"{name}, which is not registered",
            "decorate it with @keras.saving.register_keras_serializable(), above @keras.op",
        )  # fmt: skip
    return {"module": operation.fn.__module__, "class_name": "function", "config": name,
            "registered_name": name}  # fmt: skip


def is_operation(config):
    """Say whether a config is one of an operation, and not of a layer."""
    module = config.get("module")
    return config.get("class_name") == "function" or (
        isinstance(module, str) and module.startswith(("keras.src.ops.", "keras.ops"))
    )


def from_config(config):
    """Return a function ``(*args, **kwargs)`` that calls the operation a config describes.

    Raises:
        ValueError: no operation of stepfit's, and no registered function.
    """
    if config["class_name"] == "function":
        fn = get_registered_object(config.get("registered_name") or config["config"])
        if fn is None or isinstance(fn, type):
            raise errors.unknown_name(
                "config of a function", "registered function", config["config"], ()
            )
        return fn if hasattr(fn, "eager") else op(fn)
    row = BY_CLASS.get((config["module"], config["class_name"]))
    if row is None:
        known = [cls for module, cls in BY_CLASS if module == config["module"]]
        raise errors.unknown_name(
            "config['class_name']", "operation", config["class_name"], known
        )
    settings = {k: v for k, v in (config.get("config") or {}).items() if k != "name"}
    odd = [k for k in settings if (k, "*") not in row.arguments]
    if odd:
        raise errors.unknown_argument(f"config of {row.cls}", odd[0], [a for a, _ in row.arguments])
    return lambda *args, **kwargs: _call(row, settings, args, kwargs)


def _call(row, settings, args, kwargs):
    public, values = getattr(ops, row.name), list(args)
    by_name, spread = {**settings, **kwargs}, []
    for argument, mark in row.arguments:
        if mark == "+":
            spread, values = values, []
        elif mark == "" and values:
            by_name[argument] = values.pop(0)
    if values:
        raise errors.bad_value(f"operation {row.name!r}", "fewer arguments", f"{len(args)}")
    if row.name == "get_item":
        return _item(by_name["x"], by_name["key"])
    if spread:
        first = [by_name.pop(a) for a, m in row.arguments if m == "*" and a in by_name][:1]
        return public(*first, *spread, **by_name) if row.name == "einsum" else public(
            *spread, **dict(zip([a for a, m in row.arguments if m == "*"], first, strict=False))
        )  # fmt: skip
    return public(**by_name)


def _item(x, key):
    return x[tuple(key) if isinstance(key, list) else key]
