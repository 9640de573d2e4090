"""Labels and arrays: one-hot encoding and normalising."""

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import config, errors


def to_categorical(x, num_classes=None):
    """Turn integer classes into one-hot rows.

    Args:
        x: integers in [0, num_classes), any shape; a last axis of size 1 is dropped.
        num_classes: number of classes; by default the largest class + 1.

    Returns:
        Array of shape `x.shape + (num_classes,)`: NumPy float64, or for a jax array a jax array
        in `floatx`.

    Raises:
        ValueError: for classes outside [0, num_classes) and for fractions.

    Example:

    >>> import stepfit as keras
    >>> keras.utils.to_categorical([0, 2, 1])
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 1., 0.]])
    """
    where = "to_categorical(x)"
    on_device = isinstance(x, jax.Array)
    labels = x if on_device else np.asarray(x)
    if not (jnp.issubdtype(labels.dtype, np.number) or labels.dtype == np.bool_):
        fix = "map the names of the classes to integers first"
        raise errors.bad_type(where, "integer classes", f"dtype {labels.dtype}", fix)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if isinstance(labels, jax.core.Tracer):
        if num_classes is None:
            fix = "pass num_classes inside jax.jit"
            raise errors.bad_value(where, "known values or num_classes", "a traced array", fix)
        return jax.nn.one_hot(labels.astype("int32"), num_classes, dtype=config.floatx())
    values = np.asarray(labels)
    classes = values.astype("int64")
    if classes.size == 0 and not num_classes:
        raise errors.bad_value(where, "at least one label, or num_classes", "none")
    if np.any(classes != values):
        raise errors.bad_value(where, "integer classes", f"fractions ({values.dtype})")
    count = int(num_classes or classes.max() + 1)
    if classes.size and (classes.min() < 0 or classes.max() >= count):
        wrong = int(classes.min() if classes.min() < 0 else classes.max())
        fix = "classes are counted from 0" if wrong >= count else "shift or mask such labels first"
        expected = f"classes from 0 to {count - 1}"
        raise errors.bad_value(where, expected, f"the class {wrong}", fix)
    rows = np.zeros((classes.size, count))
    rows[np.arange(classes.size), classes.reshape(-1)] = 1
    rows = rows.reshape(*classes.shape, count)
    return jnp.asarray(rows, dtype=config.floatx()) if on_device else rows


def normalize(x, axis=-1, order=2):
    """Divide an array by its norm along an axis; a norm of zero leaves its values as they are.

        y = x / ||x||_order

    Args:
        x: array.
        axis: the axis along which the norm is taken.
        order: 2, 1, inf, or any order that `numpy.linalg.norm` takes for vectors.

    Returns:
        Array of the same shape; a jax array for a jax array, else NumPy.

    Example:

    >>> import stepfit as keras
    >>> keras.utils.normalize([[3.0, 4.0]])
    array([[0.6, 0.8]])
    """
    xp = jnp if isinstance(x, jax.Array) else np
    x = xp.asarray(x)
    norm = xp.linalg.norm(x, order, axis, keepdims=True)
    return x / xp.where(norm == 0, 1, norm)
