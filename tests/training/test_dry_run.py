"""`fit(dry_run=True)`: it says what would be done, and changes nothing."""

import random

import numpy as np
import pytest

import stepfit as keras
from stepfit.core import seeding
from stepfit.random.seed_generator import global_generator
from stepfit.training.dry_run_report import DryRun

X = np.random.RandomState(0).normal(size=(70, 6)).astype("float32")
Y = X.sum(1, keepdims=True)


def sequential(units=5, **compiled):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(units),
                              keras.layers.BatchNormalization(), keras.layers.Dropout(0.2),
                              keras.layers.Dense(1)], name="net")  # fmt: skip
    model.compile(**{"optimizer": "adam", "loss": "mse", "metrics": ["mae"], **compiled})
    return model


def unbuilt():
    model = keras.Sequential([keras.layers.Dense(5), keras.layers.Dropout(0.2),
                              keras.layers.Dense(1)])  # fmt: skip
    model.compile("adam", "mse")
    return model


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


def own():
    model = Own()
    model.compile("sgd", "mse")
    return model


def eager():
    return sequential(run_eagerly=True)


def arrays():
    return {"x": X, "y": Y, "batch_size": 16, "validation_split": 0.2}


def endless():
    while True:
        rows = np.random.randint(0, 70, 8)
        yield X[rows], Y[rows]


def one_shot():
    return {"x": endless(), "steps_per_epoch": 3}


def two_generators():
    return {"x": endless(), "steps_per_epoch": 3, "validation_data": endless(),
            "validation_steps": 2}  # fmt: skip


class Anew:
    """Can be read again; shuffles by itself."""

    def __iter__(self):
        for _ in range(4):
            rows = np.random.randint(0, 70, 8) + random.randrange(1)
            yield X[rows], Y[rows]


def loader():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    torch.manual_seed(0)
    return {"x": torch.utils.data.DataLoader(data, batch_size=8, shuffle=True)}


class Silent(keras.callbacks.Callback):
    """No hook of it may be called."""

    def __getattribute__(self, name):
        if name.startswith("on_") or name in ("set_model", "set_params"):
            raise AssertionError(name)
        return object.__getattribute__(self, name)


def numbers(model):
    return [np.array(x) for part in model.get_state() for x in part]


def anew():
    return {"x": Anew()}


@pytest.mark.parametrize(("make", "data"), [
    (sequential, arrays), (sequential, one_shot), (sequential, anew), (unbuilt, one_shot),
    (own, arrays),
    *(pytest.param(*row, marks=pytest.mark.slow) for row in [
        (sequential, two_generators), (sequential, loader), (unbuilt, arrays), (eager, one_shot)]),
])  # fmt: skip
def test_a_fit_after_it_is_the_fit_without_it(make, data):
    runs = []
    for rehearsed in (0, 2):
        keras.utils.set_random_seed(4)
        model, given = make(), data()
        for _ in range(rehearsed):
            assert isinstance(model.fit(**given, epochs=2, dry_run=True), DryRun)
        history = model.fit(**given, epochs=2, verbose=0)
        runs.append([*numbers(model), *history.history.values()])
    for plain, after in zip(*runs, strict=True):
        np.testing.assert_array_equal(plain, after)


def test_nothing_is_changed_and_nobody_is_told(capsys):
    model = sequential()
    history = model.fit(X, Y, epochs=1, verbose=0)
    before, drawn = numbers(model), (seeding.get_state(), global_generator().count)
    python, numpy = random.getstate(), np.random.get_state()[1].tolist()
    report = model.fit(**arrays(), epochs=7, callbacks=[Silent()], verbose=2, dry_run=True)
    assert model.history is history and capsys.readouterr().out == ""
    assert (python, numpy) == (random.getstate(), np.random.get_state()[1].tolist())
    assert global_generator().count == drawn[1] and not model.stop_training
    next_one = seeding.draw_seed()
    seeding.set_state(drawn[0])
    assert seeding.draw_seed() == next_one
    for old, new in zip(before, numbers(model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert report.callbacks[0] == ("Silent", "between epochs")


def test_what_is_wrong_shows_and_nothing_is_lost():
    model, data = sequential(), endless()
    with pytest.raises(ValueError, match="x"):
        model.fit(X[:, :3], Y, dry_run=True)
    with pytest.raises(TypeError) as error:
        model.fit(X, Y, dry_run="yes")
    assert str(error.value) == "fit(dry_run): expected True or False, found 'yes'."
    np.random.seed(0)
    first = next(endless())
    np.random.seed(0)
    with pytest.raises(TypeError):
        model.fit(data, steps_per_epoch=2, validation_data="none", dry_run=True)
    seen = []

    class Sees(Own):
        def train_step(self, batch):
            seen.append(np.array(batch[0]))
            return super().train_step(batch)

    eager = Sees()
    eager.compile("sgd", "mse", run_eagerly=True)
    eager.fit(data, steps_per_epoch=1, verbose=0)
    np.testing.assert_array_equal(seen[0], first[0])


# -- the report ----------------------------------------------------------------------------------


def test_what_the_report_says():
    class Strict(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    class Safe(Strict):
        fused_safe = True

    class Seldom(Strict):
        def needs_model_after(self, batch):
            return None

    callbacks = [Strict(), Safe(), Seldom(), keras.callbacks.TerminateOnNaN()]
    model = sequential()
    report = model.fit(**arrays(), epochs=7, callbacks=callbacks, dry_run=True)
    assert (report.epochs, report.steps_per_epoch, report.validation_steps) == (7, 4, 1)
    assert (report.samples, report.data) == (56, "arrays")
    assert [f.batch for f in report.forms] == [
        "(16, 6) float32, (16, 1) float32", "(8, 6) float32, (8, 1) float32"
    ]  # fmt: skip
    assert [f.batch for f in report.validation_forms] == ["(14, 6) float32, (14, 1) float32"]
    first = report.forms[0]
    assert first.fused and first.most_steps == 1 and first.why == "one loop on the device"
    assert first.program_bytes > 0 and first.compile_seconds > 0 and first.trace_seconds > 0
    assert first.buffer_bytes == 512 * (16 * 7 * 4 + 2 * 4)
    assert report.parameters == model.count_params() == 6 * 5 + 5 + 4 * 5 + 5 + 1
    assert report.trainable_parameters == report.parameters - 2 * 5
    assert report.weight_bytes == 4 * report.parameters + 8  # the state of the dropout's numbers
    assert report.optimizer_bytes == sum(v.value.nbytes for v in model.optimizer.variables)
    assert report.metric_bytes == 4 * 4
    assert report.peak_bytes > report.weight_bytes + report.optimizer_bytes
    assert report.devices == (str(next(iter(model.layers[0].kernel.value.devices()))),)
    assert report.compile_seconds >= first.compile_seconds and report.notes == ()
    assert report.one_by_one == "Strict defines on_train_batch_end and is not fused_safe"
    assert dict(report.callbacks) == {
        "Strict": "after every step, with the model: steps run one at a time",
        "Safe": "for every step, with its logs",
        "Seldom": "after the steps that it asks for",
        "TerminateOnNaN": "at a loss that is not finite",
        "History": "between epochs", "ProgbarLogger": "after every step",
    }  # fmt: skip
    report = model.fit(**arrays(), epochs=7, callbacks=callbacks[1:], dry_run=True)
    assert report.forms[0].most_steps == 512 and report.one_by_one is None
    assert dict(report.callbacks) == {
        "Safe": "for every step, with its logs; steps stay fused",
        "Seldom": "after the steps that it asks for; steps stay fused",
        "TerminateOnNaN": "at a loss that is not finite; steps stay fused",
        "History": "between epochs", "ProgbarLogger": "once for each dispatch; steps stay fused",
    }  # fmt: skip


TEXT = """\
dry run of Sequential 'net': nothing was trained
  data: arrays, 56 samples; 7 epochs of 4 steps
    batch (16, 6) float32, (16, 1) float32: fused, up to 512 steps per dispatch; """


def test_the_text_of_the_report():
    text = str(sequential().fit(**arrays(), epochs=7, dry_run=True))
    assert text.startswith(TEXT)
    lines = [line.strip().split(":")[0] for line in text.splitlines()]
    assert [line for line in lines if not line.startswith("batch")] == [
        "dry run of Sequential 'net'", "data", "validation", "parameters", "memory", "devices",
        "callbacks", "History", "ProgbarLogger",
        lines[-1],
    ]  # fmt: skip
    assert lines[-1].startswith("traced and compiled in ")


def test_data_of_unknown_length_and_steps_that_are_not_compiled():
    report = eager().fit(endless(), steps_per_epoch=3, dry_run=True)
    assert report.forms[0].why == "not compiled (run_eagerly=True)" and report.flops is None
    assert report.peak_bytes is None and report.samples is None
    report = sequential(steps_per_execution=4).fit(Anew(), dry_run=True)
    assert report.steps_per_epoch is None and report.one_by_one is None
    assert report.notes == (
        "how many batches an epoch has is known once one was read; or pass steps_per_epoch",
        "only the first batch was looked at; others are compiled as they come",
    )
    assert "1 epoch of an unknown number of steps" in str(report)


@pytest.mark.parametrize("units", [256, 512])
def test_flops_are_those_of_the_matrix_products(units):
    model = keras.Sequential(
        [keras.Input((300,)), keras.layers.Dense(units), keras.layers.Dense(90)]
    )
    model.compile("sgd", "mse")
    report = model.fit(np.zeros((64, 300)), np.zeros((64, 90)), batch_size=64, dry_run=True)
    products = 2 * 64 * (2 * 300 * units + 3 * units * 90)  # no gradient towards the input
    assert products < report.flops < 1.05 * products


def test_flops_of_convolutions_and_loops():
    def flops(layer, shape):
        model = keras.Sequential([keras.Input(shape), layer])
        model.compile("sgd", "mse")
        x = np.zeros((4, *shape))
        y = np.zeros((4, *model.output_shape[1:]))
        return model.fit(x, y, batch_size=4, dry_run=True).flops

    forward = 2 * 4 * 8 * 8 * 3 * 3 * 16 * 32
    assert flops(keras.layers.Conv2D(32, 3), (10, 10, 16)) == pytest.approx(2 * forward, rel=0.05)
    short, long = (flops(keras.layers.LSTM(32), (n, 16)) for n in (10, 40))
    assert long / short == pytest.approx(4, rel=0.05)


def test_what_was_compiled_is_what_the_fit_runs():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.ones((40, 3)), np.ones((40, 1))
    data = {"validation_data": (x[:8], y[:8]), "batch_size": 16, "verbose": 0}
    model.fit(x, y, dry_run=True, **data)
    compiled = {kind: model._runner(kind).programs for kind in ("train", "test")}
    assert [len(programs) for programs in compiled.values()] == [2, 1]
    model.fit(x, y, **data)
    assert {kind: model._runner(kind).programs for kind in ("train", "test")} == compiled


def test_validation_of_one_batch_is_warmed_up_with_the_program_it_runs():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.ones((40, 3)), np.ones((40, 1))
    model.fit(x, y, validation_data=(x[:8], y[:8]), batch_size=16, verbose=0)
    assert len(model._runner("test").programs) == 1
