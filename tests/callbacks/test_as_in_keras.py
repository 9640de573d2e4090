"""Callbacks side by side with Keras's: the same arguments, the same decisions."""

import inspect

import keras as theirs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stepfit as keras
from stepfit import callbacks as C

from .fakes import FakeModel, run
from .small import X, Y, fit

SAME = sorted(
    name for name, cls in vars(theirs.callbacks).items()
    if inspect.isclass(cls) and name not in ("BackupAndRestore", "CallbackList")
)  # fmt: skip


def test_every_callback_of_keras_is_there():
    assert set(SAME) <= set(C.__all__) and len(SAME) == 14


@pytest.mark.parametrize("name", SAME)
def test_arguments_are_those_of_keras(name):
    def arguments(module):
        parameters = inspect.signature(getattr(module, name)).parameters.values()
        return [(p.name, p.kind, p.default) for p in parameters]

    expected = arguments(theirs.callbacks)
    assert arguments(C)[: len(expected)] == expected  # ours may have more, after them


VALUES = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.35, 0.4, 1.0]), min_size=1, max_size=14)


class WithoutRate:
    """An optimizer as Keras's callback wants it: the rate is an array."""

    def __init__(self, rate):
        self.learning_rate = np.float64(rate)


@settings(max_examples=150, deadline=None)
@given(
    values=VALUES, mode=st.sampled_from(["min", "max", "auto"]), patience=st.integers(0, 3),
    min_delta=st.sampled_from([0, 1e-4, 0.06]), cooldown=st.integers(0, 3),
    factor=st.sampled_from([0.5, 0.1]), min_lr=st.sampled_from([0.0, 0.02]),
)  # fmt: skip
def test_reduce_lr_on_plateau_is_that_of_keras(values, **kwargs):
    rates = []
    logs = [{"loss": 0.0, "val_loss": v} for v in values]
    ours = C.ReduceLROnPlateau(**kwargs)
    many = C.CallbackList(ours, add_history=True)
    run(many, logs, FakeModel())
    callback, other = theirs.callbacks.ReduceLROnPlateau(**kwargs), FakeModel()
    other.optimizer = WithoutRate(0.1)
    callback.set_model(other)
    callback.on_train_begin()
    for epoch, row in enumerate(logs):
        callback.on_epoch_end(epoch, row)
        rates.append(row["learning_rate"])
    assert many.history.history["learning_rate"] == pytest.approx(rates)
    for name in ("wait", "cooldown_counter", "best"):
        assert getattr(ours, name) == getattr(callback, name), name


def ema_model(module):
    model = module.Sequential([module.Input((3,)), module.layers.Dense(1)])
    model.set_weights([np.ones((3, 1), "float32"), np.zeros(1, "float32")])
    optimizer = module.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.5)
    model.compile(optimizer=optimizer, loss="mse")
    return model


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # theirs
@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_swap_ema_weights_is_that_of_keras(swap_on_epoch):
    """Losses of validation are those of the averages; so is what other callbacks see."""
    found = []
    for module in (keras, theirs):
        seen, model = [], ema_model(module)
        look = module.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs, model=model, seen=seen: seen.append(
                np.array(model.get_weights()[0])
            )
        )
        swap = module.callbacks.SwapEMAWeights(swap_on_epoch)
        history = fit(model, [swap, look], 4, validation_split=1 / 3) if module is keras else (
            model.fit(X, Y, epochs=4, batch_size=4, shuffle=False, verbose=0,
                      validation_split=1 / 3, callbacks=[swap, look])
        )  # fmt: skip
        found.append((history.history["loss"], history.history["val_loss"], seen[:-1],
                      np.array(model.get_weights()[0])))  # fmt: skip
    for ours, other in zip(*found, strict=True):
        np.testing.assert_allclose(np.array(ours), np.array(other), rtol=1e-5, atol=1e-6)
