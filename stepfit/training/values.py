"""Checks of data by value, on the host: labels, indices, and with ``check="strict"`` NaN.

A compiled step cannot raise on a value. By default, labels and the integers that an `Embedding`
looks up are checked once per call: all of them where they are arrays in memory (unless they are
many), else those of the first batch. With `compile(check="strict")` every value is: arrays in
memory once per call, all other data batch by batch, as it is read. Labels and integers that a step
of the user's own changes before it uses them are left alone.
"""

import jax
import numpy as np

from stepfit.core import errors
from stepfit.training.data import ArraySource, DataSource, argument_names, leaves
from stepfit.utils import unpack_x_y_sample_weight

_MOST = 1 << 26  # bytes of labels, or of inputs, that are looked at where it is not asked for


class ValueChecks:
    """The checks of one model.

    Args:
        model: a model whose losses were matched to its outputs.
        kind: of the step that data is for: "train", "test" or "predict".
    """

    def __init__(self, model, kind):
        step = model._runner(kind).step
        self._ranges = list(step.ranges)
        takes_labels = step.takes_labels or (not step.traces and model._is_stock(kind))
        self._loss = model._compiled_loss if takes_labels else None
        self._strict = model._check == "strict"

    def source(self, source, argument="x", targets=True):
        """Check what is known before the first step; returns the source to read from.

        Args:
            source: a `DataSource`.
            argument: the user's name for it.
            targets: whether labels count.
        """
        names = argument_names(argument)
        in_memory = isinstance(source, ArraySource)
        if in_memory and all(type(a) is np.ndarray for a in jax.tree.leaves(source.data)):
            self.batch(source.data, names, targets, most=None if self._strict else _MOST)
            return source
        if self._strict:
            source = CheckedSource(source, self, names, targets)
            source.peek()
            return source
        if self._needed(targets):
            self.batch(source.peek(), names, targets)
        return source

    def _needed(self, targets):
        has_losses = self._loss is not None and self._loss.terms
        return bool((targets and has_losses) or self._ranges)

    def batch(self, batch, names=("x", "y", "sample_weight"), targets=True, most=None):
        """Check one batch, or data of that form.

        Args:
            batch: arrays.
            names: what messages call x, y and sample_weight.
            targets: whether labels count.
            most: bytes beyond which values are not looked at.
        """
        if isinstance(batch, (tuple, list)) and not 1 <= len(batch) <= 3:  # for an own step
            parts = (batch, None, None)
        else:
            parts = unpack_x_y_sample_weight(batch)
        if self._strict:
            for name, part in zip(names, parts, strict=True):
                leaves.map_structure(check_finite, part, name)
        x, y, weights = parts
        few = lambda part: most is None or _size(part) <= most
        if targets and y is not None and self._loss is not None and self._loss.terms and few(y):
            self._loss.check_labels(y, names[1], weights)
        if self._ranges:
            found = jax.tree_util.tree_leaves_with_path(x)
            for index, *limits in self._ranges:
                if index < len(found) and few(found[index][1]):
                    path, leaf = found[index]
                    name = names[0] + jax.tree_util.keystr(path)
                    check_range(name, leaf, *limits)


class CheckedSource(DataSource):
    """A source whose batches are checked, each one, as they are read.

    Args:
        source: the source.
        checks: the `ValueChecks`.
        names: what messages call x, y and sample_weight.
        targets: whether labels count.
    """

    def __init__(self, source, checks, names, targets):
        self._source, self._checks, self._names, self._targets = source, checks, names, targets

    def _set_keeps(self, value):
        self._source.keeps_states = value

    keeps_states = property(lambda self: self._source.keeps_states, _set_keeps)
    num_batches = property(lambda self: self._source.num_batches)
    batch_size = property(lambda self: self._source.batch_size)
    num_samples = property(lambda self: self._source.num_samples)
    description = property(lambda self: self._source.description)

    def __getattr__(self, name):
        if name.startswith("__") or name == "_source":
            raise AttributeError(name)
        return getattr(self._source, name)

    def _check(self, batch, number):
        names = tuple(f"batch {number}, {name}" for name in self._names)
        self._checks.batch(batch, names, self._targets)
        return batch

    def epoch(self, epoch, start=0):
        batches = self._source.epoch(epoch, start)
        return (self._check(batch, start + i) for i, batch in enumerate(batches))

    def peek(self):
        return self._check(self._source.peek(), 0)

    def form(self):
        return self.peek()

    def state(self, epoch, step):
        return self._source.state(epoch, step)

    def restore(self, state, epoch, step):
        self._source.restore(state, epoch, step)

    def close(self):
        self._source.close()


def check_finite(array, path):
    """Raise where a float array holds NaN or an infinity, naming the first place."""
    array = np.asarray(array)
    if not jax.dtypes.issubdtype(array.dtype, np.inexact):
        return
    with np.errstate(over="ignore", invalid="ignore"):
        wide = np.complex64 if array.dtype.kind == "c" else np.float32
        total = array.sum(dtype=None if array.dtype.itemsize >= 4 else wide)
    if np.isfinite(total):
        return
    finite = np.isfinite(array)
    if finite.all():  # only their sum is not
        return
    place = tuple(int(i) for i in np.unravel_index(np.argmin(finite), finite.shape))
    count = int(finite.size - np.count_nonzero(finite))
    found = f"{array[place]} at {list(place)}"
    if count > 1:
        found += f", the first of {count}"
    fix = "drop such samples or fill the gaps, for example with numpy.nan_to_num"
    raise errors.bad_value(path, "finite numbers", found, fix)


def check_range(path, array, low, high, where, size):
    """Raise where integers are beyond the table of the layer `where`, whose argument is `size`."""
    array = np.asarray(array)
    if not array.size:
        return
    smallest, largest = array.min(), array.max()
    if smallest >= low and largest <= high:
        return
    found = smallest if smallest < low else largest
    raise errors.bad_value(
        path, f"integers in [{low}, {high}] for {where}", f"{found:g}",
        f"raise {size} or check the vocabulary" if found > high else "indices start at 0",
    )  # fmt: skip


def _size(part):
    if type(part) is np.ndarray:  # most are
        return part.nbytes
    return sum(getattr(leaf, "nbytes", 0) for leaf in jax.tree.leaves(part))
