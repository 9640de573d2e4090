"""Weights in a NumPy archive: one array for each Variable, under its path, in the model's order."""

import os
from typing import Any

import numpy as np

from stepfit.core import errors
from stepfit.utils.atomic import atomic_write

ENDINGS = (".weights.h5", ".weights.json", ".safetensors", ".npz")


def check_path(path, where):
    """Raise unless the path has an ending that says what to write."""
    if not str(path).endswith(ENDINGS):
        raise errors.bad_value(
            where, f"a path that ends in {', '.join(map(repr, ENDINGS))}", repr(str(path)),
            "rename it, for example to 'model.weights.h5'",
        )  # fmt: skip


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
