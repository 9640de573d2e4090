"""Regularizers against real Keras."""

import inspect

import jax
import keras as oracle
import numpy as np
import pytest

from stepfit import regularizers
from stepfit.core.variable import Variable
from tests.parity.properties import round_trip, without_row

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
ROWS = [
    ("L1", {}), ("L1", {"l1": 0.3}), ("L2", {}), ("L2", {"l2": 0.3}), ("L1L2", {}),
    ("L1L2", {"l1": 0.2, "l2": 0.3}), ("OrthogonalRegularizer", {}),
    ("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}),
]  # fmt: skip


@pytest.mark.parametrize("name, arguments", ROWS)
def test_equals_keras(name, arguments):
    ours = getattr(regularizers, name)(**arguments)
    theirs = getattr(oracle.regularizers, name)(**arguments)
    x = jax.numpy.asarray(X)
    for argument in (x, Variable(X)):
        np.testing.assert_allclose(ours(argument), theirs(x), rtol=1e-5, atol=1e-7)
    slope = jax.jit(jax.grad(ours))
    gradient, expected = slope(x), jax.grad(theirs)(x)
    assert slope(2 * x).shape == x.shape and slope._cache_size() == 1
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)
    half = jax.eval_shape(ours, jax.ShapeDtypeStruct(X.shape, "bfloat16"))
    assert half.dtype == "bfloat16" and half.shape == ()
    config, expected = ours.get_config(), theirs.get_config()
    assert config.keys() == expected.keys()
    assert all(config[k] == pytest.approx(expected[k]) for k in config if k != "mode")
    assert inspect.signature(type(ours)) == inspect.signature(type(theirs))
    round_trip(regularizers, ours)
    again = regularizers.get(oracle.regularizers.serialize(theirs))
    assert type(again) is type(ours)


def test_every_regularizer_has_a_row():
    left = without_row(regularizers, [getattr(regularizers, name) for name, _ in ROWS])
    assert left == {"Regularizer", "deserialize", "get", "serialize"}


def test_orthogonal_of_a_single_vector_and_of_zeros_is_no_penalty():
    penalty = regularizers.OrthogonalRegularizer(1.0)
    assert float(penalty(np.ones((1, 3), "float32"))) == 0.0
    gradient = jax.grad(penalty)(np.zeros((2, 3), "float32"))
    assert np.isfinite(gradient).all() and float(penalty(np.zeros((2, 3), "float32"))) == 0.0


def test_get():
    from keras.src.regularizers import ALL_OBJECTS_DICT

    for name in set(ALL_OBJECTS_DICT) - {"Regularizer", "regularizer"}:
        assert type(regularizers.get(name)).__name__ == ALL_OBJECTS_DICT[name].__name__
    # Keras documents these strings as 0.01 and 0.01; its code gives factors of 0, no penalty.
    for name in ("l1_l2", "l1l2", "L1L2"):
        assert regularizers.get(name).get_config() == {"l1": 0.01, "l2": 0.01}
    assert regularizers.l2(0.5).l2 == 0.5 and regularizers.l1_l2 is regularizers.L1L2
    assert isinstance(regularizers.get(regularizers.L1), regularizers.L1)
    assert regularizers.get(None) is None
    assert regularizers.get(abs) is abs
    given = regularizers.L2(0.5)
    assert regularizers.get(given) is given


ERRORS = [
    (lambda: regularizers.L2(-0.1), "L2 l2: expected a non-negative float, found -0.1."),
    (lambda: regularizers.L1(float("nan")), "L1 l1: expected a non-negative float, found nan."),
    (lambda: regularizers.L1L2("a"), "L1L2 l1: expected a non-negative float, found 'a'."),
    (lambda: regularizers.OrthogonalRegularizer(mode="row"),
     "OrthogonalRegularizer mode: expected the name of a mode, found 'row'; did you mean 'rows'?"),
    (lambda: regularizers.OrthogonalRegularizer()(X[0]),
     "OrthogonalRegularizer(x): expected a matrix (2 axes), found shape (3,)."),
    (lambda: regularizers.get("l1_l3"),
     "regularizer: expected the name of a regularizer, found 'l1_l3'; did you mean 'l1_l2'?"),
    (lambda: regularizers.Regularizer()(X),
     "Regularizer: expected a method __call__(self, x) that returns a scalar penalty, found none; "
     "define it."),
]  # fmt: skip


@pytest.mark.parametrize("act, text", ERRORS, ids=range(len(ERRORS)))
def test_errors(act, text):
    with pytest.raises((ValueError, TypeError, NotImplementedError)) as error:
        act()
    assert str(error.value) == text
