"""Activations against real Keras: values, gradients, defaults, names."""

import inspect

import jax
import jax.numpy as jnp
import keras as oracle
import numpy as np
import pytest

from stepfit import Input, activations
from tests.expect import refused
from tests.parity.properties import without_row

X = np.array([[-7.0, -3.0, -1.0, -0.5, -0.2, 0.3], [0.5, 0.9, 1.0, 3.0, 6.0, 9.0]], "float32")
NAMES = [
    "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu",
    "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6",
    "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus",
    "sparse_sigmoid", "squareplus", "tanh", "tanh_shrink", "hard_swish", "swish",
]  # fmt: skip
ROWS = [(name, {}) for name in NAMES] + [
    ("celu", {"alpha": 0.5}), ("elu", {"alpha": 0.5}), ("gelu", {"approximate": True}),
    ("glu", {"axis": 0}), ("hard_shrink", {"threshold": 0.7}), ("soft_shrink", {"threshold": 0.7}),
    ("leaky_relu", {"negative_slope": 0.4}), ("softmax", {"axis": 0}),
    ("log_softmax", {"axis": 0}), ("squareplus", {"b": 2}),
    ("threshold", {"threshold": 0.7, "default_value": -2.0}),
    ("relu", {"negative_slope": 0.3}), ("relu", {"max_value": 4.0}), ("relu", {"max_value": 6}),
    ("relu", {"threshold": 0.7}),
    ("relu", {"threshold": 0.7, "max_value": 4.0, "negative_slope": 0.3}),
    ("relu", {"threshold": -2.0, "negative_slope": 0.3}),
]  # fmt: skip


@pytest.mark.parametrize("name, arguments", ROWS)
def test_equals_keras(name, arguments):
    library = oracle.ops if name in ("swish", "hard_swish") else oracle.activations
    ours, theirs = getattr(activations, name), getattr(library, name)
    x = jnp.asarray(X)

    def both(function):
        value, backward = jax.vjp(lambda x: function(x, **arguments), x)
        return value, backward(value)[0]

    for a, b in zip(both(ours), both(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours(X.tolist(), **arguments), both(ours)[0], rtol=1e-5, atol=1e-6)
    compiled = jax.jit(lambda x: ours(x, **arguments))
    compiled(2 * x)
    np.testing.assert_allclose(compiled(x), both(ours)[0], rtol=1e-5, atol=1e-6)
    assert compiled._cache_size() == 1
    symbolic = ours(Input((6, 4)), **({**arguments, "axis": 1} if name == "glu" else arguments))
    assert symbolic.shape == (None, 3 if name == "glu" else 6, 4)
    half = jax.eval_shape(lambda x: ours(x, **arguments), jax.ShapeDtypeStruct(X.shape, "bfloat16"))
    assert half.dtype == "bfloat16"


def test_every_activation_has_a_row():
    left = without_row(activations, [getattr(activations, name) for name, _ in ROWS])
    assert left == {"deserialize", "get", "serialize", "sparsemax"}  # its test is the next


@pytest.mark.parametrize("axis", [0, -1])
def test_sparsemax_is_the_nearest_distribution(axis):
    # Not compared with Keras, whose result sums to 1 only where a single entry is positive.
    p = np.asarray(activations.sparsemax(X / 5, axis=axis))
    np.testing.assert_allclose(p.sum(axis), 1.0, atol=1e-6)
    assert (p >= 0).all() and (p == 0).any() and ((p > 0).sum(axis) > 1).any()
    shift = np.where(p > 0, X / 5 - p, np.nan)  # one constant per distribution
    assert np.nanmax(np.nanmax(shift, axis) - np.nanmin(shift, axis)) < 1e-6
    assert (X / 5 - np.nanmax(shift, axis, keepdims=True) <= p + 1e-6).all()


@pytest.mark.parametrize("name", [*NAMES[:-2], "threshold", "sparsemax"])
def test_signature_and_name_are_keras(name):
    ours, theirs = getattr(activations, name), getattr(oracle.activations, name)
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert activations.get(name) is ours
    assert activations.serialize(ours) == oracle.activations.serialize(theirs) == name
    assert activations.deserialize(name) is ours
    assert ours.__doc__


def test_names_are_keras():
    from keras.src.activations import ALL_OBJECTS_DICT

    assert set(activations._catalogue.entries) == set(ALL_OBJECTS_DICT)
    for name, theirs in ALL_OBJECTS_DICT.items():
        assert activations.get(name).__name__ == theirs.__name__


def test_get():
    assert activations.get(None) is activations.linear
    assert activations.get(jnp.tanh) is jnp.tanh
    config = {"class_name": "function", "config": "relu", "module": "builtins"}
    assert activations.get(config) is activations.relu
    own = lambda x: x
    assert activations.deserialize("own", custom_objects={"own": own}) is own


def test_integers():
    x = np.array([-4, 2, 9], "int32")
    assert activations.relu(x).tolist() == [0, 2, 9]
    assert activations.relu(x, max_value=6).tolist() == [0, 2, 6]
    assert activations.relu(x, negative_slope=0.5).tolist() == [-2.0, 2.0, 9.0]


ERRORS = [
    (lambda: activations.get("rleu"),
     "activation: expected the name of an activation, found 'rleu'; did you mean 'relu'?"),
    (lambda: activations.get(3),
     "activation: expected an activation, its name, or a callable, found 3."),
    (lambda: activations.serialize(lambda x: x),
     "activation: expected a function with a name, found a lambda; define it with `def` and "
     "@keras.saving.register_keras_serializable()."),
]  # fmt: skip


@pytest.mark.parametrize("act, text", ERRORS, ids=range(len(ERRORS)))
def test_errors(act, text):
    refused(act, (ValueError, TypeError), text)


def test_softmax_over_one_value_is_warned_of():
    with pytest.warns(UserWarning) as seen:
        assert activations.softmax(jnp.zeros((2, 1))).tolist() == [[1.0], [1.0]]
    assert [str(w.message) for w in seen] == [
        "softmax: expected several values along axis -1, found shape (2, 1): the result is 1, "
        "whatever they are; for one probability use sigmoid."
    ]
