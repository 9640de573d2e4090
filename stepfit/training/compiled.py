"""What `compile` was given, resolved against a model's outputs: losses and metrics per output."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stepfit import losses as losses_module
from stepfit import metrics as metrics_module
from stepfit.core import changes, errors, masks
from stepfit.core import scope as scopes
from stepfit.training.outputs import check_keys, check_structure, only_entry, outputs_of


class CompiledLoss:
    """The sum of the weighted losses of all outputs.

    Args:
        loss: name, `Loss`, callable, or a list or dict of these per output (None: no loss there).
        loss_weights: number, or list or dict of numbers per output.
        output_names: names of the outputs, where the model knows them.
    """

    def __init__(self, loss, loss_weights=None, output_names=None):
        self.given, self.weights, self.output_names = loss, loss_weights, output_names
        _validate(loss, "loss", _check_loss)
        self._shapes: list[Any] = []
        self.terms: Any = None  # list of (Output, loss function, weight)
        self.parts: list[Any] = []  # a metric per output for its own loss, once built
        self._masked: set[int] = set()  # ids of the outputs that came with a mask

    def build(self, y_true, y_pred, linear=()):
        """Match the losses to the outputs.

        Args:
            y_true, y_pred: targets and outputs, arrays or shapes.
            linear: for each array of `y_pred`, whether it can be any number (see `Look`).
        """
        outputs = outputs_of(y_pred, self.output_names)
        loss = self.given
        if isinstance(loss, (list, tuple)) and len(outputs) == 1 and not outputs[0].path:
            check_keys(loss, outputs, "compile(loss)")
            loss = loss[0]
        if isinstance(loss, dict) and len(outputs) == 1 and not outputs[0].path:
            loss = only_entry(loss, self.output_names, "compile(loss)")
        elif isinstance(loss, (dict, list, tuple)):
            check_keys(loss, outputs, "compile(loss)")
        weights = self.weights
        if isinstance(weights, (list, tuple, dict)) and not outputs[0].path and len(weights) == 1:
            weights = next(iter(weights.values())) if isinstance(weights, dict) else weights[0]
        elif isinstance(weights, (list, tuple, dict)):
            check_keys(weights, outputs, "compile(loss_weights)")
        if y_true is not None and outputs[0].path:
            check_structure(y_true, outputs, "y")
        terms = []
        free = {id(leaf) for leaf, any_number in zip(jax.tree.leaves(y_pred), linear) if any_number}
        for output in outputs:
            one = output.pick(loss, "compile(loss)", broadcast=True)
            weight = output.pick(weights, "compile(loss_weights)", broadcast=True)
            if one is not None:
                target = _unwrap(output.pick(y_true, "y"), output)
                fn = losses_module.resolve(one, _shape(target), _shape(output.select(y_pred)))
                if id(output.select(y_pred)) in free:
                    where = f"[{output.path[0][1]!r}]" if output.path else ""
                    losses_module.check_activation(fn, f"compile(loss){where}")
                terms.append((output, fn, _number(weight)))
        if isinstance(loss, dict) and isinstance(y_pred, dict):
            given = list(loss)
            terms.sort(key=lambda term: given.index(term[0].path[0][1]))
        self.terms = terms
        self.parts = self._trackers()
        changes.note()
        self._shapes = [_shape(output.select(y_pred)) for output, _, _ in terms]

    def check_labels(self, y, where="y", sample_weight=None):
        """Raise where targets in memory cannot be labels for the losses (after `build`)."""
        for (output, fn, _), shape in zip(self.terms or (), self._shapes, strict=True):
            target = _unwrap(output.pick(y, where), output)
            weight = output.pick(sample_weight, "sample_weight", broadcast=True)
            weight = _unwrap(weight, output)
            if isinstance(target, (np.ndarray, jax.Array)) and id(output) not in self._masked:
                name = f"{where}[{output.path[0][1]!r}]" if output.path else where
                losses_module.check_labels(fn, target, shape, name, weight)

    def __call__(self, y_true, y_pred, sample_weight=None):
        """Return the total loss, a scalar."""
        if self.terms is None:
            self.build(y_true, y_pred)
        root = scopes.root_scope()
        if root is not None:
            root.targets.append(y_true)
        total = None
        for output, fn, weight in self.terms:
            value = self.term(output, fn, y_true, y_pred, sample_weight)
            if weight is not None:
                value = value * weight
            total = value if total is None else total + value
        return total

    def term(self, output, fn, y_true, y_pred, sample_weight=None):
        """Return the loss of one output, a scalar."""
        target = _unwrap(output.pick(y_true, "y"), output)
        if y_pred is None:
            raise errors.bad_value(
                "compute_loss(y_pred)", "the model's outputs", "None",
                "the order is (x, y, y_pred, sample_weight): write compute_loss(x, y, y_pred), or "
                "compute_loss(y=y, y_pred=y_pred)",
            )  # fmt: skip
        prediction = output.select(y_pred)
        nested = isinstance(prediction, (list, tuple, dict))
        if nested and any(map(jnp.ndim, jax.tree.leaves(prediction))):
            raise errors.bad_type(
                "compute_loss(y_pred)", "an array, as the model returns it", prediction,
                "stateless_call returns (y_pred, non_trainable_variables): take them apart",
            )  # fmt: skip
        if masks.get_mask(prediction) is not None:  # labels that it hides may be anything
            self._masked.add(id(output))
        if target is None:
            name = f" for output {output.label!r}" if output.path else ""
            raise errors.bad_value(
                "y", f"targets{name}, because compile() was given a loss", "None",
                "pass y, or override compute_loss",
            )  # fmt: skip
        weight = _unwrap(output.pick(sample_weight, "sample_weight", broadcast=True), output)
        value = fn(target, prediction, sample_weight=weight)
        return value if jnp.ndim(value) == 0 else jnp.mean(value)

    def _trackers(self):
        """Return a metric per output for its own loss, where there is more than one."""
        if len(self.terms) < 2:
            return []
        names = [output.loss_name or fn.name for output, fn, _ in self.terms]
        if len(set(names)) < len(names):
            names = [output.loss_name or output.label for output, _, _ in self.terms]
        return [
            OutputLoss(f"{name}_loss", self, output, fn)
            for name, (output, fn, _) in zip(names, self.terms, strict=True)
        ]


def _unwrap(tree, output):
    """A model with one output may be given its targets in a list or dict of one."""
    if not output.path and isinstance(tree, (list, tuple)) and len(tree) == 1:
        return tree[0]
    if not output.path and isinstance(tree, dict) and len(tree) == 1:
        return next(iter(tree.values()))
    return tree


class LossTracker(metrics_module.Mean):
    """The mean of the loss; in a step, it notes which values it has handed out."""

    def result(self):
        """Return the mean so far."""
        value = super().result()
        root = scopes.root_scope()
        if root is not None:
            root.tracker_results.append(value)
        return value


class OutputLoss(metrics_module.Mean):
    """The mean of one output's loss; takes the whole model's targets and outputs."""

    def __init__(self, name, compiled, output, fn):
        super().__init__(name=name)
        self._untracked_term = (compiled, output, fn)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add one batch."""
        compiled, output, fn = self._untracked_term
        value = compiled.term(output, fn, y_true, y_pred, sample_weight)
        return super().update_state(value, sample_weight=_batch_size(output.select(y_pred)))


class OutputMetric(metrics_module.Metric):
    """A metric of one output among several; takes the whole model's targets and outputs."""

    def __init__(self, name, metric, output):
        super().__init__(name=name)
        self.metric, self.output = metric, output

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add one batch."""
        output = self.output
        weight = output.pick(sample_weight, "sample_weight", broadcast=True)
        self.metric.update_state(
            output.pick(y_true, "y"), output.select(y_pred), sample_weight=weight
        )

    def result(self):
        """Return the metric's value."""
        return self.metric.result()

    def reset_state(self):
        """Start over."""
        self.metric.reset_state()


class CompiledMetrics:
    """The metrics given to `compile`, one list for each output.

    Args:
        metrics: list of names, `Metric`s or callables; per output, a list of lists or a dict.
        weighted: the same, for metrics that take the sample weights.
        output_names: names of the outputs, where the model knows them.
    """

    def __init__(self, metrics, weighted, output_names=None):
        self.given = {"metrics": metrics, "weighted_metrics": weighted}
        self.output_names = output_names
        for argument, value in self.given.items():
            _validate(value, argument, _check_metric)
        self.metrics: Any = None
        self.weighted: Any = None

    def build(self, y_true, y_pred):
        """Match the metrics to the outputs (arrays or shapes)."""
        outputs = outputs_of(y_pred, self.output_names)
        found = [
            (argument, output, metric)
            for argument, value in self.given.items()
            for output in outputs
            for metric in self._for_output(argument, value, output, outputs, y_true, y_pred)
        ]
        names = _names(found)
        built: dict[str, list] = {argument: [] for argument in self.given}
        for name, (argument, output, metric) in zip(names, found, strict=True):
            if output.path:
                metric = OutputMetric(name, metric, output)
            else:
                metric.name = name
            built[argument].append(metric)
        self.metrics, self.weighted = built["metrics"], built["weighted_metrics"]
        changes.note()

    def _for_output(self, argument, value, output, outputs, y_true, y_pred):
        where = f"compile({argument})"
        if value is None:
            return []
        if output.path:
            check_keys(value, outputs, where)
            value = output.pick(value, where, broadcast=True)
        elif isinstance(value, dict):
            value = only_entry(value, self.output_names, where)
        value = value if isinstance(value, (list, tuple)) else [value]
        flat = [m for v in value for m in (v if isinstance(v, (list, tuple)) else [v])]
        target = _unwrap(output.pick(y_true, "y"), output)
        return [_metric(m, target, output.select(y_pred), where) for m in flat if m is not None]

    @property
    def all(self):
        """Every metric, once built."""
        return [] if self.metrics is None else self.metrics + self.weighted

    @property
    def of_named_outputs(self):
        """The metrics whose names begin with an output's, in alphabetical order."""
        named = [m for m in self.all if isinstance(m, OutputMetric) and m.output.name]
        return sorted(named, key=lambda m: m.name)

    @property
    def others(self):
        """The other metrics, in the order given."""
        named = self.of_named_outputs
        return [m for m in self.all if not any(m is n for n in named)]

    def update(self, y_true, y_pred, sample_weight=None):
        """Add one batch to every metric."""
        if self.metrics is None:
            self.build(y_true, y_pred)
        for metric in self.metrics:
            metric.update_state(_plain(y_true), y_pred)
        for metric in self.weighted:
            metric.update_state(_plain(y_true), y_pred, sample_weight=sample_weight)


def _plain(y):
    return y[0] if isinstance(y, (list, tuple)) and len(y) == 1 else y


_BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")


def _check_loss(identifier):
    if not (isinstance(identifier, str) and identifier.lower() in _BY_SHAPE[2:]):
        losses_module.get(identifier)


def _number(weight):
    if weight is None:
        return None
    if isinstance(weight, (bool, str)) or jnp.ndim(weight):
        raise errors.bad_type("compile(loss_weights)", "a number per output",
                              errors.describe(weight))  # fmt: skip
    return float(weight)


def _shape(array):
    return tuple(getattr(array, "shape", ()))


def _check_metric(identifier):
    if isinstance(identifier, str) and identifier.lower() in _BY_SHAPE:
        return
    metric = metrics_module.get(identifier)
    if isinstance(metric, metrics_module.Metric):
        names = list(inspect.signature(metric.update_state).parameters)
        if names[:2] == ["values", "sample_weight"]:
            raise errors.bad_type(
                "compile(metrics)", "a metric of targets and predictions",
                f"{type(metric).__name__} {metric.name!r}, which takes values and weights",
                "hold it as an attribute of the model, and update it in a step or in `call`",
            )  # fmt: skip


def _metric(identifier, y_true, y_pred, where):
    """Return the metric for a name, an instance or a function, named as the user wrote it."""
    if isinstance(identifier, metrics_module.Metric):
        return identifier
    if y_true is None:
        raise errors.bad_value(
            where, f"targets for the metric {errors.describe(identifier)}", "y=None", "pass y"
        )
    return metrics_module.resolve(identifier, tuple(y_true.shape), tuple(y_pred.shape))


def _names(found):
    """Return the names that metrics are reported by: all different.

    The output's name comes first where it is known; a weighted metric that has an unweighted twin
    is called "weighted_...".
    """
    names, taken = [], set()
    plain = [metric.name for _, output, metric in found if not output.name]
    for argument, output, metric in found:
        prefix = f"{output.name}_" if output.name else ""
        if not output.name and output.path and plain.count(metric.name) > 1:
            prefix = f"{output.label}_"
        name = prefix + metric.name
        if name in taken and argument == "weighted_metrics":
            name = f"{prefix}weighted_{metric.name}"
        if name in taken:
            raise errors.bad_value(
                f"compile({argument})", "metrics with different names", f"{name!r} twice",
                "pass name= to one of them",
            )  # fmt: skip
        if name == "loss":
            raise errors.bad_value(
                f"compile({argument})", "a name that is not taken", "'loss', the name of the loss",
                "pass another name=",
            )  # fmt: skip
        taken.add(name)
        names.append(name)
    return names


def _validate(tree, argument, get):
    """Resolve every identifier once, so that a typo is an error of `compile` itself."""
    if tree is None:
        return
    if isinstance(tree, dict):
        for key, value in tree.items():
            _validate(value, f"{argument}[{key!r}]", get)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            _validate(value, argument, get)
    else:
        get(tree)


def _batch_size(tree):
    leaves = jax.tree.leaves(tree)
    return leaves[0].shape[0] if leaves and leaves[0].ndim else 1
