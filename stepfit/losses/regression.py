"""Losses for targets that are numbers: squared, absolute, relative, robust and angular errors."""

import math

import jax
import jax.numpy as jnp

from stepfit.core import config
from stepfit.core.op import op
from stepfit.losses.loss import LossFunctionWrapper
from stepfit.losses.shapes import pair


@op
def mean_squared_error(y_true, y_pred):
    """Mean squared difference over the last axis: `mean((y_true - y_pred)**2, axis=-1)`.

    Args:
        y_true, y_pred: shape (..., d).

    Returns:
        Array of shape (...).

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    >>> import stepfit as keras
    >>> keras.losses.mean_squared_error([[0.0, 2.0]], [[1.0, 0.0]]).tolist()
    [2.5]
    """
    y_true, y_pred = pair("mean_squared_error", y_true, y_pred)
    return jnp.mean(jnp.square(y_true - y_pred), axis=-1)


@op
def mean_absolute_error(y_true, y_pred):
    """Mean absolute difference over the last axis: `mean(|y_true - y_pred|, axis=-1)`.

    Args and Returns: as `mean_squared_error`.

    >>> import stepfit as keras
    >>> keras.losses.mean_absolute_error([[0.0, 2.0]], [[1.0, 0.0]]).tolist()
    [1.5]
    """
    y_true, y_pred = pair("mean_absolute_error", y_true, y_pred)
    return jnp.mean(jnp.abs(y_true - y_pred), axis=-1)


@op
def mean_absolute_percentage_error(y_true, y_pred):
    """Mean relative difference in percent: `100 * mean(|y_true - y_pred| / |y_true|, axis=-1)`.

    Args and Returns: as `mean_squared_error`; |y_true| counts as at least `config.epsilon()`.

    >>> import stepfit as keras
    >>> keras.losses.mean_absolute_percentage_error([[2.0, 4.0]], [[1.0, 4.0]]).tolist()
    [25.0]
    """
    y_true, y_pred = pair("mean_absolute_percentage_error", y_true, y_pred)
    size = jnp.maximum(jnp.abs(y_true), config.epsilon())
    return 100.0 * jnp.mean(jnp.abs((y_true - y_pred) / size), axis=-1)


@op
def mean_squared_logarithmic_error(y_true, y_pred):
    """Mean squared difference of logarithms: `mean((log(1+y_true) - log(1+y_pred))**2, axis=-1)`.

    Args and Returns: as `mean_squared_error`; negative values count as `config.epsilon()`.

    >>> import stepfit as keras
    >>> keras.losses.mean_squared_logarithmic_error([[3.0]], [[3.0]]).tolist()
    [0.0]
    """
    y_true, y_pred = pair("mean_squared_logarithmic_error", y_true, y_pred)
    log_true, log_pred = (
        jnp.log(jnp.maximum(y, config.epsilon()) + 1.0) for y in (y_true, y_pred)
    )
    return jnp.mean(jnp.square(log_pred - log_true), axis=-1)


@op
def huber(y_true, y_pred, delta=1.0):
    """Squared error near zero, absolute error further out, averaged over the last axis.

    Per entry, with e = y_pred - y_true: `e**2 / 2` where |e| <= delta, else
    `delta * |e| - delta**2 / 2`.

    Args:
        y_true, y_pred: shape (..., d).
        delta: float, where the two pieces meet.

    Returns:
        Array of shape (...).

    >>> import stepfit as keras
    >>> keras.losses.huber([[0.0, 0.0]], [[1.0, 3.0]]).tolist()
    [1.5]

    Source: P. J. Huber, Robust estimation of a location parameter, 1964.
    """
    y_true, y_pred = pair("huber", y_true, y_pred)
    size = jnp.abs(y_pred - y_true)
    near, far = 0.5 * jnp.square(size), delta * size - 0.5 * delta**2
    return jnp.mean(jnp.where(size <= delta, near, far), axis=-1)


@op
def log_cosh(y_true, y_pred):
    """Mean of `log(cosh(y_pred - y_true))` over the last axis, computed without overflow.

    Args and Returns: as `mean_squared_error`.

    >>> import stepfit as keras
    >>> round(float(keras.losses.log_cosh([[0.0]], [[1.0]])[0]), 4)
    0.4338
    """
    y_true, y_pred = pair("log_cosh", y_true, y_pred)
    error = y_pred - y_true
    return jnp.mean(error + jax.nn.softplus(-2.0 * error) - math.log(2.0), axis=-1)


def unit(x, axis):
    """Return `x` divided by its Euclidean length along `axis` (zero vectors stay zero)."""
    smallest = max(config.epsilon() ** 2, float(jnp.finfo(x.dtype).tiny))
    square = jnp.sum(jnp.square(x), axis=axis, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(square, smallest))


@op
def cosine_similarity(y_true, y_pred, axis=-1):
    """Minus the cosine of the angle between targets and predictions: -1 same, 1 opposite.

    Args:
        y_true, y_pred: arrays of the same shape.
        axis: int, the axis of the vectors.

    Returns:
        Array of the same shape without `axis`.

    >>> import stepfit as keras
    >>> keras.losses.cosine_similarity([[0.0, 2.0], [1.0, 0.0]], [[0.0, 1.0], [-1.0, 0.0]]).tolist()
    [-1.0, 1.0]
    """
    y_true, y_pred = pair("cosine_similarity", y_true, y_pred)
    return -jnp.sum(unit(y_true, axis) * unit(y_pred, axis), axis=axis)


class MeanSquaredError(LossFunctionWrapper):
    """Mean of squared differences: `mean((y_true - y_pred)**2)`.

    Args:
        reduction, name, dtype: as in `Loss`.

    >>> import stepfit as keras
    >>> float(keras.losses.MeanSquaredError()([[0.0, 2.0]], [[1.0, 0.0]]))
    2.5
    """

    def __init__(
        self, reduction="sum_over_batch_size", name="mean_squared_error", dtype=None
    ):
        super().__init__(mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(LossFunctionWrapper):
    """Mean of absolute differences: `mean(|y_true - y_pred|)`.

    Args:
        reduction, name, dtype: as in `Loss`.

    >>> import stepfit as keras
    >>> float(keras.losses.MeanAbsoluteError()([[0.0, 2.0]], [[1.0, 0.0]]))
    1.5
    """

    def __init__(
        self, reduction="sum_over_batch_size", name="mean_absolute_error", dtype=None
    ):
        super().__init__(mean_absolute_error, reduction, name, dtype)


class MeanAbsolutePercentageError(LossFunctionWrapper):
    """Mean relative difference in percent: `100 * mean(|y_true - y_pred| / |y_true|)`.

    Args:
        reduction, name, dtype: as in `Loss`.

    >>> import stepfit as keras
    >>> float(keras.losses.MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 4.0]]))
    25.0
    """

    def __init__(
        self, reduction="sum_over_batch_size", name="mean_absolute_percentage_error", dtype=None
    ):
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """Mean squared difference of logarithms: `mean((log(1 + y_true) - log(1 + y_pred))**2)`.

    Args:
        reduction, name, dtype: as in `Loss`.

    >>> import stepfit as keras
    >>> float(keras.losses.MeanSquaredLogarithmicError()([[3.0]], [[3.0]]))
    0.0
    """

    def __init__(
        self, reduction="sum_over_batch_size", name="mean_squared_logarithmic_error", dtype=None
    ):
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


class Huber(LossFunctionWrapper):
    """Squared error up to `delta`, absolute error beyond; see `huber`.

    Args:
        delta: float, where the two pieces meet.
        reduction, name, dtype: as in `Loss`.

    >>> import stepfit as keras
    >>> float(keras.losses.Huber(delta=2.0)([[0.0, 0.0]], [[1.0, 3.0]]))
    2.25
    """

    def __init__(
        self, delta=1.0, reduction="sum_over_batch_size", name="huber_loss", dtype=None
    ):
        super().__init__(huber, reduction, name, dtype, delta=delta)


class LogCosh(LossFunctionWrapper):
    """Mean of `log(cosh(y_pred - y_true))`.

    Args:
        reduction, name, dtype: as in `Loss`.

    >>> import stepfit as keras
    >>> round(float(keras.losses.LogCosh()([[0.0]], [[1.0]])), 4)
    0.4338
    """

    def __init__(self, reduction="sum_over_batch_size", name="log_cosh", dtype=None):
        super().__init__(log_cosh, reduction, name, dtype)


class CosineSimilarity(LossFunctionWrapper):
    """Minus the mean cosine of the angle between targets and predictions.

    Args:
        axis: int, the axis of the vectors.
        reduction, name, dtype: as in `Loss`.

    >>> import stepfit as keras
    >>> float(keras.losses.CosineSimilarity()([[0.0, 2.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]))
    -0.5
    """

    def __init__(
        self, axis=-1, reduction="sum_over_batch_size", name="cosine_similarity", dtype=None
    ):
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)
