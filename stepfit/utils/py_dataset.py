"""`PyDataset`: batches by number, made in Python, by several workers if wanted."""

import itertools


class PyDataset:
    """Base class of datasets whose batches Python code makes, one by its number.

    A subclass defines ``__getitem__(index)``, which returns a whole batch: `x`, `(x, y)` or
    `(x, y, sample_weight)`; and ``__len__()``, the number of batches, or the property
    `num_batches`, which is None for data without end. It may define `on_epoch_begin` and
    `on_epoch_end`. Batches come in the same order, however many workers make them.

    Args:
        workers: how many batches are made at once. With threads, 1 makes them one by one.
        use_multiprocessing: make them in processes instead of threads. The dataset is pickled to
            each process, anew for an epoch if `on_epoch_begin` or `on_epoch_end` is defined.
        max_queue_size: number of batches that may be under way or wait.

    Example:

    >>> import numpy as np, stepfit as keras
    >>> class Squares(keras.utils.PyDataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         x = np.arange(4.0)[:, None] + 4 * index
    ...         return x, x**2
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> model.fit(Squares(workers=2), verbose=0).epoch
    [0]
    """

    workers = 1  # these hold where a subclass does not call super().__init__
    use_multiprocessing = False
    max_queue_size = 10

    def __init__(self, workers=1, use_multiprocessing=False, max_queue_size=10):
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index):
        """Return batch `index`."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index)")

    @property
    def num_batches(self):
        """The number of batches, or None for data without end."""
        if hasattr(self, "__len__"):
            return len(self)
        name = type(self).__name__
        raise NotImplementedError(f"{name} must define __len__() or the property num_batches")

    def __iter__(self):
        count = self.num_batches
        for index in itertools.count() if count is None else range(count):
            yield self[index]

    def on_epoch_begin(self):
        """Called before an epoch's first batch is made."""

    def on_epoch_end(self):
        """Called after an epoch's last batch was made."""


Sequence = PyDataset
