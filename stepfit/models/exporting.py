"""Models as pure functions: to leave stepfit with, or as a program in a file."""

import os

import jax
import numpy as np
from jax import export as jax_export

from stepfit.core import errors, symbolic
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
    for tensor in model.inputs or ():
        if tensor.dtype == "string":
            raise errors.bad_value(
                f"export(...): input {tensor.name!r}", "numbers: a program has no strings",
                "strings",
                "export the model behind its text layers, keras.Model(layer.output, model.output)",
            )  # fmt: skip
    names, structs, shapes = _signature(model, input_signature)
    variables = model.variables

    def run(values, inputs):
        given = dict(zip(names, inputs, strict=True)) if model.inputs else inputs
        given = given if len(inputs) > 1 else inputs[0]
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
        raise
    inputs = [[list(s), str(t.dtype)] for s, t in zip(shapes, structs, strict=True)]
    exported.write(path, program, values, {"inputs": inputs, "names": names})


def _signature(model, given):
    """Return names, abstract arrays and shapes of the inputs."""
    if model.inputs is not None:
        names = [t.name for t in model.inputs]
        shapes = [t.shape for t in model.inputs]
        kinds = [t.dtype for t in model.inputs]
    else:
        if given is None:
            raise errors.bad_value(
                "export(input_signature)", "shapes, for a model without symbolic inputs", "None",
                "pass input_signature=[(None, 4)]",
            )  # fmt: skip
        names, shapes, kinds = [], [], []
    if given is not None:
        tensors = [_tensor(g) for g in given]
        shapes, kinds = [t.shape for t in tensors], [t.dtype for t in tensors]
        names = names or [f"input_{i}" for i in range(len(tensors))]
    if len(names) != len(shapes):
        raise errors.bad_value("export(input_signature)", f"{len(names)} shapes", f"{len(shapes)}")
    scope, structs = jax_export.SymbolicScope(), []
    for i, (shape, dtype) in enumerate(zip(shapes, kinds, strict=True)):
        parts = [
            str(d) if d is not None else ("batch" if axis == 0 else f"size_{i}_{axis}")
            for axis, d in enumerate(shape)
        ]
        sizes = jax_export.symbolic_shape(", ".join(parts), scope=scope) if parts else ()
        structs.append(jax.ShapeDtypeStruct(sizes, dtype))
    return names, structs, [tuple(s) for s in shapes]


def _tensor(given):
    if symbolic.is_symbolic(given):
        return given
    if hasattr(given, "shape") and hasattr(given, "dtype"):
        return symbolic.KerasTensor(tuple(given.shape), np.dtype(given.dtype).name)
    return symbolic.KerasTensor(tuple(given), "float32")


def _check_built(model, where):
    if not model.built:
        raise errors.bad_value(where, "a built model", "one without variables yet", "call it first")
