"""What the command says and does about its processes, and keys of layouts that nearly match."""

import signal
import subprocess
import sys
import time
import warnings

import pytest

import stepfit as keras
from stepfit import cli


def spread(key, prefix=True):
    """Return what is warned of when a layer is made with a layout for a key."""
    mesh = keras.distribution.DeviceMesh((1, 1), ["batch", "model"], devices=["cpu:0"])
    layouts = keras.distribution.LayoutMap(mesh)
    layouts[key] = (None, "model")
    parallel = keras.distribution.ModelParallel(layout_map=layouts)
    with parallel.scope(), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        if prefix:
            keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="up")], name="m")
        else:
            keras.layers.Dense(2, name="up").build((None, 4))
    assert {w.filename for w in seen} <= {__file__}
    return [str(w.message) for w in seen]


def test_a_key_that_matches_but_the_end_of_a_path_is_told():
    assert spread("up/kernel") == [
        "LayoutMap['up/kernel']: expected a key that matches the whole path of a variable, found "
        "one that matches the end of 'm/up/kernel', which is copied to every device; write "
        "'.*up/kernel'."
    ]
    assert spread(".*up/kernel") == spread("m/up/kernel") == spread("other/kernel") == []
    assert spread("up/kernel", prefix=False) == []


def test_mesh_after_the_script_is_told(tmp_path, capsys):
    script = tmp_path / "s.py"
    script.write_text("")
    for more, found in (
        (["--mesh", "a=2"], "--mesh after the script, as its argument"),
        ([], "none"),
    ):
        with pytest.raises(SystemExit):
            cli.main(["plan", str(script), *more])
        assert capsys.readouterr().err.endswith(
            f"stepfit plan: error: expected --mesh before the script, found {found}; write: "
            f"stepfit plan --mesh batch=4,model=2 {script}\n"
        )


def test_an_axis_named_twice_is_refused(capsys):
    with pytest.raises(SystemExit):
        cli.main(["plan", "--mesh", "a=4,a=2", "s.py"])
    expected = "--mesh: expected axes such as batch=4,model=2, found 'a=4,a=2'\n"
    assert capsys.readouterr().err.endswith(expected)


def test_help_names_what_users_call(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "member" not in capsys.readouterr().out


@pytest.mark.parametrize("times, ends", [(1, False), (2, False), (3, True)])
def test_processes_that_hang_are_killed_when_asked_often(times, ends, capsys, monkeypatch):
    ignoring = "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(2)"
    process = subprocess.Popen([sys.executable, "-c", ignoring])
    process.reader = type("Reader", (), {"join": lambda self, seconds: None})()
    asked = [time.monotonic()] * times
    assert cli._wait([process], asked) == (128 + signal.SIGKILL if ends else 0)
    said = capsys.readouterr().out
    assert said.startswith("stepfit launch: ending processes [0]: they did not end when") == ends
    if times == 2:
        monkeypatch.setattr(cli, "_GRACE", 0.0)
        process = subprocess.Popen([sys.executable, "-c", ignoring])
        process.reader = type("Reader", (), {"join": lambda self, seconds: None})()
        assert cli._wait([process], asked) == 128 + signal.SIGKILL


def test_ctrl_c_says_one_line(tmp_path, capsys, monkeypatch):
    script = tmp_path / "s.py"
    script.write_text("def stop():\n    raise KeyboardInterrupt\n\nstop()\n")
    monkeypatch.setattr(keras.distribution, "initialize", lambda: None)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(KeyboardInterrupt):
        cli._member(str(script), [])
    assert capsys.readouterr().out == f"stopped by Ctrl-C at line 4 of {script}\n"
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == ""
