"""What must not happen while steps are fused: wrong batches, wrong weights, lost ones."""

import dataclasses
import os
import signal
import threading

import jax.numpy as jnp
import numpy as np
import pytest

import stepfit as keras

X = np.arange(16, dtype="float32").reshape(8, 2)


def dense(**arguments):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, **arguments)])
    model.compile(optimizer="sgd", loss="mse")
    return model


class ByLength(keras.Model):
    """Uses another layer for another length, which is made at its first sight."""

    def __init__(self):
        super().__init__()
        self.long = keras.layers.Dense(1, use_bias=False)
        self.short = keras.layers.Dense(1, use_bias=False)

    def call(self, x):
        return jnp.sum(self.long(x) if x.shape[1] == 7 else self.short(x), axis=1)


def test_a_layer_made_in_mid_pass_does_not_mix_up_the_weights():
    rows = np.random.default_rng(0)
    batches = [rows.random((2, n, 3), "float32") for n in (5, 5, 7, 5, 5)]
    model = ByLength()
    first = model.predict(iter(batches), verbose=0)
    np.testing.assert_array_equal(first, model.predict(iter(batches), verbose=0))
    expected = np.concatenate([model(x) for x in batches])
    np.testing.assert_allclose(first, expected, rtol=1e-5)


def test_freezing_in_mid_pass_does_not_mix_up_the_weights():
    layers = keras.layers
    model = keras.Sequential([
        keras.Input((3,)), layers.Dense(3, use_bias=False), layers.Dense(3, use_bias=False),
    ])  # fmt: skip
    x = np.random.default_rng(0).random((9, 3)).astype("float32")

    class Batches:
        def __iter__(self):
            for rows in (slice(0, 4), slice(4, 7), slice(0, 4), slice(0, 4)):
                yield x[rows], x[rows]

    class Freeze(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            losses.append(logs["loss"])
            if batch == 0:
                self.model.layers[0].trainable = False

    losses: list = []
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    expected = [model.evaluate(*b, verbose=0) for b in Batches()]
    model.fit(Batches(), verbose=0, callbacks=[Freeze()])
    counts = np.array([4, 3, 4, 4])
    means = np.cumsum(expected * counts) / np.cumsum(counts)
    np.testing.assert_allclose(losses, means, rtol=1e-5)


def test_a_call_between_filling_and_running_does_not_touch_the_batch():
    model, other = dense(use_bias=False), np.full((2, 2), 100.0, "float32")

    class Predicts(keras.callbacks.Callback):
        def on_predict_batch_begin(self, batch, logs=None):
            model.predict_on_batch(other)

    found = model.predict(X, batch_size=2, verbose=0, callbacks=[Predicts()])
    np.testing.assert_allclose(found, X @ model.layers[0].kernel.numpy(), rtol=1e-6)

    def batches():
        for start in range(0, 8, 2):
            model.predict_on_batch(other)
            yield X[start : start + 2]

    np.testing.assert_array_equal(model.predict(batches(), verbose=0), found)


def test_threads_get_their_own_answers_and_keep_the_weights():
    model = dense(use_bias=False)
    model.fit(X, X[:, :1], batch_size=2, verbose=0)
    model.optimizer.learning_rate = 0.0
    kernel = model.layers[0].kernel.numpy()
    wrong = []

    def predicts(value):
        x = np.full((2, 2), value, "float32")
        for _ in range(60):
            if not np.allclose(model.predict_on_batch(x), x @ kernel, rtol=1e-5):
                wrong.append(value)

    threads = [threading.Thread(target=predicts, args=(float(i),)) for i in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        model.fit(X, X[:, :1], batch_size=2, verbose=0)
    for thread in threads:
        thread.join()
    assert wrong == []
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), kernel)


def test_two_ctrl_c_during_a_nested_step_lose_nothing():
    model, inner = dense(), dense()
    model.fit(X, X[:, :1], verbose=0)
    inner.fit(X, X[:, :1], verbose=0)
    run = inner._runner("train").run

    def pressed_twice(chunk):  # between the dispatch and the new values' place is the worst moment
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        return run(chunk)

    class Nested(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            updates.append(int(inner.optimizer.iterations.value))
            inner._runner("train").run = pressed_twice
            inner.train_on_batch(X, X[:, :1])

    updates: list = []
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, X[:, :1], verbose=0, callbacks=[Nested()])
    assert int(inner.optimizer.iterations.value) == updates[0] + 1  # the step was not torn
    assert all(np.isfinite(w).all() for m in (model, inner) for w in m.get_weights())


CHANGES = {
    "activation": lambda m: setattr(m.layers[0], "activation", keras.activations.relu),
    "dropout rate": lambda m: setattr(m.layers[1], "rate", 0.0),
    "sublayer": lambda m: setattr(m, "last", keras.layers.Activation("tanh")),
    "own attribute": lambda m: setattr(m, "factor", 3.0),
}


class Changeable(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.drop = keras.layers.Dense(3), keras.layers.Dropout(0.5)
        self.last, self.factor = keras.layers.Activation("linear"), 2.0

    def call(self, x, training=False):
        return self.last(self.drop(self.first(x), training=training)) * self.factor


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_by_hand_is_seen_by_the_next_call(change):
    model = Changeable()
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    model.fit(X, X[:, :1].repeat(3, 1), verbose=0)
    model.predict(X, verbose=0)
    traces = {kind: model._runner(kind).traces for kind in ("train", "predict")}
    change(model)
    expected = np.asarray(model(X))
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-6)
    model.fit(X, X[:, :1].repeat(3, 1), verbose=0)
    for kind, count in traces.items():
        assert model._runner(kind).traces == count + 1
    model.fit(X, X[:, :1].repeat(3, 1), verbose=0)
    assert model._runner("train").traces == traces["train"] + 1


def test_a_layer_that_notes_things_as_it_is_called_is_traced_once():
    class Notes(keras.layers.Layer):
        def call(self, x):
            self.seen = x.shape
            self.last = x
            return x * 2

    model = keras.Sequential([keras.Input((2,)), Notes(), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    model.fit(X, X[:, :1], validation_data=(X, X[:, :1]), epochs=4, verbose=0)
    model.fit(X, X[:, :1], validation_data=(X, X[:, :1]), epochs=4, verbose=0)
    assert model._runner("train").traces == model._runner("test").traces == 1


def test_metrics_of_an_inner_model_stay_its_own():
    inner = dense()
    inner.compile(optimizer="sgd", loss="mse", metrics=["mae"])

    class Outer(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def call(self, x):
            return self.inner(x)

    outer = Outer()
    outer.compile(optimizer="sgd", loss="mse")
    for _ in range(2):
        assert list(outer.fit(X, X[:, :1], verbose=0).history) == ["loss"]
        inner.fit(X, X[:, :1], verbose=0)


class Recorder(keras.callbacks.Callback):
    fused_safe = True

    def __init__(self):
        super().__init__()
        self.heard = []

    def on_train_batch_end(self, batch, logs=None):
        self.heard.append(batch)


class Stops(Recorder):
    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch)
        self.model.stop_training = batch == 20


@pytest.mark.parametrize("stops_first", [True, False])
def test_all_hear_of_the_step_at_which_one_of_them_stops(stops_first):
    stops, recorder = Stops(), Recorder()
    callbacks = [stops, recorder] if stops_first else [recorder, stops]
    model = dense()
    x = np.repeat(X, 20, axis=0)
    model.fit(x, x[:, :1] * 0, batch_size=2, verbose=0, callbacks=callbacks)
    assert stops.heard == recorder.heard == [*range(21)]


@dataclasses.dataclass
class Plain(keras.callbacks.Callback):
    """Equal to others of its kind, and not hashable."""

    name: str
    calls: list = dataclasses.field(default_factory=list, compare=False)

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append(self.name)


class AlsoBegins(Plain):
    def on_train_batch_begin(self, batch, logs=None):
        self.calls.append(f"begin {self.name}")


def test_hooks_are_called_in_the_order_of_the_list():
    calls: list = []
    callbacks = [Plain("same", calls), AlsoBegins("b", calls), Plain("same", calls)]
    dense().fit(X, X[:, :1], batch_size=8, verbose=0, callbacks=callbacks)
    assert calls == ["begin b", "same", "b", "same"]


@pytest.mark.parametrize("eager", [False, True])
def test_outputs_of_a_single_batch_can_be_written_to(eager):
    model = dense()
    model.run_eagerly = eager
    model.predict_on_batch(X)[:] = 0


def test_single_batches_do_not_hold_on_to_the_buffers():
    result = dense().predict_on_batch(X)
    assert result.base is None or result.base.nbytes == result.nbytes


def test_batches_read_before_an_error_are_trained_on():
    def batches():
        for _ in range(40):
            yield X[:2], X[:2, :1]
        raise OSError("the disk is gone")

    model = dense()
    for count in (40, 80):
        with pytest.raises(OSError, match="the disk is gone"):
            model.fit(batches(), verbose=0)
        assert int(model.optimizer.iterations.value) == count


class NeedsModel(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.get_weights()


REASONS = [
    ("auto", [NeedsModel()],
     "step by step (NeedsModel defines on_train_batch_end and is not fused_safe); last pass: "
     "4 steps in 4 dispatches, "),
    (1, [], "step by step (steps_per_execution=1); last pass: 4 steps in 4 dispatches, "),
    (4, [], "fused, up to 4 steps per dispatch; last pass: 4 steps in 1 dispatch, "),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "callbacks", "text"), REASONS)
def test_the_report_says_why_steps_ran_one_by_one(steps, callbacks, text):
    model = dense()
    model.compile(optimizer="sgd", loss="mse", steps_per_execution=steps)
    model.fit(X, X[:, :1], batch_size=2, verbose=0, callbacks=callbacks)
    assert model.execution_report()["train"].line().startswith(f"train_step: {text}")


def test_time_per_step_comes_down_to_what_it_is():
    model = dense()
    x = np.repeat(X, 100, axis=0) / 100
    model.fit(x, x[:, :1], batch_size=2, verbose=0)
    program = model._runner("train").programs[0]
    program.seconds_per_step = 0.1  # far too long, as if the machine had been busy
    program._latest_seconds.clear()
    for _ in range(6):
        model.fit(x, x[:, :1], batch_size=2, verbose=0)
    assert program.seconds_per_step < 0.01
