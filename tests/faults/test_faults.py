"""The short form of `make faults`: a handful of everything, and some faults that need no chance."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types

import numpy as np
import pytest

import stepfit as keras
from stepfit.training import interrupts, logs
from stepfit.training import program as program_module
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


def test_a_ctrl_c_that_has_to_wait_is_acknowledged_once(monkeypatch, capsys):
    monkeypatch.setattr(interrupts, "_PATIENCE", 0.01)
    with pytest.raises(KeyboardInterrupt), interrupts.SafeInterrupts() as block:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        assert capsys.readouterr().err == (
            "Ctrl-C: stopping after the steps under way; press it again to stop at once.\n"
        )
        block.check()
    with pytest.raises(KeyboardInterrupt), interrupts.SafeInterrupts() as block:  # obeyed in time
        os.kill(os.getpid(), signal.SIGINT)
        block.check()
    with pytest.raises(ValueError), interrupts.SafeInterrupts():  # over before it was
        os.kill(os.getpid(), signal.SIGINT)
        raise ValueError("of the user")
    time.sleep(0.1)
    with interrupts.SafeInterrupts() as block:
        assert not block.waiting
    assert capsys.readouterr().err == ""


class Slow:
    """Arrays that are done some seconds from now; like the device, heard of in naps only."""

    def __init__(self, seconds):
        self.done_at, self.asked = time.perf_counter() + seconds, 0

    def is_ready(self):
        self.asked += 1
        return time.perf_counter() >= self.done_at

    def block_until_ready(self):
        time.sleep(max(self.done_at - time.perf_counter(), 0))


@pytest.mark.parametrize("expected", [None, 10.0], ids=["unknown", "long"])
def test_a_second_ctrl_c_is_heard_while_the_device_computes(expected):
    program = types.SimpleNamespace(seconds_per_step=expected, log_structure=None)
    chunk = types.SimpleNamespace(first=0, count=1)
    result = logs.Result(program, chunk, [], Slow(10.0))
    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt), interrupts.SafeInterrupts():
        os.kill(os.getpid(), signal.SIGINT)
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        result.wait()
    assert time.perf_counter() - begin < 5


def test_a_short_wait_is_left_to_the_device():
    program = types.SimpleNamespace(seconds_per_step=0.01, log_structure=None)
    done = Slow(0.02)
    logs.Result(program, types.SimpleNamespace(first=0, count=1), [], done).wait()
    assert done.asked == 1


def test_ctrl_c_is_heard_while_a_step_is_compiled(monkeypatch):
    compiled = threading.Event()

    def slowly(compile_):
        compiled.wait(20)
        return timed(compile_)

    timed = program_module._timed
    monkeypatch.setattr(program_module, "_timed", slowly)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((8, 2), "float32")
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    begin = time.perf_counter()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, x[:, :1], verbose=0)
        assert time.perf_counter() - begin < 10
    finally:
        compiled.set()
    assert model.optimizer.iterations.numpy() == 0
    assert len(model.fit(x, x[:, :1], verbose=0).history["loss"]) == 1  # with what was compiled


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
