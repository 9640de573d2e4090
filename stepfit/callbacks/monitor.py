"""Watching one metric: which direction is better, and whether it got better."""

import math
import re

from stepfit.callbacks.callback import Callback
from stepfit.core import errors

_HIGHER = (
    "acc", "accuracy", "auc", "precision", "recall", "fbeta_score", "f1_score", "f1", "score",
    "iou", "io_u", "mean_io_u", "r2_score", "r2", "cosine_similarity", "correlation",
    "sensitivity_at_specificity", "specificity_at_sensitivity", "precision_at_recall",
    "recall_at_precision", "true_positives", "true_negatives",
)  # fmt: skip
_LOWER = (
    "loss", "mse", "mae", "mape", "msle", "rmse", "error", "crossentropy", "kl_divergence",
    "kullback_leibler_divergence", "divergence", "poisson", "logcosh", "log_cosh", "hinge",
    "huber", "perplexity", "false_positives", "false_negatives",
)  # fmt: skip


def direction(monitor, where):
    """Return "min" or "max" for the name of a metric; error where the name does not tell."""
    name = re.sub(r"_\d+$", "", monitor.removeprefix("val_")).lower()
    for mode, known in (("max", _HIGHER), ("min", _LOWER)):
        if any(name == k or name.endswith(f"_{k}") for k in known):
            return mode
    raise errors.bad_value(
        where,
        "mode='min' or mode='max' where the name of the metric does not tell",
        f"mode='auto' with monitor={monitor!r}",
        "pass mode='min' if a lower value is better, else mode='max'",
    )


class MonitorCallback(Callback):
    """Base of callbacks that compare a metric with the best value so far.

    Args:
        monitor: name of the metric in the logs.
        mode: "min", "max", or "auto" (by the name of the metric).
        baseline: value that counts as the best before the first epoch, or None.
        min_delta: smallest change that counts as an improvement.
    """

    def __init__(self, monitor="val_loss", mode="auto", baseline=None, min_delta=0):
        super().__init__()
        where = type(self).__name__
        if not isinstance(monitor, str):
            found = errors.describe(monitor)
            raise errors.bad_type(f"{where}(monitor)", "the name of a metric", found)
        if mode not in ("auto", "min", "max"):
            raise errors.unknown_name(f"{where}(mode)", "mode", mode, ("auto", "min", "max"))
        self.monitor, self.mode, self.best = monitor, mode, baseline
        self.min_delta = abs(min_delta)
        self._direction = None

    def is_improvement(self, value, reference):
        """Say whether `value` is better than `reference` by more than `min_delta`; NaN never is."""
        if self._direction is None:
            self._direction = self.mode
            if self.mode == "auto":
                self._direction = direction(self.monitor, type(self).__name__)
        if math.isnan(value):
            return False
        if reference is None:
            return True
        if self._direction == "min":
            return value + self.min_delta < reference
        return value - self.min_delta > reference

    def monitored(self, epoch, logs):
        """Return the value of the metric; None in an epoch without validation.

        Raises:
            ValueError: where the logs have no such metric, naming those they have.
        """
        logs = logs or {}
        value = logs.get(self.monitor)
        if value is not None:
            try:
                return float(value)
            except (TypeError, ValueError):
                fix = "monitor another one, or reduce it in the step"
                where = f"{type(self).__name__}(monitor={self.monitor!r})"
                found = errors.describe(value)
                raise errors.bad_type(where, "a metric with one value", found, fix) from None
        if self.monitor.startswith("val_") and not self._validated(epoch):
            if any(n.removeprefix("val_") == self.monitor[4:] for n in logs):
                return None
        raise self._missing(logs)

    def check_monitor(self, names):
        """Raise where the metric cannot come.

        Args:
            names: those that the logs of an epoch will have, as far as the model tells.
        """
        if not getattr(self, "save_best_only", True):
            return
        if self.monitor not in names:
            raise self._missing(names)
        if self.mode == "auto":
            direction(self.monitor, type(self).__name__)

    def _validated(self, epoch):
        """Say whether this epoch was to be validated (see `validation_freq` of `fit`)."""
        freq = (self.params or {}).get("validation_freq") or 1
        return (epoch + 1) % freq == 0 if isinstance(freq, int) else epoch + 1 in freq

    def _missing(self, logs):
        where = f"{type(self).__name__}(monitor={self.monitor!r})"
        names = ", ".join(sorted(logs)) or "none"
        near = errors.nearest(self.monitor, logs)
        fix = "pass one of these names"
        if self.monitor.startswith("val_") and not any(n.startswith("val_") for n in logs):
            fix = "pass validation_data or validation_split to fit"
            if self.monitor[4:] in logs:
                near = self.monitor[4:]
            else:
                near = errors.nearest(self.monitor, [*logs, *(f"val_{n}" for n in logs)])
        if near:
            fix += f", or write {near!r}"
        return errors.bad_value(where, f"one of the metrics {names}", repr(self.monitor), fix)
