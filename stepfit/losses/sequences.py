"""Losses for label sequences whose alignment with the predictions is unknown."""

import jax.numpy as jnp

from stepfit import ops
from stepfit.core import errors
from stepfit.core.op import op
from stepfit.losses.loss import LossFunctionWrapper
from stepfit.losses.shapes import as_float, show


@op
def ctc(y_true, y_pred):
    """Minus the log-probability of a label sequence, over all its alignments; see `ops.ctc_loss`.

    Args:
        y_true: int labels, shape (batch, labels); 0 is no label and fills up short rows.
        y_pred: logits, shape (batch, frames, classes).

    Returns:
        Array of shape (batch,).

    Raises:
        ValueError: other ranks.

    >>> import numpy as np, stepfit as keras
    >>> round(float(keras.losses.ctc(np.array([[1, 0]]), np.zeros((1, 1, 2)))[0]), 4)
    0.6931
    """
    y_true, y_pred = jnp.asarray(y_true), as_float(y_pred)
    if y_true.ndim != 2 or y_pred.ndim != 3:
        raise errors.bad_value(
            "ctc", "labels y_true (batch, labels) and logits y_pred (batch, frames, classes)",
            f"y_true {show(y_true.shape)} and y_pred {show(y_pred.shape)}",
        )  # fmt: skip
    frames = jnp.full(y_pred.shape[:1], y_pred.shape[1], "int32")
    labels = jnp.sum(y_true != 0, axis=-1)
    return ops.ctc_loss(y_true, y_pred, labels, frames).astype(y_pred.dtype)


class CTC(LossFunctionWrapper):
    """Loss for label sequences whose alignment is unknown; see `ctc`.

    Args:
        reduction, name, dtype: as in `Loss`.

    >>> import numpy as np, stepfit as keras
    >>> round(float(keras.losses.CTC()(np.array([[1, 0]]), np.zeros((1, 1, 2)))), 4)
    0.6931

    Source: Graves et al., 2006, https://www.cs.toronto.edu/~graves/icml_2006.pdf.
    """

    def __init__(self, reduction="sum_over_batch_size", name="ctc", dtype=None):
        super().__init__(ctc, reduction, name, dtype)
