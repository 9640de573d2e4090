"""Every op of the table against real Keras: values, dtypes, symbolic shapes, gradients."""

import functools
import inspect
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from stepfit import ops
from stepfit.core import config
from stepfit.core.symbolic import KerasTensor, symbolic_leaves
from stepfit.core.variable import Variable
from tests.ops.table import BOX, ROWS, B, P, X, integers


def label(row):
    name, args, kwargs = row
    shapes = [str(np.shape(a)) if isinstance(a, np.ndarray) else str(a)[:18] for a in args]
    return f"{name}({','.join(shapes + [f'{k}={v}'[:30] for k, v in kwargs.items()])})"


LABELS = [label(row) for row in ROWS]
each_row = pytest.mark.parametrize("row", ROWS, ids=[f"{i}-{t}" for i, t in enumerate(LABELS)])


CHUNK = 48  # rows compiled together: one compilation is cheaper than one per row and library
# Their output shapes depend on the values.
EAGER_ONLY = {"nonzero", "unique", "bincount", "histogram"}


def run_eagerly(row):
    name, args, kwargs = row
    return [jax.tree.leaves(getattr(m, name)(*args, **kwargs)) for m in (keras.ops, ops)]


@functools.cache
def run_chunk(number):
    """Results of both libraries for CHUNK rows, from one compiled function."""
    rows = [r for r in ROWS[number * CHUNK : (number + 1) * CHUNK] if compiles(r)]
    arrays = [[x for x in leaves(row) if isinstance(x, np.ndarray)] for row in rows]

    def everything(arrays):
        results = []
        for row, values in zip(rows, arrays, strict=True):
            given = iter(values)
            args, kwargs = jax.tree.map(
                lambda x, given=given: next(given) if isinstance(x, np.ndarray) else x, row[1:],
                is_leaf=lambda x: x is None,
            )
            results.append(run_eagerly((row[0], args, kwargs)))
        return results

    found = jax.jit(everything)(arrays)
    return {id(row): result for row, result in zip(rows, found, strict=True)}


def leaves(row):
    return jax.tree.leaves(row[1:])


def compiles(row):
    """Rows with an array among their arguments run compiled, the others eagerly."""
    has_arrays = any(isinstance(x, np.ndarray) for x in leaves(row))
    if row[0] in ("stft", "istft", "rearrange") or "strategy" in row[2]:  # Keras's do not
        return False
    return has_arrays and row[0] not in EAGER_ONLY and (row[0] != "where" or len(row[1]) > 1)


@each_row
def test_values_and_dtypes_are_keras(row):
    if compiles(row):
        theirs, ours = run_chunk(next(i for i, r in enumerate(ROWS) if r is row) // CHUNK)[id(row)]
    else:
        theirs, ours = run_eagerly(row)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(
            np.asarray(a, dtype=_wide(a)), np.asarray(b, dtype=_wide(b)), rtol=2e-5, atol=2e-5
        )


def _wide(x):
    return "float32" if x.dtype == jnp.bfloat16 else x.dtype


SYMBOLIC = [r for r in ROWS if isinstance(r[1][0], np.ndarray) and r[0] not in EAGER_ONLY
            and not (r[0] == "where" and len(r[1]) == 1)]  # fmt: skip


@pytest.mark.parametrize("row", SYMBOLIC, ids=lambda r: label(r))
def test_symbolic_call_infers_shape_and_dtype(row):
    name, (first, *rest), kwargs = row
    found = getattr(ops, name)(KerasTensor(first.shape, first.dtype), *rest, **kwargs)
    expected = jax.eval_shape(lambda x: getattr(ops, name)(x, *rest, **kwargs), first)
    found, expected = symbolic_leaves(found), jax.tree.leaves(expected)
    assert [(f.shape, f.dtype) for f in found] == [(e.shape, e.dtype.name) for e in expected]


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
    def read(function):
        return [(p.name, p.default) for p in inspect.signature(function).parameters.values()
                if p.kind is not p.VAR_KEYWORD]  # fmt: skip

    assert read(getattr(ops, name)) == read(getattr(keras.ops, name))
    assert getattr(ops, name).__doc__


def test_every_op_of_keras_is_here():
    missing = {n for n in dir(keras.ops) if not n.startswith("_") and not hasattr(ops, n)}
    assert not {n for n in missing if callable(getattr(keras.ops, n))}


@pytest.mark.parametrize("name", ["add", "mean", "softmax", "concatenate", "matmul"])
def test_variables_and_lists_are_arrays(name):
    v = Variable(X)
    arguments = {"mean": (v,), "softmax": (v,), "concatenate": ([v, X],)}.get(name, (v, X.T))
    if name == "add":
        arguments = (v, X.tolist())
    plain = jax.tree.map(lambda a: X if a is v else a, arguments,
                         is_leaf=lambda a: isinstance(a, Variable))  # fmt: skip
    if name == "add":
        plain = (X, X)
    np.testing.assert_allclose(getattr(ops, name)(*arguments), getattr(ops, name)(*plain))


def test_floats_from_integers_follow_floatx():
    try:
        config.set_floatx("float16")
        assert ops.sqrt(integers).dtype == ops.mean(integers).dtype == "float16"
        assert ops.zeros(2).dtype == ops.full(2, 7).dtype == "float16"
        assert ops.divide(integers, integers + 1).dtype == ops.linspace(0, 1, 3).dtype == "float16"
        assert ops.sqrt(P).dtype == "float32"
        assert ops.sum(integers).dtype == ops.arange(3).dtype == "int32"
        assert ops.arange(0.0, 1.0, 0.5).dtype == ops.one_hot([1], 2).dtype == "float16"
    finally:
        config.set_floatx("float32")


@pytest.mark.parametrize("name", ["divide_no_nan", "normalize", "relu", "logsumexp"])
def test_gradients_are_keras(name):
    x = np.where(B, X, 0).astype("float32")
    arguments = {"divide_no_nan": (P, x), "relu": (x,)}.get(name, (X,))

    def grad(module):
        function = getattr(module, name)
        return jax.grad(lambda *a: jnp.sum(jnp.sin(function(*a))), argnums=len(arguments) - 1)(
            *[jnp.asarray(a) for a in arguments]
        )

    np.testing.assert_allclose(grad(ops), grad(keras.ops), rtol=1e-5, atol=1e-6)
    assert np.isfinite(grad(ops)).all()


def test_sparsemax_is_the_nearest_distribution():
    """Keras 3.15's own sparsemax does not sum to 1, so the definition is the oracle here."""
    y = np.asarray(ops.sparsemax(2 * X, axis=0))
    np.testing.assert_allclose(y.sum(0), 1, rtol=1e-5)
    assert (y >= 0).all() and (y == 0).any()
    other = np.random.default_rng(0).dirichlet(np.ones(3), (200, 4)).transpose(0, 2, 1)
    assert (np.square(other - 2 * X).sum(1) >= np.square(y - 2 * X).sum(0) - 1e-5).all()


def test_shape_is_python_ints_under_jit():
    seen = []

    @jax.jit
    def f(x):
        seen.append((ops.shape(x), ops.ndim(x), ops.size(x)))
        return ops.reshape(x, (ops.shape(x)[0], -1))

    assert f(BOX).shape == (2, 12)
    assert seen == [((2, 3, 4), 3, 24)] and all(type(n) is int for n in seen[0][0])
    assert ops.shape(KerasTensor((None, 3))) == (None, 3)
    assert ops.size(KerasTensor((None, 3))) is None
    assert ops.shape([[1, 2, 3]]) == (1, 3) and ops.ndim(2.0) == 0


def test_conversion():
    assert ops.is_tensor(ops.ones(2)) and not ops.is_tensor(np.ones(2))
    assert isinstance(ops.convert_to_numpy(ops.ones(2)), np.ndarray)
    assert ops.dtype(X) == "float32" and ops.dtype(KerasTensor((2,), "int32")) == "int32"
    assert ops.convert_to_tensor(np.ones(2), dtype="bfloat16").dtype == "bfloat16"
    np.testing.assert_array_equal(ops.convert_to_numpy(Variable(X)), X)


def test_control_flow():
    up = ops.cond(True, lambda: 1.0, lambda: 2.0)
    assert float(up) == 1.0
    assert int(ops.switch(2, [lambda x: x, lambda x: -x, lambda x: 2 * x], 5)) == 10
    assert int(ops.while_loop(lambda i: i < 10, lambda i: i + 3, 0, maximum_iterations=2)) == 6
    a, b = ops.while_loop(lambda a, b: a < 3, lambda a, b: [a + 1, b * 2.0], [0, 1.0])
    assert (int(a), float(b)) == (3, 8.0)
    assert int(ops.fori_loop(0, 4, lambda i, total: total + i, 0)) == 6
    np.testing.assert_allclose(ops.map(lambda r: r.sum(), jnp.asarray(X)), X.sum(1), rtol=1e-5)
    np.testing.assert_allclose(
        ops.vectorized_map(lambda r: r.sum(), jnp.asarray(X)), X.sum(1), rtol=1e-5
    )
    np.testing.assert_allclose(
        ops.associative_scan(lambda a, b: a + b, jnp.asarray(X), axis=1), X.cumsum(1), rtol=1e-5
    )
    primal, tangent = ops.jvp(lambda x: x**2, (3.0,), (1.0,))
    assert (float(primal), float(tangent)) == (9.0, 6.0)
    np.testing.assert_array_equal(ops.vectorize(lambda a: a + 1)(X), X + 1)
    assert float(jax.grad(lambda x: ops.stop_gradient(x) * x)(3.0)) == 3.0


ERRORS = [
    (lambda: ops.conv(np.ones((1, 4, 3)), np.ones((2, 2, 4))),
     "conv(inputs): expected channels that the kernel's 2 input channels divide, found 3 "
     "channels."),
    (lambda: ops.conv(np.ones((1, 2, 1)), np.ones((3, 1, 1))),
     "conv(inputs): expected space for at least one window, found float32[1,2,1] for a kernel of "
     'shape (3, 1, 1); use padding="same", a smaller kernel or a larger input.'),
    (lambda: ops.conv(np.ones((1, 4, 1)), np.ones((3, 1, 1)), padding="sane"),
     "conv(padding): expected the name of a padding, found 'sane'; did you mean 'same'?"),
    (lambda: ops.conv(np.ones((4, 1)), np.ones((3, 1))),
     "conv(inputs, kernel): expected arrays of the same rank: batch, 1 to 3 spatial axes, "
     "channels, found float32[4,1] and float32[3,1]."),
    (lambda: ops.max_pool(np.ones((1, 4, 1)), (2, 2)),
     "max_pool(pool_size): expected a positive int or a tuple of 1 positive ints, found (2, 2)."),
    (lambda: ops.categorical_crossentropy(np.ones((2, 3)), np.ones((2, 4))),
     "categorical_crossentropy(target, output): expected arrays of the same shape, found "
     "float32[2,3] and float32[2,4]."),
    (lambda: ops.sparse_categorical_crossentropy(np.ones(3), np.ones((2, 4))),
     "sparse_categorical_crossentropy(target, output): expected a target shaped like the output "
     "without its last axis, found float32[3] and float32[2,4]."),
    (lambda: ops.scatter_update(X, [[0, 0]], [1.0], reduction="ad"),
     "scatter_update(reduction): expected the name of a reduction, found 'ad'; did you mean "
     "'add'?"),
    (lambda: ops.segment_sum(np.ones(3), np.zeros(3, int)),
     "segment_sum(num_segments): expected the number of segments, found None; shapes are fixed at "
     "compile time, pass num_segments=."),
    (lambda: ops.cholesky(-np.eye(2, dtype="float32")),
     "cholesky(x): expected a positive definite matrix, found float32[2,2] that is not one."),
    (lambda: ops.searchsorted(X, X),
     "searchsorted(sorted_sequence): expected a 1D array, found float32[3,4]; use vectorized_map "
     "over the leading axes."),
    (lambda: ops.ctc_loss(np.ones(3), np.ones((3, 2)), [1], [1]),
     "ctc_loss(target, output): expected labels (batch, labels) and logits (batch, frames, "
     "classes), found float32[3] and float32[3,2]."),
    (lambda: ops.ctc_decode(np.ones((1, 2, 3)), [2], strategy="greed"),
     "ctc_decode(strategy): expected the name of a strategy, found 'greed'; did you mean 'greedy'?"
     ),
    (lambda: ops.ctc_decode(np.ones((1, 2, 3)), [2], "beam_search", beam_width=2, top_paths=3),
     "ctc_decode(top_paths): expected an int from 1 to beam_width = 2, found 3."),
    (lambda: ops.extract_sequences(np.ones(3), 4, 1),
     "extract_sequences(x): expected a signal of at least 4 values, found 3 values."),
    (lambda: ops.stft(np.ones(9, "float32"), 4, 2, 3),
     "stft(fft_length): expected an int of at least sequence_length = 4, found 3."),
    (lambda: ops.stft(np.ones(9, "float32"), 4, 2, 4, window="han"),
     "stft(window): expected the name of a window, found 'han'; did you mean 'hann'?"),
    (lambda: ops.stft(np.ones(9, "float32"), 4, 2, 4, window=np.ones(3)),
     "stft(window): expected shape (4,), found float32[3]."),
    (lambda: ops.istft(np.ones((3, 3)), 4, 2, 4),
     "istft(x): expected a pair (real, imaginary), found float64[3,3]."),
    (lambda: ops.fold(np.ones((1, 4, 5)), 3, 2),
     "fold(x): expected shape (n, c * 4, 4), found float32[1,4,5]."),
    (lambda: ops.adaptive_max_pool(np.ones((1, 4)), 2),
     "adaptive_max_pool(inputs): expected batch, 1 to 3 spatial axes, channels, found "
     "float32[1,4]."),
    (lambda: ops.rearrange(X, "a b"),
     "rearrange(pattern): expected two sides with -> between, found 'a b'."),
    (lambda: ops.rearrange(X, "a [b] -> a b"),
     "rearrange(pattern): expected names of axes and groups (a b) on both sides of ->, found "
     "'a [b] -> a b'."),
    (lambda: ops.rearrange(X, "a b -> a c"),
     "rearrange(pattern): expected each name once on each side, found 'a b -> a c'."),
    (lambda: ops.rearrange(X, "a b c -> a b c"),
     "rearrange(tensor): expected 3 axes, found float32[3,4] for 'a b c -> a b c'."),
    (lambda: ops.rearrange(X, "a (b c) -> a b c"),
     "rearrange(**axes_lengths): expected the length of 'b' or 'c', found neither; pass b=...."),
    (lambda: ops.rearrange(X, "a (b c) -> a b c", b=3),
     "rearrange(tensor): expected an axis (b c) that 3 divides, found one of size 4."),
    (lambda: ops.normalize(X, order=0),
     "normalize(order): expected an int of at least 1, found 0."),
]  # fmt: skip


@pytest.mark.parametrize("call, text", ERRORS, ids=[t.split(":")[0] for _, t in ERRORS])
def test_error_texts(call, text):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == text
