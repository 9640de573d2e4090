"""What is needed to run the last few steps again: the state before them, and their chunks.

The state is copied now and then, on the device and beside the steps; the chunks since stay in their
buffers. A copy counts once all steps before it were seen to be fine, and its weights are finite.
"""

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

WEIGHTS = ("trainable_variables", "non_trainable_variables")
_SECONDS = 0.25  # at least, between two copies
_DEVICE_SPEED, _HOST_SPEED = 5e9, 1e9  # bytes per second; copying is as fast as that at least
_SHARE = 1 / 400  # of the time, for copying
_LEAST_KEPT, _MOST_KEPT = 16 << 20, 256 << 20  # bytes of batches between two copies


@dataclasses.dataclass
class BadStep:
    """The first step that went wrong, and the state before it.

    Attributes:
        epoch, number: which one, from 0.
        traced: the `Traced` step, or the `Step` where steps are not compiled.
        values: those of its layout, before it.
        key: its randomness.
        batch, structure: the leaves of its batch, and how they belong together.
        logs: what it returned, or None.
        again: whether it went wrong when it was run again; else it is the last step known to
            have begun from finite weights.
    """

    epoch: int
    number: int
    traced: Any
    values: list
    key: Any
    batch: list
    structure: Any
    logs: dict | None = None
    again: bool = True


@dataclasses.dataclass
class _Entry:
    """A chunk that was dispatched, and the values that somebody had assigned before it."""

    epoch: int
    chunk: Any
    assigned: dict
    done: Any = None


class _Copy:
    """The state before some entry.

    Args:
        program: the `Program` whose steps come next.
        values: those of its layout.
        position: how many entries come before.
    """

    def __init__(self, program, values, position):
        self.program, self.layout, self.position = program, program.layout, position
        self.copied = set(program.donated)
        self.time = time.monotonic()
        large = [values[i] for i in program.donated]
        self.bytes = sum(x.nbytes for x in large)
        weights = [values[i] for i in weights_of(program)]
        if _fits(self.bytes):
            large, self._finite = _copied(large, weights)
            seconds = self.bytes / _DEVICE_SPEED
        else:
            large, self._finite = jax.device_get(large), _copied([], weights)[1]
            seconds = self.bytes / _HOST_SPEED
        self.pause = max(_SECONDS, seconds / _SHARE)
        self.values = _changed(values, dict(zip(program.donated, large, strict=True)))

    @property
    def finite(self):
        """Whether the weights are finite; waits for the steps before."""
        if not isinstance(self._finite, bool):
            self._finite = bool(self._finite)
        return self._finite


class Journal:
    """Keeps a copy of the state, and the chunks dispatched since, for one `Runner`."""

    def __init__(self):
        self.epoch = 0
        self._copies: list[_Copy] = []  # the first is the one that counts
        self._entries: list[_Entry] = []
        self._settled = 0  # so many entries are known to be fine
        self._kept = 0  # bytes of the batches since the last copy
        self._after: Any = None  # the values after the last dispatch
        self._sizes: dict[Any, int] = {}  # bytes of the chunks of a program

    # -- while all is well -----------------------------------------------------------------------

    def before(self, chunk, values):
        """Note a chunk that is about to be dispatched, and the values it begins with."""
        program = chunk.program
        assigned = self._assigned(program, values)
        if assigned is None or self._due(program):
            self._copies.append(_Copy(program, values, len(self._entries)))
            self._kept, assigned = 0, {}
        self._kept += self._size(program)
        self._entries.append(_Entry(self.epoch, chunk, assigned))

    def after(self, values, done):
        """Note what the chunk's values became, and an array that is ready when it is done."""
        self._after = list(values)
        self._entries[-1].done = done

    def fine(self):
        """Note that the oldest chunk not yet looked at is fine; False if a copy is not."""
        self._settled += 1
        for copy in self._copies[1:]:
            if copy.position > self._settled:
                break
            if not copy.finite:
                return False
            self._forget_before(copy)
        return self._copies[0].finite

    def weights_finite(self):
        """Say whether the weights are finite as they are now."""
        if not self._entries:
            return True
        weights = weights_of(self._entries[-1].chunk.program)
        return are_finite([self._after[i] for i in weights])

    def close(self):
        """Give all buffers back."""
        for entry in self._entries:
            if entry.done is not None:
                entry.chunk.slot.give_back(entry.done)
        self._entries, self._copies, self._after = [], [], None
        self._settled = self._kept = 0

    def _assigned(self, program, values):
        """Return ``{index: value}`` of what others assigned; None where a copy is needed."""
        last = self._copies[-1] if self._copies else None
        if last is None or last.layout is not program.layout or self._after is None:
            return None
        if not last.copied.issuperset(program.donated):
            return None
        new = {i: v for i, v in enumerate(values) if v is not self._after[i]}
        return None if last.copied.intersection(new) else new

    def _due(self, program):
        last = self._copies[-1]
        if program.calls_back:  # so that little is printed twice; nothing is donated either
            return True
        seconds = time.monotonic() - last.time
        most = min(max(8 * last.bytes, _LEAST_KEPT), _MOST_KEPT)
        return seconds > last.pause or self._kept + self._size(program) > most

    def _size(self, program):
        if program not in self._sizes:
            self._sizes[program] = program.chunk_bytes
        return self._sizes[program]

    def _forget_before(self, copy):
        for entry in self._entries[: copy.position]:
            entry.chunk.slot.give_back(entry.done)
        del self._entries[: copy.position]
        self._settled -= copy.position
        self._copies = [c for c in self._copies if c.position >= copy.position]
        gone = copy.position
        for c in self._copies:
            c.position -= gone

    # -- when something is wrong -----------------------------------------------------------------

    def replay(self, is_bad):
        """Run the steps since the copy again, until one goes wrong.

        Args:
            is_bad: function of the logs of some steps, a dict of arrays, that says whether any is.

        Returns:
            The `BadStep`, or None where there was no step at all.
        """
        jax.block_until_ready([entry.done for entry in self._entries if entry.done is not None])
        if not self._entries:
            return None
        values = self._copies[0].values
        for entry in self._entries:
            values = _changed(values, entry.assigned)
            program, count = entry.chunk.program, entry.chunk.count
            logs, after = _run(program, values, entry.chunk.slot, entry.chunk.resident)
            if not _wrong(program, logs, after, count, is_bad):
                values = after
                continue
            slot = entry.chunk.slot if count == 1 else program.ring.take()
            for index in range(count):
                if count > 1:
                    _fill(slot, entry.chunk, index)
                    logs, after = _run(program, values, slot, entry.chunk.resident)
                if count == 1 or _wrong(program, logs, after, 1, is_bad):
                    return self._bad_step(entry, index, values, logs)
                values = after
            break
        step = self._bad_step(self._entries[0], 0, self._copies[0].values, None)
        step.again = False
        return step

    def _bad_step(self, entry, index, values, logs):
        chunk, program = entry.chunk, entry.chunk.program
        control = chunk.slot.control
        key = np.array([control[0], (int(control[1]) + index) % 2**32], "uint32")
        if logs is not None:
            logs = program.log_structure.unflatten([np.asarray(x)[0] for x in logs])
        return BadStep(
            entry.epoch, chunk.first + index, program.traced, values, key,
            _batch(chunk, index), program.traced.structure, logs,
        )  # fmt: skip


def weights_of(program):
    """Return the indices of the weights that a program's step changes."""
    variables = program.layout.variables
    return [i for i in sorted(program.carried) if is_weight(program.layout, variables[i])]


def is_weight(layout, variable):
    """Say whether a Variable is one of a model's weights, of a float dtype."""
    part = layout.place.get(id(variable), ("", 0))[0]
    return part in WEIGHTS and jnp.issubdtype(variable.dtype, jnp.inexact)


def are_finite(arrays):
    """Say whether all numbers are finite."""
    return bool(_copied([], arrays)[1])


def _fits(size):
    """Say whether the device has room for a copy of so many bytes, and as much again."""
    stats = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" not in stats:
        return True
    return 2 * size < stats["bytes_limit"] - stats["bytes_in_use"]


@jax.jit
def _copied(large, weights):
    finite = [jnp.isfinite(x).all() for x in weights]
    return [jnp.copy(x) for x in large], jnp.all(jnp.array(finite)) if finite else jnp.array(True)


def _changed(values, new):
    return [new.get(i, value) for i, value in enumerate(values)]


def _run(program, values, slot, resident):
    """Run a chunk on copies; returns its stacked logs and the new values."""
    mine = list(values)
    for index in program.donated:
        mine[index] = jnp.array(values[index])
    logs, _, carried = program.executable()(*program.parts(mine), slot.on_device(), list(resident))
    return logs, _changed(values, dict(zip(program.carried, carried, strict=True)))


def _wrong(program, logs, values, count, is_bad):
    rows = program.log_structure.unflatten([np.asarray(x)[:count] for x in logs])
    return is_bad(rows) or not are_finite([values[i] for i in weights_of(program)])


def _fill(slot, chunk, index):
    """Put one batch of a chunk into a slot."""
    for buffer, whole in zip(slot.buffers, chunk.slot.buffers, strict=True):
        buffer[0] = whole[index]
    control = chunk.slot.control
    slot.control[:] = control[0], (int(control[1]) + index) % 2**32, 1


def _batch(chunk, index):
    """Return the leaves of one batch of a chunk."""
    buffers = getattr(chunk.slot, "buffers", None)
    if buffers is None:
        return [leaf[0] for leaf in chunk.slot.on_device()[1]]
    if chunk.resident:
        return [leaf[buffers[0][index]] for leaf in chunk.resident]
    return [np.array(buffer[index]) for buffer in buffers]
