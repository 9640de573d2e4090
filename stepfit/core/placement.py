"""Where values lie: the distribution in force, and how a value gets to its devices.

A *distribution* (see `stepfit.distribution`) says for each Variable how its value is spread over
the devices. The core knows of it two things: whether one is in force, and its
`sharding_of(variable)`. Without one, values lie on the default device and nothing here is called.
"""

import contextlib
import contextvars
from typing import Any

import jax
import numpy as np

from stepfit.core import processes

_everywhere: Any = None  # what `set_distribution` was given
_here: contextvars.ContextVar[Any] = contextvars.ContextVar("distribution", default=None)
_planned = False  # whether values stay where they are made: nothing is to be run
_alone: list[bool] = []  # holds True inside a block of `written_once`
_brought_together: dict[int, np.ndarray] = {}  # id of an array -> all of it


def in_force():
    """Return the distribution of the innermost block, else that of the process, or None."""
    return _here.get() or _everywhere


def of_block():
    """Return the distribution of the innermost `within` block, or None."""
    return _here.get()


def put_in_force(distribution):
    """Have a distribution (or none) be the one for the whole process."""
    global _everywhere
    _everywhere = distribution


def plan_only():
    """Leave values where they are made, whatever distribution is in force: nothing will be run."""
    global _planned
    _planned = True


def only_planned():
    """Say whether `plan_only` was called."""
    return _planned


@contextlib.contextmanager
def within(distribution):
    """Have a distribution be in force inside the block; None changes nothing."""
    token = _here.set(distribution or _here.get())
    try:
        yield
    finally:
        _here.reset(token)


def placed(value, sharding):
    """Return an array with the devices of a sharding, in memory of its own.

    Args:
        value: a JAX or NumPy array.
        sharding: a `jax.sharding.Sharding`; the same array is returned where it lies so already.
    """
    if isinstance(value, jax.Array):
        if value.sharding == sharding:
            return value
        if sharding.is_fully_addressable or not value.is_fully_addressable:
            return jax.device_put(value, sharding, may_alias=False)
    if sharding.is_fully_addressable:
        return jax.device_put(value, sharding)
    host = np.asarray(value)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def on_one_device(value):
    """Return an array that lies as a whole on the default device."""
    return jax.device_put(whole(value))


def whole(value):
    """Return an array, wherever its parts lie, as a NumPy array that is the caller's.

    Where parts lie with other processes, all processes must call this together.
    """
    if isinstance(value, jax.Array) and not value.is_fully_addressable:
        if not value.is_fully_replicated:
            if id(value) in _brought_together:
                return np.array(_brought_together[id(value)])
            from jax.experimental import multihost_utils

            return np.array(multihost_utils.process_allgather(value, tiled=True))
    return np.array(value)


@contextlib.contextmanager
def written_once(variables):
    """Have files be written by one process: yields whether it is this one.

    Values of which other processes have parts are brought together first, by all of them; all wait
    until it is written.

    Args:
        variables: the Variables whose values may be written.
    """
    if _alone or jax.process_count() == 1:
        yield True
        return
    values = [v.peek() for v in variables]
    spread = [x for x in values if not (x.is_fully_addressable or x.is_fully_replicated)]
    try:
        for value in spread:
            _brought_together[id(value)] = whole(value)
        _alone.append(True)  # what is written inside is not waited for by the others
        yield jax.process_index() == 0
    finally:
        _alone.clear()
        for value in spread:
            _brought_together.pop(id(value), None)
        processes.agreed(None)  # the others go on once it is written


@contextlib.contextmanager
def made_on_host():
    """Have arrays made in the block lie in the host's memory, not on the accelerator.

    So an initial value never lies on one device as a whole.
    """
    try:
        host = jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS leaves the CPU out
        yield
        return
    with jax.default_device(host):
        yield
