"""Sequences of different lengths, made equally long."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from stepfit.core import errors

__all__ = ["pad_sequences"]

Side = Literal["pre", "post"]


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: Side = "pre",
    truncating: Side = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Put sequences into one array, shorter ones padded, longer ones cut.

    Args:
        sequences: list of sequences, each of shape ``(steps, ...)``.
        maxlen: steps of the result; default that of the longest sequence.
        dtype: dtype of the result; `object` for strings of any length.
        padding: "pre" or "post": the side on which `value` is put.
        truncating: "pre" or "post": the side from which steps are dropped.
        value: what is put in.

    Returns:
        Array of shape ``(len(sequences), maxlen, ...)``.

    Raises:
        ValueError: sequences that differ in more than their length.

    >>> import stepfit as keras
    >>> keras.utils.pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2)
    array([[0, 1],
           [2, 3],
           [5, 6]], dtype=int32)
    """
    where = "pad_sequences(sequences)"
    if not hasattr(sequences, "__len__"):
        raise errors.bad_type(where, "a list of sequences", sequences)
    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in ("pre", "post"):
            raise errors.unknown_name(f"pad_sequences({name})", "side", side, ("pre", "post"))
    for i, sequence in enumerate(sequences):
        if not hasattr(sequence, "__len__"):
            fix = "put a single sequence into a list"
            raise errors.bad_type(f"{where}[{i}]", "a sequence", sequence, fix)
    rows = [np.asarray(s) if len(s) else None for s in sequences]
    first = next((r for r in rows if r is not None), np.zeros(0))
    if maxlen is None:
        maxlen = max(map(len, sequences), default=0)
    texts = np.issubdtype(np.dtype(dtype), np.str_) or np.issubdtype(np.dtype(dtype), np.datetime64)
    if isinstance(value, str) and np.dtype(dtype) != object and not texts:
        fix = "pass dtype=object for strings"
        raise errors.bad_value("pad_sequences(value)", f"a {np.dtype(dtype)}", repr(value), fix)
    found = np.full((len(rows), maxlen, *first.shape[1:]), value, dtype)
    for i, row in enumerate(rows):
        if row is None:
            continue
        if row.shape[1:] != first.shape[1:]:
            expected = f"steps of shape {first.shape[1:]}, as in the first sequence"
            raise errors.bad_value(f"{where}[{i}]", expected, str(row.shape[1:]))
        row = row[max(0, len(row) - maxlen) :] if truncating == "pre" else row[:maxlen]
        place = slice(maxlen - len(row), None) if padding == "pre" else slice(len(row))
        found[i, place] = row
    return found
