"""Batches from `tf.data.Dataset`, without importing TensorFlow.

A dataset is recognised by what it can do (`as_numpy_iterator`, `element_spec`); TensorFlow is in
the process already wherever one exists.
"""

import warnings

from stepfit.core import errors
from stepfit.training.data import leaves
from stepfit.training.data.generators import IterableSource

_INFINITE = -1


def is_tf_dataset(x):
    """Say whether `x` is a `tf.data.Dataset` or behaves like one."""
    return hasattr(x, "as_numpy_iterator") and hasattr(x, "element_spec")


class TfDataSource(IterableSource):
    """Batches from a batched `tf.data.Dataset`; the dataset decides on order and batch size."""

    def __init__(self, data, *, name="x", steps=None, steps_name="steps_per_epoch", **kwargs):
        self._cardinality = int(data.cardinality())
        self._check_batched(data, name)
        if self._cardinality == _INFINITE and steps is None:
            fix = f"pass {steps_name}, or drop .repeat()"
            text = errors.message(name, "a dataset that ends", "one that repeats for ever", fix)
            warnings.warn(text, UserWarning, stacklevel=4)
        self.batch_size = _static_rows(data)
        kwargs["description"] = "a tf.data.Dataset"
        super().__init__(
            _Numpy(data), name=name, steps=steps, steps_name=steps_name, **kwargs
        )

    def _known_length(self):
        if self._cardinality == 0:
            raise self._nothing()
        return self._cardinality if self._cardinality > 0 else None

    @staticmethod
    def _check_batched(data, name):
        spec = data.element_spec
        parts = spec[:2] if isinstance(spec, tuple) else (spec,)
        for label, part in zip(("x", "y"), parts, strict=False):
            for path, leaf in _specs(part, label):
                if leaf.shape.rank == 0:
                    raise errors.bad_value(
                        name,
                        "a dataset of batches",
                        f"one of single samples ({path} is a number)",
                        "call .batch(32) on it",
                    )


class _Numpy:
    """A dataset whose elements come as NumPy arrays."""

    def __init__(self, dataset):
        self._dataset = dataset

    def __iter__(self):
        return self._dataset.as_numpy_iterator()


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
