"""Constraints against real Keras."""

import inspect

import jax
import keras as oracle
import numpy as np
import pytest

from stepfit import constraints
from stepfit.core.variable import Variable
from tests.expect import refused
from tests.parity.properties import round_trip, without_row

W = np.random.default_rng(0).normal(size=(4, 3, 2)).astype("float32")
ROWS = [
    ("MaxNorm", {}), ("MaxNorm", {"max_value": 0.5, "axis": [0, 1]}), ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 2.5, "max_value": 3.0, "rate": 0.5, "axis": 1}), ("NonNeg", {}),
    ("UnitNorm", {}), ("UnitNorm", {"axis": (0, 1)}), ("Constraint", {}),
]  # fmt: skip


@pytest.mark.parametrize("name, arguments", ROWS)
def test_equals_keras(name, arguments):
    ours = getattr(constraints, name)(**arguments)
    theirs = getattr(oracle.constraints, name)(**arguments)
    expected = np.asarray(theirs(jax.numpy.asarray(W)))
    for w in (W, jax.numpy.asarray(W), Variable(W)):
        np.testing.assert_allclose(np.asarray(ours(w)), expected, rtol=1e-5, atol=1e-6)
    slope = lambda function: jax.grad(lambda w: (jax.numpy.cos(w) * function(w)).sum())
    compiled = jax.jit(lambda w: (ours(w), slope(ours)(w)))
    compiled(2 * W)
    value, gradient = compiled(W)
    assert compiled._cache_size() == 1
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, jax.jit(slope(theirs))(W), rtol=1e-4, atol=1e-5)
    half = jax.eval_shape(ours, jax.ShapeDtypeStruct(W.shape, "bfloat16"))
    assert half.dtype == "bfloat16" and half.shape == W.shape
    assert ours.get_config() == theirs.get_config()
    assert inspect.signature(type(ours)) == inspect.signature(type(theirs))
    if name != "Constraint":
        round_trip(constraints, ours)
        again = constraints.get(oracle.constraints.serialize(theirs))
        assert type(again) is type(ours)


def test_every_constraint_has_a_row():
    left = without_row(constraints, [getattr(constraints, name) for name, _ in ROWS])
    assert left == {"deserialize", "get", "serialize"}


def test_get():
    from keras.src.constraints import ALL_OBJECTS_DICT

    for name in set(ALL_OBJECTS_DICT) - {"Constraint", "constraint"}:
        assert type(constraints.get(name)).__name__ == ALL_OBJECTS_DICT[name].__name__
    assert constraints.max_norm is constraints.MaxNorm
    assert isinstance(constraints.get(constraints.NonNeg), constraints.NonNeg)
    assert constraints.get(None) is None
    assert constraints.get(abs) is abs


ERRORS = [
    (lambda: constraints.get("max_nrm"),
     "constraint: expected the name of a constraint, found 'max_nrm'; did you mean 'max_norm'?"),
    (lambda: constraints.get(2),
     "constraint: expected a constraint, its name, or a callable, found 2."),
]  # fmt: skip


@pytest.mark.parametrize("act, text", ERRORS, ids=range(len(ERRORS)))
def test_errors(act, text):
    refused(act, (ValueError, TypeError), text)
