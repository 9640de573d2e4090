"""Fused execution: however steps are put together, the numbers are the same, to the bit."""

import itertools
import re
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stepfit as keras
from stepfit.training import engine, program
from tests.gan import Gan

RANDOM = np.random.default_rng(0)
X = RANDOM.random((70, 6)).astype("float32")  # 17 batches of 4, and one of 2
Y = X.sum(axis=1, keepdims=True)
IMAGES = RANDOM.random((20, 8, 8, 1)).astype("float32")
CLASSES = RANDOM.integers(0, 3, (20,))


def mlp():
    return keras.Sequential([
        keras.Input((6,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dropout(0.3),
        keras.layers.Dense(1),
    ])  # fmt: skip


class Tape(keras.Model):
    """A step of one's own, in the style of GradientTape."""

    def __init__(self):
        super().__init__()
        self.net = mlp()
        self.mae = keras.metrics.MeanAbsoluteError(name="mae")

    def call(self, x, training=False):
        return self.net(x, training=training)

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = jnp.mean((y - y_pred) ** 2) + 0.01 * jnp.sum(keras.random.normal((3,)) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.mae.update_state(y, y_pred)
        return {"loss": loss, "mae": self.mae.result()}


class Stateless(keras.Model):
    """A step of one's own, as a pure function."""

    def __init__(self):
        super().__init__()
        self.net = mlp()

    def call(self, x, training=False):
        return self.net(x, training=training)

    def train_step(self, state, data):
        x, y = data

        def loss_of(trainable, fixed):
            y_pred, fixed = self.stateless_call(trainable, fixed, x, training=True)
            return jnp.mean((y - y_pred) ** 2), fixed

        trainable, fixed, optimizer, metrics = state
        (loss, fixed), gradients = jax.value_and_grad(loss_of, has_aux=True)(trainable, fixed)
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
        return {"loss": loss}, (trainable, fixed, optimizer, metrics)


def cnn():
    layers = keras.layers
    return keras.Sequential([
        keras.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(),
        layers.BatchNormalization(), layers.Flatten(), layers.Dropout(0.5), layers.Dense(3),
    ])  # fmt: skip


class Recurrent(keras.layers.Layer):
    """A loop over time inside the loop over steps."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dropout = keras.layers.Dropout(0.2)

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units))
        self.recurrent = self.add_weight(shape=(self.units, self.units), initializer="orthogonal")

    def call(self, x, training=False):
        x, kernel, recurrent = self.dropout(x, training=training), self.kernel, self.recurrent

        def step(state, row):
            state = jnp.tanh(row @ kernel.value + state @ recurrent.value)
            return state, None

        start = jnp.zeros((x.shape[0], self.units), x.dtype)
        return jax.lax.scan(step, start, jnp.swapaxes(x, 0, 1))[0]


def rnn():
    layers = keras.layers
    return keras.Sequential([
        keras.Input((6,)), layers.Reshape((3, 2)), Recurrent(5), layers.Dense(1),
    ])  # fmt: skip


MAE = {"optimizer": "adam", "loss": "mse", "metrics": ["mae"]}
LABELS = {
    "optimizer": "rmsprop", "metrics": ["accuracy"],
    "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
}  # fmt: skip
ACCUMULATED = {"optimizer": keras.optimizers.Adam(0.01, gradient_accumulation_steps=3),
               "loss": "mse"}  # fmt: skip
MODELS = {
    "mlp": (mlp, MAE, (X, Y)),
    "cnn": (cnn, LABELS, (IMAGES, CLASSES)),
    "rnn": (rnn, MAE, (X, Y)),
    "tape": (Tape, MAE, (X, Y)),
    "stateless": (Stateless, {"optimizer": "sgd"}, (X, Y)),
    "gan": (Gan, {}, (X,)),
    "accumulated": (mlp, ACCUMULATED, (X, Y)),
}


def trained(name, steps="auto", epochs=2, batches=False, **fit):
    """Return the weights and the history of a model trained from one seed."""
    make, compiled, data = MODELS[name]
    keras.utils.set_random_seed(7)
    model = make()
    optimizer = compiled.get("optimizer")
    if isinstance(optimizer, keras.optimizers.Optimizer):
        compiled = {**compiled, "optimizer": type(optimizer).from_config(optimizer.get_config())}
    model.compile(**compiled, steps_per_execution=steps)
    if batches:
        data = (Batches(*data),)
    else:
        fit = {"batch_size": 4, **fit}
    history = model.fit(*data, epochs=epochs, verbose=0, **fit)
    return model.get_weights(), history.history, model


class Batches:
    """Batches of 4 from arrays, read again in every epoch."""

    def __init__(self, *data):
        self.data = data

    def __iter__(self):
        for start in range(0, len(self.data[0]), 4):
            yield tuple(part[start : start + 4] for part in self.data)


def assert_same(one, other):
    for a, b in zip(one[0], other[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert one[1] == other[1]


class EveryBatch(keras.callbacks.Callback):
    """Needs the model between steps."""

    def __init__(self):
        super().__init__()
        self.seen, self.updates = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((batch, logs))
        self.updates.append(int(self.model.optimizer.iterations.value))


class EveryStep(keras.callbacks.Callback):
    """Needs no more than its arguments."""

    fused_safe = True

    def __init__(self):
        super().__init__()
        self.seen, self.begun = [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.begun.append(batch)

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((batch, logs))


OFTEN = {*((name, False) for name in ("mlp", "cnn", "rnn", "gan", "stateless")), ("mlp", True)}


@pytest.mark.parametrize(
    ("name", "batches"),
    [pytest.param(*case, marks=[] if case in OFTEN else pytest.mark.slow)
     for case in itertools.product(MODELS, [False, True])],
)  # fmt: skip
def test_any_number_of_steps_gives_the_same_bits(name, batches):
    expected = trained(name, 1, batches=batches)
    for steps in (8, 32, "auto"):
        assert_same(trained(name, steps, batches=batches), expected)


@pytest.mark.parametrize("name", ["mlp", "stateless", pytest.param("gan", marks=pytest.mark.slow)])
def test_data_on_the_device_gives_the_same_bits(name):
    expected = trained(name)
    keras.config.set_device_data_budget(1 << 20)
    try:
        found = trained(name)
    finally:
        keras.config.set_device_data_budget(None)
    assert found[2].execution_report()["train"].programs[0].resident
    assert_same(found, expected)


@pytest.mark.parametrize("shuffle", [True, False, "batch"])
def test_every_order_of_rows_survives_chunks(shuffle):
    expected = trained("mlp", 1, shuffle=shuffle)
    assert_same(trained("mlp", 8, shuffle=shuffle), expected)
    assert_same(trained("mlp", 8, shuffle=shuffle, steps_per_epoch=None), expected)


def test_epochs_cut_from_passes_survive_chunks():
    expected = trained("mlp", 1, epochs=4, steps_per_epoch=5)
    assert_same(trained("mlp", 4, epochs=4, steps_per_epoch=5), expected)


def test_a_callback_that_needs_the_model_sees_each_step_and_the_same_bits():
    callback = EveryBatch()
    assert_same(trained("mlp", callbacks=[callback]), trained("mlp"))
    assert [batch for batch, _ in callback.seen] == [*range(18)] * 2
    assert callback.updates == [*range(1, 37)]  # the weights are those after that very step


def test_a_fused_safe_callback_hears_of_every_step_with_its_logs():
    strict, safe = EveryBatch(), EveryStep()
    trained("tape", callbacks=[strict])
    _, _, model = trained("tape", callbacks=[safe])
    assert safe.seen == strict.seen and safe.begun == [*range(18)] * 2
    assert model.execution_report()["train"].dispatches < 18


def test_an_integer_calls_batch_hooks_once_per_dispatch():
    callback = EveryBatch()
    trained("mlp", 8, epochs=1, callbacks=[callback])
    assert [batch for batch, _ in callback.seen] == [7, 15, 16, 17]
    assert callback.updates == [8, 16, 17, 18]


def test_the_engine_does_not_compile_or_trace_again():
    _, _, model = trained("mlp", epochs=1)
    assert model._runner("train").traces == 2  # of 4 rows, and of 2
    compiled = []
    listener = lambda event, *_, **__: compiled.append(event)
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        for steps in (None, 3):
            model.fit(X, Y, batch_size=4, epochs=3, verbose=0, steps_per_epoch=steps)
        model.fit(X[:9], Y[:9], batch_size=4, verbose=0, callbacks=[EveryBatch()], shuffle=False)
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
    assert model._runner("train").traces == 3  # of 1 row
    assert sum("backend_compile" in event for event in compiled) == 1


def test_batches_of_changing_shapes_keep_their_order():
    sizes = [3, 3, 5, 3, 5, 5, 5, 2]

    class Ragged:
        def __iter__(self):
            start = 0
            for size in sizes:
                yield X[start : start + size], Y[start : start + size]
                start += size

    found = []
    for steps in (1, "auto"):
        keras.utils.set_random_seed(7)
        model, callback = mlp(), EveryStep()
        model.compile(optimizer="sgd", loss="mse", steps_per_execution=steps)
        history = model.fit(Ragged(), epochs=3, verbose=0, callbacks=[callback])
        assert [batch for batch, _ in callback.seen] == [*range(8)] * 3
        found.append((model.get_weights(), history.history))
    assert_same(*found)


def test_slow_data_does_not_wait_for_a_full_chunk(monkeypatch):
    monkeypatch.setattr("stepfit.training.passes.TICK", 0.02)

    class Slow:
        def __iter__(self):
            for _ in range(6):
                time.sleep(0.03)
                yield X[:4], Y[:4]

    model = mlp()
    model.compile(optimizer="sgd", loss="mse")
    model.fit(Slow(), verbose=0)
    report = model.execution_report()["train"]
    assert report.steps == 6 and report.dispatches >= 4  # the first step compiles meanwhile
    model.fit(Slow(), verbose=0)
    report = model.execution_report()["train"]
    assert report.steps == 6 and report.dispatches >= 5
    assert report.data_share > 0.5  # the device waits for data most of the time


def test_a_step_that_calls_python_runs_step_by_step():
    seen = []

    class Prints(Tape):
        def train_step(self, data):
            jax.debug.callback(lambda: seen.append(1))
            return super().train_step(data)

    model = Prints()
    model.compile(optimizer="sgd")
    model.fit(X, Y, batch_size=10, verbose=0)
    made = model.execution_report()["train"].programs[0]
    assert (made.fused, made.why) == (False, "the step calls Python")
    assert len(seen) == 7


def test_steps_that_are_slow_inside_a_loop_run_one_by_one(monkeypatch):
    class Report:
        rewritten, left, fits_loop = {}, ["a convolution of some kind"], False

    monkeypatch.setattr(program, "rewrite", lambda closed, platform: (closed, Report))
    slow = trained("mlp")
    report = slow[2].execution_report()["train"]
    assert report.steps == report.dispatches == 18
    assert report.line().startswith(
        "train_step: step by step (slow inside a loop here: a convolution of some kind); last pass"
    )
    monkeypatch.undo()
    for a, b in zip(slow[0], trained("mlp")[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_the_length_of_a_chunk_follows_the_time_of_a_step():
    _, _, model = trained("mlp", epochs=1)
    runner = model._runner("train")
    made = runner.programs[0]
    expected = {1e-9: made.capacity, engine.TICK / 20: 20, engine.TICK / 2: 4, 0.2: 2, 3.0: 1}
    for seconds, steps in expected.items():
        made.seconds_per_step = seconds
        runner.begin()
        assert runner.most_steps(made) == steps
        runner.begin("a callback needs the model")
        assert runner.most_steps(made) == 1


def test_report_says_how_steps_ran(capsys):
    _, _, model = trained("mlp", epochs=1)
    report = model.execution_report()
    assert list(report) == ["train"]
    text = str(report)
    begin = r"train_step: fused, up to .*\d+ steps per dispatch.*; last pass: 18 steps in "
    assert re.match(begin, text)
    assert "\n  batch (4, 6) float32, (4, 1) float32: fused" in text
    model.fit(X, Y, batch_size=4, epochs=5, verbose=0)
    assert " per step\n" in str(model.execution_report())
    model.compile(optimizer="sgd", loss="mse")
    model.fit(X, Y, epochs=2, verbose=2)
    printed = capsys.readouterr().out
    assert printed.count("train_step: fused, up to ") == 1
    model.compile(optimizer="sgd", loss="mse", run_eagerly=True)
    model.evaluate(X, Y, verbose=0)
    text = "test_step: step by step, not compiled (run_eagerly=True)"
    assert str(model.execution_report()) == text
    assert str(mlp().execution_report()) == "no step was run yet"


def test_evaluate_and_predict_do_not_depend_on_chunks():
    _, _, model = trained("mlp", epochs=1)
    results = {}
    for steps in (1, 4, "auto"):
        model.steps_per_execution = steps
        results[steps] = (
            model.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True),
            model.predict(X, batch_size=4, verbose=0),
            model.predict(Batches(X), verbose=0),
            model.predict(X, batch_size=4, verbose=0, steps=3),
        )
    for evaluated, *predicted in results.values():
        assert evaluated == results[1][0]
        for part, other in zip(predicted, results[1][1:], strict=True):
            np.testing.assert_array_equal(part, other)
    assert [len(part) for part in results[1][1:]] == [70, 70, 12]
    np.testing.assert_allclose(results[1][1], np.asarray(model(X)), rtol=1e-5)


def test_outputs_that_do_not_fit_together_are_named():
    class Same(keras.Model):
        def call(self, x):
            return x

    class Growing:
        def __iter__(self):
            yield np.ones((2, 3), "float32")
            yield np.ones((2, 4), "float32")

    with pytest.raises(ValueError) as caught:
        Same().predict(Growing(), verbose=0)
    assert str(caught.value) == (
        "predict: expected outputs of one shape, (rows, 3), for all batches, found (rows, 4) after "
        "2 rows; pad them, or call predict_on_batch on each batch."
    )


def test_weights_that_are_only_read_are_neither_copied_nor_returned():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    model.layers[0].trainable = False
    model.compile(optimizer="sgd", loss="mse")
    model.fit(X, Y, verbose=0)
    frozen = model.layers[0].kernel.value
    model.fit(X, Y, verbose=0)
    assert model.layers[0].kernel.value is frozen
    model.evaluate(X, Y, verbose=0)
    runner = model._runner("test")
    names = [runner.step.layout.variables[i].name for i in runner.programs[0].fixed]
    assert "kernel" in names and "bias" in names


def test_large_weights_are_donated_and_held_arrays_survive():
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64)])
    model.compile(optimizer="sgd", loss="mse")
    x = np.ones((8, 64), "float32")
    model.fit(x, x, verbose=0)
    cell = model._runner("train").cell
    donated = model._runner("train").programs[0].donated
    assert [model._runner("train").step.layout.variables[i].name for i in donated] == ["kernel"]
    before = cell.values[donated[0]]
    held = model.layers[0].kernel.value
    copy = np.array(held)
    model.fit(x, x, verbose=0)
    assert before is held and not held.is_deleted()  # it was read, so it was copied first
    np.testing.assert_array_equal(held, copy)
    unread = cell.values[donated[0]]
    model.fit(x, x, verbose=0)
    assert unread.is_deleted()  # its memory went to the new value


BUDGETS = [
    (-1, "-1"), (1, "1"), (1.5, "1.5"), ("all", "'all'"), (True, "True"),
]  # fmt: skip


@pytest.mark.parametrize(("budget", "found"), BUDGETS)
def test_a_budget_that_makes_no_sense_is_refused(budget, found):
    with pytest.raises(ValueError) as caught:
        keras.config.set_device_data_budget(budget)
    assert str(caught.value) == (
        "set_device_data_budget(budget): expected bytes (an int), a share (a float from 0 to 1), "
        f"or None, found {found}."
    )
    assert keras.config.device_data_budget() is None
