"""Batches from arrays in memory."""

import math
import warnings
from typing import Any

import jax
import numpy as np

from stepfit.core import errors
from stepfit.training.data import class_weight as class_weights
from stepfit.training.data import leaves
from stepfit.training.data.base import DataSource
from stepfit.training.data.order import permutation
from stepfit.training.data.sparse import SparseRows, is_sparse
from stepfit.utils.packing import pack_x_y_sample_weight

DEFAULT_BATCH_SIZE = 32


def standardize(x, y, sample_weight, names):
    """Return `(x, y, sample_weight)` as structures of NumPy arrays of one length.

    Args:
        x, y, sample_weight: arrays, or dicts, lists and tuples of them; y and sample_weight may
            be None.
        names: how messages call the three.

    Raises:
        ValueError, TypeError: for anything that is not such data, naming the place.
    """
    if x is None:
        fix = "pass an array, or a dict or list of arrays"
        raise errors.bad_value(names[0], "data", "None", fix)
    parts = [
        leaves.map_structure(leaves.to_array, part, name)
        for part, name in zip((x, y, sample_weight), names, strict=True)
    ]
    flat = [leaves.named_leaves(part, name) for part, name in zip(parts, names, strict=True)]
    for part, name, found in zip(parts, names, flat, strict=True):
        if part is not None and not found and name != names[2]:
            raise errors.bad_value(name, "at least one array", errors.describe(part))
    _check_lengths([leaf for found in flat for leaf in found], any(map(_are_rows, parts)))
    x, y, sample_weight = parts
    return x, y, _match_weights(y, sample_weight, names)


def _are_rows(part):
    """Say whether a list of vectors, an array for each input, may be meant as the rows of one."""
    several = isinstance(part, (list, tuple)) and len(part) > 1
    return several and all(np.ndim(v) == 1 for v in part)


def _check_lengths(named, rows):
    fix = "the first axis counts the samples"
    if rows:
        fix += "; a list of rows becomes one array with keras.utils.pad_sequences or numpy.stack"
    lengths = {array.shape[0] for _, array in named}
    if len(lengths) > 1:
        shown = ", ".join(f"{name} {array.shape[0]}" for name, array in named[:12])
        shown += ", ..." if len(named) > 12 else ""
        raise errors.bad_value(
            ", ".join(dict.fromkeys(name.split("[")[0] for name, _ in named)),
            "one number of samples in all arrays",
            shown,
            fix,
        )
    if lengths == {0}:
        name, array = named[0]
        raise errors.bad_value(name, "at least one sample", errors.describe(array))


def _match_weights(y, sample_weight, names):
    """Give `sample_weight` the structure of `y`: a single array serves every output."""
    if sample_weight is None or y is None or not leaves.is_structure(y):
        if leaves.is_structure(sample_weight):
            fix = "pass one array of weights" if y is not None else f"pass {names[1]} as well"
            raise errors.bad_value(
                names[2], f"the structure of {names[1]}", errors.describe(sample_weight), fix
            )
        return sample_weight
    if leaves.is_structure(sample_weight):
        wanted = [path[len(names[1]) :] for path, _ in leaves.named_leaves(y, names[1])]
        given = [path[len(names[2]) :] for path, _ in _slots(sample_weight, names[2])]
        if wanted != given and sorted(wanted) != sorted(given):
            raise errors.bad_value(
                names[2],
                f"one array per output, as in {names[1]} ({', '.join(wanted)})",
                ", ".join(given) or "none",
                "use the same keys in both, with None for an output without weights",
            )
        by_place = dict(zip(given, (leaf for _, leaf in _slots(sample_weight, "")), strict=True))
        return leaves.map_structure(lambda leaf, path: by_place[path], y, "")
    if sample_weight.ndim > 1 and sample_weight.shape[1:] != (1,):
        raise errors.bad_value(
            names[2],
            "one weight per sample, shape (samples,), or one array per output",
            errors.describe(sample_weight),
            f"pass weights in the structure of {names[1]}",
        )
    return leaves.map_structure(lambda leaf, path: sample_weight, y, names[1])


def _slots(structure, path):
    """Like `named_leaves`, with None counted as a leaf."""
    if isinstance(structure, dict):
        return [s for k, v in structure.items() for s in _slots(v, f"{path}[{k!r}]")]
    if isinstance(structure, (list, tuple)):
        return [s for i, v in enumerate(structure) for s in _slots(v, f"{path}[{i}]")]
    return [(path, structure)]


def _default_batch_size(num_samples, steps):
    """32 rows; with `steps`, as many as make that number of steps out of one pass."""
    if steps is None:
        return DEFAULT_BATCH_SIZE
    rows = -(-num_samples // steps)
    return rows if -(-num_samples // rows) >= steps else max(num_samples // steps, 1)


class ArraySource(DataSource):
    """Batches cut from arrays; each a pure function of (seed, epoch, step).

    With `steps`, every epoch has that many batches and goes on where the one before stopped; the
    data starts anew, newly shuffled, whenever it is used up, and a batch never spans that point.

    Args:
        x, y, sample_weight: arrays or structures of arrays, first axis = samples.
        batch_size: rows per batch; by default ceil(samples / steps), or 32 without `steps`.
        shuffle: True (all samples, anew for every pass), False, or "batch" (within each batch).
        steps: batches per epoch, or None for all of the data.
        class_weight: dict from class index to weight, multiplied into `sample_weight`.
        seed: integer that fixes the order.
        names: how messages call x, y and sample_weight.
        steps_name: how messages call `steps`.

    Attributes:
        data: the whole data in the form of a batch.
        nbytes: its size; infinite for sparse data, which must not become dense as a whole.
        on_device: the distribution and its arrays there, once the engine has put them there.
    """

    description = "arrays"

    def __init__(
        self, x, y=None, sample_weight=None, *, batch_size=None, shuffle=False, steps=None,
        class_weight=None, seed=0, names=("x", "y", "sample_weight"), steps_name="steps_per_epoch",
    ):  # fmt: skip
        self._names = names
        x, y, sample_weight = standardize(x, y, sample_weight, names)
        if class_weight is not None:
            sample_weight = class_weights.combine(y, sample_weight, class_weight, names[1])
        self.data = pack_x_y_sample_weight(x, y, sample_weight)
        held = jax.tree.leaves(self.data)
        self.num_samples = held[0].shape[0]
        self.batch_size = batch_size or _default_batch_size(self.num_samples, steps)
        self.batches_per_pass = -(-self.num_samples // self.batch_size)
        self.num_batches = steps or self.batches_per_pass
        if self.num_batches > self.batches_per_pass:
            expected = f"at most {self.batches_per_pass}, the batches of {self.batch_size} in "
            expected += f"{self.num_samples} samples"
            fix = f"epochs will have {self.batches_per_pass} steps"
            text = errors.message(steps_name, expected, repr(steps), fix)
            warnings.warn(text, UserWarning, stacklevel=errors.users_level())
            self.num_batches = self.batches_per_pass
        self.shuffle, self.seed = shuffle, seed
        self.nbytes = sum(leaf.nbytes for leaf in held)
        if any(isinstance(leaf, SparseRows) for leaf in held):
            self.nbytes = math.inf  # never as a whole on the device
        self.on_device: Any = None
        self._orders: dict[int, np.ndarray] = {}
        self._specs: dict[int, Any] = {}  # by the number of rows

    def rows(self, epoch, step):
        """Return the rows of a batch: a slice, or an integer array where they are shuffled."""
        number, index = divmod(epoch * self.num_batches + step, self.batches_per_pass)
        start = index * self.batch_size
        stop = min(start + self.batch_size, self.num_samples)
        if self.shuffle == "batch":
            return start + permutation(stop - start, self.seed, number, index)
        return self.order(number)[start:stop] if self.shuffle else slice(start, stop)

    def order(self, number):
        """Return the permutation of all samples that pass `number` uses with shuffle=True."""
        if number not in self._orders:
            kept = [k for k in self._orders if k == number - 1]
            self._orders = {k: self._orders[k] for k in kept}
            self._orders[number] = permutation(self.num_samples, self.seed, number)
        return self._orders[number]

    def prepare(self, epoch):
        """Find the order of an epoch before it is needed."""
        if self.shuffle is True:
            self.order(epoch * self.num_batches // self.batches_per_pass)

    def batch(self, epoch, step):
        """Return one batch."""
        rows = self.rows(epoch, step)
        return leaves.map_structure(lambda leaf, path: leaf[rows], self.data, "x")

    # -- many batches at once --------------------------------------------------------------------

    def run_of(self, epoch, step):
        """Return ``(rows, number)``: the size of a batch, how many of this size lie together."""
        _, index = divmod(epoch * self.num_batches + step, self.batches_per_pass)
        full = self.num_samples // self.batch_size
        if index >= full:
            return self.num_samples % self.batch_size, 1
        return self.batch_size, min(full - index, self.num_batches - step)

    def most_together(self, rows):
        """Return how many batches of so many rows may lie together."""
        full = self.num_samples // self.batch_size
        return min(full, self.num_batches) if rows == self.batch_size else 1

    def sizes_of(self, epoch):
        """Return the sizes that batches of an epoch may have."""
        last = self.num_samples % self.batch_size
        full = [self.batch_size] if self.num_samples >= self.batch_size else []
        return full + ([last] if last else [])

    def batch_specs(self, rows):
        """Return the form of a batch of so many rows, without its values."""
        if rows not in self._specs:
            of = lambda a: leaves.spec((rows, *a.shape[1:]), a.dtype)
            self._specs[rows] = jax.tree.map(of, self.data)
        return self._specs[rows]

    def row_numbers(self, epoch, step, count):
        """Return the rows of `count` batches that lie together, shape (count, batch)."""
        if self.shuffle == "batch":
            return np.stack([self.rows(epoch, step + i) for i in range(count)])
        number, index = divmod(epoch * self.num_batches + step, self.batches_per_pass)
        start = index * self.batch_size
        stop = min(start + count * self.batch_size, self.num_samples)
        rows = self.order(number)[start:stop] if self.shuffle else np.arange(start, stop)
        return rows.reshape(count, -1)

    def fill(self, epoch, step, count, buffers, part=None):
        """Write `count` batches that lie together into buffers (capacity, batch, ...).

        Args:
            epoch, step: the first one.
            count: how many.
            buffers: one for each array.
            part: slice of the rows of each batch that is to be written; None: all.
        """
        if part is not None:
            numbers = self.row_numbers(epoch, step, count)[:, part].reshape(-1)
            for leaf, buffer in zip(jax.tree.leaves(self.data), buffers, strict=True):
                buffer[:count] = leaf[numbers].reshape(count, *buffer.shape[1:])
            return
        start = ((epoch * self.num_batches + step) % self.batches_per_pass) * self.batch_size
        rows = self.row_numbers(epoch, step, count).reshape(-1) if self.shuffle else None
        for leaf, buffer in zip(jax.tree.leaves(self.data), buffers, strict=True):
            wanted = buffer[:count].reshape(count * buffer.shape[1], *buffer.shape[2:])
            if rows is None:
                wanted[...] = leaf[start : start + len(wanted)]
            elif isinstance(leaf, SparseRows):
                wanted[...] = leaf[rows]
            else:
                np.take(leaf, rows, axis=0, out=wanted, mode="clip")

    def state(self, epoch, step):
        return {"seed": self.seed, "samples": self.num_samples, "batch_size": self.batch_size}

    def restore(self, state, epoch, step):
        if state is None:
            return
        self.seed, self._orders = state["seed"], {}
        known = (self.num_samples, self.batch_size)
        wanted = (state["samples"], state["batch_size"])
        if step and known != wanted:
            raise errors.bad_value(
                self._names[0], f"the data of the run that goes on: {wanted[0]} samples in "
                f"batches of {wanted[1]}", f"{known[0]} samples in batches of {known[1]}",
                "pass the same data and batch_size, or start anew",
            )  # fmt: skip

    def epoch(self, epoch, start=0):
        return (self.batch(epoch, step) for step in range(start, self.num_batches))

    def peek(self):
        return self.batch(0, 0)

    def form(self):
        return self.batch_specs(self.run_of(0, 0)[0])

    @property
    def has_partial_batch(self):
        """Whether the last batch of a pass has fewer rows than the others."""
        return self.num_samples % self.batch_size != 0

    def __repr__(self):
        return (
            f"<ArraySource: {self.num_samples} samples, {self.num_batches} batches of "
            f"{self.batch_size}>"
        )


def looks_like_arrays(x):
    """Say whether `x` is an array, or a structure or list that is taken for arrays."""
    if isinstance(x, (dict, list, tuple, np.ndarray, str, bytes, int, float, complex)):
        return True
    if hasattr(x, "__array__") or hasattr(x, "to_numpy") or is_sparse(x):
        return True
    return hasattr(x, "shape") and hasattr(x, "dtype")
