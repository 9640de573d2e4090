"""What a callback sees of the model, and what it does to the numbers of the training: nothing."""

import io
import signal
import sys

import numpy as np
import pytest

import stepfit as keras
from stepfit import callbacks as C
from stepfit.callbacks import Callback

from .small import X, Y, compiled, fit


class Plain(Callback):
    """Does nothing, step by step."""

    def on_train_batch_end(self, batch, logs=None):
        pass


class Evaluating(Callback):
    """Evaluates and predicts in every hook of the training that it is called in."""

    def look(self, *args, logs=None):
        self.model.evaluate(X[:7], Y[:7], batch_size=3, verbose=0)
        self.model.predict(X[:5], verbose=0)
        self.model.test_on_batch(X[:2], Y[:2])

    on_epoch_begin = on_epoch_end = on_train_batch_begin = on_train_batch_end = look


class Now(Evaluating):
    """The same every two batches, with steps fused in between."""

    on_train_batch_begin = Callback.on_train_batch_begin

    def needs_model_after(self, batch):
        return batch + -(batch + 1) % 2


class InValidation(Evaluating):
    """The same in the hooks of the validation."""

    on_epoch_begin, on_epoch_end = Callback.on_epoch_begin, Callback.on_epoch_end
    on_train_batch_begin = Callback.on_train_batch_begin
    on_test_begin = on_test_end = on_test_batch_begin = on_test_batch_end = Evaluating.look


@pytest.mark.parametrize("looker", [Evaluating, Now, InValidation])
@pytest.mark.parametrize("steps", ["auto", 1, 3])
def test_evaluate_in_a_hook_does_not_disturb_the_training(looker, steps):
    model = compiled(metrics=["mae"], steps_per_execution=steps)
    expected = fit(model, [Plain()], 3, validation_split=1 / 3).history
    model = compiled(metrics=["mae"], steps_per_execution=steps)
    assert fit(model, [looker()], 3, validation_split=1 / 3).history == expected


def weights_after_each_step():
    model, seen = compiled(), []
    for i in range(0, 24, 4):
        model.train_on_batch(X[i : i + 4], Y[i : i + 4])
        seen.append(model.get_weights())
    return seen


@pytest.mark.parametrize("every", [1, 2, 3, 5])
@pytest.mark.parametrize("strict", [True, False])
def test_hooks_see_the_weights_of_their_step(every, strict):
    class Look(Callback):
        def on_train_batch_end(self, batch, logs=None):
            if (batch + 1) % every == 0:
                seen[batch] = self.model.get_weights()

    if not strict:
        Look.needs_model_after = lambda self, batch: batch + -(batch + 1) % every
    seen, expected = {}, weights_after_each_step()
    fit(compiled(), [Look()], 1)
    assert list(seen) == [i for i in range(6) if (i + 1) % every == 0]
    for batch, weights in seen.items():
        for found, value in zip(weights, expected[batch], strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-6)


def test_a_checkpoint_in_mid_epoch_has_the_weights_of_its_batch(tmp_path):
    saver = C.ModelCheckpoint(tmp_path / "{batch}.npz", save_weights_only=True, save_freq=2)
    model = compiled()
    fit(model, [saver], 1)
    assert model.execution_report()["train"].one_by_one is None
    for batch, expected in enumerate(weights_after_each_step(), 1):
        if batch % 2 == 0:
            with np.load(tmp_path / f"{batch}.npz") as file:
                for name, value in zip(file.files, expected, strict=True):
                    np.testing.assert_allclose(file[name], value, rtol=1e-6)


FUSED = {
    "CSVLogger": lambda d: C.CSVLogger(d / "log.csv"),
    "EarlyStopping": lambda d: C.EarlyStopping("loss", restore_best_weights=True),
    "GradientMonitor": lambda d: C.GradientMonitor(every=3),
    "History": lambda d: C.History(),
    "LambdaCallback": lambda d: C.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
    "LearningRateScheduler": lambda d: C.LearningRateScheduler(lambda epoch: 0.05),
    "ModelCheckpoint": lambda d: C.ModelCheckpoint(
        d / "{batch}.npz", save_weights_only=True, save_freq=3
    ),
    "OrbaxCheckpoint": lambda d: C.OrbaxCheckpoint(d / "c", save_freq=3),
    "ProgbarLogger": lambda d: C.ProgbarLogger(),
    "ReduceLROnPlateau": lambda d: C.ReduceLROnPlateau("loss"),
    "SwapEMAWeights": lambda d: C.SwapEMAWeights(swap_on_epoch=True),
    "TensorBoard": lambda d: C.TensorBoard(d, update_freq=1, histogram_freq=1),
    "TerminateOnNaN": lambda d: C.TerminateOnNaN(),
    "Timing": lambda d: C.Timing(),
}


@pytest.mark.parametrize("name", FUSED)
def test_steps_stay_fused(name, tmp_path, capsys):
    model = compiled(keras.optimizers.SGD(0.05, use_ema=name == "SwapEMAWeights"))
    callback = FUSED[name](tmp_path)
    many = C.CallbackList([callback])
    assert many.of_batches("train").strict is None
    fit(model, [callback], 3)
    report = model.execution_report()["train"]
    assert report.one_by_one is None and report.dispatches < report.steps == 6
    capsys.readouterr()


def test_a_function_that_needs_no_model_says_so():
    losses = []
    callback = C.LambdaCallback(
        on_train_batch_end=lambda batch, logs: losses.append(logs["loss"]), fused_safe=True
    )
    model = compiled()
    fit(model, [callback], 2)
    assert len(losses) == 12 and model.execution_report()["train"].one_by_one is None


class Terminal(io.StringIO):
    """A terminal, and what stands on it in the end."""

    def isatty(self):
        return True

    def lines(self):
        text = []
        for line in self.getvalue().split("\n"):
            shown = ""
            for part in line.split("\r"):  # each is written over the one before
                shown = part + shown[len(part) :]
            text.append(shown.rstrip())
        return text


@pytest.mark.parametrize("message", [True, False])
def test_what_a_hook_prints_has_its_own_line(monkeypatch, message):
    """On a terminal the bar is unfinished then: it makes way."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    show = lambda epoch, logs: print(f"mine {epoch}") if message else logs.update(more=1.0)
    callback = C.LambdaCallback(on_epoch_end=show)
    fit(compiled(), [callback, C.LearningRateScheduler(lambda e: 0.05)], 2, verbose=1)
    lines = screen.lines()
    mine = [["mine 0"], ["mine 1"]] if message else [[], []]
    assert [line for line in lines if "━" not in line] == [
        "Epoch 1/2", *mine[0], "Epoch 2/2", *mine[1], "",
    ]  # fmt: skip
    bars = [line for line in lines if "━" in line]
    assert len(bars) == 2 and all(line.startswith("6/6 ━━━━") for line in bars)
    assert all(" - loss: " in line and " - learning_rate: 0.0500" in line for line in bars)
    assert all(("more: 1.0000" in line) is not message for line in bars)


def test_a_message_of_a_callback_in_mid_epoch_has_its_own_line(monkeypatch, tmp_path):
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    path = tmp_path / "w.npz"
    saver = C.ModelCheckpoint(path, save_weights_only=True, save_freq=3, verbose=1)
    fit(compiled(), [saver], 1, verbose=1)
    lines = [line for line in screen.lines() if "saving" in line]
    assert lines == [f"Epoch 1: saving the weights to {path}"] * 2


@pytest.mark.parametrize("backup", [True, False])
def test_an_interruption_in_mid_epoch_leaves_the_bar_and_begins_below_it(
    monkeypatch, tmp_path, backup
):
    class Interrupts(Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                signal.raise_signal(signal.SIGINT)

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    backups = [C.BackupAndRestore(tmp_path)] if backup else []
    with pytest.raises(KeyboardInterrupt):
        fit(compiled(), [Interrupts(), *backups], 1, verbose=1)
    saved = [f"Saved a backup in {tmp_path}; the next run goes on from it"]
    bar, *rest = screen.lines()
    assert "/6 ━" in bar and rest == [*(saved if backup else []), ""]
