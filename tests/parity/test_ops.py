"""Every op of the table against real Keras: values, gradients, dtypes, shapes, signatures."""

import functools
import operator
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from stepfit import ops
from stepfit.core.symbolic import KerasTensor, symbolic_leaves
from tests.parity.ops import ROWS, X
from tests.parity.properties import signature, without_row


def label(row):
    name, args, kwargs = row
    shapes = [str(np.shape(a)) if isinstance(a, np.ndarray) else str(a)[:18] for a in args]
    return f"{name}({','.join(shapes + [f'{k}={v}'[:30] for k, v in kwargs.items()])})"


NUMBERS = range(len(ROWS))
each_row = pytest.mark.parametrize(
    "number", NUMBERS, ids=[f"{i}-{label(ROWS[i])}" for i in NUMBERS]
)

CHUNK = 48  # rows compiled together: one compilation is cheaper than one per row and library
# Their output shapes depend on the values.
EAGER_ONLY = {"nonzero", "unique", "bincount", "histogram"}
# JAX has no derivative of these, or not in all their forms.
NO_GRADIENT = {"nextafter", "segment_prod", "svd", "eig"}
# Sizes such as min(batch, features) are inferred for batches that are larger than the features.
LARGE_BATCHES = {"diag", "diagonal", "qr", "svd"}
# The first axis cannot be unknown; Keras lets it be, and fails when it runs.
FIRST_AXIS_IS_KNOWN = {"slogdet", "logdet", "broadcast_to", "scatter"}
# Keras infers shapes that its own results do not have.
KERAS_IS_WRONG = {"corrcoef", "rot90", "adaptive_average_pool", "adaptive_max_pool"}


def of(library, row):
    """The op of a row; its name may have dots, as in "image.resize"."""
    return operator.attrgetter(row[0])(library)


def is_array(x):
    return isinstance(x, np.ndarray)


def leaves(row):
    return jax.tree.leaves(row[1:])


def compiles(row):
    """Rows with an array among their arguments run compiled, the others eagerly."""
    if row[0] in ("stft", "istft", "rearrange") or "strategy" in row[2]:  # Keras's do not
        return False
    return any(map(is_array, leaves(row))) and row[0] not in EAGER_ONLY and not indices(row)


def indices(row):
    return row[0] == "where" and len(row[1]) == 1


def value_and_slopes(library, row, arrays):
    """Results, and the gradients of a weighted sum of them by the arguments of float32."""
    name, _, kwargs = row
    floats = [i for i, x in enumerate(arrays) if x.dtype == "float32"]
    if name in NO_GRADIENT or kwargs.get("reduction") == "mul":
        floats = []

    def weighted(chosen):
        given = dict(zip(floats, chosen, strict=True))
        full = iter([given.get(i, x) for i, x in enumerate(arrays)])
        args, kwargs = jax.tree.map(
            lambda x: next(full) if is_array(x) else x, row[1:], is_leaf=lambda x: x is None
        )
        found, total = jax.tree.leaves(of(library, row)(*args, **kwargs)), 0.0
        for y in found:
            if jnp.issubdtype(y.dtype, jnp.inexact):
                parts = [jnp.real(y), jnp.imag(y)] if jnp.iscomplexobj(y) else [y]
                for part in parts:
                    total += jnp.sum(part * jnp.cos(jnp.arange(part.size)).reshape(part.shape))
        return jnp.float32(total), found

    (_, found), slopes = jax.value_and_grad(weighted, has_aux=True)([arrays[i] for i in floats])
    return found, slopes


@functools.cache
def run_chunk(chunk):
    """Results and gradients of both libraries for CHUNK rows, from one compiled function."""
    rows = {i: ROWS[i] for i in NUMBERS[chunk * CHUNK : (chunk + 1) * CHUNK] if compiles(ROWS[i])}
    traces = []

    def everything(arrays):
        traces.append(1)
        results = []
        for row, values in zip(rows.values(), arrays, strict=True):
            results.append([value_and_slopes(library, row, values) for library in (ops, keras.ops)])
        return results

    arrays = [[x for x in leaves(row) if is_array(x)] for row in rows.values()]
    compiled = jax.jit(everything)
    compiled(arrays)
    found = compiled(arrays)
    assert len(traces) == 1
    return dict(zip(rows, found, strict=True))


def close(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert (a.dtype, a.shape, a.weak_type) == (b.dtype, b.shape, False)
        np.testing.assert_allclose(wide(a), wide(b), rtol=2e-5, atol=2e-5)


def wide(x):
    return np.asarray(x, "float32" if x.dtype == jnp.bfloat16 else x.dtype)


@each_row
def test_values_dtypes_and_gradients_are_keras(number):
    row = ROWS[number]
    if compiles(row):
        for ours, theirs in zip(*run_chunk(number // CHUNK)[number], strict=True):
            close(ours, theirs)
    else:
        close(*(jax.tree.leaves(of(m, row)(*row[1], **row[2])) for m in (ops, keras.ops)))


def first_array(row):
    return next((x for x in leaves(row[:2]) if is_array(x)), np.zeros(()))


SYMBOLIC = [i for i in NUMBERS if compiles(ROWS[i]) or ROWS[i][0] == "rearrange"]
each_symbolic = pytest.mark.parametrize(
    "number", [i for i in SYMBOLIC if first_array(ROWS[i]).ndim],
    ids=lambda i: f"{i}-{label(ROWS[i])}",
)  # fmt: skip


def batches(row, tensor, unknown):
    """A row's arguments; symbolic tensors for the first array, and for others of its length."""
    shape = first_array(row).shape

    def swap(x):
        if not is_array(x) or x.shape[:1] != shape[:1] or ("conv" in row[0] and x.shape != shape):
            return x
        return tensor((None, *x.shape[1:]) if unknown else x.shape, x.dtype.name)

    return jax.tree.map(swap, row[1:], is_leaf=lambda x: x is None)


def inferred(row, unknown):
    args, kwargs = batches(row, KerasTensor, unknown)
    return [(x.shape, x.dtype) for x in symbolic_leaves(of(ops, row)(*args, **kwargs))]


def keras_infers(row):
    """Shapes that Keras infers with an unknown batch; None where it cannot."""
    args, kwargs = batches(row, keras.KerasTensor, unknown=True)
    try:
        found = of(keras.ops, row)(*args, **kwargs)
    except (ValueError, TypeError, AttributeError):
        return None
    return [tuple(x.shape) for x in jax.tree.leaves(found, is_leaf=keras.backend.is_keras_tensor)]


@each_symbolic
def test_shape_and_dtype_are_inferred(number):
    row = ROWS[number]
    args, kwargs = row[1:]
    expected = jax.eval_shape(lambda: of(ops, row)(*args, **kwargs))
    expected = [(y.shape, y.dtype.name) for y in jax.tree.leaves(expected)]
    assert inferred(row, unknown=False) == expected


@each_symbolic
def test_shape_is_inferred_with_an_unknown_batch(number):
    row = ROWS[number]
    theirs = keras_infers(row)
    try:
        found = inferred(row, unknown=True)
    except ValueError:
        assert theirs is None or row[0] in FIRST_AXIS_IS_KNOWN
        return
    for i, ((shape, dtype), (full, same)) in enumerate(
        zip(found, inferred(row, unknown=False), strict=True)
    ):
        assert dtype == same and len(shape) == len(full)
        assert row[0] in LARGE_BATCHES or all(a in (None, b) for a, b in zip(shape, full))
        if theirs and row[0] not in KERAS_IS_WRONG:  # what Keras knows, we know
            assert all(a is not None or b is None for a, b in zip(shape, theirs[i], strict=True))


DTYPES = ["bool", "uint8", "int32", "float16", "bfloat16"]
SHARED = sorted({r[0] for r in ROWS if len(r[1]) == 1 and r[1][0] is X and not r[2]}
                - {"nonzero", "svd", "qr", "pinv", "matrix_rank", "corrcoef", "norm",
                   "convert_to_tensor", "glu", "normalize", "trunc"})  # fmt: skip


@pytest.mark.parametrize("name", SHARED)
def test_result_dtypes_are_keras(name):
    for dtype in DTYPES:
        x = jax.ShapeDtypeStruct((3, 4), dtype)
        try:
            theirs = jax.eval_shape(getattr(keras.ops, name), x)
        except (TypeError, ValueError, RuntimeWarning):
            continue  # Keras refuses this dtype
        ours = jax.eval_shape(getattr(ops, name), x)
        assert jax.tree.map(lambda s: s.dtype, ours) == jax.tree.map(lambda s: s.dtype, theirs), (
            name, dtype)  # fmt: skip


MIXED = [("float16", "float32"), ("bfloat16", "int32"), ("int32", "uint8"), ("bool", "int32")]


@pytest.mark.parametrize("name", ["add", "multiply", "divide", "maximum", "where", "equal"])
def test_mixed_dtypes_are_keras(name):
    for one, two in MIXED:
        a, b = jax.ShapeDtypeStruct((3,), one), jax.ShapeDtypeStruct((3,), two)
        call = {m: getattr(m, name) for m in (ops, keras.ops)}
        if name == "where":
            call = {m: lambda x, y, f=f: f(jnp.ones(3, bool), x, y) for m, f in call.items()}
        dtypes = {jax.eval_shape(f, a, b).dtype for f in call.values()}
        assert len(dtypes) == 1, (one, two)


@pytest.mark.parametrize("name", sorted({row[0] for row in ROWS}))
def test_signature_is_keras(name):
    ours, theirs = (operator.attrgetter(name)(library) for library in (ops, keras.ops))
    named = [[p for p in signature(f) if p[0] != "kwargs"] for f in (ours, theirs)]
    assert named[0] == named[1]
    assert ours.__doc__


def test_every_op_of_keras_is_here():
    missing = {n for n in dir(keras.ops) if not n.startswith("_") and not hasattr(ops, n)}
    assert not {n for n in missing if callable(getattr(keras.ops, n))}


WITHOUT_ROW = {  # tests/ops/test_behaviour.py has those that do not take arrays to arrays
    "convert_to_numpy", "dtype", "is_tensor", "ndim", "shape", "size", "custom_gradient", "jvp",
    "vectorize", "while_loop",
    "empty",  # any values
    "l2_normalize",  # not an op of Keras
    "sparsemax",  # Keras's does not sum to 1; the definition is the oracle
}  # fmt: skip


def test_every_op_has_a_row():
    assert without_row(ops, [of(ops, row) for row in ROWS]) == WITHOUT_ROW
