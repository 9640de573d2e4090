"""Pooling and its derivatives against what `lax` computes: ties, overlaps, padding, odd sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from jax.extend.core import jaxpr_as_fun

from stepfit.rewrite import rewrite

REDUCERS = {"max": (lax.max, -np.inf), "min": (lax.min, np.inf), "sum": (lax.add, 0.0)}

# name -> (shape, window, strides, padding)
CASES = {
    "apart": ((2, 6, 8, 3), (1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
    "apart, odd size": ((2, 7, 5, 3), (1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
    "apart, padded": ((2, 7, 5, 3), (1, 2, 2, 1), (1, 2, 2, 1), "SAME"),
    "gaps": ((2, 9, 8, 1), (1, 2, 2, 1), (1, 3, 3, 1), "VALID"),
    "overlapping": ((2, 9, 9, 2), (1, 3, 3, 1), (1, 2, 2, 1), "VALID"),
    "overlapping, padded": ((2, 8, 7, 2), (1, 3, 3, 1), (1, 2, 2, 1), "SAME"),
    "strides 1": ((2, 6, 5, 2), (1, 3, 2, 1), (1, 1, 1, 1), "SAME"),
    "channels first": ((2, 3, 7, 6), (1, 1, 3, 2), (1, 1, 2, 2), "SAME"),
    "1D": ((2, 11, 3), (1, 3, 1), (1, 2, 1), "SAME"),
    "3D": ((1, 5, 4, 6, 2), (1, 2, 3, 2, 1), (1, 2, 1, 2, 1), "SAME"),
    "over channels too": ((2, 5, 6), (2, 2, 3), (1, 2, 3), "VALID"),
    "lopsided padding": (
        (1, 5, 6, 1),
        (1, 3, 3, 1),
        (1, 2, 2, 1),
        ((0, 0), (2, 0), (0, 1), (0, 0)),
    ),
}


def check(x, kind, window, strides, padding, tolerance):
    """Compare pooling, its gradient and its derivative in one direction; return the report."""
    reducer, start = REDUCERS[kind]

    def pool(x):
        return lax.reduce_window(x, start, reducer, window, strides, padding)

    def derivatives(x, tangent):
        output, pullback = jax.vjp(pool, x)
        return output, pullback(output * 2 + 1), jax.jvp(pool, (x,), (tangent,))

    tangent = x[::-1] * 2
    program = jax.make_jaxpr(derivatives)(x, tangent)
    better, report = rewrite(program, platform="cpu")
    assert report.fits_loop
    *found, output, derivative = jax.jit(jaxpr_as_fun(better))(x, tangent)
    *expected, right, _ = jax.jit(jaxpr_as_fun(program))(x, tangent)
    for a, b in zip([*found, output], [*expected, right], strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(wide(a), wide(b), rtol=tolerance, atol=tolerance)
    # The derivative is the transpose of the gradient; that of `lax` is not where there are ties.
    cotangent, gradient = wide(output * 2 + 1), wide(found[1])
    assert derivative.dtype == right.dtype
    np.testing.assert_allclose(
        (cotangent * wide(derivative)).sum(), (gradient * wide(tangent)).sum(), rtol=tolerance
    )
    return report, better


def wide(x):
    """Return an array in NumPy's float64."""
    return np.asarray(x, np.float64)


def few_values(shape, dtype, seed=0):
    """Return an array with many ties."""
    return jnp.asarray(np.random.default_rng(seed).integers(-2, 3, shape), dtype)


SLOW = {"select_and_scatter_add", "select_and_gather_add", "reduce_window_max"}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["max", "sum"])
def test_pooling_and_its_derivatives_are_what_they_were(name, kind):
    shape, window, strides, padding = CASES[name]
    report, better = check(few_values(shape, "float32"), kind, window, strides, padding, 1e-6)
    names = {"max": {"pooling", "pooling gradient", "pooling derivative"}, "sum": {"pooling"}}
    assert set(report.rewritten) == names[kind]
    assert not SLOW & {equation.primitive.name for equation in better.jaxpr.eqns}


@pytest.mark.parametrize("kind", REDUCERS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_low_precision(kind, dtype):
    shape, window, strides, padding = CASES["overlapping, padded"]
    check(few_values(shape, dtype), kind, window, strides, padding, 1e-2)


@settings(max_examples=8, deadline=None, database=None)
@given(st.data())
def test_any_pooling(data):
    sizes = st.integers(1, 6)
    shape, window, strides = (tuple(data.draw(sizes) for _ in range(2)) for _ in range(3))
    padding = tuple((data.draw(st.integers(0, w - 1)), w - 1) for w in window)
    kind = data.draw(st.sampled_from(["max", "min", "sum"]))
    check(few_values(shape, "float32"), kind, window, strides, padding, 1e-6)


def gradient_of_max_pooling(x, strides=2, padding="VALID"):
    """Return the gradient of the sum of the maxima of pairs."""
    pool = lambda x: lax.reduce_window(x, -np.inf, lax.max, (2,), (strides,), padding).sum()
    program = jax.make_jaxpr(jax.grad(pool))(x)
    better, report = rewrite(program, platform="cpu")
    assert "pooling gradient" in report.rewritten
    return jaxpr_as_fun(better)(x)[0].tolist()


def test_the_first_of_equals_wins():
    assert gradient_of_max_pooling(jnp.array([1.0, 1.0, 2.0, 3.0])) == [1.0, 0.0, 0.0, 1.0]
    assert gradient_of_max_pooling(jnp.ones(4), strides=1) == [1.0, 1.0, 1.0, 0.0]


def test_padding_wins_over_nothing():
    x = jnp.full(3, -np.inf)
    assert gradient_of_max_pooling(x, 2, [(1, 0)]) == [1.0, 1.0, 0.0]


def test_integers_and_wide_windows():
    x = jnp.arange(40, dtype=jnp.int32)
    pool = lambda n: lambda x: lax.reduce_window(x, -(2**31), lax.max, (n,), (2,), "SAME")
    narrow, report = rewrite(jax.make_jaxpr(pool(3))(x), platform="cpu")
    assert report.rewritten == {"pooling": 1}
    assert (jaxpr_as_fun(narrow)(x)[0] == pool(3)(x)).all()
    wide = jax.make_jaxpr(pool(30))(x)
    assert rewrite(wide, platform="cpu")[0] is wide
