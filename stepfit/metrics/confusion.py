"""Metrics that count right and wrong yes/no predictions at thresholds; see `counts`."""

import jax.numpy as jnp

from stepfit.core import errors
from stepfit.losses.loss import divide_no_nan
from stepfit.metrics import counts
from stepfit.metrics.metric import Metric

_NAMES = ("true_positives", "false_positives", "true_negatives", "false_negatives")


class _Counts(Metric):
    """Keeps those of the four counts that a subclass lists in `_kept`."""

    _kept: tuple[str, ...] = _NAMES
    top_k = class_id = None

    def _make(self, thresholds):
        self.thresholds = thresholds
        for name in self._kept:
            setattr(self, name, self.add_variable((len(thresholds),), name=name))

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch.

        Args:
            y_true: targets; what is not 0 is a yes.
            y_pred: predictions in [0, 1], the same shape.
            sample_weight: None, or weights for the leading axes of `y_pred`.
        """
        found = counts.count(
            self._where, y_true, y_pred, self.thresholds, sample_weight,
            top_k=self.top_k, class_id=self.class_id,
        )  # fmt: skip
        for name, value in zip(_NAMES, found, strict=True):
            if name in self._kept:
                getattr(self, name).assign_add(value)

    def _one_or_all(self, values):
        return values[0] if len(self.thresholds) == 1 else values


class _OneCount(_Counts):
    """One of the four counts, kept in `accumulator`."""

    _counted: str

    def __init__(self, thresholds=None, name=None, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.thresholds = counts.parse_thresholds(self._where, thresholds, 0.5)
        self.accumulator = self.add_variable((len(self.thresholds),), name="accumulator")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch of targets and predictions of one shape."""
        found = counts.count(self._where, y_true, y_pred, self.thresholds, sample_weight)
        self.accumulator.assign_add(found[_NAMES.index(self._counted)])

    def result(self):
        """Return the count, or with several thresholds the counts."""
        return self._one_or_all(self.accumulator.value)


class TruePositives(_OneCount):
    """Number of targets 1 that are predicted 1.

    Args:
        thresholds: None for 0.5, a number in [0, 1], or a list of them; a prediction above the
            threshold counts as 1.
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> float(keras.metrics.TruePositives()([0, 1, 1, 1], [1.0, 0.0, 1.0, 1.0]))
    2.0
    """

    _counted = "true_positives"


class FalsePositives(_OneCount):
    """Number of targets 0 that are predicted 1.

    Args:
        thresholds, name, dtype: as in `TruePositives`.

    >>> import stepfit as keras
    >>> float(keras.metrics.FalsePositives()([0, 1, 0, 0], [0.0, 0.0, 1.0, 1.0]))
    2.0
    """

    _counted = "false_positives"


class TrueNegatives(_OneCount):
    """Number of targets 0 that are predicted 0.

    Args:
        thresholds, name, dtype: as in `TruePositives`.

    >>> import stepfit as keras
    >>> float(keras.metrics.TrueNegatives()([0, 1, 0, 0], [1.0, 1.0, 0.0, 0.0]))
    2.0
    """

    _counted = "true_negatives"


class FalseNegatives(_OneCount):
    """Number of targets 1 that are predicted 0.

    Args:
        thresholds, name, dtype: as in `TruePositives`.

    >>> import stepfit as keras
    >>> float(keras.metrics.FalseNegatives()([0, 1, 1, 1], [0.0, 1.0, 0.0, 0.0]))
    2.0
    """

    _counted = "false_negatives"


class _Rate(_Counts):
    """True positives over themselves and the other kept count."""

    def __init__(self, thresholds=None, top_k=None, class_id=None, name=None, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.top_k, self.class_id = top_k, class_id
        default = 0.5 if top_k is None else counts.BELOW_ALL
        self._make(counts.parse_thresholds(self._where, thresholds, default))

    def result(self):
        """Return the rate, or with several thresholds the rates."""
        right, other = (getattr(self, name).value for name in self._kept)
        return self._one_or_all(divide_no_nan(right, right + other))


class Precision(_Rate):
    """Share of the predictions 1 that are right: `tp / (tp + fp)`.

    Args:
        thresholds: None for 0.5, a number in [0, 1], or a list of them; a prediction above the
            threshold counts as 1.
        top_k: None, or how many of each row's largest predictions count as 1 (with no threshold
            but this, unless one is given).
        class_id: None, or the one class (entry of the last axis) to look at.
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> round(float(keras.metrics.Precision()([0, 1, 1, 1], [1.0, 0.0, 1.0, 1.0])), 4)
    0.6667
    """

    _direction = "up"
    _kept = ("true_positives", "false_positives")


class Recall(_Rate):
    """Share of the targets 1 that are found: `tp / (tp + fn)`.

    Args:
        thresholds, top_k, class_id, name, dtype: as in `Precision`.

    >>> import stepfit as keras
    >>> round(float(keras.metrics.Recall()([0, 1, 1, 1], [1.0, 0.0, 1.0, 1.0])), 4)
    0.6667
    """

    _direction = "up"
    _kept = ("true_positives", "false_negatives")


class _BestUnder(_Counts):
    """The best of one rate at the thresholds where another is at least `value`."""

    _direction = "up"
    _argument: str  # the constructor's name for `value`
    _limited: str  # the rate that has the limit
    _best: str  # the rate to make large

    def __init__(self, value, num_thresholds, class_id, name, dtype):
        super().__init__(name=name, dtype=dtype)
        if not 0 <= value <= 1:
            raise errors.bad_value(self._argument, "a number in [0, 1]", repr(value))
        if num_thresholds <= 0:
            raise errors.bad_value("num_thresholds", "an int > 0", repr(num_thresholds))
        self.value, self.class_id, self.num_thresholds = value, class_id, num_thresholds
        self._make([0.5] if num_thresholds == 1 else counts.spaced(num_thresholds))

    def result(self):
        """Return the best rate, 0 where no threshold keeps the limit."""
        tp, fp, tn, fn = (getattr(self, name).value for name in _NAMES)
        rates = {
            "recall": divide_no_nan(tp, tp + fn),
            "precision": divide_no_nan(tp, tp + fp),
            "specificity": divide_no_nan(tn, tn + fp),
        }
        kept = rates[self._limited] >= self.value
        return jnp.max(jnp.where(kept, rates[self._best], 0.0), initial=0.0)


class SensitivityAtSpecificity(_BestUnder):
    """Best sensitivity (recall) among thresholds with at least the given specificity.

    Args:
        specificity: float in [0, 1]; specificity is `tn / (tn + fp)`.
        num_thresholds: int, how many thresholds between 0 and 1 are tried.
        class_id: None, or the one class (entry of the last axis) to look at.
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> metric = keras.metrics.SensitivityAtSpecificity(0.5)
    >>> float(metric([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8]))
    0.5
    """

    _argument, _limited, _best = "specificity", "specificity", "recall"

    def __init__(self, specificity, num_thresholds=200, class_id=None, name=None, dtype=None):
        super().__init__(specificity, num_thresholds, class_id, name, dtype)
        self.specificity = specificity


class SpecificityAtSensitivity(_BestUnder):
    """Best specificity among thresholds with at least the given sensitivity (recall).

    Args:
        sensitivity: float in [0, 1]; sensitivity is `tp / (tp + fn)`.
        num_thresholds, class_id, name, dtype: as in `SensitivityAtSpecificity`.

    >>> import stepfit as keras
    >>> metric = keras.metrics.SpecificityAtSensitivity(0.5)
    >>> round(float(metric([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])), 4)
    0.6667
    """

    _argument, _limited, _best = "sensitivity", "recall", "specificity"

    def __init__(self, sensitivity, num_thresholds=200, class_id=None, name=None, dtype=None):
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)
        self.sensitivity = sensitivity


class PrecisionAtRecall(_BestUnder):
    """Best precision among thresholds with at least the given recall.

    Args:
        recall: float in [0, 1].
        num_thresholds, class_id, name, dtype: as in `SensitivityAtSpecificity`.

    >>> import stepfit as keras
    >>> metric = keras.metrics.PrecisionAtRecall(0.5)
    >>> float(metric([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8]))
    0.5
    """

    _argument, _limited, _best = "recall", "recall", "precision"

    def __init__(self, recall, num_thresholds=200, class_id=None, name=None, dtype=None):
        super().__init__(recall, num_thresholds, class_id, name, dtype)
        self.recall = recall


class RecallAtPrecision(_BestUnder):
    """Best recall among thresholds with at least the given precision.

    Args:
        precision: float in [0, 1].
        num_thresholds, class_id, name, dtype: as in `SensitivityAtSpecificity`.

    >>> import stepfit as keras
    >>> metric = keras.metrics.RecallAtPrecision(0.8)
    >>> float(metric([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9]))
    0.5
    """

    _argument, _limited, _best = "precision", "precision", "recall"

    def __init__(self, precision, num_thresholds=200, class_id=None, name=None, dtype=None):
        super().__init__(precision, num_thresholds, class_id, name, dtype)
        self.precision = precision
