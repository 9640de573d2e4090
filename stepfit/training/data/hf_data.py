"""Batches from Hugging Face `datasets`, cut from their rows, with columns as `x` and `y`."""

import sys
from typing import Any

from stepfit.core import errors
from stepfit.training.data.arrays import DEFAULT_BATCH_SIZE
from stepfit.training.data.generators import IterableSource
from stepfit.training.data.numbered import NumberedSource
from stepfit.training.data.order import permutation


def is_table(x):
    """Say whether `x` is a `datasets.Dataset`."""
    return _is(x, "Dataset")


def is_stream(x):
    """Say whether `x` is a `datasets.IterableDataset`."""
    return _is(x, "IterableDataset")


def refuse_splits(x, name):
    """Raise for a dict of splits."""
    if _is(x, "DatasetDict") or _is(x, "IterableDatasetDict"):
        splits = ", ".join(repr(key) for key in list(x)[:5])
        fix = f"pass one of them, such as {name}[{next(iter(x), 'train')!r}]"
        raise errors.bad_type(name, "one dataset", f"the splits {splits}", fix)


def _is(x, kind):
    datasets = sys.modules.get("datasets")
    return datasets is not None and isinstance(x, getattr(datasets, kind, ()))


class Columns:
    """Function from a batch of rows, a dict of columns, to `x`, `(x, y)` or `(x, y, weights)`.

    Args:
        known: names of the columns (None: not known).
        y, sample_weight: names of a column, or lists of names; None for none.
        names: how messages call x, y and sample_weight.
    """

    def __init__(self, known, y, sample_weight, names):
        self._y, self._weight = y, sample_weight
        self._apart = {n for part in (y, sample_weight) for n in _as_list(part)}
        for value, name in ((y, names[1]), (sample_weight, names[2])):
            for column in _as_list(value):
                if known is not None and column not in known:
                    raise errors.unknown_name(name, "column", column, known)
        if known is not None and not set(known) - self._apart:
            raise errors.bad_value(names[0], "a column beside y", f"the columns {list(known)[:8]}")

    def __call__(self, rows):
        x = {name: column for name, column in rows.items() if name not in self._apart}
        x = next(iter(x.values())) if len(x) == 1 else x
        y, weight = _pick(rows, self._y), _pick(rows, self._weight)
        if weight is not None:
            return x, y, weight
        return x if y is None else (x, y)


def _as_list(names):
    if names is None:
        return []
    return [names] if isinstance(names, str) else list(names)


def _pick(rows, names):
    if names is None or isinstance(names, str):
        return None if names is None else rows[names]
    return {name: rows[name] for name in names}


def are_columns(value):
    """Say whether a `y` or `sample_weight` names columns."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(v, str) for v in value)
    return value is None or isinstance(value, str)


def _numpy(data, form):
    """Have a dataset give NumPy arrays, unless its user chose a format."""
    return data.with_format("numpy") if form is None else data


class TableSource(NumberedSource):
    """Batches cut from the rows of a `datasets.Dataset`, in an order that is ours.

    Args:
        y, sample_weight: names of columns.
        batch_size: rows per batch, 32 by default.
        shuffle: whether the rows are shuffled anew for every pass.
        names: how messages call x, y and sample_weight.
        others: as for `NumberedSource`.
    """

    description = "a Hugging Face dataset"

    def __init__(
        self, data, *, y=None, sample_weight=None, batch_size=None, shuffle=False, names, **kwargs
    ):
        self.num_samples, self.batch_size = len(data), batch_size or DEFAULT_BATCH_SIZE
        self._columns = Columns(data.column_names, y, sample_weight, names)
        self._shuffled = bool(shuffle)
        self._rows: Any = (None, None)  # (pass, seed) and its permutation
        data = _numpy(data, data.format["type"])
        super().__init__(data, shuffle=False, **kwargs)

    def _length(self):
        return -(-self.num_samples // self.batch_size)

    def _number(self, number, index, length):
        return number * length + index

    def _get(self, number):
        number, index = divmod(number, self._length())
        start = index * self.batch_size
        stop = min(start + self.batch_size, self.num_samples)
        if not self._shuffled:
            return self._data[start:stop]
        if self._rows[0] != (number, self.seed):
            order = permutation(self.num_samples, self.seed, number)
            self._rows = (number, self.seed), order
        return self._data[self._rows[1][start:stop]]

    def _convert(self, batch):
        return self._columns(batch)


class StreamSource(IterableSource):
    """Batches cut from a `datasets.IterableDataset`; it shuffles itself, told of each pass.

    Args:
        y, sample_weight: names of columns.
        batch_size: rows per batch, 32 by default.
        names: how messages call x, y and sample_weight.
        others: as for `IterableSource`.
    """

    def __init__(self, data, *, y=None, sample_weight=None, batch_size=None, names, **kwargs):
        self.batch_size = batch_size or DEFAULT_BATCH_SIZE
        self._columns = Columns(data.column_names, y, sample_weight, names)
        form = getattr(data, "_formatting", None)
        kwargs["description"] = "a Hugging Face dataset"
        super().__init__(_numpy(data, form), **kwargs)

    def _open_pass(self, number, mark):
        self._data.set_epoch(number)
        return self._data.iter(self.batch_size), None

    def _convert(self, batch):
        return self._columns(batch)
