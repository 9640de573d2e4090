"""Logs for Weights & Biases."""

from typing import Any

from stepfit.callbacks.callback import Callback
from stepfit.callbacks.facts import facts_of
from stepfit.utils import optional


class WandbLogger(Callback):
    """Sends the logs of each epoch to a run of Weights & Biases.

    It goes into the current run if there is one, else into a run of its own, which it finishes. A
    run that is resumed goes on in the same W&B run. Needs ``pip install 'stepfit[wandb]'``.

    Args:
        project: name of the project.
        name: name of the run.
        config: dict of settings to keep with the run, beside "epochs", "steps" and "optimizer".
        init: further arguments of `wandb.init`, such as ``mode="offline"`` and `dir`.

    Attributes:
        run_id: identity of the run, once training has begun.

    Raises:
        ImportError: the package `wandb` is not installed.

    Example::

        keras.callbacks.WandbLogger(project="digits", name="baseline", config={"width": 64})
    """

    by_first_process = True

    def __init__(self, project=None, name=None, config=None, **init):
        super().__init__()
        self._wandb = optional.load("wandb", "WandbLogger", "wandb")
        self.project, self.name, self.config, self.init = project, name, dict(config or {}), init
        self.run_id: Any = None
        self._run: Any = None
        self._owned = False

    def on_train_begin(self, logs=None):
        self.run_id, self._run = None, None

    def on_epoch_begin(self, epoch, logs=None):
        if self._run is not None:
            return
        current = self._wandb.run
        self._owned = current is None
        if self._owned:
            again = {} if self.run_id is None else {"id": self.run_id, "resume": "allow"}
            arguments = {**self.init, **again}
            current = self._wandb.init(project=self.project, name=self.name, **arguments)
            current.define_metric("*", step_metric="epoch")
        self._run, self.run_id = current, current.id
        facts = facts_of(self.model, self.params)
        current.config.update({**facts, **self.config}, allow_val_change=True)

    def on_epoch_end(self, epoch, logs=None):
        self._run.log({"epoch": epoch, **(logs or {})})

    def on_train_end(self, logs=None):
        self._end(0)

    def interrupted(self):
        self._end(1)

    def failed(self):
        self._end(1)

    def _end(self, code):
        if self._run is not None and self._owned:
            self._run.finish(exit_code=code)
        self._run = None

    def state(self):
        return {"run_id": self.run_id}

    def restore(self, state):
        self.run_id = state["run_id"]
