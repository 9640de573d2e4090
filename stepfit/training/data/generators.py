"""Batches that a Python object yields: generators, iterators, iterables, sequences of batches."""

import itertools
import warnings
from typing import Any

import jax

from stepfit.core import errors
from stepfit.training.data import leaves
from stepfit.training.data.base import DataSource
from stepfit.training.data.class_weight import weigh_batch
from stepfit.training.data.order import permutation

ENDLESS_AFTER = 100_000
_FORM = "x, (x,), (x, y) or (x, y, sample_weight)"


class IterableSource(DataSource):
    """Batches from an object that yields them, as it yields them.

    An object that can be read again (a list of batches in a class of its own, a dataset, a loader)
    is read from its beginning for every epoch; with `steps`, epochs go on where the one before
    stopped (epoch 0 always starts at the beginning). A one-shot iterator is read once, so it needs
    `steps` for more than one epoch.

    Args:
        data: iterator, iterable, or object with `__len__` and `__getitem__` (batches by number).
        steps: batches per epoch, or None for all.
        class_weight: dict from class index to weight.
        batch_size: what the user passed as batch_size; must be the size of the batches that come
            (validation data is exempt: it inherits the batch_size of the training arrays).
        shuffle, seed: order of the batches, for objects with `__len__` and `__getitem__` only.
        name: how messages call the data.
        steps_name: how messages call `steps`.
        description: what the data is, for messages.
    """

    def __init__(
        self, data, *, steps=None, class_weight=None, batch_size=None, shuffle=False, seed=0,
        name="x", steps_name="steps_per_epoch", description=None,
    ):  # fmt: skip
        self._data, self._steps, self._class_weight = data, steps, class_weight
        self._by_number = not hasattr(data, "__iter__")
        self._shuffle, self._seed = bool(shuffle) and self._by_number, seed
        self._one_shot = not self._by_number and iter(data) is data
        self.name, self._steps_name = name, steps_name
        self.description = description or ("a generator" if self._one_shot else "an iterable")
        self.num_batches = steps or self._known_length()
        self._iterator: Any = None  # the pass being read
        self._fresh = True  # nothing has been taken from the pass being read
        self._passes = self._read = 0
        self._structure = None
        self._warned_endless = False
        self._check_batch_size(batch_size)

    def peek(self):
        if self._iterator is None:
            self._open()
        first = next(self._iterator, None)
        if first is None:
            raise self._nothing()
        self._iterator = itertools.chain([first], self._iterator)
        return first

    def epoch(self, epoch, start=0):
        return itertools.islice(self._epoch(epoch), start, None)

    def _epoch(self, epoch):
        anew = not self._fresh and (self._steps is None or (epoch == 0 and not self._one_shot))
        if self._iterator is None or anew:
            if self._one_shot and self._passes:
                raise self._used_up(epoch)
            self._open()
        count = 0
        while self._steps is None or count < self._steps:
            batch = next(self._iterator, None)
            if batch is None:
                self._iterator = None
                if self._steps is None or not self._reopen(epoch, count):
                    break
                continue
            self._fresh = False
            count += 1
            self._warn_endless(count)
            yield batch
        if self._steps is None:
            if count == 0:
                raise self._nothing()
            self.num_batches = count

    def _reopen(self, epoch, count):
        """Start the next pass in the middle of an epoch; False where there is none."""
        if not self._one_shot:
            if self._read == 0:
                raise self._nothing()
            if count == 0 or self._read >= self._steps:
                self._open()
                return True
        elif count == 0:
            raise self._nothing() if self._read == 0 else self._used_up(epoch)
        place = f"epoch {epoch + 1}"
        expected = f"{self._steps} batches ({self._steps_name}={self._steps})"
        fix = f"lower {self._steps_name}, or let {self.description} yield more"
        text = errors.message(f"{self.name}, {place}", expected, f"{count}, then the end", fix)
        warnings.warn(text, UserWarning, stacklevel=3)
        return False

    def _open(self):
        data, number = self._data, self._passes
        if self._by_number:
            order = permutation(len(data), self._seed, number) if self._shuffle else None
            numbers = range(len(data)) if order is None else order
            iterator = (data[int(i)] for i in numbers)
        else:
            iterator = iter(data)
        self._passes += 1
        self._read, self._fresh = 0, True
        self._iterator = self._checked(iterator)

    def _checked(self, iterator):
        for number, batch in enumerate(iterator):
            self._read = number + 1
            yield self._standardize(batch, number)

    def _convert(self, batch):
        """Bring a batch of a foreign library into tuples and arrays (for subclasses)."""
        return batch

    def _standardize(self, batch, number):
        place = f"batch {number} of {self.name}"
        batch = self._convert(batch)
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
        self._check_rows(batch, place)
        if self._class_weight is not None:
            batch = weigh_batch(batch, self._class_weight, self.name, number)
        structure = jax.tree.structure(batch)
        if self._structure is None:
            self._structure = structure
        elif structure != self._structure:
            found = f"another one than in the first batch: {errors.describe(batch)}"
            fix = "yield the same tuples and dict keys every time"
            raise errors.bad_value(place, "one structure in all batches", found, fix)
        return batch

    def _check_rows(self, batch, place):
        parts = batch[:2] if isinstance(batch, tuple) else (batch,)
        for label, part in zip(("x", "y"), parts, strict=False):
            for path, leaf in leaves.named_leaves(part, f"{place}, {label}"):
                if leaf.ndim == 0:
                    fix = "make batches first, for example with .batch(32)"
                    raise errors.bad_value(path, "a batch (first axis: samples)", "one number", fix)
                if leaf.shape[0] == 0:
                    raise errors.bad_value(path, "at least one sample", errors.describe(leaf))

    def _check_batch_size(self, batch_size):
        if batch_size is None or self.name != "x":
            return
        first = leaves.named_leaves(self.peek(), "x")
        rows = first[0][1].shape[0] if first and first[0][1].ndim else None
        if rows != batch_size:
            fix = f"drop batch_size, or change the batches that {self.description} makes"
            found = f"{batch_size}, while {self.name} ({self.description}) yields {rows} rows"
            raise errors.bad_value("batch_size", "no batch_size for such data", found, fix)

    def _known_length(self):
        try:
            return len(self._data) or None
        except (TypeError, NotImplementedError):
            return None

    def _warn_endless(self, count):
        if self._steps is None and count == ENDLESS_AFTER and not self._warned_endless:
            self._warned_endless = True
            fix = f"pass {self._steps_name}=... if it never ends"
            found = f"{count} batches and no end"
            text = errors.message(self.name, f"{self.description} that ends", found, fix)
            warnings.warn(text, UserWarning, stacklevel=4)

    def _nothing(self):
        fix = "check the files or the filter it reads from"
        expected = f"{self.description} with at least one batch"
        return errors.bad_value(self.name, expected, "none", fix)

    def _used_up(self, epoch):
        fix = (
            "pass an object that can be read again (a tf.data.Dataset, a DataLoader, a class with "
            f"__iter__), or an endless generator together with {self._steps_name}"
        )
        found = f"{self.description} that ended after {self._read} batches in an earlier epoch"
        expected = f"data for epoch {epoch + 1}"
        return errors.ExhaustedDataError(errors.message(self.name, expected, found, fix))
