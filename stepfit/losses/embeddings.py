"""Losses that bring embeddings of one class together and those of different classes apart."""

import jax
import jax.numpy as jnp

from stepfit.core import errors, masks
from stepfit.core.op import op
from stepfit.losses.loss import LossFunctionWrapper
from stepfit.losses.shapes import as_float, show


@op
def circle(
    y_true,
    y_pred,
    ref_labels=None,
    ref_embeddings=None,
    remove_diagonal=True,
    gamma=80,
    margin=0.4,
):
    """Circle loss: `softplus(logsumexp(p) + logsumexp(n))` over distances d = 1 - cosine.

    `p = gamma * (d + margin) * (d - margin)` for samples of the same class,
    `n = gamma * max(1 + margin - d, 0) * (1 - margin - d)` for samples of another.

    Args:
        y_true: int labels, shape (batch,) or (batch, 1).
        y_pred: embeddings of length 1, shape (batch, d).
        ref_labels, ref_embeddings: labels and embeddings to compare with; None: the batch itself.
        remove_diagonal: whether sample i is not compared with reference i as one of its class.
        gamma: float, scale.
        margin: float, relaxation.

    Returns:
        Array of shape (batch,), with a mask that leaves out samples without a pair.

    Raises:
        ValueError: embeddings without two axes, or another number of labels.

    >>> import numpy as np, stepfit as keras
    >>> embeddings = np.eye(3, dtype="float32")[[0, 0, 1]]
    >>> keras.losses.circle(np.array([5, 5, 7]), embeddings, gamma=1.0).round(3).tolist()
    [0.5460000038146973, 0.5460000038146973, 0.0]

    Source: Sun et al., 2020, https://arxiv.org/abs/2002.10857.
    """
    y_pred, labels = as_float(y_pred), jnp.asarray(y_true).astype("int32")
    reference = y_pred if ref_embeddings is None else as_float(ref_embeddings)
    known = labels if ref_labels is None else jnp.asarray(ref_labels).astype("int32")
    for name, own, vectors in (("y_true", labels, y_pred), ("ref_labels", known, reference)):
        if vectors.ndim != 2 or own.size != vectors.shape[0]:
            raise errors.bad_value(
                "circle", "embeddings (batch, d) and one label for each",
                f"{show(vectors.shape)} and {name} {show(own.shape)}",
            )  # fmt: skip
    distance = jnp.maximum(1 - y_pred @ reference.T, 0.0)
    same = labels.reshape(-1, 1) == known.reshape(1, -1)
    other = ~same
    if remove_diagonal:
        same &= ~jnp.eye(same.shape[0], same.shape[1], dtype=bool)
    near = gamma * jnp.maximum(margin + distance, 0.0) * (distance - margin)
    far = gamma * jnp.maximum(1 + margin - distance, 0.0) * (1 - margin - distance)
    values = jax.nn.softplus(_over(near, same) + _over(far, other))
    masks.set_mask(values, values > 0)
    return values


def _over(x, where):
    """Return `logsumexp` of each row where a condition holds, -inf where it holds nowhere."""
    some = where.any(1)
    x = jnp.where(where | ~some[:, None], x, -jnp.inf)  # keeps the gradient of such rows finite
    return jnp.where(some, jax.nn.logsumexp(x, axis=1), -jnp.inf)


class Circle(LossFunctionWrapper):
    """Loss for embeddings of length 1 by their classes; see `circle`.

    Args:
        gamma: float, scale.
        margin: float, relaxation.
        remove_diagonal: whether a sample is not compared with itself.
        reduction, name, dtype: as in `Loss`.

    >>> import numpy as np, stepfit as keras
    >>> embeddings = np.eye(3, dtype="float32")[[0, 0, 1]]
    >>> round(float(keras.losses.Circle(gamma=1.0)(np.array([5, 5, 7]), embeddings)), 3)
    0.546
    """

    def __init__(
        self,
        gamma=80.0,
        margin=0.4,
        remove_diagonal=True,
        reduction="sum_over_batch_size",
        name="circle",
        dtype=None,
    ):
        super().__init__(
            circle, reduction, name, dtype,
            gamma=gamma, margin=margin, remove_diagonal=remove_diagonal,
        )  # fmt: skip
