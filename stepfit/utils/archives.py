"""Extracting tar and zip archives: plain files and folders, nothing outside, all or nothing."""

import os
import pathlib
import shutil
import tarfile
import tempfile
import zipfile

from stepfit.core import errors

_MAX_BYTES = 64 << 30


def extract(archive, folder, formats="auto"):
    """Extract `archive` to `folder`, which appears only when everything has been extracted.

    Args:
        archive: path of a tar (also compressed) or zip file.
        folder: path of the folder to make; an older one is replaced.
        formats: "auto", "tar", "zip", or a list of the latter two; None extracts nothing.

    Raises:
        ValueError: where the file is no such archive, or has members that are links, devices or
            lie outside the folder. Nothing is kept then.
    """
    if not formats:
        return
    formats = ["tar", "zip"] if formats == "auto" else formats
    formats = [formats] if isinstance(formats, str) else list(formats)
    for name in formats:
        if name not in _OPENERS:
            raise errors.unknown_name("archive_format", "format", name, _OPENERS)
    opener = next((_OPENERS[f] for f in formats if _IS[f](archive)), None)
    if opener is None:
        expected = f"a {' or '.join(formats)} archive"
        raise errors.bad_value(str(archive), expected, "another kind of file", "check the URL")
    folder = pathlib.Path(folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as space:
        new = pathlib.Path(space, "new")
        new.mkdir()
        opener(archive, new)
        if folder.exists():
            os.replace(folder, pathlib.Path(space, "old"))
        os.replace(new, folder)


def _place(archive, root, name):
    """Return the path of a member below `root`."""
    parts = pathlib.PurePosixPath(name).parts
    if not parts and name in ("", ".", "./"):
        return root
    if name.startswith(("/", "\\")) or ".." in parts or "\\" in name or ":" in name:
        raise _unsafe(archive, name, "a path that leaves the folder")
    return root.joinpath(*parts)


def _unsafe(archive, name, what):
    fix = "do not use this archive"
    return errors.bad_value(f"{archive}, member {name!r}", "a plain file or folder", what, fix)


def _write(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "xb") as file:
        shutil.copyfileobj(source, file)


def _check_size(archive, total):
    if total > _MAX_BYTES:
        expected = f"at most {_MAX_BYTES >> 30} GiB of extracted files"
        raise errors.bad_value(str(archive), expected, f"{total >> 30} GiB")


def _extract_tar(archive, root):
    total = 0
    with tarfile.open(archive) as tar:
        for member in tar:
            path = _place(archive, root, member.name)
            total += member.size
            _check_size(archive, total)
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
            elif member.isreg():
                _write(tar.extractfile(member), path)
            else:
                raise _unsafe(archive, member.name, "a link or device")


def _extract_zip(archive, root):
    with zipfile.ZipFile(archive) as zipped:
        _check_size(archive, sum(member.file_size for member in zipped.infolist()))
        for member in zipped.infolist():
            path = _place(archive, root, member.filename)
            if (member.external_attr >> 16) & 0o170000 == 0o120000:
                raise _unsafe(archive, member.filename, "a link or device")
            if member.is_dir():
                path.mkdir(parents=True, exist_ok=True)
            else:
                with zipped.open(member) as source:
                    _write(source, path)


_OPENERS = {"tar": _extract_tar, "zip": _extract_zip}
_IS = {"tar": tarfile.is_tarfile, "zip": zipfile.is_zipfile}
