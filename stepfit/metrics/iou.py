"""Intersection over union of classes, from a confusion matrix."""

import warnings

import jax.numpy as jnp

from stepfit.core import config, dtypes, errors
from stepfit.losses.loss import divide_no_nan
from stepfit.losses.shapes import align, weights_like
from stepfit.metrics.metric import Metric


class IoU(Metric):
    """Mean over some classes of ``tp / (tp + fp + fn)``, the intersection over the union.

    Targets and predictions outside of ``0 ... num_classes - 1`` do not count, and a class that
    neither has does not count in the mean.

    Args:
        num_classes: int.
        target_class_ids: list of ints, the classes to average over.
        name: as in `Metric`.
        dtype: dtype of the confusion matrix, default "int32"; with weights that are not whole
            numbers, pass "float32".
        ignore_class: None, or the target of entries that do not count.
        sparse_y_true, sparse_y_pred: whether targets and predictions are class numbers; else the
            largest entry along `axis` gives the class.
        axis: int, the axis of the classes where they are not class numbers.

    Raises:
        ValueError: a target class out of range; from `update_state`, shapes that differ.

    >>> import stepfit as keras
    >>> metric = keras.metrics.IoU(num_classes=2, target_class_ids=[0])
    >>> round(float(metric([0, 0, 1, 1], [0, 1, 0, 1])), 4)
    0.3333
    """

    _direction = "up"

    def __init__(
        self,
        num_classes,
        target_class_ids,
        name=None,
        dtype=None,
        ignore_class=None,
        sparse_y_true=True,
        sparse_y_pred=True,
        axis=-1,
    ):
        super().__init__(name=name, dtype=dtype or "int32")
        wrong = [i for i in target_class_ids if not 0 <= i < num_classes]
        if wrong:
            raise errors.bad_value(
                f"{type(self).__name__} target_class_ids",
                f"ints of at least 0, below num_classes = {num_classes}", repr(wrong[0]),
            )  # fmt: skip
        self.num_classes = num_classes
        self.target_class_ids = list(target_class_ids)
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis
        self.total_cm = self.add_variable(
            (num_classes, num_classes), dtype=self.dtype, name="total_confusion_matrix"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch.

        Args:
            y_true, y_pred: class numbers of one shape, or scores with the axis of the classes.
            sample_weight: None, or weights for the leading axes of the class numbers.
        """
        y_true = self._classes(y_true, self.sparse_y_true)
        found = self._classes(y_pred, self.sparse_y_pred)
        y_true, y_pred = align(self._where, y_true, found, self._hint)
        last = self.num_classes - 1
        counted = (y_true >= 0) & (y_true <= last) & (y_pred >= 0) & (y_pred <= last)
        if self.ignore_class is not None:
            counted &= y_true != self.ignore_class
        weights = jnp.where(counted, self._weights(sample_weight, y_true), 0)
        cells = (jnp.clip(y_true, 0, last).ravel(), jnp.clip(y_pred, 0, last).ravel())
        found = jnp.zeros(self.total_cm.shape, self.total_cm.dtype).at[cells].add(weights.ravel())
        self.total_cm.assign_add(found)

    def _hint(self, true_shape, pred_shape):
        if self.sparse_y_pred and len(pred_shape) == len(true_shape) + 1:
            return "for predictions with an axis of classes pass sparse_y_pred=False"
        return None

    def _classes(self, x, sparse):
        x = jnp.asarray(x)
        return (x if sparse else jnp.argmax(x, axis=self.axis)).astype("int32")

    def _weights(self, given, values):
        if given is None:
            return jnp.ones(values.shape, self.dtype)
        given = jnp.asarray(given)
        if dtypes.is_float(given.dtype) and not dtypes.is_float(self.dtype):
            warnings.warn(
                f"{self._where}: expected whole numbers as sample_weight, found {given.dtype}; "
                f'fractions are dropped: pass {type(self).__name__}(..., dtype="float32").',
                stacklevel=errors.users_level(),
            )
        weights = weights_like(self._where, given.astype(self.dtype), values)
        return jnp.broadcast_to(weights, values.shape)

    def result(self):
        """Return the mean over the target classes, 0 where none of them was seen."""
        table = self.total_cm.value.astype("float32")
        both = jnp.diag(table)
        union = table.sum(0) + table.sum(1) - both
        chosen = jnp.asarray(self.target_class_ids)
        both, union = both[chosen], union[chosen]
        seen = union > 0
        shares = jnp.where(seen, both / (union + config.epsilon()), 0.0)
        return divide_no_nan(shares.sum(), seen.sum() + config.epsilon())


class BinaryIoU(IoU):
    """Mean intersection over union of yes and no.

    Args:
        target_class_ids: classes to average over: 0, 1 or both.
        threshold: float; predictions of at least it say 1.
        name, dtype: as in `IoU`.

    Raises:
        ValueError: a target class out of range; from `update_state`, shapes that differ.

    >>> import stepfit as keras
    >>> metric = keras.metrics.BinaryIoU(threshold=0.3)
    >>> round(float(metric([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7])), 4)
    0.3333
    """

    def __init__(self, target_class_ids=(0, 1), threshold=0.5, name=None, dtype=None):
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def _current_config(self):
        return {**super()._current_config(), "target_class_ids": self.target_class_ids}

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch of targets 0 and 1 and predictions of one shape."""
        super().update_state(y_true, jnp.asarray(y_pred) >= self.threshold, sample_weight)


class MeanIoU(IoU):
    """Mean intersection over union of all classes.

    Args:
        num_classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis: as in `IoU`.

    >>> import stepfit as keras
    >>> metric = keras.metrics.MeanIoU(num_classes=2)
    >>> round(float(metric([0, 0, 1, 1], [0, 1, 0, 1])), 4)
    0.3333
    """

    def __init__(
        self,
        num_classes,
        name=None,
        dtype=None,
        ignore_class=None,
        sparse_y_true=True,
        sparse_y_pred=True,
        axis=-1,
    ):
        super().__init__(
            num_classes, range(num_classes), name, dtype, ignore_class, sparse_y_true,
            sparse_y_pred, axis,
        )  # fmt: skip


class OneHotIoU(IoU):
    """`IoU` for one-hot targets.

    Args:
        num_classes, target_class_ids, name, dtype, ignore_class, axis: as in `IoU`.
        sparse_y_pred: whether predictions are class numbers; else scores.

    >>> import stepfit as keras
    >>> metric = keras.metrics.OneHotIoU(num_classes=2, target_class_ids=[0])
    >>> round(float(metric([[1, 0], [1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])), 4)
    0.3333
    """

    def __init__(
        self,
        num_classes,
        target_class_ids,
        name=None,
        dtype=None,
        ignore_class=None,
        sparse_y_pred=False,
        axis=-1,
    ):
        super().__init__(
            num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis
        )


class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` for one-hot targets.

    Args:
        num_classes, name, dtype, ignore_class, axis: as in `IoU`.
        sparse_y_pred: whether predictions are class numbers; else scores.

    >>> import stepfit as keras
    >>> metric = keras.metrics.OneHotMeanIoU(num_classes=2)
    >>> round(float(metric([[1, 0], [1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])), 4)
    0.1667
    """

    def __init__(
        self, num_classes, name=None, dtype=None, ignore_class=None, sparse_y_pred=False, axis=-1
    ):
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
