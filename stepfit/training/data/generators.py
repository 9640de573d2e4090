"""Batches that a Python object yields: generators, iterators, iterables.

A *place* in the data is a pass, the number of batches *read* of it, and what the library said of
its iterator. A source remembers the places of the batches that it handed out, so that it can say
where a step stands that was trained on, although it has read ahead of it. Within a *stretch* the
places differ by the number of batches alone.
"""

import warnings
from typing import Any

from stepfit.core import errors
from stepfit.training.data.base import DataSource
from stepfit.training.data.incoming import Incoming, check_batch_size, differs, digest
from stepfit.training.data.prefetch import Pace, Prefetch

ENDLESS_AFTER = 100_000
_STRETCHES = 4096  # that are remembered; the engine reads ahead of itself by less
_EVERY = 8  # batches; so often the state of a library's iterator is taken


class _Pass:
    """One reading of the data: its number, its mark (see `_open_pass`), its first batch's sum."""

    __slots__ = ("first", "mark", "number")

    def __init__(self, number, mark=None):
        self.number, self.mark, self.first = number, mark, None


class _Stretch:
    """Batches that follow one another: batch `step` is batch ``step + offset`` of a pass."""

    __slots__ = ("of", "offset", "saved")

    def __init__(self, of, offset, saved):
        self.of, self.offset, self.saved = of, offset, saved


class IterableSource(DataSource):
    """Batches from an object that yields them, as it yields them.

    An object that can be read again (a dataset, a loader, a class with `__iter__`) is read from its
    beginning for every epoch; with `steps`, epochs go on where the one before stopped (epoch 0
    always starts at the beginning). A one-shot iterator is read once, so it needs `steps` for more
    than one epoch. A method `set_epoch` of the object is called with the number of each pass.

    Args:
        data: iterator or iterable.
        steps: batches per epoch, or None for all.
        class_weight: dict from class index to weight.
        batch_size: what the user passed as batch_size; must be the size of the batches that come
            (validation data is exempt: it inherits the batch_size of the training arrays).
        shuffle, seed: not used; the object decides.
        name: how messages call the data.
        steps_name: how messages call `steps`.
        description: what the data is, for messages.
    """

    def __init__(
        self, data, *, steps=None, class_weight=None, batch_size=None, shuffle=False, seed=0,
        name="x", steps_name="steps_per_epoch", description=None,
    ):  # fmt: skip
        self._data, self._steps = data, steps
        self._one_shot = hasattr(data, "__next__") and iter(data) is data
        self.name, self._steps_name = name, steps_name
        self.description = description or ("a generator" if self._one_shot else "an iterable")
        self.num_batches = steps or self._known_length()
        self._incoming = Incoming(name, class_weight, self._convert)
        self._iterator: Any = None  # over the pass being read, as the object yields
        self._pass = _Pass(0)  # the pass being read, or the next one
        self._read = 0  # batches taken from it
        self._saved: Any = None  # (read, state of the iterator then)
        self._peeked: list = []
        self._opened = False
        self._goal: Any = None  # where to go before the next batch is read
        self._reader: Any = None
        self._pace = Pace()
        self._stretches: list = []  # (epoch, first step, stretch), as they were handed out
        self._warned_endless = False
        check_batch_size(self, batch_size, name)

    # -- what libraries do in their own way ------------------------------------------------------

    def _convert(self, batch):
        """Bring a batch of a foreign library into tuples and arrays."""
        return batch

    def _open_pass(self, number, mark):
        """Begin a pass over the data.

        Args:
            number: how many passes came before.
            mark: None, or what this returned when the same pass was opened in another process.

        Returns:
            An iterator, and what must be known to open this pass again (JSON-able, or None).
        """
        if hasattr(self._data, "set_epoch"):
            self._data.set_epoch(number)
        return iter(self._data), None

    def _next_mark(self):
        """Return the mark of the next pass, where it is known before the pass is opened."""

    def _close_pass(self, iterator):
        """End what an iterator of the library runs in the background."""

    def _explain(self, error):
        """Return a clearer error for what a library raised in the middle of a pass, or None."""

    def _iterator_state(self, iterator):
        """Return the state of the library's iterator (JSON-able), or None where it has none."""

    def _set_iterator_state(self, iterator, state):
        """Put the library's iterator into a state; False where it refuses, so we skip instead."""
        return False

    # -- reading ---------------------------------------------------------------------------------

    def peek(self):
        if not self._peeked:
            if self._iterator is None:
                self._open(self._pass.number)
            first = self._take()
            if first is None:
                raise self._nothing()
            self._read -= 1
            self._peeked = [first]
        return self._peeked[0]

    def epoch(self, epoch, start=0):
        self._stop_reading()
        self._reader = Prefetch(self._batches(epoch, start), self._pace, self.name)
        return self._follow(self._reader, epoch, start)

    def _follow(self, reader, epoch, step):
        """Yield what is read ahead, and remember the places as batches are handed out."""
        last = None
        try:
            for batch, stretch in reader:
                if stretch is not last:
                    self._remember(epoch, step, stretch)
                    last = stretch
                step += 1
                yield batch
        finally:
            reader.close()
        if self._steps is not None or self._one_shot:
            self._remember(epoch + 1, 0, self._stretch(0))

    def _remember(self, epoch, step, stretch):
        if self._stretches and self._stretches[-1][:2] >= (epoch, step):  # data is read again
            self._stretches = [s for s in self._stretches if s[:2] < (epoch, step)]
        self._stretches.append((epoch, step, stretch))
        del self._stretches[:-_STRETCHES]

    def _stretch(self, count):
        """Return the stretch that the next batch, number `count` of its epoch, begins."""
        return _Stretch(self._pass, self._read - count, self._saved)

    def _batches(self, epoch, start):
        """Yield (batch, its stretch)."""
        if self._goal is not None:
            count, skip = start, 0
            self._seek(epoch)
        else:
            count, skip = 0, start
            self._enter(epoch)
        stretch = self._stretch(count)
        while self._steps is None or count < self._steps:
            if stretch.saved is not self._saved or stretch.of is not self._pass:
                stretch = self._stretch(count)
            batch = None if self._iterator is None else self._take()
            if batch is None:
                self._leave()
                if self._steps is None or not self._reopen(epoch, count):
                    break
                continue
            count += 1
            if count == ENDLESS_AFTER:
                self._warn_endless()
            if count > skip:
                yield batch, stretch
        if self._steps is None:
            if count == 0:
                raise self._nothing()
            self.num_batches = count

    def _enter(self, epoch):
        """Be at the place where an epoch begins."""
        begun = self._iterator is None or self._read > 0
        if self._one_shot:
            if self._iterator is None:
                if self._opened:
                    raise self._used_up(epoch)
                self._open(0)
        elif self._steps is None:
            if begun or self._pass.number != epoch:
                self._open(epoch)
        elif epoch == 0:
            if begun or self._pass.number != 0:
                self._open(0)
        elif self._iterator is None:
            self._open(self._pass.number)

    def _open(self, number, mark=None):
        self._leave()
        self._iterator, mark = self._open_pass(number, mark)
        self._pass, self._read, self._saved = _Pass(number, mark), 0, None
        self._opened = True

    def _leave(self):
        """Close the pass being read; the next one comes after it."""
        iterator, self._iterator = self._iterator, None
        self._peeked = []
        if iterator is not None and not self._one_shot:
            self._close_pass(iterator)

    def _take(self):
        """Return the next batch of the pass, or None at its end."""
        if self._peeked:
            batch = self._peeked.pop()
        else:
            try:
                batch = next(self._iterator, self)
            except Exception as e:
                e.add_note(f"Raised while batch {self._read} of {self.name} was read.")
                known = self._explain(e)
                if known is None:
                    raise
                raise known from e
            if batch is self:
                return None
            batch = self._incoming(batch, self._read)
        self._read += 1
        if self.keeps_states:
            self._keep(batch)
        return batch

    def _keep(self, batch):
        if self._read == 1:
            self._pass.first = digest(batch)
        if self._read % _EVERY == 1:
            state = self._iterator_state(self._iterator)
            self._saved = None if state is None else (self._read, state)

    def _reopen(self, epoch, count):
        """Start the next pass in the middle of an epoch; False where there is none."""
        read = self._read
        if not self._one_shot:
            if read == 0:
                raise self._nothing()
            if count == 0 or read >= self._steps:
                self._open(self._pass.number + 1)
                return True
            self._pass, self._read = _Pass(self._pass.number + 1), 0
        elif count == 0:
            raise self._nothing() if read == 0 else self._used_up(epoch)
        place = f"epoch {epoch + 1}"
        expected = f"{self._steps} batches ({self._steps_name}={self._steps})"
        fix = f"lower {self._steps_name}, or let {self.description} yield more"
        text = errors.message(f"{self.name}, {place}", expected, f"{count}, then the end", fix)
        warnings.warn(text, UserWarning, stacklevel=errors.users_level())
        return False

    def close(self):
        self._stop_reading()
        if not self._one_shot:
            self._leave()

    def _stop_reading(self):
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    # -- going on in another process -------------------------------------------------------------

    def state(self, epoch, step):
        self.keeps_states = True
        its_pass, read, saved = self._place_of(epoch, step)
        mark = its_pass.mark
        if mark is None and (self._iterator is None or its_pass.number != self._pass.number):
            mark = self._next_mark()
        return {
            "pass": its_pass.number, "read": read, "mark": mark, "first": its_pass.first,
            "iterator": None if saved is None else list(saved),
        }  # fmt: skip

    def _place_of(self, epoch, step):
        for its_epoch, first, stretch in reversed(self._stretches):
            if its_epoch == epoch and first <= step:
                return stretch.of, step + stretch.offset, stretch.saved
        anew = self._steps is None and not self._one_shot
        if anew and self._pass.number != epoch:
            return _Pass(epoch), step, None
        return self._pass, step if anew else self._read, self._saved

    def restore(self, state, epoch, step):
        self._stop_reading()
        self.keeps_states = True
        if state is None:
            number, read = (epoch, step) if self._steps is None else (0, epoch * self._steps + step)
            state = {"pass": 0 if self._one_shot else number, "read": read}
        self._goal = state

    def _seek(self, epoch):
        goal, self._goal = self._goal, None
        number, mark = (0, None) if self._one_shot else (goal["pass"], goal.get("mark"))
        begun = self._iterator is not None and (self._one_shot or self._read == 0)
        if not (begun and mark is None and number == self._pass.number):
            self._open(number, mark)
        saved = goal.get("iterator")
        if saved is not None and self._set_iterator_state(self._iterator, saved[1]):
            self._peeked = []
            self._read, self._saved = saved[0], tuple(saved)
            self._pass.first = goal.get("first")
        passes_end = "mark" not in goal  # the place is only known as a number of batches
        to_read = goal["read"]
        while self._read < to_read:
            if self._take() is None:
                if self._one_shot or self._read == 0 or not passes_end:
                    raise self._used_up(epoch)
                to_read -= self._read
                self._open(self._pass.number + 1)
            if self._read == 1 and goal.get("first") not in (None, self._pass.first):
                text = differs(self.name, epoch)
                warnings.warn(text, UserWarning, stacklevel=errors.users_level())

    # -- messages --------------------------------------------------------------------------------

    def _known_length(self):
        try:
            return len(self._data) or None
        except (TypeError, NotImplementedError):
            return None

    def _warn_endless(self):
        if self._steps is None and not self._warned_endless:
            self._warned_endless = True
            fix = f"pass {self._steps_name}=... if it never ends"
            found = f"{ENDLESS_AFTER} batches and no end"
            text = errors.message(self.name, f"{self.description} that ends", found, fix)
            warnings.warn(text, UserWarning, stacklevel=errors.users_level())

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
