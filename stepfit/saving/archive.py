"""Zip archives, read strictly: the whole table of contents is checked before any member is read."""

import stat
import zipfile
import zlib

from stepfit.saving import paths
from stepfit.saving.file_errors import FileError, shown, size, wrong

MOST_MEMBERS = 10_000
MOST_RATIO = 200  # unpacked to packed, above the floor
RATIO_FLOOR = 2**20


class Archive:
    """A zip file whose members are plain files inside it.

    Args:
        file: path, or file opened for reading.
        place: its name, for messages.

    Raises:
        FileError: not a zip file; a member whose name leads outside, that stands there twice, is a
            link, encrypted, or far larger than what is stored of it.
    """

    def __init__(self, file, place):
        self.place = place
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, EOFError, OverflowError, NotImplementedError) as e:
            raise wrong(
                place, "a zip archive", f"none that opens ({_reason(e)})",
                "it may be cut off: use another copy of it",
            ) from None  # fmt: skip
        try:
            self._members = self._check()
        except BaseException:
            self._zip.close()
            raise

    def _check(self):
        members: dict[str, zipfile.ZipInfo] = {}
        spans, lower = [], set[str]()
        infos = self._zip.infolist()
        if len(infos) > MOST_MEMBERS:
            raise wrong(self.place, f"at most {MOST_MEMBERS} members", f"{len(infos)}")
        for info in infos:
            where = f"{self.place}: member {shown(info.filename)}"
            if "\\" in info.orig_filename or "\0" in info.orig_filename:
                raise wrong(where, "a relative path with '/'", "a backslash or a zero byte")
            paths.check_member(info.filename, self.place)
            if info.filename.lower() in lower:
                raise wrong(where, "each name once", "it twice")
            lower.add(info.filename.lower())
            mode = info.external_attr >> 16
            if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_IFMT(mode) == 0):
                raise wrong(where, "a plain file", "a link or a device")
            if info.flag_bits & 1:
                raise wrong(where, "a member that is not encrypted", "an encrypted one")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise wrong(where, "stored or deflated", f"compression {info.compress_type}")
            ratio = info.file_size / max(info.compress_size, 1)
            if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
                raise wrong(where, "the size stored", f"{size(info.file_size)} declared")
            if info.file_size > RATIO_FLOOR and ratio > MOST_RATIO:
                raise wrong(
                    where, f"at most {MOST_RATIO} times the {size(info.compress_size)} stored",
                    f"{size(info.file_size)} declared",
                )  # fmt: skip
            spans.append((info.header_offset, info.header_offset + info.compress_size, where))
            members[info.filename] = info
        for (_, end, _), (start, _, where) in zip(sorted(spans), sorted(spans)[1:], strict=False):
            if start < end:
                raise wrong(where, "members that do not overlap", "an overlap")
        return members

    def names(self):
        """Return the names of the files."""
        return [n for n in self._members if not n.endswith("/")]

    def size(self, name):
        """Return the number of bytes that a file unpacks to."""
        return self._members[name].file_size

    def read(self, name, most=None):
        """Return the bytes of a file, checked against its CRC-32.

        Args:
            name: a name among `names()`.
            most: the largest size that makes sense; default the declared one.

        Raises:
            FileError: missing, too large, or damaged.
        """
        where = f"{self.place}: member {shown(name)}"
        if name not in self._members:
            raise wrong(where, "it in the archive", f"only {shown(sorted(self.names())[:8])}")
        declared = self._members[name].file_size
        if most is not None and declared > most:
            raise wrong(where, f"at most {size(most)}", size(declared))
        try:
            with self._zip.open(self._members[name]) as stream:
                data = stream.read(declared)
                if len(data) != declared or stream.read(1):
                    raise wrong(where, f"{declared} bytes", "another number")
        except FileError:
            raise
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError,
                NotImplementedError, RuntimeError) as e:  # fmt: skip
            raise wrong(where, "bytes as they were written", _reason(e)) from None
        return data

    def close(self):
        """Close the file."""
        self._zip.close()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()


def _reason(e):
    text = str(e).strip().rstrip(".") or type(e).__name__
    return text if len(text) < 100 else text[:97] + "..."
