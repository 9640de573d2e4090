"""Losses for targets that are one of several classes: crossentropy of one-hot targets, its focal
form, and crossentropy of integer labels."""

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import errors, masks
from stepfit.core.op import op
from stepfit.losses.loss import LossFunctionWrapper
from stepfit.losses.probabilities import check_axis, inside
from stepfit.losses.shapes import as_float, mismatch, pair, show


def log_probabilities(y_pred, from_logits, axis):
    """Return logarithms of predicted class probabilities, scaled to sum to one along `axis`."""
    if from_logits:
        return jax.nn.log_softmax(y_pred, axis=axis)
    return jnp.log(inside(y_pred / jnp.sum(y_pred, axis=axis, keepdims=True)))


def smooth_classes(y_true, label_smoothing, axis):
    """Return one-hot targets mixed with the uniform distribution over the classes."""
    if not label_smoothing:
        return y_true
    return y_true * (1.0 - label_smoothing) + label_smoothing / y_true.shape[axis]


def categorical_pair(where, y_true, y_pred, axis):
    """Return one-hot targets and predictions of one shape, hinting at the sparse and binary losses
    where those were meant."""
    check_axis(where, axis)

    def hint(true_shape, pred_shape):
        if len(true_shape) < len(pred_shape) or true_shape[-1] == 1:
            return (
                "for integer class labels use sparse_categorical_crossentropy, or make y one-hot "
                f"with keras.utils.to_categorical(y, {pred_shape[-1]})"
            )
        return None

    shape, y_true_shape = np.shape(y_pred), np.shape(y_true)
    if shape and shape[axis] == 1:
        raise errors.bad_value(
            where,
            f"y_pred with at least 2 classes on axis {axis}",
            f"y_pred {show(shape)}, whose one class always has probability 1",
            "use binary_crossentropy for a single output unit",
        )
    if y_true_shape != shape:
        raise mismatch(where, y_true_shape, shape, hint)
    return pair(where, y_true, y_pred)


@op
def categorical_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """Crossentropy of one-hot (or soft) targets: `-sum(y_true * log(y_pred), axis)`.

    Args:
        y_true: shape (..., classes), probabilities per class.
        y_pred: the same shape; probabilities (scaled to sum to one), or logits.
        from_logits: whether `y_pred` are logits, that is, no softmax was applied.
        label_smoothing: float in [0, 1], share of the uniform distribution mixed into `y_true`.
        axis: int, the axis of the classes.

    Returns:
        Array of the same shape without `axis`.

    Raises:
        ValueError: shapes differ, or there is only one class.

    >>> import stepfit as keras
    >>> loss = keras.losses.categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])
    >>> round(float(loss[0]), 4)
    0.6931
    """
    y_true, y_pred = categorical_pair("categorical_crossentropy", y_true, y_pred, axis)
    y_true = smooth_classes(y_true, label_smoothing, axis)
    return -jnp.sum(y_true * log_probabilities(y_pred, from_logits, axis), axis=axis)


@op
def categorical_focal_crossentropy(
    y_true, y_pred, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1
):
    """Crossentropy that counts well-classified examples less.

    `sum(-alpha * (1 - p)**gamma * y_true * log(p), axis)` with p the predicted probabilities.

    Args:
        y_true, y_pred, from_logits, label_smoothing, axis: as in `categorical_crossentropy`.
        alpha: float, weight of the classes.
        gamma: float, how much less; 0 for none.

    Returns:
        Array of the same shape without `axis`.

    >>> import stepfit as keras
    >>> loss = keras.losses.categorical_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])
    >>> round(float(loss[0]), 4)
    0.0433

    Source: T.-Y. Lin et al., Focal loss for dense object detection, 2017, arXiv:1708.02002.
    """
    y_true, y_pred = categorical_pair("categorical_focal_crossentropy", y_true, y_pred, axis)
    y_true = smooth_classes(y_true, label_smoothing, axis)
    if from_logits:
        y_pred = jax.nn.softmax(y_pred, axis=axis)
    p = inside(y_pred / jnp.sum(y_pred, axis=axis, keepdims=True))
    return jnp.sum(-alpha * (1.0 - p) ** gamma * y_true * jnp.log(p), axis=axis)


@op
def sparse_categorical_crossentropy(
    y_true, y_pred, from_logits=False, ignore_class=None, axis=-1
):
    """Crossentropy of integer class labels: `-log(y_pred[label])`.

    Args:
        y_true: labels in [0, classes), shape of `y_pred` without `axis` (or with 1 there).
        y_pred: shape (..., classes); probabilities (scaled to sum to one), or logits.
        from_logits: whether `y_pred` are logits.
        ignore_class: None, or the label of entries to leave out; the result carries their mask.
        axis: int, the axis of the classes.

    Returns:
        Array of the shape of `y_pred` without `axis`; labels out of range give 0, as in Keras
        (compiled code cannot raise: see `losses.check_labels`).

    Raises:
        ValueError: shapes that do not go together.

    >>> import stepfit as keras
    >>> loss = keras.losses.sparse_categorical_crossentropy([1, 0], [[0.5, 0.5], [0.75, 0.25]])
    >>> [round(float(x), 4) for x in loss]
    [0.6931, 0.2877]
    """
    where = "sparse_categorical_crossentropy"
    check_axis(where, axis)
    y_pred, y_true = as_float(y_pred), jnp.asarray(y_true)
    expected = list(y_pred.shape)
    if y_pred.ndim:
        del expected[axis]
    shape = y_true.shape
    if y_true.ndim == y_pred.ndim and y_true.ndim and shape[axis] == 1:
        y_true = jnp.squeeze(y_true, axis)
    if not y_pred.ndim or y_true.shape != tuple(expected):
        one_hot = shape == y_pred.shape and y_pred.ndim
        raise errors.bad_value(
            where,
            f"integer labels y_true {show(expected)} for y_pred {show(y_pred.shape)}",
            f"y_true {show(shape)}",
            "for one-hot labels use categorical_crossentropy, or take keras.ops.argmax(y, axis=-1)"
            if one_hot
            else "the labels have the shape of the predictions without the axis of the classes",
        )
    valid = None
    if ignore_class is not None:
        valid = y_true != ignore_class
        y_true = jnp.where(valid, y_true, 0)
        y_pred = jnp.where(jnp.expand_dims(valid, axis), y_pred, 1)
    log_p = log_probabilities(y_pred, from_logits, axis)
    classes, labels = y_pred.shape[axis], y_true.astype("int32")
    chosen = jax.nn.one_hot(labels, classes, axis=axis, dtype=log_p.dtype)
    values = -jnp.sum(chosen * log_p, axis=axis)
    # Compiled code cannot raise: NaN says that there is no such class.
    values = jnp.where((labels >= 0) & (labels < classes), values, jnp.nan)
    if valid is not None:
        values = jnp.where(valid, values, 0)
        masks.set_mask(values, valid)
    return values


@op
def categorical_generalized_cross_entropy(y_true, y_pred, q):
    """Crossentropy that bears wrong labels: `(1 - y_pred[label]**q) / q`.

    Args:
        y_true: labels in [0, classes), shape (...) or (..., 1).
        y_pred: probabilities, shape (..., classes).
        q: float between 0 (the crossentropy) and 1 (the absolute error).

    Returns:
        Array of shape (...).

    Raises:
        ValueError: shapes that do not go together.

    >>> import stepfit as keras
    >>> keras.losses.categorical_generalized_cross_entropy([1], [[0.75, 0.25]], q=0.5).tolist()
    [1.0]

    Source: Zhang and Sabuncu, 2018, https://arxiv.org/abs/1805.07836.
    """
    y_pred, y_true = as_float(y_pred), jnp.asarray(y_true)
    shape = y_true.shape
    if y_true.ndim == y_pred.ndim and shape[-1:] == (1,):
        y_true = jnp.squeeze(y_true, -1)
    if not y_pred.ndim or y_true.shape != y_pred.shape[:-1]:
        raise errors.bad_value(
            "categorical_generalized_cross_entropy",
            f"integer labels y_true {show(y_pred.shape[:-1])} for y_pred {show(y_pred.shape)}",
            f"y_true {show(shape)}", "the labels have the shape of the predictions without the "
            "axis of the classes",
        )  # fmt: skip
    chosen = jax.nn.one_hot(y_true.astype("int32"), y_pred.shape[-1], dtype=y_pred.dtype)
    return (1.0 - jnp.sum(y_pred * chosen, axis=-1) ** q) / q


class CategoricalCrossentropy(LossFunctionWrapper):
    """Crossentropy of one-hot targets; see `categorical_crossentropy`.

    Args:
        from_logits: whether predictions are logits, that is, no softmax was applied.
        label_smoothing: float in [0, 1], share of the uniform distribution mixed into the targets.
        axis: int, the axis of the classes.
        reduction, name, dtype: as in `Loss`.

    >>> import stepfit as keras
    >>> round(float(keras.losses.CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
    0.6931
    """

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="categorical_crossentropy",
        dtype=None,
    ):
        super().__init__(
            categorical_crossentropy, reduction, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class CategoricalFocalCrossentropy(LossFunctionWrapper):
    """Crossentropy that counts easy examples less; see `categorical_focal_crossentropy`.

    Args:
        alpha: float, weight of the classes.
        gamma: float, how much less; 0 for none.
        from_logits, label_smoothing, axis: as in `CategoricalCrossentropy`.
        reduction, name, dtype: as in `Loss`.

    >>> import stepfit as keras
    >>> round(float(keras.losses.CategoricalFocalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
    0.0433
    """

    def __init__(
        self,
        alpha=0.25,
        gamma=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="categorical_focal_crossentropy",
        dtype=None,
    ):
        super().__init__(
            categorical_focal_crossentropy, reduction, name, dtype, alpha=alpha, gamma=gamma,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """Crossentropy of integer class labels; see `sparse_categorical_crossentropy`.

    Args:
        from_logits: whether predictions are logits, that is, no softmax was applied.
        ignore_class: None, or the label of entries to leave out of the loss.
        reduction: as in `Loss`.
        axis: int, the axis of the classes.
        name, dtype: as in `Loss`.

    >>> import stepfit as keras
    >>> loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    >>> round(float(loss([1, -1], [[0.5, 0.5], [0.75, 0.25]])), 4)
    0.6931
    """

    def __init__(
        self,
        from_logits=False,
        ignore_class=None,
        reduction="sum_over_batch_size",
        axis=-1,
        name="sparse_categorical_crossentropy",
        dtype=None,
    ):
        super().__init__(
            sparse_categorical_crossentropy, reduction, name, dtype,
            from_logits=from_logits, ignore_class=ignore_class, axis=axis,
        )  # fmt: skip


class CategoricalGeneralizedCrossEntropy(LossFunctionWrapper):
    """Crossentropy of integer labels, some of them wrong; see
    `categorical_generalized_cross_entropy`.

    Args:
        q: float between 0 (the crossentropy) and 1 (the absolute error).
        reduction, name, dtype: as in `Loss`.

    Raises:
        ValueError: `q` out of range.

    >>> import stepfit as keras
    >>> float(keras.losses.CategoricalGeneralizedCrossEntropy()([1], [[0.75, 0.25]]))
    1.0
    """

    def __init__(
        self,
        q=0.5,
        reduction="sum_over_batch_size",
        name="categorical_generalized_cross_entropy",
        dtype=None,
    ):
        if not 0 < q < 1:
            where = "CategoricalGeneralizedCrossEntropy q"
            raise errors.bad_value(where, "a float above 0, below 1", errors.describe(q))
        super().__init__(categorical_generalized_cross_entropy, reduction, name, dtype, q=q)
