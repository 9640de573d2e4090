"""What must never happen: a lost model, or a result that is wrong and says nothing."""

import os
import signal
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stepfit as keras

X = np.random.default_rng(0).random((64, 4)).astype("float32")
Y = X @ np.array([[1.0], [2.0], [-1.0], [0.5]], "float32")


def one_layer(cls=keras.Sequential, **compile_arguments):
    model = cls([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(**({"optimizer": keras.optimizers.SGD(0.1), "loss": "mse"} | compile_arguments))
    return model


class CallsBack(keras.Sequential):
    """A step that calls Python while it runs, and fails there."""

    calls = 0

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        def host(value):
            CallsBack.calls += 1
            if CallsBack.calls == 3:
                raise RuntimeError("on the host")
            return value

        loss = jnp.mean((y - y_pred) ** 2)
        return loss + 0 * jax.pure_callback(host, loss, jax.lax.stop_gradient(loss))


def test_a_step_that_fails_while_it_runs_loses_nothing(capfd):
    model = one_layer(CallsBack)
    with pytest.raises(Exception, match="on the host"):
        model.fit(X, Y, batch_size=8, verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())
    CallsBack.calls = 10
    model.fit(X, Y, batch_size=8, verbose=0)
    one_layer().fit(X, Y, verbose=0)
    assert np.isfinite(keras.random.normal((2,))).all()


def test_two_models_train_in_two_threads():
    models, errors = [one_layer(), one_layer()], []

    def train(model):
        try:
            model.fit(X, Y, epochs=60, batch_size=8, verbose=0)
        except Exception as e:
            errors.append(e)

    threads = [threading.Thread(target=train, args=(m,)) for m in models]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []
    for model in models:
        assert model.evaluate(X, Y, verbose=0) < 0.1


def test_a_second_ctrl_c_does_not_interrupt_a_running_step():
    model = one_layer()

    def batches():
        yield X[:8], Y[:8]
        os.kill(os.getpid(), signal.SIGINT)
        yield X[:8], Y[:8]

    with pytest.raises(KeyboardInterrupt):
        model.fit(batches(), verbose=0)
    assert int(model.optimizer.iterations.value) == 1  # stopped before the step, not after
    assert all(np.isfinite(w).all() for w in model.get_weights())


class LazyTape(keras.Model):
    """Its layer is built, and its optimizer's slots are made, inside the step."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = jnp.mean((self.dense(x) - y) ** 2)
        variables = self.dense.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"l": loss}


@pytest.mark.parametrize("eager", [False, True])
def test_what_a_step_makes_is_trained(eager):
    model = LazyTape()
    model.compile(keras.optimizers.Adam(0.1), run_eagerly=eager)
    history = model.fit(X, Y, epochs=6, batch_size=16, verbose=0).history["l"]
    assert history[-1] < 0.7 * history[0]
    assert int(model.optimizer.iterations.value) == 24
    assert np.any(model.optimizer.variables[2].numpy())


@pytest.mark.parametrize("eager", [False, True])
def test_variables_met_on_a_later_shape_are_not_frozen(eager):
    extra = keras.Variable(0.0, trainable=False)

    class Later(keras.Sequential):
        def train_step(self, data):
            logs = super().train_step(data)
            if data[0].shape[0] < 16:
                extra.assign_add(1.0)
            return logs

    model = one_layer(Later, run_eagerly=eager)
    model.fit(X[:60], Y[:60], batch_size=16, epochs=3, verbose=0)
    assert float(extra.value) == 3.0


def test_averages_of_other_models_and_old_optimizers_stay_where_they_are():
    inner = one_layer(optimizer=keras.optimizers.SGD(0.01, use_ema=True))
    inner.fit(X, Y, verbose=0)
    outer = keras.Sequential([keras.Input((4,)), inner])
    outer.compile(keras.optimizers.SGD(0.3), "mse")
    loss = outer.fit(X, Y, epochs=30, verbose=0).history["loss"][-1]
    assert outer.evaluate(X, Y, verbose=0) <= loss * 1.1
    inner.optimizer = keras.optimizers.SGD(0.1)
    loss = inner.fit(X, Y, epochs=5, verbose=0).history["loss"][-1]
    assert inner.evaluate(X, Y, verbose=0) <= loss * 1.1


def test_averages_of_an_own_optimizer_become_the_weights():
    class Own(LazyTape):
        def compile(self):
            super().compile()
            self.mine = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)

        def train_step(self, data):
            x, y = data
            with keras.GradientTape() as tape:
                loss = jnp.mean((self.dense(x) - y) ** 2)
            variables = self.dense.trainable_variables
            self.mine.apply(tape.gradient(loss, variables), variables)
            return {"l": loss}

    model = Own()
    model.compile()
    model.fit(X, Y, verbose=0)
    for v, average in zip(
        model.dense.trainable_variables, model.mine._model_variables_moving_average, strict=True
    ):
        np.testing.assert_array_equal(v.numpy(), average.numpy())


def test_metrics_of_a_compiled_model_inside_are_not_reported():
    inner = one_layer(metrics=[keras.metrics.MeanAbsoluteError()])
    outer = keras.Sequential([keras.Input((4,)), inner])
    outer.compile("sgd", "mse")
    assert list(outer.fit(X, Y, verbose=0).history) == ["loss"]
    assert len(outer.get_state().optimizer_variables) == 2


@pytest.mark.filterwarnings("ignore:.*nothing is learnt")
def test_compute_loss_takes_the_losses_of_the_newest_forward_pass():
    def run(strength):
        class Own(keras.Sequential):
            def train_step(self, data):
                x, y = data
                zeros = [v.value * 0 for v in self.trainable_variables]
                frozen = [v.value for v in self.non_trainable_variables]
                self.stateless_call(zeros, frozen, x)
                with keras.GradientTape() as tape:
                    loss = self.compute_loss(x, y, self(x, training=True))
                grads = tape.gradient(loss, self.trainable_variables)
                return {"l": loss, "g": jnp.sum(grads[0] ** 2)}

        keras.utils.set_random_seed(0)
        regularizer = keras.regularizers.L2(strength)
        model = Own([keras.Input((4,)), keras.layers.Dense(1, kernel_regularizer=regularizer)])
        model.compile("sgd", "mse")
        return model.fit(X, Y, verbose=0, shuffle=False).history

    weak, strong = run(0.0), run(10.0)
    assert strong["l"][0] > weak["l"][0] + 1 and strong["g"][0] != weak["g"][0]


def test_unseeded_numbers_are_not_repeated_in_a_loop():
    class Loops(keras.Sequential):
        def train_step(self, data):
            _, z = jax.lax.scan(lambda c, _: (c, keras.random.normal(())), 0, None, length=4)
            return {"z": z[0]}

    with pytest.raises(RuntimeError) as e:
        one_layer(Loops).fit(X, Y, verbose=0)
    assert str(e.value) == (
        "stepfit.random: expected a key inside lax.scan, a loop, cond, checkpoint or an inner jit, "
        "found seed=None; the same numbers would be drawn each time round. Draw before, or split a "
        "jax.random key and pass its parts in."
    )


class EachBatch(keras.callbacks.Callback):
    def __init__(self, do):
        super().__init__()
        self.do = do

    def on_train_batch_end(self, batch, logs=None):
        self.do(self.model)


def test_evaluate_in_a_hook_leaves_the_metrics_of_the_epoch():
    plain, nosy = one_layer(metrics=["mae"]), one_layer(metrics=["mae"])
    nosy.set_weights(plain.get_weights())
    look = EachBatch(lambda m: (m.evaluate(X[:5], Y[:5], verbose=0), m.test_on_batch(X[:5], Y[:5])))
    options = {"batch_size": 16, "shuffle": False, "verbose": 0}
    expected = plain.fit(X, Y, **options).history
    found = nosy.fit(X, Y, **options, callbacks=[look]).history
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)


class AtEpochEnd(EachBatch):
    def on_train_batch_end(self, batch, logs=None):
        pass

    def on_epoch_end(self, epoch, logs=None):
        self.do(self.model)


CHANGES = {
    "schedule": lambda m: setattr(
        m.optimizer, "learning_rate", keras.optimizers.schedules.ExponentialDecay(0.0, 1, 0.5)
    ),
    "optimizer": lambda m: setattr(m, "optimizer", keras.optimizers.SGD(0.0)),
    "compile": lambda m: m.compile(keras.optimizers.SGD(0.0), "mse"),
    "rate": lambda m: setattr(m.optimizer, "learning_rate", 0.0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_callback_changes_counts_from_the_next_epoch(change):
    model, weights = one_layer(), []

    def do(m):
        CHANGES[change](m)
        weights.append(m.get_weights())

    model.fit(X, Y, epochs=3, verbose=0, callbacks=[AtEpochEnd(do)])
    for a, b in zip(weights[0], weights[2], strict=True):
        np.testing.assert_array_equal(a, b)


def test_freezing_a_layer_without_trainable_variables_is_followed():
    norm = keras.layers.BatchNormalization(scale=False, center=False)
    model = keras.Sequential([keras.Input((4,)), norm, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    norm.trainable = False
    before = norm.moving_mean.numpy()
    model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(norm.moving_mean.numpy(), before)


def test_how_to_run_can_be_changed_between_fits():
    model = one_layer()
    model.fit(X, Y, verbose=0)
    seen = []

    class Spy(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)

    model.steps_per_execution = 4
    model.fit(X, Y, batch_size=8, verbose=0, callbacks=[Spy()])
    assert seen == [3, 7]
    model.run_eagerly = True
    assert model._runner("train").eager


class Breaks(keras.callbacks.Callback):
    """Raises in the validation, where the model has other weights, or fails to be told."""

    weights = None

    def on_train_batch_end(self, batch, logs=None):
        self.weights = self.model.get_weights()

    def on_test_batch_end(self, batch, logs=None):
        raise KeyboardInterrupt


def test_an_interrupt_that_a_hook_raises_leaves_the_weights_of_training():
    model = one_layer(optimizer=keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9))
    breaks = Breaks()
    callbacks = [keras.callbacks.SwapEMAWeights(), keras.callbacks.GradientMonitor(), breaks]
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, validation_data=(X, Y), verbose=0, callbacks=callbacks)
    np.testing.assert_array_equal(model.get_weights()[0], breaks.weights[0])
    assert model.optimizer._on_gradients is None


class NotTold(keras.callbacks.Callback):
    def interrupted(self):
        raise ValueError("not told")

    def on_train_batch_end(self, batch, logs=None):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_callback_that_fails_when_interrupted_keeps_nobody_from_saving(tmp_path):
    callbacks = [NotTold(), keras.callbacks.BackupAndRestore(tmp_path)]
    with pytest.raises(KeyboardInterrupt), pytest.warns(RuntimeWarning, match="not told"):
        one_layer().fit(X, Y, verbose=0, callbacks=callbacks)
    assert [path.name for path in tmp_path.iterdir()] == ["backup-000001"]
