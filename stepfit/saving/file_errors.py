"""What is wrong with a file: file, member, expected, found, fix."""

from stepfit.core import errors


class FileError(errors.StepfitValueError):
    """A file that is damaged, not what it says it is, or not to be trusted."""


def wrong(place, expected, found, fix=None):
    """Return a `FileError`; `place` says which file and which part of it."""
    return FileError(errors.message(place, expected, found, fix))


def shown(name):
    """Return a name from a file as it can be printed: quoted, and not endless."""
    text = repr(name)
    return text if len(text) <= 80 else text[:77] + "...'"


def size(count):
    """Return a number of bytes in words.

    >>> size(2048), size(3 * 10**12)
    ('2.0 kB', '3.0 TB')
    """
    if count < 1000:
        return f"{count} bytes"
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        count /= 1000
        if count < 1000 or unit == "PB":
            return f"{count:.1f} {unit}"
    raise AssertionError
