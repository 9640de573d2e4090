"""From a source of batches to chunks: batches of one form, side by side in the device's reach.

A *feed* serves one pass over a source. The engine asks it for one chunk after the other and says
how long each may be; meanwhile the device computes the chunk before.
"""

import time

import jax
import numpy as np

from stepfit.core import placement
from stepfit.training.arguments import naming
from stepfit.training.buffers import DeviceSlot
from stepfit.training.data import ArraySource
from stepfit.training.program import CONTROL

_FIRST_BYTES = 1 << 18  # of a pass's first chunk: so much is ready at once


class Chunk:
    """Batches to run in one dispatch.

    Attributes:
        program: the `Program` for their form.
        slot: where they are.
        first: number of the first one in its epoch.
        count: how many there are.
        resident: arrays on the device that the batches are gathered from, if they are.
    """

    __slots__ = ("count", "first", "program", "resident", "slot")

    def __init__(self, program, slot, first, count, resident=()):
        self.program, self.slot, self.first, self.count = program, slot, first, count
        self.resident = resident


def make_feed(source, epoch, runner, start=0):
    """Return the feed for one epoch of a source, from batch `start` on."""
    if isinstance(source, ArraySource):
        return ArrayFeed(source, epoch, runner, start)
    return BatchFeed(source.epoch(epoch, start), runner, start)


class ArrayFeed:
    """Chunks cut from arrays: all rows of a chunk are gathered at once.

    Args:
        source: an `ArraySource`.
        epoch: number of the epoch.
        runner: whose programs the chunks are for.
        start: number of the first batch.
    """

    def __init__(self, source, epoch, runner, start=0):
        self._source, self._epoch, self._runner = source, epoch, runner
        self._step = self._start = start
        self._resident = runner.resident(source)
        self._programs = {}

    def next(self, limit, seconds=None):
        """Return the next chunk, of at most ``limit(program)`` steps, or None at the end."""
        source, first = self._source, self._step
        if first >= source.num_batches:
            return None
        rows, together = source.run_of(self._epoch, first)
        program = self._program(rows)
        count = min(limit(program), together)
        if first == self._start and self._runner.steps == "auto":  # the device waits for it
            count = min(count, max(1, _FIRST_BYTES * program.capacity // program.chunk_bytes))
        slot = program.ring.take()
        own = None if program.spread is None else program.spread.own_rows()
        if self._resident:
            numbers = source.row_numbers(self._epoch, first, count)
            slot.buffers[0][:count] = numbers if own is None else numbers[:, own[0] or slice(None)]
        else:
            source.fill(self._epoch, first, count, slot.buffers, None if own is None else own[0])
        self._step += count
        return Chunk(program, slot, first, count, self._resident)

    def peek(self):
        """Return the form of the next batch, without its values."""
        return self._source.batch_specs(self._source.run_of(self._epoch, self._step)[0])

    def _program(self, rows):
        program = self._programs.get(rows)
        if not self._runner.holds(program):
            program = self._runner.program_of(self._source, rows, self._resident)
            self._programs[rows] = program
        return program

    def ahead(self):
        """Do what the next epoch needs first, while the device is busy with this one.

        No row is read: callbacks may change the data between epochs.
        """
        self._source.prepare(self._epoch + 1)

    def rest(self):
        """Prepare what comes after the first chunk: the program of a smaller last batch."""
        for rows in self._source.sizes_of(self._epoch):
            self._program(rows).compile()


class BatchFeed:
    """Chunks of batches that come one by one.

    Args:
        batches: an iterator.
        runner: whose programs the chunks are for.
        start: number of the first batch.
    """

    def __init__(self, batches, runner, start=0):
        self._batches, self._runner = batches, runner
        self._step = start
        self._held = None  # a batch that was read and not used
        self._failure: Exception | None = None  # raised where the next batch was to be
        self._programs = {}

    def next(self, limit, seconds):
        """Return the next chunk, of at most ``limit(program)`` steps, or None at the end.

        A chunk that is not full after `seconds` goes off as it is.
        """
        begin, first = time.perf_counter(), self._step
        batch = self._read()
        if batch is None:
            return None
        leaves = jax.tree.leaves(batch)
        if any(map(_stays, leaves)) and jax.process_count() == 1:
            self._step += 1
            with naming(f"batch {first}"):
                program = self._runner.program(batch, capacity=1)
            send = None if program.spread is None else program.spread.send
            return Chunk(program, DeviceSlot(CONTROL, leaves, send), first, 1)
        form = _quick_form(batch)
        program = self._programs.get(form)
        if not self._runner.holds(program):
            with naming(f"batch {first}"):
                program = self._programs[form] = self._runner.program(batch)
        slot, most, count = program.ring.take(), limit(program), 0
        while True:
            write_batch(program, slot, count, batch)
            count += 1
            if count >= most or time.perf_counter() - begin > seconds:
                break
            try:
                batch = self._read()
            except Exception as e:  # first come the batches that were read before
                self._failure = e
                break
            if batch is None:
                break
            if _quick_form(batch) != form:
                self._held = batch
                break
        self._step += count
        return Chunk(program, slot, first, count)

    def _read(self):
        if self._failure is not None:
            raise self._failure
        batch, self._held = self._held, None
        return next(self._batches, None) if batch is None else batch

    def peek(self):
        """Return the next batch, or None at the end."""
        self._held = self._read()
        return self._held

    def ahead(self):
        """Do nothing: batches come when they come."""

    def rest(self):
        """Nothing is known of the batches to come."""


def write_batch(program, slot, index, batch):
    """Write a batch into the buffers of a slot: of each array the rows that belong there."""
    leaves = jax.tree.leaves(batch)
    if program.spread is not None:
        own = program.spread.own_rows()
        if own is not None:
            leaves = [x if rows is None else x[rows] for x, rows in zip(leaves, own, strict=True)]
    for buffer, leaf in zip(slot.buffers, leaves, strict=True):
        buffer[index] = leaf


def _quick_form(batch):
    leaves, structure = jax.tree.flatten(batch)
    return structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)


def _stays(leaf):
    """Say whether an array is better left where it is than copied into a buffer."""
    if not isinstance(leaf, jax.Array):
        return False
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.extended):
        return True
    return next(iter(leaf.devices())).platform != "cpu"


def device_budget(share):
    """Return how many bytes of data may stay on the device.

    Args:
        share: bytes (int), a share of the free memory (float), or None: a quarter of the free
            memory of an accelerator, nothing on the CPU.
    """
    device = jax.devices()[0]
    if share is None:
        share = 0 if device.platform == "cpu" else 0.25
    if isinstance(share, int):
        return share
    stats = device.memory_stats() or {}
    free = stats.get("bytes_limit", 0) - stats.get("bytes_in_use", 0)
    return int(share * free)


def to_device(leaves, sharding=None):
    """Put arrays on the device, or on several by a sharding, in their own dtypes."""
    leaves = [np.asarray(leaf) for leaf in leaves]
    if sharding is None:
        return jax.device_put(leaves)
    return [placement.placed(leaf, sharding) for leaf in leaves]
