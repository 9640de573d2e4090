"""A dataset, split in two."""

import random
from typing import Any

import numpy as np

from stepfit import tree
from stepfit.core import errors
from stepfit.preprocessing.samples import Samples, drawn, stack
from stepfit.utils import optional

_WHERE = "split_dataset"


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Any, Any]:
    """Split a dataset in two.

    Args:
        dataset: array, or a list, tuple or dict of arrays of one length; a `tf.data.Dataset`, a
            torch `Dataset`, or a `grain.MapDataset`.
        left_size, right_size: number of samples (int) or share of them (float); None: the rest.
        shuffle: whether samples are shuffled first.
        seed: int that fixes the order.
        preferred_backend: "tensorflow" for `tf.data.Dataset`s, "torch" for torch `Dataset`s; None
            for two of the kind that was given: arrays for arrays.

    Returns:
        ``(left, right)``; datasets give single samples.

    >>> import numpy as np, stepfit as keras
    >>> left, right = keras.utils.split_dataset((np.arange(5), np.arange(5) * 2), left_size=0.6)
    >>> left[0].tolist(), right[1].tolist()
    ([0, 1, 2], [6, 8])
    """
    if preferred_backend not in (None, "tensorflow", "torch", "jax"):
        known = ("tensorflow", "torch")
        where = f"{_WHERE}(preferred_backend)"
        raise errors.unknown_name(where, "backend", preferred_backend, known)
    kind = _kind(dataset)
    if kind == "tensorflow":
        samples = list(dataset.as_numpy_iterator())
        dataset = stack(samples)
    count = _length(dataset) if kind != "grain" else len(dataset)
    left, right = _sizes(count, left_size, right_size)
    order = list(range(count))
    if shuffle:
        random.Random(drawn(seed)).shuffle(order)
    parts = order[:left], order[count - right :]
    wanted = preferred_backend or kind
    return _part(dataset, parts[0], kind, wanted), _part(dataset, parts[1], kind, wanted)


def _kind(dataset):
    module = type(dataset).__module__.partition(".")[0]
    if module == "tensorflow" and hasattr(dataset, "as_numpy_iterator"):
        return "tensorflow"
    if any(c.__module__.startswith("torch.utils.data") for c in type(dataset).__mro__):
        return "torch"
    return "grain" if module == "grain" else "arrays"


def _length(dataset):
    arrays = tree.flatten(dataset)
    if not all(hasattr(x, "__len__") for x in arrays):
        expected = "arrays, or a dataset of tf.data, torch or grain"
        raise errors.bad_type(f"{_WHERE}(dataset)", expected, dataset)
    lengths = {len(x) for x in arrays}
    if len(lengths) != 1:
        expected, found = "arrays of one length", f"lengths {sorted(lengths)}"
        raise errors.bad_value(f"{_WHERE}(dataset)", expected, found)
    return lengths.pop()


def _sizes(count, left, right):
    if left is None and right is None:
        raise errors.bad_value(f"{_WHERE}(left_size, right_size)", "at least one", "neither")
    sizes = []
    for name, size in (("left_size", left), ("right_size", right)):
        top: Any = 1 if isinstance(size, float) else count
        if size is not None and not 0 < size < top:
            expected = f"an int from 1 to {count - 1}, or a share between 0 and 1"
            raise errors.bad_value(f"{_WHERE}({name})", expected, repr(size))
        sizes.append(round(size * count) if isinstance(size, float) else size)
    left, right = sizes
    left = count - right if left is None else left
    right = count - left if right is None else right
    if left + right > count or not left or not right:
        expected = f"two parts of {count} samples, neither empty"
        raise errors.bad_value(f"{_WHERE}(left_size, right_size)", expected, f"{left} and {right}")
    return left, right


class _Part(Samples):
    def __init__(self, dataset, numbers):
        self._dataset, self._numbers = dataset, numbers

    def __len__(self):
        return len(self._numbers)

    def __getitem__(self, i):
        number = self._numbers[i]
        if _kind(self._dataset) != "arrays":
            return self._dataset[number]
        return tree.map_structure(lambda x: x[number], self._dataset)


def _part(dataset, numbers, kind, wanted):
    if wanted == "tensorflow":
        tf = optional.load("tensorflow", _WHERE, "tensorflow")
        found = stack([_Part(dataset, numbers)[i] for i in range(len(numbers))])
        return tf.data.Dataset.from_tensor_slices(tree.lists_to_tuples(found))
    if wanted == "torch":
        data = optional.load("torch.utils.data", _WHERE, "torch")
        return data.Subset(_Part(dataset, numbers), range(len(numbers)))
    if kind == "grain" and wanted != "jax":
        grain = optional.load("grain", _WHERE, "grain")
        return grain.MapDataset.source(_Part(dataset, numbers))
    if kind != "arrays":
        return stack([_Part(dataset, numbers)[i] for i in range(len(numbers))])
    return tree.map_structure(lambda x: np.asarray(x)[numbers], dataset)
