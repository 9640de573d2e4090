"""NaN autopsy: what went wrong first, where, and that the model is as it was before."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stepfit as keras
from stepfit.core import errors
from stepfit.training.autopsy.guard import watched

ROWS, BATCH = 96, 8
X = np.random.RandomState(0).uniform(0.5, 1.5, (ROWS, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


def put(array, row, value):
    array = array.copy()
    array[row] = value
    return array


class Ratio(keras.layers.Layer):
    def call(self, x):
        return x / (jnp.sum(x, axis=1, keepdims=True) - 3)  # the line with the division


class Log(keras.layers.Layer):
    def call(self, x):
        return jnp.log(x)


class Norm(keras.layers.Layer):
    """Fine forwards; at 0 the derivative of the square root is infinite."""

    def call(self, x):
        return x + jnp.sqrt(jnp.sum(jnp.square(x[:, :1]), axis=1, keepdims=True))


class Block(keras.layers.Layer):
    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x):
        return self.inner(x) + x


class RootCell(keras.layers.Layer):
    """A cell that takes the root of something that is negative at last."""

    state_size = output_size = 3

    def call(self, x, states):
        state = states[0] + x[:, :1] * 0 + 1
        return jnp.sqrt(3.5 - state), [state]


class Stateless(keras.Model):
    """An own step, with logs of its own names."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(x)

    def train_step(self, state, data):
        x, y = data
        trainable, frozen, optimizer, metrics = state

        def cost(weights):
            predicted, _ = self.stateless_call(weights, frozen, x)
            return jnp.mean(jnp.square(jnp.log(y) - predicted))

        value, gradients = jax.value_and_grad(cost)(trainable)
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
        return {"cost": value}, (trainable, frozen, optimizer, metrics)


class TapeGAN(keras.Model):
    """Two optimizers, in tape style; the critic's loss takes a logarithm."""

    def __init__(self):
        super().__init__()
        self.generator, self.critic = keras.layers.Dense(1, name="g"), keras.layers.Dense(1)
        self.g_optimizer, self.c_optimizer = keras.optimizers.SGD(0.01), keras.optimizers.SGD(0.01)

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            score = self.critic(y)
            c_loss = jnp.mean(jnp.square(score)) + jnp.mean(jnp.log(y))
        weights = self.critic.trainable_variables
        self.c_optimizer.apply(tape.gradient(c_loss, weights), weights)
        with keras.GradientTape() as tape:
            g_loss = jnp.mean(jnp.square(self.critic(self.generator(x))))
        weights = self.generator.trainable_variables
        self.g_optimizer.apply(tape.gradient(g_loss, weights), weights)
        return {"c_loss": c_loss, "g_loss": g_loss}


class TapeRoot(keras.Model):
    """Tape style; only the gradient is not finite."""

    def __init__(self):
        super().__init__()
        self.norm, self.dense = Norm(name="norm"), keras.layers.Dense(1)

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            tape.watch(x)
            loss = jnp.mean(jnp.square(self.dense(self.norm(x)) - y))
        inputs = tape.gradient(loss, x)
        self.dense.kernel.assign_sub(0.01 * jnp.mean(inputs) + 0 * self.dense.kernel)
        return {"loss": loss}


def dense(*layers, loss="mse", optimizer=None, shape=(3,)):
    model = keras.Sequential([keras.Input(shape), *layers, keras.layers.Dense(1, name="out")],
                             name="net")  # fmt: skip
    model.compile(optimizer=optimizer or keras.optimizers.SGD(0.01), loss=loss)
    return model


def own(model):
    model.compile(optimizer=keras.optimizers.SGD(0.01))
    return model


def root_at_zero(**kwargs):
    first = keras.layers.Dense(3, use_bias=False, name="first")
    return dense(first, Norm(name="norm"), **kwargs)


def nested():
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3), Log(name="log")],
                             name="inner")  # fmt: skip
    model = dense(Block(inner, name="block"))
    inner.layers[0].set_weights([np.eye(3), np.zeros(3)])
    return model


def recurrent():
    return dense(keras.layers.RNN(RootCell(name="cell"), name="rnn"), shape=(5, 3))


SEQUENCES = np.repeat(X[:, None], 5, axis=1)
RATE = "lower the learning rate, pass clipnorm=1.0 to the optimizer, or scale the inputs"
APART = "keep that number away from 0, for example by adding keras.config.epsilon()"
ABOVE = "keep it above 0, for example by adding keras.config.epsilon()"

WRONG = {
    # what is wrong: model, data, batch, expected attributes of the report
    "NaN in x": (
        dense, (put(X, (21, 1), np.nan), Y), 2,
        {"cause": "data", "place": "x", "rows": (5,), "samples": (21,), "layer": "net/out"},
    ),
    "infinity in y": (
        dense, (X, put(Y, 40, -np.inf)), 5,
        {"cause": "data", "place": "y", "samples": (40,), "layer": "loss.mse", "value": np.inf},
    ),
    "infinity in the weights of samples": (
        dense, (X, Y, put(np.ones(ROWS, "float32"), 17, np.inf)), 2,
        {"cause": "data", "place": "sample_weight", "rows": (1,), "operation": "mul"},
    ),
    "log of 0": (
        lambda: dense(Log(name="log")), (put(X, (33, 2), 0), Y), 4,
        {"cause": "forward", "layer": "net/log", "operation": "log", "detail": "0 went in",
         "rows": (1,), "samples": (33,), "fix": APART},
    ),
    "log of a negative number": (
        lambda: dense(Log(name="log")), (put(X, (33, 2), -1), Y), 4,
        {"cause": "forward", "operation": "log", "detail": "a negative number went in",
         "fix": ABOVE},
    ),
    "division in a layer": (
        lambda: dense(Ratio(name="ratio")), (put(X, 50, 1), Y), 6,
        {"cause": "forward", "layer": "net/ratio", "operation": "div", "samples": (50,),
         "detail": "a division by 0", "line": "# the line with the division"},
    ),
    "a layer deep inside": (
        nested, (put(X, (60, 0), -50), Y), 7,
        {"cause": "forward", "layer": "net/block/inner/log", "operation": "log"},
    ),
    "a scan": (
        recurrent, (SEQUENCES, Y), 0,
        {"cause": "forward", "layer": "net/rnn/cell", "operation": "sqrt",
         "detail": "a negative number went in", "line": "return jnp.sqrt(3.5 - state), [state]"},
    ),
    "exploding learning rate": (
        lambda: dense(keras.layers.Dense(300), optimizer=keras.optimizers.SGD(50.0)), (X, Y), None,
        {"cause": "forward", "fix": RATE},
    ),
    "the gradient of a root at 0": (
        root_at_zero, (put(X, 70, 0), Y), 8,
        {"cause": "gradient", "layer": "net/norm", "log": None, "value": None, "samples": (70,),
         "detail": "the derivative of an operation is infinite at 0", "fix": APART},
    ),
    "own stateless step": (
        lambda: own(Stateless()), (X, put(Y, 90, 0)), 11,
        {"cause": "forward", "log": "cost", "operation": "log", "layer": None,
         "line": "return jnp.mean(jnp.square(jnp.log(y) - predicted))"},
    ),
    "tape-style GAN": (
        lambda: own(TapeGAN()), (X, put(Y, 30, 0)), 3,
        {"cause": "forward", "log": "c_loss", "operation": "log", "layer": None},
    ),
    "tape-style gradient": (
        lambda: own(TapeRoot()), (put(X, 70, 0), Y), 8,
        {"cause": "gradient", "layer": "norm", "log": None, "operation": "div"},
    ),
}  # fmt: skip


def fit(model, data, shuffle=False, epochs=2, **kwargs):
    watch = keras.callbacks.TerminateOnNaN()
    x, y, weights = (*data, None)[:3]
    more = {"batch_size": BATCH, "sample_weight": weights} if y is not None else {}
    model.fit(x, y, epochs=epochs, shuffle=shuffle, verbose=0, callbacks=[watch], **more, **kwargs)
    return watch.report


def check(report, batch, expected):
    expected = dict(expected)
    line = expected.pop("line", None)
    assert batch is None or report.batch == batch
    assert report.epoch == 0 and report.kept
    for name, value in expected.items():
        assert getattr(report, name) == value, (name, report)
    if line is not None:
        assert "test_autopsy.py" in report.source and line in report.source


def values(model):
    return [np.array(x) for part in model.get_state() for x in part]


@pytest.mark.parametrize("row", WRONG.values(), ids=WRONG)
def test_it_says_what_went_wrong_and_keeps_the_last_good_state(row, capsys):
    make, data, batch, expected = row
    model = make()
    report = fit(model, data)
    check(report, batch, expected)
    assert str(report) in capsys.readouterr().out
    assert model.stop_training and len(model.history.epoch) == 1
    keras.utils.set_random_seed(0)
    other = make()
    if report.batch:
        rows = report.batch * BATCH
        some = tuple(part[:rows] for part in data)
        x, y, weights = (*some, None)[:3]
        other.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, sample_weight=weights)
        for mine, theirs in zip(values(model), values(other), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert all(np.isfinite(x).all() for x in values(model))


def test_watched_logs():
    assert watched({"loss": 1, "acc": 2, "kl_loss": 3, "val_loss": 4}) == [
        "loss", "kl_loss", "val_loss"
    ]  # fmt: skip
    assert watched({"cost": 1, "acc": 2}) == ["cost", "acc"]


# -- however steps are run -----------------------------------------------------------------------


class Hears(keras.callbacks.Callback):
    """Notes the losses of all steps."""

    fused_safe = True

    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])


class Strict(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.get_weights()


def bad_x():
    return put(X, (70, 1), np.nan)


def generator(x, y):
    while True:
        for i in range(0, len(x), BATCH):
            yield x[i : i + BATCH], y[i : i + BATCH]


SELDOM = [
    {"steps_per_execution": 3}, {"callback": Strict}, {"generator": True}, {"prints": True},
]  # fmt: skip


@pytest.mark.parametrize("how", [
    {}, {"steps_per_execution": 5, "copies": True}, {"run_eagerly": True},
    {"generator": True, "steps_per_execution": 4, "copies": True},
    *(pytest.param(how, marks=pytest.mark.slow) for how in SELDOM),
], ids=str)  # fmt: skip
def test_however_steps_are_run(how, monkeypatch, capfd):
    options = {k: v for k, v in how.items() if k in ("steps_per_execution", "run_eagerly")}
    if how.get("copies"):  # many, so that one is taken between the bad step and its discovery
        monkeypatch.setattr("stepfit.training.autopsy.journal._SECONDS", 0.0)

    class Root(Norm):
        def call(self, x):
            if how.get("prints"):
                jax.debug.print("{}", x[0, 0])
            return super().call(x)

    def run(x, y, callbacks, epochs=2, **more):
        keras.utils.set_random_seed(1)
        model = dense(Root(name="norm"))
        model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse", **options)
        if how.get("generator"):
            more["steps_per_epoch"] = len(x) // BATCH
            x, y = generator(x, y), None
        else:
            more.update(batch_size=BATCH, shuffle=False)
        model.fit(x, y, epochs=epochs, verbose=0, callbacks=callbacks, **more)
        return model

    watch, hears = keras.callbacks.TerminateOnNaN(), Hears()
    others = [how["callback"]()] if "callback" in how else []
    model = run(bad_x(), Y, [watch, hears, *others])
    report = watch.report
    assert (report.epoch, report.batch, report.cause, report.place) == (0, 8, "data", "x")
    assert report.rows == (6,) and report.samples == (() if how.get("generator") else (70,))
    assert len(hears.losses) == 9 and np.isnan(hears.losses[-1]) and np.isfinite(hears.losses[7])
    assert np.isnan(model.history.history["loss"][0])
    other = run(X[:64], Y[:64], [], epochs=1)
    for mine, theirs in zip(values(model), values(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    capfd.readouterr()


def test_samples_are_found_where_data_is_shuffled():
    assert fit(dense(), (bad_x(), Y), shuffle=True).samples == (70,)


def test_in_a_later_epoch_and_after_the_weights_were_set():
    class Sets(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                self.model.layers[0].kernel.assign(np.full((3, 1), 1e30, "float32"))

    watch, model = keras.callbacks.TerminateOnNaN(), dense()
    model.fit(X, Y, batch_size=BATCH, epochs=4, verbose=0, callbacks=[watch, Sets()])
    report = watch.report
    assert (report.epoch, report.batch, report.operation) == (2, 0, "square")
    assert "'net/out/kernel' holds weights up to 1.0e+30" in report.detail
    np.testing.assert_array_equal(model.layers[0].kernel, np.full((3, 1), 1e30, "float32"))


def test_weights_that_were_not_finite_to_begin_with():
    model = dense()
    model.layers[0].kernel.assign(np.array([[1.0], [np.nan], [1.0]]))
    report = fit(model, (X, Y))
    assert (report.batch, report.cause, report.place) == (0, "weights", "'net/out/kernel'")
    assert report.fix == "load or make the weights anew"


def test_the_last_step_of_all_counts():
    """Its loss is finite, and no other step follows that would show what it did."""
    model = root_at_zero()
    report = fit(model, (put(X, 95, 0), Y), epochs=1)
    assert (report.epoch, report.batch, report.cause) == (0, 11, "gradient")
    assert all(np.isfinite(x).all() for x in values(model))


@pytest.mark.parametrize("steps", [1, 4, "auto"])
def test_weights_that_went_bad_are_seen_in_a_copy(monkeypatch, steps):
    monkeypatch.setattr("stepfit.training.autopsy.journal._SECONDS", 0.0)
    model, hears = root_at_zero(), Hears()
    model.compile("adam", "mse", steps_per_execution=steps)
    watch = keras.callbacks.TerminateOnNaN()
    model.fit(put(X, 70, 0), Y, batch_size=BATCH, epochs=3, shuffle=False, verbose=0,
              callbacks=[watch, hears])  # fmt: skip
    report = watch.report
    assert (report.epoch, report.batch, report.cause, report.log) == (0, 8, "gradient", None)
    assert all(np.isfinite(x).all() for x in values(model))
    assert int(model.optimizer.iterations) == 8 and len(model.history.epoch) == 1
    assert np.isfinite(hears.losses).all() or np.isnan(hears.losses[9])


def test_infinities_that_a_mask_discards_are_not_blamed():
    class Masked(keras.layers.Layer):
        def call(self, x):
            scores = jnp.where(x > 0.9, x, -jnp.inf)
            return jnp.log(x) + jnp.where(jnp.isfinite(scores), scores, 0.0)

    report = fit(dense(Masked(name="masked")), (put(X, (33, 2), 0), Y))
    assert (report.operation, report.samples) == ("log", (33,))


def test_a_row_that_is_masked_as_a_whole():
    class Masked(keras.layers.Layer):
        def call(self, x):
            return jax.nn.softmax(jnp.where(x > 0, x, -jnp.inf))

    report = fit(dense(Masked(name="masked")), (put(X, 20, -1), Y))
    assert (report.batch, report.layer, report.cause) == (2, "net/masked", "forward")
    assert report.detail == "an infinity written in the model went in, as masks have it"
    assert report.samples == (20,)


def test_constants_of_an_operation_are_not_blamed():
    """Labels by number are looked up with a gather, which has NaN at hand to fill gaps with."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="logits")], name="net")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="sgd", loss=loss)
    report = fit(model, (put(X, (70, 1), np.inf), np.arange(ROWS) % 4))
    assert (report.cause, report.place, report.samples) == ("data", "x", (70,))
    assert (report.layer, report.operation) == ("net/logits", "dot_general")


def test_half_precision():
    model = dense(keras.layers.Dense(8, dtype="mixed_float16", name="half"))
    report = fit(model, (put(X, 20, 1e6), Y))
    assert report.detail.startswith("float16 ends at 65504, and numbers up to 1.0e+06 went in")
    assert report.fix == "use mixed_bfloat16, or keras.optimizers.LossScaleOptimizer"


def test_an_index_outside_of_a_table():
    class Table(keras.layers.Layer):
        def build(self, shape):
            self.table = self.add_weight(shape=(10, 3))

        def call(self, ids):
            return jnp.take(self.table, ids[:, 0], axis=0)

    model = keras.Sequential([keras.Input((1,), dtype="int32"), Table(name="table"),
                              keras.layers.Dense(1)])  # fmt: skip
    model.compile(optimizer="sgd", loss="mse")
    ids = put(np.zeros((ROWS, 1), "int32"), 12, 10)
    report = fit(model, (ids, Y))
    assert (report.batch, report.cause, report.place, report.samples) == (1, "data", "x", (12,))
    assert report.detail == "an index is outside of the table that it selects from"
    assert report.fix == "check the indices against the size of the table"


def test_dicts_of_inputs_are_named():
    inputs = {name: keras.Input((3,), name=name) for name in "ab"}
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs["a"] * inputs["b"]))
    model.compile(optimizer="sgd", loss="mse")
    assert fit(model, ({"a": X, "b": bad_x()}, Y)).place == "x['b']"


def test_an_update_that_overflows():
    class Bad(keras.optimizers.SGD):
        def update_step(self, gradient, variable, learning_rate):
            rate = jnp.where(self.iterations == 5, 3e38, 1e-8)
            variable.assign_sub(gradient * rate * 1e6)

    report = fit(dense(optimizer=Bad(name="bad")), (X, Y))
    assert (report.batch, report.cause, report.layer) == (5, "update", "optimizer.bad")


# -- what is told --------------------------------------------------------------------------------

TEXT = """\
epoch 1, batch 4: expected a finite loss, found nan; keep it above 0, for example by adding \
keras.config.epsilon().
  cause: the forward pass; a negative number went in
  first met: operation 'log' in 'net/log', for row 1 of the batch (sample 33)
  code: {file}:{line}: return jnp.log(x)
  model: as it was before that batch"""


def test_the_text_of_a_report():
    report = fit(dense(Log(name="log")), (put(X, (33, 2), -1), Y))
    lines = pathlib.Path(__file__).read_text().splitlines()
    line = 1 + lines.index("        return jnp.log(x)")
    assert str(report) == TEXT.format(file=__file__, line=line)


def test_raise_error():
    watch = keras.callbacks.TerminateOnNaN(raise_error=True)
    with pytest.raises(RuntimeError) as error:
        dense().fit(bad_x(), Y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[watch])
    assert isinstance(error.value, errors.NonFiniteError)
    assert error.value.report is watch.report and watch.report.samples == (70,)
    assert str(error.value) == str(watch.report)


def test_without_an_autopsy(capsys):
    model, watch = dense(), keras.callbacks.TerminateOnNaN(autopsy=False)
    model.fit(bad_x(), Y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[watch], epochs=3)
    assert capsys.readouterr().out == "Batch 8: Invalid loss, terminating training\n"
    assert len(model.history.epoch) == 1 and not watch.report.kept
    assert model._runner("train").guard is None


def test_without_the_callback_a_warning_is_given_once():
    model = dense()
    with pytest.warns(UserWarning) as caught:
        model.fit(bad_x(), Y, batch_size=BATCH, verbose=0, epochs=3)
    assert [str(w.message) for w in caught] == [
        "fit, epoch 1: expected a finite loss, found nan; pass "
        "callbacks=[keras.callbacks.TerminateOnNaN()] to be told where it came from, and to keep "
        "the weights from before."
    ]
    assert len(model.history.epoch) == 3  # it goes on


def test_the_model_can_be_trained_on_afterwards():
    model = dense()
    fit(model, (bad_x(), Y))
    watch = keras.callbacks.TerminateOnNaN()
    history = model.fit(X, Y, batch_size=BATCH, epochs=2, verbose=0, callbacks=[watch])
    assert watch.report is None and np.isfinite(history.history["loss"]).all()
    assert model._runner("train").guard is None


def test_a_fit_within_a_fit():
    class Inner(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                watch = keras.callbacks.TerminateOnNaN()
                self.model.fit(X[:64], Y[:64], batch_size=BATCH, verbose=0, callbacks=[watch])
                self.between = values(self.model)

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.layers[0].kernel.assign(np.full((3, 1), 1e30, "float32"))

    watch, inner, model = keras.callbacks.TerminateOnNaN(), Inner(), dense()
    model.fit(X, Y, batch_size=BATCH, epochs=3, verbose=0, callbacks=[watch, inner])
    assert (watch.report.epoch, watch.report.batch, watch.report.cause) == (1, 0, "forward")
    assert int(model.optimizer.iterations) == 12 + 8 and model._runner("train").guard is None


def test_a_watched_run_gives_the_same_numbers(monkeypatch):
    monkeypatch.setattr("stepfit.training.autopsy.journal._SECONDS", 0.0)
    runs = []
    for callbacks in ([], [keras.callbacks.TerminateOnNaN()]):
        keras.utils.set_random_seed(3)
        model = dense(keras.layers.Dense(40), keras.layers.Dropout(0.3), optimizer="adam")
        history = model.fit(X, Y, batch_size=10, epochs=4, verbose=0, callbacks=callbacks,
                            validation_split=0.2)  # fmt: skip
        runs.append([*values(model), history.history["loss"], history.history["val_loss"]])
    for plain, armed in zip(*runs, strict=True):
        np.testing.assert_array_equal(plain, armed)
