"""Models as pure functions: to leave stepfit with, or as a program in a file."""

import os

import jax
import numpy as np
from jax import export as jax_export

from stepfit.core import dtypes, errors, symbolic
from stepfit.core.scope import Scope
from stepfit.saving import converted, exported

_FORMATS = ("stablehlo", "onnx", "tf_saved_model")


def as_function(model):
    """Return ``(function, state)``: the model's call as a pure function of its state.

    Args:
        model: a built model.

    Returns:
        `function(state, *inputs, training=False)`, which returns ``(outputs, state)`` and can be
        compiled, differentiated and mapped; `state`, a dict from a variable's path to its value.
    """
    _check_built(model, "as_function()")
    variables = {}
    for variable in model.variables:
        path, count = variable.path, 0
        while path in variables:
            count += 1
            path = f"{variable.path}_{count}"
        variables[path] = variable

    def function(state, *inputs, training=False, **kwargs):
        missing = set(variables) ^ set(state)
        if missing:
            raise errors.unknown_name("state", "variable", sorted(missing)[0], variables)
        pairs = [(variables[path], value) for path, value in state.items()]
        with Scope(pairs) as scope:
            outputs = model(*inputs, training=training, **kwargs)
            new = {path: scope.get_current_value(v) for path, v in variables.items()}
        return outputs, new

    return function, {path: v.value for path, v in variables.items()}


def export(model, filepath, format="stablehlo", verbose=None, input_signature=None, **kwargs):
    """Write the model's inference as a program; see `Model.export`."""
    for name in kwargs:
        known = ("filepath", "format", "verbose", "input_signature")
        raise errors.unknown_argument("export(...)", name, known)
    path = os.fspath(filepath)
    if format not in _FORMATS:
        raise errors.unknown_name("export(format)", "format", format, _FORMATS)
    if os.path.isdir(path) and format != "tf_saved_model":
        raise errors.bad_value(f"export(filepath={path!r})", "the path of a file", "a folder")
    _check_built(model, "export(...)")
    for tensor in () if model._graph is None else model.inputs:
        if tensor.dtype == "string":
            raise errors.bad_value(
                f"export(...): input {tensor.name!r}", "numbers: a program has no strings",
                "strings",
                "export the model behind its text layers, keras.Model(layer.output, model.output)",
            )  # fmt: skip
    names, structs, shapes, by_name = _signature(model, input_signature)
    variables = model.variables

    def run(values, inputs):
        given = inputs if len(inputs) > 1 else inputs[0]
        if by_name:
            given = dict(zip(names, inputs, strict=True))
        with Scope(zip(variables, values, strict=True)):
            return model(given, training=False)

    values = [v.value for v in variables]
    if format != "stablehlo":
        write = converted.write_onnx if format == "onnx" else converted.write_saved_model
        used = {layer.compute_dtype for layer in model._flatten_layers()}
        write(path, run, values, names, structs, shapes, used)
        return
    weights = [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in values]
    try:
        program = jax_export.export(jax.jit(run))(weights, structs)
    except Exception as e:
        e.add_note(
            "This happened while exporting with sizes left open; pass input_signature=[shape, ...] "
            "with numbers in their place."
        )
        if model._graph is None:
            passed = f"a dict with keys {names}" if by_name else (
                f"a list of {len(names)} arrays" if len(names) > 1 else "one array"
            )  # fmt: skip
            e.add_note(
                f"The model was called with {passed}, as input_signature says; where `call` takes "
                "a dict, pass input_signature={name: shape, ...}."
            )
        raise
    inputs = [[list(s), str(t.dtype)] for s, t in zip(shapes, structs, strict=True)]
    exported.write(path, program, values, {"inputs": inputs, "names": names})


def _signature(model, given):
    """Return names, abstract arrays and shapes of the inputs; whether the model takes a dict."""
    given = None if given is None else _in_one(given)
    by_name = isinstance(given, dict)
    if model._graph is not None:
        names, by_name = _names(model), len(model.inputs) > 1
        shapes = [t.shape for t in model.inputs]
        kinds = [t.dtype for t in model.inputs]
    else:
        if given is None:
            raise errors.bad_value(
                "export(input_signature)", "shapes, for a model without symbolic inputs", "None",
                "pass input_signature=[(None, 4)], or {name: shape} where `call` takes a dict",
            )  # fmt: skip
        names, shapes, kinds = [], [], []
    if isinstance(given, dict):
        names = names or list(given)
        for name in given:
            if name not in names:
                raise errors.unknown_name("export(input_signature)", "input", name, names)
            if not isinstance(name, str):
                raise errors.bad_type("export(input_signature)", "names of inputs as keys", name)
        missing = [name for name in names if name not in given]
        if missing:
            raise errors.bad_value(
                "export(input_signature)", f"the keys {names}", f"{list(given)}",
                f"add {missing[0]!r}",
            )  # fmt: skip
        given = [given[name] for name in names]
    if given is not None:
        labels = [repr(n) for n in names] if by_name else range(len(given))
        tensors = [_tensor(g, label) for g, label in zip(given, labels, strict=False)]
        names = names or [f"input_{i}" for i in range(len(tensors))]
        if len(names) != len(given) or not names:
            expected = f"{len(names) or 'some'} shapes"
            raise errors.bad_value("export(input_signature)", expected, f"{len(given)}")
        shapes, kinds = [t.shape for t in tensors], [t.dtype for t in tensors]
    scope, structs = jax_export.SymbolicScope(), []
    for i, (shape, dtype) in enumerate(zip(shapes, kinds, strict=True)):
        parts = [
            str(d) if d is not None else ("batch" if axis == 0 else f"size_{i}_{axis}")
            for axis, d in enumerate(shape)
        ]
        sizes = jax_export.symbolic_shape(", ".join(parts), scope=scope) if parts else ()
        structs.append(jax.ShapeDtypeStruct(sizes, dtype))
    return names, structs, [tuple(s) for s in shapes], by_name


def _names(model):
    """Return how the symbolic inputs are called: by the keys where they came in a dict."""
    inputs = getattr(model._graph, "inputs", None)
    keys = {id(t): key for key, t in inputs.items()} if isinstance(inputs, dict) else {}
    return [str(keys.get(id(t), t.name)) for t in model.inputs]


def _in_one(given):
    """Return a list or dict with an entry for each array; a list around it is as in Keras."""
    if _is_tensor(given) or (_is_shape(given) and len(given)):
        return [given]
    if isinstance(given, (list, tuple)) and len(given) == 1:
        first = given[0]
        if isinstance(first, (dict, list, tuple)) and not _is_shape(first):
            given = first
    if not isinstance(given, (dict, list, tuple)):
        expected = "a list of shapes or tensors, or a dict of them"
        raise errors.bad_type("export(input_signature)", expected, errors.describe(given))
    return given


def _is_shape(given):
    return isinstance(given, (list, tuple)) and all(
        d is None or (isinstance(d, (int, np.integer)) and not isinstance(d, bool)) for d in given
    )  # fmt: skip


def _is_tensor(given):
    return hasattr(given, "shape") and hasattr(given, "dtype")


def _tensor(given, label):
    if symbolic.is_symbolic(given):
        return given
    if _is_tensor(given) and given.shape is not None:
        dtype = dtypes.standardize_dtype("float32" if given.dtype is None else given.dtype)
        return symbolic.KerasTensor(tuple(given.shape), dtype)
    if _is_shape(given):
        return symbolic.KerasTensor(tuple(given), "float32")
    found = errors.describe(given)
    raise errors.bad_type(f"export(input_signature[{label}])", "a shape or a tensor", found)


def _check_built(model, where):
    if not model.built:
        raise errors.bad_value(where, "a built model", "one without variables yet", "call it first")
