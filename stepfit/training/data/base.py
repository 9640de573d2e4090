"""The one interface between data and engine.

A *batch* is what a step receives as `data`: `x`, `(x, y)` or `(x, y, sample_weight)` for arrays,
and whatever the user's object yields for everything else. An *epoch* is one call of
`DataSource.epoch`. A *pass* is one reading of all the data; it differs from an epoch only where
`steps` was given, for then epochs are cut from a sequence of passes.
"""

from typing import Any


class DataSource:
    """A source of batches, the same interface for every kind of data.

    Attributes:
        num_batches: batches in one epoch, or None while that is not known.
        batch_size: rows of a full batch, or None where the data makes its own batches.
        num_samples: rows in one pass over the data, or None.
        description: what the data is, for messages ("arrays", "a generator", ...).
    """

    num_batches: Any = None
    batch_size: Any = None
    num_samples: Any = None
    description = "data"

    def epoch(self, epoch, start=0):
        """Return an iterator over the batches of one epoch.

        Args:
            epoch: index of the epoch, from 0.
            start: number of batches to skip, for going on in the middle of an epoch.
        """
        raise NotImplementedError(f"{type(self).__name__} must define epoch(epoch, start)")

    def peek(self):
        """Return the first batch without using it up."""
        raise NotImplementedError(f"{type(self).__name__} must define peek()")

    def form(self):
        """Return the first batch, or its shapes and dtypes alone where they are known."""
        return self.peek()
