"""Batches by number: objects with `__getitem__` and `__len__`. Any of them is a seek away."""

import itertools
import warnings
from typing import Any

from stepfit.core import errors
from stepfit.training.data.base import DataSource
from stepfit.training.data.incoming import Incoming, check_batch_size, differs, digest
from stepfit.training.data.order import permutation
from stepfit.training.data.prefetch import Pace, Prefetch


class NumberedSource(DataSource):
    """Batches that an object gives by their numbers; the order is a function of (seed, epoch).

    With `steps`, every epoch has that many batches and goes on where the one before stopped; an
    object without an end counts on from epoch to epoch.

    Args:
        data: object with `__getitem__` and `__len__`; `data[i]` is a batch.
        steps: batches per epoch, or None for all.
        class_weight: dict from class index to weight.
        batch_size: what the user passed as batch_size; must be the size of the batches that come.
        shuffle: whether the order of the batches changes from pass to pass.
        seed: integer that fixes the order.
        name: how messages call the data.
        steps_name: how messages call `steps`.
    """

    description = "an object with batches by number"
    _uses_peeked = True  # whether a batch is the same, wherever it is made

    def __init__(
        self, data, *, steps=None, class_weight=None, batch_size=None, shuffle=False, seed=0,
        name="x", steps_name="steps_per_epoch",
    ):  # fmt: skip
        self._data, self._steps, self.name = data, steps, name
        self._shuffle, self.seed = bool(shuffle), seed
        self._incoming = Incoming(name, class_weight, self._convert)
        self._pace, self._reader = Pace(), None
        self._order: tuple = (None, None)
        self._expected: Any = None  # (epoch, checksum of its first batch) in an interrupted run
        self._first: tuple = (None, None)  # (epoch, the same) here
        self._peeked: Any = None
        length = self._length()
        if length == 0:
            fix = "check the files or the filter it reads from"
            raise errors.bad_value(name, f"{self.description} with at least one batch", "none", fix)
        if steps is not None and length is not None and steps > length:
            fix = f"epochs will have {length} steps"
            expected = f"at most {length}, the batches of {name}"
            text = errors.message(steps_name, expected, repr(steps), fix)
            warnings.warn(text, UserWarning, stacklevel=errors.users_level())
            self._steps = length
        self.num_batches = self._steps or length
        if self.num_batches is None:
            fix = f"pass {steps_name}"
            text = errors.message(name, "data that ends", f"{self.description} without end", fix)
            warnings.warn(text, UserWarning, stacklevel=errors.users_level())
        self._check_batch_size(batch_size)

    # -- what kinds of data do in their own way --------------------------------------------------

    def _length(self):
        """Return the number of batches in a pass, or None for data without end."""
        return len(self._data)

    def _get(self, number):
        """Return a batch as the object gives it."""
        return self._data[number]

    def _convert(self, batch):
        """Bring a batch of a foreign library into tuples and arrays."""
        return batch

    def _begin(self, epoch):
        """Tell the object that an epoch begins."""

    def _end(self):
        """Tell the object that an epoch has ended."""

    def _number(self, number, index, length):
        """Return the number of batch `index` of pass `number`."""
        if not self._shuffle:
            return index
        if self._order[0] != number or len(self._order[1]) != length:
            self._order = number, permutation(length, self.seed, number)
        return int(self._order[1][index])

    def _read(self, numbers):
        """Return an iterator with `close` over the batches of some numbers."""
        return Prefetch((self._load(n) for n in numbers), self._pace, self.name)

    def _check_batch_size(self, batch_size):
        check_batch_size(self, batch_size, self.name)

    # -- reading ---------------------------------------------------------------------------------

    def _load(self, number):
        try:
            batch = self._get(number)
        except Exception as e:
            e.add_note(f"Raised while batch {number} of {self.name} was read.")
            raise
        return self._incoming(batch, number)

    def _numbers(self, epoch, start):
        length, steps = self._length(), self._steps
        if length is None:
            first = epoch * (steps or 0)
            stop = None if steps is None else first + steps
            return itertools.islice(itertools.count(), first + start, stop)
        if steps is None:
            return (self._number(epoch, i, length) for i in range(start, length))
        places = range(epoch * steps + start, (epoch + 1) * steps)
        return (self._number(p // length, p % length, length) for p in places)

    def peek(self):
        if self._peeked is None:
            self._begin(0)
            self._peeked = self._load(next(iter(self._numbers(0, 0))))
        return self._peeked

    def epoch(self, epoch, start=0):
        self._stop_reading()
        return self._epoch(epoch, start)

    def _epoch(self, epoch, start):
        self._begin(epoch)
        self._check_same(epoch)
        first, self._peeked, count = self._peeked, None, start
        if first is None or (epoch, start) != (0, 0) or not self._uses_peeked:
            first = []
        else:
            first, start = [first], 1
        reader = self._reader = self._read(self._numbers(epoch, start))
        try:
            for batch in itertools.chain(first, reader):
                if count == 0 and self.keeps_states:
                    self._first = epoch, digest(batch)
                count += 1
                yield batch
        finally:
            reader.close()
        self._end()
        if self._steps is None:
            self.num_batches = count

    def _stop_reading(self):
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def close(self):
        self._stop_reading()

    # -- going on in another process -------------------------------------------------------------

    def state(self, epoch, step):
        self.keeps_states = True
        first = self._first[1] if self._first[0] == epoch else None
        return {"seed": self.seed, "first": first}

    def restore(self, state, epoch, step):
        self.keeps_states = True
        state = state or {}
        self.seed, self._order = state.get("seed", self.seed), (None, None)
        self._expected = (epoch, state["first"]) if state.get("first") is not None else None

    def _check_same(self, epoch):
        """Warn if the first batch of an epoch is not what it was before an interruption."""
        expected, self._expected = self._expected, None
        if expected is None or expected[0] != epoch:
            return
        reader = self._read(itertools.islice(self._numbers(epoch, 0), 1))
        self._first = epoch, digest(next(iter(reader)))
        reader.close()
        if self._first[1] != expected[1]:
            warnings.warn(differs(self.name, epoch), UserWarning, stacklevel=errors.users_level())
