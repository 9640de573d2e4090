"""GradientMonitor: the norms that it reports are those of the gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stepfit as keras
from stepfit.callbacks import GradientMonitor
from tests.expect import refused

from .small import X, Y, compiled, fit

BATCHES = [(X[i : i + 4], Y[i : i + 4]) for i in range(0, 24, 4)]


def gradients_of(model, batches):
    """Return the gradients that SGD is given at each step, computed with plain JAX."""
    values, found = [v.value for v in model.trainable_variables], []

    def loss(values, x, y):
        outputs, _ = model.stateless_call(values, [], x)
        return jnp.mean((outputs - y) ** 2)

    for x, y in batches:
        gradients = jax.grad(loss)(values, x, y)
        values = [v - 0.05 * g for v, g in zip(values, gradients, strict=True)]
        found.append([np.array(g) for g in gradients])
    return found


def norm(gradients):
    return float(np.sqrt(sum(np.sum(g.astype("float64") ** 2) for g in gradients)))


class Tape(keras.Model):
    def __init__(self):
        super().__init__(name="net")
        self.inner = compiled()

    def call(self, x):
        return self.inner(x)

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = jnp.mean((self(x) - y) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


class Stateless(Tape):
    def train_step(self, state, data):
        x, y = data
        trainable, non_trainable = state.of(self)

        def compute(values):
            outputs, _ = self.stateless_call(values, non_trainable, x)
            return jnp.mean((outputs - y) ** 2)

        loss, gradients = jax.value_and_grad(compute)(trainable)
        optimizer = state.of(self.optimizer)
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
        state = state.replace(self, (trainable, non_trainable))
        return {"loss": loss}, state.replace(self.optimizer, optimizer)


def of_class(cls):
    def make(optimizer=None, **arguments):
        model = cls()
        model.compile(optimizer=optimizer or keras.optimizers.SGD(0.05), **arguments)
        return model

    return make


STEPS = {"compile": compiled, "tape": of_class(Tape), "stateless": of_class(Stateless)}


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("name", STEPS)
def test_norms_are_those_of_the_gradients_of_any_step(name, eagerly):
    expected = gradients_of(compiled(), BATCHES)
    model, monitor = STEPS[name](run_eagerly=eagerly), GradientMonitor("variable", every=2)
    history = fit(model, [monitor], 1)
    names = [v.path for v in model.trainable_variables]
    assert list(monitor.history) == ["global", *names]
    norms = {"global": [norm(g) for g in expected]}
    norms |= {n: [norm([g[i]]) for g in expected] for i, n in enumerate(names)}
    for group, found in monitor.history.items():
        assert found["mean"] == [pytest.approx(np.mean(norms[group]), rel=1e-4)]
        assert found["max"] == [pytest.approx(max(norms[group]), rel=1e-4)]
        assert found["nonfinite"] == [0]
    assert history.history["gradient_norm"] == monitor.history["global"]["mean"]
    assert [(s["epoch"], s["batch"]) for s in monitor.steps] == [(0, 1), (0, 3), (0, 5)]
    for step in monitor.steps:
        for group, value in step["norms"].items():
            assert value == pytest.approx(norms[group][step["batch"]], rel=1e-4)


def test_steps_stay_fused_and_the_numbers_the_same():
    plain, watched = compiled(), compiled()
    before = fit(plain, [], 2).history["loss"]
    after = fit(watched, [GradientMonitor(log=False)], 2).history
    assert after == {"loss": before}
    assert watched.execution_report()["train"].one_by_one is None
    assert fit(watched, [], 1).history.keys() == {"loss"}  # it has left the step again


def test_groups():
    model, monitor = compiled(), GradientMonitor({"biases": "bias$", "all": "", "body": "net/body"})
    fit(model, [monitor], 1)
    expected = gradients_of(compiled(), BATCHES)
    places = {"biases": [1, 3], "all": [0, 1, 2, 3], "body": [0, 1]}
    for name, indices in places.items():
        mean = np.mean([norm([g[i] for i in indices]) for g in expected])
        assert monitor.history[name]["mean"] == [pytest.approx(mean, rel=1e-4)]
    assert monitor.history["all"] == monitor.history["global"]


@pytest.mark.parametrize("optimizer", [
    lambda: keras.optimizers.SGD(0.05, loss_scale_factor=64.0),
    lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05), initial_scale=64.0),
    lambda: keras.optimizers.SGD(0.05, clipnorm=1e-3),
])  # fmt: skip
def test_norms_come_before_clipping_and_without_the_scale_of_the_loss(optimizer):
    monitor = GradientMonitor(every=1)
    fit(compiled(optimizer()), [monitor], 1)
    first = gradients_of(compiled(), BATCHES[:1])[0]
    assert monitor.steps[0]["norms"]["global"] == pytest.approx(norm(first), rel=1e-4)


@pytest.mark.filterwarnings("ignore:fit, epoch:UserWarning")
def test_norms_that_are_not_finite_are_counted():
    y = Y.copy()
    y[4:12] = np.inf  # from the second batch on, the weights are NaN
    monitor = GradientMonitor()
    compiled().fit(X, y, batch_size=4, shuffle=False, verbose=0, callbacks=[monitor])
    first = norm(gradients_of(compiled(), BATCHES[:1])[0])
    found = monitor.history["global"]
    assert (found["mean"], found["nonfinite"]) == ([pytest.approx(first, rel=1e-4)], [5])


def test_several_optimizers():
    class Two(keras.Model):
        def __init__(self):
            super().__init__(name="two")
            self.a, self.b = keras.layers.Dense(1, name="a"), keras.layers.Dense(1, name="b")
            self.first = keras.optimizers.SGD(0.1, name="first")
            self.second = keras.optimizers.SGD(0.1, name="second")

        def train_step(self, data):
            x, y = data
            for layer, optimizer in ((self.a, self.first), (self.b, self.second)):
                with keras.GradientTape() as tape:
                    loss = jnp.mean((layer(x) - y) ** 2)
                weights = layer.trainable_variables
                optimizer.apply(tape.gradient(loss, weights), weights)
            return {"loss": loss}

    model, monitor = Two(), GradientMonitor()
    model.compile()
    history = fit(model, [monitor], 2).history
    names = {"first/global", "first/a", "second/global", "second/b"}
    assert set(monitor.history) == names
    assert {"first/gradient_norm", "second/gradient_norm"} <= set(history)
    assert all(v > 0 for n in names for v in monitor.history[n]["mean"])


def without_optimizer():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.w = self.add_weight(shape=(3, 1), name="w")

        def train_step(self, data):
            self.w.assign(self.w * 0.9)
            return {"loss": jnp.sum(self.w.value)}

    model = Own()
    model.compile(optimizer="sgd")
    return model


BAD = [
    (lambda: GradientMonitor("layers"),
     "GradientMonitor(by): expected 'layer', 'variable' or a dict from names to patterns, found "
     "'layers'."),
    (lambda: GradientMonitor(every=0),
     "GradientMonitor(every): expected a positive number of steps, or None, found 0."),
    (lambda: fit(compiled(), [GradientMonitor({"heads": "haed"})], 1),
     "GradientMonitor(by={'heads': ...}): expected a pattern that the path of some trainable "
     "variable contains, found 'haed'."),
    (lambda: fit(without_optimizer(), [GradientMonitor()], 1),
     "GradientMonitor: expected a training step that calls apply of an optimizer of stepfit, found "
     "none whose gradients could be seen; leave GradientMonitor out."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), BAD, ids=[row[1][:40] for row in BAD])
def test_message(call, text):
    refused(call, ValueError, text)
