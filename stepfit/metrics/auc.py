"""Area under the ROC, precision-recall and precision-recall-gain curves."""

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import config, errors
from stepfit.losses.loss import divide_no_nan
from stepfit.losses.shapes import show
from stepfit.metrics import counts
from stepfit.metrics.metric import Metric

_CURVES = {"ROC": "ROC", "roc": "ROC", "PR": "PR", "pr": "PR", "PRGAIN": "PRGAIN",
           "prgain": "PRGAIN"}  # fmt: skip
_METHODS = ("interpolation", "majoring", "minoring")


class AUC(Metric):
    """Area under a curve of rates, approximated from counts at thresholds.

    ROC: recall over false positive rate; PR: precision over recall; PRGAIN: precision gain over
    recall gain.

    Args:
        num_thresholds: int > 1, number of thresholds evenly spaced in [0, 1].
        curve: "ROC", "PR" or "PRGAIN".
        summation_method: how the area between two points is taken: "interpolation" (trapezoids;
            for PR, interpolation of the counts), "majoring" or "minoring" (upper, lower sum).
        name, dtype: as in `Metric`.
        thresholds: None, or the thresholds between 0 and 1 to use in place of `num_thresholds`.
        multi_label: whether to take the area for each label (last axis of two) and average.
        num_labels: number of labels with `multi_label`; else found at the first update.
        label_weights: None, or weights of the labels: with `multi_label` of their areas, without it
            of their predictions.
        from_logits: whether predictions are logits, that is, no sigmoid was applied.

    Raises:
        ValueError: unknown curve or method, one threshold or fewer, shapes that do not go together.

    >>> import stepfit as keras
    >>> metric = keras.metrics.AUC(num_thresholds=3)
    >>> float(metric([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9]))
    0.75

    Sources: J. Davis and M. Goadrich, The relationship between precision-recall and ROC curves,
    2006; P. Flach and M. Kull, Precision-recall-gain curves, 2015.
    """

    _direction = "up"

    def __init__(
        self,
        num_thresholds=200,
        curve="ROC",
        summation_method="interpolation",
        name=None,
        dtype=None,
        thresholds=None,
        multi_label=False,
        num_labels=None,
        label_weights=None,
        from_logits=False,
    ):
        super().__init__(name=name, dtype=dtype)
        if curve not in _CURVES:
            raise errors.unknown_name("curve", "curve", curve, ("ROC", "PR", "PRGAIN"))
        if str(summation_method).lower() not in _METHODS:
            raise errors.unknown_name(
                "summation_method", "summation method", summation_method, _METHODS
            )
        if thresholds is None and num_thresholds <= 1:
            raise errors.bad_value("num_thresholds", "an int > 1", repr(num_thresholds))
        if num_labels and not multi_label:
            raise errors.bad_value(
                "num_labels", "None without multi_label", repr(num_labels), "pass multi_label=True"
            )
        self.curve, self.summation_method = _CURVES[curve], str(summation_method).lower()
        if thresholds is None:
            inner = counts.spaced(num_thresholds)[1:-1]
        else:
            inner = sorted(counts.parse_thresholds(self._where, thresholds, None))
        epsilon = config.epsilon()  # the ends lie outside [0, 1], so that 0 and 1 are inside
        self.thresholds = [0.0 - epsilon, *inner, 1.0 + epsilon]
        self.num_thresholds = len(self.thresholds)
        self.multi_label, self.num_labels = bool(multi_label), num_labels
        self.label_weights = None
        if label_weights is not None:
            self.label_weights = np.asarray(label_weights, self.dtype)
        self.from_logits = from_logits
        self._built = False
        if num_labels or not multi_label:
            self.build((None, num_labels))

    def build(self, y_pred_shape):
        """Make the four counts; with `multi_label` for each entry of the last axis."""
        shape: tuple = (self.num_thresholds,)
        if self.multi_label:
            if len(y_pred_shape) != 2:
                raise errors.bad_value(
                    self._where, "y_pred of shape (batch, labels)", show(y_pred_shape)
                )
            shape += (y_pred_shape[1],)
        self.true_positives = self.add_variable(shape, name="true_positives")
        self.false_positives = self.add_variable(shape, name="false_positives")
        self.true_negatives = self.add_variable(shape, name="true_negatives")
        self.false_negatives = self.add_variable(shape, name="false_negatives")
        self._built = True

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch.

        Args:
            y_true: targets 0 and 1.
            y_pred: predictions in [0, 1] (or logits), the same shape.
            sample_weight: None, or weights for the leading axes of `y_pred`.
        """
        y_pred = jnp.asarray(y_pred, self.dtype)
        if not self._built:
            self.build(y_pred.shape)
        tp, fp, tn, fn = counts.count(
            self._where,
            y_true,
            jax.nn.sigmoid(y_pred) if self.from_logits else y_pred,
            self.thresholds,
            sample_weight,
            label_weights=None if self.multi_label else self.label_weights,
            per_label=self.multi_label,
        )
        self.true_positives.assign_add(tp)
        self.false_positives.assign_add(fp)
        self.true_negatives.assign_add(tn)
        self.false_negatives.assign_add(fn)

    def result(self):
        """Return the area, 0 before any data."""
        if not self._built:
            return jnp.zeros((), self.dtype)
        tp, fp = self.true_positives.value, self.false_positives.value
        tn, fn = self.true_negatives.value, self.false_negatives.value
        if self.curve == "PR" and self.summation_method == "interpolation":
            pieces = _interpolated_precision_recall(tp, fp, fn)
        else:
            x, y = _CURVE_POINTS[self.curve](tp, fp, tn, fn)
            pieces = (x[:-1] - x[1:]) * _HEIGHTS[self.summation_method](y[:-1], y[1:])
        area = jnp.sum(pieces, axis=0)
        if not self.multi_label:
            return area
        if self.label_weights is None:
            return jnp.mean(area)
        return divide_no_nan(jnp.sum(area * self.label_weights), jnp.sum(self.label_weights))


def _middle(a, b):
    return (a + b) / 2


_HEIGHTS: dict = {"interpolation": _middle, "majoring": jnp.maximum, "minoring": jnp.minimum}


def _roc(tp, fp, tn, fn):
    return divide_no_nan(fp, fp + tn), divide_no_nan(tp, tp + fn)


def _precision_recall(tp, fp, tn, fn):
    return divide_no_nan(tp, tp + fn), divide_no_nan(tp, tp + fp)


def _precision_recall_gain(tp, fp, tn, fn):
    """Return recall gain and precision gain: rates on a scale where always saying yes is 0.

    Without true positives they are set to 0 and 1, and a recall gain below 0 to 0.
    """
    odds = divide_no_nan(tp + fn, tn + fp)
    recall_gain = jnp.where(tp == 0, 0.0, 1.0 - odds * divide_no_nan(fn, tp))
    precision_gain = jnp.where(tp == 0, 1.0, 1.0 - odds * divide_no_nan(fp, tp))
    return jnp.maximum(recall_gain, 0.0), precision_gain


_CURVE_POINTS = {"ROC": _roc, "PR": _precision_recall, "PRGAIN": _precision_recall_gain}


def _interpolated_precision_recall(tp, fp, fn):
    """Return the areas under PR between neighbouring thresholds, true positives taken as linear in
    the predicted positives p: the integral of (intercept + slope * p) / p."""
    p = tp + fp
    dtp = tp[:-1] - tp[1:]
    slope = divide_no_nan(dtp, jnp.maximum(p[:-1] - p[1:], 0))
    intercept = tp[1:] - slope * p[1:]
    both = (p[:-1] > 0) & (p[1:] > 0)
    ratio = jnp.where(both, divide_no_nan(p[:-1], jnp.maximum(p[1:], 0)), 1.0)
    return divide_no_nan(
        slope * (dtp + intercept * jnp.log(ratio)), jnp.maximum(tp[1:] + fn[1:], 0)
    )
