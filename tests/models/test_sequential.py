"""Sequential: a list of layers."""

import jax
import keras as oracle
import numpy as np
import pytest

import stepfit
from stepfit import layers
from tests.expect import refused

X = np.ones((2, 4), "float32")


def deferred(k):
    model = k.Sequential([k.layers.Dense(3, name="a"), k.layers.Dense(2, name="b")], name="s")
    model(X)
    return model


def with_input(k):
    return k.Sequential(
        [k.Input((4,)), k.layers.Dense(3, name="a"), k.layers.Dense(2, name="b")], name="s"
    )


def added(k):
    model = k.Sequential(name="s")
    model.add(k.Input((4,)))
    model.add(k.layers.Dense(3, name="a"))
    model.add(k.layers.Dense(2, name="b"))
    return model


def built(k):
    model = k.Sequential([k.layers.Dense(3, name="a"), k.layers.Dense(2, name="b")], name="s")
    model.build((None, 4))
    return model


def nested(k):
    inner = k.Sequential([k.layers.Dense(3, name="a"), k.layers.BatchNormalization(name="n")],
                         name="inner")  # fmt: skip
    rest = [k.layers.Dropout(0.5, name="d"), k.layers.Dense(2, name="b")]
    model = k.Sequential([inner, *rest], name="s")
    model(X)
    return model


@pytest.mark.parametrize("make", [deferred, with_input, added, built, nested])
def test_models_are_keras(make):
    ours, theirs = make(stepfit), make(oracle)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [v.shape for v in ours.weights] == [v.shape for v in theirs.weights]
    paths, theirs_paths = ([v.path for v in m.trainable_variables] for m in (ours, theirs))
    assert paths == theirs_paths
    assert ours.count_params() == theirs.count_params() and ours.built
    assert ours.output_shape[1:] == theirs.output_shape[1:] == (2,)
    ours.set_weights([np.asarray(w) for w in theirs.get_weights()])
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jax.jit(ours)(x), ours(x), rtol=1e-5, atol=1e-6)


def test_deferred_building():
    model = stepfit.Sequential([layers.Dense(3), layers.Dense(2)])
    assert not model.built and model.weights == []
    model(X)
    assert model.built and len(model.weights) == 4
    assert (model.input_shape, model.output_shape) == ((None, 4), (None, 2))
    assert model(X[:1]).shape == (1, 2)


@pytest.mark.parametrize("argument", [{"input_shape": (4,)}, {"input_dim": 4}])
def test_the_shape_given_to_the_first_layer(argument):
    model = stepfit.Sequential([layers.Dense(3, **argument), layers.Dense(2)])
    assert model.built and model.input_shape == (None, 4)


def test_add_and_pop():
    model = stepfit.Sequential([stepfit.Input((4,)), layers.Dense(3, name="a")])
    kernel = model.layers[0].kernel
    model.add(layers.Dense(2, name="b"))
    assert model.output_shape == (None, 2) and model(X).shape == (2, 2)
    popped = model.pop()
    assert popped.name == "b" and model.output_shape == (None, 3) and len(model.weights) == 2
    model.add(layers.Dense(5))
    assert model(X).shape == (2, 5) and model.layers[0].kernel is kernel
    model.pop(), model.pop()
    assert model.layers == [] and model.weights == []
    model.add(layers.Dense(7))
    assert model(X).shape == (2, 7)


def test_add_and_pop_before_building():
    model = stepfit.Sequential()
    model.add(layers.Dense(3))
    model.add(layers.Dense(2))
    model.pop()
    model.add(layers.ReLU())
    assert not model.built and model(X).shape == (2, 3)
    model.add(layers.Dense(1))
    assert model(X).shape == (2, 1)


def test_functions_among_the_layers():
    model = stepfit.Sequential([stepfit.Input((4,)), lambda x: x * 2.0, stepfit.ops.relu,
                                lambda x: -x])  # fmt: skip
    assert model(X)[0, 0] == -2 and model.output_shape == (None, 4)
    assert stepfit.Sequential([lambda x: x + 1])(X)[0, 0] == 2


def test_layers_hands_out_a_copy():
    model = with_input(stepfit)
    model.layers.pop()
    assert len(model.layers) == 2 and model.output_shape == (None, 2)


def test_inside_a_functional_model():
    inner = stepfit.Sequential([layers.Dense(3)], name="inner")
    x = stepfit.Input((4,))
    model = stepfit.Model(x, inner(x))
    assert model.output_shape == (None, 3) and inner.built and len(model.weights) == 2


def test_trainable():
    model = stepfit.Sequential([layers.Dense(1)], trainable=False)
    model.build((None, 4))
    assert model.trainable_variables == [] and len(model.non_trainable_variables) == 2


def test_integers_go_in():
    model = stepfit.Sequential([layers.Embedding(5, 2), layers.Flatten()])
    assert model(np.array([[1, 2, 3]])).shape == (1, 6)


@pytest.mark.parametrize(
    ("run", "kind", "text"),
    [
        (
            lambda: stepfit.Sequential([layers.Dense]), TypeError,
            "Sequential 'sequential' layers[0]: expected a layer instance, found the class Dense; "
            "write Dense(...).",
        ),
        (
            lambda: stepfit.Sequential([layers.ReLU(), 3]), TypeError,
            "Sequential 'sequential' layers[1]: expected a layer instance, found 3.",
        ),
        (
            lambda: stepfit.Sequential([layers.Dense(1, name="a"), layers.ReLU(name="a")]),
            ValueError,
            "Sequential 'sequential' layers: expected names that differ, found 'a' twice; pass "
            "name= to one of them.",
        ),
        (
            lambda: stepfit.Sequential([layers.ReLU(name="r"), stepfit.Input((2,), name="i")]),
            ValueError,
            "Sequential 'sequential' layers[1]: expected an Input only at the start, found 'i' "
            "after 'r'.",
        ),
        (
            lambda: stepfit.Sequential()(X), ValueError,
            "Sequential 'sequential': expected at least one layer, found none; use add(layer).",
        ),
        (
            lambda: stepfit.Sequential().pop(), ValueError,
            "Sequential 'sequential' pop: there is no layer to remove.",
        ),
        (
            lambda: stepfit.Sequential([layers.ReLU()]).build(), ValueError,
            "Sequential 'sequential' build(input_shape): expected a tuple, found None.",
        ),
        (
            lambda: stepfit.Sequential([layers.ReLU()])([X, X]), ValueError,
            "Sequential 'sequential' inputs: expected one array, found list of 2 elements.",
        ),
        (
            lambda: with_input(stepfit)(np.ones((2, 5))), ValueError,
            "Sequential 's' input 'input_layer': expected shape (None, 4), found shape (2, 5); "
            "axis 1 differs.",
        ),
        (
            lambda: stepfit.Sequential([layers.ReLU()]).input_shape, AttributeError,
            "Sequential 'sequential' has no 'input_shape': it is not made of symbolic inputs and "
            "outputs, or not built yet.",
        ),
    ],
)  # fmt: skip
def test_refused_word_for_word(run, kind, text):
    refused(run, kind, text)
