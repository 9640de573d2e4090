"""The data that `adapt` is given, as NumPy arrays: one batch after another."""

import itertools
from typing import Any

import jax
import numpy as np

from stepfit.core import errors


def is_array(data):
    """Say whether data is one array (of NumPy, JAX, pandas, torch, TensorFlow)."""
    return isinstance(data, (np.ndarray, jax.Array)) or (
        hasattr(data, "__array__") and hasattr(data, "shape")
    )


def to_numpy(x):
    """Return an array of any library, or a list, as a NumPy array."""
    if isinstance(x, np.ndarray):
        return x
    if hasattr(x, "detach"):  # torch
        x = x.detach().cpu()
    if hasattr(x, "numpy") and not isinstance(x, jax.Array):
        x = x.numpy()
    return np.asarray(x)


def batches(data, where, steps=None):
    """Yield the inputs in each batch of what can be read batch by batch.

    Args:
        data: an array (one batch), a `tf.data.Dataset`, a `PyDataset`, a torch DataLoader, an
            object of grain or Hugging Face, a `DataSource`, an iterable of batches. Of a batch
            ``(x, y)`` it is `x` that counts.
        where: name in messages, such as "Normalization 'n' adapt(data)".
        steps: how many batches are read; None: all.

    Raises:
        TypeError: data that cannot be read. ValueError: no batch at all.
    """
    source: Any
    if is_array(data):
        source = [data]
    elif hasattr(data, "as_numpy_iterator"):
        source = data.as_numpy_iterator()
    elif hasattr(data, "epoch") and hasattr(data, "peek"):
        source = data.epoch(0)
    elif hasattr(data, "__iter__") and not isinstance(data, (str, bytes, dict)):
        source = data
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, dict):
        source = (data[i] for i in range(len(data)))
    else:
        raise errors.bad_type(
            where, "an array, a dataset or an iterable of batches", errors.describe(data)
        )
    count = 0
    for batch in itertools.islice(source, steps):
        count += 1
        yield batch[0] if isinstance(batch, tuple) and batch else batch
    if not count:
        raise errors.bad_value(where, "at least one batch", "none")
