"""What ops do beside computing Keras's numbers: lists, floatx, edges, shapes, control flow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stepfit import ops
from stepfit.core import config
from stepfit.core.symbolic import KerasTensor
from stepfit.core.variable import Variable
from tests.parity.ops import BOX, B, P, X, integers


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


@pytest.mark.parametrize(
    "function",
    [lambda x: ops.divide_no_nan(P, x), ops.relu, ops.logsumexp, ops.normalize,
     lambda x: ops.normalize(x, order=1), lambda x: ops.normalize(x, order=3),
     lambda x: ops.normalize(x, epsilon=1e-30)],
)  # fmt: skip
def test_gradients_at_zeros_are_finite(function):
    for x in (np.where(B, X, 0).astype("float32"), X * [[0], [1], [1]]):
        slope = jax.grad(lambda x: jnp.sum(jnp.sin(function(x))))(x.astype("float32"))
        assert np.isfinite(slope).all() and np.any(slope)


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
