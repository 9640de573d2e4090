"""Mean and sum of values over batches, and the mean of any function of targets and predictions."""

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import dtypes, errors, masks, registry
from stepfit.losses.loss import Loss, apply_mask, as_arrays, divide_no_nan
from stepfit.losses.shapes import show, squeeze_or_expand_to_same_rank
from stepfit.metrics.metric import Metric


def samplewise(where, values, sample_weight, reduce, dtype):
    """Return values, one per sample and weighted, and the weights, one per sample (or None).

    Args:
        where: who asks, for errors.
        values: array-like; its first axis counts the samples.
        sample_weight: None, or an array-like that broadcasts onto the leading axes of `values`.
        reduce: `jnp.mean` or `jnp.sum`: how the further axes of a sample become one value.
        dtype: dtype of the result.
    """
    mask = masks.get_mask(values)
    values = jnp.asarray(values, dtype)
    if sample_weight is None:
        return reduce(values, axis=tuple(range(1, values.ndim))), None
    weights = jnp.asarray(sample_weight, dtype)
    if mask is not None:
        weights = apply_mask(weights, mask, dtype, "sum", where)
    found = weights.shape
    given, (values, weights) = values.shape, squeeze_or_expand_to_same_rank(values, weights)
    leading = values.shape[: weights.ndim]
    fits = all(w in (1, v) for w, v in zip(weights.shape, leading, strict=False))
    if weights.ndim > values.ndim or not fits:
        raise errors.bad_value(
            where,
            f"sample_weight that broadcasts onto values of shape {show(given)}",
            f"shape {show(found)}",
            "give one weight per sample or per value; Mean and Sum take (values, sample_weight), "
            "not (y_true, y_pred)",
        )
    values = reduce(values, axis=tuple(range(weights.ndim, values.ndim)))
    weights = jnp.broadcast_to(weights, values.shape)
    values = values * weights
    rest = tuple(range(1, weights.ndim))
    return reduce(values, axis=rest), reduce(weights, axis=rest)


class Sum(Metric):
    """Sum of values: `sum(values * sample_weight)`.

    Args:
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> metric = keras.metrics.Sum()
    >>> metric.update_state([1.0, 3.0]); metric.update_state([5.0], sample_weight=[2.0])
    >>> float(metric.result())
    14.0
    """

    def __init__(self, name="sum", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable(dtype=self.dtype, name="total")

    def update_state(self, values, sample_weight=None):
        """Add values.

        Args:
            values: number or array; the first axis counts the samples.
            sample_weight: None, a number, or weights for the leading axes of `values`.
        """
        values, _ = samplewise(self._where, values, sample_weight, jnp.sum, self.dtype)
        self.total.assign_add(jnp.sum(values))

    def result(self):
        """Return the sum."""
        return self.total.value


class Mean(Metric):
    """Weighted mean of values: `sum(values * sample_weight) / sum(sample_weight)`.

    Args:
        name, dtype: as in `Metric`.

    Raises:
        ValueError: from `update_state`, if the weights do not broadcast onto the values.

    >>> import stepfit as keras
    >>> metric = keras.metrics.Mean()
    >>> metric.update_state([1.0, 3.0]); metric.update_state([5.0], sample_weight=[2.0])
    >>> float(metric.result())
    3.5
    """

    def __init__(self, name="mean", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable(dtype=self.dtype, name="total")
        self.count = self.add_variable(dtype=self.dtype, name="count")

    def update_state(self, values, sample_weight=None):
        """Add values.

        Args:
            values: number or array; the first axis counts the samples, further axes are averaged.
            sample_weight: None, a number, or weights for the leading axes of `values`.
        """
        values, weights = samplewise(self._where, values, sample_weight, jnp.mean, self.dtype)
        self.total.assign_add(jnp.sum(values))
        self.count.assign_add(float(values.size) if weights is None else jnp.sum(weights))

    def result(self):
        """Return the mean, 0 before any value."""
        return divide_no_nan(self.total.value, self.count.value)


class MeanMetricWrapper(Mean):
    """Mean of a function `fn(y_true, y_pred, **kwargs)` that returns one value per sample.

    Args:
        fn: the function, a `Loss`, or the name of a built-in loss function.
        name: name in logs; default the function's.
        dtype: dtype in which predictions reach `fn`; default `config.floatx()`.
        **kwargs: further arguments of `fn`.

    >>> import stepfit as keras
    >>> metric = keras.metrics.MeanMetricWrapper(lambda y_true, y_pred: abs(y_true - y_pred), "gap")
    >>> metric.update_state([1.0, 2.0], [2.0, 4.0])
    >>> float(metric.result())
    1.5
    """

    def __init__(self, fn, name=None, dtype=None, **kwargs):
        if isinstance(fn, str):
            fn = registry.catalogue("loss").find(fn, "MeanMetricWrapper(fn)")
        name = name or getattr(fn, "name", None) or getattr(fn, "__name__", None)
        super().__init__(name=name, dtype=dtype)
        self._fn = fn
        self._fn_kwargs = kwargs
        if type(self)._direction is None and fn in registry.catalogue("loss").entries.values():
            self._direction = "down"

    def update_state(self, y_true, y_pred, sample_weight=None):  # type: ignore[override]
        """Add a batch.

        Args:
            y_true: targets.
            y_pred: predictions; a mask that a layer put on them leaves the masked values out.
            sample_weight: None, a number, or weights for the leading axes of what `fn` returns.
        """
        mask = masks.get_mask(y_pred)
        y_true, y_pred = as_arrays(y_true), jax.tree.map(self._as_float, as_arrays(y_pred))
        weights = apply_mask(sample_weight, mask, self.dtype, "sum", self._where)
        if isinstance(self._fn, Loss):
            return super().update_state(self._fn(y_true, y_pred, weights))
        with errors.noting_arrays(self._where, y_true=y_true, y_pred=y_pred):
            values = self._fn(y_true, y_pred, **self._fn_kwargs)
        if values is None:
            raise errors.bad_type(
                self._where, "an array of one value per sample", "None", "return the values"
            )
        if sample_weight is None and not np.ndim(values):
            weights = None  # an already reduced value has no entries that a mask could leave out
        super().update_state(values, sample_weight=weights)

    def _as_float(self, x):
        """Return float arrays in the metric's dtype: means of 16-bit numbers lose samples."""
        return x.astype(self.dtype) if dtypes.is_float(x.dtype) else x
