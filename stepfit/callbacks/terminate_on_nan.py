"""Stopping at a loss that is not a number."""

import math

from stepfit.callbacks.callback import Callback
from stepfit.core import errors
from stepfit.utils.console import print_msg


class TerminateOnNaN(Callback):
    """Stops training at the first batch with a loss that is NaN or infinite.

    The loss of every batch is looked at. Where steps are fused, the rest of their chunk has run by
    then (some tenth of a second).

    Args:
        raise_error: whether to raise an error instead of ending `fit` in the ordinary way.

    Raises:
        RuntimeError: at such a loss, with `raise_error`.

    Example:

    >>> import stepfit as keras
    >>> keras.callbacks.TerminateOnNaN(raise_error=True).on_train_batch_end(0, {"loss": 0.5})
    """

    fused_safe = True

    def __init__(self, raise_error=False):
        super().__init__()
        self.raise_error = raise_error

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            fix = "lower the learning rate, or look for NaN in the data"
            text = errors.message(f"batch {batch}", "a finite loss", repr(float(loss)), fix)
            raise errors.StepfitRuntimeError(text)
        print_msg(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True
