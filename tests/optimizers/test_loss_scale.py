"""Dynamic loss scaling against real Keras (compiled: its eager form fails on JAX)."""

import jax
import keras as oracle
import numpy as np
import pytest

import stepfit
from stepfit import optimizers
from tests.expect import refused
from tests.parity import optimizers as rows

BAD = {3, 4, 9}  # steps with a gradient that is not finite


def scaled_gradients(values, scale, step, random):
    grads = [g * scale for g in rows.gradients(values, random)]
    if step in BAD:
        grads[1] = grads[1] * (np.inf if step % 2 else np.nan)
    return grads


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("accumulate", [None, 2], ids=["plain", "accumulate"])
def test_equals_keras(compiled, accumulate):
    def make(library):
        inner = library.Adam(0.1, gradient_accumulation_steps=accumulate)
        return library.LossScaleOptimizer(inner, initial_scale=8.0, dynamic_growth_steps=4)

    ours, theirs = rows.variables(), [oracle.Variable(v) for v in rows.weights().values()]
    optimizer, reference = make(optimizers), make(oracle.optimizers)
    assert float(optimizer.scale_loss(2.0)) == 16.0
    optimizer.build(ours)
    reference.build(theirs)
    step, keras_step = jax.jit(optimizer.stateless_apply), jax.jit(reference.stateless_apply)
    keras_values, keras_state = ([x.value for x in v] for v in (theirs, reference.variables))
    scales = []
    for i, random in enumerate(rows.noise(14)):
        values = [v.value for v in ours]
        grads = scaled_gradients(values, optimizer.scale_loss(1.0), i, random)
        if compiled:
            values, state = step(optimizer.variables, grads, values)
            for v, x in zip([*ours, *optimizer.variables], [*values, *state], strict=True):
                v.assign(x)
        else:
            optimizer.apply(grads, ours)
        keras_values, keras_state = keras_step(keras_state, grads, keras_values)
        scales.append(float(optimizer.dynamic_scale))
        assert scales[-1] == float(keras_state[3])
    assert scales[3] == 4.0 and max(scales[5:]) == 4.0
    for a, b in zip(ours, keras_values, strict=True):
        np.testing.assert_allclose(a.numpy(), b, rtol=2e-5, atol=2e-6)
    if accumulate is None:
        assert int(optimizer.iterations) == 14 - len(BAD)
        state = [v.numpy() for v in optimizer.variables]
        for a, b in zip(state, keras_state, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


def test_forwards_to_the_inner_optimizer():
    inner = optimizers.SGD(0.5, loss_scale_factor=4.0, use_ema=True, weight_decay=0.5)
    optimizer = optimizers.LossScaleOptimizer(inner, initial_scale=2.0)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    kernel, bias = made = rows.variables()
    before = [v.numpy() for v in made]
    optimizer.apply([np.zeros(v.shape, "float32") for v in made], made)
    np.testing.assert_allclose(kernel.numpy(), before[0] * 0.75, rtol=1e-6)
    np.testing.assert_array_equal(bias.numpy(), before[1])
    optimizer.learning_rate = 0.125
    assert float(inner.learning_rate) == float(optimizer.learning_rate) == 0.125
    bias.assign([7.0, 7.0])
    optimizer.finalize_variable_values(made)
    np.testing.assert_array_equal(bias.numpy(), before[1])


class Own(stepfit.Model):
    """A model with a step of its own, which scales its loss or forgets to."""

    scales = True

    def __init__(self):
        super().__init__()
        self.dense = stepfit.layers.Dense(1)

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        x, y = data

        def compute():
            loss = self.compute_loss(x, y, self(x, training=True))
            return self.optimizer.scale_loss(loss) if self.scales else loss

        _, grads = stepfit.value_and_grad(compute, self.trainable_variables)()
        self.optimizer.apply(grads, self.trainable_variables)
        return {}


class OwnStateless(Own):
    def train_step(self, state, data):
        trainable, fixed, own, metrics = state
        x, y = data

        def compute(trainable):
            y_pred, _ = self.stateless_call(trainable, fixed, x, training=True)
            loss = self.compute_loss(x, y, y_pred)
            return self.optimizer.scale_loss(loss) if self.scales else loss

        grads = jax.grad(compute)(trainable)
        trainable, own = self.optimizer.stateless_apply(own, grads, trainable)
        return {}, (trainable, fixed, own, metrics)


SCALING = {
    "LossScaleOptimizer": lambda: optimizers.LossScaleOptimizer(optimizers.SGD(0.1)),
    "SGD": lambda: optimizers.SGD(0.1, loss_scale_factor=64.0),
}


@pytest.mark.parametrize("name", SCALING)
@pytest.mark.parametrize("model", [Own, OwnStateless])
@pytest.mark.parametrize("eager", [False, True])
def test_a_step_that_does_not_scale_its_loss_is_refused(model, name, eager):
    x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    model = model()
    model.compile(SCALING[name](), "mse", run_eagerly=eager)
    model.fit(x, y, verbose=0)
    kept = model.get_weights()
    model.scales = False
    model.compile(SCALING[name](), "mse", run_eagerly=eager)
    refused(
        lambda: model.fit(x, y, verbose=0),
        ValueError,
        f"{name}.apply(grads): expected the loss to be scaled before it was differentiated, found "
        "no call of scale_loss in this step; differentiate optimizer.scale_loss(loss).",
    )
    assert all((a == b).all() for a, b in zip(kept, model.get_weights(), strict=True))


@pytest.mark.parametrize("name", SCALING)
def test_a_loop_of_ones_own_may_scale_as_it_likes(name):
    w, optimizer = stepfit.Variable([1.0]), SCALING[name]()
    optimizer.build([w])
    scale = float(optimizer.scale_loss(1.0))
    grads = [np.array([scale], "float32")]
    optimizer.apply(grads, [w])
    assert float(w[0]) == pytest.approx(0.9)
    new, _ = optimizer.stateless_apply(optimizer.variables, grads, [w.value])
    assert float(new[0][0]) == pytest.approx(0.8)
