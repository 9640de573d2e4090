"""Strings as they come, from Python, NumPy or TensorFlow, as Python's `str`."""

import numpy as np

from stepfit.core import errors
from stepfit.layers.preprocessing.adapting import to_numpy


def array_of(values, where):
    """Return strings or numbers, of whatever library, as a NumPy array.

    Raises:
        ValueError: rows of different length.
    """
    try:
        return to_numpy(values)
    except (ValueError, TypeError):
        raise errors.bad_value(
            where, "rows of one length", f"a {errors.describe(values)} that differ",
            "pad them",
        ) from None  # fmt: skip


def is_text(array):
    """Say whether an array holds strings."""
    kind = array.dtype.kind
    if kind == "O":
        return all(isinstance(v, (str, bytes)) for v in array.ravel()[:1])
    return kind in "UST"


def to_text(values, where, encoding="utf-8"):
    """Return strings as an array of Python's `str` (dtype object).

    Args:
        values: `str`, bytes, lists of them, NumPy arrays (of objects, unicode or bytes), tensors
            of TensorFlow.
        where: name in messages.
        encoding: of bytes.

    Raises:
        TypeError: something else than strings.
    """
    array = array_of(values, where)
    if not is_text(array):
        found = errors.describe(array if isinstance(values, (list, tuple)) else values)
        raise errors.bad_type(where, "strings", found, "call .astype(str) on them")
    array = array.astype(object)
    flat = array.ravel().tolist()
    if any(type(v) is not str for v in flat):
        flat = [_text(v, where, encoding) for v in flat]
        array = _objects(flat, array.shape)
    return array


def _objects(flat, shape):
    array = np.empty(len(flat), object)
    array[:] = flat
    return array.reshape(shape)


def _text(value, where, encoding):
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return value.decode(encoding, "surrogateescape")
    raise errors.bad_type(where, "strings", f"strings and {type(value).__name__} objects")


def to_bytes(texts):
    """Return a list of `str` as bytes, those that were no valid UTF-8 as they came."""
    return [t.encode("utf-8", "surrogateescape") for t in texts]
