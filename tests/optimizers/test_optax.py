"""Any optax transformation as an optimizer, against optax itself."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stepfit import optimizers
from stepfit.core.variable import Variable
from tests.parity import optimizers as rows

TRANSFORMATIONS = {
    "adam": lambda: optax.adam(0.1),
    "schedule": lambda: optax.adamw(optax.cosine_decay_schedule(0.1, 10), weight_decay=0.1),
    "chain": lambda: optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.1, momentum=0.9)),
    "noise": lambda: optax.chain(optax.add_noise(0.1, 0.5, key=jax.random.key(3)), optax.sgd(0.1)),
    "lamb": lambda: optax.lamb(0.1),
    "adafactor": lambda: optax.adafactor(0.1),
    "lookahead_like": lambda: optax.apply_if_finite(optax.rmsprop(0.1), 3),
    "multi_steps": lambda: optax.MultiSteps(optax.adam(0.1), 2),
    "injected": lambda: optax.inject_hyperparams(optax.adam)(learning_rate=0.1),
    "masked": lambda: optax.masked(
        optax.sgd(0.1), lambda params: {path: "kernel" in path for path in params}
    ),
}


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_equals_optax(name):
    tx, made = TRANSFORMATIONS[name](), rows.variables()
    optimizer = optimizers.get(tx)
    optimizer.build(made)
    step, reference_step = jax.jit(optimizer.stateless_apply), jax.jit(tx.update)
    params = {v.path: v.value for v in made}
    tx_state = tx.init(params)
    for random in rows.noise(6):
        grads = rows.gradients(list(params.values()), random)
        updates, tx_state = reference_step(dict(zip(params, grads, strict=True)), tx_state, params)
        params = {k: params[k] + updates[k] for k in params}
        values, state = step(optimizer.variables, grads, made)
        for v, x in zip([*made, *optimizer.variables], [*values, *state], strict=True):
            v.assign(x)
    assert step._cache_size() == 1 and int(optimizer.iterations) == 6
    if name == "noise":  # keys are dealt in the order of the dict, which differs
        assert all(np.isfinite(v.numpy()).all() for v in made)
        return
    for v in made:
        np.testing.assert_allclose(v.numpy(), params[v.path], rtol=1e-5, atol=1e-6)


def test_shared_options_apply():
    w = Variable([3.0, 4.0])
    optimizer = optimizers.OptaxOptimizer(optax.sgd(1.0), global_clipnorm=0.5, use_ema=True)
    optimizer.apply([jnp.array([3.0, 4.0])], [w])
    np.testing.assert_allclose(w.numpy(), [2.7, 3.6], rtol=1e-6)


def test_a_missing_gradient_keeps_the_state_of_its_weight():
    a, b = Variable([1.0], name="a"), Variable([1.0], name="b")
    optimizer = optimizers.OptaxOptimizer(optax.adam(0.1))
    optimizer.build([a, b])
    optimizer.apply([jnp.ones(1), jnp.ones(1)])
    moments = {v.name: v.numpy() for v in optimizer.variables}
    with pytest.warns(UserWarning, match="no gradient for 'b'"):
        optimizer.apply([jnp.ones(1), None])
    changed = {v.name for v in optimizer.variables if (v.numpy() != moments[v.name]).any()}
    assert changed == {"iteration", "0_count", "a_0_mu", "a_0_nu"} or changed == {
        "iteration", "0_count", "a_mu", "a_nu"
    }  # fmt: skip
    assert float(b[0]) > float(a[0])


def test_learning_rate_of_injected_hyperparameters():
    w = Variable(1.0)
    optimizer = optimizers.get(optax.inject_hyperparams(optax.sgd)(learning_rate=0.5))
    optimizer.build([w])
    optimizer.apply([jnp.ones(())])
    assert (float(optimizer.learning_rate), float(w)) == (0.5, 0.5)
    optimizer.learning_rate = 0.25
    optimizer.apply([jnp.ones(())])
    assert float(w) == 0.25
    assert not hasattr(optimizers.get(optax.sgd(0.1)), "learning_rate")


def test_two_weights_of_one_path():
    a, b = Variable(1.0, name="w"), Variable(2.0, name="w")
    optimizers.get(optax.sgd(1.0)).apply([jnp.ones(()), jnp.ones(())], [a, b])
    assert (float(a), float(b)) == (0.0, 1.0)
