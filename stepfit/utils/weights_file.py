"""Weights in a NumPy archive: one array for each Variable, under its path, in the model's order."""

import os
import zipfile
from typing import Any

import numpy as np

from stepfit.core import errors
from stepfit.utils.atomic import atomic_write


def check_path(path, where):
    """Raise unless the path ends in ".npz"."""
    if not str(path).endswith(".npz"):
        fix = "rename it, for example to 'weights.npz'"
        expected = "a path that ends in '.npz', the one format of this version"
        raise errors.bad_value(where, expected, repr(str(path)), fix)


def save_weights(model, path):
    """Write the weights of a model to a NumPy archive, atomically.

    Args:
        model: object with `weights`, a list of Variables.
        path: path of the file.

    Raises:
        ValueError: where two variables have one path, or a folder is in the way.
    """
    if os.path.isdir(path):
        fix = "name a file in it"
        raise errors.bad_value(f"filepath {path!r}", "the path of a file", "a folder", fix)
    arrays: dict[str, Any] = {}
    for variable, value in zip(model.weights, model.get_weights(), strict=True):
        if variable.path in arrays:
            fix = "give the layers different names"
            raise errors.bad_value(variable.path, "one variable of this path", "two", fix)
        array = np.asarray(value)
        arrays[variable.path] = array.astype("float32") if array.dtype.kind == "V" else array
    with atomic_write(path) as file:
        np.savez(file, **arrays)


def load_weights(model, path):
    """Set the weights of a model from a file that `save_weights` wrote.

    Arrays are matched by path; where the paths differ (a second model of the same shape has other
    automatic names), by order.

    Args:
        model: object with `weights` and `set_weights`.
        path: path of the file.

    Raises:
        ValueError: the file is damaged, or its arrays do not fit; no weight is changed then.
        FileNotFoundError: there is no such file.
    """
    variables = model.weights
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, ValueError, EOFError, OSError) as e:
        if isinstance(e, FileNotFoundError):
            raise
        found = f"{type(e).__name__}: {e}"
        raise errors.bad_value(f"load_weights({str(path)!r})", "an archive of arrays", found) from e
    paths = [v.path for v in variables]
    if not variables or len(arrays) != len(paths):
        raise errors.bad_value(
            f"load_weights({str(path)!r})", f"{len(paths)} arrays, one for each weight",
            f"{len(arrays)}", "build the model first, with the layers that it was saved with",
        )  # fmt: skip
    in_order = list(arrays.values())
    model.set_weights([arrays[p] for p in paths] if set(paths) == set(arrays) else in_order)
