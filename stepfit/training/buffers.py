"""The memory that chunks travel in: a small ring of buffers, filled while the device computes.

On the CPU the device reads the very memory that the host fills: nothing is copied or sent. That is
safe because a buffer is filled again only when the chunk that read it is done.
"""

from typing import Any

import jax
import numpy as np

_ALIGNMENT = 64  # bytes; what the CPU backend asks of memory that it is to use in place
_DEPTH = 3
_KEPT_BYTES = 64 << 20  # rings up to this size stay for the next pass


class Slot:
    """Buffers for one chunk: the control numbers and one array per leaf of the batch.

    Args:
        control, specs: what the program takes (see `Program`).

    Attributes:
        control: uint32 array (seed, number of the first draw, steps).
        buffers: list of arrays (capacity, *batch).
    """

    def __init__(self, control, specs):
        self.control = _aligned(control)
        self.buffers = [_aligned(s) for s in specs]
        self._done: Any = None
        self._shared: Any = None
        sent = jax.device_put((self.control, self.buffers))
        if all(map(_in_place, jax.tree.leaves(sent), (self.control, *self.buffers))):
            self._shared = sent

    def on_device(self):
        """Return the arrays as the device sees them."""
        if self._shared is not None:
            return self._shared
        return jax.device_put((self.control, self.buffers), may_alias=False)

    def hold(self, done):
        """Keep the memory as it is until `done`, an array, is there."""
        self._done = done

    def free(self):
        """Say whether the memory may be filled."""
        return self._done is None or self._done.is_ready()

    def wait(self):
        """Wait until the memory may be filled."""
        if self._done is not None:
            self._done.block_until_ready()
        self._done = None


class DeviceSlot:
    """A batch that is on the device already: a chunk of one."""

    def __init__(self, control, leaves):
        self.control = np.zeros(control.shape, control.dtype)
        self._leaves = [leaf[None] for leaf in leaves]

    def on_device(self):
        """Return the arrays as the device sees them."""
        return jax.device_put(self.control), self._leaves

    def hold(self, done):
        """Keep nothing: the arrays belong to the device."""

    def wait(self):
        """Do not wait."""


class Ring:
    """Slots of one form, used in turn.

    Args:
        control, specs: as for `Slot`.
    """

    def __init__(self, control, specs):
        self._control, self._specs = control, specs
        self._slots: list[Slot] = []
        self.bytes = sum(int(np.prod(s.shape)) * np.dtype(s.dtype).itemsize for s in specs)

    def take(self):
        """Return a slot that may be filled; waits for the oldest where all are in use."""
        if self._slots and (self._slots[0].free() or len(self._slots) >= _DEPTH):
            slot = self._slots.pop(0)
            slot.wait()
        else:
            slot = Slot(self._control, self._specs)
        self._slots.append(slot)
        return slot

    def trim(self):
        """Give up memory that is too large to keep between passes."""
        if self.bytes * len(self._slots) > _KEPT_BYTES:
            self._slots = []


def _aligned(spec):
    size = int(np.prod(spec.shape)) * np.dtype(spec.dtype).itemsize
    raw = np.empty(size + _ALIGNMENT, "uint8")
    begin = -raw.ctypes.data % _ALIGNMENT
    return raw[begin : begin + size].view(spec.dtype).reshape(spec.shape)


def _in_place(array, host):
    if array.size == 0 or next(iter(array.devices())).platform != "cpu":
        return False
    return array.unsafe_buffer_pointer() == host.ctypes.data
