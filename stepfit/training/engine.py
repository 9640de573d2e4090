"""The engine: it decides how a step is run; the step never knows.

A *runner* holds one kind of step (train, test or predict) of one model: the step as a pure
function, its programs (one for each form of batch), and the cell that the model's Variables share
with it while it runs. Whatever is wrong with a step shows while it is traced, before any value is
touched; the training state is donated only to a function that has been compiled.
"""

import threading
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import compilation_cache, config, errors, placement
from stepfit.core.tracking import Watch
from stepfit.core.variable import gather
from stepfit.random.seed_generator import global_generator
from stepfit.training.buffers import trim
from stepfit.training.contract import check_traced
from stepfit.training.data import ArraySource
from stepfit.training.feed import Chunk, device_budget, to_device, write_batch
from stepfit.training.logs import Result
from stepfit.training.program import Program, Traced, form_of, spec
from stepfit.training.spread import (
    global_specs,
    note_dispatched,
    one_at_a_time,
    spread_batch,
)
from stepfit.training.state import PARTS, Layout
from stepfit.training.step import Step

TICK = 0.1  # seconds; how often progress, logs and requests to stop are looked at, about
_SLOW_STEPS, _SLOW_TICK = 4, 0.5  # slow steps come by so many, while that takes no longer than this
_MAX_DISCOVERIES = 8
SINGLE = "a single batch"  # why `train_on_batch` and its like run one step
_dispatching = threading.RLock()  # from taking a model's values to giving it the new ones


class Runner:
    """Runs one kind of step of one model.

    Args:
        model: the model.
        kind: "train", "test" or "predict".
        eager: why the step is run without compiling it, or None.
        steps: number of steps in one dispatch, or "auto".
    """

    def __init__(self, model, kind, eager: str | None = None, steps: Any = "auto"):
        self.model, self.kind, self.eager, self.steps = model, kind, bool(eager), steps
        self.why_eager = eager
        self.cell: Any = None  # these come with the first batch
        self._cell_layout: Any = None
        self.step: Any = None
        # In the last pass: waited for data, waited for programs to be made, and passed.
        self.seconds = {"data": 0.0, "compile": 0.0, "all": 0.0}
        self.making_seconds = 0.0  # in which programs were traced, so far
        self.dispatched: dict[int, int] = {}  # steps per dispatch -> how often, in the last pass
        self.ran: dict[Program, int] = {}  # program -> steps, in the last pass
        self.one_by_one: str | None = None  # why steps ran one at a time in the last pass, if so
        self.guard: Any = None  # what watches for losses that are not finite, if anything does
        self.announced = False  # whether the user was told how steps run
        self._watch: Any = None
        self._distribution: Any = None  # when the model was last looked at
        self._programs: dict[Any, Program] = {}
        self._traced: dict[Any, Traced] = {}
        self._extras: list = []
        self._earlier_traces = 0

    @property
    def traces(self):
        """How often the user's step was traced."""
        return self._earlier_traces + (self.step.traces if self.step else 0)

    @property
    def log_names(self):
        """The names in the logs of the step, once it was traced."""
        return self.step.log_names if self.step else []

    @property
    def programs(self):
        """The programs there are, one for each form of batch."""
        return list(self._programs.values())

    # -- the state and the programs --------------------------------------------------------------

    def layout(self):
        """Return the layout of the state as the model is now."""
        parts = {name: self.model._state_part(name) for name in PARTS[self.kind]}
        extras = [*self.model._hidden_variables(), *self._extras]
        schedules = tuple(getattr(o, "version", 0) for o in self.model._optimizers())
        layers = self.model._flatten_layers()
        frozen = tuple(layer._trainable for layer in layers)
        versions = (schedules, frozen, self.distribution())
        held = [*layers, *self.model._optimizers(), *self.model._all_metrics()]
        touched = tuple((id(item), item._changed_at) for item in held)
        return Layout(self.kind, parts, extras, versions, touched)

    def distribution(self):
        """Return what spreads the model over several devices, or None."""
        return self.model._distribution or placement.in_force()

    def with_other_processes(self):
        """Say whether other processes run the same steps, on other parts of the data."""
        distribution = self.distribution()
        return distribution is not None and distribution.spans_processes

    def settled(self):
        """Say whether the model is as it was when its step was last looked at."""
        if self._watch is None or self._watch.changed():
            return False
        return self._distribution is self.distribution()

    def knows(self, batch):
        """Say whether batches of this form were prepared, and the model is as it was then."""
        return self.settled() and (self.eager or self._form_of(batch)[0] in self._traced)

    def _form_of(self, batch):
        """Return the form of a batch as all processes together have it."""
        key, structure, specs = form_of(batch)
        distribution = self.distribution()
        if distribution is not None:
            specs = global_specs(distribution, specs)
            key = (structure, tuple((s.shape, s.dtype) for s in specs))
        return key, structure, specs

    def prepare(self, batch):
        """Trace the step for a batch's form; raise what is wrong; change nothing.

        A step may make Variables (a layer built on first call, an optimizer's slots) or use some
        that the model does not reach. Then the state is formed anew and the step traced again.

        Args:
            batch: arrays or their specs.

        Returns:
            The `Traced` step (None where steps are not compiled).
        """
        form, structure, specs = self._form_of(batch)
        if self.knows(batch):
            return self._traced.get(form)
        self._bind(self.layout())
        if not self.eager and form not in self._traced:
            with placement.within(self.distribution()):
                self._traced[form] = self._trace(structure, specs)
        self._watch, self._distribution = Watch(self.model), self.distribution()
        return self._traced.get(form)

    def _trace(self, structure, specs):
        compilation_cache.ensure_compilation_cache()
        for _ in range(_MAX_DISCOVERIES):
            self.step.closed = False
            values = [v.peek_or_spec() for v in self.step.layout.variables]
            traced = Traced(self.step, values, structure, specs)
            self._extras += self.step.guests
            layout = self.layout()
            if layout.key == self.step.layout.key:
                self.step.layout.touched = layout.touched  # tracing may have made things
                self.step.closed = True
                check_traced(self.step, traced)
                return traced
            self._bind(layout)
        raise errors.StepfitRuntimeError(
            f"{self.step.name}: expected to make its variables once, found new ones made each time "
            "it was traced; make variables and layers in __init__ or build."
        )

    def _bind(self, layout):
        """Have the step as a function of a layout; keep what there is if it is the same."""
        if self.step is not None and self.step.layout.key == layout.key:
            if self.step.layout.touched == layout.touched:
                return
        self._earlier_traces = self.traces
        self.step = Step(self.model, self.kind, layout)
        self._programs, self._traced = {}, {}
        self.cell = None

    def program(self, batch, capacity=None, resident=()):
        """Return the program for batches of some form.

        Args:
            batch: arrays or their specs.
            capacity: batches in a chunk; default by their size.
            resident: arrays on the device that batches are gathered from.
        """
        form, _, specs = self._form_of(batch)
        key = (form, capacity, tuple((x.shape, x.dtype) for x in resident))
        if key not in self._programs:
            begin = time.perf_counter()
            traced = self.prepare(batch)
            # A step that calls Python may fail half-way: the old state stays until it is through.
            self._programs[key] = Program(
                traced, specs, capacity, tuple(map(spec, resident)), donate=not traced.calls_back,
                least=1 if self.steps == "auto" else self.steps, distribution=self.distribution(),
            )  # fmt: skip
            self.making_seconds += time.perf_counter() - begin
        return self._programs[key]

    def program_of(self, source, rows, resident):
        """Return the program for the batches of so many rows of a source of arrays.

        Args:
            source: an `ArraySource`.
            rows: number of rows.
            resident: its arrays on the device, as `resident` returns them.
        """
        alone = 1 if source.most_together(rows) == 1 else None
        return self.program(source.batch_specs(rows), alone, resident)

    def holds(self, program):
        """Say whether a program is of the model as it was last looked at."""
        return program is not None and program.layout is self.step.layout

    def warm_up(self, source):
        """Begin to compile what the first batch of a source of arrays will need."""
        if isinstance(source, ArraySource) and not self.eager and self.knows(source.form()):
            rows, _ = source.run_of(0, 0)
            self.program_of(source, rows, self.resident(source)).compile()

    def resident(self, source):
        """Return the arrays of a source on the device, if they fit the budget; else ()."""
        budget = device_budget(config.device_data_budget())
        if self.eager or source.nbytes > budget:
            return ()
        distribution = self.distribution()
        if source.on_device is None or source.on_device[0] is not distribution:
            sharding = None if distribution is None else distribution.replicated()
            source.on_device = distribution, to_device(jax.tree.leaves(source.data), sharding)
        return source.on_device[1]

    def most_steps(self, program, agreed=None):
        """Return how many steps the next chunk of a program may have.

        Args:
            program: the `Program`.
            agreed: what takes the place of the time measured, which differs between processes.
        """
        if not program.fused:
            return 1
        if self.steps != "auto":
            return min(self.steps, program.capacity)
        if self.one_by_one or program.seconds_per_step is None:
            return 1
        if agreed is not None:
            return min(agreed, program.capacity)
        return min(_steps_in_time(program.seconds_per_step), program.capacity)

    def longest(self, program, one_by_one):
        """Return ``(steps, timed)``: the most that a dispatch of a program has, as far as is known,
        and whether it is their time that allows no more.

        Args:
            program: the `Program`.
            one_by_one: why steps run one at a time, or None.
        """
        if one_by_one or not program.fused:
            return 1, False
        if self.steps != "auto":
            return self.most_steps(program), False
        if program.measured_seconds is None:
            return program.capacity, False
        steps = _steps_in_time(min(program.measured_seconds, program.seconds_per_step))
        return min(steps, program.capacity), steps < program.capacity

    def why_single(self, of_callbacks):
        """Return why steps run one at a time, or None where they need not.

        Args:
            of_callbacks: why callbacks need that, or None.
        """
        if self.steps == "auto":
            return of_callbacks
        return "steps_per_execution=1" if self.steps == 1 else None

    # -- running ---------------------------------------------------------------------------------

    def run(self, chunk):
        """Run the steps of a chunk, in one dispatch; returns their `Result`, perhaps in advance."""
        program, slot = chunk.program, chunk.slot
        execute = program.executable()
        slot.control[:2] = global_generator().reserve(chunk.count)
        slot.control[2] = chunk.count
        with _dispatching:
            if program.spread is not None:
                one_at_a_time()
            values = self._cell(program.layout, program.donated).values
            if self.guard is not None:
                self.guard.before(chunk, values)
            logs, done, carried = execute(
                *program.parts(values), slot.on_device(), list(chunk.resident)
            )
            if program.spread is not None:
                note_dispatched(done)
            if not program.calls_back:
                _replace(values, program.carried, carried)
        if program.calls_back:  # the old values stay until it is through
            jax.block_until_ready(done)
            _replace(values, program.carried, carried)
        if self.guard is not None:  # which keeps the slot
            self.guard.after(values, done)
        else:
            slot.give_back(done)
        self.dispatched[chunk.count] = self.dispatched.get(chunk.count, 0) + 1
        self.ran[program] = self.ran.get(program, 0) + chunk.count
        return Result(program, chunk, logs, done)

    def run_batch(self, batch):
        """Run one step on one batch; returns its outputs, or its logs as they lie on the device."""
        self.begin(SINGLE)
        if self.eager:
            result = self._run_eagerly(batch)
            return jax.tree.map(np.array, result) if self.kind == "predict" else result
        program = self.program(batch, capacity=1)
        slot = program.ring.take()
        write_batch(program, slot, 0, batch)
        result = self.run(Chunk(program, slot, 0, 1))
        if self.kind != "predict":
            return result.logs()
        return jax.tree.map(np.copy, result.outputs(0))  # to write to: not the device's own memory

    def _run_eagerly(self, batch):
        self._bind(self.layout())
        layout = self.step.layout
        key = global_generator().reserve()
        batch = jax.tree.map(_as_array, batch)
        if self.distribution() is not None:
            batch = spread_batch(self.distribution(), batch)
        with _dispatching:
            cell = self._cell(layout, range(len(layout.variables)))
            if self.guard is not None:
                self.guard.before_eager(self.step, cell.values, key, batch)
            result, cell.values = self.step(list(cell.values), key, batch)
        for variable, value in self.step.guest_values:
            variable.assign(value)
        return result

    def _cell(self, layout, donated):
        """Return the cell of a layout, with no value to be donated that somebody else holds."""
        if self.cell is None or self.cell.left or self._cell_layout is not layout:
            self._place(layout.variables)
            self.cell, self._cell_layout = gather(layout.variables), layout
        elif self.cell.escaped:
            for index in self.cell.escaped.intersection(donated):
                self.cell.values[index] = jnp.array(self.cell.values[index])
                self.cell.escaped.discard(index)
        return self.cell

    def _place(self, variables):
        """Have the values lie as the distribution says, or on one device again."""
        distribution = self.distribution()
        for v in variables:
            if distribution is not None:
                v.place(distribution.sharding_of(v))
            elif v.sharding is not None:
                v.place(None)

    def begin(self, one_by_one=None):
        """Begin a pass over some data.

        Args:
            one_by_one: why steps are to run one at a time, if so.
        """
        self.seconds, self.dispatched = dict.fromkeys(self.seconds, 0.0), {}
        self.ran = {}
        self.one_by_one = self.why_single(one_by_one)

    def finish(self, seconds):
        """Note how long a pass took, and give up large buffers."""
        self.seconds["all"] = seconds
        trim([program.ring for program in self._programs.values()])


def _steps_in_time(seconds):
    """Return how many steps of so many seconds go together."""
    steps = int(TICK / seconds)
    if steps < _SLOW_STEPS:
        steps = max(1, min(_SLOW_STEPS, int(_SLOW_TICK / seconds)))
    return steps


def _replace(values, places, new):
    for place, value in zip(places, new, strict=True):
        values[place] = value


def _as_array(x):
    return x if isinstance(x, (jax.Array, np.ndarray)) else np.asarray(x)
