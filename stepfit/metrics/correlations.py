"""How well predictions follow the targets' ups and downs."""

import jax.numpy as jnp

from stepfit.core import config
from stepfit.core.op import op
from stepfit.losses.shapes import pair
from stepfit.metrics.reduction import MeanMetricWrapper


def _centered(x, axis):
    return x - jnp.mean(x, axis=axis, keepdims=True)


@op
def pearson_correlation(y_true, y_pred, axis=-1):
    """Pearson's correlation: ``cov(y_true, y_pred) / (std(y_true) * std(y_pred))``.

    Args:
        y_true, y_pred: arrays of one shape.
        axis: int or tuple of ints, the axes of the values that are compared.

    Returns:
        Array of the same shape without `axis`, from -1 to 1; NaN where values are constant.

    >>> import stepfit as keras
    >>> keras.metrics.pearson_correlation([[0.0, 1.0, 0.5]], [[0.1, 0.9, 0.5]]).tolist()
    [1.0]
    """
    y_true, y_pred = pair("pearson_correlation", y_true, y_pred)
    a, b = _centered(y_true, axis), _centered(y_pred, axis)
    scale = jnp.std(a, axis=axis, keepdims=True) * jnp.std(b, axis=axis, keepdims=True)
    return jnp.mean(a * b / scale, axis=axis)


@op
def concordance_correlation(y_true, y_pred, axis=-1):
    """Lin's concordance: ``2 cov / (var(y_true) + var(y_pred) + (mean difference)**2)``.

    Args and Returns: as `pearson_correlation`; 0 where both are constant.

    >>> import stepfit as keras
    >>> found = keras.metrics.concordance_correlation([[0.0, 1.0, 0.5]], [[0.1, 0.9, 0.5]])
    >>> round(float(found[0]), 4)
    0.9756
    """
    y_true, y_pred = pair("concordance_correlation", y_true, y_pred)
    a, b = _centered(y_true, axis), _centered(y_pred, axis)
    gap = jnp.mean(y_true - y_pred, axis=axis)
    spread = jnp.mean(jnp.square(a) + jnp.square(b), axis=axis) + jnp.square(gap)
    return 2 * jnp.mean(a * b, axis=axis) / (spread + config.epsilon())


class PearsonCorrelation(MeanMetricWrapper):
    """Mean of Pearson's correlation; see `pearson_correlation`.

    Args:
        name, dtype: as in `Metric`.
        axis: int or tuple of ints, the axes of the values that are compared.

    >>> import stepfit as keras
    >>> round(float(keras.metrics.PearsonCorrelation()([[0.0, 1.0, 0.5]], [[0.1, 0.9, 0.5]])), 4)
    1.0
    """

    _direction = "up"

    def __init__(self, name="pearson_correlation", dtype=None, axis=-1):
        super().__init__(pearson_correlation, name, dtype, axis=axis)


class ConcordanceCorrelation(MeanMetricWrapper):
    """Mean of Lin's concordance; see `concordance_correlation`.

    Args:
        name, dtype: as in `Metric`.
        axis: int or tuple of ints, the axes of the values that are compared.

    >>> import stepfit as keras
    >>> metric = keras.metrics.ConcordanceCorrelation()
    >>> round(float(metric([[0.0, 1.0, 0.5]], [[0.1, 0.9, 0.5]])), 4)
    0.9756
    """

    _direction = "up"

    def __init__(self, name="concordance_correlation", dtype=None, axis=-1):
        super().__init__(concordance_correlation, name, dtype, axis=axis)
