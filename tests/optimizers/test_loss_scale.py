"""Dynamic loss scaling against real Keras (compiled: its eager form fails on JAX)."""

import jax
import keras as oracle
import numpy as np
import pytest

from stepfit import optimizers

from . import rows

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
