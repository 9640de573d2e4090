"""From texts to tokens: standardizing, splitting, n-grams."""

import re
import string
from typing import Any

import numpy as np

from stepfit.core import errors
from stepfit.layers.preprocessing.adapting import to_numpy
from stepfit.layers.preprocessing.strings import is_text, to_text

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)  # é and É stay
_STRIP = str.maketrans("", "", string.punctuation)
_STANDARDIZERS = {"lower": _LOWER, "strip_punctuation": _STRIP,
                  "lower_and_strip_punctuation": _LOWER | _STRIP}  # fmt: skip
_WORD = re.compile("[^ \t\n\r\x0b\x0c]+")
_SPLITTERS: dict[str, Any] = {"whitespace": _WORD.findall, "character": list}
STANDARDIZERS, SPLITTERS = tuple(_STANDARDIZERS), tuple(_SPLITTERS)


def standardized(texts, how, where):
    """Return an array of `str` after standardizing, by name, by a function, or not (None)."""
    if how is None:
        return texts
    if callable(how):
        result = to_text(how(texts.astype(str)), f"{where} standardize(...)")
        if result.shape != texts.shape:
            raise errors.bad_value(
                f"{where} standardize(...)", f"a result of shape {texts.shape}",
                f"shape {result.shape}", "let it return one string for each string",
            )  # fmt: skip
        return result
    table = _STANDARDIZERS[how]
    result = np.empty(texts.size, object)
    result[:] = [t.translate(table) for t in texts.ravel().tolist()]
    return result.reshape(texts.shape)


def rows_of(texts, how, where):
    """Return the tokens of each text, a list of lists; with `how` None a text is a token.

    Args:
        texts: array of `str`, ``(n,)`` or ``(n, 1)``; with `how` None
            ``(tokens,)`` or ``(n, tokens)``.
        how: name of a way to split, a function of the array, or None.
    """
    if how is None:
        return np.atleast_2d(texts).tolist()
    if texts.ndim > 1:
        texts = texts[..., 0]
    if not callable(how):
        return [_SPLITTERS[how](t) for t in texts.ravel().tolist()]
    result = how(texts.astype(str))
    if hasattr(result, "to_list"):  # a ragged tensor of TensorFlow
        rows = result.to_list()
    elif hasattr(result, "dtype"):
        rows = to_numpy(result).tolist()
    else:
        rows = list(result)
    if len(rows) != len(texts) or any(isinstance(row, (str, bytes)) for row in rows):
        raise errors.bad_value(
            f"{where} split(...)", f"a result of {len(texts)} lists of strings",
            errors.describe(result), "let it return the tokens of each string",
        )  # fmt: skip
    return [_decoded(row, where) for row in rows]


def _decoded(row, where):
    row = np.asarray(row, object)
    if row.size and not is_text(row):
        raise errors.bad_type(f"{where} split(...)", "lists of strings", "other lists")
    return to_text(row, f"{where} split(...)").ravel().tolist() if row.size else []


def with_ngrams(rows, widths):
    """Return, for each row of tokens, its n-grams of each width, joined by spaces."""
    return [
        [" ".join(row[i : i + n]) for n in widths for i in range(len(row) - n + 1)] for row in rows
    ]


def padded(flat, lengths, width=None, fill=0):
    """Return values of rows of different lengths, one after another, as a matrix.

    Args:
        flat: values of all rows. lengths: how many belong to each. width: of the matrix; longer
            rows are cut; None: the longest row's.
    """
    lengths = np.asarray(lengths, np.int64)
    longest = int(lengths.max()) if len(lengths) else 0
    table = np.full((len(lengths), longest), fill, np.int64)
    table[np.arange(longest) < lengths[:, None]] = flat
    if width is None:
        return table
    return np.pad(table[:, :width], ((0, 0), (0, max(0, width - longest))), constant_values=fill)
