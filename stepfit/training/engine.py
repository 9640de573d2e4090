"""The engine: it decides how a step is run; the step never knows.

A *runner* holds one kind of step (train, test or predict) of one model: the step as a pure
function, the compiled forms of it, and the cell that the model's Variables share with it while it
runs. Whatever is wrong with a step shows while it is traced, before any value is touched; the
training state is donated only to a function that has been compiled.
"""

import collections

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import errors
from stepfit.core.variable import gather
from stepfit.random.seed_generator import global_generator
from stepfit.training.state import Layout
from stepfit.training.step import Step, parts_for

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
        self.cell = None
        self.step = None
        self._single = self._fused = None
        self._checked = set()
        self._extras = []
        self._earlier_traces = 0

    @property
    def traces(self):
        """How often the user's step was traced."""
        return self._earlier_traces + (self.step.traces if self.step else 0)

    # -- the state and the functions -------------------------------------------------------------

    def layout(self):
        """Return the layout of the state as the model is now."""
        parts = {name: self.model._state_part(name) for name in parts_for(self.kind)}
        extras = [global_generator().state, *self.model._hidden_variables(), *self._extras]
        versions = tuple(getattr(o, "version", 0) for o in self.model._optimizers())
        return Layout(self.kind, parts, extras, versions)

    def prepare(self, batch):
        """Trace the step for a batch's shapes; raise what is wrong; change nothing.

        A step may make Variables (a layer built on first call, an optimizer's slots) or use some
        that the model does not reach. Then the state is formed anew and the step traced again.
        """
        batch = to_device_form(batch)
        self._bind(self.layout())
        key = self._batch_key(batch)
        if key in self._checked or self.eager:
            return
        for _ in range(_MAX_DISCOVERIES):
            self._single.trace(self._peek(), batch)
            self._extras += self.step.guests
            layout = self.layout()
            if layout.key == self.step.layout.key:
                self._checked.add(key)
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
        donate = (0,) if self.kind == "train" else ()
        self._single = jax.jit(self.step, donate_argnums=donate)
        self._fused = jax.jit(self._scan, donate_argnums=donate)
        self._checked = set()
        self.cell = None

    def _scan(self, values, batches):
        """Run the step on K stacked batches; the logs of the last one are returned."""

        def body(values, batch):
            logs, values = self.step(values, batch)
            return values, logs

        values, logs = jax.lax.scan(body, values, batches)
        if self.kind != "predict":
            logs = jax.tree.map(lambda x: x[-1], logs)
        return logs, values

    def _peek(self):
        return [v.peek() for v in self.step.layout.variables]

    def _batch_key(self, batch):
        leaves, structure = jax.tree.flatten(batch)
        return structure, tuple((x.shape, str(x.dtype)) for x in leaves)

    # -- running ---------------------------------------------------------------------------------

    def run(self, batch):
        """Run one step on one batch; returns its logs (device scalars) or outputs."""
        return self._dispatch(self._single, to_device_form(batch))

    def run_many(self, batches):
        """Run one step on each of several batches of the same shapes, in one dispatch."""
        if self.eager or len(batches) == 1:
            results = [self.run(b) for b in batches]
            return results if self.kind == "predict" else results[-1]
        stacked = jax.tree.map(lambda *xs: np.stack([np.asarray(x) for x in xs]), *batches)
        result = self._dispatch(self._fused, to_device_form(stacked))
        if self.kind == "predict":
            return [jax.tree.map(lambda x, i=i: x[i], result) for i in range(len(batches))]
        return result

    def _dispatch(self, function, batch):
        cell = self._cell()
        if self.eager:
            result, values = self.step(list(cell.values), batch)
        else:
            result, values = function(cell.values, batch)
        cell.values = values
        return result

    def _cell(self):
        """Return the cell, with no value in it that somebody else holds."""
        variables = self.step.layout.variables
        if self.cell is None or self.cell.left:
            self.cell = gather(variables)
        elif self.cell.escaped and self.kind == "train":
            for index in self.cell.escaped:
                self.cell.values[index] = jnp.array(self.cell.values[index])
            self.cell.escaped = set()
        return self.cell


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
