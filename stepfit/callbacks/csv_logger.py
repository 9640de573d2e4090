"""Logs in a file that spreadsheets read."""

import csv
import os
import pathlib

import numpy as np

from stepfit.callbacks.callback import Callback
from stepfit.core import errors
from stepfit.utils.atomic import atomic_write

_ABSENT = "NA"


class CSVLogger(Callback):
    """Writes one line per epoch to a CSV file: the epoch (from 0), then the metrics by name.

    The file is complete after every epoch. A metric that first appears in a later epoch gets a
    column of its own, with "NA" for the epochs before. A run that is resumed goes on with the file
    as it was when its state was kept, so no epoch stands in it twice.

    Args:
        filename: path of the file.
        separator: character between two values.
        append: whether to go on with an existing file, in its columns, instead of replacing it.

    Example:

    >>> import os, pathlib, tempfile
    >>> import stepfit as keras
    >>> path = os.path.join(tempfile.mkdtemp(), "log.csv")
    >>> log = keras.callbacks.CSVLogger(path)
    >>> log.on_train_begin()
    >>> log.on_epoch_end(0, {"loss": 0.5})
    >>> print(pathlib.Path(path).read_text().strip())
    epoch,loss
    0,0.5
    """

    by_first_process = True

    def __init__(self, filename, separator=",", append=False):
        super().__init__()
        if not isinstance(separator, str) or len(separator) != 1:
            found = errors.describe(separator)
            raise errors.bad_type("CSVLogger(separator)", "one character", found)
        self.filename = os.fspath(filename)
        self.sep, self.append = separator, append
        self.keys = None

    def on_train_begin(self, logs=None):
        self.keys = None
        if self.append and os.path.isfile(self.filename):
            rows = self._read()
            if rows:
                self.keys = rows[0][1:]
        else:
            pathlib.Path(self.filename).parent.mkdir(parents=True, exist_ok=True)
            with open(self.filename, "w", encoding="utf-8"):
                pass

    def state(self):
        return {"rows": self._read() if os.path.isfile(self.filename) else []}

    def restore(self, state):
        """Have the file as it was then: rows written after that are of epochs to be repeated."""
        rows = state["rows"]
        self.keys = list(rows[0][1:]) if rows else None
        self._write(rows)

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        if self.keys is None:
            self.keys = sorted(logs)
            self._add_row(["epoch", *self.keys])
        new = [name for name in sorted(logs) if name not in self.keys]
        if new:
            self._add_columns(new)
        self._add_row([epoch, *(_cell(logs.get(name, _ABSENT)) for name in self.keys)])

    def _read(self):
        with open(self.filename, newline="", encoding="utf-8") as file:
            return list(csv.reader(file, delimiter=self.sep))

    def _add_row(self, row):
        with open(self.filename, "a", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=self.sep).writerow(row)

    def _add_columns(self, names):
        head, *rows = self._read()
        self.keys += names
        self._write([head + names, *(row + [_ABSENT] * len(names) for row in rows)])

    def _write(self, rows):
        with atomic_write(self.filename, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=self.sep).writerows(rows)


def _cell(value):
    if isinstance(value, (np.ndarray, list, tuple)) and np.ndim(value):
        return "[" + ", ".join(str(item) for item in np.asarray(value).tolist()) + "]"
    return value
