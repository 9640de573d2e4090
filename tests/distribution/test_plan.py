"""Planning without the machines, and the picture of a layout."""

import json
import subprocess
import sys

import numpy as np
import pytest

import stepfit as keras
from benchmarks import scaling
from stepfit.core import deferral
from stepfit.training.planning import collectives
from stepfit.visualization.sharding import parts_of, plot_sharding
from tests.distribution.run import ROOT, environment
from tests.expect import refused

SCRIPT = """
import numpy as np
import stepfit as keras

def never(shape, dtype):
    raise AssertionError("a value was made")

layers = [keras.layers.Dense(128, kernel_initializer=never), keras.layers.Dense(8)]
model = keras.Sequential([keras.Input((64,)), *layers])
model.compile("adam", "mse")
x = np.zeros((512, 64), "float32")
model.fit(x, x[:, :8], batch_size=256)
raise AssertionError("fit came back")
"""


def plan(folder, *options, script=SCRIPT):
    (folder / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "-m", "stepfit.cli", "plan", *options, str(folder / "script.py")],
        capture_output=True, text=True, timeout=300, cwd=ROOT, env=environment(),
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_script_is_planned_for_128_devices(tmp_path):
    status, output = plan(tmp_path, "--mesh", "batch=64,model=2")
    assert status == 0, output
    first, *lines = output.splitlines()
    assert first == (
        "plan for 128 devices (64 batch x 2 model), FullyShardedDataParallel; nothing was trained"
    )
    assert lines[0] == "  batch: (256, 64) float32, (256, 8) float32"
    # Kernels are cut in 64 parts, biases copied: 128 + 128 + 16 + 8 numbers, thrice, 4 scalars.
    assert lines[2] == "    weights, optimizer, metrics: 3.3 KiB (of 110 KiB)"
    assert any(line.endswith("all-gather, 36 KiB on each device") for line in lines), output
    assert any(" all-reduce" in line for line in lines)
    assert "    sequential/dense/kernel: (None, 'batch')" in lines


def test_planning_makes_no_values():
    with deferral.deferring(finish=False):
        variable = keras.Variable("zeros", shape=(2,), name="v")
    assert variable.conform(np.ones(2, "float64")).dtype == "float32"
    assert variable.is_deferred


@pytest.mark.slow
def test_what_a_script_may_do_wrong(tmp_path):
    assert plan(tmp_path, "--mesh", "batch=2", script="import stepfit")[1].endswith(
        "script.py ended without a call of fit\n"
    )
    assert (
        "expected axes such as batch=4,model=2, found 'batch'"
        in plan(tmp_path, "--mesh", "batch")[1]
    )


@pytest.mark.parametrize(
    "line, found",
    [
        ("%x = (f32[2,3]{1,0}, bf16[4]{0}) all-reduce(%a, %b)", {"all-reduce": (1, 32)}),
        ("%x = pred[8]{0} all-gather-start(%a)", {"all-gather": (1, 8)}),
        ("%x = f32[2]{0} add(%all-reduce, %b)", {}),
    ],
)
def test_collectives_are_read_from_a_program(line, found):
    assert collectives(line) == found


def mesh():
    return keras.distribution.DeviceMesh((1, 1), ["batch", "model"], devices=["cpu:0"])


def test_the_picture_shows_every_variable(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(2)])
    parallel = keras.distribution.FullyShardedDataParallel(mesh(), least=1)
    figure = plot_sharding(model, parallel, path=tmp_path / "layout.png")
    assert (tmp_path / "layout.png").stat().st_size > 1000
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == [f"{v.path}\n{v.shape}" for v in model.weights]
    assert parts_of(model.weights[0], parallel) == {((0.0, 1.0), (0.0, 1.0)): [0]}


def test_the_picture_needs_a_distribution():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8)])
    with pytest.raises(ValueError) as caught:
        plot_sharding(model)
    assert str(caught.value) == (
        "plot_sharding(distribution): expected a distribution, found None; pass one, or call "
        "set_distribution."
    )
    refused(
        lambda: plot_sharding(model, "layout.png"), TypeError,
        "plot_sharding(distribution): expected a distribution, found 'layout.png'; the "
        "file's name is `path`.",
    )


@pytest.mark.slow
def test_the_scaling_benchmark_runs(tmp_path, capsys):
    out = tmp_path / "scaling.json"
    arguments = ["--tiny", "--devices", "2", "--windows", "1", "--out", str(out)]
    assert scaling.main(arguments) == 0
    assert "| keras model |" in capsys.readouterr().out
    found = json.loads(out.read_text())["2"]
    losses = [figures["loss"] for figures in found.values()]
    assert losses == pytest.approx([losses[0]] * len(losses), rel=1e-4)
    assert found["stepfit sharded"]["bytes"] < 0.6 * found["stepfit data"]["bytes"]
