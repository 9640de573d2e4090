"""Where values come from: one view of every kind of weights file.

A *source* has `place` (the file's name), `entries`, a dict from key ("layers/dense/vars/0") to
`Entry`, and `read(key)`, which returns an array of the entry's shape and dtype. Opening one checks
the file as a whole and reads no values.
"""

import contextlib
import math
import mmap
import os
import stat
from typing import Any, NamedTuple

from stepfit.saving import integrity
from stepfit.saving.file_errors import wrong
from stepfit.saving.hdf5 import HDF5File
from stepfit.utils.missing import missing


class Entry(NamedTuple):
    """What a file says of one array; `dtype` is None for what is no array of numbers."""

    shape: tuple
    dtype: Any

    @property
    def size(self):
        """Bytes of the array."""
        return math.prod(self.shape) * (self.dtype.itemsize if self.dtype is not None else 1)


class HDF5Source:
    """A Keras weights file.

    Args:
        data: its bytes. place: its name, for messages.
    """

    def __init__(self, data, place):
        self.place = place
        self.file = HDF5File(integrity.checked(data, place), place)
        if not integrity.has_mark(data) and integrity.ATTRIBUTE in self.file.attributes(""):
            raise wrong(
                place, "a checksum (SHA-256) behind the file", "none",
                "the file is damaged: use another copy of it; where it was changed on purpose, "
                f"delete the root's attribute {integrity.ATTRIBUTE!r}",
            )  # fmt: skip
        self.entries = {k: Entry(d.shape, d.dtype) for k, d in self.file.datasets.items()}

    def attributes(self, group):
        """Return the attributes of a group."""
        return self.file.attributes(group)

    def read(self, key):
        """Return one array."""
        return self.file.read(key)


class Renamed:
    """A source whose arrays are looked for under the keys of a Keras weights file."""

    def __init__(self, source, names):
        self._source, self._names, self.place = source, names, source.place
        self.entries = {key: source.entries[name] for key, name in names.items()}

    def read(self, key):
        """Return one array."""
        return self._source.read(self._names[key])


@contextlib.contextmanager
def mapped(path, place):
    """Give the bytes of a file, without reading them all into memory.

    Raises:
        FileError: not a plain file, or an empty one. OSError: it is not there, or not readable.
    """
    with open_plain(path, place) as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise wrong(place, "a file with something in it", "an empty one")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            yield memoryview(data)
        finally:
            with contextlib.suppress(BufferError):  # parts of it are still held: closed with them
                data.close()


def open_plain(path, place):
    """Open a file for reading; not a folder, a device or a pipe."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise missing(place, path, "a file") from None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "something else"
        raise wrong(place, "a file", kind)
    return open(path, "rb")
