"""The form in which data reaches a step: `x`, `(x, y)` or `(x, y, sample_weight)`."""

from stepfit.core import errors


def unpack_x_y_sample_weight(data):
    """Return `(x, y, sample_weight)` from the `data` of a step, with None for what is absent.

    Args:
        data: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

    Returns:
        A tuple of three.

    Raises:
        ValueError: for a tuple of another length.

    Example:

    >>> import stepfit as keras
    >>> keras.utils.unpack_x_y_sample_weight(("x", "y"))
    ('x', 'y', None)
    """
    if not isinstance(data, (tuple, list)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise errors.bad_value(
            "data",
            "x, (x,), (x, y) or (x, y, sample_weight)",
            errors.describe(data),
            "pass several inputs as one element: ((x1, x2), y)",
        )
    return (*data, None, None)[:3]


def pack_x_y_sample_weight(x, y=None, sample_weight=None):
    """Return data in the form that a step receives; the inverse of unpacking.

    Args:
        x: inputs.
        y: targets, or None.
        sample_weight: weights, or None.

    Returns:
        `x` alone (as `(x,)` where x is a list or tuple), `(x, y)`, or `(x, y, sample_weight)`.

    Example:

    >>> import stepfit as keras
    >>> keras.utils.pack_x_y_sample_weight("x", "y")
    ('x', 'y')
    """
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, (tuple, list)) else x
