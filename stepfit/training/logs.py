"""What the steps of a chunk returned, fetched from the device when first looked at."""

import time

import jax
import numpy as np

from stepfit.core import errors

_NAP = 0.05  # seconds


class Result:
    """The logs, or the outputs, of the steps of one chunk.

    Args:
        program: the `Program` that ran it.
        chunk: the `Chunk`.
        stacked: arrays (capacity, ...), one for each log; the first `chunk.count` rows count.
        done: an array that is ready when the chunk is done.
    """

    def __init__(self, program, chunk, stacked, done):
        self.first, self.count = chunk.first, chunk.count
        self.begun = time.perf_counter()
        self.due = self.begun + self.count * (program.seconds_per_step or 0.0)  # about
        self._structure = program.log_structure
        self._stacked, self._done, self._fetched = stacked, done, None

    def is_ready(self):
        """Say whether the chunk is done."""
        return self._done.is_ready()

    def wait(self):
        """Wait until the chunk is done.

        Python hears no signal while it waits for the device, so what is long, or may be, is slept
        through in naps.
        """
        known = self.due > self.begun
        while not self._done.is_ready():
            now = time.perf_counter()
            nap = self.due - now if known else (now - self.begun) / 20
            if known and nap < 2 * _NAP:
                break
            time.sleep(min(nap, _NAP))
        self._done.block_until_ready()

    def _fetch(self):
        if self._fetched is None:
            arrays = [np.asarray(s)[: self.count] for s in self._stacked]
            self._fetched, self._stacked = self._structure.unflatten(arrays), None
        return self._fetched

    def logs(self, index=-1):
        """Return the logs of one step as a dict of Python floats, sorted by name.

        Args:
            index: of the step in the chunk; the last one by default.
        """
        return {k: float(v[index]) for k, v in sorted(self._fetch().items())}

    def outputs(self, index=slice(None)):
        """Return the outputs of all steps, stacked, or those of one."""
        return jax.tree.map(lambda x: x[index], self._fetch())


class EagerResult:
    """The same for one step that was not compiled."""

    def __init__(self, number, result):
        self.first, self.count, self._result = number, 1, result

    def is_ready(self):
        """Say whether it is done: it always is."""
        return True

    def wait(self):
        """Do not wait."""

    def logs(self, index=-1):
        """Return the logs as a dict of Python floats, sorted by name."""
        return to_floats(self._result)

    def outputs(self, index=slice(None)):
        """Return the outputs, stacked (an axis of 1 first), or those of the one step."""
        return jax.tree.map(lambda x: np.asarray(x)[None][index], self._result)


class Outputs:
    """The outputs of a pass: each in one array, which chunks are written into as they come.

    Args:
        rows: how many rows there will be, or None where that is not known.
    """

    def __init__(self, rows):
        self._rows, self._structure = rows, None
        self._whole: list[np.ndarray] = []
        self._filled: list[int] = []

    def add(self, result):
        """Add the outputs of one chunk."""
        leaves, structure = jax.tree.flatten(result.outputs())
        leaves = [x.reshape(-1, *x.shape[2:]) for x in leaves]
        if self._structure is None:
            self._structure = structure
            self._whole = [np.empty((self._rows or len(x), *x.shape[1:]), x.dtype) for x in leaves]
            self._filled = [0] * len(leaves)
        for index, new in enumerate(leaves):
            whole, begin = self._whole[index], self._filled[index]
            end = begin + len(new)
            if new.shape[1:] != whole.shape[1:]:
                raise errors.bad_value(
                    "predict", f"outputs of one shape, (rows, {_dims(whole)}), for all batches",
                    f"(rows, {_dims(new)}) after {begin} rows",
                    "pad them, or call predict_on_batch on each batch",
                )  # fmt: skip
            if end > len(whole):  # more than was known: grow by half at least
                whole = np.empty((max(end, len(whole) * 3 // 2), *whole.shape[1:]), whole.dtype)
                whole[:begin] = self._whole[index][:begin]
                self._whole[index] = whole
            whole[begin:end] = new
            self._filled[index] = end

    def joined(self):
        """Return all outputs, in the structure in which they came."""
        arrays = [
            whole if filled == len(whole) else whole[:filled].copy()
            for whole, filled in zip(self._whole, self._filled, strict=True)
        ]
        return None if self._structure is None else self._structure.unflatten(arrays)


def _dims(array):
    return ", ".join(map(str, array.shape[1:]))


def to_floats(logs):
    """Return logs as a dict of Python floats, sorted by name, in one transfer."""
    return {k: float(v) for k, v in sorted(jax.device_get(dict(logs)).items())}
