"""The files of a backup, and their checksums.

::

    backup-000012/
      arrays/           the tensors, as Orbax writes them
      tensors.json      of each tensor: part, path, shape, dtype, checksum
      state.json        all the rest: place in the run, randomness, data, callbacks
      manifest.sha256   the checksum of each file; `sha256sum -c` reads it

Orbax's own format has no checksum over the data of arrays: a flipped bit is read back without a
word. So the checksums are ours, twice: over the bytes of each file, and over each tensor as it
comes back.
"""

import hashlib
import os
import pathlib

import jax.numpy as jnp
import numpy as np

ARRAYS, TENSORS, STATE, MANIFEST = "arrays", "tensors.json", "state.json", "manifest.sha256"
FORMAT = 1
_OWN = "# sha256 of the lines above: "


def tensor_digest(array):
    """Return the checksum of a NumPy array: its dtype, shape and bytes."""
    digest = hashlib.sha256(f"{array.dtype.name}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).reshape(-1).view("uint8").data)
    return digest.hexdigest()


def empty(entry):
    """Return the array of a tensor's entry that has no elements."""
    return np.empty(entry["shape"], jnp.dtype(entry["dtype"]))


def files_below(folder):
    """Return the files of a backup but the manifest, as paths from the folder, sorted."""
    found = [
        pathlib.Path(root, name).relative_to(folder).as_posix()
        for root, _, names in os.walk(folder)
        for name in names
    ]
    return sorted(name for name in found if name != MANIFEST)


def file_digest(path):
    """Return the checksum of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_text(folder):
    """Return the manifest of what is in a folder."""
    lines = [f"{file_digest(folder / name)}  {name}\n" for name in files_below(folder)]
    text = "".join(lines)
    return f"{text}{_OWN}{hashlib.sha256(text.encode()).hexdigest()}\n"


def parse_manifest(data):
    """Return ``{file: checksum}`` from the bytes of a manifest, or None where it is damaged."""
    text, mark, _ = data.decode("utf-8", "replace").rpartition(_OWN)
    own = hashlib.sha256(text.encode()).hexdigest()
    if data != f"{text}{mark}{own}\n".encode() or not mark:
        return None
    lines = [line.partition("  ") for line in text.splitlines()]
    names = [pathlib.PurePosixPath(name) for _, _, name in lines]
    if any(name.is_absolute() or ".." in name.parts or not name.parts for name in names):
        return None  # `manifest_text` writes none that lies elsewhere
    return {name: checksum for checksum, _, name in lines}
