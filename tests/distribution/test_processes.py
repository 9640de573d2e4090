"""Several real processes on this machine, started by the launcher."""

import json

import numpy as np
import pytest

from tests.distribution import models
from tests.distribution.run import launch


def result(folder):
    with np.load(folder / "result.npz") as file:
        arrays = [file[name] for name in file.files]
    return json.loads((folder / "result.json").read_text()), arrays


def one(folder, *arguments):
    status, output = launch(folder, "--kind", "one", *arguments, processes=1)
    assert status == 0, output
    return result(folder)


def same(a, b, tolerance=1e-5):
    assert a[0]["history"].keys() == b[0]["history"].keys()
    for name, curve in a[0]["history"].items():
        assert b[0]["history"][name] == pytest.approx(curve, rel=tolerance)
    for x, y in zip(a[1], b[1], strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def test_a_killed_process_ends_the_others_and_a_rerun_goes_on_to_the_same_bits(tmp_path):
    status, output = launch(tmp_path / "whole")
    assert status == 0, output
    whole = result(tmp_path / "whole")
    assert whole[0]["devices"] == 2
    assert "[0] Epoch 3/3" in output and "[1] Epoch" not in output
    alone, data = models.mlp(rows=32)
    curve = alone.fit(*data, batch_size=16, epochs=3, verbose=0).history["loss"]
    assert whole[0]["history"]["loss"] == pytest.approx(curve, rel=1e-5)
    status, output = launch(tmp_path / "run", "--backup", "--signal", "1", "SIGKILL")
    assert status == 128 + 9
    assert "stepfit launch: process 1 was ended by signal 9" in output
    assert "process 0 of 2: expected all processes to train on, found that one is gone" in output, (
        output
    )
    status, output = launch(tmp_path / "run", "--backup")
    assert status == 0, output
    assert "Epoch 1/3" not in output
    again = result(tmp_path / "run")
    assert again[0]["history"] == whole[0]["history"]
    assert all(np.array_equal(x, y) for x, y in zip(again[1], whole[1], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, processes, devices, data",
    [
        ("data", 2, 1, "arrays"), ("tensor", 2, 2, "arrays"), ("tensor", 4, 1, "arrays"),
        ("sharded", 4, 2, "generator"), ("share", 2, 1, "generator"),
        ("share", 4, 1, "generator"),
    ],
)  # fmt: skip
def test_curves_are_those_of_one_process(tmp_path, kind, processes, devices, data):
    alone = one(tmp_path / "one", "--data", data)
    arguments = ("--kind", kind, "--data", data)
    many = launch(tmp_path / "many", *arguments, processes=processes, devices=devices)
    assert many[0] == 0, many[1]
    together = result(tmp_path / "many")
    if kind == "share":  # each gave all of x to `predict`, as its share
        assert len(together[1][0]) == processes * len(alone[1][0])
        del together[1][:2], alone[1][:2]
    same(alone, together)


@pytest.mark.slow
def test_one_process_writes(tmp_path):
    status, output = launch(tmp_path / "run", "--kind", "tensor", "--checkpoint", devices=2)
    assert status == 0, output
    names = sorted(p.name for p in (tmp_path / "run").iterdir())
    assert names == [
        "1.npz", "2.npz", "3.npz", "log.csv", "model.keras", "orbax", "result.json", "result.npz",
    ]  # fmt: skip
    assert len((tmp_path / "run" / "log.csv").read_text().splitlines()) == 4


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_and_a_rerun_goes_on(tmp_path):
    status, output = launch(tmp_path / "whole")
    status, output = launch(tmp_path / "run", "--backup", "--signal", "1", "SIGTERM")
    assert status == 143, output
    assert "Saved a backup" in output
    status, output = launch(tmp_path / "run", "--backup")
    assert status == 0, output
    assert result(tmp_path / "run")[0]["history"] == result(tmp_path / "whole")[0]["history"]


@pytest.mark.slow
def test_a_signal_after_the_last_step_ends_all(tmp_path):
    status, output = launch(tmp_path, "--backup", "--signal", "1", "SIGTERM", "--late")
    assert status == 143, output
    assert "Saved a backup" in output and not (tmp_path / "result.npz").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_a_process_that_hangs_ends_the_others(tmp_path, number):
    status, output = launch(tmp_path, "--signal", str(number), "SIGSTOP")
    assert status == 128 + 6, output
    assert (
        f"stepfit launch: ending processes [{number}]: they did not end by themselves within 10 s "
        f"of process {1 - number}: they hang or were stopped. Run the command again: with "
        "BackupAndRestore it goes on from the last backup."
    ) in output
