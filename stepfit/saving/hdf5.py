"""HDF5 files of weights: read strictly, without HDF5's library; written with it.

Opening walks the whole file: every group and dataset is a plain one, reached by one hard link, with
its data inside this file, once. Values are read afterwards, one dataset at a time, into an array of
the shape and dtype that the caller expects and the dataset declares; never before both agree.
"""

import io
import math
import struct
from typing import Any, NamedTuple

import numpy as np

from stepfit.saving import hdf5_format as form
from stepfit.saving import hdf5_types as types
from stepfit.saving.file_errors import size as in_words
from stepfit.saving.paths import MOST_DEPTH

MOST_RATIO = 1000  # of a dataset's size to what is stored of it
RATIO_FLOOR = 2**20


class Dataset(NamedTuple):
    """What the file says of one array; `dtype` is None for text of variable length."""

    shape: tuple
    dtype: Any
    layout: types.Layout
    filters: list
    width: int

    @property
    def size(self):
        """Bytes of the array."""
        return math.prod(self.shape) * self.width


class HDF5File:
    """An HDF5 file, open for reading.

    Args:
        data: its bytes (bytes, memoryview, mmap).
        place: its name, for messages.

    Raises:
        FileError: damaged, or with something in it that a weights file has no use for.
    """

    def __init__(self, data, place):
        self.place = place
        self._file = form.Bytes(data, place)
        self.datasets: dict[str, Dataset] = {}
        self.groups: dict[str, int] = {}  # path -> address of the object header
        self._spans: list[tuple] = []
        self._seen: set[int] = set()
        self._addresses: dict[str, int] = {}
        try:
            self._walk("", form.root_header(self._file), 0)
        except (struct.error, IndexError, OverflowError, RecursionError) as e:
            raise self._file.wrong("HDF5 structure", "whole messages", _reason(e)) from None
        self._check_spans()

    def _walk(self, path, address, depth):
        file, what = self._file, path or "/"
        file.count()
        if depth > MOST_DEPTH:
            raise file.wrong(what, f"at most {MOST_DEPTH} groups inside each other", "more")
        if address in self._seen:
            raise form.refused_link(file, what, "a second link to one object")
        self._seen.add(address)
        self._addresses[path] = address
        found = form.messages(file, address, what)
        links = form.links(file, found, what)
        if links is None:
            self.datasets[path] = self._dataset(path, found)
            return
        self.groups[path] = address
        for name, child in links.items():
            self._walk(f"{path}/{name}" if path else name, child, depth + 1)

    def _dataset(self, path, found):
        file, kinds = self._file, dict(found)
        if 0x07 in kinds:
            raise file.wrong(path, "data in this file", "data in other files")
        missing = [k for k in (0x01, 0x03, 0x08) if k not in kinds]
        if missing:
            raise file.wrong(path, "a group or a dataset", "an object that is neither")
        try:
            shape = types.shape(kinds[0x01])
            dtype, width = types.dtype(kinds[0x03])
            layout = types.layout(kinds[0x08])
            filters = types.filters(kinds[0x0B]) if 0x0B in kinds else []
        except types.Unsupported as e:
            raise self._unsupported(path, e) from None
        dataset = Dataset((0,) if shape is None else tuple(shape), dtype, layout, filters, width)
        self._check_stored(path, dataset)
        return dataset

    def _unsupported(self, path, e):
        expected, found = e.args
        return self._file.wrong(f"dataset {path!r}", expected, found)

    def _check_stored(self, path, dataset):
        """Compare what a dataset declares with what is stored of it."""
        layout, where = dataset.layout, f"dataset {path!r}"
        if layout.kind == "compact":
            stored = layout.size
        elif layout.kind == "contiguous":
            empty = layout.address == form.UNDEFINED
            stored = 0 if empty else layout.size
            if not empty:
                self._file.take(layout.address, layout.size, where)
                self._spans.append((layout.address, layout.address + layout.size, where))
        else:
            self._check_chunks(where, dataset)
            return
        if stored != dataset.size:
            raise self._file.wrong(
                where, f"{in_words(dataset.size)} of data, by its shape {dataset.shape}",
                f"{in_words(stored)} stored",
            )  # fmt: skip

    def _check_chunks(self, where, dataset):
        layout, shape = dataset.layout, dataset.shape
        *chunk, width = layout.chunk
        if len(chunk) != len(shape) or width != dataset.width or not all(chunk):
            raise self._file.wrong(where, f"chunks like its shape {shape}", f"{layout.chunk}")
        wanted = math.prod(-(-d // c) for d, c in zip(shape, chunk, strict=True))
        found = [] if layout.address == form.UNDEFINED else form.chunks(
            self._file, layout.address, len(shape), where
        )  # fmt: skip
        corners = {offsets for _, _, _, offsets in found}
        if len(found) != wanted or len(corners) != wanted:
            raise self._file.wrong(
                where, f"{wanted} chunks, by its shape {shape}", f"{len(corners)} stored"
            )
        for address, size, _, offsets in found:
            self._file.take(address, size, where)
            self._spans.append((address, address + size, where))
            if any(o % c or o >= d for o, c, d in zip(offsets, chunk, shape, strict=True)):
                raise self._file.wrong(where, "chunks inside its shape", f"one at {offsets}")
        stored = sum(size for _, size, _, _ in found)
        largest = max(dataset.size, math.prod(chunk) * width * len(found))
        if largest > RATIO_FLOOR and largest > MOST_RATIO * stored:
            raise self._file.wrong(
                where, f"at most {MOST_RATIO} times the {in_words(stored)} stored",
                f"{in_words(largest)} declared",
            )  # fmt: skip

    def _check_spans(self):
        spans = sorted(self._spans)
        for (_, end, _), (start, stop, where) in zip(spans, spans[1:], strict=False):
            if start < end and stop > start:
                raise self._file.wrong(where, "data of its own", "another dataset's")

    # -- values ------------------------------------------------------------------------------------

    def read(self, path):
        """Return a dataset as an array of the shape and dtype that `datasets` says.

        Raises:
            FileError: its data is damaged.
        """
        dataset, where = self.datasets[path], f"dataset {path!r}"
        if dataset.dtype is None:
            raise self._file.wrong(where, "numbers", "text of variable length")
        try:
            return self._read(dataset)
        except types.Unsupported as e:
            raise self._unsupported(path, e) from None
        except (struct.error, IndexError, ValueError) as e:
            raise self._file.wrong(where, "whole data", _reason(e)) from None

    def _read(self, dataset):
        layout, shape, dtype = dataset.layout, dataset.shape, dataset.dtype
        native = dtype.newbyteorder("=")
        if layout.kind != "chunked":
            if layout.kind == "compact":
                data = layout.data
            else:
                data = self._file.take(layout.address, layout.size) if dataset.size else b""
            return np.frombuffer(data, dtype).reshape(shape).astype(native)
        *chunk, width = layout.chunk
        size = math.prod(chunk) * width
        result = np.empty(shape, native)
        if not dataset.size:
            return result
        for address, stored, mask, corner in form.chunks(
            self._file, layout.address, len(shape), "chunks"
        ):
            data = types.undo(
                self._file.take(address, stored), dataset.filters, mask, size, dataset.width
            )
            part = np.frombuffer(data, dtype).reshape(chunk)
            into = tuple(slice(o, o + c) for o, c in zip(corner, chunk, strict=True))
            room = result[into].shape
            result[into] = part[tuple(slice(0, n) for n in room)]
        return result

    def attributes(self, path):
        """Return the attributes of a group or dataset: numbers, text, or arrays of them."""
        file, result = self._file, {}
        for kind, body in form.messages(file, self._addresses[path], path or "/"):
            if kind == 0x15 and len(body) >= 10 and _has_many(body):
                raise file.wrong(path or "/", "attributes beside the object", "them elsewhere")
            if kind != 0x0C:
                continue
            try:
                name, value = self._attribute(body)
            except types.Unsupported as e:
                raise self._unsupported(path or "/", e) from None
            except (struct.error, IndexError, ValueError, UnicodeDecodeError) as e:
                raise file.wrong(path or "/", "whole attributes", _reason(e)) from None
            result[name] = value
        return result

    def _attribute(self, body):
        version, flags = body[0], body[1]
        if version not in (1, 2, 3) or (version > 1 and flags & 3):
            raise types.Unsupported("an attribute of its own type", f"version {version}")
        sizes = struct.unpack_from("<HHH", body, 2)
        at = 9 if version == 3 else 8
        parts = []
        for n in sizes:
            parts.append(body[at : at + n])
            at += (n + 7) // 8 * 8 if version == 1 else n
        name = parts[0].split(b"\0")[0].decode("utf-8")
        dtype, width = types.dtype(parts[1])
        shape = types.shape(parts[2]) or ()
        count = math.prod(shape)
        data = body[at : at + count * width]
        if len(data) != count * width:
            raise types.Unsupported(f"{count * width} bytes of an attribute", f"{len(data)}")
        if dtype is None:
            texts = [self._text(data[i * 16 : i * 16 + 16]) for i in range(count)]
            return name, texts if shape else texts[0]
        array = np.frombuffer(data, dtype).reshape(shape)
        if dtype.kind == "S":
            texts = [x.decode("utf-8") for x in array.reshape(-1).tolist()]
            return name, texts if shape else texts[0]
        return name, array if shape else array.item()

    def _text(self, reference):
        """Return a text of variable length, which lies in a heap."""
        length, address, index = struct.unpack("<IQI", reference)
        if not length:
            return ""
        file = self._file
        file.expect(address, b"GCOL", "text")
        end = address + file.number(address + 8, 8)
        at = address + 16
        while at + 16 <= end:
            file.count()
            found, size = file.number(at, 2), file.number(at + 8, 8)
            if found == 0:
                break
            if found == index:
                return bytes(file.take(at + 16, min(size, length))).decode("utf-8").rstrip("\0")
            at += 16 + (size + 7) // 8 * 8
        raise types.Unsupported("text in its heap", "none")


def _has_many(body):
    at = 2 + (2 if body[1] & 1 else 0)
    return struct.unpack_from("<Q", body, at)[0] != form.UNDEFINED


def _reason(e):
    text = f"{type(e).__name__}: {e}".strip().rstrip(".")
    return text if len(text) < 120 else text[:117] + "..."


# -- writing ---------------------------------------------------------------------------------------

_CHUNK_BYTES = 2**26
_NO_ATTRIBUTES: dict[str, str] = {}


def write(groups):
    """Return the bytes of an HDF5 file.

    Args:
        groups: list of ``(path, attributes, arrays)``: path of a group, dict of texts, dict from
            name to array. Arrays carry a checksum (fletcher32), but for single numbers.
    """
    import h5py  # a third of a second to import

    stream = io.BytesIO()
    with h5py.File(stream, "w", libver=("earliest", "v110")) as file:
        for path, attributes, arrays in groups:
            group = file.require_group(path) if path else file
            for key, value in attributes.items():
                group.attrs[key] = value
            for name, array in arrays.items():
                _write_array(group, name, np.asarray(array))
    return stream.getbuffer()


def _write_array(group, name, array):
    options = {}
    if array.ndim and array.size:
        rows = max(1, _CHUNK_BYTES // max(1, array.nbytes // array.shape[0]))
        options = {"chunks": (min(rows, array.shape[0]), *array.shape[1:]), "fletcher32": True}
    if array.dtype.name == "bfloat16":  # as Keras marks it
        dataset = group.create_dataset(name, data=array.view("V2"), **options)
        dataset.attrs["dtype"] = "bfloat16"
    else:
        group.create_dataset(name, data=array, **options)
