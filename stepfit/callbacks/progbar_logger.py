"""Progress and metrics on standard output."""

from typing import Any

from stepfit.callbacks.callback import Callback
from stepfit.utils.console import print_msg
from stepfit.utils.progbar import Progbar


class ProgbarLogger(Callback):
    """Shows a progress bar per epoch, or per call of `evaluate` and `predict`.

    On a terminal and in a notebook the bar is redrawn in place; in a log each epoch gets one line.
    `fit` adds one unless `verbose=0`.

    Example:

    >>> import stepfit as keras
    >>> bar = keras.callbacks.ProgbarLogger()
    >>> bar.set_params({"verbose": 2, "epochs": 2, "steps": 1})
    >>> bar.on_epoch_begin(0)
    Epoch 1/2
    """

    by_first_process = True

    lazy_batch_logs = True

    def __init__(self):
        super().__init__()
        self.progbar: Any = None
        self.verbose, self.epochs, self.target = 1, 1, None
        self._seen = 0
        self._runner: Any = None  # whose steps are shown, once there was one
        self._in_fit = False

    def set_params(self, params):
        super().set_params(params)
        verbose = params.get("verbose", 1)
        self.verbose = 1 if verbose == "auto" else int(verbose)
        self.epochs = params.get("epochs") or 1
        self.target = params.get("steps")

    def on_train_begin(self, logs=None):
        self._in_fit = True

    def on_train_end(self, logs=None):
        self._in_fit = False

    def on_epoch_begin(self, epoch, logs=None):
        self._open()
        if self.verbose and self.epochs > 1:
            print_msg(f"Epoch {epoch + 1}/{self.epochs}")

    def on_epoch_end(self, epoch, logs=None):
        self._close(logs)

    def on_test_begin(self, logs=None):
        if not self._in_fit:
            self._open()
        elif self.progbar is not None:
            self.progbar.stop_clock()

    def on_test_end(self, logs=None):
        if not self._in_fit:
            self._close(logs)

    def on_predict_begin(self, logs=None):
        self._open()

    def on_predict_end(self, logs=None):
        self._close(None)

    def on_train_batch_end(self, batch, logs=None):
        self._step("train", batch, logs)

    def on_test_batch_end(self, batch, logs=None):
        if not self._in_fit:
            self._step("test", batch, logs)

    def on_predict_batch_end(self, batch, logs=None):
        self._step("predict", batch, None)

    def _open(self):
        self._seen, self._runner = 0, None
        self.progbar = Progbar(self.target, verbose=self.verbose, stateless_metrics=())

    def _step(self, kind, batch, logs):
        if self.progbar is None:
            self._open()
        first, self._seen = self._seen == 0, batch + 1
        if first and hasattr(self.model, "_runner"):
            self._runner = self.model._runner(kind)
        due = self.progbar.due()
        if due or first:  # the first step tells when compiling was over
            logs = (logs() if callable(logs) else logs) if due else None
            self._leave_compiling_out()
            self.progbar.update(self._seen, list((logs or {}).items()), finalize=False)

    def _leave_compiling_out(self):
        if self._runner is not None:
            self.progbar.leave_out(self._runner.seconds["compile"])

    def _close(self, logs):
        if self.progbar is None:
            return
        seen = self._seen or self.target or 0
        if self.target is None:
            self.progbar.target = seen
            if self._in_fit:
                self.target = seen
        self._leave_compiling_out()
        self.progbar.update(seen, list((logs or {}).items()), finalize=True)
        self.progbar = self._runner = None
