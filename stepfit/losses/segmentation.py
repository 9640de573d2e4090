"""Losses that compare regions by their overlap: Dice and Tversky."""

import jax.numpy as jnp

from stepfit.core import config
from stepfit.core.op import op
from stepfit.losses.loss import LossFunctionWrapper
from stepfit.losses.shapes import pair


@op
def dice(y_true, y_pred, axis=None):
    """One minus the Dice overlap: `1 - 2 * sum(y_true * y_pred) / (sum(y_true) + sum(y_pred))`.

    Args:
        y_true, y_pred: shares in [0, 1] of one shape.
        axis: None to sum over everything, or the axes to sum over.

    Returns:
        Array of the same shape without `axis`; a scalar for None.

    >>> import stepfit as keras
    >>> round(float(keras.losses.dice([[1.0, 0.0]], [[1.0, 1.0]])), 4)
    0.3333
    """
    y_true, y_pred = pair("dice", y_true, y_pred)
    overlap = jnp.sum(y_true * y_pred, axis=axis)
    total = jnp.sum(y_true, axis=axis) + jnp.sum(y_pred, axis=axis)
    return 1.0 - 2.0 * overlap / (total + config.epsilon())


@op
def tversky(y_true, y_pred, alpha=0.5, beta=0.5, axis=None):
    """One minus the Tversky overlap: `1 - tp / (tp + alpha * missed + beta * false)`.

    `tp = sum(y_true * y_pred)`, `missed = sum(y_true * (1 - y_pred))`,
    `false = sum((1 - y_true) * y_pred)`; with alpha = beta = 0.5 it is Dice.

    Args:
        y_true, y_pred, axis: as in `dice`.
        alpha: float, price of missed area.
        beta: float, price of falsely claimed area.

    Returns:
        Array of the same shape without `axis`; a scalar for None.

    >>> import stepfit as keras
    >>> round(float(keras.losses.tversky([[1.0, 0.0]], [[1.0, 1.0]], beta=1.0)), 4)
    0.5

    Source: S. Salehi et al., Tversky loss function for image segmentation, 2017, arXiv:1706.05721.
    """
    y_true, y_pred = pair("tversky", y_true, y_pred)
    overlap = jnp.sum(y_true * y_pred, axis=axis)
    missed = jnp.sum(y_true * (1.0 - y_pred), axis=axis)
    false = jnp.sum((1.0 - y_true) * y_pred, axis=axis)
    return 1.0 - overlap / (overlap + alpha * missed + beta * false + config.epsilon())


class Dice(LossFunctionWrapper):
    """One minus the Dice overlap; see `dice`.

    Args:
        reduction, name, dtype: as in `Loss`.
        axis: None to sum over everything (the batch too), or the axes to sum over.

    >>> import stepfit as keras
    >>> round(float(keras.losses.Dice()([[1.0, 0.0]], [[1.0, 1.0]])), 4)
    0.3333
    """

    def __init__(self, reduction="sum_over_batch_size", name="dice", axis=None, dtype=None):
        super().__init__(dice, reduction, name, dtype, axis=axis)


class Tversky(LossFunctionWrapper):
    """One minus the Tversky overlap; see `tversky`.

    Args:
        alpha: float, price of missed area.
        beta: float, price of falsely claimed area.
        reduction, name, dtype: as in `Loss`.
        axis: None to sum over everything (the batch too), or the axes to sum over.

    >>> import stepfit as keras
    >>> round(float(keras.losses.Tversky(beta=1.0)([[1.0, 0.0]], [[1.0, 1.0]])), 4)
    0.5
    """

    def __init__(
        self,
        alpha=0.5,
        beta=0.5,
        reduction="sum_over_batch_size",
        name="tversky",
        axis=None,
        dtype=None,
    ):
        super().__init__(tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)
