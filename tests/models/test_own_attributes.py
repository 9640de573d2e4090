"""Attributes with names that models have, too: set as in Keras, or refused in so many words."""

import copy

import numpy as np
import pytest

import stepfit as keras
from stepfit import layers

X, Y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")


class Own(keras.Model):
    def __init__(self, **attributes):
        super().__init__(name="own")
        self.d = layers.Dense(1)
        for name, value in attributes.items():
            setattr(self, name, value)

    def call(self, x):
        return self.d(x)


SETTABLE = ["inputs", "outputs", "input_shape", "output_shape", "input_names", "output_names",
            "operations", "loss"]  # fmt: skip


@pytest.mark.parametrize("name", SETTABLE)
def test_a_subclassed_model_keeps_what_is_set(name, tmp_path):
    model = Own(**{name: (28, 28)})
    assert getattr(model, name) == getattr(copy.deepcopy(model), name) == (28, 28)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m.keras")
    assert getattr(model, name) == ("mse" if name == "loss" else (28, 28))


def test_a_loss_of_an_own_step():
    class Step(Own):
        def compile(self, optimizer, loss):
            super().compile(optimizer)
            self.loss = loss

        def test_step(self, data):
            x, y = data
            return {"loss": self.loss(y, self(x))}

    model = Step()
    model.compile("sgd", keras.losses.MeanSquaredError())
    model.evaluate(X, Y, verbose=0)
    assert isinstance(model.loss, keras.losses.MeanSquaredError)


def test_a_loss_layer_is_held():
    assert len(Own(loss=keras.Sequential([keras.Input((2,)), layers.Dense(1)])).weights) == 2


def test_another_loss_than_that_of_compile():
    model = Own()
    model.compile("sgd", "mse")
    model.loss = "mse"
    with pytest.raises(ValueError) as e:
        model.loss = "mae"
    assert str(e.value) == (
        "Own 'own' loss: expected the loss that compile() was given, found another one, which the "
        "built-in train_step would not use; call compile(loss=...) again."
    )


def test_compiled():
    assert not Own(compiled=False).compiled
    with pytest.raises(ValueError) as e:
        Own(compiled=True)
    assert str(e.value) == (
        "Own 'own' compiled: expected compile() to be called, found True set before that."
    )
    model = Own(compiled=False)
    model.compile("sgd", "mse")
    assert model.compiled


@pytest.mark.parametrize("name", ["weights", "layers", "metrics", "losses", "dtype", "input"])
def test_what_cannot_be_set(name):
    with pytest.raises(AttributeError) as e:
        Own(**{name: []})
    assert str(e.value) == (
        f"Own.{name}: expected an attribute that can be set, found one that is computed; give "
        f"yours another name, such as 'my_{name}'."
    )


@pytest.mark.parametrize("made", [keras.Sequential, lambda: keras.Model(*[keras.Input((2,))] * 2)])
def test_what_a_graph_gives_cannot_be_set(made):
    model = made()
    with pytest.raises(AttributeError) as e:
        model.inputs = []
    assert str(e.value) == (
        f"{type(model).__name__}.inputs: expected an attribute that can be set, found one that is "
        "computed; give yours another name, such as 'my_inputs'."
    )


def test_a_property_of_the_users_class_is_pythons_matter():
    class Computed(Own):
        @property
        def size(self):
            return 1

    with pytest.raises(AttributeError, match="property 'size' of .* object has no setter"):
        Computed(size=2)
