"""What to say of a file that is not there: what is there instead."""

import contextlib
import errno
import os

from stepfit.core import errors

_MOST_SHOWN = 5
_KINDS = (".weights.h5", ".weights.json")  # two endings that are one


def missing(where, path, expected):
    """Return the error for a path to read from at which nothing is.

    Args:
        where: the call, for the message. path: what it was given. expected: what it would read.
    """
    path = os.fspath(path)
    whole = os.path.abspath(path)
    folder, name = os.path.split(whole)
    if os.path.islink(path):
        found, fix = "a link to what is not there", f"it leads to {os.readlink(path)!r}"
    elif not os.path.isdir(folder):
        found, fix = f"no folder {folder!r}", _check_path(path)
    else:
        found, fix = f"none of this name in {folder!r}", _instead(folder, name, path)
    error = errors.MissingFileError(errors.message(where, expected, found, fix))
    error.errno, error.strerror, error.filename = errno.ENOENT, os.strerror(errno.ENOENT), path
    return error


def _instead(folder, name, path):
    """Return what to do, by the files of such a name, or of such a kind, that are there."""
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = sorted(n for n in os.listdir(folder) if not n.startswith("."))
    kind = next((k for k in _KINDS if name.endswith(k)), os.path.splitext(name)[1])
    stems = [n.removesuffix(kind) for n in names if kind and n.endswith(kind)]
    near = errors.nearest(name.removesuffix(kind), stems)
    if near is not None:
        return f"did you mean {near + kind!r}?"
    if stems:
        shown = ", ".join(repr(stem + kind) for stem in stems[:_MOST_SHOWN])
        return f"it has {shown}" + " and others" * (len(stems) > _MOST_SHOWN)
    near = errors.nearest(name, names)
    return _check_path(path) if near is None else f"did you mean {near!r}?"


def _check_path(path):
    if os.path.isabs(path):
        return "check the path"
    return f"check the path: it begins at the working directory, {os.getcwd()!r}"
