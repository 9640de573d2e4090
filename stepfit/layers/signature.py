"""The signature of a layer's `call`, and the arguments of one call bound to it."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import dtypes, errors, masks, symbolic
from stepfit.core import scope as scopes
from stepfit.core.variable import Variable

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _names(function):
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return [p.name for p in parameters if p.kind not in _VARIADIC]


class CallSignature:
    """What a layer class's `call`, `build` and ``__init__`` take; found once per class."""

    def __init__(self, cls):
        self.call = inspect.signature(cls.call)
        parameters = list(self.call.parameters.values())[1:]
        self.names = [p.name for p in parameters if p.kind not in _VARIADIC]
        self.open = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
        self.build_names = _names(cls.build)
        self.build_needs = {
            p.name
            for p in list(inspect.signature(cls.build).parameters.values())[1:]
            if p.default is p.empty and p.kind not in _VARIADIC
        }
        init = inspect.signature(cls.__init__).parameters.values()
        opened = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in init)
        self.init_names = None if opened else {p.name for p in init}
        self.takes_training = "training" in self.names
        self.takes_mask = "mask" in self.names
        parameter = self.call.parameters.get("training")
        default = None if parameter is None else parameter.default
        self.training_default = None if default is inspect.Parameter.empty else default

    def bind(self, layer, args, kwargs):
        """Bind a call's arguments, or raise naming the layer and the argument."""
        kwargs = dict(kwargs)
        training = kwargs.get("training")
        if not self.takes_training and not self.open:
            kwargs.pop("training", None)
        try:
            bound = self.call.bind(layer, *args, **kwargs)
        except TypeError as e:
            unknown = [k for k in kwargs if k not in self.names]
            if unknown and not self.open:
                where = f"{layer._where()} call"
                raise errors.unknown_argument(
                    where, unknown[0], [*self.names, "training"]
                ) from None
            raise errors.StepfitTypeError(
                f"{layer._where()} call: {e}; its arguments are ({', '.join(self.names)})."
            ) from None
        if training is None and self.takes_training:
            training = bound.arguments.get("training")
        return Arguments(self, bound, args, kwargs, training)


class Arguments:
    """The arguments of one call: converted, cast, masked, and described on error."""

    def __init__(self, signature, bound, args, kwargs, training):
        self.signature, self.args, self.kwargs = signature, list(args), kwargs
        self.bound, self.training = bound, training
        self._masks = {}

    @property
    def first(self):
        """The first argument of the call."""
        if self.args:
            return self.args[0]
        return next((v for k, v in self.kwargs.items() if k != "training"), None)

    def by_name(self):
        """Yield ``(name, value)`` for each given argument, in the signature's order."""
        names = iter(self.signature.names)
        for value in self.args:
            yield next(names, "args"), value
        yield from self.kwargs.items()

    def by_position(self):
        """Return ``(name, value)`` for each given argument but `training` and masks."""
        given = self.by_name()
        return [(k, v) for k, v in given if k != "training" and not k.endswith("mask")]

    def resolve_training(self, context):
        """Decide `training`: the argument, else the caller's, else the default, else False."""
        training = self.training
        if training is None:
            training = context.training
        if training is None:
            training = self.signature.training_default
        context.training = training
        if context.parent is None:
            scope = scopes.root_scope()
            if scope is not None and scope.is_step:
                scope.calls.append((context.layer, training))
        given = [name for name, _ in self.by_name()]
        if self.signature.takes_training:
            if "training" not in given or self.kwargs.get("training", 0) is None:
                self.kwargs["training"] = bool(training) if training is None else training

    def convert(self, layer):
        """Make array-like arguments jax arrays, floats in the layer's compute dtype."""
        if not layer._convert_input_args:
            return
        dtype = layer.compute_dtype if layer.autocast else None
        self.args = [_convert(a, dtype, i == 0) for i, a in enumerate(self.args)]
        for key, value in self.kwargs.items():
            if key != "training":
                self.kwargs[key] = _convert(value, dtype, False)

    def shapes(self):
        """Return ``{name: shape structure}`` of the arguments that hold arrays."""
        found = {}
        for name, value in self.by_name():
            if name in ("training", "mask") or name.endswith("_mask"):
                continue
            if symbolic.leaves(value) and _has_arrays(value):
                found[name] = shapes_of(value)
        return found

    def fill_masks(self, layer):
        """Give `call` the masks that its inputs carry, where it takes them and none was given."""
        given = {name for name, value in self.by_name() if value is not None}
        for position, (name, value) in enumerate(list(self.by_name())):
            mask = masks_of(value)
            if mask is None:
                continue
            self._masks[name] = mask
            for slot in ("mask", f"{name}_mask") if position == 0 else (f"{name}_mask",):
                if slot in self.signature.names and slot not in given:
                    self.kwargs[slot] = mask

    def set_output_mask(self, layer, outputs):
        """Attach to the outputs the mask that the layer computes for them."""
        explicit = self.kwargs.get("mask")
        first = next(iter(self.by_name()), (None, None))[0]
        previous = explicit if explicit is not None else self._masks.get(first)
        mask = layer.compute_mask(self.first, previous)
        if mask is None:
            return
        arrays = jax.tree.leaves(outputs)
        given = mask if isinstance(mask, (list, tuple)) else [mask] * len(arrays)
        for x, m in zip(arrays, given, strict=False):
            if m is not None or masks.get_mask(x) is not None:
                masks.set_mask(x, m)

    def describe(self):
        """Describe the arguments for a message."""
        parts = []
        for name, value in self.by_name():
            leaves = symbolic.leaves(value)
            if isinstance(value, (list, tuple, dict)) and _has_arrays(value):
                parts.append(f"{name}=({', '.join(errors.describe(v) for v in leaves)})")
            else:
                parts.append(f"{name}={errors.describe(value)}")
        return ", ".join(parts) or "no arguments"


def _has_arrays(value):
    leaves = symbolic.leaves(value)
    return any(isinstance(x, (jax.Array, np.ndarray, symbolic.KerasTensor)) for x in leaves)


def _convert(value, dtype, is_first):
    if isinstance(value, jax.Array):
        if dtype and value.dtype.name != dtype and dtypes.is_float(value.dtype):
            mask = masks.get_mask(value)
            value = value.astype(dtype)
            if mask is not None:
                masks.set_mask(value, mask)
        return value
    if isinstance(value, (np.ndarray, np.generic, Variable)):
        if isinstance(value, np.ndarray) and value.dtype.kind in "OUS":
            return value
        return _convert(jnp.asarray(value), dtype, is_first)
    if isinstance(value, dict):
        return {k: _convert(v, dtype, False) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        if is_first and value and all(isinstance(v, (str, bytes)) for v in value):
            return np.asarray(value)
        if is_first and value and all(isinstance(v, (int, float)) for v in jax.tree.leaves(value)):
            return _convert(jnp.asarray(value), dtype, is_first)
        if _has_arrays(value) and not hasattr(value, "_fields"):
            return type(value)(_convert(v, dtype, False) for v in value)
    return value


def shapes_of(value):
    """Return the shapes in a structure of arrays or symbolic tensors.

    While shapes are being probed, a batch axis of the probe's size is given as None.
    """
    if isinstance(value, dict):
        return {k: shapes_of(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(shapes_of(v) for v in value)
    shape = getattr(value, "shape", None)
    if shape is None:
        return None
    shape = tuple(shape)
    if shape and shape[0] == symbolic.batch_probe():
        shape = (None, *shape[1:])
    return shape


def masks_of(value):
    """Return the masks that the arrays of a structure carry, or None where none does."""
    if isinstance(value, (list, tuple)):
        found = [masks_of(v) for v in value]
        return found if any(m is not None for m in found) else None
    if isinstance(value, dict):
        by_key = {k: masks_of(v) for k, v in value.items()}
        return by_key if any(m is not None for m in by_key.values()) else None
    return masks.get_mask(value)
