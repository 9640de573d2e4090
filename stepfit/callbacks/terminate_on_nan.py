"""Stopping at a loss that is not a number."""

import math
from typing import Any

from stepfit.callbacks.callback import Callback
from stepfit.core import errors
from stepfit.utils.console import print_msg


class TerminateOnNaN(Callback):
    """Stops training at the first batch with a loss that is NaN or infinite, and says why.

    Every step's logs with "loss" in their name are looked at (all logs, where there is no such
    name), and the weights now and then. The model is left as it was before the step that went
    wrong first. The report names the layer and the operation that made the first NaN, or the input
    and the sample that held it. Steps stay fused.

    Args:
        raise_error: whether to raise an error instead of ending `fit` in the ordinary way.
        autopsy: whether to find out where it came from. That takes memory on the device for a
            second copy of the weights and the optimizer's state. Without it the model keeps what
            the bad step, and others that were under way, made of it.

    Attributes:
        report: the `Autopsy` of the last `fit`, or None: with attributes `epoch`, `batch`, `cause`,
            `layer`, `operation`, `source`, `samples` and others; `print` it.

    Raises:
        NonFiniteError: (a RuntimeError) at such a loss, with `raise_error`.

    Example:

    >>> import numpy as np, stepfit as keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> x, y = np.ones((64, 2)), np.ones((64, 1))
    >>> x[40, 1] = np.nan
    >>> watch = keras.callbacks.TerminateOnNaN(raise_error=True)
    >>> try:
    ...     model.fit(x, y, shuffle=False, verbose=0, callbacks=[watch])
    ... except RuntimeError:
    ...     print(watch.report.cause, watch.report.place, watch.report.samples)
    data x (40,)
    """

    def __init__(self, raise_error: bool = False, autopsy: bool = True):
        super().__init__()
        self.raise_error, self.autopsy = raise_error, autopsy
        self.report: Any = None

    def needs_model_after(self, batch: int) -> int | None:
        """Return None: `fit` itself looks at every loss, and calls `stop`."""
        return None

    def on_train_begin(self, logs=None):
        self.report = None

    def on_train_batch_end(self, batch, logs=None):
        """Look at the logs, in a loop of one's own."""
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        fix = "lower the learning rate, or look for NaN in the data"
        self._end(batch, errors.message(f"batch {batch}", "a finite loss", repr(float(loss)), fix))

    def stop(self, report: Any) -> None:
        """Stop the training for what an `Autopsy` says.

        Raises:
            NonFiniteError: with `raise_error`.
        """
        self.report = report
        self._end(report.batch, str(report), report)

    def _end(self, batch, text, report=None):
        if self.raise_error:
            raise errors.NonFiniteError(text, report)
        told = f"\n{text}" if report is not None and self.autopsy else ""
        print_msg(f"Batch {batch}: Invalid loss, terminating training{told}")
        self.model.stop_training = True
