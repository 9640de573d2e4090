"""Checks of targets and predictions by value, made on the host before (or beside) compiled code.

A compiled step cannot raise on a value: label 7 of 3 classes or the label 0.5 would go into a
number that looks like a loss. These functions look at real arrays, for instance at the first
batches, and say what is wrong with them.
"""

import numpy as np

from stepfit.core import errors
from stepfit.losses import binary, classification
from stepfit.losses.shapes import show

_SPARSE = (classification.sparse_categorical_crossentropy,)
_CATEGORICAL = (
    classification.categorical_crossentropy,
    classification.categorical_focal_crossentropy,
)
_BINARY = (binary.binary_crossentropy, binary.binary_focal_crossentropy)


def check_labels(loss, y, output_shape, where="y", sample_weight=None):
    """Raise if the targets `y` cannot be what `loss` is meant for; see the module's text.

    Args:
        loss: a loss object or function; losses other than the crossentropies pass.
        y: targets as a host array (NumPy, or anything `np.asarray` takes); read once.
        output_shape: shape of the predictions (None for unknown sizes), or the number of classes.
        where: what to call the targets in the message, such as "validation_data[1]".
        sample_weight: weights for the leading axes of `y`; what has weight 0 may be anything.

    Raises:
        ValueError: class labels out of range, not whole numbers, integer where one-hot is needed or
            the other way round; yes/no targets outside [0, 1].

    >>> import stepfit as keras
    >>> loss = keras.losses.SparseCategoricalCrossentropy()
    >>> keras.losses.check_labels(loss, [0, 2, 1], 3)
    >>> keras.losses.check_labels(loss, [0, -1, 1], 3)
    Traceback (most recent call last):
    ...
    stepfit.core.errors.StepfitValueError: y: expected integer labels in [0, 3) for \
sparse_categorical_crossentropy, found -1; labels start at 0; to leave entries out of the loss, \
pass ignore_class.
    """
    fn = getattr(loss, "fn", loss)
    options = getattr(loss, "_fn_kwargs", {})
    y = np.asarray(y)
    if fn in _SPARSE:
        axis, ignored = options.get("axis", -1), options.get("ignore_class")
        shape = _shape(output_shape)
        _check_sparse(y, shape, axis, ignored, fn.__name__, where, sample_weight)
    elif fn in _CATEGORICAL:
        _check_categorical(y, _shape(output_shape), options.get("axis", -1), fn.__name__, where)
    elif fn in _BINARY:
        _check_binary(_counted(y, sample_weight), fn.__name__, where)


def check_predictions(loss, y_pred, where="y_pred"):
    """Raise if predictions cannot be the probabilities that `loss` takes them for.

    Args:
        loss: a loss object or function; only crossentropies without `from_logits` are checked.
        y_pred: predictions as a host array.
        where: what to call the predictions in the message.

    Raises:
        ValueError: a prediction outside [0, 1] (a little rounding is let pass).

    >>> import stepfit as keras
    >>> keras.losses.check_predictions(keras.losses.binary_crossentropy, [0.2, 0.9])
    """
    last = _last_activation(loss)
    if last is None:
        return
    fn = getattr(loss, "fn", loss)
    found = _first_outside(np.asarray(y_pred).astype("float32"), -1e-3, 1 + 1e-3)
    if found is not None:
        raise errors.bad_value(
            where,
            f"probabilities in [0, 1] for {fn.__name__}",
            _number(found),
            f'end the model with activation="{last}", or give the loss from_logits=True',
        )


def check_activation(loss, where):
    """Raise if a loss takes for probabilities what is known to be the output of a linear layer.

    Args:
        loss: a loss object or function; only crossentropies without `from_logits` are checked.
        where: what to call the loss in the message.

    Raises:
        ValueError: always for such a loss.

    >>> import stepfit as keras
    >>> keras.losses.check_activation(keras.losses.BinaryCrossentropy(from_logits=True), "loss")
    """
    last = _last_activation(loss)
    if last is not None:
        raise errors.bad_value(
            where,
            f"an output of probabilities in [0, 1] for {getattr(loss, 'fn', loss).__name__}",
            "the output of a linear layer",
            f'end the model with activation="{last}", or give the loss from_logits=True',
        )


def _last_activation(loss):
    """Return the activation that a loss expects a model to end with, None where it does not say."""
    fn = getattr(loss, "fn", loss)
    if getattr(loss, "_fn_kwargs", {}).get("from_logits"):
        return None
    if fn in _BINARY:
        return "sigmoid"
    return "softmax" if fn in _SPARSE + _CATEGORICAL else None


def _shape(output_shape):
    if isinstance(output_shape, (int, np.integer)):
        return (None, int(output_shape))
    return tuple(output_shape)


def _number(x):
    """Return one number as text: 7, 0.5, nan."""
    return f"{float(x):g}"


def _first_outside(y, low, high):
    """Return the first entry that is not in [low, high] (NaN counts as outside), or None."""
    bad = ~((y >= low) & (y <= high))
    return y[bad].flat[0] if bad.any() else None


def _counted(y, sample_weight):
    """Return the entries of `y` whose weight is not 0; all of them where that cannot be told."""
    weights = np.asarray(1 if sample_weight is None else sample_weight)
    if weights.all():
        return y
    weights = weights.reshape(*weights.shape, *(1,) * (y.ndim - weights.ndim))
    try:
        return y[np.broadcast_to(weights != 0, y.shape)]
    except ValueError:
        return y


def _check_sparse(y, shape, axis, ignored, name, where, sample_weight):
    classes = shape[axis]
    if y.ndim == len(shape) and y.ndim and y.shape[axis] == classes and classes != 1:
        raise errors.bad_value(
            where,
            f"integer labels for {name}",
            f"shape {show(y.shape)}, as of one-hot labels",
            "use categorical_crossentropy, or pass np.argmax(y, axis=-1)",
        )
    labels = _counted(y, sample_weight)
    labels = labels if ignored is None else labels[labels != ignored]
    if labels.dtype.kind == "f":
        bad = labels != np.round(labels)  # true for NaN too
        if bad.any():
            raise errors.bad_value(
                where,
                f"integer labels for {name}",
                _number(labels[bad].flat[0]),
                "class labels are whole numbers; for targets that are quantities use a regression "
                "loss such as mean_squared_error",
            )
    elif labels.dtype.kind not in "iub":
        raise errors.bad_type(
            where, f"integer labels for {name}", f"dtype {y.dtype}",
            "encode the classes as whole numbers from 0",
        )  # fmt: skip
    found = None if classes is None else _first_outside(labels, 0, classes - 1)
    if found is None:
        return
    fix = "labels start at 0; to leave entries out of the loss, pass ignore_class"
    if found >= 0:
        fix = f"give the model's last layer {int(labels.max()) + 1} units, or correct the labels"
    raise errors.bad_value(
        where, f"integer labels in [0, {classes}) for {name}", _number(found), fix
    )


def _check_categorical(y, shape, axis, name, where):
    classes = shape[axis]
    if y.dtype.kind not in "iubf":
        raise errors.bad_type(
            where, f"one-hot labels for {name}", f"dtype {y.dtype}",
            "encode the classes as whole numbers from 0 and pass keras.utils.to_categorical(y)",
        )  # fmt: skip
    is_sparse = y.ndim == len(shape) - 1 or (y.ndim == len(shape) and y.shape[axis] == 1)
    if is_sparse and classes != 1:
        raise errors.bad_value(
            where,
            f"one-hot labels with {classes} classes for {name}",
            f"shape {show(y.shape)}, as of integer labels",
            "use sparse_categorical_crossentropy, or pass "
            f"keras.utils.to_categorical(y, {classes})",
        )
    _check_probabilities(y, name, where)


def _check_binary(y, name, where):
    if y.dtype.kind not in "iubf":
        raise errors.bad_type(
            where, f"targets in [0, 1] for {name}", f"dtype {y.dtype}",
            "encode no as 0 and yes as 1",
        )  # fmt: skip
    _check_probabilities(y, name, where)


def _check_probabilities(y, name, where):
    found = _first_outside(y, -1e-3, 1 + 1e-3)  # a little rounding is let pass
    if found is not None:
        fix = "scale them to [0, 1], or use another loss"
        if found == -1 and name.startswith("binary"):
            fix = "for targets -1 and 1 use hinge, or pass (y + 1) / 2"
        raise errors.bad_value(where, f"targets in [0, 1] for {name}", _number(found), fix)
