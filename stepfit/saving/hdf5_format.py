"""The parts of an HDF5 file, as bytes lie in it: object headers, messages, groups, heaps.

HDF5's own library is a large C program that trusts what it reads; a damaged or malicious file can
crash it. Weights files use a small part of the format, and that is what stands here: every offset
and every count is checked against the file, links that lead elsewhere are refused where they are
met, and whatever is not known is refused too. Nothing here allocates by what a file declares.

Source: HDF5 File Format Specification 3.0, https://docs.hdfgroup.org/hdf5/develop/_f_m_t3.html
"""

import struct

from stepfit.saving.file_errors import shown, wrong

SIGNATURE = b"\x89HDF\r\n\x1a\n"
UNDEFINED = 2**64 - 1
MOST_OBJECTS = 1_000_000
_SAVED_ANEW = "save the file anew with h5py.File(..., libver='earliest')"


class Bytes:
    """The bytes of a file: reads are checked to lie inside.

    Args:
        data: bytes, memoryview or mmap.
        place: the file's name, for messages.
    """

    def __init__(self, data, place):
        self.data, self.place, self.end = data, place, len(data)
        self.steps = 0

    def take(self, start, count, what="data"):
        """Return `count` bytes from `start`."""
        if start < 0 or count < 0 or start + count > self.end:
            raise self.wrong(
                what, f"it inside the file's {self.end} bytes", f"{count} bytes at {start}"
            )
        return self.data[start : start + count]

    def number(self, start, count, what="a number"):
        """Return an unsigned little-endian number of `count` bytes."""
        return int.from_bytes(self.take(start, count, what), "little")

    def expect(self, start, signature, what):
        """Refuse where `signature` does not stand at `start`."""
        if bytes(self.take(start, len(signature), what)) != signature:
            raise self.wrong(what, f"its signature at {start}", "other bytes")

    def count(self):
        """Count one step of a walk, which ends for sure."""
        self.steps += 1
        if self.steps > MOST_OBJECTS:
            raise self.wrong("objects", f"at most {MOST_OBJECTS}", "more")

    def wrong(self, what, expected, found, fix=None):
        """Return the error for this file."""
        return wrong(f"{self.place}: {what}", expected, found, fix)


def root_header(file):
    """Return the address of the root group's object header."""
    file.expect(0, SIGNATURE, "HDF5 superblock")
    version = file.number(8, 1)
    if version in (0, 1):
        sizes, base = bytes(file.take(13, 2)), 24 + 4 * version
        end = file.number(base + 16, 8)
        root = file.number(base + 32 + 8, 8)
    elif version in (2, 3):
        sizes = bytes(file.take(9, 2))
        base, end, root = 12, file.number(28, 8), file.number(36, 8)
    else:
        raise file.wrong("HDF5 superblock", "version 0 to 3", f"{version}", _SAVED_ANEW)
    if sizes != b"\x08\x08":
        raise file.wrong("HDF5 superblock", "offsets and lengths of 8 bytes", f"{tuple(sizes)}")
    if file.number(base, 8) != 0:
        raise file.wrong("HDF5 superblock", "base address 0", f"{file.number(base, 8)}")
    if end > file.end:
        raise file.wrong("HDF5 superblock", f"{end} bytes", f"a file of {file.end}: it is cut off")
    return root


def messages(file, address, what):
    """Return the messages ``(type, bytes)`` of the object header at an address."""
    first = bytes(file.take(address, 4, what))
    return _new_header(file, address, what) if first == b"OHDR" else _old_header(
        file, address, what
    )  # fmt: skip


def _old_header(file, address, what):
    version, total = file.number(address, 1, what), file.number(address + 2, 2, what)
    if version != 1:
        raise file.wrong(what, "an object header", f"version {version} at {address}")
    blocks = [(address + 16, file.number(address + 8, 4, what))]
    found: list[tuple[int, bytes]] = []
    seen = set()
    while blocks and len(found) < total:
        at, length = blocks.pop(0)
        file.take(at, length, what)
        if at in seen:
            raise file.wrong(what, "each part of an object header once", "one twice")
        seen.add(at)
        end = at + length
        while at + 8 <= end and len(found) < total:
            file.count()
            kind, size = file.number(at, 2), file.number(at + 2, 2)
            _add(file, found, blocks, kind, at + 8, size, file.number(at + 4, 1), end, what)
            at += 8 + size
    return found


def _new_header(file, address, what):
    if file.number(address + 4, 1, what) != 2:
        raise file.wrong(what, "an object header of version 2", "another")
    flags = file.number(address + 5, 1, what)
    at = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    blocks = [(at + width, file.number(at, width, what))]
    found: list[tuple[int, bytes]] = []
    seen = set()
    head = 6 if flags & 4 else 4
    while blocks:
        at, length = blocks.pop(0)
        if at in seen:
            raise file.wrong(what, "each part of an object header once", "one twice")
        seen.add(at)
        end = at + length
        if len(seen) > 1:  # a continuation: signature before, checksum after
            file.expect(at, b"OCHK", what)
            at, end = at + 4, end - 4
        file.take(at, max(end - at, 0), what)
        while at + head <= end:
            file.count()
            kind, size = file.number(at, 1), file.number(at + 1, 2)
            _add(file, found, blocks, kind, at + head, size, file.number(at + 3, 1), end, what)
            at += head + size
    return found


def _add(file, found, blocks, kind, start, size, flags, end, what):
    if start + size > end:
        raise file.wrong(what, "messages inside their object header", f"one of {size} bytes")
    body = bytes(file.take(start, size, what))
    if kind == 0x10:
        if size < 16:
            raise file.wrong(what, "a continuation of 16 bytes", f"{size}")
        blocks.append(struct.unpack_from("<QQ", body))
    elif flags & 2 and kind in (0x01, 0x03, 0x08, 0x0B):
        raise file.wrong(what, "messages of its own", "one shared with another object", _SAVED_ANEW)
    found.append((kind, body))


# -- groups ----------------------------------------------------------------------------------------


def links(file, found, what):
    """Return ``{name: address}`` of a group, given its messages; None for what is no group."""
    kinds = {kind for kind, _ in found}
    if 0x11 in kinds:
        body = _body(file, found, 0x11, 16, what)
        tree, heap = struct.unpack_from("<QQ", body)
        return _old_links(file, tree, heap, what)
    if 0x02 not in kinds and 0x06 not in kinds:
        return None
    result: dict[str, int] = {}
    for kind, body in found:
        if kind == 0x06:
            _add_link(file, result, Bytes(body, file.place), what)
    if 0x02 in kinds:
        body = _body(file, found, 0x02, 18, what)
        at = 2 + (8 if body[1] & 1 else 0)
        if len(body) < at + 16:
            raise file.wrong(what, "link information", "less")
        heap, index = struct.unpack_from("<QQ", body, at)
        if heap != UNDEFINED:
            for link in _dense(file, heap, index, what):
                _add_link(file, result, Bytes(link, file.place), what)
    return result


def _body(file, found, kind, least, what):
    bodies = [body for k, body in found if k == kind]
    if len(bodies) != 1 or len(bodies[0]) < least:
        raise file.wrong(what, f"one message of type {kind}", f"{len(bodies)}, or a short one")
    return bodies[0]


def _old_links(file, tree, heap, what):
    file.expect(heap, b"HEAP", what)
    size, start = file.number(heap + 8, 8, what), file.number(heap + 24, 8, what)
    names = bytes(file.take(start, size, what))
    result: dict[str, int] = {}
    for node in _leaves(file, tree, 0, 8, what):
        file.expect(node, b"SNOD", what)
        for i in range(file.number(node + 6, 2, what)):
            file.count()
            entry = node + 8 + 40 * i
            offset, address = struct.unpack("<QQ", file.take(entry, 16, what))
            stop = names.find(b"\0", offset) if offset < len(names) else -1
            if stop < 0:
                raise file.wrong(what, "names inside the group's heap", f"one at {offset}")
            name = _name(file, names[offset:stop], what)
            if file.number(entry + 16, 4, what) == 2:
                raise refused_link(file, f"{what}/{name}", "a soft link")
            _put(file, result, name, address, what)
    return result


def _leaves(file, tree, kind, key, what, depth=0):
    """Yield the addresses of the leaves of a version 1 B-tree (of chunks: their keys, too)."""
    file.count()
    file.expect(tree, b"TREE", what)
    found, level, used = struct.unpack("<BBH", file.take(tree + 4, 4, what))
    if found != kind or depth > 32:
        raise file.wrong(what, f"a B-tree of type {kind}", f"type {found}, {depth} levels deep")
    for i in range(used):
        at = tree + 24 + i * (key + 8)
        child = file.number(at + key, 8, what)
        if level:
            if file.number(child + 5, 1, what) != level - 1:
                raise file.wrong(what, "a B-tree whose levels go down", "another")
            yield from _leaves(file, child, kind, key, what, depth + 1)
        elif kind == 0:
            yield child
        else:
            yield child, bytes(file.take(at, key, what))


def chunks(file, tree, rank, what):
    """Return ``[(address, stored size, filter mask, offsets)]`` of a chunked dataset."""
    result = []
    for address, key in _leaves(file, tree, 1, 8 + 8 * (rank + 1), what):
        file.count()
        size, mask, *offsets = struct.unpack(f"<II{rank + 1}Q", key)
        result.append((address, size, mask, tuple(offsets[:rank])))
    return result


def _add_link(file, result, link, what):
    version, flags = link.number(0, 1, what), link.number(1, 1, what)
    if version != 1:
        raise file.wrong(what, "links of version 1", f"version {version}")
    kind, at = 0, 2
    if flags & 8:
        kind, at = link.number(at, 1, what), at + 1
    at += (8 if flags & 4 else 0) + (1 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    length, at = link.number(at, width, what), at + width
    name = _name(file, bytes(link.take(at, length, what)), what)
    if kind != 0:
        kinds = {1: "a soft link", 64: "an external link"}
        raise refused_link(file, f"{what}/{name}", kinds.get(kind, f"a link of type {kind}"))
    _put(file, result, name, link.number(at + length, 8, what), what)


def refused_link(file, what, found):
    """Return the error for something that leads out of the place where it stands."""
    return file.wrong(what, "an object of this file", found, "save the file anew, without links")


def _name(file, raw, what):
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise file.wrong(what, "names in UTF-8", shown(raw)) from None
    if not name or "/" in name or name in (".", "..") or "\0" in name:
        raise file.wrong(what, "names of one part", shown(name))
    return name


def _put(file, result, name, address, what):
    if name in result:
        raise file.wrong(what, "each name once", f"{shown(name)} twice")
    result[name] = address


# -- large groups of newer files: a B-tree of places in a heap -----------------------------------


def _dense(file, heap, index, what):
    """Return the link messages that a fractal heap holds."""
    heap = _Heap(file, heap, what)
    return [heap.get(record[4:]) for record in _records(file, index, what)]


def _records(file, address, what):
    file.expect(address, b"BTHD", what)
    kind, node, size, depth = struct.unpack("<BIHH", file.take(address + 5, 9, what))
    root, used, total = struct.unpack("<QHQ", file.take(address + 16, 18, what))
    if kind != 5 or size != 11 or depth > 8 or node < 32:
        raise file.wrong(what, "an index of names", f"one of type {kind}")
    if root == UNDEFINED:
        return []
    most = [(node - 10) // size]
    width = _bytes_for(most[0])
    sums, sum_widths = [most[0]], [0]
    for level in range(1, depth + 1):
        pointer = 8 + width + sum_widths[level - 1]
        most.append((node - 10 - pointer) // (size + pointer))
        sums.append((most[level] + 1) * sums[level - 1] + most[level])
        sum_widths.append(_bytes_for(sums[level]))
    found: list[bytes] = []

    def visit(at, count, level):
        file.count()
        file.expect(at, b"BTIN" if level else b"BTLF", what)
        if count > most[level]:
            raise file.wrong(what, f"at most {most[level]} records in a node", f"{count}")
        for i in range(count):
            file.count()
            found.append(bytes(file.take(at + 6 + i * size, size, what)))
        at += 6 + count * size
        for i in range(count + 1 if level else 0):
            step = 8 + width + sum_widths[level - 1]
            child = file.number(at + i * step, 8, what)
            visit(child, file.number(at + i * step + 8, width, what), level - 1)

    visit(root, used, depth)
    if len(found) != total:
        raise file.wrong(what, f"{total} links", f"{len(found)}")
    return found


def _bytes_for(limit):
    return (max(limit, 1).bit_length() - 1) // 8 + 1


class _Heap:
    """A fractal heap of small objects."""

    def __init__(self, file, address, what):
        self.file, self.what = file, what
        file.expect(address, b"FRHP", what)
        filters = file.number(address + 7, 2, what)
        self.largest = file.number(address + 10, 4, what)
        at = address + 110
        self.width, self.start, self.most, bits, _ = struct.unpack(
            "<HQQHH", file.take(at, 22, what)
        )
        self.root, self.rows = struct.unpack("<QH", file.take(at + 22, 10, what))
        ok = 0 < self.start <= self.most <= 2**31 and 0 < bits <= 64 and 0 < self.width <= 1024
        if filters or not ok or self.start & (self.start - 1) or self.most & (self.most - 1):
            raise file.wrong(what, "a plain heap", "one with filters, or of odd sizes", _SAVED_ANEW)
        self.offset_bytes = (bits + 7) // 8
        self.length_bytes = _bytes_for(min(self.largest, self.most))
        self.direct_rows = self.most.bit_length() - self.start.bit_length() + 2

    def get(self, key):
        """Return the object with this heap ID."""
        if key[0] & 0x30:
            raise self.file.wrong(self.what, "links in the heap itself", "elsewhere", _SAVED_ANEW)
        n = self.offset_bytes
        offset = int.from_bytes(key[1 : 1 + n], "little")
        length = int.from_bytes(key[1 + n : 1 + n + self.length_bytes], "little")
        return bytes(self.file.take(self._locate(offset, length), length, self.what))

    def _locate(self, offset, length):
        address, rows, base = self.root, self.rows, 0
        for _ in range(8):
            if rows == 0:
                self.file.expect(address, b"FHDB", self.what)
                return address + offset - base
            self.file.expect(address, b"FHIB", self.what)
            at, start = address + 13 + self.offset_bytes, base
            for row in range(rows):
                block = self.start << max(row - 1, 0)
                if offset < start + block * self.width:
                    column = (offset - start) // block
                    address = self.file.number(at + 8 * (row * self.width + column), 8, self.what)
                    base = start + column * block
                    if offset + length > base + block:
                        break
                    direct = row < self.direct_rows
                    rows = 0 if direct else self._rows_of(block)
                    break
                start += block * self.width
            else:
                break
        raise self.file.wrong(self.what, "links inside their heap", "one beyond it")

    def _rows_of(self, block):
        return (block // (self.start * self.width)).bit_length()
