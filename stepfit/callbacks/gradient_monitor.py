"""Norms of the gradients, seen where the optimizers receive them."""

import re
from typing import Any

import jax.numpy as jnp
import numpy as np

from stepfit.callbacks import optimizers
from stepfit.callbacks.callback import Callback
from stepfit.core import errors, jax_private
from stepfit.core import scope as scopes
from stepfit.core.variable import Variable

_LAST, _TOTAL, _FINITE, _LARGEST, _BAD = range(5)  # columns of a table, one row per group
_GLOBAL = "global"


class GradientMonitor(Callback):
    """Records the norms of the gradients, with any training step that uses stepfit's optimizers.

    ``norm(group) = sqrt(sum of the squares of the gradients of its variables)``

    While it trains, each optimizer hands the gradients that `apply` is given to this callback,
    inside the compiled step: before clipping, free of loss scaling. The norms are a few numbers
    more in the state of the step; steps stay fused. The step is compiled anew when `fit` begins.
    Gradients that a step applies inside a `jax.jit` of its own are not seen.

    Args:
        by: "layer", "variable", or a dict from the name of a group to a pattern (regular
            expression) that the paths of its variables contain.
        every: also record the norms of every so many steps of an epoch, in `steps`.
        log: whether the mean global norm of each epoch goes into the logs, as "gradient_norm".

    Attributes:
        history: dict from a group, "global" first, to a dict of three lists with one value per
            epoch: "mean" and "max" of the norms that are finite, "nonfinite", how many are not.
        steps: list of dicts with "epoch", "batch" and "norms", a dict by group.

    Raises:
        ValueError: a pattern that fits no variable; at the end of the first epoch, where no
            gradients were seen.

    Example:

    >>> import numpy as np, stepfit as keras
    >>> model = keras.Sequential([keras.layers.Dense(1, name="head")], name="net")
    >>> model.compile("sgd", "mse")
    >>> x, monitor = np.ones((8, 2), "float32"), keras.callbacks.GradientMonitor()
    >>> history = model.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=[monitor])
    >>> list(monitor.history), len(monitor.history["net/head"]["mean"])
    (['global', 'net/head'], 2)
    """

    def __init__(self, by="layer", every=None, log=True):
        super().__init__()
        if not isinstance(by, dict) and by not in ("layer", "variable"):
            expected = "'layer', 'variable' or a dict from names to patterns"
            raise errors.bad_value("GradientMonitor(by)", expected, errors.describe(by))
        wrong_type = isinstance(every, bool) or not isinstance(every, int)
        if every is not None and (wrong_type or every < 1):
            expected = "a positive number of steps, or None"
            raise errors.bad_value("GradientMonitor(every)", expected, errors.describe(every))
        self.by, self.every, self.log = by, every, log
        self.history: dict[str, dict[str, list[float]]] = {}
        self.steps: list[dict[str, Any]] = []
        self._epoch = 0
        self._tables: dict[int, tuple[Any, list[str], Any]] = {}  # optimizer, groups, Variable
        self._early: list[Any] = []  # tables of an earlier run, in the order of the optimizers

    def on_train_begin(self, logs=None):
        self.history, self.steps, self._tables, self._early = {}, [], {}, []
        for optimizer in optimizers.all_of(self.model):
            optimizer._on_gradients = self._observe

    def on_train_end(self, logs=None):
        for optimizer in optimizers.all_of(self.model):
            optimizer._on_gradients = None

    def interrupted(self):
        self.on_train_end()

    def failed(self):
        self.on_train_end()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def needs_model_after(self, batch):
        return None if self.every is None else batch + -(batch + 1) % self.every

    def on_train_batch_end(self, batch, logs=None):
        if self.every is not None and (batch + 1) % self.every == 0:
            norms = {name: float(row[_LAST]) for name, row in self._rows()}
            self.steps.append({"epoch": self._epoch, "batch": batch, "norms": norms})

    def on_epoch_end(self, epoch, logs=None):
        rows = list(self._rows())
        if not rows:
            raise errors.bad_value(
                "GradientMonitor", "a training step that calls apply of an optimizer of stepfit",
                "none whose gradients could be seen", "leave GradientMonitor out",
            )  # fmt: skip
        for name, row in rows:
            kept = self.history.setdefault(name, {"mean": [], "max": [], "nonfinite": []})
            kept["mean"].append(float(row[_TOTAL] / row[_FINITE]) if row[_FINITE] else float("nan"))
            kept["max"].append(float(row[_LARGEST]) if row[_FINITE] else float("nan"))
            kept["nonfinite"].append(int(row[_BAD]))
            if self.log and logs is not None and name.endswith(_GLOBAL):
                logs[name.removesuffix(_GLOBAL) + "gradient_norm"] = kept["mean"][-1]
        for _, groups, table in self._tables.values():
            table.assign(np.zeros((len(groups), 5), "float32"))

    def _rows(self):
        """Yield each group's name and its row of the table."""
        several = len(self._tables) > 1
        for optimizer, groups, table in self._tables.values():
            prefix = f"{optimizer.name}/" if several else ""
            for name, row in zip(groups, table.numpy(), strict=True):
                yield prefix + name, row

    def state(self):
        history = {k: {n: list(v) for n, v in kept.items()} for k, kept in self.history.items()}
        tables = [table.numpy() for _, _, table in self._tables.values()]
        return {"history": history, "steps": list(self.steps), "tables": tables or self._early}

    def restore(self, state):
        self.history = {k: {n: list(v) for n, v in kept.items()}
                        for k, kept in state["history"].items()}  # fmt: skip
        self.steps, self._early = list(state["steps"]), list(state["tables"])

    # -- inside the step ---------------------------------------------------------------------------

    def _observe(self, optimizer, grads, variables, scale=None):
        """Take note of what an optimizer is about to apply; called while the step is traced."""
        root = scopes.root_scope()
        if root is None or not root.is_step or not jax_private.in_trace_of(root.first_value()):
            return
        variables = optimizer._trainable_variables if variables is None else list(variables)
        groups, table = self._table(optimizer, variables)
        squares: dict[str, Any] = {}
        for gradient, variable in zip(grads, variables, strict=False):
            if gradient is None:
                continue
            gradient = jnp.asarray(gradient, "float32")
            square = jnp.sum(gradient**2)
            for name in (_GLOBAL, *self._groups_of(variable)):
                squares[name] = squares.get(name, 0.0) + square
        rows = np.array([groups.index(name) for name in squares], "int32")
        norms = jnp.sqrt(jnp.stack(list(squares.values())))
        if scale is not None:
            norms = norms / scale
        finite = jnp.isfinite(norms)
        counted = jnp.where(finite, norms, 0)
        value = root.get_current_value(table)
        if value is None:
            root.guests[id(table)] = table
            value = table.peek()
        old = value[rows]
        new = jnp.stack([
            norms, old[:, _TOTAL] + counted, old[:, _FINITE] + finite,
            jnp.maximum(old[:, _LARGEST], counted), old[:, _BAD] + ~finite,
        ], axis=1)  # fmt: skip
        root.bind(table, value.at[rows].set(new))

    def _table(self, optimizer, variables):
        """Return the groups of an optimizer and the Variable with their numbers."""
        if id(optimizer) not in self._tables:
            everything = optimizer._trainable_variables or variables
            groups = list(dict.fromkeys(g for v in everything for g in self._groups_of(v)))
            self._check_patterns(groups)
            groups.insert(0, _GLOBAL)
            value = np.zeros((len(groups), 5), "float32")
            if self._early:
                value = self._early.pop(0)
            table = Variable(value, trainable=False, autocast=False, name="gradient_norms")
            table.in_callback_state = True
            self._tables[id(optimizer)] = (optimizer, groups, table)
        return self._tables[id(optimizer)][1:]

    def _groups_of(self, variable):
        if isinstance(self.by, dict):
            return [name for name, pattern in self.by.items() if re.search(pattern, variable.path)]
        path = variable.path
        return [path if self.by == "variable" else path.rpartition("/")[0] or path]

    def _check_patterns(self, groups):
        if not isinstance(self.by, dict) or len(optimizers.all_of(self.model)) > 1:
            return
        for name, pattern in self.by.items():
            if name not in groups:
                raise errors.bad_value(
                    f"GradientMonitor(by={{{name!r}: ...}})",
                    "a pattern that the path of some trainable variable contains", repr(pattern),
                )  # fmt: skip
