"""Batches from `tf.data.Dataset`, without importing TensorFlow.

A dataset is recognised by what it can do (`as_numpy_iterator`, `element_spec`); TensorFlow is in
the process already wherever one exists.
"""

import base64
import pathlib
import sys
import tempfile
import warnings

import numpy as np

from stepfit.core import errors
from stepfit.training.data import leaves
from stepfit.training.data.generators import IterableSource

_INFINITE = -1


def is_tf_dataset(x):
    """Say whether `x` is a `tf.data.Dataset` or behaves like one."""
    return hasattr(x, "as_numpy_iterator") and hasattr(x, "element_spec")


class TfDataSource(IterableSource):
    """Batches from a batched `tf.data.Dataset`; the dataset decides on order and batch size.

    A checkpoint of the iterator as it was before its first batch marks a pass: it holds the random
    state of every `shuffle`, and no buffer yet. What cannot be checkpointed (Python generators)
    is opened once for each earlier pass, which moves seeded shuffles to where they were.
    """

    def __init__(self, data, *, name="x", steps=None, steps_name="steps_per_epoch", **kwargs):
        self._cardinality = int(data.cardinality())
        self._check_batched(data, name)
        if self._cardinality == _INFINITE and steps is None:
            fix = f"pass {steps_name}, or drop .repeat()"
            text = errors.message(name, "a dataset that ends", "one that repeats for ever", fix)
            warnings.warn(text, UserWarning, stacklevel=errors.users_level())
        self.batch_size = _static_rows(data)
        self._opened_passes = 0
        kwargs["description"] = "a tf.data.Dataset"
        super().__init__(data, name=name, steps=steps, steps_name=steps_name, **kwargs)

    def _known_length(self):
        if self._cardinality == 0:
            raise self._nothing()
        return self._cardinality if self._cardinality > 0 else None

    def _open_pass(self, number, mark):
        for _ in range(self._opened_passes, number if mark is None else 0):
            self._data.as_numpy_iterator()
        iterator = self._data.as_numpy_iterator()
        self._opened_passes = number + 1
        if mark is not None:
            _load(iterator, mark)
        elif self.keeps_states:
            mark = _save(iterator)
        return iterator, mark

    def _convert(self, batch):
        return _dense(batch)

    @staticmethod
    def _check_batched(data, name):
        spec = data.element_spec
        parts = spec[:2] if isinstance(spec, tuple) else (spec,)
        for label, part in zip(("x", "y"), parts, strict=False):
            for path, leaf in _specs(part, label):
                if type(leaf).__name__ == "RaggedTensorSpec":
                    raise errors.bad_type(
                        name,
                        "batches with rows of one length",
                        f"a dataset of RaggedTensors ({path})",
                        "add .map(lambda x, y: (x.to_tensor(), y)) to it, or make its batches "
                        "with .padded_batch(...)",
                    )
                if leaf.shape.rank == 0:
                    raise errors.bad_value(
                        name,
                        "a dataset of batches",
                        f"one of single samples ({path} is a number)",
                        "call .batch(32) on it",
                    )


def _save(iterator):
    """Return a checkpoint of an iterator as text, or None where its dataset has none."""
    tf = sys.modules.get("tensorflow")
    if tf is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        try:
            tf.train.Checkpoint(iterator=iterator).write(f"{folder}/it")
        except (tf.errors.OpError, ValueError, TypeError):
            return None
        files = sorted(pathlib.Path(folder).iterdir())
        return {f.name: base64.b64encode(f.read_bytes()).decode() for f in files}


def _load(iterator, saved):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in saved.items():
            pathlib.Path(folder, pathlib.Path(name).name).write_bytes(base64.b64decode(text))
        sys.modules["tensorflow"].train.Checkpoint(iterator=iterator).read(f"{folder}/it")


def _dense(batch):
    """Make the sparse tensors of a batch dense."""
    if isinstance(batch, dict):
        return {key: _dense(value) for key, value in batch.items()}
    if type(batch).__name__ == "SparseTensorValue":
        array = np.zeros(tuple(batch.dense_shape), np.asarray(batch.values).dtype)
        array[tuple(np.asarray(batch.indices).T)] = batch.values
        return array
    if isinstance(batch, tuple) and not hasattr(batch, "_fields"):
        return tuple(_dense(value) for value in batch)
    return batch


def _specs(spec, path):
    """Return (path, spec) of the dense tensors in an element spec."""
    found = []

    def note(leaf, where):
        if getattr(getattr(leaf, "shape", None), "rank", None) is not None:
            found.append((where, leaf))

    leaves.map_structure(note, spec, path)
    return found


def _static_rows(data):
    specs = _specs(data.element_spec, "x")
    return specs[0][1].shape[0] if specs and specs[0][1].shape.rank else None
