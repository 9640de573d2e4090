"""The table of sources: what makes each, in the order of the rows and in an order of its own."""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import datasets
import grain
import jax.numpy as jnp
import numpy as np
import pandas as pd
import scipy.sparse
import torch
from jax.experimental import sparse

from stepfit.training.data import make_source
from stepfit.utils import PyDataset
from tests.training.data.worker_sets import Batches, Reordered, Samples, X, Y

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tensorflow as tf


def endless():
    while True:
        yield from ((X[i : i + 4], Y[i : i + 4]) for i in (0, 4, 8))


class Again:
    """An iterable that can be read again; it is told the epoch."""

    def __init__(self, shuffled=False):
        self.shuffled, self.number = shuffled, 0

    def set_epoch(self, number):
        self.number = number

    def __iter__(self):
        order = np.arange(10)
        if self.shuffled:
            order = np.random.default_rng(self.number).permutation(10)
        for i in (0, 4, 8):
            yield X[order[i : i + 4]], Y[order[i : i + 4]]


class Numbered:
    def __len__(self):
        return 3

    def __getitem__(self, i):
        return X[4 * i : 4 * i + 4], Y[4 * i : 4 * i + 4]


class MyDataset(Batches, PyDataset):
    pass


class MyReordered(Reordered, PyDataset):
    pass


class Rows:
    """Rows for grain."""

    def __len__(self):
        return 10

    def __getitem__(self, i):
        return X[i], Y[i]


def tf_data(shuffled=False):
    data = tf.data.Dataset.from_tensor_slices((X, Y))
    return (data.shuffle(10, seed=7) if shuffled else data).batch(4)


def loader(shuffled=False, **kwargs):
    torch.manual_seed(5)
    return torch.utils.data.DataLoader(Samples(), batch_size=4, shuffle=shuffled, **kwargs)


def map_dataset(shuffled=False):
    data = grain.MapDataset.source(Rows())
    return (data.shuffle(seed=3) if shuffled else data).batch(4)


def grain_loader(shuffled=False):
    sampler = grain.samplers.IndexSampler(10, shuffle=shuffled, seed=1, num_epochs=1)
    return grain.DataLoader(
        data_source=Rows(), sampler=sampler, operations=[grain.transforms.Batch(4)], worker_count=0
    )


def table(shuffled=False):
    return datasets.Dataset.from_dict({"x": X.tolist(), "label": Y.tolist()}).cast_column(
        "x", datasets.List(datasets.Value("float32"))
    )


def stream(shuffled=False):
    data = table().to_iterable_dataset()
    return data.shuffle(seed=1, buffer_size=6) if shuffled else data


@dataclasses.dataclass
class Row:
    """One kind of source.

    make: function of `shuffled` that returns the user's object, or `(x, y)`.
    kwargs: for `make_source`.
    one_shot: whether it is read once, so that epochs need `steps`.
    """

    make: Callable[[bool], Any]
    kwargs: dict = dataclasses.field(default_factory=dict)
    one_shot: bool = False
    shuffled_by_us: bool = False

    def data(self, shuffled=False):
        """Return the arguments for `make_source` and `fit`."""
        made = self.make(shuffled)
        x, y = made if isinstance(made, tuple) else (made, None)
        ours = {"shuffle": shuffled} if self.shuffled_by_us else {}
        return {"x": x, "y": y, **self.kwargs, **ours}


BY_4 = {"batch_size": 4}
COLUMNS = {"y": "label", "batch_size": 4}


def arrays(convert):
    return Row(lambda shuffled: (convert(X), Y), BY_4, shuffled_by_us=True)


SOURCES = {
    "numpy": arrays(np.asarray),
    "jax": arrays(jnp.asarray),
    "pandas": arrays(pd.DataFrame),
    "lists": arrays(lambda x: x.tolist()),
    "scipy csr": arrays(scipy.sparse.csr_matrix),
    "scipy coo": arrays(scipy.sparse.coo_array),
    "jax BCOO": arrays(sparse.BCOO.fromdense),
    "generator": Row(lambda shuffled: endless(), {"steps": 3}, one_shot=True),
    "iterable": Row(Again),
    "numbered": Row(lambda shuffled: Numbered(), shuffled_by_us=True),
    "PyDataset": Row(lambda s: MyReordered() if s else MyDataset(), shuffled_by_us=True),
    "PyDataset, threads": Row(
        lambda s: (MyReordered if s else MyDataset)(workers=2), shuffled_by_us=True
    ),
    "tf.data": Row(tf_data),
    "torch": Row(loader),
    "torch, generator": Row(
        lambda s: loader(s, generator=torch.Generator().manual_seed(2) if s else None)
    ),
    "grain MapDataset": Row(map_dataset),
    "grain IterDataset": Row(lambda s: map_dataset(s).to_iter_dataset()),
    "grain DataLoader": Row(grain_loader),
    "grain iterator": Row(
        lambda s: iter(map_dataset(s).repeat(9).to_iter_dataset()), {"steps": 3}, one_shot=True
    ),
    "datasets": Row(table, COLUMNS, shuffled_by_us=True),
    "datasets, stream": Row(stream, COLUMNS),
}


def read_from(states):
    """Read the end of epoch 1 and epoch 2 of every source, shuffled.

    Args:
        states: what this returned elsewhere, to go on from there; None to begin at the beginning.

    Returns:
        Dict from kind to ``[state before batch 1 of epoch 1, numbers]``.
    """
    found = {}
    for kind, row in SOURCES.items():
        arguments = row.data(True)
        seed = 4 if states is None else 99
        x, y = arguments.pop("x"), arguments.pop("y")
        with make_source(x, y, seed=seed, **arguments) as source:
            source.keeps_states = True
            source.peek()
            state = None
            if states is None:
                list(source.epoch(0))
                batches = list(source.epoch(1))[1:]
                state = source.state(1, 1)
            else:
                source.restore(states[kind][0], 1, 1)
                batches = list(source.epoch(1, 1))
            batches += source.epoch(2)
        found[kind] = [state, [[np.asarray(leaf).tolist() for leaf in b] for b in batches]]
    return found
