"""Layers that were frozen or unfrozen after training, without a new `compile`."""

import warnings

import numpy as np
import pytest

import stepfit as keras
from tests.saving.models import values_of

X, Y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")


def trained(optimizer="adam", frozen=False):
    layers = [keras.layers.Dense(3, trainable=not frozen), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((2,)), *layers])
    model.compile(optimizer, "mse")
    model.fit(X, Y, verbose=0)
    return model


def same(a, b):
    for x, y in zip(values_of(a.variables), values_of(b.variables), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("optimizer", [
    "adam", "sgd", keras.optimizers.Adam(use_ema=True), keras.optimizers.Muon(),
    keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()),
], ids=lambda o: o if isinstance(o, str) else type(o).__name__)  # fmt: skip
def test_a_model_with_layers_frozen_since_goes_on_as_it_would(optimizer, tmp_path):
    path = str(tmp_path / "m.keras")
    model = trained(optimizer)
    model.layers[0].trainable = False
    model.save(path)
    other = keras.saving.load_model(path)
    same(model.optimizer, other.optimizer)
    assert not other.layers[0].trainable
    kernel = other.layers[0].kernel.numpy()
    for each in (model, other):
        each.fit(X, Y, epochs=2, verbose=0)
    same(model.optimizer, other.optimizer)
    same(model, other)
    np.testing.assert_array_equal(other.layers[0].kernel.numpy(), kernel)
    again = str(tmp_path / "n.keras")
    other.save(again)  # what was loaded says it, too
    same(other.optimizer, keras.saving.load_model(again).optimizer)


@pytest.mark.parametrize("name", ["w.weights.h5", "w.weights.json"])
def test_weights_of_a_model_with_layers_frozen_since(name, tmp_path):
    path = str(tmp_path / name)
    model = trained()
    model.layers[0].trainable = False
    model.save_weights(path)
    other = keras.models.clone_model(model)
    other.compile("adam", "mse")
    other.load_weights(path)
    same(model.optimizer, other.optimizer)


def test_a_model_with_layers_unfrozen_since_loads_and_can_be_trained(tmp_path):
    path = str(tmp_path / "m.keras")
    model = trained(frozen=True)
    model.layers[0].trainable = True
    model.save(path)
    with pytest.warns(UserWarning) as caught:
        other = keras.saving.load_model(path)
    assert str(caught[0].message) == (
        f"load_model({path!r}): model.weights.h5: state of optimizer {model.optimizer.name!r}: "
        "expected 10 arrays that fit its variables, found 6; call compile after layers are frozen "
        "or unfrozen, and before the model is saved. It was left as it is."
    )
    assert caught[0].filename == __file__
    same(model, other)
    assert int(other.optimizer.iterations) == 0
    other.fit(X, Y, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other.save(path)
        same(other.optimizer, keras.saving.load_model(path).optimizer)


def test_keras_loads_it_too_without_the_optimizer(tmp_path):
    real = pytest.importorskip("keras")
    path = str(tmp_path / "m.keras")
    model = trained()
    model.layers[0].trainable = False
    model.save(path)
    with pytest.warns(UserWarning, match="Skipping variable loading for optimizer"):
        other = real.saving.load_model(path)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    other = real.Sequential([real.Input((2,)), real.layers.Dense(3), real.layers.Dense(1)])
    other.compile("adam", "mse")
    other.fit(X, Y, verbose=0)
    other.layers[0].trainable = False
    other.save(path)
    with pytest.warns(UserWarning, match="expected 6 arrays that fit its variables, found 10"):
        model = keras.saving.load_model(path)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.fit(X, Y, verbose=0)
