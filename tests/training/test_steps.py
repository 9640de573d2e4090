"""Own the step: both styles, everything stateful inside them, and what a wrong one is told."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stepfit as keras

X = np.random.default_rng(0).random((40, 3)).astype("float32")
Y = X @ np.array([[1.0], [-2.0], [0.5]], "float32") + 0.3


def made(cls, **compile_arguments):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, activation="tanh", name="hidden")(inputs)
    model = cls(inputs, keras.layers.Dense(1, name="out")(hidden))
    model.compile(**({"optimizer": "adam", "loss": "mse", "metrics": ["mae"]} | compile_arguments))
    return model


class Tape(keras.Model):
    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=x.shape[0])
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


class Stateless(keras.Model):
    def train_step(self, state, data):
        x, y = data

        def loss_fn(trainable, non_trainable):
            y_pred, non_trainable = self.stateless_call(trainable, non_trainable, x, training=True)
            return self.compute_loss(x, y, y_pred), (y_pred, non_trainable)

        trainable, non_trainable = state.of(self)
        (loss, (y_pred, non_trainable)), grads = jax.value_and_grad(loss_fn, has_aux=True)(
            trainable, non_trainable
        )
        trainable, slots = self.optimizer.stateless_apply(
            state.of(self.optimizer), grads, trainable
        )
        state = state.replace(self, (trainable, non_trainable))
        state = state.replace(self.optimizer, slots)
        self.metrics[0].update_state(loss, sample_weight=x.shape[0])  # stateful, in the same step
        return self.compute_metrics(x, y, y_pred), state


class StatefulCallsInStateless(keras.Model):
    """A stateless signature, with everything inside done by side effect."""

    def train_step(self, state, data):
        x, y = data
        variables = self.trainable_variables

        def loss_fn():
            y_pred = self(x, training=True)
            return self.compute_loss(x, y, y_pred), y_pred

        (loss, y_pred), grads = keras.value_and_grad(loss_fn, variables)()
        self.optimizer.apply(grads, variables)
        self._loss_tracker.update_state(loss, sample_weight=x.shape[0])
        return self.compute_metrics(x, y, y_pred), state


class SuperStateless(keras.Model):
    def train_step(self, state, data):
        logs, state = super().train_step(state, data)
        return {**logs, "twice": 2 * logs["loss"]}, state


class SuperStateful(keras.Model):
    def train_step(self, data):
        return {**super().train_step(data), "twice": 2 * self.metrics[0].result()}


STYLES = [Tape, Stateless, StatefulCallsInStateless, SuperStateless, SuperStateful]


@pytest.mark.parametrize("cls", STYLES)
def test_every_style_trains_as_the_default_step_does(cls):
    reference, model = made(keras.Model), made(cls)
    expected = reference.fit(X, Y, epochs=3, batch_size=16, shuffle=False, verbose=0).history
    found = model.fit(X, Y, epochs=3, batch_size=16, shuffle=False, verbose=0).history
    for name in ("loss", "mae"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)
    for v, w in zip(model.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(v, w, rtol=1e-5, atol=1e-6)
    assert int(model.optimizer.iterations.value) == 9
    if "twice" in found:
        np.testing.assert_allclose(found["twice"], 2 * np.array(found["loss"]), rtol=1e-5)


@pytest.mark.parametrize("cls", [keras.Model, *STYLES])
def test_one_trace_for_each_step_and_shape(cls):
    model = made(cls)
    model.fit(X[:32], Y[:32], epochs=3, batch_size=16, verbose=0)
    assert model._runner("train").traces == 1
    model.fit(X[:32], Y[:32], epochs=2, batch_size=16, verbose=0)
    model.train_on_batch(X[:16], Y[:16])
    assert model._runner("train").traces == 1
    model.fit(X[:24], Y[:24], epochs=2, batch_size=16, verbose=0)  # a last batch of 8
    assert model._runner("train").traces == 2
    for _ in range(2):
        model.evaluate(X[:32], Y[:32], batch_size=16, verbose=0)
        model.predict(X[:32], batch_size=16, verbose=0)
    assert model._runner("test").traces == model._runner("predict").traces == 1


def test_fused_steps_are_traced_once_and_give_the_same_numbers():
    one, four = made(Tape), made(Tape, steps_per_execution=4)
    a = one.fit(X, Y, epochs=2, batch_size=4, shuffle=False, verbose=0).history
    b = four.fit(X, Y, epochs=2, batch_size=4, shuffle=False, verbose=0).history
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-5)
    for v, w in zip(one.get_weights(), four.get_weights(), strict=True):
        np.testing.assert_allclose(v, w, rtol=1e-5, atol=1e-6)


def test_the_first_dispatch_has_as_many_steps_as_were_asked_for():
    model = keras.Sequential([keras.Input((1 << 15,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=2)
    model.fit(np.zeros((16, 1 << 15), "float32"), np.zeros((16, 1)), batch_size=4, verbose=0)
    assert model._runner("train").dispatched == {2: 2}


@pytest.mark.parametrize("cls", STYLES)
def test_eager_steps_give_the_same_numbers(cls):
    compiled, eager = made(cls), made(cls, run_eagerly=True)
    a = compiled.fit(X, Y, epochs=1, batch_size=16, shuffle=False, verbose=0).history
    b = eager.fit(X, Y, epochs=1, batch_size=16, shuffle=False, verbose=0).history
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-4)


class OwnTest(keras.Model):
    def test_step(self, state, data):
        x, y = data
        trainable, non_trainable = state.of(self)
        y_pred, non_trainable = self.stateless_call(trainable, non_trainable, x, training=False)
        tracker = self.metrics[0]
        values = tracker.stateless_update_state(
            state.of(tracker), self.compute_loss(x, y, y_pred), sample_weight=x.shape[0]
        )
        return {"loss": tracker.stateless_result(values)}, state.replace(tracker, values)

    def predict_step(self, state, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        outputs, non_trainable = self.stateless_call(*state, x, training=False)
        return {"doubled": 2 * outputs}, non_trainable


def test_own_test_and_predict_steps():
    model, reference = made(OwnTest), made(keras.Model)
    expected = reference.evaluate(X, Y, batch_size=16, verbose=0, return_dict=True)
    found = model.evaluate(X, Y, batch_size=16, verbose=0, return_dict=True)
    assert list(found) == ["loss"]
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    doubled = model.predict(X, batch_size=16, verbose=0)["doubled"]
    np.testing.assert_allclose(doubled, 2 * reference.predict(X, verbose=0), rtol=1e-5)


class StatefulTest(keras.Model):
    def test_step(self, data):
        logs = super().test_step(data)
        return {**logs, "seen": jnp.asarray(1.0)}

    def predict_step(self, data):
        return -super().predict_step(data)


def test_super_in_test_and_predict_steps():
    model, reference = made(StatefulTest), made(keras.Model)
    found = model.evaluate(X, Y, verbose=0, return_dict=True)
    expected = reference.evaluate(X, Y, verbose=0, return_dict=True)
    assert found["seen"] == 1.0 and found["mae"] == pytest.approx(expected["mae"])
    np.testing.assert_allclose(
        model.predict(X, verbose=0), -reference.predict(X, verbose=0), rtol=1e-6
    )


class Counting(keras.Model):
    """Assigns a Variable in a stateless step, and one that no attribute holds."""

    outside = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.steps = keras.Variable(0, trainable=False, name="steps")

    def train_step(self, state, data):
        self.steps.assign_add(1)
        Counting.outside.assign(Counting.outside + 2.0)
        return super().train_step(state, data)


def test_assigned_variables_held_or_not_are_part_of_the_state():
    Counting.outside = keras.Variable(0.0, trainable=False)
    model = made(Counting)
    model.fit(X, Y, epochs=2, batch_size=20, verbose=0)
    assert int(model.steps.value) == 4
    assert float(Counting.outside.value) == 8.0


class Noisy(keras.Model):
    def train_step(self, data):
        logs = super().train_step(data)
        return {**logs, "noise": keras.random.normal(()), "other": keras.random.normal(())}


def test_randomness_without_a_seed_differs_from_step_to_step_and_repeats_with_the_seed():
    def run():
        model = made(Noisy)
        noise = []

        class Keep(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                noise.extend([logs["noise"], logs["other"]])

        model.fit(X, Y, batch_size=10, verbose=0, callbacks=[Keep()])
        return noise

    first, second = run(), run()
    assert len(set(first)) == 8
    assert first == second


class TwoOptimizers(keras.Model):
    """Trains its two layers with an optimizer each; every optimizer is reached by attribute."""

    def __init__(self):
        super().__init__()
        self.a, self.b = keras.layers.Dense(2), keras.layers.Dense(1)

    def compile(self):
        super().compile()
        self.optimizers = {"a": keras.optimizers.SGD(0.1), "b": [keras.optimizers.Adam(0.1)]}

    def call(self, x):
        return self.b(self.a(x))

    def train_step(self, data):
        x, y = data
        with keras.GradientTape(persistent=True) as tape:
            loss = jnp.mean((self(x) - y) ** 2)
        for layer, optimizer in ((self.a, self.optimizers["a"]), (self.b, self.optimizers["b"][0])):
            grads = tape.gradient(loss, layer.trainable_variables)
            optimizer.apply(grads, layer.trainable_variables)
        return {"loss": loss}


def test_every_optimizer_in_dicts_and_lists_is_state():
    model = TwoOptimizers()
    model.compile()
    history = model.fit(X, Y, epochs=4, batch_size=20, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert int(model.optimizers["a"].iterations.value) == 8
    assert int(model.optimizers["b"][0].iterations.value) == 8
    assert any(np.abs(v.numpy()).sum() for v in model.optimizers["b"][0].variables[2:])


class RawLoss(keras.Model):
    def train_step(self, data):
        super().train_step(data)
        x, y = data
        return {"loss": jnp.mean((self(x) - y) ** 2), "my_mae": jnp.mean(jnp.abs(self(x) - y))}


class RawLossOnly(keras.Model):
    def train_step(self, data):
        x, y = data
        return {"loss": jnp.mean((self(x) - y) ** 2)}


@pytest.mark.filterwarnings("ignore:.*nothing is learnt")
def test_a_raw_loss_whose_tracker_the_step_left_alone_is_averaged():
    model = made(RawLossOnly)
    history = model.fit(X, Y, batch_size=10, shuffle=False, verbose=0).history
    expected = np.mean((model.predict(X, verbose=0) - Y) ** 2)
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("cls", [Tape, Stateless])
def test_an_own_step_may_use_the_default_optimizer(cls):
    inputs = keras.Input((3,))
    model = cls(inputs, keras.layers.Dense(1)(inputs))
    model.compile(loss="mse")
    history = model.fit(X, Y, epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]
    assert type(model.optimizer).__name__ == "RMSprop"


# -- what is said when a step is wrong -------------------------------------------------------------


def step(body):
    return type("Own", (keras.Model,), {"train_step": body})


def bad_parts(self, state, data):
    tv, ntv, ov, mv = state
    return {}, (tv, ntv, ov[:4], mv)


def bad_shape(self, state, data):
    tv, ntv, ov, mv = state
    return {}, ([tv[0].T, *tv[1:]], ntv, ov, mv)


def swapped(self, state, data):
    tv, ntv, ov, mv = state
    return {}, (ov, ntv, tv, mv)


def exchanged(self, state, data):
    tv, ntv, ov, mv = state
    self.optimizer.stateless_apply(ov, tv, [2 * v for v in tv])
    return {}, state


def twice(self, state, data):
    tv, ntv, ov, mv = state
    self.layers[1].kernel.assign(tv[0] * 2)
    return {}, ([tv[0] * 3, *tv[1:]], ntv, ov, mv)


CONTRACT = "Own.train_step must return (logs, (trainable, non_trainable, optimizer, metrics))"
WRONG_STEPS = {
    "logs only": (
        lambda self, state, data: {"loss": jnp.zeros(())},
        f"{CONTRACT}, found dict with keys ['loss'].",
    ),
    "none": (lambda self, state, data: None, f"{CONTRACT}, found None."),
    "swapped pair": (
        lambda self, state, data: (state, {"loss": jnp.zeros(())}),
        f"{CONTRACT}, found a state that is dict with keys ['loss'].",
    ),
    "three parts": (
        lambda self, state, data: ({}, tuple(state)[:3]),
        f"{CONTRACT}, found a state that is tuple of 3 elements.",
    ),
    "too few leaves": (
        bad_parts, f"{CONTRACT}; element 2 'optimizer' has 4 leaves, expected 10.",
    ),
    "wrong shape": (
        bad_shape,
        f"{CONTRACT}; element 0 'trainable'[0] has float32[4,3], expected shape (3, 4), for "
        "'hidden/kernel'.",
    ),
    "wrong order": (
        swapped, f"{CONTRACT}; element 0 'trainable' has 10 leaves, expected 4.",
    ),
    "gradients and weights exchanged": (
        exchanged,
        "Adam.stateless_apply grads: expected gradients, found the values of the trainable "
        "variables; pass (optimizer_variables, grads, trainable_variables).",
    ),
    "updated twice": (
        twice,
        "Own.train_step: expected 'hidden/kernel' to be updated once, found it both assigned in "
        "the step and returned with another value in the state; do one of the two.",
    ),
    "vector log": (
        lambda self, data: {"loss": jnp.zeros(3)},
        "Own.train_step logs['loss']: expected a scalar, found float32[3]; reduce it, with "
        "jnp.mean for example.",
    ),
    "logs not a dict": (
        lambda self, data: [jnp.zeros(())],
        "Own.train_step logs: expected a dict of scalars, found list of 1 elements; return "
        "{name: scalar}.",
    ),
    "no return": (
        lambda self, data: None,
        "Own.train_step logs: expected a dict of scalars, found None; return {name: scalar}.",
    ),
    "unknown part": (
        lambda self, state, data: state.metric_variables,
        "the state of train_step has no 'metric_variables'; did you mean 'metrics_variables'?",
    ),
    "owner outside": (
        lambda self, state, data: state.of(keras.Variable(1.0, name="w")),
        "state.of('w'): expected a variable that this state holds, found one that the model does "
        "not reach by its attributes, or that was made after the train state was formed; hold its "
        "owner as an attribute of the model, and build it before fit().",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_STEPS)
def test_a_wrong_step_is_named_and_nothing_is_touched(name):
    body, text = WRONG_STEPS[name]
    model = made(step(body))
    before = model.get_weights()
    model.optimizer.build(model.trainable_variables)
    with pytest.raises((ValueError, TypeError, AttributeError)) as e:
        model.fit(X, Y, verbose=0)
    assert str(e.value) == text
    for v, w in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(v, w)
    assert int(model.optimizer.iterations.value) == 0


@pytest.mark.filterwarnings("ignore:.*nothing is learnt")
def test_wrong_arity_of_data_says_what_data_is():
    def train_step(self, data):
        x, y = data
        return {}

    model = made(step(train_step))
    with pytest.raises(ValueError, match="too many values to unpack") as e:
        model.fit(X, Y, sample_weight=np.ones(40), verbose=0)
    assert (
        "In Own.train_step: data is the tuple (x, y, sample_weight), of 3 elements, because that "
        "is what fit() was given; write `x, y, sample_weight = "
        "keras.utils.unpack_x_y_sample_weight(data)`."
    ) in e.value.__notes__
    model.train_on_batch(X, Y)  # a pair, without a None


def test_python_if_on_a_traced_value_says_what_to_do():
    def train_step(self, data):
        x, y = data
        return {"loss": 1.0 if x.sum() > 0 else 0.0}

    model = made(step(train_step))
    with pytest.raises(jax.errors.TracerBoolConversionError) as e:
        model.fit(X, Y, verbose=0)
    assert any("compile(run_eagerly=True)" in note for note in e.value.__notes__)


def test_wrong_signature():
    def train_step(self, state, data, extra):
        return {}

    model = made(step(train_step))
    with pytest.raises(TypeError) as e:
        model.fit(X, Y, verbose=0)
    assert "expected the arguments (self, state, data) or (self, data), found (self, state, " in (
        str(e.value)
    )


def test_an_error_in_a_later_fit_leaves_the_trained_weights():
    model = made(Tape)
    model.fit(X, Y, verbose=0)
    before = model.get_weights()
    with pytest.raises(ValueError):
        model.fit(np.ones((8, 5), "float32"), Y[:8], verbose=0)
    for v, w in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(v, w)
    model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("own", [False, True])
def test_an_overridden_compute_loss_need_not_take_training(own):
    class Half(keras.Model):
        def compute_loss(self, x, y, y_pred, sample_weight):
            return 0.5 * jnp.mean((y - y_pred) ** 2)

    class WithTraining(keras.Model):
        def compute_loss(self, x, y, y_pred, sample_weight, **kwargs):
            assert kwargs["training"] in (True, False)
            return 0.5 * jnp.mean((y - y_pred) ** 2)

    model = made(WithTraining if own else Half, loss=None, metrics=None)
    first = model.evaluate(X, Y, verbose=0)
    np.testing.assert_allclose(first, 0.5 * np.mean((model(X) - Y) ** 2), rtol=1e-5)
    model.fit(X, Y, verbose=0)
    assert model.evaluate(X, Y, verbose=0) < first


def test_metrics_whose_results_share_a_key_are_refused():
    class Both(keras.metrics.Mean):
        def update_state(self, y_true, y_pred, sample_weight=None):
            super().update_state(y_pred)

        def result(self):
            return {"low": super().result(), "high": super().result()}

    model = made(keras.Model, metrics=[Both(name="a"), Both(name="b")])
    with pytest.raises(ValueError) as caught:
        model.fit(X, Y, verbose=0)
    assert str(caught.value) == (
        f"Functional {model.name!r} metrics: expected results with different names, found 'high' "
        "twice, the second from metric 'b'; give one of them another name or key."
    )
