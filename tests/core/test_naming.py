"""Names and paths."""

import keras
import numpy as np
import pytest

import stepfit
from stepfit.core import naming
from tests.expect import refused


@pytest.mark.parametrize("cls", ["Dense", "Conv2DTranspose", "BatchNormalization", "LSTMCell",
                                 "GlobalAveragePooling1D", "ReLU", "PReLU", "MyLayer", "A",
                                 "HTTPServer2", "Conv_2D", "ELU"])  # fmt: skip
def test_snake_case_is_keras(cls):
    from keras.src.utils.naming import to_snake_case

    assert naming.to_snake_case(cls) == to_snake_case(cls)


def test_automatic_names_count_up():
    layers = stepfit.layers
    made = [layers.Dense(1), layers.Dense(1), layers.ReLU(), layers.Dense(1)]
    assert [layer.name for layer in made] == ["dense", "dense_1", "re_lu", "dense_2"]
    naming.reset_names()
    assert layers.Dense(1).name == "dense"


def test_scopes_make_paths():
    assert naming.current_path() == ""
    with stepfit.name_scope("a"):
        assert naming.in_scope("a") and not naming.in_scope("b")
        with stepfit.name_scope("b"):
            assert naming.current_path() == "a/b"
            assert stepfit.layers.Dense(1, name="d").path == "a/b/d"
    assert naming.current_path() == ""
    with pytest.raises(KeyError), stepfit.name_scope("x"):
        raise KeyError
    assert naming.current_path() == ""


@pytest.mark.parametrize("name", ["a/b", "a\\b"])
def test_separators_are_refused(name):
    text = (
        f"Dense name: expected a name without path separators, found {name!r}; use '_' in place of "
        "'/'."
    )
    refused(lambda: stepfit.layers.Dense(1, name=name), ValueError, text)


def test_other_types_are_refused():
    refused(
        lambda: stepfit.layers.Dense(1, name=1), TypeError, "Dense name: expected a str, found 1."
    )


def block(package):
    class Block(package.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = package.layers.Dense(3, name="dense")
            self.more = [package.layers.Dense(2, name="more")]

        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],), name="scale")
            self.dense.build(input_shape)
            self.more[0].build((None, 3))

        def call(self, x):
            return self.more[0](self.dense(x * self.scale))

    return Block


def by_call(package):
    layer = block(package)(name="top")
    layer(np.ones((1, 4)))
    return layer


def functional(package):
    x = package.Input((4,))
    y = block(package)(name="top")(package.layers.Dense(4, name="first")(x))
    return package.Model(x, y, name="model")


def sequential(package):
    model = package.Sequential([package.layers.Dense(4, name="first"), block(package)(name="top")],
                               name="model")  # fmt: skip
    model(np.ones((1, 4)))
    return model


def sequential_with_input(package):
    layers = package.layers
    return package.Sequential(
        [package.Input((4,)), layers.Dense(4, name="first"), block(package)(name="top")],
        name="model",
    )


def built(package):
    model = package.Sequential(
        [package.layers.Dense(4, name="first"), block(package)(name="top")], name="model"
    )
    model.build((None, 4))
    return model


def nested(package):
    inner = functional(package)
    x = package.Input((4,))
    return package.Model(x, package.layers.Dense(1, name="last")(inner(x)), name="outer")


WAYS = [by_call, functional, sequential, sequential_with_input, built, nested]


@pytest.mark.parametrize("make", WAYS)
def test_paths_of_weights_are_keras(make):
    assert [v.path for v in make(stepfit).weights] == [v.path for v in make(keras).weights]


def test_layers_know_their_path_once_built():
    model = sequential(stepfit)
    assert [layer.path for layer in model.layers] == ["model/first", "model/top"]
    assert model.layers[1].dense.path == "model/top/dense"


def test_seed_states_have_paths_of_their_own():
    layers = [stepfit.layers.Dropout(0.5), stepfit.layers.Dropout(0.5)]
    assert [layer.variables[0].path for layer in layers] == [
        "seed_generator/seed_generator_state", "seed_generator_1/seed_generator_state",
    ]  # fmt: skip
