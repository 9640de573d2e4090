"""Timing: shares of an epoch, and no trace of it afterwards."""

import time

import pytest

import stepfit as keras
from stepfit.callbacks import Callback, Timing

from .small import X, Y, compiled, fit


class Slow(Callback):
    """Sleeps in its hooks."""

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.01)

    def on_epoch_end(self, epoch, logs=None):
        time.sleep(0.02)

    def on_test_begin(self, logs=None):
        time.sleep(0.03)


def test_the_time_of_callbacks_is_theirs():
    timing, slow = Timing(), Slow()
    fit(compiled(), [timing, slow], 2, validation_split=1 / 3)
    for row in timing.history:  # 4 batches, then validation
        assert 0.09 < row["by_callback"]["Slow"] < 0.6
        assert row["callbacks"] >= row["by_callback"]["Slow"]
        parts = sum(row[name] for name in ("steps", "data", "validation", "callbacks"))
        assert parts == pytest.approx(row["seconds"], rel=1e-6)
        assert row["validation"] > 0
    assert sum(timing.shares().values()) == pytest.approx(1)
    assert [row["epoch"] for row in timing.history] == [0, 1]
    assert not vars(slow).keys() & {"on_train_batch_end", "on_epoch_end", "on_test_begin"}


def test_the_time_that_data_takes_is_seen():
    def slowly():
        for i in range(0, 24, 4):
            time.sleep(0.03)
            yield X[i : i + 4], Y[i : i + 4]

    model = compiled()
    fit(model, [], 1)
    timing = Timing()
    model.fit(slowly(), epochs=1, steps_per_epoch=6, verbose=0, callbacks=[timing])
    assert timing.shares()["data"] > 0.4 and timing.shares()["validation"] == 0


def test_steps_stay_fused_and_hooks_come_back():
    called = []
    of_function = keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: called.append(e))
    own, model = vars(of_function)["on_epoch_end"], compiled()
    fit(model, [of_function, Timing()], 2)
    assert called == [0, 1] and vars(of_function)["on_epoch_end"] is own
    assert model.execution_report()["train"].one_by_one is None


def test_hooks_come_back_after_an_error():
    class Fail(Slow):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("mine")

    slow = Fail()
    with pytest.raises(RuntimeError, match="mine"):
        fit(compiled(), [slow, Timing()], 1)
    assert not vars(slow).keys() & {"on_train_batch_end", "on_epoch_end", "on_test_begin"}


def test_a_line_per_epoch(capsys):
    fit(compiled(), [Timing(verbose=1), Slow()], 2, validation_split=1 / 3)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("Epoch 2: ") and "% waiting for data" in lines[1]
    assert "% validation, " in lines[1] and "% callbacks (most: Slow, 0." in lines[1]
