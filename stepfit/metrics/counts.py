"""Counting right and wrong yes/no predictions at many thresholds.

For a threshold t, a prediction above t says yes. *tp*, *fp*, *tn*, *fn* are the (weighted) numbers
of true and false, yes and no predictions. Evenly spaced thresholds, as `AUC` makes them, are
counted by putting each prediction into the bucket between its neighbours, in time that does not
grow with the number of thresholds.
"""

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import config, errors
from stepfit.losses.shapes import align, show, weights_like

BELOW_ALL = -1e10  # the threshold that every prediction left by `keep_top_k` exceeds


def parse_thresholds(where, thresholds, default):
    """Return thresholds as a list; they must be in [0, 1]."""
    if thresholds is None:
        return [default]
    found = list(thresholds) if isinstance(thresholds, (list, tuple)) else [thresholds]
    for t in found:
        if t is None or not 0 <= t <= 1:
            raise errors.bad_value(f"{where} thresholds", "numbers in [0, 1]", repr(t))
    return found


def hint_one_hot(true_shape, pred_shape):
    """Return the fix for labels given as integers, where each class is a yes or no of its own."""
    labels = true_shape[:-1] if len(true_shape) == len(pred_shape) else true_shape
    if labels != pred_shape[:-1] or true_shape[-1:] not in ((1,), labels[-1:]):
        return None
    return (
        "for integer class labels make y one-hot, with keras.utils.to_categorical"
        f"(y, {pred_shape[-1]}), and use categorical_crossentropy"
    )


def evenly_spaced(thresholds):
    """Say whether thresholds are at least three and divide [0, 1] evenly."""
    n = len(thresholds)
    return n >= 3 and np.allclose(
        thresholds, np.arange(n) / (n - 1), atol=2 * config.epsilon()
    )


def spaced(num_thresholds):
    """Return `num_thresholds` numbers from 0 to 1, evenly spaced."""
    last = num_thresholds - 1
    return [0.0, *(i / last for i in range(1, last)), 1.0]


def keep_top_k(y_pred, k):
    """Return predictions with all but the k largest of each row pushed below every threshold."""
    _, index = jax.lax.top_k(y_pred, k)
    kept = jnp.sum(jax.nn.one_hot(index, y_pred.shape[-1]), axis=-2)
    return jnp.where(kept > 0, y_pred, BELOW_ALL)


def count(
    where,
    y_true,
    y_pred,
    thresholds,
    sample_weight=None,
    label_weights=None,
    per_label=False,
    top_k=None,
    class_id=None,
    dtype=None,
):
    """Return tp, fp, tn, fn, one entry per threshold.

    Args:
        where: who asks, for errors.
        y_true: targets; what is not 0 is a yes.
        y_pred: predictions of the same shape, in [0, 1].
        thresholds: list of numbers.
        sample_weight: None, or weights for the leading axes of `y_pred`.
        label_weights: None, or weights for the last axis.
        per_label: whether to count each entry of the last axis (of two) by itself.
        top_k: None, or how many of each row's predictions may say yes.
        class_id: None, or the one entry of the last axis to look at.
        dtype: dtype of the counts.

    Returns:
        Four arrays of shape (thresholds,), with `per_label` (thresholds, labels).

    Raises:
        ValueError: shapes that do not go together.
    """
    dtype = dtype or config.floatx()
    y_true, y_pred = jnp.asarray(y_true, dtype), jnp.asarray(y_pred, dtype)
    y_true, y_pred = align(where, y_true, y_pred, hint_one_hot)
    if top_k is not None:
        y_pred = keep_top_k(y_pred, top_k)
    if class_id is not None:
        if y_pred.ndim < 2 or not -y_pred.shape[-1] <= class_id < y_pred.shape[-1]:
            raise errors.bad_value(
                where, f"y_pred with a class {class_id} on its last axis", show(y_pred.shape)
            )
        y_true, y_pred = y_true[..., class_id, None], y_pred[..., class_id, None]
    weights = jnp.ones((), dtype)
    if sample_weight is not None:
        weights = jnp.asarray(sample_weight, dtype)
        if weights.ndim == y_pred.ndim + 1 and weights.shape[-1] == 1:
            weights = jnp.squeeze(weights, -1)
        weights = weights_like(where, weights, y_pred)
    if label_weights is not None:
        labels = jnp.asarray(label_weights, dtype)
        weights = weights * jnp.reshape(labels, (1,) * (y_pred.ndim - 1) + labels.shape)
    weights = jnp.broadcast_to(weights, y_pred.shape)
    yes, no = jnp.where(y_true != 0, weights, 0), jnp.where(y_true != 0, 0, weights)
    shape = y_pred.shape if per_label else (-1, 1)
    yes, no, y_pred = (jnp.reshape(a, shape) for a in (yes, no, y_pred))
    counts = _by_bucket if evenly_spaced(thresholds) else _by_comparison
    found = counts(yes, no, y_pred, thresholds)
    return found if per_label else tuple(c[:, 0] for c in found)


def _by_comparison(yes, no, y_pred, thresholds):
    above = y_pred[None] > jnp.asarray(thresholds, y_pred.dtype)[:, None, None]
    yes, no = yes[None], no[None]
    tp, fp = (jnp.sum(jnp.where(above, w, 0), axis=1) for w in (yes, no))
    fn, tn = (jnp.sum(jnp.where(above, 0, w), axis=1) for w in (yes, no))
    return tp, fp, tn, fn


def _by_bucket(yes, no, y_pred, thresholds):
    n = len(thresholds)
    bucket = jnp.ceil(jnp.clip(y_pred, 0.0, 1.0) * (n - 1)) - 1
    if thresholds[0] < 0.0 or thresholds[-1] > 1.0:
        bucket = jnp.maximum(bucket, 0)  # a first threshold below 0 is exceeded by 0 as well
    bucket = bucket.astype("int32")

    def above(weights):
        sums = jax.vmap(
            lambda w, b: jax.ops.segment_sum(w, b, num_segments=n), in_axes=1, out_axes=1
        )(weights, bucket)
        return jnp.flip(jnp.cumsum(jnp.flip(sums, 0), axis=0), 0)

    tp, fp = above(yes), above(no)
    return tp, fp, jnp.sum(no, axis=0)[None] - fp, jnp.sum(yes, axis=0)[None] - tp
