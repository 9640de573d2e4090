"""Logs for MLflow."""

from typing import Any

from stepfit.callbacks.callback import Callback
from stepfit.callbacks.facts import facts_of
from stepfit.utils import optional


class MLflowLogger(Callback):
    """Sends the logs of each epoch to an MLflow run.

    It goes into the active run if there is one, else into a run of its own, which it ends. A run
    that is resumed goes on in the same MLflow run. Needs ``pip install 'stepfit[mlflow]'``. Where
    MLflow keeps its runs is set with `mlflow.set_tracking_uri`.

    Args:
        run_name: name of a run of its own.
        params: dict of parameters to log, beside "epochs", "steps" and the "optimizer".
        tags: dict of tags of a run of its own.

    Attributes:
        run_id: identity of the run, once training has begun.

    Raises:
        ImportError: the package `mlflow` is not installed.

    Example::

        keras.callbacks.MLflowLogger(run_name="baseline", params={"width": 64})
    """

    by_first_process = True

    def __init__(self, run_name=None, params=None, tags=None):
        super().__init__()
        self._mlflow = optional.load("mlflow", "MLflowLogger", "mlflow")
        self.run_name, self.params_to_log, self.tags = run_name, dict(params or {}), tags
        self.run_id: Any = None
        self._active = self._owned = False

    def on_train_begin(self, logs=None):
        self.run_id, self._active = None, False

    def on_epoch_begin(self, epoch, logs=None):
        if self._active:
            return
        current, resumed = self._mlflow.active_run(), self.run_id is not None
        self._owned = current is None or (resumed and current.info.run_id != self.run_id)
        if self._owned:
            current = self._mlflow.start_run(
                run_id=self.run_id, run_name=self.run_name, tags=self.tags, nested=True
            )
        self.run_id, self._active = current.info.run_id, True
        if not resumed:
            self._mlflow.log_params({**facts_of(self.model, self.params), **self.params_to_log})

    def on_epoch_end(self, epoch, logs=None):
        numbers = {k: v for k, v in (logs or {}).items() if isinstance(v, float)}
        self._mlflow.log_metrics(numbers, step=epoch, run_id=self.run_id)

    def on_train_end(self, logs=None):
        self._end("FINISHED")

    def interrupted(self):
        self._end("KILLED")

    def failed(self):
        self._end("FAILED")

    def _end(self, status):
        if self._active and self._owned:
            self._mlflow.end_run(status)
        self._active = False

    def state(self):
        return {"run_id": self.run_id}

    def restore(self, state):
        self.run_id = state["run_id"]
