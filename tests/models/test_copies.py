"""Copies of models: `copy.deepcopy` and `pickle` keep weights, optimizer and compile arguments."""

import copy
import pickle

import numpy as np
import pytest

import stepfit as keras

X = np.random.default_rng(0).random((16, 3), "float32")
Y = X.sum(1, keepdims=True)


def sequential():
    return keras.Sequential(
        [
            keras.layers.Dense(4, activation="relu", kernel_regularizer="l2"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3, seed=1),
            keras.layers.Dense(1),
        ]
    )


def functional():
    x = keras.Input((3,))
    hidden = keras.ops.relu(keras.layers.Dense(4)(x)) + 1.0
    return keras.Model(x, keras.layers.Dense(1)(hidden.reshape((-1, 4)) * x[:, :1]))


class Branches(keras.Model):
    def __init__(self):
        super().__init__()
        self.branches = [keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(4)]
        self.head = keras.layers.Dense(1)

    def call(self, x):
        return self.head(self.branches[0](x) * self.branches[1](x))


def excluding():
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.5, use_ema=True)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


OPTIMIZERS = {
    "adam": lambda: "adam",
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=2),
    "options": excluding,
    "schedule": lambda: keras.optimizers.RMSprop(
        keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    ),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(), initial_scale=4.0
    ),
}
COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda m: pickle.loads(pickle.dumps(m))}
MODELS = [sequential, functional, Branches]


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize(
    "make, optimizer", [*((m, "adam") for m in MODELS), *((sequential, o) for o in OPTIMIZERS)]
)
def test_a_copy_of_a_fitted_model_trains_on_as_the_original_does(make, optimizer, how):
    model = make()
    model.compile(OPTIMIZERS[optimizer](), "mse", metrics=["mae"])
    model.fit(X, Y, epochs=2, verbose=0, shuffle=False, batch_size=8)
    other = COPIES[how](model)
    before = [v.numpy() for v in other.variables]
    fits = [m.fit(X, Y, epochs=2, verbose=0, shuffle=False, batch_size=8) for m in (model, other)]
    assert fits[0].history == fits[1].history
    for mine, theirs in zip(model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
        assert mine is not theirs and mine.path == theirs.path
    assert any((v.numpy() != old).any() for v, old in zip(other.variables, before, strict=True))
    assert int(other.optimizer.iterations) == int(model.optimizer.iterations)


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_stands_for_itself(how):
    model = sequential()
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    kept = model.get_weights()
    other = COPIES[how](model)
    other.fit(X, Y, verbose=0)
    for mine, old in zip(model.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(mine, old)


@pytest.mark.parametrize("how", COPIES)
def test_variables_exempt_from_decay_stay_so(how):
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    optimizer = keras.optimizers.SGD(0.5, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[layer.kernel])
    optimizer.build(layer.trainable_variables)
    layer, optimizer = COPIES[how]((layer, optimizer))
    kernel = layer.kernel.numpy()
    optimizer.apply([np.zeros((3, 2)), np.zeros(2)], layer.trainable_variables)
    np.testing.assert_array_equal(layer.kernel.numpy(), kernel)


def test_a_pickled_variable_holds_its_own_value_only():
    big = keras.Sequential([keras.layers.Dense(500), keras.layers.Dense(1)])
    big.compile("sgd", "mse")
    big.fit(X, Y, verbose=0)  # the Variables now share a cell
    assert len(pickle.dumps(big.layers[1].bias)) < 1500


@pytest.mark.parametrize("how", COPIES)
def test_a_deep_graph(how):
    x = y = keras.Input((3,))
    for _ in range(120):
        y = keras.ops.relu(keras.layers.Dense(3)(y))
    model = keras.Model(x, y)
    other = COPIES[how](model)
    np.testing.assert_array_equal(other(X), model(X))
    extended = keras.Model(other.input, keras.layers.Dense(1)(other.output))
    assert extended(X).shape == (16, 1)
