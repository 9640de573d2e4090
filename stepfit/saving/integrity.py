"""A checksum over a whole HDF5 file, behind its end, where HDF5 does not look.

HDF5 as Keras writes it has checksums neither over its structure nor over single numbers. stepfit
appends 48 bytes: a mark and the SHA-256 of everything before; an attribute of the root says that
they are there. Keras reads such a file as ever; a file without both (Keras's own) is read as it is.
"""

import hashlib

from stepfit.saving.file_errors import wrong

MARK = b"stepfit sha-256\n"
LENGTH = len(MARK) + 32
ATTRIBUTE = "stepfit_checksum"  # of the root group: says that there is one behind the file


def sealed(data):
    """Return the bytes to append to `data`."""
    return MARK + hashlib.sha256(data).digest()


def checked(data, place):
    """Return the file's bytes without the mark, if there is one.

    Raises:
        FileError: the checksum is another than that of the bytes.
    """
    if not has_mark(data):
        return data
    body, digest = data[:-LENGTH], bytes(data[-32:])
    if hashlib.sha256(body).digest() != digest:
        raise wrong(
            place, "the bytes that were written", "others: the checksum (SHA-256) differs",
            "the file is damaged: use another copy of it",
        )  # fmt: skip
    return body


def has_mark(data):
    """Say whether a checksum stands behind the file."""
    return len(data) > LENGTH and bytes(data[-LENGTH:-32]) == MARK
