"""Hinge losses: zero once a prediction is on the right side by a margin of one."""

import jax.numpy as jnp

from stepfit.core.op import op
from stepfit.losses.loss import LossFunctionWrapper
from stepfit.losses.shapes import pair


def plus_minus(y_true):
    """Return targets as -1 and 1: those of 0 and 1 are mapped, others stay as they are."""
    is_binary = jnp.all((y_true == 0) | (y_true == 1))
    return jnp.where(is_binary, 2.0 * y_true - 1.0, y_true)


@op
def hinge(y_true, y_pred):
    """Mean shortfall from the margin: `mean(max(1 - y_true * y_pred, 0), axis=-1)`.

    Args:
        y_true: targets -1 and 1, or 0 and 1 (which become -1 and 1), shape (..., d).
        y_pred: the same shape.

    Returns:
        Array of shape (...).

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    >>> import stepfit as keras
    >>> keras.losses.hinge([[0.0, 1.0]], [[0.5, 0.5]]).tolist()
    [1.0]
    """
    y_true, y_pred = pair("hinge", y_true, y_pred)
    return jnp.mean(jnp.maximum(1.0 - plus_minus(y_true) * y_pred, 0.0), axis=-1)


@op
def squared_hinge(y_true, y_pred):
    """Mean squared shortfall from the margin: `mean(max(1 - y_true * y_pred, 0)**2, axis=-1)`.

    Args and Returns: as `hinge`.

    >>> import stepfit as keras
    >>> keras.losses.squared_hinge([[0.0, 1.0]], [[0.5, 0.5]]).tolist()
    [1.25]
    """
    y_true, y_pred = pair("squared_hinge", y_true, y_pred)
    return jnp.mean(jnp.square(jnp.maximum(1.0 - plus_minus(y_true) * y_pred, 0.0)), axis=-1)


@op
def categorical_hinge(y_true, y_pred):
    """Shortfall of the true class's score over the best other one: `max(wrong - right + 1, 0)`.

    `right = sum(y_true * y_pred, axis=-1)`, `wrong = max((1 - y_true) * y_pred, axis=-1)`.

    Args:
        y_true: one-hot targets, shape (..., classes).
        y_pred: scores, the same shape.

    Returns:
        Array of shape (...).

    >>> import stepfit as keras
    >>> keras.losses.categorical_hinge([[0.0, 1.0]], [[0.5, 0.25]]).tolist()
    [1.25]
    """
    y_true, y_pred = pair("categorical_hinge", y_true, y_pred)
    right = jnp.sum(y_true * y_pred, axis=-1)
    wrong = jnp.max((1.0 - y_true) * y_pred, axis=-1)
    return jnp.maximum(wrong - right + 1.0, 0.0)


class Hinge(LossFunctionWrapper):
    """Mean shortfall from the margin; see `hinge`.

    Args:
        reduction, name, dtype: as in `Loss`.

    >>> import stepfit as keras
    >>> float(keras.losses.Hinge()([[0.0, 1.0]], [[0.5, 0.5]]))
    1.0
    """

    def __init__(self, reduction="sum_over_batch_size", name="hinge", dtype=None):
        super().__init__(hinge, reduction, name, dtype)


class SquaredHinge(LossFunctionWrapper):
    """Mean squared shortfall from the margin; see `squared_hinge`.

    Args:
        reduction, name, dtype: as in `Loss`.

    >>> import stepfit as keras
    >>> float(keras.losses.SquaredHinge()([[0.0, 1.0]], [[0.5, 0.5]]))
    1.25
    """

    def __init__(self, reduction="sum_over_batch_size", name="squared_hinge", dtype=None):
        super().__init__(squared_hinge, reduction, name, dtype)


class CategoricalHinge(LossFunctionWrapper):
    """Shortfall of the true class's score over the best other one; see `categorical_hinge`.

    Args:
        reduction, name, dtype: as in `Loss`.

    >>> import stepfit as keras
    >>> float(keras.losses.CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.25]]))
    1.25
    """

    def __init__(self, reduction="sum_over_batch_size", name="categorical_hinge", dtype=None):
        super().__init__(categorical_hinge, reduction, name, dtype)
