"""Datatypes, dataspaces, storage and filters of HDF5 datasets, as messages describe them."""

import struct
import zlib
from typing import NamedTuple

import ml_dtypes
import numpy as np

MOST_RANK = 32
DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3


class Unsupported(Exception):
    """Something that a weights file has no use for: what was expected, what was found."""


def dtype(body):
    """Return ``(numpy dtype, or None for text of variable length; size in bytes)``."""
    kind, version = body[0] & 15, body[0] >> 4
    bits, size = body[1], struct.unpack_from("<I", body, 4)[0]
    if not 1 <= version <= 5:
        raise Unsupported("a datatype of version 1 to 5", f"version {version}")
    order = ">" if bits & 1 else "<"
    if kind == 0 and size in (1, 2, 4, 8):
        offset, precision = struct.unpack_from("<HH", body, 8)
        if offset == 0 and precision == 8 * size:
            return np.dtype(f"{order}{'i' if bits & 8 else 'u'}{size}"), size
    if kind == 1:
        layout = struct.unpack_from("<HHBBBB", body, 8)
        plain = {(0, 16, 10, 5, 0, 10): "f2", (0, 32, 23, 8, 0, 23): "f4",
                 (0, 64, 52, 11, 0, 52): "f8"}  # fmt: skip
        if not bits & 0x40 and layout in plain and size == int(plain[layout][1]):
            return np.dtype(order + plain[layout]), size
        if not bits & 0x41 and layout == (0, 16, 7, 8, 0, 7) and size == 2:
            return np.dtype(ml_dtypes.bfloat16), size
    if kind == 3 and 0 < size <= 2**16:
        return np.dtype(f"S{size}"), size
    if kind == 5 and size == 2:  # opaque: how Keras writes bfloat16
        return np.dtype(ml_dtypes.bfloat16), size
    if kind == 8 and size == 1 and b"FALSE" in body and b"TRUE" in body:
        return np.dtype(bool), size
    if kind == 9 and body[1] & 15 == 1 and size == 16:
        return None, size
    names = {
        2: "times", 3: "text", 4: "bit fields", 5: "opaque data", 6: "records", 7: "references",
        8: "enumerations", 9: "data of variable length", 10: "arrays",
    }  # fmt: skip
    raise Unsupported("integers, floats or bools", names.get(kind, f"numbers of {size} bytes"))


def shape(body):
    """Return the sizes of a dataspace; None for an empty one."""
    version, rank, flags = body[0], body[1], body[2]
    if version not in (1, 2) or rank > MOST_RANK:
        raise Unsupported(f"a dataspace of at most {MOST_RANK} axes", f"{rank}")
    if version == 2 and body[3] == 2:
        return None
    start = 8 if version == 1 else 4
    if len(body) < start + 8 * rank:
        raise Unsupported(f"{rank} sizes", "fewer")
    if flags & 4:
        raise Unsupported("a dataspace without permutation", "one with it")
    return struct.unpack_from(f"<{rank}Q", body, start)


class Layout(NamedTuple):
    """Where data lies: `kind` is "compact", "contiguous" or "chunked"."""

    kind: str
    address: int
    size: int
    chunk: tuple = ()
    data: bytes = b""


def layout(body):
    """Return the `Layout` that a message describes."""
    version, kind = body[0], body[1]
    if version not in (3, 4):
        raise Unsupported("a data layout of version 3", f"version {version}")
    if kind == 0:
        (size,) = struct.unpack_from("<H", body, 2)
        if len(body) < 4 + size:
            raise Unsupported(f"{size} bytes of data", "fewer")
        return Layout("compact", 0, size, (), body[4 : 4 + size])
    if kind == 1:
        return Layout("contiguous", *struct.unpack_from("<QQ", body, 2))
    if kind == 2 and version == 3:
        axes = body[2]
        if not 1 < axes <= MOST_RANK + 1:
            raise Unsupported("chunks of 1 axis or more", f"{axes - 1}")
        (address,) = struct.unpack_from("<Q", body, 3)
        return Layout("chunked", address, 0, struct.unpack_from(f"<{axes}I", body, 11))
    found = "a virtual dataset" if kind == 3 else "chunks with a newer index"
    raise Unsupported("data that lies in this file, plain or in chunks", found)


def filters(body):
    """Return the numbers of the filters that data went through, in that order."""
    version, count = body[0], body[1]
    if version not in (1, 2) or count > 8:
        raise Unsupported("at most 8 filters", f"{count}")
    at, result = 8 if version == 1 else 2, []
    for _ in range(count):
        number, length = struct.unpack_from("<HH", body, at)
        named = version == 1 or number >= 256
        if not named:
            length = 0
        at += 4 if named else 2
        _, values = struct.unpack_from("<HH", body, at)
        at += 4 + (length + 7) // 8 * 8 if version == 1 else 4 + length
        at += 4 * values + (4 if version == 1 and values % 2 else 0)
        if number not in (DEFLATE, SHUFFLE, FLETCHER32):
            raise Unsupported("the filters deflate, shuffle and fletcher32", f"filter {number}")
        result.append(number)
    return result


def undo(data, numbers, mask, size, width):
    """Return a chunk as it was before its filters.

    Args:
        data: the stored bytes.
        numbers: the filters, in the order in which they were applied.
        mask: bits of those that this chunk was not put through.
        size: bytes of the chunk; no more are made of it.
        width: bytes of an element.
    """
    for index, number in reversed(list(enumerate(numbers))):
        if mask >> index & 1:
            continue
        if number == FLETCHER32:
            data, check = data[:-4], bytes(data[-4:])
            if fletcher32(data) != int.from_bytes(check, "little"):
                raise Unsupported("data as it was written", "other bytes: the checksum differs")
        elif number == DEFLATE:
            unpacker = zlib.decompressobj()
            try:
                data = unpacker.decompress(data, size + 4)  # a checksum may be inside
            except zlib.error as e:
                raise Unsupported("deflated data", str(e)) from None
        else:
            whole = len(data) // width * width
            rows = np.frombuffer(data, "u1", whole).reshape(width, -1)
            data = rows.T.tobytes() + bytes(data[whole:])
    if len(data) != size:
        raise Unsupported(f"chunks of {size} bytes", f"{len(data)}")
    return data


def fletcher32(data):
    """Return HDF5's Fletcher checksum of some bytes.

    >>> fletcher32(b"abcde"), fletcher32(b"")
    (1341139399, 0)
    """
    words = np.frombuffer(data, ">u2", len(data) // 2).astype("u8")
    if len(data) % 2:
        words = np.append(words, np.uint64(data[-1] << 8))
    first = second = 0
    for start in range(0, len(words), 2**16):
        part = words[start : start + 2**16]
        weights = np.arange(len(part), 0, -1, dtype="u8")
        second = (second + first * len(part) + int((part * weights).sum())) % 65535
        first = (first + int(part.sum())) % 65535
    if len(words) and words.any():  # sums of something are kept from 1 to 65535
        first, second = first or 65535, second or 65535
    return second << 16 | first
