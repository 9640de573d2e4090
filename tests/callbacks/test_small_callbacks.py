"""CSVLogger, LearningRateScheduler, TerminateOnNaN."""

import csv

import numpy as np
import pytest

from stepfit.callbacks import CallbackList, CSVLogger, LearningRateScheduler, TerminateOnNaN

from .fakes import FakeModel, run


def table(path, separator=","):
    with open(path, newline="") as file:
        return list(csv.reader(file, delimiter=separator))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv(tmp_path, separator):
    path = tmp_path / "new" / "log.csv"
    run(CallbackList(CSVLogger(path, separator)), [{"loss": 0.5, "acc": 0.25}] * 2)
    assert table(path, separator) == [
        ["epoch", "acc", "loss"], ["0", "0.25", "0.5"], ["1", "0.25", "0.5"],
    ]  # fmt: skip


def test_csv_replaces_or_appends(tmp_path):
    path = tmp_path / "log.csv"
    for append, rows in ((False, 1), (False, 1), (True, 2), (True, 3)):
        run(CallbackList(CSVLogger(path, append=append)), [{"loss": 0.5}])
        assert len(table(path)) == 1 + rows
        assert sum(row[0] == "epoch" for row in table(path)) == 1


def test_csv_appends_in_the_columns_of_the_file(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss,acc\n0,1.0,0.5\n")
    run(CallbackList(CSVLogger(path, append=True)), [{"acc": 0.75, "loss": 0.25}], initial_epoch=1)
    assert table(path)[-1] == ["1", "0.25", "0.75"]


def test_csv_gets_a_column_for_a_late_metric(tmp_path):
    path = tmp_path / "log.csv"
    epochs = [{"loss": 1.0}, {"loss": 0.5, "val_loss": 2.0}, {"loss": 0.25}]
    run(CallbackList(CSVLogger(path)), epochs)
    assert table(path) == [
        ["epoch", "loss", "val_loss"], ["0", "1.0", "NA"], ["1", "0.5", "2.0"],
        ["2", "0.25", "NA"],
    ]  # fmt: skip


def test_csv_is_complete_after_every_epoch(tmp_path):
    path, callback = tmp_path / "log.csv", None
    callback = CSVLogger(path)
    callback.on_train_begin()
    for epoch in range(3):
        callback.on_epoch_end(epoch, {"loss": 1.0, "v": np.arange(2)})
        assert table(path)[-1] == [str(epoch), "1.0", "[0, 1]"]


def test_csv_separator_is_one_character():
    with pytest.raises(TypeError) as error:
        CSVLogger("log.csv", separator=", ")
    assert str(error.value) == "CSVLogger(separator): expected one character, found ', '."


class Half:
    def __call__(self, epoch, lr):
        return lr / 2


SCHEDULES = {
    "of epoch": (lambda epoch: 1.0 / (epoch + 1), [1.0, 0.5, 1 / 3]),
    "of epoch and rate": (lambda epoch, lr: lr / 2, [0.4, 0.2, 0.1]),
    "object": (Half(), [0.4, 0.2, 0.1]),
    "NumPy": (lambda epoch, lr: np.float32(0.5), [0.5] * 3),
    "int": (lambda epoch: 1, [1.0] * 3),
    "any": (lambda *args: len(args), [2.0] * 3),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_learning_rate_scheduler(name):
    schedule, expected = SCHEDULES[name]
    many = CallbackList(LearningRateScheduler(schedule), add_history=True)
    model = run(many, [{"loss": 1.0}] * 3, FakeModel(learning_rate=0.8))
    assert many.history.history["learning_rate"] == pytest.approx(expected)
    assert model.optimizer.learning_rate == pytest.approx(expected[-1])


def test_learning_rate_scheduler_message(capsys):
    run(CallbackList(LearningRateScheduler(lambda e: 0.25, verbose=1)), [{}])
    assert capsys.readouterr().out == "Epoch 1: learning rate 0.25\n"


def test_errors_inside_the_schedule_come_through():
    def schedule(epoch, lr):
        return lr + "0.1"

    with pytest.raises(TypeError, match="unsupported operand"):
        run(CallbackList(LearningRateScheduler(schedule)), [{}])


def without_optimizer():
    model = FakeModel()
    model.optimizer = None
    return model


RATE = "LearningRateScheduler, epoch 1: expected "
BAD = [
    (lambda: LearningRateScheduler(0.1), TypeError,
     "LearningRateScheduler(schedule): expected a function of (epoch, learning_rate), found 0.1."),
    (lambda: run(CallbackList(LearningRateScheduler(lambda e: None)), [{}]), TypeError,
     RATE + "a learning rate, found None; return a float from schedule."),
    (lambda: run(CallbackList(LearningRateScheduler(lambda e: -1)), [{}]), ValueError,
     RATE + "a finite number of at least 0, found -1.0; return a float from schedule."),
    (lambda: run(CallbackList(LearningRateScheduler(lambda e: 1)), [{}], without_optimizer()),
     ValueError,
     "LearningRateScheduler: expected a model compiled with an optimizer that has a "
     "learning_rate, found None; set the learning rates of several optimizers in a callback of "
     "your own."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), BAD, ids=[row[2][:50] for row in BAD])
def test_message(call, kind, text):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == text


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
def test_terminate_on_nan(capsys, loss):
    model = run(CallbackList(TerminateOnNaN()), [{"loss": 1.0}, {"loss": loss}, {"loss": 1.0}])
    assert model.stop_training and model.get_weights()[0][0, 0] == 1
    assert capsys.readouterr().out == "Batch 0: Invalid loss, terminating training\n"
    with pytest.raises(RuntimeError) as error:
        run(CallbackList(TerminateOnNaN(raise_error=True)), [{"loss": loss}])
    assert str(error.value) == (
        f"batch 0: expected a finite loss, found {loss!r}; lower the learning rate, or look for "
        "NaN in the data."
    )


def test_terminate_on_nan_lets_others_pass():
    assert not run(CallbackList(TerminateOnNaN()), [{"loss": 1.0}, {"other": 2.0}]).stop_training
