"""The memory that chunks travel in: a small ring of buffers, filled while the device computes.

On the CPU the device reads the very memory that the host fills: nothing is copied or sent. That is
safe because a buffer is filled again only when the chunk that read it is done.
"""

import collections
from typing import Any

import jax
import numpy as np

_ALIGNMENT = 64  # bytes; what the CPU backend asks of memory that it is to use in place
_DEPTH = 3
_KEPT_BYTES = 64 << 20  # so much stays for the next pass


class Slot:
    """Buffers for one chunk: the control numbers and one array per leaf of the batch.

    Args:
        control, specs: what the program takes (see `Program`).
        ring: the `Ring` it goes back to.
        send: function that puts control numbers and buffers on several devices, or None.

    Attributes:
        control: uint32 array (seed, number of the first draw, steps).
        buffers: list of arrays (capacity, *batch).
        done: an array that is there when the chunk that lies here was read, or None.
    """

    def __init__(self, control, specs, ring, send=None):
        self.control = _aligned(control)
        self.buffers = [_aligned(s) for s in specs]
        self.done: Any = None
        self._ring, self._send = ring, send
        self._shared: Any = None
        if send is not None:
            return
        sent = jax.device_put((self.control, self.buffers))
        if all(map(_in_place, jax.tree.leaves(sent), (self.control, *self.buffers))):
            self._shared = sent

    def on_device(self):
        """Return the arrays as the device sees them."""
        if self._shared is not None:
            return self._shared
        if self._send is not None:
            return self._send(self.control, self.buffers)
        return jax.device_put((self.control, self.buffers), may_alias=False)

    def give_back(self, done):
        """Let others have the memory once `done` is there."""
        self.done = done
        self._ring.slots.append(self)


class DeviceSlot:
    """A batch that is on the device already: a chunk of one."""

    def __init__(self, control, leaves, send=None):
        self.control = np.zeros(control.shape, control.dtype)
        self._leaves, self._send = [leaf[None] for leaf in leaves], send

    def on_device(self):
        """Return the arrays as the device sees them."""
        if self._send is not None:
            return self._send(self.control, self._leaves)
        return jax.device_put(self.control), self._leaves

    def give_back(self, done):
        """Keep nothing: the arrays belong to the device."""


class Ring:
    """Slots of one form, used in turn.

    A slot that was taken belongs to who took it until it is given back; one that never is, because
    something went wrong, is forgotten.

    Args:
        control, specs, send: as for `Slot`.
    """

    def __init__(self, control, specs, send=None):
        self._control, self._specs, self._send = control, specs, send
        self.slots: collections.deque[Slot] = collections.deque()
        self._bytes = bytes_of(specs)

    def take(self):
        """Return a slot to fill; waits for the oldest where all are in use."""
        try:
            slot = self.slots.popleft()  # one step, so that two threads never get the same
        except IndexError:
            return Slot(self._control, self._specs, self, self._send)
        if not slot.done.is_ready() and len(self.slots) + 1 < _DEPTH:
            self.slots.appendleft(slot)
            return Slot(self._control, self._specs, self, self._send)
        slot.done.block_until_ready()
        return slot

    @property
    def bytes(self):
        """The memory that is kept."""
        return self._bytes * len(self.slots)


def trim(rings):
    """Give up memory that is too large to keep between passes: the oldest rings' first."""
    kept = 0
    for ring in reversed(rings):
        kept += ring.bytes
        if kept > _KEPT_BYTES:
            ring.slots.clear()


def bytes_of(specs):
    """Return the memory that arrays of some shapes and dtypes take."""
    return sum(int(np.prod(s.shape)) * np.dtype(s.dtype).itemsize for s in specs)


def _aligned(spec):
    size = bytes_of([spec])
    raw = np.empty(size + _ALIGNMENT, "uint8")
    begin = -raw.ctypes.data % _ALIGNMENT
    return raw[begin : begin + size].view(spec.dtype).reshape(spec.shape)


def _in_place(array, host):
    if array.size == 0 or next(iter(array.devices())).platform != "cpu":
        return False
    return array.unsafe_buffer_pointer() == host.ctypes.data
