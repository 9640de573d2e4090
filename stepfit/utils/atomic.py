"""Files that are there in full or not at all: write beside, flush to disk, rename."""

import contextlib
import os
import pathlib
import shutil
import tempfile
import time

_STALE_SECONDS = 600
_SUFFIX = ".part"


@contextlib.contextmanager
def atomic_write(path, mode="wb", **open_arguments):
    """Open a file that takes the place of `path` once the block has ended without an error.

    Args:
        path: the final path; its folder is made if missing.
        mode: "wb" or "w".
        open_arguments: passed on to `open`, such as `newline` and `encoding`.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_stale_parts(path)
    handle, part = tempfile.mkstemp(_SUFFIX, f".{path.name}.", path.parent)
    try:
        with open(handle, mode, **open_arguments) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, 0o666 & ~_umask())
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(part)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def atomic_folder(path):
    """Give a new folder that takes the place of `path` once the block has ended without an error.

    Two renames do it. Where the process is killed between them, the old folder is found under
    another name by `left_by_exchange`.

    Args:
        path: the final path; what is there before is removed at the end.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    old = _aside(path)
    if old.exists() and not path.exists():
        os.rename(old, path)
    part = tempfile.mkdtemp(_SUFFIX, f".{path.name}.", path.parent)
    try:
        yield part
        for parent, _, files in os.walk(part, topdown=False):
            for name in files:
                sync_file(os.path.join(parent, name))
            sync_folder(parent)
        os.chmod(part, 0o777 & ~_umask())
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            os.rename(path, old)
        os.rename(part, path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        if old.exists() and not path.exists():
            os.rename(old, path)
        raise
    sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def left_by_exchange(path):
    """Return where the folder `path` is: aside, if a process was killed while it replaced it."""
    old = _aside(pathlib.Path(path))
    return str(old) if not os.path.exists(path) and old.is_dir() else path


def _aside(path):
    return path.parent / f".{path.name}.old"


def sync_file(path):
    """Have a file on the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder):
    """Make a rename in `folder` survive a power cut, where the system allows it."""
    with contextlib.suppress(OSError):
        sync_file(folder)


def remove_stale_parts(path):
    """Remove what a killed process left beside `path`."""
    now = time.time()
    for part in path.parent.glob(f".{_escape(path.name)}.*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            if now - part.stat().st_mtime > _STALE_SECONDS:
                part.unlink()


def _escape(name):
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
