"""Hooks, logs, and what is called when."""

import io
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from stepfit.callbacks import (
    Callback,
    CallbackList,
    EarlyStopping,
    History,
    LambdaCallback,
    ModelCheckpoint,
    ProgbarLogger,
    TerminateOnNaN,
)
from stepfit.callbacks.callback import HOOKS
from tests.expect import refused

from .fakes import FakeModel, run

TRAIN = [
    "on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_batch_begin",
    "on_train_batch_end", "on_batch_end", "on_epoch_end", "on_train_end",
]  # fmt: skip


def recorder(*hooks):
    """Return a callback that overrides `hooks`, and the list it fills."""
    calls = []

    def method(name):
        def call(self, *args, logs=None):
            calls.append((name, args, logs))

        return call

    return type("Recorder", (Callback,), {name: method(name) for name in hooks})(), calls


def test_hooks_are_those_of_keras():
    import keras

    theirs = {n for n in dir(keras.callbacks.Callback) if n.startswith(("on_", "set_"))}
    assert set(HOOKS) | {"set_params", "set_model"} == theirs


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_called(hook):
    callback, calls = recorder(hook)
    many = CallbackList([callback])
    arguments = () if "batch" not in hook and "epoch" not in hook else (3,)
    getattr(many, hook)(*arguments, {"loss": np.float32(0.5)})
    if hook in ("on_batch_begin", "on_batch_end"):
        hook = hook.replace("on_", "on_train_")
    (call,) = calls
    assert call[1] == arguments or call[1] == (*arguments, {"loss": 0.5})


def test_order_in_training():
    callback, calls = recorder(*TRAIN[:2], "on_batch_begin", "on_batch_end", *TRAIN[6:])
    run(CallbackList(callback), [{"loss": 1.0}])
    assert [c[0] for c in calls] == [
        "on_train_begin", "on_epoch_begin", "on_batch_begin", "on_batch_end", "on_epoch_end",
        "on_train_end",
    ]  # fmt: skip


NEEDS = [
    # callback, called in training, needs the model
    (Callback(), False, False),
    (History(), False, False),
    (EarlyStopping("loss"), False, False),
    (ModelCheckpoint("w.npz", save_weights_only=True), True, False),
    (ModelCheckpoint("w.npz", save_weights_only=True, save_freq=2), True, False),
    (ProgbarLogger(), True, False),
    (TerminateOnNaN(), True, False),
    (LambdaCallback(on_epoch_end=print), False, False),
    (LambdaCallback(on_train_batch_end=print), True, True),
    (recorder("on_batch_end")[0], True, True),
    (recorder("on_train_batch_begin")[0], True, True),
    (recorder("on_test_batch_end")[0], False, False),
]


@pytest.mark.parametrize(("callback", "needs", "strict"), NEEDS)
def test_batch_hooks_are_called_only_if_defined(callback, needs, strict):
    many = CallbackList([Callback(), callback])
    hooks = many.of_batches("train")
    assert hooks.any is needs
    assert (hooks.strict is callback) is strict


def test_logs_are_not_read_without_a_reader():
    def logs():
        raise AssertionError("read")

    many = CallbackList([Callback(), History()])
    many.on_train_batch_end(0, logs)
    many.on_test_batch_end(0, logs)
    many.on_predict_batch_end(0, logs)


def test_a_hook_set_on_the_instance_counts():
    callback, calls = Callback(), []
    many = CallbackList(callback)
    assert not many.of_batches("train").any
    callback.on_train_batch_end = lambda batch, logs=None: calls.append(batch)
    many.on_train_begin()
    many.on_train_batch_end(2, {})
    assert calls == [2]


LOGS = [
    ({"b": np.float32(1.5), "a": jnp.float32(2.0)}, {"a": 2.0, "b": 1.5}),
    ({"a": 1, "b": True, "c": jnp.bfloat16(0.5)}, {"a": 1.0, "b": 1.0, "c": 0.5}),
    ({"a": np.ones((1, 1)), "n": {"x": 1, "y": 2}}, {"a": 1.0, "x": 1.0, "y": 2.0}),
    (lambda: {"loss": jnp.ones(())}, {"loss": 1.0}),
    ({"name": "text", "none": None}, {"name": "text", "none": None}),
    (None, {}),
]


@pytest.mark.parametrize(("logs", "expected"), LOGS)
@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_epoch_end"])
def test_users_get_plain_floats_by_name(logs, expected, hook):
    got = []

    def keep(self, place, logs=None):
        got.append(logs)

    keeper = type("Keeper", (Callback,), {hook: keep})()
    getattr(CallbackList(keeper), hook)(0, logs)
    assert got == [expected] and list(got[0]) == sorted(expected)
    assert [type(v) for v in got[0].values()] == [type(v) for v in expected.values()]


def test_vectors_stay_arrays():
    history = History()
    CallbackList(history).on_epoch_end(0, {"v": jnp.arange(3)})
    assert history.history["v"][0].tolist() == [0, 1, 2]


def test_outputs_of_predict_keep_their_structure():
    got = []
    callback = LambdaCallback(on_predict_batch_end=lambda batch, logs: got.append(logs))
    outputs = {"outputs": {"b": np.ones(2), "a": [np.zeros(1)]}}
    CallbackList(callback).on_predict_batch_end(0, outputs)
    assert got == [outputs]


def test_an_epoch_shares_one_dict():
    """So that a callback can add to the logs, as LearningRateScheduler does."""
    adder = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(extra=1.0))
    many = CallbackList([adder], add_history=True)
    run(many, [{"loss": 0.5}])
    assert many.history.history == {"loss": [0.5], "extra": [1.0]}


def test_defaults_are_added_once():
    history, bar = History(), ProgbarLogger()
    many = CallbackList([history, [bar]], add_history=True, add_progbar=True)
    assert many.callbacks == [history, bar]
    kinds = [type(c) for c in CallbackList(add_history=True, add_progbar=True).callbacks]
    assert kinds == [History, ProgbarLogger]


def test_model_and_params_reach_the_callbacks():
    callback, model = Callback(), FakeModel()
    many = CallbackList(callback, add_history=True, model=model, epochs=3, steps=None)
    assert callback.model is model and many.model is model
    assert callback.params == {"epochs": 3, "steps": None}
    assert model.history is many.history
    late = Callback()
    many.append(late)
    assert many.callbacks[-1] is late


def test_a_subclass_without_super_init_works():
    class Short(Callback):
        def __init__(self):
            self.seen = []

        def on_epoch_end(self, epoch, logs=None):
            self.seen.append((epoch, self.model is not None, self.params))

    short = Short()
    run(CallbackList(short), [{}, {}])
    assert short.seen == [(0, True, None), (1, True, None)]


def test_history():
    many = CallbackList(add_history=True, epochs=2)
    model = run(many, [{"loss": 1.0}, {"loss": 0.5, "val_loss": 2.0}], initial_epoch=4)
    assert many.history.history == {"loss": [1.0, 0.5], "val_loss": [2.0]}
    assert many.history.epoch == [4, 5] and model.history is many.history
    assert many.history.params == {"epochs": 2}


INSTANCE = "an instance of stepfit.callbacks.Callback"


class Duck:
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None


BAD = [
    (lambda: CallbackList([Callback(), EarlyStopping]),
     f"callbacks[1]: expected {INSTANCE}, found the class EarlyStopping; write EarlyStopping() "
     "with its arguments."),
    (lambda: CallbackList([[print]]),
     f"callbacks[0][0]: expected {INSTANCE}, found an object of type "
     "builtin_function_or_method; wrap a function: LambdaCallback(on_epoch_end=function)."),
    (lambda: CallbackList("history"),
     f"callbacks: expected {INSTANCE}, found 'history'; make a subclass of it, or use "
     "LambdaCallback."),
    (lambda: CallbackList([Duck()]),
     f"callbacks[0]: expected {INSTANCE}, found an object of type Duck; use the callback of that "
     "name from stepfit.callbacks, or subclass its Callback."),
    (lambda: LambdaCallback(on_epoch_end=3),
     "LambdaCallback(on_epoch_end): expected a function, found 3."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), BAD, ids=[row[1][:30] for row in BAD])
def test_message(call, text):
    refused(call, TypeError, text)


def test_lambda_callback_suggests_names():
    with pytest.raises(ValueError) as error:
        LambdaCallback(on_epoch_ends=print)
    assert str(error.value) == (
        "LambdaCallback: expected the name of a callback method, found 'on_epoch_ends'; did you "
        "mean 'on_epoch_end'?"
    )
    calls = []
    callback = LambdaCallback(on_test_end=lambda logs: calls.append(logs))
    CallbackList(callback).on_test_end({"loss": 1.0})
    assert calls == [{"loss": 1.0}]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def bars(verbose, epochs=2, steps=3, known=True, mode="fit"):
    many = CallbackList(
        add_progbar=True, verbose=verbose, epochs=epochs, steps=steps if known else None
    )
    if mode == "fit":
        run(many, [{"loss": 0.5}] * epochs, batches=steps)
    else:
        getattr(many, f"on_{mode}_begin")()
        for batch in range(steps):
            getattr(many, f"on_{mode}_batch_end")(batch, {"loss": 0.5})
        getattr(many, f"on_{mode}_end")({"loss": 0.5})


@pytest.mark.parametrize("verbose", [1, 2, "auto"])
@pytest.mark.parametrize("known", [True, False])
def test_progress_in_a_log(capsys, verbose, known):
    bars(verbose, known=known)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" - ")[0] for line in lines] == ["Epoch 1/2", "3/3", "Epoch 2/2", "3/3"]
    assert lines[1].endswith("/step - loss: 0.5000")


def test_progress_silent(capsys):
    bars(0)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("mode", "ending"), [("test", " - loss: 0.5000"), ("predict", "/step")])
def test_progress_of_evaluate_and_predict(capsys, mode, ending):
    bars(2, epochs=1, mode=mode)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("3/3 - 0s - ") and line.endswith(ending)


def test_validation_inside_fit_is_silent(capsys):
    many = CallbackList(add_progbar=True, verbose=2, epochs=1, steps=1)
    many.on_train_begin()
    many.on_epoch_begin(0)
    many.on_train_batch_end(0, {"loss": 1.0})
    many.on_test_begin()
    many.on_test_batch_end(0, {"loss": 2.0})
    many.on_test_end({"loss": 2.0})
    many.on_epoch_end(0, {"loss": 1.0, "val_loss": 2.0})
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("- loss: 1.0000 - val_loss: 2.0000")


def test_an_epoch_that_ends_early_shows_how_far_it_came(capsys):
    many = CallbackList(add_progbar=True, verbose=2, epochs=1, steps=10)
    run(many, [{"loss": 0.5}], batches=4)
    assert capsys.readouterr().out.startswith(" 4/10 - ")


def test_a_fused_epoch_without_batch_hooks_shows_all_steps(capsys):
    many = CallbackList(add_progbar=True, verbose=2, epochs=1, steps=10)
    run(many, [{"loss": 0.5}], batches=0)
    assert capsys.readouterr().out.startswith("10/10 - ")


def test_on_a_terminal_logs_are_read_seldom(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    reads = []

    def logs():
        reads.append(1)
        return {"loss": 0.5}

    many = CallbackList(add_progbar=True, verbose=1, epochs=1, steps=1000)
    many.on_train_begin()
    many.on_epoch_begin(0)
    for batch in range(1000):
        many.on_train_batch_end(batch, logs)
    many.on_epoch_end(0, {"loss": 0.25})
    assert 1 <= len(reads) < 30
    assert sys.stdout.getvalue().rstrip().endswith("loss: 0.2500")


class OnlyLogs(Callback):
    def on_epoch_end(self, logs):
        raise AssertionError


class NoLogs(Callback):
    def on_train_batch_end(self, batch):
        raise AssertionError


class OtherName(Callback):
    """Takes what it is called with, under names of its own."""

    def on_epoch_end(self, epoch, metrics):
        pass

    def on_train_begin(self, *given):
        pass

    @staticmethod
    def on_train_end(logs):
        pass


@pytest.mark.parametrize(
    ("callback", "text"),
    [
        (
            OnlyLogs(),
            "OnlyLogs.on_epoch_end: expected the arguments (epoch, logs), found (logs); write "
            "def on_epoch_end(self, epoch, logs=None).",
        ),
        (
            NoLogs(),
            "NoLogs.on_train_batch_end: expected the arguments (batch, logs), found (batch); "
            "write def on_train_batch_end(self, batch, logs=None).",
        ),
        (
            LambdaCallback(on_train_begin=lambda: None),
            "LambdaCallback.on_train_begin: expected the arguments (logs), found (); give it a "
            "function of (logs).",
        ),
    ],
)
def test_hooks_that_cannot_be_called_are_refused_before_training(callback, text):
    with pytest.raises(TypeError) as error:
        CallbackList([callback])
    assert str(error.value) == text


def test_hooks_may_name_their_arguments_as_they_like():
    run(CallbackList([OtherName()]), [{"loss": 1.0}])


def test_a_misspelt_hook_is_warned_of():
    class Mine(Callback):
        def on_epoch_ends(self, epoch, logs=None):
            raise AssertionError

        def on_my_own_account(self):
            raise AssertionError

    with pytest.warns(UserWarning) as seen:
        run(CallbackList([Mine(), Mine()]), [{"loss": 1.0}])
    assert [str(w.message) for w in seen] == [
        "Mine.on_epoch_ends is no hook and is never called; did you mean 'on_epoch_end'?"
    ]
