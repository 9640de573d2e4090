"""Programs in the forms of others, by their converters: ONNX (jax2onnx), TensorFlow (JAX's jax2tf).

Both converters know many operations, and not all. What they wrote is run once, on random inputs, by
the program that will serve it; where it fails or computes something else, there is no file.
"""

import pathlib
import warnings

import jax
import numpy as np

from stepfit.core import errors
from stepfit.saving.file_errors import wrong
from stepfit.utils import optional
from stepfit.utils.atomic import atomic_folder, atomic_write

_OPEN_SIZE = 3  # of what is left open, in the trial
_CLOSE = {"float16": 1e-2, "bfloat16": 1e-1}


def write_onnx(path, run, values, names, structs, shapes, dtypes):
    """Write an ONNX file.

    Args:
        path: of the file.
        run: function of a list of weights and one of inputs. values: the weights.
        names, structs, shapes: of the inputs: names, abstract arrays, sizes with None where open.
        dtypes: those that the model computes in, for how close numbers have to be.

    Raises:
        ImportError: the converter is not installed. FileError: it cannot convert the model.
    """
    place = f"export({path!r})"
    converter = optional.load("jax2onnx", place, "onnx")
    runtime = optional.load("onnxruntime", place, "onnx")
    inputs = [
        jax.ShapeDtypeStruct([_letters(s, i, axis) for axis, s in enumerate(shape)], struct.dtype)
        for i, (struct, shape) in enumerate(zip(structs, shapes, strict=True))
    ]

    def function(*given):
        return tuple(jax.tree.leaves(run(values, list(given))))

    def convert():
        found = converter.to_onnx(function, inputs, input_names=names, return_mode="proto")
        data = found.SerializeToString()
        session = runtime.InferenceSession(data)
        trial = _trial(structs, shapes)
        served = session.run(None, dict(zip(names, trial, strict=True)))
        return data, function(*trial), served

    with atomic_write(path) as file:
        file.write(_checked(convert, place, "ONNX", dtypes))


def write_saved_model(path, run, values, names, structs, shapes, dtypes):
    """Write a folder with a TensorFlow SavedModel, whose `serve` takes the inputs.

    Args:
        path: of the folder; the others as for `write_onnx`.

    Raises:
        ImportError: TensorFlow is not installed. FileError: the converter cannot convert the model.
    """
    place = f"export({path!r})"
    tf = optional.load("tensorflow", place, "tensorflow")
    if pathlib.Path(path).exists() and not pathlib.Path(path, "saved_model.pb").exists():
        raise errors.bad_value(place, "a new folder, or that of a SavedModel", "something else")
    from jax.experimental import jax2tf

    sizes = [
        "(" + ", ".join(_letters(s, i, axis) if s is None else str(s)
                        for axis, s in enumerate(shape)) + ("," if len(shape) == 1 else "") + ")"
        for i, shape in enumerate(shapes)
    ]  # fmt: skip
    specs = [
        tf.TensorSpec(shape, struct.dtype.name, name=name)
        for name, shape, struct in zip(names, shapes, structs, strict=True)
    ]
    module = tf.Module()
    module.weights = [tf.Variable(np.asarray(v)) for v in values]
    function = jax2tf.convert(
        lambda weights, *inputs: run(weights, list(inputs)), polymorphic_shapes=[None, *sizes],
        with_gradient=False,
    )  # fmt: skip
    module.serve = tf.function(
        lambda *inputs: function(module.weights, *inputs), input_signature=specs, autograph=False
    )

    with atomic_folder(path) as folder:

        def convert():
            signatures = {"serving_default": _named(tf, module.serve, specs)}
            tf.saved_model.save(module, folder, signatures=signatures)
            trial = _trial(structs, shapes)
            loaded = tf.saved_model.load(folder)  # its variables live as long as it does
            served = loaded.serve(*trial)
            served = [np.asarray(y) for y in jax.tree.leaves(served)]
            return None, jax.tree.leaves(run(values, trial)), served

        _checked(convert, place, "TensorFlow", dtypes)


def _named(tf, serve, specs):
    """Return `serve` with a dict of outputs, which a signature of a SavedModel needs."""

    def signature(*inputs):
        found = serve(*inputs)
        if isinstance(found, dict):
            return found
        return {f"output_{i}": y for i, y in enumerate(tf.nest.flatten(found))}

    return tf.function(signature, input_signature=specs, autograph=False)


def _letters(size, number, axis):
    if size is not None:
        return size
    return "batch" if axis == 0 else f"size_{number}_{axis}"


def _trial(structs, shapes):
    random = np.random.default_rng(0)
    return [
        random.random([_OPEN_SIZE if d is None else d for d in shape]).astype(struct.dtype)
        for struct, shape in zip(structs, shapes, strict=True)
    ]


def _checked(convert, place, form, dtypes=()):
    """Return what was converted, once it has computed what the model does."""
    fix = "pass input_signature=[shape, ...] without open sizes, or format='stablehlo'"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the converters, on their own code
            data, expected, served = convert()
    except Exception as e:
        found = f"{type(e).__name__}: {str(e).strip()[:300]}".rstrip(".")
        error = wrong(place, f"a model that its converter can bring to {form}", found, fix)
        raise error from e
    close = max([1e-3, *(_CLOSE.get(dtype, 0) for dtype in dtypes)])
    for i, (a, b) in enumerate(zip(expected, served, strict=True)):
        a, b = np.asarray(a).astype("float32"), np.asarray(b).astype("float32")
        if a.shape != b.shape or not np.allclose(a, b, rtol=close, atol=close, equal_nan=True):
            raise wrong(f"{place}: output {i}", "what the model computes", "something else", fix)
    return data
