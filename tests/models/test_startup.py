"""Making, building and resetting a model compiles nothing: only steps and calls are compiled."""

import copy
import itertools

import jax
import numpy as np
import optax
import pytest

import stepfit as keras
from stepfit import layers, metrics, optimizers

compiled: list[str] = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **kwargs: compiled.append(event) if "backend_compile" in event else None
)
sizes = itertools.count(1009, 2)  # shapes that nothing else in the process has


def size():
    return next(sizes)


def count(act):
    before = len(compiled)
    act()
    return len(compiled) - before


def test_compilations_are_seen():
    assert count(lambda: jax.jit(lambda x: x + 1)(np.zeros(size()))) == 1


def sequential():
    return keras.Sequential([
        keras.Input((12, 12, 3)), layers.Conv2D(size() % 64 + 1, 3), layers.BatchNormalization(),
        layers.MaxPooling2D(), layers.Flatten(), layers.Dropout(0.5), layers.Dense(size()),
        layers.LayerNormalization(), layers.PReLU(), layers.Dense(size(), dtype="mixed_bfloat16"),
    ])  # fmt: skip


def functional():
    x = keras.Input((size(),), dtype="int32")
    h = layers.Embedding(size(), 8, embeddings_initializer="normal")(x)
    h = layers.Dense(size(), kernel_initializer="he_normal", bias_initializer="ones")(h)
    h = layers.Dense(size(), kernel_initializer="orthogonal", dtype="bfloat16")(h)
    return keras.Model(x, layers.GlobalAveragePooling1D()(h))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.second = layers.Dense(size()), layers.Dense(size())

    def call(self, x):
        return self.second(keras.ops.relu(self.first(x)))


def subclassed():
    model = Subclassed()
    model.build((None, size()))
    return model


@pytest.mark.parametrize("make", [sequential, functional, subclassed])
def test_building(make):
    assert count(make) == 0


BUILT = {
    "optimizers.Adam": lambda v: optimizers.Adam(amsgrad=True, use_ema=True).build(v),
    "optimizers.SGD": lambda v: optimizers.SGD(
        momentum=0.9, gradient_accumulation_steps=2
    ).build(v),
    "optimizers.Lion": lambda v: optimizers.Lion().build(v),
    "a loss scale": lambda v: optimizers.LossScaleOptimizer(optimizers.Adam()).build(v),
    "metrics": lambda v: [metrics.Mean(), metrics.AUC(num_thresholds=size()),
                          metrics.R2Score()],
    "a seed generator": lambda v: keras.random.SeedGenerator(),
    "copies": lambda v: copy.deepcopy(v),
    "reset_state": lambda v: metrics.AUC(num_thresholds=size()).reset_state(),
    "float64 values": lambda v: v[0].assign(np.ones(v[0].shape)),
    "int values": lambda v: v[0].assign(np.ones(v[0].shape, int)),
    "float32 values": lambda v: v[0].assign(np.ones(v[0].shape, "float32")),
    "values for bfloat16": lambda v: v[1].assign(np.ones(v[1].shape, "float32")),
    "numbers": lambda v: (v[2].assign(0.5), v[2].assign(1), v[2].assign(np.float64(2))),
    "Variables of arrays": lambda v: [
        keras.Variable(np.ones(size())), keras.Variable(np.ones(size()), dtype="bfloat16"),
        keras.Variable(np.arange(size())), keras.Variable(jax.device_put(np.ones(size(), "int32"))),
    ],
}  # fmt: skip


@pytest.mark.parametrize("act", BUILT.values(), ids=BUILT)
def test_making_state(act):
    variables = [
        keras.Variable(np.ones((size(), 3), "float32")),
        keras.Variable(np.ones(size()), dtype="bfloat16"), keras.Variable(0.0),
    ]  # fmt: skip
    assert count(lambda: act(variables)) == 0


ONE_PROGRAM = {  # however many shapes there are
    "optimizers.RMSprop": lambda v: optimizers.RMSprop(momentum=0.9, centered=True).build(v),
    "optimizers.Adagrad": lambda v: optimizers.Adagrad().build(v),
    "optax.lamb": lambda v: optimizers.get(optax.lamb(1e-3)).build(v),
}


@pytest.mark.parametrize("act", ONE_PROGRAM.values(), ids=ONE_PROGRAM)
def test_state_that_optax_computes(act):
    variables = [keras.Variable(np.ones((size(), 3), "float32")) for _ in range(5)]
    assert count(lambda: act(variables)) <= 1


VALUES = {
    "float64": np.array([0.1, 1e-9, -7.7, 0.0]),
    "float32": np.array([0.1, 3.0], "float32"),
    "int64": np.array([200, 5, 0]),
    "uint8": np.array([0, 255], "uint8"),
    "bool": np.array([True, False]),
    "a float": 0.1,
    "an int": 7,
    "a list": [0.1, 2],
    "nested": [[1, 2], [3, 4]],
}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int32", "int8", "bool"])
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_values_are_those_of_jax(value, dtype):
    wanted = np.asarray(jax.numpy.asarray(np.asarray(value)).astype(dtype))
    variable = keras.Variable(value, dtype=dtype)
    assert (variable.dtype, variable.value.weak_type) == (dtype, False)
    np.testing.assert_array_equal(variable.numpy(), wanted)
    variable.assign(np.zeros(variable.shape))
    variable.assign(value)
    np.testing.assert_array_equal(variable.numpy(), wanted)


def test_values_given_are_not_shared():
    given = np.zeros(4096, "float32")
    variable = keras.Variable(given)
    given[:] = 1
    assert float(abs(variable.value).max()) == 0
    variable.assign(given)
    given[:] = 2
    assert set(variable.numpy().tolist()) == {1.0}
