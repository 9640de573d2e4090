"""Folders of backups: names, their order, and what must survive a power cut."""

import contextlib
import os
import pathlib
import re
import shutil

from stepfit.utils.atomic import sync_file, sync_folder

_NAME = re.compile(r"backup-\d{6,}")
_PART = re.compile(r"\.backup-\d{6,}\.part")
_DAMAGED = re.compile(r"damaged-\d{6,}")


def backups(directory):
    """Return the folders of the backups in a directory, the newest first.

    Args:
        directory: a path; it need not exist.
    """
    found = [path for path in _entries(directory) if _NAME.fullmatch(path.name)]
    return sorted(found, key=_number, reverse=True)


def next_name(directory):
    """Return the path of the next backup in a directory."""
    numbers = [_number(path) for path in _entries(directory) if _is_ours(path)]
    return pathlib.Path(directory) / f"backup-{max(numbers, default=0) + 1:06d}"


def part_of(folder):
    """Return the name that a backup has while it is being written or removed."""
    return folder.with_name(f".{folder.name}.part")


def set_aside(folder):
    """Give a damaged backup another name; returns it, or None where that cannot be done."""
    aside = folder.with_name(folder.name.replace("backup", "damaged"))
    try:
        os.rename(folder, aside)
    except OSError:
        return None
    return aside


def remove(folder):
    """Remove a backup: at once by name, then file by file."""
    part = part_of(folder)
    shutil.rmtree(part, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, part)
    shutil.rmtree(part, ignore_errors=True)


def prune(directory, keep):
    """Remove all backups but the newest `keep`, the oldest first."""
    for folder in reversed(backups(directory)[keep:]):
        remove(folder)


def clear(directory):
    """Remove all that backups have left in a directory, and the directory if that was all."""
    prune(directory, 0)
    for path in _entries(directory):
        if _is_ours(path):
            shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.rmdir(directory)


def remove_parts(directory):
    """Remove what a killed process was writing."""
    for path in _entries(directory):
        if _PART.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def sync_tree(folder):
    """Have all files below a folder, and the folders, on the disk itself."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync_file(os.path.join(root, name))
        sync_folder(root)


def _entries(directory):
    try:
        return list(pathlib.Path(directory).iterdir())
    except FileNotFoundError:
        return []


def _is_ours(path):
    return any(pattern.fullmatch(path.name) for pattern in (_NAME, _PART, _DAMAGED))


def _number(path):
    return int(re.findall(r"\d+", path.name)[0])
