"""Samples by number, and batches made of them.

*Samples*: an object with a length whose item `i` is one sample, `x` or `(x, y)`; `many(numbers)`
gives several as one batch. `Batches` puts them into an order that is a function of (seed, epoch),
so that `fit` can go on at any batch.
"""

import copy
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from stepfit import tree
from stepfit.core import errors, seeding
from stepfit.utils import optional
from stepfit.utils.py_dataset import PyDataset

FORMATS = ("tf", "grain", "batches")


class Samples:
    """Base of sources of samples by number."""

    lengths_differ = False  # whether the first axis of `x` is as long as the sample

    def __len__(self):
        raise NotImplementedError

    def __getitem__(self, number):
        raise NotImplementedError

    def many(self, numbers):
        """Return several samples as one batch."""
        return stack([self[n] for n in numbers])


def stack(samples):
    """Stack samples of one structure along a new first axis; texts become an array of objects."""

    def join(*leaves):
        if isinstance(leaves[0], str):
            return np.array(leaves, object)
        return np.stack(leaves)

    return tree.map_structure(join, *samples)


class Batches(PyDataset):
    """Batches of NumPy arrays, by number; `fit` takes it, and it can be iterated over.

    Args:
        samples: the `Samples`.
        batch_size: samples per batch; None: single samples.
        shuffle: whether each pass has an order of its own.
        seed: int that fixes the orders.
        workers: how many batches `fit` makes at once.

    Attributes:
        class_names, file_paths: of data from a folder.
    """

    class_names: list[str] | None = None
    file_paths: list[str] | None = None

    def __init__(self, samples, batch_size, shuffle=False, seed=0, workers=1):
        super().__init__(workers=workers)
        self._samples, self._batch_size = samples, batch_size
        self._shuffle, self._seed, self._epoch = shuffle, seed, 0
        self._order: tuple[int, Any] = (-1, None)
        self._functions: tuple[Callable, ...] = ()
        self._range = range(-(-len(samples) // (batch_size or 1)))

    def __len__(self):
        return len(self._range)

    def __getitem__(self, index):
        number, size = self._range[index], self._batch_size
        numbers = self._numbers()
        if size is None:
            batch = self._samples[int(numbers[number])]
        else:
            batch = self._samples.many(numbers[number * size : (number + 1) * size])
        for function in self._functions:
            batch = function(*batch) if isinstance(batch, tuple) else function(batch)
        return batch

    def _numbers(self):
        if not self._shuffle:
            return np.arange(len(self._samples))
        epoch, order = self._order
        if epoch != self._epoch:
            epoch = self._epoch
            order = np.random.default_rng((self._seed, epoch)).permutation(len(self._samples))
            self._order = epoch, order
        return order

    def __iter__(self):
        yield from (self[i] for i in range(len(self)))
        self.on_epoch_end()

    def on_epoch_end(self):
        """Go on to the order of the next pass."""
        self._epoch += 1

    def map(self, function: Callable, num_parallel_calls: Any = None) -> "Batches":
        """Return the dataset with `function` applied to each batch: ``function(x, y)``.

        Args:
            function: of the parts of a batch; runs in the threads that make batches.
            num_parallel_calls: an int makes that many batches at once; other values change nothing.
        """
        made = self._copy(_functions=(*self._functions, function))
        if isinstance(num_parallel_calls, int) and num_parallel_calls > 0:
            made.workers = num_parallel_calls
        return made

    def take(self, count: int) -> "Batches":
        """Return the dataset of the first `count` batches."""
        return self._copy(_range=self._range[:count])

    def skip(self, count: int) -> "Batches":
        """Return the dataset without the first `count` batches."""
        return self._copy(_range=self._range[count:])

    def prefetch(self, buffer_size: int | None = None) -> "Batches":
        """Return the dataset itself: `fit` reads ahead of its own accord."""
        return self

    def _copy(self, **changes):
        made = copy.copy(self)
        made.__dict__.update(changes)
        return made


def dataset(samples, *, where, format, batch_size, shuffle, seed, workers=1):
    """Return samples as a dataset.

    Args:
        samples: the `Samples`.
        where: the public function, for errors.
        format: "grain": a `grain.IterDataset`; "batches": `Batches`; "tf": a `tf.data.Dataset` if
            TensorFlow is installed, else `Batches`.
        batch_size, shuffle, seed, workers: as in `Batches`.
    """
    if format == "grain":
        grain = optional.load("grain", f'{where}(format="grain")', "grain")
        found = grain.MapDataset.source(range(len(samples)))
        found = found.shuffle(seed=seed) if shuffle else found
        found = found.map(samples.__getitem__).to_iter_dataset()
        return found if batch_size is None else found.batch(batch_size, batch_fn=stack)
    batches = Batches(samples, batch_size, shuffle, seed, workers)
    return as_tf(batches) if format == "tf" and optional.found("tensorflow") else batches


def as_tf(batches):
    """Return `Batches` as a `tf.data.Dataset`."""
    tf = optional.load("tensorflow", 'format="tf"', "tensorflow")
    batched = batches._batch_size is not None

    def spec(leaf):
        shape = list(np.shape(leaf))
        if batched:
            shape[0] = None
        if batches._samples.lengths_differ and len(shape) > batched + 1:
            shape[batched] = None
        text = isinstance(leaf, str) or leaf.dtype == object
        return tf.TensorSpec(shape, tf.string if text else leaf.dtype)

    signature = tree.map_structure(spec, batches[0])
    found = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=signature)
    found = found.apply(tf.data.experimental.assert_cardinality(len(batches)))
    return found.prefetch(tf.data.AUTOTUNE)


def check_format(where, format):
    """Refuse an unknown name of a format."""
    if format not in FORMATS:
        raise errors.unknown_name(f"{where}(format)", "format", format, FORMATS)


def drawn(seed):
    """Return a seed, drawn where none is given."""
    return seeding.draw_seed() if seed is None else int(seed)


def workers():
    """Return how many files to decode at once."""
    return min(8, os.cpu_count() or 1)
