"""Which shapes of targets, predictions and weights go together, and what to say when they do not.

Keras's rule for ranks is kept: where they differ by one and the longer shape ends in 1, the pair is
squeezed or expanded. Beyond that nothing broadcasts by accident: (N, 2) targets against (N, 1)
predictions are an error here, and a silent wrong number elsewhere.
"""

import jax.numpy as jnp

from stepfit.core import config, errors


def squeeze_or_expand_to_same_rank(x1, x2, expand_rank_1=True):
    """Return the pair with equal ranks, where they differ by one and the longer shape ends in 1.

    Args:
        x1, x2: arrays.
        expand_rank_1: whether (N,) against (N, 1) becomes (N, 1) rather than (N,).
    """
    if x1.ndim == x2.ndim + 1:
        x2, x1 = squeeze_or_expand_to_same_rank(x2, x1, expand_rank_1)
    elif x2.ndim == x1.ndim + 1 and x1.ndim and x2.shape[-1] == 1:
        if x1.ndim == 1 and expand_rank_1:
            x1 = jnp.expand_dims(x1, -1)
        else:
            x2 = jnp.squeeze(x2, -1)
    return x1, x2


def show(shape):
    """Return a shape as text."""
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def as_float(x):
    """Return `x` as an array of a floating type."""
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(config.floatx())


def pair(where, y_true, y_pred, hint=None):
    """Return `y_true` and `y_pred` as float arrays of one shape and of `y_pred`'s dtype.

    Args and Raises: as `align`.
    """
    y_pred = as_float(y_pred)
    return align(where, jnp.asarray(y_true).astype(y_pred.dtype), y_pred, hint)


def align(where, y_true, y_pred, hint=None):
    """Return `y_true` and `y_pred` with one shape.

    Args:
        where: who asks, for the error.
        y_true, y_pred: arrays whose shapes are equal, or equal once a last axis of 1 is squeezed or
            added; a scalar on one side stands for an array of that constant.
        hint: function of both shapes that returns a special fix, or None.

    Raises:
        ValueError: if the shapes differ (they would broadcast, or fail deep inside).
    """
    shapes = y_true.shape, y_pred.shape
    if y_true.ndim == 0:
        y_true = jnp.broadcast_to(y_true, y_pred.shape)
    elif y_pred.ndim == 0:
        y_pred = jnp.broadcast_to(y_pred, y_true.shape)
    y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
    if y_true.shape != y_pred.shape or not y_pred.ndim:
        raise mismatch(where, *shapes, hint)
    return y_true, y_pred


def mismatch(where, true_shape, pred_shape, hint=None):
    """Return the error for targets and predictions whose shapes do not go together."""
    fix = hint(true_shape, pred_shape) if hint else None
    if fix is None and not (true_shape or pred_shape):
        fix = "give both at least one axis"
    elif fix is None:
        fix = "reshape y to the shape of the model's output"
        if 0 in true_shape or 0 in pred_shape:
            fix = "an axis of size 0 holds nothing"
        elif true_shape and pred_shape and true_shape[0] != pred_shape[0]:
            fix = "the first axis counts the samples"
        elif len(true_shape) == len(pred_shape) and true_shape[:-1] == pred_shape[:-1]:
            units = "1 unit" if true_shape[-1] == 1 else f"{true_shape[-1]} units"
            fix = f"give the model's last layer {units}, or reshape y"
    return errors.bad_value(
        where,
        "y_true and y_pred of the same shape",
        f"y_true {show(true_shape)} and y_pred {show(pred_shape)}",
        fix,
    )


def weights_like(where, weights, values):
    """Return `weights` with trailing axes of 1 added, so that they broadcast onto `values`.

    Args:
        where: who asks, for the error.
        weights: array of rank 0, or one whose leading axes equal those of `values` (or are 1).
        values: array.

    Raises:
        ValueError: if the weights fit in no such way.
    """
    fits = weights.ndim <= values.ndim and all(
        w == v or w == 1 for w, v in zip(weights.shape, values.shape, strict=False)
    )
    if not fits:
        fix = "give one weight per sample, or one per value"
        if weights.ndim == 1 and values.ndim > 1 and weights.shape[0] == values.shape[-1]:
            shape = (1,) * (values.ndim - 1) + weights.shape
            fix = f"to weight the last axis, reshape them to {show(shape)}"
        raise errors.bad_value(
            where,
            f"sample_weight that broadcasts onto values of shape {show(values.shape)}",
            f"sample_weight {show(weights.shape)}",
            fix,
        )
    return jnp.reshape(weights, weights.shape + (1,) * (values.ndim - weights.ndim))
