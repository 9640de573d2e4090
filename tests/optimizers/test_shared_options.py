"""Accumulation, averages, weight decay and learning rates, which all optimizers share."""

import jax
import jax.numpy as jnp
import keras as oracle
import numpy as np
import optax
import pytest

from stepfit import constraints, optimizers
from stepfit.core.scope import Scope
from stepfit.core.variable import Variable
from tests.parity import optimizers as rows

STEPS = 3  # micro-batches per update

# Keras equals the large batch for the first rows. For the others it does not: its schedules count
# micro-steps, its averages and constraints are applied at every micro-step. Here all count updates.
ACCUMULATING = [
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9}, True),
    ("Adam", {"learning_rate": 0.1, "global_clipnorm": 0.5}, True),
    ("AdamW", {"learning_rate": 0.1, "weight_decay": 0.3}, True),
    ("RMSprop", {"learning_rate": 0.1, "momentum": 0.5, "centered": True}, True),
    ("Adagrad", {"learning_rate": 0.1, "clipnorm": 0.5}, True),
    ("Lion", {"learning_rate": 0.1, "loss_scale_factor": 4.0}, True),
    ("Adam", {"learning_rate": rows.schedule("ExponentialDecay", 0.3, 2, 0.5)}, False),
    ("SGD", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.6}, False),
    ("SGD", {"learning_rate": 0.1, "use_ema": True, "ema_overwrite_frequency": 2}, False),
    ("OptaxOptimizer", {"tx": optax.adamw(optax.linear_schedule(0.1, 0.0, 6))}, False),
]
accumulating = pytest.mark.parametrize(
    "name, arguments, like_keras", ACCUMULATING, ids=lambda x: x if isinstance(x, str) else None
)


def micro_batches(updates=4):
    noise = rows.noise(updates * STEPS)
    return [noise[i : i + STEPS] for i in range(0, len(noise), STEPS)]


@accumulating
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_accumulation_equals_the_large_batch(name, arguments, like_keras, compiled):
    small = rows.Row(name, arguments | {"gradient_accumulation_steps": STEPS}).make()
    large = rows.Row(name, arguments).make()
    ours, reference = rows.variables(), rows.variables()
    for pair in (ours, reference):
        pair[0].constraint = constraints.MinMaxNorm(0.5, 1.0, rate=0.5)
    small.build(ours)
    large.build(reference)
    step = jax.jit(small.stateless_apply)
    for batches in micro_batches():
        before = [v.numpy() for v in ours]
        for i, batch in enumerate(batches):
            if compiled:
                values, state = step(small.variables, batch, ours)
                for v, x in zip([*ours, *small.variables], [*values, *state], strict=True):
                    v.assign(x)
            else:
                small.apply(batch, ours)
            if i < STEPS - 1:
                np.testing.assert_array_equal(ours[0].numpy(), before[0])
        large.apply([np.mean(g, axis=0) for g in zip(*batches, strict=True)], reference)
        assert int(small.iterations) == int(large.iterations)
    assert not compiled or step._cache_size() == 1
    for a, b in zip(ours, reference, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=2e-6)
    shared = [v for v in small.variables if "accumul" not in v.name or name == "Adagrad"]
    shared = [v for v in shared if "gradient_accumulator" not in v.name and v.name[-4:] != "step"]
    for a, b in zip(shared, large.variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=2e-6, err_msg=a.name)


@accumulating
def test_accumulation_equals_keras_where_keras_is_right(name, arguments, like_keras):
    row = rows.Row(name, arguments | {"gradient_accumulation_steps": STEPS})
    if not like_keras:
        assert "schedule" in str(arguments) or name == "OptaxOptimizer" or arguments["use_ema"]
        return
    ours, theirs = rows.run_eagerly(row, 9), rows.run_oracle(row, 9)[0]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


def test_accumulation_where_a_gradient_comes_and_goes():
    a, b = Variable([1.0]), Variable([1.0])
    optimizer = optimizers.SGD(1.0, gradient_accumulation_steps=2)
    one = np.float32([1.0])
    with pytest.warns(UserWarning, match="no gradient"):
        optimizer.apply([one, None], [a, b])
    with pytest.warns(UserWarning, match="no gradient"):
        optimizer.apply([None, 4 * one], [a, b])
    assert (float(a[0]), float(b[0])) == (0.5, -1.0)


def test_averages():
    w = Variable([0.0])
    optimizer = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75)
    optimizer.build([w])
    w.assign([5.0])
    optimizer.finalize_variable_values([w])
    assert float(w[0]) == 5.0  # no update was made: there is nothing to set it to
    optimizer.apply([np.float32([1.0])])
    optimizer.apply([np.float32([4.0])])
    assert float(w[0]) == 0.0
    other = Variable([7.0])  # of another optimizer
    optimizer.finalize_variable_values([other, w])
    assert (float(w[0]), float(other[0])) == (0.75 * 4 + 0.25 * 0, 7.0)
    with pytest.raises(ValueError, match="expected the 1 variables it was built with"):
        optimizer.finalize_variable_values([other])


def test_weight_decay_exclusions():
    def decayed(**exclusion):
        made = [Variable([1.0], name=n) for n in ("kernel", "bias", "norm_scale")]
        made[2].path = "encoder/norm/scale"
        optimizer = optimizers.SGD(1.0, weight_decay=0.5)
        optimizer.exclude_from_weight_decay(
            **{k: f(made) if callable(f) else f for k, f in exclusion.items()}
        )
        optimizer.apply([np.float32([0.0])] * 3, made)
        return [float(v[0]) for v in made]

    assert decayed() == [0.5, 0.5, 0.5]
    assert decayed(var_list=lambda made: made[:1]) == [1.0, 0.5, 0.5]
    # Paths are searched; Keras 3 looks at the last name alone and would decay the third.
    assert decayed(var_names=["bias", "norm"]) == [0.5, 1.0, 1.0]
    with pytest.warns(UserWarning, match="no variable's path contains 'typo'; all are decayed"):
        assert decayed(var_names=["typo"]) == [0.5, 0.5, 0.5]


def losses_of(rate, steps=4):
    """Return how far each compiled step moves a weight, which is its learning rate."""
    w = Variable(0.0)
    optimizer = optimizers.SGD(rate)
    optimizer.build([w])
    step = jax.jit(lambda state, w: optimizer.stateless_apply(state, [jnp.ones(())], [w]))
    value, state, moves = w.value, [v.value for v in optimizer.variables], []
    for _ in range(steps):
        (new,), state = step(state, value)
        moves.append(round(float(value - new), 4))
        value = new
    assert step._cache_size() == 1
    return moves


def test_learning_rates_in_a_compiled_step():
    assert losses_of(0.5) == [0.5] * 4
    assert losses_of(1) == [1.0] * 4
    assert losses_of(np.float32(0.25)) == [0.25] * 4
    piecewise = optimizers.schedules.PiecewiseConstantDecay([1], [0.5, 0.25])
    assert losses_of(piecewise) == [0.5, 0.5, 0.25, 0.25]
    assert losses_of(lambda step: 1.0 / (step + 1)) == [1.0, 0.5, 0.3333, 0.25]
    assert losses_of(optax.linear_schedule(1.0, 0.0, 4)) == [1.0, 0.75, 0.5, 0.25]


def test_a_callable_without_arguments_is_asked_at_every_update():
    # Keras on JAX calls it once, while tracing, and keeps that number for ever.
    rates = iter([9.0, 9.0, 0.1, 0.2, 0.3])

    def rate():
        return next(rates)

    w = Variable(0.0)
    optimizer = optimizers.SGD(rate)
    optimizer.build([w])
    assert float(optimizer.learning_rate) == 9.0
    step = jax.jit(lambda state, w: optimizer.stateless_apply(state, [jnp.ones(())], [w])[0][0])
    moves = [float(step(optimizer.variables, w)) for _ in range(3)]  # tracing asks once
    np.testing.assert_allclose(moves, [-0.1, -0.2, -0.3], rtol=1e-6)


def test_a_callable_may_read_a_variable_of_the_scope():
    rate, w = Variable(0.5), Variable(0.0)
    optimizer = optimizers.SGD(lambda: rate * 2)
    optimizer.build([w])

    @jax.jit
    def step(value):
        with Scope([(rate, value), (w, 0.0)]) as scope:
            optimizer.apply([jnp.ones(())])
        return scope.get_current_value(w)

    values = [(v, v.value) for v in optimizer.variables]
    assert [float(step(x)) for x in (1.0, 3.0)] == [-2.0, -6.0]
    for variable, value in values:
        assert variable.value is value


def test_assigning_the_learning_rate():
    optimizer = optimizers.Adam(0.5)
    for value in (0.25, np.float32(0.25), jnp.asarray(0.25), Variable(0.25), 0):
        optimizer.learning_rate = value
        assert float(optimizer.learning_rate) == float(value)
    optimizer.learning_rate.assign(0.125)
    assert optimizer.get_config()["learning_rate"] == 0.125
    assert optimizer.version == 0 and len(optimizer.variables) == 2
    optimizer.learning_rate = optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    assert optimizer.version == 1 and optimizer.variables == [optimizer.iterations]
    optimizer.iterations.assign(2)
    assert float(optimizer.learning_rate) == 0.125


def test_a_first_apply_inside_a_trace_builds_with_concrete_state():
    made = rows.variables()
    optimizer = optimizers.RMSprop(momentum=0.5)

    @jax.jit
    def step(values):
        with Scope(zip(made, values, strict=True)):
            optimizer.apply([jnp.ones(v.shape) for v in made], made)

    step(made)
    assert all(isinstance(v.numpy(), np.ndarray) for v in optimizer.variables)
    assert [float(v.numpy().sum()) for v in optimizer.variables[2:]] == [0.0] * 4


def own_rule(library):
    """Return a class written against Keras's extension point."""

    class Heavy(library.Optimizer):
        def __init__(self, learning_rate=0.1, drag=0.5, name="heavy", **kwargs):
            super().__init__(learning_rate=learning_rate, name=name, **kwargs)
            self.drag = drag

        def build(self, variables):
            if self.built:
                return
            super().build(variables)
            self.speeds = []
            for variable in variables:
                speed = self.add_variable_from_reference(reference_variable=variable, name="speed")
                self.speeds.append(speed)
            self.peaks, self.sums = self.add_optimizer_variables(variables, ["peak", "sum"])

        def update_step(self, gradient, variable, learning_rate):
            gradient = gradient.astype(variable.dtype)
            i = self._get_variable_index(variable)
            self.assign(self.speeds[i], self.drag * self.speeds[i] - learning_rate * gradient)
            self.assign_add(self.sums[i], gradient)
            self.assign(self.peaks[i], jnp.maximum(self.peaks[i].value, abs(gradient)))
            rate = 1.0 / (1.0 + self.iterations)
            self.assign_add(variable, self.speeds[i])
            self.assign_sub(variable, 0.1 * rate * self.peaks[i] * self.sums[i])

        def get_config(self):
            return {**super().get_config(), "drag": self.drag}

    return Heavy


@pytest.mark.parametrize(
    "arguments", [{}, {"weight_decay": 0.1, "clipnorm": 0.5}, {"gradient_accumulation_steps": 2}],
    ids=["plain", "decay", "accumulate"],
)  # fmt: skip
def test_keras_extension_point(arguments):
    ours, theirs = rows.variables(), [oracle.Variable(v) for v in rows.weights().values()]
    optimizer = own_rule(optimizers)(drag=0.75, **arguments)
    reference = own_rule(oracle.optimizers)(drag=0.75, **arguments)
    optimizer.build(ours)
    reference.build(theirs)
    step = jax.jit(optimizer.stateless_apply)
    keras_apply = rows.keras_apply(reference, theirs, "accumulation" in str(arguments))
    for i, random in enumerate(rows.noise(6)):
        grads = rows.gradients([v.value for v in ours], random)
        if i < 2:
            optimizer.apply(grads, ours)
        else:
            values, state = step(optimizer.variables, grads, ours)
            for v, x in zip([*ours, *optimizer.variables], [*values, *state], strict=True):
                v.assign(x)
        keras_apply(grads)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), np.asarray(b.value), rtol=2e-5, atol=2e-6)
    config = optimizer.get_config()
    again = type(optimizer).from_config(config)
    assert (again.drag, again.get_config()) == (0.75, config)
