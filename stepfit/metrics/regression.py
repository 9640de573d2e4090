"""Metrics for targets that are numbers."""

import warnings

import jax
import jax.numpy as jnp

from stepfit.core import errors
from stepfit.core.op import op
from stepfit.losses import regression
from stepfit.losses.loss import divide_no_nan
from stepfit.losses.shapes import pair, show, weights_like
from stepfit.metrics.metric import Metric
from stepfit.metrics.reduction import Mean, MeanMetricWrapper


class MeanSquaredError(MeanMetricWrapper):
    """Mean of squared differences: `mean((y_true - y_pred)**2)`.

    Args:
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> float(keras.metrics.MeanSquaredError()([[0.0, 2.0]], [[1.0, 0.0]]))
    2.5
    """

    def __init__(self, name="mean_squared_error", dtype=None):
        super().__init__(regression.mean_squared_error, name, dtype)


class RootMeanSquaredError(Mean):
    """Square root of the mean squared difference: `sqrt(mean((y_true - y_pred)**2))`.

    Args:
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> float(keras.metrics.RootMeanSquaredError()([[0.0, 4.0]], [[2.0, 2.0]]))
    2.0
    """

    _direction = "down"

    def __init__(self, name="root_mean_squared_error", dtype=None):
        super().__init__(name, dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):  # type: ignore[override]
        """Add a batch of targets and predictions of one shape."""
        y_true, y_pred = pair(self._where, y_true, y_pred)
        error = y_pred.astype(self.dtype) - y_true.astype(self.dtype)
        super().update_state(jnp.square(error), sample_weight=sample_weight)

    def result(self):
        """Return the root of the mean."""
        return jnp.sqrt(super().result())


class MeanAbsoluteError(MeanMetricWrapper):
    """Mean of absolute differences: `mean(|y_true - y_pred|)`.

    Args:
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> float(keras.metrics.MeanAbsoluteError()([[0.0, 2.0]], [[1.0, 0.0]]))
    1.5
    """

    def __init__(self, name="mean_absolute_error", dtype=None):
        super().__init__(regression.mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(MeanMetricWrapper):
    """Mean relative difference in percent: `100 * mean(|y_true - y_pred| / |y_true|)`.

    Args:
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> float(keras.metrics.MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 4.0]]))
    25.0
    """

    def __init__(self, name="mean_absolute_percentage_error", dtype=None):
        super().__init__(regression.mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """Mean squared difference of logarithms: `mean((log(1 + y_true) - log(1 + y_pred))**2)`.

    Args:
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> float(keras.metrics.MeanSquaredLogarithmicError()([[3.0]], [[3.0]]))
    0.0
    """

    def __init__(self, name="mean_squared_logarithmic_error", dtype=None):
        super().__init__(regression.mean_squared_logarithmic_error, name, dtype)


class LogCoshError(MeanMetricWrapper):
    """Mean of `log(cosh(y_pred - y_true))`.

    Args:
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> round(float(keras.metrics.LogCoshError()([[0.0]], [[1.0]])), 4)
    0.4338
    """

    def __init__(self, name="logcosh", dtype=None):
        super().__init__(regression.log_cosh, name, dtype)


@op
def cosine_similarity(y_true, y_pred, axis=-1):
    """Cosine of the angle between targets and predictions: 1 same, -1 opposite.

    Args:
        y_true, y_pred: arrays of one shape.
        axis: int, the axis of the vectors.

    Returns:
        Array of the same shape without `axis`. (The loss of this name has the opposite sign.)
    """
    return -regression.cosine_similarity(y_true, y_pred, axis=axis)


class CosineSimilarity(MeanMetricWrapper):
    """Mean cosine of the angle between targets and predictions: 1 same, -1 opposite.

    Args:
        name, dtype: as in `Metric`.
        axis: int, the axis of the vectors.

    >>> import stepfit as keras
    >>> metric = keras.metrics.CosineSimilarity()
    >>> float(metric([[0.0, 2.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]))
    0.5
    """

    _direction = "up"

    def __init__(self, name="cosine_similarity", dtype=None, axis=-1):
        super().__init__(cosine_similarity, name, dtype, axis=axis)


class R2Score(Metric):
    """Share of the targets' variance that is explained: `1 - sum(e**2) / sum((y - mean(y))**2)`.

    Args:
        class_aggregation: "uniform_average" or "variance_weighted_average" over the outputs, or
            None for one score per output.
        num_regressors: int; above 0 the score is adjusted for that number of predictors,
            `1 - (1 - r2) * (n - 1) / (n - num_regressors - 1)`, with n the number of targets.
        name, dtype: as in `Metric`.

    Raises:
        ValueError: unknown aggregation, negative `num_regressors`, inputs without two axes.

    >>> import stepfit as keras
    >>> metric = keras.metrics.R2Score()
    >>> round(float(metric([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]])), 4)
    0.5714
    """

    _direction = "up"

    def __init__(
        self, class_aggregation="uniform_average", num_regressors=0, name="r2_score", dtype=None
    ):
        super().__init__(name=name, dtype=dtype)
        known = (None, "uniform_average", "variance_weighted_average")
        if class_aggregation not in known:
            raise errors.unknown_name(
                "class_aggregation", "mean over outputs", class_aggregation, known
            )
        if num_regressors < 0:
            raise errors.bad_value("num_regressors", "a number >= 0", repr(num_regressors))
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.num_samples = self.add_variable(name="num_samples")
        self._built = False

    def build(self, y_true_shape, y_pred_shape):
        """Make the Variables, one entry per output."""
        if len(y_true_shape) != 2 or len(y_pred_shape) != 2:
            raise errors.bad_value(
                self._where,
                "y_true and y_pred of shape (batch, outputs)",
                f"y_true {show(y_true_shape)} and y_pred {show(y_pred_shape)}",
            )
        shape = (y_pred_shape[-1],)
        self.squared_sum = self.add_variable(shape, name="squared_sum")
        self.sum = self.add_variable(shape, name="sum")
        self.total_mse = self.add_variable(shape, name="residual")
        self.count = self.add_variable(shape, name="count")
        self._built = True

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch of targets and predictions of shape (batch, outputs)."""
        y_true, y_pred = pair(self._where, y_true, y_pred)
        y_true, y_pred = y_true.astype(self.dtype), y_pred.astype(self.dtype)
        if not self._built:
            self.build(y_true.shape, y_pred.shape)
        weights = jnp.asarray(1.0 if sample_weight is None else sample_weight, self.dtype)
        weights = jnp.broadcast_to(weights_like(self._where, weights, y_true), y_true.shape)
        self.sum.assign_add(jnp.sum(y_true * weights, axis=0))
        self.squared_sum.assign_add(jnp.sum(y_true**2 * weights, axis=0))
        self.total_mse.assign_add(jnp.sum((y_true - y_pred) ** 2 * weights, axis=0))
        self.count.assign_add(jnp.sum(weights, axis=0))
        self.num_samples.assign_add(float(y_true.size))

    def result(self):
        """Return the score."""
        if not self._built:
            return jnp.zeros((), self.dtype)
        total = self.squared_sum - self.sum * (self.sum / self.count)
        scores = 1 - self.total_mse / total
        scores = jnp.where(jnp.isinf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = jnp.mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            scores = jnp.sum(total * scores) / jnp.sum(total)
        if not self.num_regressors:
            return scores
        samples = self.num_samples.value
        rest = samples - self.num_regressors - 1
        if not isinstance(rest, jax.core.Tracer) and rest <= 0:
            warnings.warn(
                f"{self._where}: expected more targets than num_regressors + 1 = "
                f"{self.num_regressors + 1}, found {int(samples)}; the score is not adjusted.",
                stacklevel=errors.users_level(),
            )
        adjusted = 1 - (1 - scores) * divide_no_nan(samples - 1, rest)
        return jnp.where(rest > 0, adjusted, scores)
