"""The one interface between data and engine.

A *batch* is what a step receives as `data`: `x`, `(x, y)` or `(x, y, sample_weight)` for arrays,
and whatever the user's object yields for everything else. An *epoch* is one call of
`DataSource.epoch`. A *pass* is one reading of all the data; it differs from an epoch only where
`steps` was given, for then epochs are cut from a sequence of passes.
"""

from typing import Any


class DataSource:
    """A source of batches, the same interface for every kind of data.

    As a context manager it closes itself.

    Attributes:
        num_batches: batches in one epoch, or None while that is not known.
        batch_size: rows of a full batch, or None where the data makes its own batches.
        num_samples: rows in one pass over the data, or None.
        description: what the data is, for messages ("arrays", "a generator", ...).
        keeps_states: whether `state` will be asked for. Sources that must write something down
            while they read do so once this is true; it becomes true with the first `state`.
    """

    num_batches: Any = None
    batch_size: Any = None
    num_samples: Any = None
    description = "data"
    keeps_states = False

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

    def state(self, epoch, step):
        """Return what a new source needs to go on with batch `step` of `epoch`.

        Args:
            epoch, step: the next batch to train on; (epoch + 1, 0) when an epoch is over.

        Returns:
            A dict that JSON can hold, or None.
        """
        return None

    def restore(self, state, epoch, step):
        """Have ``epoch(epoch, start=step)`` go on where another source was.

        Args:
            state: what `state(epoch, step)` returned there.
            epoch, step: the next batch.
        """

    def close(self):
        """End threads and processes that read ahead; the source may be used again."""

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()
