"""From the arguments of `fit`, `evaluate` and `predict` to a `DataSource`."""

from stepfit.core import errors, seeding
from stepfit.training.data import checks
from stepfit.training.data.arrays import ArraySource, looks_like_arrays
from stepfit.training.data.base import DataSource
from stepfit.training.data.generators import IterableSource
from stepfit.training.data.tf_data import TfDataSource, is_tf_dataset
from stepfit.training.data.torch_loader import TorchLoaderSource, is_torch_loader


def make_source(
    x, y=None, sample_weight=None, *, batch_size=None, shuffle=False, steps=None,
    class_weight=None, seed=None, argument="x", steps_argument="steps_per_epoch",
):  # fmt: skip
    """Return the `DataSource` for the data a user passed.

    Args:
        x: arrays (NumPy, jax, torch, TensorFlow, pandas, lists of numbers; also in dicts, lists
            and tuples), a generator, an iterable of batches, an object with `__len__` and
            `__getitem__`, a `tf.data.Dataset`, a torch DataLoader, or a `DataSource` (returned).
        y: targets, for arrays only.
        sample_weight: weights, for arrays only.
        batch_size: rows per batch, for arrays.
        shuffle: True, False or "batch", for arrays.
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
    names = argument_names(argument)
    batch_size, steps = checks.batch_size(batch_size), checks.steps(steps, steps_argument)
    shuffle, class_weight = checks.shuffle(shuffle), checks.class_weight(class_weight)
    if seed is None:
        seed = seeding.draw_seed() if shuffle else 0
    if x is None or looks_like_arrays(x):
        return ArraySource(
            x, y, sample_weight, batch_size=batch_size, shuffle=shuffle, steps=steps,
            class_weight=class_weight, seed=seed, names=names, steps_name=steps_argument,
        )  # fmt: skip
    source = _kind(x, names[0])
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
    if hasattr(x, "__iter__") or (hasattr(x, "__getitem__") and hasattr(x, "__len__")):
        return IterableSource
    if callable(x):
        fix = "call it, if it is a function that makes a generator"
    else:
        fix = "pass arrays, a generator, a tf.data.Dataset or a torch DataLoader"
    raise errors.bad_type(name, "data", errors.describe(x), fix)
