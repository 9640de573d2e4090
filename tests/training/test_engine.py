"""The engine: the weights are current, safe, and nobody's array goes stale."""

import os
import signal
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stepfit as keras
from stepfit.callbacks import CallbackList
from stepfit.training.data import make_source
from stepfit.training.interrupts import SafeInterrupts
from stepfit.training.passes import Pass

X = np.random.default_rng(0).random((64, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def made(**compile_arguments):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    model.compile(**({"optimizer": "sgd", "loss": "mse"} | compile_arguments))
    return model


class EachBatch(keras.callbacks.Callback):
    def __init__(self, do):
        super().__init__()
        self.do = do

    def on_train_batch_end(self, batch, logs=None):
        self.do(self.model, batch)


def test_variables_are_current_in_every_hook():
    seen = []
    model = made()
    model.fit(X, Y, batch_size=16, verbose=0,
              callbacks=[EachBatch(lambda m, b: seen.append(m.weights[0].numpy()))])  # fmt: skip
    assert len(seen) == 4
    assert all((a != b).any() for a, b in zip(seen[1:], seen[:-1], strict=True))
    np.testing.assert_array_equal(seen[-1], model.weights[0].numpy())


def test_arrays_that_were_read_stay_valid():
    model = made()
    before = model.weights[0].value
    copy = np.array(before)
    held = []
    model.fit(X, Y, batch_size=16, epochs=2, verbose=0,
              callbacks=[EachBatch(lambda m, b: held.append(m.weights[0].value))])  # fmt: skip
    np.testing.assert_array_equal(before, copy)
    assert len({float(h.sum()) for h in held}) == 8  # none was deleted, each is of its own step


def test_assignments_in_hooks_take_effect():
    model = made()

    def zero(m, batch):
        if batch == 3:
            for v in m.trainable_variables:
                v.assign(jnp.zeros(v.shape))
            m.optimizer.learning_rate = 0.0

    model.fit(X, Y, batch_size=16, epochs=1, verbose=0, callbacks=[EachBatch(zero)])
    assert not any(np.any(w) for w in model.get_weights())
    model.fit(X, Y, batch_size=16, epochs=1, verbose=0)
    assert not any(np.any(w) for w in model.get_weights())


def test_evaluate_and_predict_in_a_hook_leave_training_alone():
    plain, nosy = made(), made()
    nosy.set_weights(plain.get_weights())
    a = plain.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0).history

    def look(m, batch):
        m.predict(X[:8], verbose=0)
        m(X[:4])

    b = nosy.fit(
        X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0, callbacks=[EachBatch(look)]
    ).history
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-6)


def test_two_variables_of_one_array():
    model = made()
    shared = jnp.ones((4, 1))
    model.weights[2].assign(shared)
    other = keras.Variable(jnp.zeros((4, 1)))
    other.assign(shared)
    model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(other.numpy(), np.ones((4, 1)))


def test_an_error_in_the_data_keeps_what_was_learnt():
    model = made()
    start = model.get_weights()

    def batches():
        yield X[:16], Y[:16]
        yield X[16:32], Y[16:32]
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        model.fit(batches(), verbose=0)
    assert any((a != b).any() for a, b in zip(model.get_weights(), start, strict=True))
    model.fit(X, Y, verbose=0)


def test_ctrl_c_stops_between_steps_with_a_usable_model():
    model = made()
    batches_run = []

    def press(m, batch):
        batches_run.append(batch)
        if batch == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=16, epochs=50, verbose=0, callbacks=[EachBatch(press)])
    assert batches_run == [0, 1]
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert int(model.optimizer.iterations.value) == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.01, 0.03, 0.08, 0.2])
def test_ctrl_c_at_any_moment_leaves_a_usable_model(delay):
    model = made()
    timer = threading.Timer(delay, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        model.fit(X, Y, batch_size=4, epochs=100_000, verbose=0)
        timer.join()
    assert all(np.isfinite(w).all() for w in model.get_weights())
    model.predict(X, verbose=0)


def test_stop_training_stops_after_the_batch():
    model = made()
    seen = []

    def stop(m, batch):
        seen.append(batch)
        m.stop_training = batch == 1

    history = model.fit(X, Y, batch_size=16, epochs=3, verbose=0, callbacks=[EachBatch(stop)])
    assert seen == [0, 1] and len(history.history["loss"]) == 1


@pytest.mark.parametrize("steps", ["auto", 1, 4])
def test_no_transfer_between_steps(steps):
    model = made(metrics=["mae"], steps_per_execution=steps)
    model.fit(X, Y, batch_size=4, verbose=0)  # compile first
    runner = model._runner("train")
    source = make_source(X, Y, batch_size=4, shuffle=True)
    one_pass = Pass(runner, source, 0, CallbackList(), SafeInterrupts(), stopped=lambda: False)
    with jax.transfer_guard("disallow"):
        last = one_pass.run(ready=None)
    assert last.first + last.count == 16 and np.isfinite(last.logs()["mae"])


def test_state_round_trip_and_owners():
    model = made(optimizer="adam", metrics=["mae"])
    model.fit(X, Y, verbose=0)
    state = model.get_state()
    trainable, non_trainable, optimizer, metrics = state
    assert [len(p) for p in state] == [4, 0, 10, 4]
    assert state.trainable_variables is trainable
    values, frozen = state.of(model.layers[0])
    assert frozen == [] and values[0] is trainable[0]
    assert state.of(model.weights[0]) is trainable[0]
    assert len(state.of(model.optimizer)) == 10
    assert len(state.of(model.metrics[1])) == 2
    new = state.replace(model.layers[0], ([v * 0 for v in values], []))
    assert not np.any(new.of(model.weights[0])) and np.any(state.of(model.weights[0]))
    model.set_state(new)
    assert not np.any(model.weights[0].numpy())
    model.set_state(tuple(state))
    np.testing.assert_array_equal(model.weights[0].numpy(), trainable[0])
    model.set_state((trainable, non_trainable))
    with pytest.raises(ValueError) as e:
        model.set_state((trainable[:2], non_trainable))
    assert str(e.value) == (
        "set_state(trainable_variables): expected 4 values, found 2; pass the values of "
        "`.trainable_variables`, in that order."
    )
    with pytest.raises(ValueError) as e:
        state.replace(model.layers[0], [values[0]])
    assert str(e.value) == (
        "state.replace(owner, values) for 'dense': expected 2 parts (trainable, non_trainable), "
        "found 1."
    )
    with pytest.raises(TypeError, match="state.of"):
        state.of("dense")
    leaves, structure = jax.tree.flatten(state)
    assert len(leaves) == 18
    again = jax.tree.unflatten(structure, leaves)
    assert [len(p) for p in again] == [4, 0, 10, 4]


def test_an_optimizer_that_is_not_built_is_named():
    model = made()
    state = model.get_state()
    with pytest.raises(ValueError) as e:
        state.of(keras.optimizers.SGD(name="mine"))
    assert str(e.value) == (
        "state.of('mine'): expected an optimizer that is built, found one that is not; call its "
        "build(trainable_variables) in compile()."
    )


def test_trainable_toggled_after_compile_is_followed():
    model = made()
    model.fit(X, Y, verbose=0)
    kernel = model.layers[0].kernel.numpy()
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), kernel)


def test_subclassed_model_is_built_by_fit_without_running():
    class Late(keras.Model):
        def __init__(self):
            super().__init__()
            self.blocks = [keras.layers.Dense(4), {"last": keras.layers.Dense(1)}]

        def call(self, x, training=False):
            return self.blocks[1]["last"](self.blocks[0](x))

    model = Late()
    model.compile("adam", "mse")
    history = model.fit(X, Y, epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]
    assert len(model.weights) == 4 and model.weights[0].path == "late/dense/kernel"
