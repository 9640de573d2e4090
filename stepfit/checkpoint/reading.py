"""Reading a backup, and knowing that every byte of it is what was written."""

import json
import os

import numpy as np

from stepfit.checkpoint import folders, format
from stepfit.checkpoint.writing import alone


class Damaged(Exception):
    """A backup that is not what was written; the text says which file, which tensors."""


class Backup:
    """A backup that was found to be intact.

    Args:
        folder: its path.
        document: what was written beside the arrays.
        tensors: list of ``(entry, array)``.
    """

    def __init__(self, folder, document, tensors):
        self.folder, self.document, self._tensors = folder, document, tensors

    @property
    def name(self):
        """The name of its folder."""
        return self.folder.name

    def part(self, name):
        """Return the pairs ``(path, array)`` of a part, in the order of writing."""
        return [(entry["path"], array) for entry, array in self._tensors if entry["part"] == name]

    def parts(self):
        """Return the names of the parts."""
        return list(dict.fromkeys(entry["part"] for entry, _ in self._tensors))


def read(folder):
    """Return the `Backup` in a folder.

    Raises:
        Damaged: a file is missing, or a byte of it is not what was written.
    """
    wrong = _wrong_files(folder)
    if wrong:
        raise Damaged(wrong[0] + _tensors_hit(folder, wrong))
    try:
        return _read(folder)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        text = f"its JSON is not what backups hold ({type(e).__name__}: {e})"
        raise Damaged(text) from e


def _read(folder):
    entries = _json(folder / format.TENSORS)
    document = _json(folder / format.STATE)
    if document["format"] != format.FORMAT:
        raise Damaged(f"state.json has format {document['format']}, not {format.FORMAT}")
    arrays = _arrays(folder, entries)
    wrong = _wrong_tensors(entries, arrays)
    if wrong:
        raise Damaged(f"tensor {wrong[0]!r} has other values than were written")
    return Backup(folder, document, list(zip(entries, arrays, strict=True)))


def newest(directory, damaged):
    """Return the newest `Backup` of a directory that is intact, or None.

    Args:
        directory: a path; it need not exist.
        damaged: function called with each folder that is not intact, and what is wrong with it.
    """
    for folder in folders.backups(directory):
        try:
            return read(folder)
        except Damaged as e:
            damaged(folder, str(e))
    return None


def _wrong_files(folder):
    """Return what is wrong with the files of a backup, one text for each."""
    try:
        listed = format.parse_manifest((folder / format.MANIFEST).read_bytes())
    except OSError as e:
        return [f"file {format.MANIFEST!r}: {_reason(e)}"]
    if listed is None:
        return [f"file {format.MANIFEST!r} has other bytes than were written"]
    wrong = []
    for name, checksum in listed.items():
        try:
            if format.file_digest(folder / name) != checksum:
                wrong.append(f"file {name!r} has other bytes than were written")
        except OSError as e:
            wrong.append(f"file {name!r}: {_reason(e)}")
    return wrong


def _reason(error):
    return "missing" if isinstance(error, FileNotFoundError) else (error.strerror or str(error))


def _tensors_hit(folder, wrong):
    """Say which tensors a damaged file of arrays has changed, where that can be told."""
    if not any(f"'{format.ARRAYS}/" in text for text in wrong):
        return ""
    try:
        entries = [e for e in _json(folder / format.TENSORS) if 0 not in e["shape"]]
    except (OSError, ValueError):
        return ""
    names = [f"{e['part']}/{e['path']}" for e in entries if not _is_whole(folder, e)]
    if not names or len(names) == len(entries):
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"; tensors changed: {', '.join(map(repr, names[:3]))}{more}"


def _is_whole(folder, entry):
    """Say whether one tensor can be read and is what was written.

    Orbax reads all or none, and is noisy about it; so this asks the library below it.
    """
    import tensorstore

    base = {"driver": "file", "path": os.path.abspath(folder / format.ARRAYS)}
    place = {"driver": "ocdbt", "base": base, "path": f"{entry['part']}.{entry['key']}/"}
    try:
        store = tensorstore.open({"driver": "zarr", "kvstore": place}, open=True).result()
        if list(store.shape) != entry["shape"] or store.dtype.name != entry["dtype"]:
            return False
        return format.tensor_digest(np.asarray(store.read().result())) == entry["sha256"]
    except Exception:
        return False


def _json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def _arrays(folder, entries):
    """Return the arrays of all entries as Orbax reads them."""
    tree: dict = {}
    if any(0 not in entry["shape"] for entry in entries):
        import orbax.checkpoint as orbax

        checkpointer = orbax.Checkpointer(
            orbax.PyTreeCheckpointHandler(multiprocessing_options=alone()),
            multiprocessing_options=alone(),
        )
        try:
            tree = checkpointer.restore(os.path.abspath(folder / format.ARRAYS))
        except Exception as e:
            lines = str(e).strip().splitlines() or [""]
            raise Damaged(f"Orbax cannot read the arrays: {type(e).__name__}: {lines[0]}") from e
        finally:
            checkpointer.close()
    return [
        format.empty(e) if 0 in e["shape"] else tree.get(e["part"], {}).get(e["key"])
        for e in entries
    ]


def _wrong_tensors(entries, arrays):
    return [
        f"{entry['part']}/{entry['path']}"
        for entry, array in zip(entries, arrays, strict=True)
        if not isinstance(array, np.ndarray) or format.tensor_digest(array) != entry["sha256"]
    ]
