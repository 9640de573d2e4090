"""The engine: it decides how a step is run; the step never knows.

A *runner* holds one kind of step (train, test or predict) of one model: the step as a pure
function, the compiled forms of it, and the cell that the model's Variables share with it while it
runs. Whatever is wrong with a step shows while it is traced, before any value is touched; the
training state is donated only to a function that has been compiled.
"""

import collections
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import errors, jax_private
from stepfit.core.variable import gather
from stepfit.random.seed_generator import global_generator
from stepfit.training.state import PARTS, Layout
from stepfit.training.step import Discovery, Step

_MAX_DISCOVERIES = 8


class Runner:
    """Runs one kind of step of one model.

    Args:
        model: the model.
        kind: "train", "test" or "predict".
        eager: run the step without compiling it, to look for mistakes.
        fuse: number of steps in one dispatch.
    """

    def __init__(self, model, kind, eager=False, fuse=1):
        self.model, self.kind, self.eager, self.fuse = model, kind, eager, fuse
        self.cell: Any = None  # these come with the first batch
        self.step: Any = None
        self._single: Any = None
        self._fused: Any = None
        self._careful = False
        self._checked: set = set()
        self._extras: list = []
        self._earlier_traces = 0

    @property
    def traces(self):
        """How often the user's step was traced."""
        return self._earlier_traces + (self.step.traces if self.step else 0)

    # -- the state and the functions -------------------------------------------------------------

    def layout(self):
        """Return the layout of the state as the model is now."""
        parts = {name: self.model._state_part(name) for name in PARTS[self.kind]}
        extras = [*self.model._hidden_variables(), *self._extras]
        schedules = tuple(getattr(o, "version", 0) for o in self.model._optimizers())
        frozen = tuple(layer._trainable for layer in self.model._flatten_layers())
        return Layout(self.kind, parts, extras, (schedules, frozen))

    def prepare(self, batch):
        """Trace the step for a batch's shapes; raise what is wrong; change nothing.

        A step may make Variables (a layer built on first call, an optimizer's slots) or use some
        that the model does not reach. Then the state is formed anew and the step traced again.
        """
        batch = to_device_form(batch)
        self._bind(self.layout())
        key = _shapes(batch)
        if key in self._checked or self.eager:
            return
        for _ in range(_MAX_DISCOVERIES):
            self.step.closed = False
            values = [v.peek() for v in self.step.layout.variables]
            traced = self._single.trace(values, np.zeros(2, "uint32"), batch)
            self._extras += self.step.guests
            layout = self.layout()
            if layout.key == self.step.layout.key:
                self.step.closed = True
                self._checked.add(key)
                if not self._careful and jax_private.calls_back(traced.jaxpr.jaxpr):
                    self._compile(careful=True)
                return
            self._bind(layout)
        raise errors.StepfitRuntimeError(
            f"{self.step.name}: expected to make its variables once, found new ones made each time "
            "it was traced; make variables and layers in __init__ or build."
        )

    def _bind(self, layout):
        """Have compiled functions for a layout; keep those there are if it is the same."""
        if self.step is not None and self.step.layout.key == layout.key:
            return
        self._earlier_traces = self.traces
        self.step = Step(self.model, self.kind, layout)
        self._compile(careful=False)
        self._checked = set()
        self.cell = None

    def _compile(self, careful):
        """Make the compiled functions.

        Args:
            careful: whether a step may fail while it runs, as one that calls Python may: then the
                old state is kept until the new one is there.
        """
        self._careful = careful
        donate = (0,) if self.kind == "train" and not careful else ()
        self._single = jax.jit(self.step, donate_argnums=donate)
        self._fused = jax.jit(self._scan, donate_argnums=donate)

    def _scan(self, values, key, batches):
        """Run the step on K stacked batches; the logs of the last one are returned."""
        count = jax.tree.leaves(batches)[0].shape[0]
        numbers = jnp.arange(count, dtype="uint32")
        keys = jnp.stack([jnp.broadcast_to(key[0], count), key[1] + numbers], axis=1)

        def body(values, inputs):
            logs, values = self.step(values, *inputs)
            return values, logs

        values, logs = jax.lax.scan(body, values, (keys, batches))
        if self.kind != "predict":
            logs = jax.tree.map(lambda x: x[-1], logs)
        return logs, values

    # -- running ---------------------------------------------------------------------------------

    def run(self, batch):
        """Run one step on one batch; returns its logs (device scalars) or outputs."""
        return self._dispatch(to_device_form(batch), 1)

    def run_many(self, batches):
        """Run one step on each of several batches of the same shapes, in one dispatch.

        Returns:
            The last step's logs; for "predict" a list of outputs, one for each batch.
        """
        if self.eager or len(batches) == 1:
            results = [self.run(b) for b in batches]
            return results if self.kind == "predict" else results[-1]
        stacked = jax.tree.map(lambda *xs: np.stack([np.asarray(x) for x in xs]), *batches)
        result = self._dispatch(to_device_form(stacked), len(batches))
        if self.kind == "predict":
            return [jax.tree.map(lambda x, i=i: x[i], result) for i in range(len(batches))]
        return result

    def _dispatch(self, batch, count):
        key = global_generator().reserve(count)
        if self.eager:
            return self._run_eagerly(key, batch)
        while True:
            cell = self._cell()
            function = self._single if count == 1 else self._fused
            try:
                result, values = function(cell.values, key, batch)
            except Discovery:  # in tracing: nothing has been run
                self.prepare(batch if count == 1 else jax.tree.map(lambda x: x[0], batch))
                continue
            if self._careful:
                jax.block_until_ready((result, values))
            cell.values = values
            return result

    def _run_eagerly(self, key, batch):
        self._bind(self.layout())
        cell = self._cell()
        result, cell.values = self.step(list(cell.values), key, batch)
        for variable, value in self.step.guest_values:
            variable.assign(value)
        return result

    def _cell(self):
        """Return the cell, with no value in it that somebody else holds."""
        if self.cell is None or self.cell.left:
            self.cell = gather(self.step.layout.variables)
        elif self.cell.escaped and self.kind == "train":
            for index in self.cell.escaped:
                self.cell.values[index] = jnp.array(self.cell.values[index])
            self.cell.escaped = set()
        return self.cell


def _shapes(batch):
    leaves, structure = jax.tree.flatten(batch)
    return structure, tuple((x.shape, str(x.dtype)) for x in leaves)


def to_device_form(batch):
    """Return a batch with every array in a dtype that JAX has (float64 as float32)."""
    return jax.tree.map(_as_array, batch)


def _as_array(x):
    if isinstance(x, (jax.Array, np.ndarray)):
        return x
    return np.asarray(x)


class LazyLogs(collections.abc.Mapping):
    """Logs as Python floats, fetched from the device when first looked at."""

    def __init__(self, logs):
        self._logs, self._floats = logs, None

    def _fetch(self):
        if self._floats is None:
            self._floats = to_floats(self._logs)
        return self._floats

    def __getitem__(self, key):
        return self._fetch()[key]

    def __iter__(self):
        return iter(sorted(self._logs))

    def __len__(self):
        return len(self._logs)

    def __repr__(self):
        return repr(self._fetch())


def to_floats(logs):
    """Return logs as a dict of Python floats, sorted by name, in one transfer."""
    if isinstance(logs, LazyLogs):
        return dict(logs)
    return {k: float(v) for k, v in sorted(jax.device_get(dict(logs)).items())}
