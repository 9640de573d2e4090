"""What new checks must let through: code that is unusual, and right."""

import functools
import io
import signal
import warnings
from unittest import mock

import numpy as np
import pytest

import stepfit as keras
from stepfit import layers
from stepfit.training import interrupts
from stepfit.utils import console

X, Y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")


def fitted(model, **compiled):
    model.compile("sgd", **{"loss": "mse", **compiled})
    model.fit(X, Y, verbose=0)
    return model


def dense(cls=keras.Sequential):
    return cls([keras.Input((4,)), layers.Dense(1)])


@keras.saving.register_keras_serializable("legitimate")
class Agent(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(1)

    def call(self, x):
        return self.inner(x)

    def apply_gradients(self, gradients):
        """A name that optimizers have, too."""


@pytest.mark.parametrize("nested", [False, True])
def test_a_method_makes_no_optimizer(nested, tmp_path):
    model = Agent()
    if nested:
        inputs = keras.Input((4,))
        model = keras.Model(inputs, layers.Dense(1)(model(inputs)))
    fitted(model).save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.parametrize("built", [True, False])
def test_a_class_may_have_a_built_of_its_own(built):
    class Own(keras.Sequential):
        pass

    Own.built = built
    assert np.isfinite(fitted(dense(Own)).evaluate(X, Y, verbose=0))


def test_hooks_may_be_decorated_and_others_are_nobodys_business():
    def with_more(function):
        @functools.wraps(function)
        def run(self, epoch, logs=None):
            return function(self, epoch, logs, "more")

        return run

    class Hooks(keras.callbacks.Callback):
        seen = None

        @with_more
        def on_epoch_end(self, epoch, logs, more):
            self.seen = more

        def on_predict_begin(self):
            """Wrong, and never called by `fit`."""

    hooks, model = Hooks(), dense()
    model.compile("sgd", "mse")
    model.fit(X, Y, callbacks=[hooks], verbose=0)
    assert hooks.seen == "more"


class Around(keras.Sequential):
    def train_step(self, data):
        return super().train_step(data)


def test_a_loss_may_be_constant():
    zero = lambda y, y_pred: keras.ops.zeros_like(y[:, 0])
    before = fitted(dense(), loss=zero).get_weights()
    model = dense(Around)
    model.set_weights(before)
    assert np.array_equal(fitted(model, loss=zero).get_weights()[0], before[0])


def test_any_generator_of_numpy_and_constants_kept_on_first_use():
    class Lazy(keras.Sequential):
        def train_step(self, data):
            if not hasattr(self, "_scale"):
                self._scale = 0.5
            return super().train_step(data)

    before = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(1))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fitted(dense(Lazy))
    finally:
        np.random.set_bit_generator(before)


def test_ctrl_c_counts_where_no_thread_is_to_be_had():
    refuse = mock.Mock(side_effect=RuntimeError("can't start new thread"))
    with mock.patch.object(interrupts, "start_new_thread", refuse):
        with pytest.raises(KeyboardInterrupt), interrupts.SafeInterrupts() as held:
            signal.raise_signal(signal.SIGINT)
            assert held.waiting
            held.check()
    assert refuse.called


def test_a_stream_that_passes_on_what_is_set_is_not_watched(monkeypatch):
    class Proxy:
        def __init__(self, stream):
            object.__setattr__(self, "stream", stream)

        def __getattr__(self, name):
            return getattr(self.stream, name)

        def __setattr__(self, name, value):
            setattr(self.stream, name, value)

    class Stream(io.StringIO):
        pass

    stream = Stream()
    monkeypatch.setattr("sys.stdout", Proxy(stream))
    for _ in range(3):
        console.draw_line("\rhalf", 4, finish=False)
    console.end_line()
    assert "write" not in vars(stream)


def test_own_inputs_do_not_matter_for_export(tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.inputs = 5
            self.dense = layers.Dense(1)

        def call(self, x):
            return self.dense(x)

    model = Own()
    expected = model(X)
    model.export(tmp_path / "m", input_signature=[(None, 4)], verbose=False)
    found = keras.saving.load_exported(tmp_path / "m")(X)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
