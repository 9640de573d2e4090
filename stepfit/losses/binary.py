"""Losses for yes/no targets: crossentropy and its focal form."""

import jax
import jax.numpy as jnp

from stepfit.core.op import op
from stepfit.losses.loss import LossFunctionWrapper
from stepfit.losses.probabilities import check_axis, inside
from stepfit.losses.shapes import pair


def binary_log_loss(y_true, y_pred, from_logits):
    """Return -log of the probability given to each yes/no target."""
    if from_logits:
        log_yes, log_no = jax.nn.log_sigmoid(y_pred), jax.nn.log_sigmoid(-y_pred)
    else:
        p = inside(y_pred)
        log_yes, log_no = jnp.log(p), jnp.log(1.0 - p)
    return -(y_true * log_yes + (1.0 - y_true) * log_no)


def smooth_binary(y_true, label_smoothing):
    """Return yes/no targets mixed with one half."""
    return y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing if label_smoothing else y_true


@op
def binary_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """Crossentropy of yes/no targets, averaged over `axis`.

    `-mean(y_true * log(p) + (1 - y_true) * log(1 - p), axis)` with p the predicted probability.

    Args:
        y_true: targets in [0, 1].
        y_pred: the same shape; probabilities, or logits.
        from_logits: whether `y_pred` are logits, that is, no sigmoid was applied.
        label_smoothing: float in [0, 1], share of 0.5 mixed into the targets.
        axis: int, the axis to average over.

    Returns:
        Array of the same shape without `axis`.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    >>> import stepfit as keras
    >>> loss = keras.losses.binary_crossentropy([[0.0, 1.0]], [[0.25, 0.5]])
    >>> round(float(loss[0]), 4)
    0.4904
    """
    check_axis("binary_crossentropy", axis)
    y_true, y_pred = pair("binary_crossentropy", y_true, y_pred)
    y_true = smooth_binary(y_true, label_smoothing)
    return jnp.mean(binary_log_loss(y_true, y_pred, from_logits), axis=axis)


@op
def binary_focal_crossentropy(
    y_true,
    y_pred,
    apply_class_balancing=False,
    alpha=0.25,
    gamma=2.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
):
    """Binary crossentropy that counts well-classified examples less.

    Binary crossentropy times `(1 - q)**gamma`, where q is the probability given to the target, and
    with `apply_class_balancing` times alpha for yes and 1 - alpha for no.

    Args:
        y_true, y_pred, from_logits, label_smoothing, axis: as in `binary_crossentropy`.
        apply_class_balancing: bool, whether `alpha` is used.
        alpha: float in [0, 1], weight of the class "yes".
        gamma: float, how much less; 0 for none.

    Returns:
        Array of the same shape without `axis`.

    >>> import stepfit as keras
    >>> loss = keras.losses.binary_focal_crossentropy([[0.0, 1.0]], [[0.25, 0.5]])
    >>> round(float(loss[0]), 4)
    0.0956

    Source: T.-Y. Lin et al., Focal loss for dense object detection, 2017, arXiv:1708.02002.
    """
    check_axis("binary_focal_crossentropy", axis)
    y_true, y_pred = pair("binary_focal_crossentropy", y_true, y_pred)
    y_true = smooth_binary(y_true, label_smoothing)
    p = jax.nn.sigmoid(y_pred) if from_logits else y_pred
    given = y_true * p + (1.0 - y_true) * (1.0 - p)
    values = (1.0 - given) ** gamma * binary_log_loss(y_true, p, from_logits=False)
    if apply_class_balancing:
        values = values * (y_true * alpha + (1.0 - y_true) * (1.0 - alpha))
    return jnp.mean(values, axis=axis)


class BinaryCrossentropy(LossFunctionWrapper):
    """Crossentropy of yes/no targets; see `binary_crossentropy`.

    Args:
        from_logits: whether predictions are logits, that is, no sigmoid was applied.
        label_smoothing: float in [0, 1], share of 0.5 mixed into the targets.
        axis: int, the axis to average over.
        reduction, name, dtype: as in `Loss`.

    >>> import stepfit as keras
    >>> round(float(keras.losses.BinaryCrossentropy()([[0.0, 1.0]], [[0.25, 0.5]])), 4)
    0.4904
    """

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="binary_crossentropy",
        dtype=None,
    ):
        super().__init__(
            binary_crossentropy, reduction, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class BinaryFocalCrossentropy(LossFunctionWrapper):
    """Binary crossentropy that counts easy examples less; see `binary_focal_crossentropy`.

    Args:
        apply_class_balancing: bool, whether `alpha` is used.
        alpha: float in [0, 1], weight of the class "yes".
        gamma: float, how much less; 0 for none.
        from_logits, label_smoothing, axis: as in `BinaryCrossentropy`.
        reduction, name, dtype: as in `Loss`.

    >>> import stepfit as keras
    >>> round(float(keras.losses.BinaryFocalCrossentropy()([[0.0, 1.0]], [[0.25, 0.5]])), 4)
    0.0956
    """

    def __init__(
        self,
        apply_class_balancing=False,
        alpha=0.25,
        gamma=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="binary_focal_crossentropy",
        dtype=None,
    ):
        super().__init__(
            binary_focal_crossentropy, reduction, name, dtype,
            apply_class_balancing=apply_class_balancing, alpha=alpha, gamma=gamma,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip
