"""Writing a backup: in the background, complete or not at all."""

import concurrent.futures
import json
import os
import pathlib
import re
import shutil
from typing import Any

import jax

from stepfit.checkpoint import folders, format
from stepfit.core import errors
from stepfit.utils.atomic import sync_folder

_workers: Any = None  # one thread for all: backups are written one after the other
_latest: dict[str, Any] = {}  # directory -> what is written there now, or was last


def write(folder, arrays, document):
    """Write a backup.

    It is written under another name, all files are forced to the disk, the manifest last; then it
    gets its name. So a folder of this name is complete, whenever the process or the machine stops.

    Args:
        folder: path of the new backup.
        arrays: dict ``{part: [(path, NumPy array)]}``.
        document: what JSON can hold.
    """
    part = folders.part_of(folder)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        entries, tree = _table(arrays)
        if tree:
            _write_arrays(part / format.ARRAYS, tree)
        for name, content in ((format.TENSORS, entries), (format.STATE, document)):
            (part / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        folders.sync_tree(part)
        (part / format.MANIFEST).write_text(format.manifest_text(part), encoding="utf-8")
        folders.sync_file(part / format.MANIFEST)
        sync_folder(part)
        os.rename(part, folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    sync_folder(folder.parent)


def _table(arrays):
    """Return the entries of all tensors, and the tree in which Orbax gets those with elements."""
    entries: list[dict] = []
    tree: dict[str, dict] = {}
    for part, pairs in arrays.items():
        for index, (path, array) in enumerate(pairs):
            key = f"{index:05d}." + re.sub(r"\W", "_", path)
            entries.append({
                "part": part, "path": path, "key": key, "shape": list(array.shape),
                "dtype": array.dtype.name, "sha256": format.tensor_digest(array),
            })  # fmt: skip
            if array.size:
                tree.setdefault(part, {})[key] = array
    return entries, tree


def _write_arrays(folder, tree):
    import orbax.checkpoint as orbax  # costs as much as half of jax

    checkpointer = orbax.Checkpointer(
        orbax.PyTreeCheckpointHandler(multiprocessing_options=alone()),
        multiprocessing_options=alone(),
    )
    try:
        checkpointer.save(os.path.abspath(folder), tree)
    finally:
        checkpointer.close()


def alone():
    """Return the options by which Orbax does not wait for other processes: one of them writes."""
    import orbax.checkpoint as orbax

    number = jax.process_index()
    return orbax.options.MultiprocessingOptions(primary_host=number, active_processes={number})


class Writer:
    """Writes the backups of one directory in the background.

    An error is kept, and raised by the next call of any method.

    Args:
        directory: path of the directory; made if missing.
        keep: how many backups stay.
    """

    def __init__(self, directory, keep):
        self._directory, self._keep = pathlib.Path(os.path.abspath(directory)), keep

    def save(self, arrays, document):
        """Begin to write a backup; waits for the one before.

        Args:
            arrays, document: as in `write`; the arrays belong to the writer from now on.
        """
        self.wait()
        _latest[str(self._directory)] = _executor().submit(self._write, arrays, document)

    def _write(self, arrays, document):
        try:
            write(folders.next_name(self._directory), arrays, document)
            folders.prune(self._directory, self._keep)
        except Exception as e:
            raise _not_written(self._directory, e) from e

    def check(self):
        """Raise the error of the last backup, if it is over and failed."""
        future = _latest.get(str(self._directory))
        if future is not None and future.done():
            self.wait()

    def wait(self):
        """Wait for the last backup; raise its error if it failed."""
        future = _latest.get(str(self._directory))
        if future is not None:
            try:
                future.result()
            finally:
                if future.done():
                    _latest.pop(str(self._directory), None)


def _executor():
    global _workers
    if _workers is None:
        _workers = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="stepfit-backup")
    return _workers


def _not_written(directory, error):
    lines = str(error).strip().splitlines() or [""]
    kept = [path.name for path in folders.backups(directory)]
    fix = "make room or another folder, and run the script again"
    if kept:
        fix += f"; it goes on from {kept[0]}, which is intact"
    found = f"{type(error).__name__}: {lines[0]}"
    where = f"BackupAndRestore({str(directory)!r})"
    return errors.BackupError(errors.message(where, "to write a backup", found, fix))
