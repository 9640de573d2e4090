"""F scores: one number for precision and recall."""

import jax.numpy as jnp

from stepfit.core import config, errors
from stepfit.losses.shapes import align, show, weights_like
from stepfit.metrics.counts import hint_one_hot
from stepfit.metrics.metric import Metric


class FBetaScore(Metric):
    """``(1 + beta**2) * precision * recall / (beta**2 * precision + recall)``.

    Args:
        average: None for one score per class; "micro": from the counts of all classes; "macro":
            the mean of the classes' scores; "weighted": their mean weighted by the number of
            targets of each class.
        beta: float above 0; how many times as much recall weighs as precision.
        threshold: float above 0, at most 1, above which a prediction says yes; None: each row's
            largest prediction does.
        name, dtype: as in `Metric`.

    Raises:
        ValueError: an argument out of range; from `update_state`, inputs without two axes.

    >>> import stepfit as keras
    >>> metric = keras.metrics.FBetaScore("macro", beta=2.0, threshold=0.5)
    >>> round(float(metric([[1, 1], [1, 0], [1, 1]], [[0.2, 0.6], [0.2, 0.6], [0.6, 0.8]])), 4)
    0.6469
    """

    _direction = "up"

    def __init__(self, average=None, beta=1.0, threshold=None, name="fbeta_score", dtype=None):
        super().__init__(name=name, dtype=dtype)
        where, known = type(self).__name__, (None, "micro", "macro", "weighted")
        if average not in known:
            raise errors.unknown_name(f"{where} average", "mean over classes", average, known)
        if not beta > 0:
            raise errors.bad_value(f"{where} beta", "a float above 0", errors.describe(beta))
        if threshold is not None and not 0 < threshold <= 1:
            expected = "a float above 0, at most 1, or None"
            raise errors.bad_value(f"{where} threshold", expected, errors.describe(threshold))
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self._built = False

    def build(self, y_true_shape, y_pred_shape):
        """Make the Variables: one entry per class, with "micro" one in all."""
        if len(y_true_shape) != 2 or len(y_pred_shape) != 2:
            raise errors.bad_value(
                self._where, "y_true and y_pred of shape (batch, classes)",
                f"y_true {show(y_true_shape)} and y_pred {show(y_pred_shape)}",
                _fix(y_true_shape, y_pred_shape),
            )  # fmt: skip
        shape = () if self.average == "micro" else (y_pred_shape[-1],)
        self.true_positives = self.add_variable(shape, name="true_positives")
        self.false_positives = self.add_variable(shape, name="false_positives")
        self.false_negatives = self.add_variable(shape, name="false_negatives")
        self.intermediate_weights = self.add_variable(shape, name="intermediate_weights")
        self._built = True

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch of targets 0 and 1 and predictions of shape (batch, classes)."""
        y_true, y_pred = jnp.asarray(y_true, self.dtype), jnp.asarray(y_pred, self.dtype)
        if not self._built:
            self.build(y_true.shape, y_pred.shape)
        y_true, y_pred = align(self._where, y_true, y_pred)
        if self.threshold is None:
            largest = y_pred >= y_pred.max(-1, keepdims=True)
            said = largest & (jnp.abs(y_pred) > 1e-9)  # a row of zeros says nothing
        else:
            said = y_pred > self.threshold
        said = said.astype(self.dtype)
        weights = jnp.asarray(1.0 if sample_weight is None else sample_weight, self.dtype)
        weights = weights_like(self._where, weights, y_true)
        axis = None if self.average == "micro" else 0

        def count(values):
            return jnp.sum(values * weights, axis=axis)

        self.true_positives.assign_add(count(said * y_true))
        self.false_positives.assign_add(count(said * (1 - y_true)))
        self.false_negatives.assign_add(count((1 - said) * y_true))
        self.intermediate_weights.assign_add(count(y_true))

    def result(self):
        """Return the score, or with no average the scores."""
        if not self._built:
            return jnp.zeros((), self.dtype)
        epsilon, right = config.epsilon(), self.true_positives.value
        precision = right / (right + self.false_positives.value + epsilon)
        recall = right / (right + self.false_negatives.value + epsilon)
        square = self.beta**2
        scores = (1 + square) * precision * recall / (square * precision + recall + epsilon)
        if self.average == "weighted":
            weights = self.intermediate_weights.value
            return jnp.sum(scores * weights / (weights.sum() + epsilon))
        return scores if self.average is None else jnp.mean(scores)


class F1Score(FBetaScore):
    """``2 * precision * recall / (precision + recall)``.

    Args:
        average, threshold, name, dtype: as in `FBetaScore`.

    Raises:
        ValueError: an argument out of range; from `update_state`, inputs without two axes.

    >>> import stepfit as keras
    >>> metric = keras.metrics.F1Score(average="macro", threshold=0.5)
    >>> round(float(metric([[1, 1], [1, 0], [1, 1]], [[0.2, 0.6], [0.2, 0.6], [0.6, 0.8]])), 4)
    0.65
    """

    def __init__(self, average=None, threshold=None, name="f1_score", dtype=None):
        super().__init__(average, 1.0, threshold, name, dtype)


def _fix(true_shape, pred_shape):
    if len(pred_shape) == 2:
        return hint_one_hot(true_shape, pred_shape)
    return "give both an axis for one class: x[:, None]" if len(pred_shape) == 1 else None
