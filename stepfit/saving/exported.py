"""Exported models: a StableHLO program and its weights, served without the code of the model.

The file is a zip archive of `metadata.json`, `program.bin` (`jax.export`'s form) and
`weights.safetensors`.
"""

import io
import json
import os

import jax
import numpy as np
from jax import export as jax_export

from stepfit.core import errors
from stepfit.saving import arrays_files, json_config, model_file
from stepfit.saving.archive import Archive
from stepfit.saving.file_errors import FileError, wrong
from stepfit.saving.sources import open_plain
from stepfit.utils.atomic import atomic_write

PROGRAM, WEIGHTS, METADATA = "program.bin", "weights.safetensors", "metadata.json"


def write(path, program, values, metadata):
    """Write an exported program; `values` are the arrays of its first argument."""
    stream = io.BytesIO()
    arrays = {f"{i}": np.asarray(v) for i, v in enumerate(values)}
    arrays_files.write_safetensors(stream, arrays, {"format": "stepfit"})
    members = {METADATA: json.dumps(metadata).encode(), PROGRAM: bytes(program.serialize()),
               WEIGHTS: stream.getvalue()}  # fmt: skip
    with atomic_write(path) as file:
        model_file.write_archive(file, members)


class ExportedModel:
    """A program with its weights: ``model(x)`` computes what the model did in inference.

    Attributes:
        inputs: list of `(shape, dtype)`, with None for sizes that may vary.
    """

    def __init__(self, program, values, inputs, names):
        self._program, self._values = program, values
        self.inputs, self._names = inputs, names
        self._call = jax.jit(lambda values, inputs: program.call(values, inputs))

    def __call__(self, inputs):
        """Return the outputs.

        Args:
            inputs: an array, or as many as the model has: a list, or a dict by name.

        Raises:
            ValueError: another number, shape or name.
        """
        if isinstance(inputs, dict):
            missing = [n for n in self._names if n not in inputs]
            if missing:
                raise errors.unknown_name("inputs", "input", missing[0], inputs)
            given = [inputs[n] for n in self._names]
        else:
            given = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        if len(given) != len(self.inputs):
            raise errors.bad_value("inputs", f"{len(self.inputs)} arrays", f"{len(given)}")
        arrays = []
        for i, (x, (shape, dtype)) in enumerate(zip(given, self.inputs, strict=True)):
            x = np.asarray(x).astype(dtype)
            fits = len(x.shape) == len(shape) and all(
                d is None or d == n for d, n in zip(shape, x.shape, strict=True)
            )
            if not fits:
                raise errors.bad_value(f"inputs[{i}]", f"shape {shape}", f"shape {x.shape}")
            arrays.append(x)
        return self._call(self._values, arrays)

    serve = __call__


def load_exported(filepath):
    """Return the program that `Model.export` wrote, ready to be called.

    A program only computes; but it is read by JAX's own parser, which was not made for files of
    strangers: load what you would run.

    Args:
        filepath: path of the file.

    Raises:
        ValueError: not such a file, or a damaged one.
    """
    path = os.fspath(filepath)
    place = f"load_exported({path!r})"
    with open_plain(path, place) as stream, Archive(stream, place) as archive:
        text = archive.read(METADATA, json_config.MOST_BYTES)
        metadata = json_config.parse_dict(text, f"{place}: {METADATA}")
        inputs = _described(metadata, f"{place}: {METADATA}")
        source = arrays_files.SafetensorsSource(archive.read(WEIGHTS), f"{place}: {WEIGHTS}")
        data = archive.read(PROGRAM)
    try:
        program = jax_export.deserialize(bytearray(data))
    except Exception as e:
        raise FileError(f"{place}: {PROGRAM}: expected a program, found {type(e).__name__}.") from e
    wanted = [str(i) for i in range(len(source.entries))]
    if set(wanted) != set(source.entries):
        raise wrong(f"{place}: {WEIGHTS}", "arrays called '0', '1', ...", "other names")
    stored = [source.entries[i] for i in wanted]
    given = [(entry.shape, entry.dtype.name) for entry in stored] + inputs
    taken = [(_sizes(a.shape), a.dtype.name) for a in program.in_avals]
    if given != taken:
        raise wrong(
            f"{place}: {PROGRAM}", f"a program of {len(given)} arrays, as described beside it",
            f"one of {len(taken)}" + (", of other shapes" if len(given) == len(taken) else ""),
        )  # fmt: skip
    return ExportedModel(program, [source.read(i) for i in wanted], inputs, metadata["names"])


def _described(metadata, place):
    """Return ``[(shape, dtype)]`` of the inputs; both lists of the metadata are checked."""
    inputs, names = metadata.get("inputs"), metadata.get("names")
    for found, what in ((inputs, "inputs"), (names, "names")):
        if not isinstance(found, list):
            raise wrong(
                f"{place}: {what!r}", "a list, as Model.export writes it", errors.describe(found)
            )
    if len(inputs) != len(names) or not all(isinstance(n, str) for n in names):
        raise wrong(f"{place}: 'names'", f"{len(inputs)} texts", f"{len(names)} names")
    for part in inputs:
        shape = part[0] if isinstance(part, list) and len(part) == 2 else None
        if not isinstance(shape, list) or not all(d is None or type(d) is int for d in shape):
            raise wrong(f"{place}: 'inputs'", "a shape and a dtype for each", "something else")
    return [(tuple(shape), dtype) for shape, dtype in inputs]


def _sizes(shape):
    return tuple(d if isinstance(d, int) else None for d in shape)
