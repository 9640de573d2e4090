"""Data cut into batches, before the clock runs."""

import operator

import jax
import numpy as np

# Operations that are one call on one batch: their unit is the call, not the step.
BATCH_OPERATIONS = ("train_on_batch", "predict_on_batch", "call")


def views(data, batch):
    """Return the batches of `data` in order, as views; the last may be smaller."""
    rows = len(jax.tree.leaves(data)[0])
    cuts = [slice(start, start + batch) for start in range(0, rows, batch)]
    return [jax.tree.map(operator.itemgetter(cut), data) for cut in cuts]


def stacked(data, batch):
    """Return full batches stacked in arrays (steps, batch, ...), and the rest or None."""
    rows = len(jax.tree.leaves(data)[0])
    full = rows // batch * batch
    batches = jax.tree.map(lambda a: a[:full].reshape(-1, batch, *a.shape[1:]), data)
    rest = jax.tree.map(lambda a: a[full:], data) if full < rows else None
    return batches, rest


def size(batch):
    return len(jax.tree.leaves(batch)[0])


def on_device(tree):
    return jax.tree.map(jax.device_put, tree)


def joined(outputs):
    return np.concatenate(jax.device_get(outputs))
