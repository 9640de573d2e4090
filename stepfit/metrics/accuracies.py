"""Accuracies: how often predictions match."""

import jax.numpy as jnp
import numpy as np

from stepfit.core import config, errors
from stepfit.core.op import op
from stepfit.losses.shapes import align, mismatch, show
from stepfit.metrics.reduction import MeanMetricWrapper


@op
def accuracy(y_true, y_pred):
    """1 where the prediction equals the target, else 0.

    Args:
        y_true, y_pred: arrays of one shape.

    Returns:
        Float array of that shape.

    >>> import stepfit as keras
    >>> keras.metrics.accuracy([1, 2, 3], [1, 2, 4]).tolist()
    [1.0, 1.0, 0.0]
    """
    y_true, y_pred = align("accuracy", jnp.asarray(y_true), jnp.asarray(y_pred))
    return (y_true == y_pred).astype(config.floatx())


@op
def binary_accuracy(y_true, y_pred, threshold=0.5):
    """1 where a probability is on the target's side of the threshold, else 0.

    Args:
        y_true: targets 0 and 1.
        y_pred: the same shape.
        threshold: float; above it the prediction counts as 1.

    Returns:
        Float array of that shape.

    >>> import stepfit as keras
    >>> keras.metrics.binary_accuracy([[1.0], [0.0]], [[0.75], [0.75]]).tolist()
    [[1.0], [0.0]]
    """
    y_true, y_pred = align("binary_accuracy", jnp.asarray(y_true), jnp.asarray(y_pred))
    return (y_true == (y_pred > threshold).astype(y_true.dtype)).astype(config.floatx())


def classes_of(where, y_true, y_pred):
    """Return the classes of one-hot targets, and the predictions."""
    y_true, y_pred = jnp.asarray(y_true), jnp.asarray(y_pred)
    if y_true.shape != y_pred.shape or not y_pred.ndim:
        raise mismatch(where, y_true.shape, y_pred.shape, _hint_sparse)
    return jnp.argmax(y_true, axis=-1), y_pred


def _hint_sparse(true_shape, pred_shape):
    if len(true_shape) < len(pred_shape) or true_shape[-1:] == (1,):
        return "for integer class labels use the metric of this name with sparse_ in front"
    return None


def labels_of(where, y_true, y_pred):
    """Return integer labels without a last axis of 1, and the predictions."""
    y_true, y_pred = jnp.asarray(y_true), jnp.asarray(y_pred)
    labels = y_true
    if y_true.ndim == y_pred.ndim and y_true.ndim and y_true.shape[-1] == 1:
        labels = jnp.squeeze(y_true, -1)
    if not y_pred.ndim or labels.shape != y_pred.shape[:-1]:
        raise errors.bad_value(
            where,
            f"integer labels y_true {show(y_pred.shape[:-1])} for y_pred {show(y_pred.shape)}",
            f"y_true {show(y_true.shape)}",
            "for one-hot labels use the metric of this name without sparse_"
            if y_true.shape == y_pred.shape
            else "the labels have the shape of the predictions without the last axis",
        )
    return labels, y_pred


@op
def categorical_accuracy(y_true, y_pred):
    """1 where the largest prediction is at the target's class, else 0.

    Args:
        y_true: one-hot targets, shape (..., classes).
        y_pred: the same shape.

    Returns:
        Float array of shape (...).

    >>> import stepfit as keras
    >>> keras.metrics.categorical_accuracy([[0, 1], [1, 0]], [[0.25, 0.75], [0.25, 0.75]]).tolist()
    [1.0, 0.0]
    """
    labels, y_pred = classes_of("categorical_accuracy", y_true, y_pred)
    return (labels == jnp.argmax(y_pred, axis=-1)).astype(config.floatx())


@op
def sparse_categorical_accuracy(y_true, y_pred):
    """1 where the largest prediction is at the class of the label, else 0.

    Args:
        y_true: integer labels, shape (...) or (..., 1).
        y_pred: shape (..., classes).

    Returns:
        Float array of shape (...).

    >>> import stepfit as keras
    >>> keras.metrics.sparse_categorical_accuracy([1, 0], [[0.25, 0.75], [0.25, 0.75]]).tolist()
    [1.0, 0.0]
    """
    labels, y_pred = labels_of("sparse_categorical_accuracy", y_true, y_pred)
    matches = (labels == jnp.argmax(y_pred, axis=-1)).astype(config.floatx())
    if matches.ndim > 1 and matches.shape[-1] == 1:
        matches = jnp.squeeze(matches, -1)
    return matches


def among_largest(labels, y_pred, k):
    """Return 1 where fewer than `k` predictions exceed that of the label, else 0."""
    labels, classes = labels.astype("int32"), y_pred.shape[-1]
    index = jnp.clip(labels, 0, classes - 1)[..., None]
    chosen = jnp.take_along_axis(y_pred, index, axis=-1)
    chosen = jnp.where(jnp.isnan(chosen), -jnp.inf, chosen)
    inside = (jnp.sum(y_pred > chosen, axis=-1) < k) & (labels >= 0) & (labels < classes)
    return inside.astype(config.floatx())


@op
def top_k_categorical_accuracy(y_true, y_pred, k=5):
    """1 where the target's class is among the k largest predictions, else 0.

    Args:
        y_true: one-hot targets, shape (..., classes).
        y_pred: the same shape.
        k: int.

    Returns:
        Float array of shape (...).

    >>> import stepfit as keras
    >>> keras.metrics.top_k_categorical_accuracy([[0, 0, 1]], [[0.5, 0.125, 0.375]], k=2).tolist()
    [1.0]
    """
    labels, y_pred = classes_of("top_k_categorical_accuracy", y_true, y_pred)
    return among_largest(labels, y_pred, k)


@op
def sparse_top_k_categorical_accuracy(y_true, y_pred, k=5, from_sorted_ids=False):
    """1 where the label is among the k largest predictions, else 0.

    Args:
        y_true: integer labels, shape (...) or (..., 1).
        y_pred: shape (..., classes); with `from_sorted_ids` class ids, most likely first.
        k: int.
        from_sorted_ids: whether `y_pred` holds class ids instead of scores.

    Returns:
        Float array of the shape of `y_true`.

    >>> import stepfit as keras
    >>> keras.metrics.sparse_top_k_categorical_accuracy([2], [[0.5, 0.125, 0.375]], k=2).tolist()
    [1.0]
    """
    shape = np.shape(y_true)
    labels, y_pred = labels_of("sparse_top_k_categorical_accuracy", y_true, y_pred)
    if from_sorted_ids:
        found = jnp.any(labels[..., None] == y_pred[..., :k], axis=-1).astype(config.floatx())
    else:
        found = among_largest(labels, y_pred, k)
    return jnp.reshape(found, shape)


class Accuracy(MeanMetricWrapper):
    """Share of predictions that equal the target.

    Args:
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> float(keras.metrics.Accuracy()([1, 2, 3, 4], [1, 2, 3, 0]))
    0.75
    """

    _direction = "up"

    def __init__(self, name="accuracy", dtype=None):
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """Share of probabilities on the target's side of the threshold.

    Args:
        name, dtype: as in `Metric`.
        threshold: float; above it a prediction counts as 1.

    >>> import stepfit as keras
    >>> float(keras.metrics.BinaryAccuracy()([[1.0], [0.0]], [[0.75], [0.75]]))
    0.5
    """

    _direction = "up"

    def __init__(self, name="binary_accuracy", dtype=None, threshold=0.5):
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(MeanMetricWrapper):
    """Share of samples whose largest prediction is at the class of the one-hot target.

    Args:
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> float(keras.metrics.CategoricalAccuracy()([[0, 1], [1, 0]], [[0.25, 0.75], [0.25, 0.75]]))
    0.5
    """

    _direction = "up"

    def __init__(self, name="categorical_accuracy", dtype=None):
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """Share of samples whose largest prediction is at the class of the integer label.

    Args:
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> float(keras.metrics.SparseCategoricalAccuracy()([1, 0], [[0.25, 0.75], [0.25, 0.75]]))
    0.5
    """

    _direction = "up"

    def __init__(self, name="sparse_categorical_accuracy", dtype=None):
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """Share of samples whose class (one-hot target) is among the k largest predictions.

    Args:
        k: int.
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> float(keras.metrics.TopKCategoricalAccuracy(k=2)([[0, 0, 1]], [[0.5, 0.125, 0.375]]))
    1.0
    """

    _direction = "up"

    def __init__(self, k=5, name="top_k_categorical_accuracy", dtype=None):
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """Share of samples whose integer label is among the k largest predictions.

    Args:
        k: int.
        name, dtype: as in `Metric`.
        from_sorted_ids: whether predictions are class ids, most likely first.

    >>> import stepfit as keras
    >>> float(keras.metrics.SparseTopKCategoricalAccuracy(k=2)([2], [[0.5, 0.125, 0.375]]))
    1.0
    """

    _direction = "up"

    def __init__(
        self, k=5, name="sparse_top_k_categorical_accuracy", dtype=None, from_sorted_ids=False
    ):
        super().__init__(
            sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids
        )
