"""MLflowLogger and WandbLogger, with the real packages, on this machine only."""

import sys

import pytest

import stepfit as keras
from stepfit.callbacks import MLflowLogger, WandbLogger

from .resuming import BreakOff, Crash, GoOn
from .small import compiled, fit


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    module = pytest.importorskip("mlflow")
    module.set_tracking_uri(f"file://{tmp_path}/runs")
    yield module
    while module.active_run() is not None:
        module.end_run()


def logged(mlflow, run_id, name):
    return [(m.step, m.value) for m in mlflow.MlflowClient().get_metric_history(run_id, name)]


def test_mlflow_gets_the_history(mlflow):
    logger = MLflowLogger(run_name="mine", params={"width": 4}, tags={"kind": "test"})
    history = fit(compiled(), [logger], 3, validation_split=1 / 3).history
    for name in ("loss", "val_loss"):
        assert logged(mlflow, logger.run_id, name) == list(enumerate(history[name]))
    run = mlflow.get_run(logger.run_id)
    assert run.info.status == "FINISHED" and run.info.run_name == "mine"
    assert run.data.params == {"epochs": "3", "steps": "4", "optimizer": "SGD", "width": "4"}
    assert run.data.tags["kind"] == "test" and mlflow.active_run() is None


def test_mlflow_goes_into_the_run_that_is_active(mlflow):
    with mlflow.start_run() as run:
        logger = MLflowLogger()
        fit(compiled(), [logger], 2)
        assert logger.run_id == run.info.run_id
        assert mlflow.active_run().info.run_id == run.info.run_id
    assert len(logged(mlflow, logger.run_id, "loss")) == 2


def test_a_resumed_run_goes_on_in_its_mlflow_run(mlflow):
    crash, last = BreakOff(1), MLflowLogger()
    with pytest.raises(Crash):
        fit(compiled(), [MLflowLogger(params={"width": 4}), crash], 4)
    history = fit(compiled(), [last, GoOn(crash.kept)], 4).history
    assert logged(mlflow, last.run_id, "loss") == list(enumerate(history["loss"]))
    assert len(mlflow.search_runs(output_format="list")) == 1
    assert mlflow.get_run(last.run_id).info.status == "FINISHED"


def test_a_failed_run_is_marked(mlflow):
    def fail(epoch, logs):
        raise RuntimeError("mine")

    logger = MLflowLogger()
    with pytest.raises(RuntimeError, match="mine"):
        fit(compiled(), [logger, keras.callbacks.LambdaCallback(on_epoch_end=fail)], 1)
    assert mlflow.get_run(logger.run_id).info.status == "FAILED"


@pytest.fixture
def wandb(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_CONSOLE", "off")
    module = pytest.importorskip("wandb")
    rows = []
    original = module.sdk.wandb_run.Run.log
    monkeypatch.setattr(
        module.sdk.wandb_run.Run, "log",
        lambda run, data, *args, **kwargs: rows.append((run.id, dict(data)))
        or original(run, data, *args, **kwargs),
    )  # fmt: skip
    module.rows = rows
    yield module
    if module.run is not None:
        module.run.finish()


def test_wandb_gets_the_history_and_goes_on_after_a_resume(wandb, tmp_path):
    def make():
        return WandbLogger(project="tests", name="mine", config={"width": 4})

    crash, last = BreakOff(1), make()
    with pytest.raises(Crash):
        fit(compiled(), [make(), crash], 3)
    assert wandb.run is None  # it is finished
    history = fit(compiled(), [last, GoOn(crash.kept)], 3).history
    assert [row for _, row in wandb.rows] == [
        {"epoch": epoch, "loss": loss} for epoch, loss in enumerate(history["loss"])
    ]
    assert {run for run, _ in wandb.rows} == {last.run_id}
    files = list((tmp_path / "wandb").glob(f"offline-run-*/run-{last.run_id}.wandb"))
    assert files and all(file.stat().st_size for file in files)


def test_wandb_goes_into_the_run_that_is_there(wandb):
    with wandb.init(project="tests") as run:
        logger = WandbLogger(config={"width": 4})
        fit(compiled(), [logger], 2)
        assert logger.run_id == run.id and wandb.run is run
        assert dict(run.config) == {"epochs": 2, "steps": 6, "optimizer": "SGD", "width": 4}
        assert run.summary["epoch"] == 1


@pytest.mark.parametrize(("make", "package"), [(MLflowLogger, "mlflow"), (WandbLogger, "wandb")])
def test_without_the_package(monkeypatch, make, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError) as error:
        make()
    assert str(error.value) == (
        f"{make.__name__}: expected the package {package!r}, found it not installed; run: pip "
        f"install 'stepfit[{package}]'."
    )
