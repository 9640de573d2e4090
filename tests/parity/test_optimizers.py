"""Every optimizer and option against real Keras, and the properties all of them share."""

import inspect

import jax
import keras as oracle
import numpy as np
import pytest

from stepfit import optimizers
from stepfit.core.variable import Variable
from tests.parity import optimizers as rows
from tests.parity.properties import round_trip, without_row

CLASSES = [*dict.fromkeys(row.name for row in rows.ROWS), "LossScaleOptimizer"]
every_row = pytest.mark.parametrize("row", rows.ROWS, ids=str)


def close(ours, theirs, rtol=2e-5, atol=2e-6):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


@every_row
def test_weights_and_state_after_50_steps_are_keras(row):
    state, weights = rows.run(row)
    keras_weights, keras_state = rows.run_oracle(row)
    close(weights, keras_weights)
    # The state too, in Keras's order: a Keras optimizer's state can be loaded as it is.
    close(state, keras_state, rtol=2e-4)


@every_row
def test_eager_equals_compiled(row):
    close(rows.run_eagerly(row, 3), rows.run(row, 3)[1], rtol=1e-6)


@every_row
def test_config_is_keras_and_round_trips(row):
    optimizer = row.make()
    config = optimizer.get_config()
    theirs = row.make(oracle.optimizers).get_config()
    assert set(config) == set(theirs)
    for name in set(theirs) - {"learning_rate", "name"}:  # schedules are described differently
        assert config[name] == theirs[name]
    again = type(optimizer).from_config(config)
    assert again.get_config() == config
    close([again.learning_rate], [optimizer.learning_rate])
    round_trip(optimizers, optimizer)


@every_row
def test_compiles_once_and_keeps_dtypes(row):
    rows.run(row, 2)
    assert rows.built(row)[2]._cache_size() == 1
    made, optimizer = rows.variables(row, "bfloat16"), row.make()
    optimizer.build(made)
    values, state = [v.value for v in made], [v.value for v in optimizer.variables]
    step = rows.jitted(optimizer)
    new_values, new_state = jax.eval_shape(step, state, values, rows.noise(1)[0])
    for before, after in zip([*values, *state], [*new_values, *new_state], strict=True):
        assert (after.dtype, after.shape, after.weak_type) == (before.dtype, before.shape, False)


@every_row
def test_restored_state_continues_bit_for_bit(row):
    whole = rows.run(row, 10)[1]
    state, values = rows.run(row, 5)
    first, second, store = row.make(), row.make(), {}
    for optimizer in (first, second):
        optimizer.build(rows.built(row)[1])
    first.set_weights(state)
    first.save_own_variables(store)
    second.load_own_variables(store)
    first.set_weights([np.zeros(v.shape) for v in first.variables])
    _, values = rows.advance(row, [v.value for v in second.variables], values, 5, 10)
    close(values, whole, rtol=0, atol=0)


@pytest.mark.parametrize("name", CLASSES)
def test_signatures_are_keras(name):
    ours = inspect.signature(getattr(optimizers, name).__init__).parameters.values()
    theirs = inspect.signature(getattr(oracle.optimizers, name).__init__).parameters.values()
    assert [(p.name, p.default, p.kind) for p in ours] == [
        (p.name, p.default, p.kind) for p in theirs
    ]


@pytest.mark.parametrize("name", CLASSES)
def test_get_by_name_and_config(name):
    if name == "LossScaleOptimizer":
        optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(0.5))
    else:
        for spelling in (name, name.lower()):
            assert type(optimizers.get(spelling)) is getattr(optimizers, name)
        optimizer = optimizers.get(name)
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
    assert optimizers.get(optimizer) is optimizer


def test_get_takes_keras_own_configs():
    theirs = oracle.optimizers.AdamW(
        oracle.optimizers.schedules.ExponentialDecay(0.5, 10, 0.25), weight_decay=0.5
    )
    ours = optimizers.get(oracle.optimizers.serialize(theirs))
    assert type(ours) is optimizers.AdamW and ours.weight_decay == 0.5
    close([ours.learning_rate], [0.5])
    assert ours._learning_rate.decay_rate == 0.25


def test_a_variable_without_gradient_is_left_alone():
    for row in (rows.ROWS[0], rows.ROWS[4], rows.ROWS[7], rows.ROWS[11], rows.ROWS[15]):
        kernel, bias = rows.variables()
        optimizer = row.make()
        with pytest.warns(UserWarning, match="no gradient for 'bias'; left unchanged"):
            optimizer.apply([kernel.value, None], [kernel, bias])
        theirs = [oracle.Variable(v) for v in rows.weights().values()]
        reference = row.make(oracle.optimizers)
        with pytest.warns(UserWarning):
            reference.apply([theirs[0].value, None], theirs)
        close([kernel.numpy(), bias.numpy()], [np.asarray(v.value) for v in theirs])
        state = [np.asarray(v.value) for v in reference.variables]
        close([v.numpy() for v in optimizer.variables], state)


def test_a_subset_in_another_order_by_identity():
    a, b, c = (Variable([float(i)]) for i in range(3))
    optimizer = optimizers.SGD(1.0)
    optimizer.build([a, b, c])
    iterations = optimizer.apply_gradients([(np.float32([10.0]), c), (np.float32([5.0]), a)])
    assert [float(v[0]) for v in (a, b, c)] == [-5.0, 1.0, -8.0]
    assert iterations is optimizer.iterations and int(iterations) == 1


def test_building_again_with_the_same_variables_does_nothing():
    made = rows.variables()
    optimizer = optimizers.Adam()
    optimizer.build(made)
    before = [id(v) for v in optimizer.variables]
    optimizer.build(list(made))
    assert [id(v) for v in optimizer.variables] == before


def test_no_gradients_is_no_update():
    optimizer = optimizers.SGD()
    optimizer.apply([], [])
    assert int(optimizer.apply_gradients([])) == 0 and not optimizer.built


def test_variables_go_straight_through_jit():
    made = rows.variables()
    optimizer = optimizers.Adam(0.1)
    optimizer.build(made)
    grads = [np.ones(v.shape, "float32") for v in made]
    values, state = jax.jit(optimizer.stateless_apply)(optimizer.variables, grads, made)
    optimizer.apply(grads, made)
    close(values, [v.numpy() for v in made], rtol=1e-6)
    close(state, [v.numpy() for v in optimizer.variables], rtol=1e-6)


WITHOUT_ROW = {
    "Optimizer", "deserialize", "get", "serialize",
    "LossScaleOptimizer", "MultiOptimizer", "OptaxOptimizer", "OptimizerMap",  # hold optimizers
}  # fmt: skip


def test_every_optimizer_has_a_row():
    tested = [getattr(optimizers, row.name) for row in rows.ROWS]
    assert without_row(optimizers, tested) == WITHOUT_ROW
