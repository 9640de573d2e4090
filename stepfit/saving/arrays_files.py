"""Archives of named arrays: `.safetensors` and `.npz`, read strictly, and written."""

import hashlib
import io
import json
import math

import ml_dtypes
import numpy as np

from stepfit.saving import json_config
from stepfit.saving.archive import Archive
from stepfit.saving.file_errors import shown, size, wrong
from stepfit.saving.sources import Entry

_DTYPES = {
    "F64": "f8", "F32": "f4", "F16": "f2", "BF16": ml_dtypes.bfloat16, "I64": "i8", "I32": "i4",
    "I16": "i2", "I8": "i1", "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
_NAMES = {np.dtype(v): k for k, v in _DTYPES.items()}
MOST_HEADER = 2**26
MOST_RANK = 32
DIGEST = "stepfit_sha256"


class SafetensorsSource:
    """A `.safetensors` file: a length, a JSON header, and the bytes of all arrays, back to back.

    Args:
        data: its bytes. place: its name, for messages.

    Raises:
        FileError: the header is not one, or arrays overlap, leave gaps or lie outside.
    """

    def __init__(self, data, place):
        self.place = place
        length = int.from_bytes(data[:8], "little")
        if len(data) < 8 or length > min(MOST_HEADER, len(data) - 8):
            raise wrong(place, "a header inside the file", f"{size(length)} declared")
        header = json_config.parse_dict(data[8 : 8 + length], f"{place}: header")
        self.metadata = header.pop("__metadata__", {})
        self._data = data[8 + length :]
        self._spans: dict[str, tuple] = {}
        self.entries = {name: self._entry(name, value) for name, value in header.items()}
        position = 0
        for start, end, name in sorted((*span, n) for n, span in self._spans.items()):
            if start != position:
                raise wrong(f"{place}: {shown(name)}", f"data from {position} on", f"{start}")
            position = end
        if position != len(self._data):
            raise wrong(place, f"{position} bytes of data", f"{len(self._data)}")
        metadata = self.metadata if isinstance(self.metadata, dict) else {}
        digest, own = metadata.get(DIGEST), metadata.get("format") == "stepfit"
        if (own or digest is not None) and digest != _digest(header, [self._data]):
            raise wrong(
                place, "the bytes that were written", "others: the checksum (SHA-256) differs",
                "the file is damaged: use another copy of it",
            )  # fmt: skip

    def _entry(self, name, value):
        where = f"{self.place}: {shown(name)}"
        fine = isinstance(value, dict) and set(value) == {"dtype", "shape", "data_offsets"}
        if not fine or not all(map(_is_sizes, (value["shape"], value["data_offsets"]))):
            raise wrong(where, "dtype, shape and data_offsets", "something else")
        if not isinstance(value["dtype"], str) or value["dtype"] not in _DTYPES:
            raise wrong(where, f"a dtype of {', '.join(_DTYPES)}", shown(value["dtype"]))
        entry = Entry(tuple(value["shape"]), np.dtype(_DTYPES[value["dtype"]]))
        offsets = tuple(value["data_offsets"])
        if len(offsets) != 2 or not 0 <= offsets[0] <= offsets[1] <= len(self._data):
            raise wrong(where, f"offsets inside {len(self._data)} bytes", shown(offsets))
        if offsets[1] - offsets[0] != entry.size:
            found = f"{size(offsets[1] - offsets[0])} of data"
            raise wrong(where, f"{size(entry.size)}, by its shape {entry.shape}", found)
        self._spans[name] = offsets
        return entry

    def read(self, key):
        """Return one array."""
        start, end = self._spans[key]
        entry = self.entries[key]
        return np.frombuffer(self._data[start:end], entry.dtype).reshape(entry.shape)


def _is_sizes(value):
    return isinstance(value, list) and len(value) <= MOST_RANK and all(
        isinstance(d, int) and not isinstance(d, bool) and 0 <= d < 2**62 for d in value
    )  # fmt: skip


def _digest(entries, parts):
    """Return a checksum over what stands in the header and over all data."""
    found = hashlib.sha256(json.dumps(entries, sort_keys=True).encode())
    for part in parts:
        found.update(part)
    return found.hexdigest()


def write_safetensors(file, arrays, metadata):
    """Write named arrays to a file.

    Args:
        file: file opened for writing bytes.
        arrays: dict from name to array.
        metadata: dict of texts.
    """
    header, position = {}, 0
    for name, array in arrays.items():
        dtype = _NAMES.get(array.dtype)
        if dtype is None:
            raise wrong(f"array {name!r}", "a dtype that safetensors has", f"{array.dtype}")
        span = [position, position + array.nbytes]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": span}
        position = span[1]
    parts = [np.ascontiguousarray(a).tobytes() for a in arrays.values()]
    header["__metadata__"] = {**metadata, DIGEST: _digest(header, parts)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for part in parts:
        file.write(part)


class NpzSource:
    """A NumPy archive of plain arrays: no pickles, no array larger than what is stored of it.

    Args:
        file: file opened for reading. place: its name, for messages.
    """

    def __init__(self, file, place):
        self.place = place
        self._archive = Archive(file, place)
        self._members: dict[str, str] = {}
        self.entries: dict[str, Entry] = {}
        for member in self._archive.names():
            name = member.removesuffix(".npy")
            self._members[name] = member
            self.entries[name] = self._header(member)[0]

    def _header(self, member):
        """Return the entry of a member, and where its data begins."""
        where = f"{self.place}: {shown(member)}"
        stream = io.BytesIO(self._archive.read(member))
        try:
            version = np.lib.format.read_magic(stream)
            reader = {(1, 0): np.lib.format.read_array_header_1_0,
                      (2, 0): np.lib.format.read_array_header_2_0}[version]  # fmt: skip
            shape, fortran, dtype = reader(stream, max_header_size=4096)
        except (ValueError, KeyError, EOFError, TypeError, SyntaxError, OverflowError) as e:
            reason = str(e).splitlines()[0][:100] if str(e) else type(e).__name__
            raise wrong(where, "a NumPy array", reason.rstrip(".")) from None
        if dtype.hasobject or dtype.kind not in "biufc":
            raise wrong(where, "an array of numbers", f"dtype {dtype}: it may hold code")
        if fortran and len(shape) > 1:
            raise wrong(where, "an array in C order", "one in Fortran order")
        stored = len(stream.getbuffer()) - stream.tell()
        if math.prod(shape) * dtype.itemsize != stored:
            raise wrong(where, f"{size(stored)}, as stored", f"shape {shape} of {dtype}")
        return Entry(tuple(shape), dtype), stream.tell()

    def read(self, key):
        """Return one array."""
        member = self._members[key]
        entry, start = self._header(member)
        data = memoryview(self._archive.read(member))[start:]
        return np.frombuffer(data, entry.dtype).reshape(entry.shape)

    def close(self):
        """Close the file."""
        self._archive.close()
