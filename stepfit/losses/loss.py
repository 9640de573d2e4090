"""Loss: one value per sample from `call`, one number from the reduction, which stands only here."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import config, dtypes, errors, masks, naming, registry
from stepfit.losses.shapes import show, squeeze_or_expand_to_same_rank, weights_like

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


class Loss(registry.Configurable):
    """Base of losses: subclasses give `call(y_true, y_pred)`, one value per sample.

    Args:
        name: name in logs and messages; default the class's, in snake case.
        reduction: "sum_over_batch_size" or "mean" (sum over the number of values), "sum",
            "mean_with_sample_weight" (sum over the sum of the weights), "none" or None.
        dtype: dtype (or policy) in which targets and predictions reach `call`; default
            `config.floatx()`.

    Raises:
        ValueError: for another `reduction`.

    Example:

    >>> import stepfit as keras
    >>> class Cubic(keras.losses.Loss):
    ...     def call(self, y_true, y_pred):
    ...         return keras.ops.mean(abs(y_true - y_pred) ** 3, axis=-1)
    >>> float(Cubic()([[0.0, 2.0]], [[0.0, 0.0]]))
    4.0
    """

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ):
        self.name = name or naming.auto_name(type(self).__name__)
        self.reduction = standardize_reduction(reduction)
        self._dtype = dtypes.get_policy(dtype or config.floatx()).compute_dtype

    @property
    def dtype(self):
        """Name of the dtype in which the loss is computed."""
        return self._dtype

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return one value per sample (or per sample and position) from arrays in `self.dtype`."""
        raise NotImplementedError(f"{type(self).__name__} must define call(self, y_true, y_pred)")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the reduced loss.

        Args:
            y_true: targets, an array-like or a structure of them.
            y_pred: predictions; a mask that a layer put on them leaves the masked values out.
            sample_weight: None, a number, or weights for the leading axes of what `call` returns.

        Returns:
            A scalar, or with reduction "none" the weighted values.

        Raises:
            ValueError: shapes that do not go together. TypeError: `call` returned None.
        """
        where = f'loss "{self.name}"'
        mask = masks.get_mask(y_pred)
        y_true, y_pred = as_arrays(y_true, self.dtype), as_arrays(y_pred, self.dtype)
        named = jax.named_scope(f"loss.{self.name}")
        with named, errors.noting_arrays(where, y_true=y_true, y_pred=y_pred):
            values = self.call(y_true, y_pred)
        if values is None:
            raise errors.bad_type(
                where, "an array of one value per sample", "None", "return the values"
            )
        own_mask = masks.get_mask(values)
        if mask is not None and own_mask is not None:
            mask = mask & own_mask
        elif mask is None:
            mask = own_mask
        return reduce_weighted_values(
            values, sample_weight, mask, self.reduction, self.dtype, where=where
        )

    def _current_config(self):
        parameters = inspect.signature(type(self).__init__).parameters
        return {"name": self.name} if "name" in parameters else {}

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}>"


class LossFunctionWrapper(Loss):
    """Loss made of a function `fn(y_true, y_pred, **kwargs)` that returns one value per sample.

    Args:
        fn: the function, or the name of a built-in one; where the ranks of `y_true` and `y_pred`
            differ by a last axis of 1 it gets them with equal ranks.
        reduction, name, dtype: as in `Loss`.
        **kwargs: further arguments of `fn`.

    Example:

    >>> import stepfit as keras
    >>> loss = keras.losses.LossFunctionWrapper(keras.losses.huber, delta=2.0)
    >>> float(loss([[0.0]], [[1.0]]))
    0.5
    """

    def __init__(self, fn, reduction="sum_over_batch_size", name=None, dtype=None, **kwargs):
        if isinstance(fn, str):
            fn = registry.catalogue("loss").find(fn, "LossFunctionWrapper(fn)")
        super().__init__(name=name or getattr(fn, "__name__", None), reduction=reduction,
                         dtype=dtype)  # fmt: skip
        self.fn = fn
        self._fn_kwargs = kwargs

    def call(self, y_true, y_pred):
        """Return `fn` of targets and predictions with equal ranks."""
        outer, other = jax.tree.structure(y_true), jax.tree.structure(y_pred)
        if outer == other:  # type: ignore[operator]
            pairs = jax.tree.map(squeeze_or_expand_to_same_rank, y_true, y_pred)
            y_true, y_pred = jax.tree.transpose(outer, jax.tree.structure((0, 0)), pairs)
        return self.fn(y_true, y_pred, **self._fn_kwargs)


def as_arrays(tree, dtype=None):
    """Return a structure of array-likes as arrays; nested lists of numbers count as one array."""

    def is_leaf(x):
        return isinstance(x, (list, tuple)) and all(
            isinstance(leaf, (bool, int, float, np.generic)) for leaf in jax.tree.leaves(x)
        )

    return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree, is_leaf=is_leaf)


def standardize_reduction(reduction):
    """Return `reduction` if it is a known one, else raise."""
    if reduction not in REDUCTIONS:
        raise errors.unknown_name("reduction", "reduction", reduction, REDUCTIONS)
    return reduction


def combine(where, weights, mask):
    """Return the product of weights and a float mask, each with the other's leading axes."""
    mask, weights = squeeze_or_expand_to_same_rank(mask, weights)
    if weights.ndim <= mask.ndim:
        return weights_like(where, weights, mask) * mask
    return weights * weights_like(where, mask, weights)


def apply_mask(sample_weight, mask, dtype, reduction, where="sample_weight"):
    """Return the weights that leave out what `mask` excludes; None if neither is given.

    For the two plain means, what remains is scaled by total / kept, so that dividing by the total
    gives the mean over the kept values.
    """
    if sample_weight is not None:
        sample_weight = jnp.asarray(sample_weight, dtype)
    if mask is None:
        return sample_weight
    float_mask = jnp.asarray(mask, bool).astype(dtype)
    if reduction in ("mean", "sum_over_batch_size"):
        float_mask = float_mask * divide_no_nan(float_mask.size, jnp.sum(float_mask))
    if sample_weight is None:
        return float_mask
    return combine(where, sample_weight, float_mask)


def reduce_weighted_values(
    values,
    sample_weight=None,
    mask=None,
    reduction="sum_over_batch_size",
    dtype=None,
    where="loss",
):
    """Return values times weights, reduced.

    Args:
        values: array; its first axis counts the samples.
        sample_weight: None, a number, or an array for the leading axes of `values`.
        mask: None or a bool array for the leading axes; False leaves a value out.
        reduction: as in `Loss`.
        dtype: dtype of the result.
        where: who asks, for errors.
    """
    standardize_reduction(reduction)
    values = jnp.asarray(values, dtype)
    if not values.ndim:
        mask = None  # an already reduced loss has no entries that a mask could leave out
        if np.ndim(sample_weight if sample_weight is not None else 0):
            raise errors.bad_value(
                where,
                f"one value per sample, to go with sample_weight {show(np.shape(sample_weight))}",
                "a single number",
                "average over the last axis only (axis=-1) and leave the rest to the reduction",
            )
    weights = apply_mask(sample_weight, mask, values.dtype, reduction, where)
    if weights is not None:
        values, weights = squeeze_or_expand_to_same_rank(values, weights)
        factors = weights_like(where, weights, values)
        # What has no weight does not count, though it be NaN (for a label of no class).
        values = jnp.where(factors == 0, 0, values * factors)
    if reduction in (None, "none") or values.shape in ((), (0,)):
        return values
    total = jnp.sum(values)
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and weights is not None:
        return divide_no_nan(total, jnp.sum(weights))
    return divide_no_nan(total, values.size)


def divide_no_nan(x, y):
    """Return x / y, and 0 where y is 0 (with gradients that stay finite)."""
    y = jnp.asarray(y)
    zero = y == 0
    return jnp.where(zero, 0, x / jnp.where(zero, 1, y))
