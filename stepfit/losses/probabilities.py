"""Losses for targets that are distributions or counts: Kullback-Leibler divergence and Poisson; and
what all losses on probabilities share."""

import jax.numpy as jnp

from stepfit.core import config, errors
from stepfit.core.op import op
from stepfit.losses.loss import LossFunctionWrapper
from stepfit.losses.shapes import pair


def inside(p):
    """Return probabilities kept off 0 and 1 by `config.epsilon()`, so that logarithms exist."""
    epsilon = config.epsilon()
    return jnp.clip(p, epsilon, 1.0 - max(epsilon, float(jnp.finfo(p.dtype).epsneg)))


def check_axis(where, axis):
    """Refuse an axis that is a bool (a misplaced `from_logits`, say)."""
    if isinstance(axis, bool):
        raise errors.bad_type(f"{where} axis", "an int", axis)


@op
def kl_divergence(y_true, y_pred):
    """Kullback-Leibler divergence: `sum(y_true * log(y_true / y_pred), axis=-1)`.

    Args:
        y_true, y_pred: probabilities of one shape (..., classes), kept in [epsilon, 1].

    Returns:
        Array of shape (...).

    >>> import stepfit as keras
    >>> loss = keras.losses.kl_divergence([[0.5, 0.5]], [[0.25, 0.75]])
    >>> round(float(loss[0]), 4)
    0.1438
    """
    y_true, y_pred = (
        jnp.clip(y, config.epsilon(), 1.0) for y in pair("kl_divergence", y_true, y_pred)
    )
    return jnp.sum(y_true * jnp.log(y_true / y_pred), axis=-1)


@op
def poisson(y_true, y_pred):
    """Negative log-likelihood of counts, up to a constant: `mean(y_pred - y_true * log(y_pred))`.

    Args:
        y_true: counts, shape (..., d).
        y_pred: predicted rates, the same shape; `config.epsilon()` is added under the logarithm.

    Returns:
        Array of shape (...).

    >>> import stepfit as keras
    >>> round(float(keras.losses.poisson([[2.0]], [[1.0]])[0]), 4)
    1.0
    """
    y_true, y_pred = pair("poisson", y_true, y_pred)
    return jnp.mean(y_pred - y_true * jnp.log(y_pred + config.epsilon()), axis=-1)


class KLDivergence(LossFunctionWrapper):
    """Kullback-Leibler divergence of predicted from true probabilities; see `kl_divergence`.

    Args:
        reduction, name, dtype: as in `Loss`.

    >>> import stepfit as keras
    >>> round(float(keras.losses.KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])), 4)
    0.1438
    """

    def __init__(self, reduction="sum_over_batch_size", name="kl_divergence", dtype=None):
        super().__init__(kl_divergence, reduction, name, dtype)


class Poisson(LossFunctionWrapper):
    """Negative log-likelihood of counts; see `poisson`.

    Args:
        reduction, name, dtype: as in `Loss`.

    >>> import stepfit as keras
    >>> round(float(keras.losses.Poisson()([[2.0]], [[1.0]])), 4)
    1.0
    """

    def __init__(self, reduction="sum_over_batch_size", name="poisson", dtype=None):
        super().__init__(poisson, reduction, name, dtype)
