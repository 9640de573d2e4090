"""Names inside files: which of them may be used at all. One place decides for all readers."""

import os
import pathlib
import re
import stat

from stepfit.saving.file_errors import shown, wrong

MOST_DEPTH = 64
MOST_CHARACTERS = 1024
_DRIVE = re.compile(r"^[A-Za-z]:")


def check_member(name, place):
    """Return the parts of a name inside an archive or a weights file.

    Raises:
        FileError: absolute, with ``..``, a drive, a backslash, a control character, or endless.
    """
    where = f"{place}: member {shown(name)}"
    if not name or len(name) > MOST_CHARACTERS:
        raise wrong(where, f"a name of 1 to {MOST_CHARACTERS} characters", f"{len(name)}")
    if "\\" in name:
        raise wrong(where, "a relative path with '/'", "a backslash")
    if name.startswith("/"):
        raise wrong(where, "a relative path", "an absolute one")
    if _DRIVE.match(name):
        raise wrong(where, "a relative path", "a drive letter")
    if any(ord(c) < 32 or ord(c) == 127 for c in name):
        raise wrong(where, "printable characters", "a control character")
    parts = name.removesuffix("/").split("/")
    for part in parts:
        if part in ("", ".", ".."):
            raise wrong(where, "a path without '', '.' and '..'", shown(part))
    if len(parts) > MOST_DEPTH:
        raise wrong(where, f"at most {MOST_DEPTH} parts", f"{len(parts)}")
    return parts


def inside(folder, name, place):
    """Return the path of a member in a folder: a plain file that is really there, no link.

    Raises:
        FileError: the name leads elsewhere, or what is there is a link or no plain file.
    """
    path = pathlib.Path(folder)
    parts = check_member(name, place)
    for i, part in enumerate(parts):
        path = path / part
        try:
            found = os.lstat(path)
        except OSError:
            raise wrong(f"{place}: member {shown(name)}", "a file", "none") from None
        kind = stat.S_ISREG if i == len(parts) - 1 else stat.S_ISDIR
        where = f"{place}: member {shown(name)}"
        if not kind(found.st_mode):
            raise wrong(where, "a plain file", "a link or something else")
    if found.st_nlink > 1:
        raise wrong(where, "a file of one name", "a hard link")
    return path
