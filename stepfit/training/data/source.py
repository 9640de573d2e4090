"""From the arguments of `fit`, `evaluate` and `predict` to a `DataSource`."""

import warnings

from stepfit.core import config, errors, seeding
from stepfit.training.data import checks
from stepfit.training.data.arrays import ArraySource, looks_like_arrays
from stepfit.training.data.base import DataSource
from stepfit.training.data.generators import IterableSource
from stepfit.training.data.grain_data import (
    MapDatasetSource,
    StatefulSource,
    is_map_dataset,
    keeps_its_state,
)
from stepfit.training.data.hf_data import (
    StreamSource,
    TableSource,
    are_columns,
    is_stream,
    is_table,
    refuse_splits,
)
from stepfit.training.data.numbered import NumberedSource
from stepfit.training.data.py_data import PyDatasetSource, is_py_dataset
from stepfit.training.data.tf_data import TfDataSource, is_tf_dataset
from stepfit.training.data.torch_loader import TorchLoaderSource, is_torch_loader, refuse_samples


def make_source(
    x, y=None, sample_weight=None, *, batch_size=None, shuffle=False, steps=None,
    class_weight=None, seed=None, argument="x", steps_argument="steps_per_epoch",
):  # fmt: skip
    """Return the `DataSource` for the data a user passed.

    Args:
        x: arrays (NumPy, jax, torch, TensorFlow, pandas, sparse, lists of numbers; also in dicts,
            lists and tuples), a generator, an iterable of batches, an object with `__len__` and
            `__getitem__`, a `PyDataset`, a `tf.data.Dataset`, a torch DataLoader, an object of
            grain or of Hugging Face `datasets`, or a `DataSource` (returned).
        y: targets, for arrays; names of columns, for Hugging Face datasets.
        sample_weight: weights, likewise.
        batch_size: rows per batch, for arrays and Hugging Face datasets.
        shuffle: True, False or "batch", for arrays; whether batches by number are shuffled.
        steps: batches per epoch, or None for all of the data.
        class_weight: dict from class index to weight, for every kind of data.
        seed: non-negative integer that fixes the order of shuffled data; drawn where None.
        argument: the user's name for the data: "x", or for example "validation_data", whose parts
            messages then call `validation_data[0]` and so on.
        steps_argument: the user's name for `steps`.

    Raises:
        ValueError, TypeError: naming the argument, what was expected and what was found.
    """
    if isinstance(x, DataSource):
        return x
    steps, limit = checks.steps(steps, steps_argument), config.max_steps_per_epoch()
    options = {"batch_size": batch_size, "shuffle": shuffle, "class_weight": class_weight,
               "seed": seed, "argument": argument, "steps_argument": steps_argument}  # fmt: skip
    if limit is None or (steps is not None and steps <= limit):
        return _make_source(x, y, sample_weight, steps=steps, **options)
    with warnings.catch_warnings():  # of fewer batches than the limit, which nobody asked for
        warnings.simplefilter("ignore", UserWarning)
        source = _make_source(x, y, sample_weight, steps=limit, **options)
    if source.num_batches is None or source.num_batches >= limit:
        text = f"{steps_argument} is limited to {limit} by config.set_max_steps_per_epoch."
        warnings.warn(text, UserWarning, stacklevel=errors.users_level())
    return source


def _make_source(
    x, y, sample_weight, *, batch_size, shuffle, steps, class_weight, seed, argument,
    steps_argument,
):  # fmt: skip
    names = argument_names(argument)
    batch_size = checks.batch_size(batch_size)
    shuffle, class_weight = checks.shuffle(shuffle), checks.class_weight(class_weight)
    if seed is None:
        seed = seeding.draw_seed() if shuffle else 0
    refuse_splits(x, names[0])
    if x is None or looks_like_arrays(x):
        return ArraySource(
            x, y, sample_weight, batch_size=batch_size, shuffle=shuffle, steps=steps,
            class_weight=class_weight, seed=seed, names=names, steps_name=steps_argument,
        )  # fmt: skip
    if is_table(x) or is_stream(x):
        kind = TableSource if is_table(x) else StreamSource
        for name, value in ((names[1], y), (names[2], sample_weight)):
            if not are_columns(value):
                fix = f"for example {name}='label'"
                expected = "the name of a column, or a list of names"
                raise errors.bad_type(name, expected, errors.describe(value), fix)
        return kind(
            x, y=y, sample_weight=sample_weight, steps=steps, class_weight=class_weight,
            batch_size=batch_size, shuffle=shuffle, seed=seed, name=argument, names=names,
            steps_name=steps_argument,
        )  # fmt: skip
    source = _kind(x, names[0])
    if steps is None:
        checks.warn_of_endless(x, names[0], steps_argument)
    for name, value in ((names[1], y), (names[2], sample_weight)):
        if value is not None:
            fix = "let it yield (x, y) or (x, y, sample_weight)"
            found = errors.describe(value)
            expected = f"None where {names[0]} makes its own batches"
            raise errors.bad_value(name, expected, found, fix)
    return source(
        x, steps=steps, class_weight=class_weight, batch_size=batch_size, shuffle=shuffle,
        seed=seed, name=argument, steps_name=steps_argument,
    )  # fmt: skip


def argument_names(argument):
    """Return how messages call x, y and sample_weight."""
    if argument == "x":
        return ("x", "y", "sample_weight")
    return tuple(f"{argument}[{i}]" for i in range(3))


def unpack_validation_data(validation_data):
    """Return `(x, y, sample_weight)` from `validation_data` as passed to `fit`.

    Args:
        validation_data: `(x, y)`, `(x, y, sample_weight)`, or anything that makes batches.

    Raises:
        ValueError: for a tuple of another length.
    """
    if not isinstance(validation_data, (tuple, list)):
        return validation_data, None, None
    if len(validation_data) not in (1, 2, 3):
        raise errors.bad_value(
            "validation_data",
            "(x, y), (x, y, sample_weight), or an object that makes batches",
            errors.describe(validation_data),
            "pass several inputs as one element: ((x1, x2), y)",
        )
    return (*validation_data, None, None)[:3]


def _kind(x, name):
    if is_tf_dataset(x):
        return TfDataSource
    if is_torch_loader(x):
        return TorchLoaderSource
    if is_map_dataset(x):
        return MapDatasetSource
    if keeps_its_state(x):
        return StatefulSource
    if is_py_dataset(x):
        return PyDatasetSource
    refuse_samples(x, name)
    if hasattr(x, "__iter__"):
        return IterableSource
    if hasattr(x, "__getitem__") and hasattr(x, "__len__"):
        return NumberedSource
    if callable(x):
        fix = "call it, if it is a function that makes a generator"
    else:
        fix = "pass arrays, a generator, a tf.data.Dataset or a torch DataLoader"
    raise errors.bad_type(name, "data", errors.describe(x), fix)
