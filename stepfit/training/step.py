"""A model's step as one pure function of its state, whichever way the user wrote it.

*Stateless*: ``train_step(self, state, data)`` returns ``(logs, state)``.
*Stateful*: ``train_step(self, data)`` returns logs and works by side effect (GradientTape style).

Both run inside one scope that maps every Variable of the model to its traced value. A stateful step
leaves its results in the scope. A stateless step returns them; what it assigned besides
(`metric.update_state`, `variable.assign`, `optimizer.apply`) is in the scope and is merged in. So
both become the same function ``(values, batch) -> (logs, values)``.
"""

import collections
import inspect
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import errors, scope
from stepfit.metrics import Mean
from stepfit.random.seed_generator import global_generator
from stepfit.training import contract
from stepfit.training.compiled import LossTracker
from stepfit.training.frozen import Frozen
from stepfit.training.leftovers import leave_behind
from stepfit.training.state import TrainState

_RETURNS = {
    "train": "(logs, (trainable, non_trainable, optimizer, metrics))",
    "test": "(logs, (trainable, non_trainable, metrics))",
    "predict": "(outputs, non_trainable)",
}


def is_stateless(method, name):
    """Say whether a step method takes ``(state, data)`` rather than ``(data)``.

    Args:
        method: the bound method.
        name: what messages call it.
    """
    if getattr(method, "_serves_both_styles", False):
        return False
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    taken = list(inspect.signature(method).parameters.values())
    parameters = [p for p in taken if p.kind in kinds]
    required = [p for p in parameters if p.default is p.empty]
    if len(required) > 2 or not (parameters or _any_number(taken)) or _needs_keyword(taken):
        raise errors.bad_type(
            name, "the arguments (self, state, data) or (self, data)",
            f"(self, {', '.join(_shown(taken))})" if taken else "(self)",
        )  # fmt: skip
    room = len(parameters) == 2 or _any_number(taken)
    begins = bool(parameters) and parameters[0].name == "state"
    return len(required) == 2 or (room and begins)


def _any_number(parameters):
    return any(p.kind is p.VAR_POSITIONAL for p in parameters)


def _needs_keyword(parameters):
    return any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)


def _shown(parameters):
    """Yield parameters as they are written, without types and defaults."""
    starred = False
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY and not starred:
            yield "*"
        starred |= p.kind in (p.VAR_POSITIONAL, p.KEYWORD_ONLY)
        yield {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "") + p.name


class Discovery(Exception):
    """Raised in tracing: a batch of another shape led the step to Variables not met before."""


class Step:
    """The pure function of one kind of step.

    Args:
        model: the model whose `train_step`, `test_step` or `predict_step` it is.
        kind: "train", "test" or "predict".
        layout: the `Layout` of the state.
    """

    def __init__(self, model, kind, layout):
        self.model, self.kind, self.layout = model, kind, layout
        self.method = getattr(model, f"{kind}_step")
        self.name = f"{type(model).__name__}.{kind}_step"
        self.stateless = is_stateless(self.method, self.name)
        self.log_names = []  # of the last run
        self.traces = 0
        self._told = False  # of state that is frozen
        self.closed = False  # whether the layout is known to hold all that the step uses
        self.guests = []  # Variables met in the last run that the layout does not hold
        self.guest_values = []  # what those were assigned
        # What it does with a batch as it came: which leaves of x are looked up in tables, as
        # (index, low, high, layer), and whether y goes to the compiled loss (see `ValueChecks`).
        self.ranges: dict[tuple, None] = {}
        self.takes_labels = False

    def __call__(self, values, key, batch):
        """Run the step: ``(values, key, batch) -> (logs or outputs, values)``.

        Args:
            values: those of `layout.variables`.
            key: this step's share of the process-wide random numbers (uint32, shape (2,)).
            batch: what the data source gave.
        """
        self.traces += 1
        variables = self.layout.variables
        with scope.Scope(zip(variables, values, strict=True), collect_losses=True) as s:
            s.is_step = True
            s.bind(global_generator().state, key)
            x, y = _x_and_y(batch)
            s.inputs = {id(leaf): (i, leaf) for i, leaf in enumerate(jax.tree.leaves(x))}
            given = {id(v): s.values[id(v)] for v in variables}
            frozen = None
            if not self._told and isinstance(key, jax.core.Tracer):
                frozen = Frozen(self.model)
            try:
                result = self._run(s, given, batch)
                if frozen is not None:
                    self._told = frozen.tell(self.name, s.missed)
            except Exception as e:
                self._explain(e, batch)
                raise
            finally:
                leave_behind(self.model, self.name)
            self.ranges.update(dict.fromkeys(s.ranges))
            self.takes_labels |= y is not None and _is_among(y, s.targets)
            if self.kind == "train":
                contract.check_calls(self, s.calls)
            if self.kind != "predict":
                result = self._settle_logs(s, given, result)
                self.log_names = list(result)
        self.guests = [v for v in s.guests.values() if id(v) not in given]
        self.guest_values = [(v, s.values[id(v)]) for v in self.guests if id(v) in s.values]
        if self.guests and self.closed:
            raise Discovery
        new, seen = [], set()
        for v in variables:
            value = s.values[id(v)]
            if id(value) in seen:  # one buffer cannot be donated twice
                value = jnp.array(value)
            seen.add(id(value))
            new.append(value)
        return result, new

    def _run(self, s, given, batch):
        if not self.stateless:
            return self.method(batch)
        state = self.layout.state(lambda v: given[id(v)])
        returned = self.method(state, batch)
        if not isinstance(returned, (tuple, list)) or len(returned) != 2:
            raise self._wrong("", _RETURNS[self.kind], errors.describe(returned))
        result, new_state = returned
        self._merge(s, given, new_state)
        return result

    # -- the state that a stateless step returned ----------------------------------------------

    def _merge(self, s, given, new_state):
        for name, values in self._parts_of(new_state).items():
            variables = self.layout.parts[name]
            where = f"element {list(self.layout.parts).index(name)} {_short(name)!r}"
            if not isinstance(values, (list, tuple)):
                raise self._wrong(where, f"a list of {len(variables)} arrays",
                                  errors.describe(values))  # fmt: skip
            if len(values) != len(variables):
                raise self._wrong(where, f"{len(variables)}", f"{len(values)} leaves")
            for index, (v, value) in enumerate(zip(variables, values, strict=True)):
                self._merge_one(s, given, v, value, f"{where}[{index}]")

    def _merge_one(self, s, given, v, value, where):
        before, assigned = given[id(v)], s.values[id(v)]
        if value is before or value is assigned:
            return  # untouched, or read back after a stateful call: the scope has the last word
        shape: Any = getattr(value, "shape", None)
        dtype: Any = getattr(value, "dtype", None)
        if isinstance(value, (int, float)):
            value = jnp.asarray(value, v.dtype)
            shape, dtype = value.shape, value.dtype
        if shape is None or tuple(shape) != v.shape:
            raise self._wrong(where, f"shape {v.shape}, for {v.path!r}", errors.describe(value))
        if np.dtype(dtype).kind != np.dtype(v.dtype).kind and {
            jnp.issubdtype(dtype, jnp.floating), jnp.issubdtype(v.dtype, jnp.floating)
        } != {True}:  # fmt: skip
            raise self._wrong(where, f"dtype {v.dtype}, for {v.path!r}", errors.describe(value))
        if assigned is not before:
            raise errors.StepfitValueError(
                f"{self.name}: expected {v.path!r} to be updated once, found it both assigned in "
                "the step and returned with another value in the state; do one of the two."
            )
        s.bind(v, value)

    def _parts_of(self, new_state):
        names = list(self.layout.parts)
        if isinstance(new_state, TrainState):
            return dict(zip(names, new_state, strict=True))
        if self.kind == "predict" and isinstance(new_state, list):
            return {"non_trainable_variables": new_state}
        if not isinstance(new_state, (tuple, list)) or len(new_state) != len(names):
            if self.kind == "predict" and isinstance(new_state, tuple):
                return {"non_trainable_variables": new_state}
            found = errors.describe(new_state)
            raise self._wrong("", _RETURNS[self.kind], f"a state that is {found}")
        return dict(zip(names, new_state, strict=True))

    def _wrong(self, where, expected, found):
        if where:
            text = f"{self.name} must return {_RETURNS[self.kind]}; {where} has {found}, expected "
            return errors.StepfitValueError(text + expected + ".")
        return errors.StepfitValueError(f"{self.name} must return {expected}, found {found}.")

    # -- logs ------------------------------------------------------------------------------------

    def _settle_logs(self, s, given, logs):
        if not isinstance(logs, dict):
            logs = self._logs_from_metrics(logs)
        flat = collections.OrderedDict()
        for key, value in logs.items():
            if isinstance(value, dict):
                flat.update(value)
            else:
                flat[key] = value
        for key, value in list(flat.items()):
            value = _as_scalar(value)
            if value is None:
                self._check_metric_result(key, flat[key])
                raise errors.bad_value(
                    f"{self.name} logs[{key!r}]", "a scalar", errors.describe(flat[key]),
                    "reduce it, with jnp.mean for example",
                )  # fmt: skip
            flat[key] = self._through_tracker(s, given, key, value)
            if flat[key] is None:
                del flat[key]
        return flat

    def _check_metric_result(self, key, value):
        for metric in self.model.metrics:
            if metric.name == key and np.ndim(metric.result()):
                fix = "have result() return one number, or a dict of them"
                if hasattr(metric, "average"):
                    fix = 'pass average="macro", "micro" or "weighted"'
                raise errors.bad_value(
                    f"metric {key!r}", "one number as its result", errors.describe(value), fix
                )

    def _through_tracker(self, s, given, key, value):
        """Average a raw log with the tracker of its name, where the step left that alone."""
        for metric in self.model.metrics:
            if metric.name != key or any(id(v) not in given for v in metric.variables):
                continue
            touched = any(s.values[id(v)] is not given[id(v)] for v in metric.variables)
            if touched or not metric.variables:
                return value
            if any(value is r for r in s.tracker_results):
                # The step reports the loss tracker but left it to compute_loss to update it.
                loss = s.last_loss
                if loss is None and self.model._compiled_loss is None:
                    return None  # a model without a loss has none to report
                if type(loss) is not type(value):  # none, or one inside a gradient
                    raise errors.StepfitValueError(
                        f"{self.name} logs[{key!r}]: expected the loss tracker to be updated in "
                        "the step, found it untouched; call metric.update_state(loss)."
                    )
                metric.update_state(loss)
                return metric.result()
            if type(metric) not in (LossTracker, Mean):
                return value
            metric.update_state(value)
            return metric.result()
        return value

    def _logs_from_metrics(self, logs):
        if _as_scalar(logs) is None:
            fix = "return {name: scalar}"
            raise errors.bad_value(f"{self.name} logs", "a dict of scalars",
                                   errors.describe(logs), fix)  # fmt: skip
        warnings.warn(
            f"{self.name} logs: expected a dict of scalars, found one scalar; the results of the "
            "model's metrics are reported in its place. Write `logs[metric.name] = ...`.",
            stacklevel=errors.users_level(),
        )
        return self.model.get_metrics_result()

    # -- errors ------------------------------------------------------------------------------------

    def _explain(self, e, batch):
        """Add what the user needs to know to an error raised in their step."""
        text = str(e)
        if not self.stateless and "required positional arg" in text and isinstance(e, TypeError):
            if _any_number(inspect.signature(self.method).parameters.values()):
                e.add_note(
                    f"In {self.name}: *args is given (data), for it does not say which style it "
                    "is. Write the arguments, (self, state, data); a decorator keeps them with "
                    "@functools.wraps(function)."
                )
        unpacks = isinstance(e, ValueError) and "unpack" in text and self._raised_here(e)
        if unpacks and isinstance(batch, tuple):
            names = ["x", "y", "sample_weight"][: len(batch)]
            e.add_note(
                f"In {self.name}: data is the tuple ({', '.join(names)}), of {len(batch)} "
                "elements, because that is what fit() was given; write "
                "`x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)`."
            )
        else:
            explain(e, self.name)

    def _raised_here(self, e):
        """Say whether an error comes from the step's own lines, and not from what it called."""
        place = e.__traceback__
        while place.tb_next is not None:
            place = place.tb_next
        code = place.tb_frame.f_code
        own = getattr(inspect.unwrap(self.method), "__code__", None)
        return code is own or code.co_name == f"{self.kind}_step"


_VALUES = (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)


def explain(e, where):
    """Add to one of JAX's errors what it means where it was raised."""
    if _passed_through(e, "tensorflow") and not isinstance(e, errors.StepfitError):
        e.add_note(
            f"In {where}: TensorFlow's functions do not take JAX's arrays. Write "
            "keras.GradientTape for tf.GradientTape, and stepfit.ops for tf.*; "
            "docs/coming_from_keras.md has the names."
        )
    elif isinstance(e, _VALUES):
        if any(errors.NO_VALUES in note for note in getattr(e, "__notes__", [])):
            return
        e.add_note(
            f"In {where}, which is compiled: {errors.NO_VALUES}, or compile(run_eagerly=True) "
            "while you look for a mistake."
        )
    elif isinstance(e, AttributeError) and str(e).rstrip("'").endswith("numpy"):
        e.add_note(
            f"In {where}: these are JAX's arrays, which have no numpy(); leave it out. Logs take "
            "arrays as they are; where values are there, numpy.asarray(x) gives them."
        )
    elif isinstance(e, TypeError) and "scalar-output functions" in str(e):
        e.add_note(
            f"In {where}: the function differentiated must return one scalar, or "
            "(scalar, aux) with has_aux=True."
        )
    elif isinstance(e, TypeError) and "aux output to return a two-element tuple" in str(e):
        e.add_note(
            f"In {where}: with has_aux=True, the function differentiated must return "
            "(scalar, aux); put several values into one tuple: (loss, (y_pred, other))."
        )


def _passed_through(e, package):
    """Say whether an error was raised in a package, or below it."""
    place = e.__traceback__
    while place is not None:
        if str(place.tb_frame.f_globals.get("__name__")).partition(".")[0] == package:
            return True
        place = place.tb_next
    return False


def _x_and_y(batch):
    """Return `(x, y)`; None for both of a batch in a form of the user's own."""
    if isinstance(batch, (tuple, list)):
        return (*batch, None)[:2] if 1 <= len(batch) <= 3 else (None, None)
    return batch, None


def _is_among(tree, others):
    """Say whether each array of a structure is one of those in others."""
    known = {id(leaf) for leaf in jax.tree.leaves(others)}
    return all(id(leaf) in known for leaf in jax.tree.leaves(tree))


def _short(name):
    return name.removesuffix("_variables")


def _as_scalar(value):
    value = getattr(value, "value", value)  # a Variable is its value
    if isinstance(value, (bool, int, float, np.generic)):
        return jnp.asarray(value)
    if isinstance(value, (jax.Array, np.ndarray)) and value.size == 1 and value.ndim <= 1:
        return value if value.ndim == 0 and isinstance(value, jax.Array) else jnp.reshape(value, ())
    return None
