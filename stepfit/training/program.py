"""A step as an executable: traced once for one form of batch, fused over many batches.

Vocabulary
----------
*Form*: the structure, shapes and dtypes of one batch.

*Chunk*: some batches of one form, run in one dispatch. They lie behind one another in buffers of
shape (capacity, *batch); how many of them are there is a number that the executable reads when it
runs. So one executable serves every length of chunk, and the numbers do not depend on the length.

*Carried* values are those of Variables that the step changes; those of some size are *donated*: the
new ones take their memory. *Fixed* values are only read (frozen layers, weights in evaluation).

A program runs *fused*, a loop on the device, unless the step calls Python or holds an operation
that is slow inside a loop on this platform; then it runs *step by step*.
"""

import collections
import concurrent.futures
import functools
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from stepfit.core import jax_private, memory
from stepfit.rewrite import rewrite
from stepfit.training.buffers import Ring, bytes_of
from stepfit.training.data import leaves
from stepfit.training.spread import Spread

BUFFER_BYTES = 4 << 20  # of the inputs, and of the outputs, of one chunk
MOST_STEPS = 512  # in one chunk
_LONG_COMPILING = 0.2  # seconds; compiling that took longer has used memory worth giving back
_DONATED_FROM = 4096  # bytes; below, a copy costs nothing, and values may be shared
CONTROL = jax.ShapeDtypeStruct((3,), "uint32")  # seed, number of the first draw, steps
_KEY = jax.ShapeDtypeStruct((2,), "uint32")

_compilers = concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="stepfit-compile")


def form_of(batch):
    """Return ``(key, structure, specs)`` of a batch: its form, hashable, and the same in parts."""
    parts, structure = jax.tree.flatten(batch)
    specs = tuple(map(spec, parts))
    return (structure, tuple((s.shape, s.dtype) for s in specs)), structure, specs


def spec(leaf):
    """Return the shape and dtype that an array has on the device (float64 is float32 there)."""
    if not hasattr(leaf, "dtype"):
        leaf = np.asarray(leaf)
    return leaves.spec(leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype))


class Traced:
    """What tracing a step for one form of batch gives.

    Args:
        step: the pure function ``(values, key, batch) -> (logs, values)``.
        values: those of the layout, or their specs.
        structure, specs: the form.
    """

    def __init__(self, step, values, structure, specs):
        begin = time.perf_counter()
        traced = jax.jit(step).trace(values, _KEY, structure.unflatten(specs))
        self.original, self.layout, self.structure = traced.jaxpr, step.layout, structure
        logs, new_values = traced.out_info
        self.log_specs, self.log_structure = jax.tree.flatten(logs)
        self.value_specs = new_values
        self.seconds = time.perf_counter() - begin

    @property
    def calls_back(self):
        """Whether the step calls Python while it runs, and so may fail half-way."""
        return jax_private.calls_back(self.original.jaxpr)

    @property
    def carried(self):
        """Indices of the values that the step changes."""
        jaxpr = self.original.jaxpr
        new = jaxpr.outvars[len(self.log_specs) :]
        return [i for i, value in enumerate(new) if value is not jaxpr.invars[i]]


class Program:
    """The executable of one step for one form of batch, and the buffers its chunks travel in.

    Args:
        traced: the `Traced` step.
        specs: those of one batch's arrays.
        capacity: most batches of a chunk; by default as many as keep the buffers small.
        resident: specs of the arrays that batches are gathered from on the device, where they are;
            a chunk then holds row numbers only.
        donate: whether the old values' memory is given to the new ones.
        least: what the capacity must reach at least.
        distribution: what spreads it over several devices, or None.

    Attributes:
        layout: the `Layout` of the values.
        spread: the `Spread` over several devices, or None.
        fused: whether a chunk runs as one loop on the device.
        why: the reason, in words.
        capacity: most batches of a chunk.
        seconds_per_step: of the last few chunks, or None while it is not known.
    """

    def __init__(self, traced, specs, capacity=None, resident=(), donate=True, least=1,
                 distribution=None):  # fmt: skip
        self.specs, self.resident, self.layout = specs, resident, traced.layout
        self.traced = traced
        self._value_specs = traced.value_specs
        self.log_structure, self.log_specs = traced.log_structure, traced.log_specs
        sizes = {i: bytes_of([traced.value_specs[i]]) for i in traced.carried}
        self.donated = [i for i, size in sizes.items() if donate and size >= _DONATED_FROM]
        self.carried = [*self.donated, *(i for i in sizes if i not in set(self.donated))]
        self.fixed = [i for i in range(len(traced.value_specs)) if i not in sizes]
        platform = jax.default_backend()
        self._closed, self.rewrites = rewrite(traced.original, platform=platform)
        self.calls_back = traced.calls_back
        self.fused = not self.calls_back and self.rewrites.fits_loop
        self.why = "one loop on the device"
        if self.calls_back:
            self.why = "the step calls Python"
        elif not self.fused:
            self.why = f"slow inside a loop here: {self.rewrites.left[0]}"
        self.capacity = 1
        if self.fused:
            fitting = _capacity(self._slot_specs(1)[1], self.log_specs)
            self.capacity = capacity or max(fitting, least)
        self.trace_seconds, self.compile_seconds = traced.seconds, 0.0
        self.seconds_per_step: float | None = None
        self._latest_seconds: collections.deque = collections.deque(maxlen=5)
        self._chunks: collections.deque = collections.deque(maxlen=16)  # (steps, exact, seconds)
        self._ran = False
        self._compiled: Any = None
        self._future: Any = None
        self.spread: Spread | None = None
        if distribution is None:
            self.ring = Ring(*self._slot_specs(self.capacity))
        else:
            self.spread = Spread(distribution, self.layout.variables, self._batch_specs())
            self.ring = Ring(CONTROL, self.spread.buffers(self.capacity), self.spread.send)

    # -- compiling -------------------------------------------------------------------------------

    def compile(self):
        """Begin to compile, in the background."""
        if self.ready:
            return
        arguments = (
            *([spec(v) for v in part] for part in self.parts(self._value_specs)),
            self._slot_specs(self.capacity), list(self.resident),
        )  # fmt: skip
        options = {} if self.spread is None else self._shardings(self.spread)
        lowered = jax.jit(self._chunk, donate_argnums=0, **options).lower(*arguments)
        self._future = _compilers.submit(_timed, lowered.compile)

    def parts(self, values):
        """Return the values that are donated, those carried and not donated, and those fixed."""
        kept = self.carried[len(self.donated) :]
        return [[values[i] for i in part] for part in (self.donated, kept, self.fixed)]

    def executable(self):
        """Return the compiled function; waits for it."""
        if self._compiled is None:
            self.compile()
            self._compiled, self.compile_seconds = self._future.result()
            self._future = None
        return self._compiled

    def compiled_within(self, seconds):
        """Say whether it is compiled, or will be within some seconds; begins to compile it."""
        if self._compiled is not None:
            return True
        self.compile()
        future = self._future  # None where another thread has just taken what it made
        return future is None or bool(concurrent.futures.wait([future], seconds).done)

    @functools.cached_property
    def chunk_bytes(self):
        """The memory of the buffers of one chunk."""
        return bytes_of(self._slot_specs(self.capacity)[1])

    def note_seconds(self, seconds, steps=1, exact=True):
        """Learn from a chunk how long each of its steps takes: the median of the last few.

        Args:
            seconds: of each step.
            steps: how many the chunk had.
            exact: whether its end was seen, and not found to have been.
        """
        self._latest_seconds.append(seconds)
        self.seconds_per_step = statistics.median(self._latest_seconds)
        if self._ran:  # the first dispatch does what no other does
            self._chunks.append((steps, exact, seconds))
        self._ran = True

    @property
    def measured_seconds(self):
        """What a step takes, for people: that of the longer chunks; None while it is not known.

        `seconds_per_step` knows from the first chunk on, and has the cost of short ones in it.
        """
        longest = max((steps for steps, *_ in self._chunks), default=0)
        long = [chunk for chunk in self._chunks if 2 * chunk[0] >= longest]
        times = [chunk[-1] for chunk in long if chunk[1]] or [chunk[-1] for chunk in long]
        return statistics.median_low(times) if times else None

    @property
    def compiled(self):
        """Whether it is compiled."""
        return self._compiled is not None

    @property
    def ready(self):
        """Whether it is compiled, or about to be."""
        return self._compiled is not None or self._future is not None

    def _slot_specs(self, capacity):
        """Specs of a chunk: the control numbers, and the buffers."""
        specs = self._batch_specs()
        return CONTROL, [jax.ShapeDtypeStruct((capacity, *s.shape), s.dtype) for s in specs]

    def _batch_specs(self):
        """Specs of what a chunk holds of one batch: its arrays, or the numbers of its rows."""
        if self.resident:
            return (jax.ShapeDtypeStruct((self.specs[0].shape[0],), "int32"),)
        return self.specs

    def _shardings(self, spread):
        """How arguments and results lie, as options of `jax.jit`."""
        donated, kept, fixed = self.parts(spread.values)
        _, buffers = self._slot_specs(self.capacity)
        sent = spread.replicated, [spread.rows(b.shape, 1) for b in buffers]
        logs = spread.results(self.log_specs)
        return {
            "in_shardings": (donated, kept, fixed, sent, [spread.replicated] * len(self.resident)),
            "out_shardings": (logs, spread.replicated, [*donated, *kept]),
        }

    def _chunk(self, donated, kept, fixed, slot, resident):
        """Run the step on the first batches of a chunk.

        Returns:
            ``(stacked logs, done, carried values)``; `done` is there when all the rest is.
        """
        control, buffers = slot
        places = [*self.carried, *self.fixed]
        run = jaxpr_as_fun(self._closed)

        def step(index, carried):
            batch = [jax.lax.dynamic_index_in_dim(b, index, keepdims=False) for b in buffers]
            if resident:
                batch = [leaf.at[batch[0]].get(mode="clip") for leaf in resident]
            if self.spread is not None:
                batch = self.spread.constrain_rows(batch)
                carried = self.spread.constrain(carried, self.carried)
            key = jnp.stack([control[0], control[1] + index])
            given = dict(zip(places, [*carried, *fixed], strict=True))
            values = [given[place] for place in sorted(places)]
            results = run(*values, key, *batch)
            logs, new = results[: len(self.log_specs)], results[len(self.log_specs) :]
            carried = [new[i] for i in self.carried]
            if self.spread is not None:
                carried = self.spread.constrain(carried, self.carried)
            return logs, carried

        if self.capacity == 1:
            logs, carried = step(jnp.uint32(0), [*donated, *kept])
            return [jnp.asarray(log)[None] for log in logs], control[2], carried

        def body(index, state):
            carried, stacked = state
            logs, carried = step(index, carried)
            stacked = [
                jax.lax.dynamic_update_index_in_dim(s, log, index, 0)
                for s, log in zip(stacked, logs, strict=True)
            ]
            return carried, stacked

        stacked = [jnp.zeros((self.capacity, *s.shape), s.dtype) for s in self.log_specs]
        start = [*donated, *kept], stacked  # numbers without a sign need no look at the sign
        carried, stacked = jax.lax.fori_loop(jnp.uint32(0), control[2], body, start)
        return stacked, _work(control), carried


def _capacity(inputs, outputs):
    """Return how many batches fit the buffers: a power of two, at least 1."""
    largest = max(bytes_of(inputs), bytes_of(outputs), 1)
    fitting = max(BUFFER_BYTES // largest, 1)
    return min(1 << (fitting.bit_length() - 1), MOST_STEPS)


def _work(control):
    """Return a number that takes some 1,500 operations.

    JAX's CPU client runs a program that it takes for cheap (fewer than 1,000 operations, those of
    a loop's body counted once) in the thread that calls; then nothing could overlap with it.
    """
    return jnp.sum((control[2].astype("float32") + jnp.arange(512.0)) ** 2)


def _timed(compile_):
    begin = time.perf_counter()
    compiled = compile_()
    seconds = time.perf_counter() - begin
    if seconds > _LONG_COMPILING:
        memory.give_back()
    return compiled, seconds
