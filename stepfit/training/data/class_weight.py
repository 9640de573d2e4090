"""`class_weight`: one weight per class, turned into one weight per sample."""

import numpy as np

from stepfit.core import config, errors
from stepfit.training.data import leaves
from stepfit.utils.packing import unpack_x_y_sample_weight


def weights_of(y, class_weight, y_name, place=""):
    """Return the weight of each label in `y`.

    Args:
        y: integer classes of shape (n,), (n, 1) or (n, ..., 1), or one-hot rows
            (n, ..., classes).
        class_weight: dict from class index to weight.
        y_name: how messages call `y`.
        place: where in the data this is (" of batch 3"), for messages.

    Returns:
        float array of shape (n,) or (n, ...).

    Raises:
        ValueError: where a class has no weight, or `y` is neither classes nor one-hot.
    """
    classes = _classes(np.asarray(y), y_name + place)
    present, inverse = np.unique(classes, return_inverse=True)
    missing = [int(c) for c in present if int(c) not in class_weight]
    if missing:
        shown = ", ".join(str(c) for c in missing[:8]) + (", ..." if len(missing) > 8 else "")
        given = ", ".join(str(c) for c in sorted(class_weight)[:8])
        raise errors.bad_value(
            "class_weight",
            f"a weight for every class in {y_name}{place}",
            f"none for class {shown} (given: {given})",
            f"add {missing[0]}: 1.0 to leave that class as it is",
        )
    table = np.array([class_weight[int(c)] for c in present], dtype=config.floatx())
    return table[inverse].reshape(classes.shape)


def combine(y, sample_weight, class_weight, y_name, place=""):
    """Return the class weights of `y`, times `sample_weight` where there is one."""
    if y is None:
        fix = "pass y, or leave class_weight out"
        raise errors.bad_value("class_weight", f"{y_name}{place}", "None", fix)
    if leaves.is_structure(y):
        fix = "pass sample_weight with one array per output"
        found = f"{y_name} with several ({errors.describe(y)})"
        raise errors.bad_value("class_weight", "a model with one output", found, fix)
    weights = weights_of(y, class_weight, y_name, place)
    if sample_weight is None:
        return weights
    sample_weight = np.asarray(sample_weight)
    while weights.ndim < sample_weight.ndim:
        weights = weights[..., None]
    while sample_weight.ndim < weights.ndim:
        sample_weight = sample_weight[..., None]
    return (weights * sample_weight).astype(config.floatx())


def weigh_batch(batch, class_weight, name, number):
    """Return a batch `(x, y[, sample_weight])` with the class weights put in."""
    x, y, sample_weight = unpack_x_y_sample_weight(batch)
    place = f" of batch {number}"
    return x, y, combine(y, sample_weight, class_weight, f"the labels of {name}", place)


def _classes(y, place):
    """Return integer classes from integer labels or one-hot rows."""
    if y.ndim > 1 and y.shape[-1] == 1:
        y = y[..., 0]
    elif y.ndim > 1:
        rows = y.sum(axis=-1, dtype="float64")
        if not (y.min(initial=0) >= 0 and np.all(np.abs(rows - 1) < 1e-2)):
            raise errors.bad_value(
                "class_weight",
                f"{place} as integer classes (n,) or one-hot rows",
                f"{errors.describe(y)} with rows that do not sum to 1",
                "pass sample_weight instead",
            )
        y = y.argmax(axis=-1)
    whole = np.round(y)
    if y.dtype.kind == "f" and not np.all(np.abs(y - whole) < 1e-6):
        raise errors.bad_value(
            "class_weight",
            f"{place} as integer classes or one-hot rows",
            f"{errors.describe(y)} with fractions",
            "pass sample_weight instead",
        )
    return whole.astype("int64")
