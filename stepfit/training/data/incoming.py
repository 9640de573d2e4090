"""A batch as the user's object made it, turned into checked arrays."""

import zlib
from typing import Any

import jax
import numpy as np

from stepfit.core import errors
from stepfit.training.data import leaves
from stepfit.training.data.class_weight import weigh_batch

_FORM = "x, (x,), (x, y) or (x, y, sample_weight)"


class Incoming:
    """Function from a batch, as it came, and its number to the batch that a step receives.

    Args:
        name: how messages call the data.
        class_weight: dict from class index to weight, or None.
        convert: function that brings batches of a foreign library into tuples and arrays.
    """

    def __init__(self, name, class_weight=None, convert=None):
        self._name, self._class_weight, self._convert = name, class_weight, convert
        self._structure = None
        self._plain: Any = None  # length of the tuples, if batches are tuples of plain arrays

    def __call__(self, batch, number):
        if self._convert is not None:
            batch = self._convert(batch)
        if self._plain is not None and _is_plain(batch) and len(batch) == self._plain:
            return batch  # nothing to check or to convert
        place = f"batch {number} of {self._name}"
        if batch is None:
            raise errors.bad_value(place, _FORM, "None", "yield arrays")
        if isinstance(batch, list):
            fix = "yield a tuple: `yield x, y`, or `yield ([a, b],)` for two inputs"
            raise errors.bad_type(place, _FORM, errors.describe(batch), fix)
        if isinstance(batch, tuple) and not hasattr(batch, "_fields"):
            parts = zip(("x", "y", "sample_weight", *range(3, len(batch))), batch, strict=False)
            batch = tuple(
                leaves.map_structure(leaves.to_batch_array, part, f"{place}, {label}")
                for label, part in parts
            )
        else:
            batch = leaves.map_structure(leaves.to_batch_array, batch, place)
        _check_rows(batch, place)
        if self._class_weight is not None:
            batch = weigh_batch(batch, self._class_weight, self._name, number)
        structure = jax.tree.structure(batch)
        if self._structure is None:
            self._structure = structure
            if self._class_weight is None and _is_plain(batch):
                self._plain = len(batch)
        elif structure != self._structure:
            found = f"another one than in the first batch: {errors.describe(batch)}"
            fix = "yield the same tuples and dict keys every time"
            raise errors.bad_value(place, "one structure in all batches", found, fix)
        return batch


_DTYPES = {np.dtype(d) for d in "?bhiBHIef"}  # those that `to_batch_array` leaves as they are


def _is_plain(batch):
    return type(batch) is tuple and all(
        type(a) is np.ndarray and a.ndim and len(a) and a.dtype in _DTYPES for a in batch
    )


def _check_rows(batch, place):
    parts = batch[:2] if isinstance(batch, tuple) else (batch,)
    for label, part in zip(("x", "y"), parts, strict=False):
        for path, leaf in leaves.named_leaves(part, f"{place}, {label}"):
            if leaf.ndim == 0:
                fix = "make batches first, for example with .batch(32)"
                raise errors.bad_value(path, "a batch (first axis: samples)", "one number", fix)
            if leaf.shape[0] == 0:
                raise errors.bad_value(path, "at least one sample", errors.describe(leaf))


def check_batch_size(source, batch_size, name):
    """Raise where a given `batch_size` is not that of the batches a source makes."""
    if batch_size is None or name != "x":  # validation data inherits the one of the arrays
        return
    first = leaves.named_leaves(source.peek(), "x")
    rows = first[0][1].shape[0] if first and first[0][1].ndim else None
    if rows != batch_size:
        fix = f"drop batch_size, or change the batches that {source.description} makes"
        found = f"{batch_size}, while {name} ({source.description}) yields {rows} rows"
        raise errors.bad_value("batch_size", "no batch_size for such data", found, fix)


def digest(batch):
    """Return a checksum of a batch, to tell whether data that is read again is the same."""
    total = 0
    for leaf in jax.tree.leaves(batch):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.extended):
            leaf = jax.random.key_data(leaf)
        total = zlib.crc32(np.asarray(leaf).tobytes(), total)
    return total


def differs(name, epoch):
    """Return the warning for data that is another than it was before an interruption."""
    return errors.message(
        f"{name}, epoch {epoch + 1}",
        "the batches of the run that was interrupted",
        "other numbers in the first one",
        "training goes on, with other data than without the interruption; make the order and the "
        "augmentation depend on a seed and the epoch (`set_epoch(epoch)`, if the object has it)",
    )
