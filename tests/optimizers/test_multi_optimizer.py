"""Several optimizers in one, against real Keras and against each of them alone."""

import jax
import keras as oracle
import numpy as np
import pytest

import stepfit
from stepfit import optimizers
from stepfit.core import registry
from stepfit.core.variable import Variable
from tests.parity import optimizers as rows

STEPS = 7


def by_path(library, **arguments):
    inner = library.OptimizerMap(library.Adam(0.05))
    inner["ker.*"] = library.SGD(0.1, momentum=0.9, **arguments)
    return library.MultiOptimizer(inner)


@registry.register_keras_serializable("tests")
def by_rank(variable):
    return BY_RANK[len(variable.shape) - 1]


BY_RANK: list = []


def by_function(library, **arguments):
    BY_RANK[:] = library.Adam(0.05), library.SGD(0.1, momentum=0.9, **arguments)
    return library.MultiOptimizer(by_rank)


def run_keras(optimizer):
    made = [oracle.Variable(v, name=n) for n, v in rows.weights().items()]
    optimizer.build(made)
    apply = rows.keras_apply(optimizer, made, compiled=True)
    for random in rows.noise(STEPS):
        apply(rows.gradients([v.value for v in made], random))
    optimizer.finalize_variable_values(made)
    return [np.asarray(v.value) for v in [*made, *optimizer.variables]]


@pytest.mark.parametrize("make", [by_path, by_function])
@pytest.mark.parametrize("arguments", [{}, {"use_ema": True, "ema_momentum": 0.5}], ids=str)
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "eager"])
def test_equals_keras(make, arguments, compiled):
    expected = run_keras(make(oracle.optimizers, **arguments))
    made, optimizer = rows.variables(), make(optimizers, **arguments)
    optimizer.build(made)
    step = rows.jitted(optimizer)
    for random in rows.noise(STEPS):
        if compiled:
            values, state = step(optimizer.variables, made, random)
            for v, x in zip([*made, *optimizer.variables], [*values, *state], strict=True):
                v.assign(x)
        else:
            optimizer.apply(rows.gradients([v.value for v in made], random), made)
    optimizer.finalize_variable_values(made)
    found = [v.numpy() for v in [*made, *optimizer.variables]]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


def test_config_round_trips():
    optimizer = by_path(optimizers)
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert [type(o) for o in again.optimizers] == [optimizers.SGD, optimizers.Adam]
    again.build(rows.variables())
    assert [o._trainable_variables[0].name for o in again.optimizers] == ["kernel", "bias"]
    chosen = optimizers.deserialize(optimizers.serialize(by_function(optimizers)))
    assert chosen.optimizer_map is by_rank


def test_the_map_is_a_mapping():
    first, rest = optimizers.SGD(), optimizers.SGD()
    inner = optimizers.OptimizerMap(rest, {"a": first})
    assert (list(inner), len(inner), inner["a"], inner["b"]) == (["a"], 1, first, rest)
    assert inner.default_optimizer is rest and inner(Variable(0.0, name="a")) is first
    del inner["a"]
    assert inner["a"] is rest


def test_a_gradient_that_is_missing_and_a_scale():
    kernel, bias = rows.variables()
    inner = optimizers.OptimizerMap(optimizers.SGD(1.0), {"kernel": optimizers.SGD(0.5)})
    optimizer = optimizers.MultiOptimizer(inner, loss_scale_factor=4.0)
    assert float(optimizer.scale_loss(2.0)) == 8.0
    before = kernel.numpy(), bias.numpy()
    with pytest.warns(UserWarning, match="no gradient for 'bias'; left unchanged"):
        optimizer.apply([np.full((3, 2), 8.0, "float32"), None], [kernel, bias])
    np.testing.assert_allclose(kernel.numpy(), before[0] - 1.0, rtol=1e-6)
    np.testing.assert_array_equal(bias.numpy(), before[1])
    assert [int(o.iterations) for o in optimizer.optimizers] == [1, 0]
    assert int(optimizer.iterations) == 1


def test_in_fit_and_inside_a_loss_scale():
    x, y = np.eye(4, dtype="float32"), np.ones((4, 1), "float32")

    def weights_after(optimizer):
        model = stepfit.Sequential([stepfit.Input((4,)), stepfit.layers.Dense(1, "relu")])
        model.layers[0].set_weights([np.ones((4, 1)), np.ones(1)])
        model.compile(optimizer, "mse")
        model.fit(x, y, epochs=2, batch_size=2, verbose=0, shuffle=False)
        return [v.numpy() for v in model.trainable_variables]

    def multi():
        return optimizers.MultiOptimizer(
            optimizers.OptimizerMap(optimizers.SGD(0.25), {".*/bias": optimizers.SGD(0.25)})
        )

    alone = weights_after(optimizers.SGD(0.25))
    for optimizer in (multi(), optimizers.LossScaleOptimizer(multi())):
        for a, b in zip(weights_after(optimizer), alone, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_schedule_set_later_is_compiled_anew():
    optimizer = by_path(optimizers)
    optimizer.build(rows.variables())
    before = optimizer.version
    optimizer.optimizers[0].learning_rate = optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    assert optimizer.version == before + 1
    assert jax.tree.leaves(optimizer.variables)
