"""The short form of `make faults`: a handful of everything, and some faults that need no chance."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import pytest

from stepfit.training import interrupts
from tests.faults import run, scenarios

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return scenarios.Bench(tmp_path_factory.mktemp("faults"), seed=os.getpid())


@pytest.mark.parametrize("name", run.QUICK)
def test_nothing_is_lost(name, bench, capsys):
    rows = getattr(scenarios, name)(bench, run.QUICK[name])
    with capsys.disabled():
        print(f"\n{run.table(rows)}")
    assert sum(row.done for row in rows) >= run.QUICK[name]
    assert all(row.well == row.done for row in rows), run.table(rows)


SCRIPT = """
    import os, signal, sys
    import numpy as np
    import stepfit as keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((64, 2), "float32")

    class Signals(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 3:
                os.kill(os.getpid(), getattr(signal, sys.argv[2]))

    backup = keras.callbacks.BackupAndRestore(sys.argv[1], save_freq="1h")
    history = model.fit(x, x[:, :1], epochs=8, verbose=2, callbacks=[backup, Signals()])
    print("epochs in all:", len(history.history["loss"]))
"""


@pytest.mark.parametrize(
    ("name", "status"), [("SIGTERM", 143), ("SIGINT", -signal.SIGINT)], ids=["SIGTERM", "Ctrl-C"]
)
def test_a_script_that_is_told_to_end_does_and_goes_on_when_run_again(name, status, tmp_path):
    script, folder = tmp_path / "script.py", tmp_path / "run"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", str(script), str(folder), name]
    first, again = (
        subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
        for _ in range(2)
    )
    assert first.returncode == status, first.stderr
    assert ("KeyboardInterrupt" in first.stderr) == (name == "SIGINT")
    assert again.returncode == 0, again.stderr
    lines = again.stdout.splitlines()
    assert lines[:2] == [f"Going on from backup-000001 in {folder}: epoch 5", "Epoch 5/8"]
    assert lines[-1] == "epochs in all: 8"
    assert not folder.exists()


def test_a_signal_that_comes_with_the_handler_is_not_lost(monkeypatch):
    set_handler = interrupts.set_handler

    def and_press(number, handler):
        before = set_handler(number, handler)
        if number == signal.SIGINT and handler is not signal.default_int_handler:
            os.kill(os.getpid(), signal.SIGINT)
        return before

    monkeypatch.setattr(interrupts, "set_handler", and_press)
    with pytest.raises(KeyboardInterrupt), interrupts.SafeInterrupts() as block:
        block.check()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_signal_that_the_user_handles_is_left_to_the_user():
    heard: list = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with interrupts.SafeInterrupts() as block:
            os.kill(os.getpid(), signal.SIGTERM)
            block.check()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_sigterm_is_not_forgotten_for_an_error():
    with pytest.raises(SystemExit) as caught, interrupts.SafeInterrupts():
        os.kill(os.getpid(), signal.SIGTERM)
        raise ValueError("of the user")
    assert caught.value.code == 143
    assert isinstance(caught.value.__context__, ValueError)


def test_an_inner_block_leaves_it_to_the_one_that_saves():
    saved: list = []
    with pytest.raises(KeyboardInterrupt), interrupts.SafeInterrupts() as outer:
        with outer.saving(lambda: saved.append("outer")):
            os.kill(os.getpid(), signal.SIGINT)
            with interrupts.SafeInterrupts() as inner:
                inner.check()
            assert saved == []
            outer.check()
    assert saved == ["outer"]


def test_a_second_ctrl_c_while_saving_leaves_at_once():
    def saves():
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("not reached")

    with pytest.raises(KeyboardInterrupt), interrupts.SafeInterrupts() as block:
        with block.saving(saves):
            os.kill(os.getpid(), signal.SIGINT)
            block.check()


def test_where_saving_fails_that_is_said_and_the_signal_is_obeyed():
    def fails():
        raise OSError("the disk is gone")

    with pytest.raises(SystemExit), pytest.warns(RuntimeWarning) as caught:
        with interrupts.SafeInterrupts() as block, block.saving(fails):
            os.kill(os.getpid(), signal.SIGTERM)
            block.check()
    assert str(caught[0].message) == (
        "fit: expected to save before it ended, found OSError: the disk is gone"
    )
