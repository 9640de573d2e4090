"""The benchmark at tiny sizes: everyone computes the same, and who does not is found."""

import dataclasses
import json
import os
import time
import xml.etree.ElementTree as ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import (
    accelerator,
    bars,
    chart,
    frameworks,
    harness,
    profile,
    report,
    run,
    workloads,
)

TINY = {**workloads.TINY, **{f"gpu-{name}": row for name, row in workloads.GPU_TINY.items()}}
# The same models as rows above them, at other sizes: built by the same code.
AGAIN = {"b-128", "gpu-b", "gpu-c", "gpu-e"}
LAYERS = {name for name in TINY if name.startswith("layers-")}


def race(row, *names, times=2):
    """Have each contestant do a row's operation; return them with their results."""
    racing = harness.contestants(row, names)
    for one in racing:
        one.repeats = times
        one.window()
    return racing


def first(names, chosen):
    """Rows for every run, those `chosen`; the others have the mark of the slow forms."""
    return [n if n in chosen else pytest.param(n, marks=pytest.mark.slow) for n in sorted(names)]


OFTEN = {"a", "a-evaluate", "b-32", "d"}


@pytest.mark.parametrize("name", first(set(TINY) - AGAIN - LAYERS, OFTEN))
def test_stepfit_and_the_hand_written_loop_compute_the_same(name):
    row = TINY[name]
    racing = race(row, "stepfit", "jax loop")
    assert [one.name for one in racing] == ["stepfit", "jax loop"]
    assert harness.differences(racing, row.workload.tolerance) == {}
    losses = racing[0].results
    assert np.isfinite(losses).all() and min(losses) > 0
    if row.operation.startswith("train"):  # the first repetition has changed the weights
        assert losses[0] != losses[1]
    racing[1].results[1] *= 1 + 3 * row.workload.tolerance
    assert list(harness.differences(racing, row.workload.tolerance)) == ["stepfit"]


@pytest.mark.parametrize("name", first(LAYERS, {"layers-batchnorm"}))
def test_rows_of_layers_train_as_in_keras(name):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    names = ["stepfit", "keras"] if name in ("layers-lstm", "layers-batchnorm") else ["stepfit"]
    racing = race(TINY[name], *names, "jax loop", "torch")
    assert [one.name for one in racing] == names
    assert harness.differences(racing, TINY[name].workload.tolerance) == {}
    assert racing[0].results[0] != racing[0].results[1]


@pytest.mark.parametrize("name", ["a", "a-1000", "a-evaluate", "a-predict", "b-32"])
def test_the_hand_written_scan_takes_the_last_smaller_batch_too(name):
    row = TINY[name]
    row = dataclasses.replace(row, workload=dataclasses.replace(row.workload, rows=80))
    racing = race(row, "stepfit", "jax loop", "jax scan")
    assert len(racing) == 3 and row.workload.steps == 3
    assert harness.differences(racing, row.workload.tolerance) == {}


def test_who_computes_less_fails_the_row(monkeypatch):
    stepfit = frameworks.find("stepfit", workloads.TINY["a"].workload, "train").func

    def train(self, times):
        time.sleep(0.002)
        return [0.5] * times

    monkeypatch.setattr(stepfit, "train", train)
    settings = harness.Settings(windows=2, window=0.001)
    found = harness.run_row(workloads.TINY["a"], ["stepfit", "jax loop"], settings)
    assert list(found["differ"]) == ["stepfit"]
    assert "LOSSES DIFFER: stepfit is off by " in report.times(results_of({"a": found}))


def results_of(rows):
    return {"date": "2000-01-01", "machine": {}, "versions": {}, "settings": {"windows": 2},
            "accelerator": None, "rows": rows}  # fmt: skip


def test_one_run_writes_table_picture_and_results(tmp_path, capsys):
    arguments = ["--tiny", "--quick", "--only", "a,small-call", "--out", str(tmp_path)]
    assert run.main([*arguments, "--frameworks", "stepfit,jax loop,jax scan"]) == 0
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "table.md").read_text() + "\n"
    assert "| a: evaluate |" in printed and "| MLP: calling the model |" in printed
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results["rows"]) == ["a", "a-1000", "a-evaluate", "a-predict", "small-call"]
    one = results["rows"]["a"]["contestants"]["stepfit"]
    assert 0 < one["min_us"] <= one["median_us"] <= one["quartiles_us"][1] and one["windows"] == 2
    assert len(results["bars"]) == 4
    picture = ElementTree.fromstring((tmp_path / "chart.svg").read_text())
    texts = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert "a: evaluate" in texts and "JAX by hand, scan" in texts


def row_of(**microseconds):
    made = {name.replace("_", " "): {"median_us": us} for name, us in microseconds.items()}
    return {"contestants": made, "title": "some row", "differ": {}}


@pytest.mark.parametrize(
    "name, times, wrong",
    [
        ("a", {"stepfit": 2, "keras": 70, "jax_loop": 50, "jax_scan": 1.4}, []),
        ("a", {"stepfit": 2, "keras": 69, "jax_scan": 1.3}, ["default", "scan"]),
        ("c", {"stepfit": 10, "keras": 31, "keras_best_spe": 9, "jax_loop": 21}, ["best steps"]),
        ("d", {"stepfit": 1, "keras": 26, "jax_loop": 14}, ["loop"]),
        ("layers-gru", {"stepfit": 10, "keras": 9.9}, ["default"]),
    ],
)
def test_bars(name, times, wrong):
    found = bars.check(results_of({name: row_of(**times)}))
    unmet = [bar.what for bar in found if not bar.met]
    assert len(unmet) == len(wrong) and all(w in what for w, what in zip(wrong, unmet, strict=True))
    assert len(found) == len(times) - 1 - ("jax_scan" in times and "jax_loop" in times)
    assert report.bar_table(results_of({name: row_of(**times)})).count("**not met**") == len(wrong)


def test_bars_of_startup_and_memory_and_their_tables():
    steps = {"stepfit cold": 2.0, "stepfit warm": 1.0, "keras cold": 1.5, "keras warm": 1.2}
    results = results_of({}) | {
        "startup": {"import": {"jax": 1.0, "stepfit": 1.2, "keras": 3.0}, "a": steps},
        "memory": {"b-60k": {"stepfit": 2_000_000, "keras": 1_900_000}},
    }
    assert [(bar.found, bar.met) for bar in bars.check(results)] == [
        (1.2, True), (pytest.approx(2 / 3), False), (pytest.approx(20 / 19), False),
    ]  # fmt: skip
    text = report.markdown(results)
    assert "Import: jax 1.00 s; stepfit 1.20 s; keras 3.00 s." in text
    assert "| 2.00 | 1.00 | 1.50 | 1.20 |" in text and "188 MB" in text


def test_slow_contestants_take_fewer_windows():
    class Slow:
        options: dict = {}

        def train(self, times):
            return [1.0] * times

    settings = harness.Settings(windows=10, window=0.0, patience=5.0, fewest=3)
    one = harness.Contestant("slow", Slow(), "train", units=4)
    harness.prepare(one, settings)
    taken = 0
    while not one.done(settings):
        one.spent += 3.0
        one.record(3.0)
        taken += 1
    assert taken == 3 and one.summary()["median_us"] == pytest.approx(3e6 / 4)
    one = harness.Contestant("very slow", Slow(), "train", units=1)
    one.record(6.0)
    assert one.done(settings)


def test_operations_of_a_step_by_xla_and_by_hand():
    mlp = workloads.TINY["b-32"].workload
    weights = sum(a * b for a, b in ((8, 4), (4, 4), (4, 10)))
    # Forward and both backward products, but no gradient of the inputs.
    products = 2 * mlp.batch * (3 * weights - 8 * 4)
    assert products < accelerator.step_flops(mlp) < 3 * products
    gpt = workloads.GPU_TINY["gpt"].workload
    by_hand = accelerator.step_flops(gpt)
    by_xla = accelerator.step_flops(type("Counted", (type(gpt),), {"flops": lambda self: None})(
        **dataclasses.asdict(gpt)))  # fmt: skip
    assert by_hand == pytest.approx(by_xla, rel=0.5)
    assert accelerator.measured_peak(size=64, chain=2, times=1) > 0


class Zeros:
    """Stands for a random generator where only shapes matter."""

    def normal(self, loc=0.0, scale=1.0, size=()):
        return np.broadcast_to(np.float32(0), size)


def test_gpt_has_124_million_parameters_and_resnet_25():
    for row, millions in (("gpt", 124.4), ("resnet50", 25.6)):
        weights = workloads.GPU[row].workload.make_weights(Zeros())
        count = sum(np.size(a) for arrays in weights.values() for a in arrays)
        assert count / 1e6 == pytest.approx(millions, abs=0.1)


@pytest.mark.parametrize(
    "microseconds, text",
    [(0.734, "0.734 us"), (99.7, "100 us"), (1234, "1.23 ms"), (2.5e7, "25 s")],
)
def test_durations(microseconds, text):
    assert report.duration(microseconds) == text


@pytest.mark.parametrize("option", [["--only", "z"], ["--frameworks", "caffe"]])
def test_unknown_names_are_told(option):
    with pytest.raises(SystemExit, match="is not known; choose from"):
        run.main(option)


def test_names_choose_rows():
    chosen = run.choose_rows(run.arguments(["--only", "b,c"]), list(workloads.FULL))
    assert chosen == ["b-32", "b-128", "c"]


def test_the_picture_has_a_dot_for_every_time():
    rows = {"a": row_of(stepfit=2.0, keras=150.0, torch=100.0), "c": row_of(stepfit=9.0, torch=3.0)}
    assert chart.svg(results_of(rows)).count("<circle") == 3 + 3 + 2  # legend and dots


def test_a_profile_says_where_the_time_of_a_step_goes():
    found = profile.measure(workloads.TINY["b-32"], turns=1, seconds=0.01)
    sizes = workloads.TINY["b-32"].workload
    widths = [sizes.features, sizes.hidden, sizes.hidden, sizes.classes]
    products = [2 * sizes.batch * a * b for a, b in zip(widths, widths[1:])]
    assert found["call"] > 0 < found["alone"]
    assert 0 < found["products"] < 1
    assert found["rate"] == found["flops"] / found["alone"]
    assert 3 * sum(products) - products[0] < found["flops"] < 5 * sum(products)


def test_products_are_told_from_other_kernels():
    x = np.ones((64, 64), "float32")
    text = jax.jit(lambda x: jnp.tanh(x @ x) + jnp.sort(x, 0)).lower(x).compile().as_text()
    kinds = profile.kinds_of_kernels(text)
    products = {name for name, kind in kinds.items() if kind == "product"}
    assert products and {name for name in kinds if "sort" in name} <= set(kinds) - products
    assert len(products) <= 2 < len(kinds)  # the product, and what it was fused into, if it was
