"""How what a program takes and gives lies over the devices of a distribution.

The program itself is the one for a single device: the compiler cuts it up by how its arguments lie
(values by the layouts of their Variables, batches by rows) and puts in what the devices must tell
one another. So the numbers are those of one device, up to the order of sums.

A batch whose rows the devices do not divide evenly is copied to all of them; the numbers are still
the same.
"""

from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from stepfit.core import errors, placement

_last_done: Any = None  # of the last chunk that was dispatched to several CPU devices


class Spread:
    """How the values, batches and results of one program lie.

    Args:
        distribution: a `Distribution`.
        variables: the Variables whose values the program takes.
        specs: those of one batch's arrays, as all processes have it together.

    Attributes:
        distribution: the same.
        values: sharding of each Variable.
        replicated: sharding of what every device has a copy of.
    """

    def __init__(self, distribution, variables, specs):
        self.distribution = distribution
        self._mesh = distribution.device_mesh.backend_mesh
        self._axis = distribution.batch_dim_name
        self._parts = distribution.num_model_replicas
        self.values = [distribution.sharding_of(v) for v in variables]
        self.replicated = distribution.replicated()
        self._several = distribution.spans_processes
        self._own_share = self._several and not distribution.auto_shard_dataset
        self.specs = specs

    def rows(self, shape, first):
        """Return the sharding of an array whose axis `first` counts the rows of a batch."""
        spread = len(shape) > first and shape[first] and shape[first] % self._parts == 0
        if not spread or self._axis is None:
            if self._own_share and len(shape) > first:
                raise errors.bad_value(
                    "a batch, with auto_shard_dataset=False",
                    f"rows that {self._parts} parts divide", f"{shape[first]} in all processes",
                    "give each process batches of a size that its devices divide",
                )  # fmt: skip
            return self.replicated
        return NamedSharding(self._mesh, PartitionSpec(*[None] * first, self._axis))

    def results(self, specs):
        """Return the shardings of stacked results (capacity, ...): rows stay where they are."""
        if self._several:  # each process is to see all of it
            return [self.replicated] * len(specs)
        return [self.rows((1, *s.shape), 1) for s in specs]

    def held_here(self, spec):
        """Return the slice of a batch's rows that this process is to fill; None: all."""
        if not self._several or not spec.shape:
            return None
        sharding = self.rows(spec.shape, 0)
        places = sharding.addressable_devices_indices_map(spec.shape).values()
        ranges = [index[0].indices(spec.shape[0]) for index in places if index is not None]
        return slice(min(r[0] for r in ranges), max(r[1] for r in ranges))

    def own_rows(self):
        """Return, for each array of a batch as it is given, which rows are this process's.

        Slices; None for all rows, or instead of the list where that is so for every array.
        """
        if not self._several or self._own_share:
            return None
        return [self.held_here(spec) for spec in self.specs]

    def buffers(self, capacity):
        """Return the specs of the buffers of a chunk, as this process fills them."""
        held = [self.held_here(spec) for spec in self.specs]
        rows = [s.shape if h is None else (h.stop - h.start, *s.shape[1:])
                for s, h in zip(self.specs, held, strict=True)]  # fmt: skip
        return [
            jax.ShapeDtypeStruct((capacity, *shape), s.dtype)
            for shape, s in zip(rows, self.specs, strict=True)
        ]

    def send(self, control, buffers):
        """Put the control numbers and the buffers of a chunk (capacity, rows, ...) on the devices.

        With several processes, buffers hold the rows that `held_here` names.
        """
        sent = [self._sent(b, s) for b, s in zip(buffers, self.specs, strict=True)]
        return placement.placed(np.array(control), self.replicated), sent

    def _sent(self, buffer, spec):
        shape = (buffer.shape[0], *spec.shape)
        sharding = self.rows(shape, 1)
        if not self._several:
            return jax.device_put(buffer, sharding)
        host, begin = np.asarray(buffer), (self.held_here(spec) or slice(0, 0)).start

        def part(index):
            if len(index) < 2:
                return host[index]
            start, stop, _ = index[1].indices(shape[1])
            return host[(index[0], slice(start - begin, stop - begin), *index[2:])]

        return jax.make_array_from_callback(shape, sharding, part)

    def constrain(self, values, places):
        """Have the compiler keep some of the values where they belong."""
        return [
            jax.lax.with_sharding_constraint(value, self.values[place])
            for value, place in zip(values, places, strict=True)
        ]

    def constrain_rows(self, batch):
        """Have the compiler keep the arrays of a batch spread by rows."""
        return [jax.lax.with_sharding_constraint(x, self.rows(x.shape, 0)) for x in batch]


def global_specs(distribution, specs):
    """Return the specs of a whole batch, given those of what one process was given of it."""
    if distribution.auto_shard_dataset or not distribution.spans_processes:
        return specs
    shares = min(distribution.num_processes, distribution.num_model_replicas)
    return tuple(
        jax.ShapeDtypeStruct((s.shape[0] * shares, *s.shape[1:]), s.dtype) if s.shape else s
        for s in specs
    )


def spread_batch(distribution, batch):
    """Put one batch on the devices, for a step that is not compiled."""
    structure: Any
    leaves, structure = jax.tree.flatten(batch)
    specs = global_specs(distribution, [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in leaves])
    spread = Spread(distribution, (), specs)
    own = spread.own_rows() or [None] * len(leaves)
    leaves = [x if rows is None else x[rows] for x, rows in zip(leaves, own, strict=True)]
    _, sent = spread.send(np.zeros(3, "uint32"), [x[None] for x in leaves])
    return structure.unflatten([x[0] for x in sent])


def one_at_a_time():
    """Wait for the chunk before: CPU devices of one process share their threads.

    Programs whose devices wait for one another must not run side by side there.
    """
    if _last_done is not None and not _last_done.is_deleted():
        _last_done.block_until_ready()


def note_dispatched(done):
    """Note the chunk that the next one has to wait for."""
    global _last_done
    if jax.default_backend() == "cpu":
        _last_done = done
