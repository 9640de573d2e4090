"""Several optimizers in one: each updates the variables that are given to it."""

import re
from collections.abc import MutableMapping

from stepfit.core import errors, registry
from stepfit.optimizers import checks
from stepfit.optimizers.loss_scale_optimizer import LossScaleOptimizer
from stepfit.optimizers.optimizer import Optimizer


def _check_inner(where, optimizer):
    """Refuse what cannot be one of several optimizers."""
    if not isinstance(optimizer, Optimizer):
        raise errors.bad_type(where, "an optimizer", errors.describe(optimizer))
    if isinstance(optimizer, (LossScaleOptimizer, MultiOptimizer)):
        raise errors.bad_value(
            where, "an optimizer that makes updates itself", type(optimizer).__name__,
            "wrap the MultiOptimizer in it"
            if isinstance(optimizer, LossScaleOptimizer)
            else "put its optimizers into one map",
        )  # fmt: skip


class OptimizerMap(MutableMapping, registry.Configurable):
    """A mapping from paths of Variables to optimizers, for `MultiOptimizer`.

    A key is a path ("dense/kernel") or a regular expression for whole paths ("encoder/.*"); a path
    that is a key itself goes by that key.

    Args:
        default_optimizer: optimizer of all other Variables.
        optimizer_map: dict from key to optimizer.

    Raises:
        TypeError: not an optimizer. ValueError: a key set twice, or two expressions for one path.

    Example:

    >>> import stepfit as keras
    >>> optimizers = keras.optimizers.OptimizerMap(keras.optimizers.Adam(name="rest"))
    >>> optimizers["encoder/.*"] = keras.optimizers.SGD(name="slow")
    >>> optimizers["encoder/dense/kernel"].name, optimizers["head/kernel"].name
    ('slow', 'rest')
    """

    def __init__(self, default_optimizer, optimizer_map=None):
        _check_inner("OptimizerMap default_optimizer", default_optimizer)
        if optimizer_map is not None and not isinstance(optimizer_map, dict):
            raise errors.bad_type(
                "OptimizerMap optimizer_map", "a dict from path to optimizer",
                errors.describe(optimizer_map),
            )  # fmt: skip
        self._default = default_optimizer
        self._map = {}
        for key, optimizer in (optimizer_map or {}).items():
            self[key] = optimizer

    @property
    def default_optimizer(self):
        """The optimizer of paths that no key fits."""
        return self._default

    def __getitem__(self, key):
        if key in self._map:
            return self._map[key]
        fitting = [pattern for pattern in self._map if re.fullmatch(pattern, key)]
        if len(fitting) > 1:
            raise errors.bad_value(
                f"OptimizerMap[{key!r}]", "one key that fits it",
                " and ".join(map(repr, fitting)), "add the path itself as a key",
            )  # fmt: skip
        return self._map[fitting[0]] if fitting else self._default

    def __setitem__(self, key, optimizer):
        if not isinstance(key, str):
            raise errors.bad_type("OptimizerMap key", "a path", errors.describe(key))
        if key in self._map:
            raise errors.bad_value(
                f"OptimizerMap[{key!r}]", "a new key", f"the optimizer {self._map[key].name!r}",
                "delete it first",
            )  # fmt: skip
        _check_inner(f"OptimizerMap[{key!r}]", optimizer)
        self._map[key] = optimizer

    def __delitem__(self, key):
        del self._map[key]

    def __iter__(self):
        return iter(self._map)

    def __len__(self):
        return len(self._map)

    def __call__(self, variable):
        """Return the optimizer of a Variable."""
        return self[variable.path]

    def _current_config(self):
        return {"optimizer_map": self._map}


class MultiOptimizer(Optimizer):
    """Lets one optimizer update some Variables and another one the others.

    Args:
        optimizer_map: `OptimizerMap`, or a function from a Variable to its optimizer.
        loss_scale_factor: as in `Optimizer`, in place of the inner optimizers' own.
        name: name.

    Raises:
        TypeError: not a map or function, or one that returns no optimizer.

    Example:

    >>> import stepfit as keras
    >>> a, b = keras.Variable([1.0], name="a"), keras.Variable([1.0], name="b")
    >>> by_path = {"b": keras.optimizers.SGD(0.25)}
    >>> by_path = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.5), by_path)
    >>> keras.optimizers.MultiOptimizer(by_path).apply([a.value, b.value], [a, b])
    >>> float(a[0]), float(b[0])
    (0.5, 0.75)
    """

    _untracked_names = Optimizer._untracked_names | {"optimizer_map", "_optimizers"}

    def __init__(self, optimizer_map, loss_scale_factor=None, name=None):
        if not callable(optimizer_map) or isinstance(optimizer_map, (type, Optimizer)):
            raise errors.bad_type(
                "MultiOptimizer optimizer_map",
                "an OptimizerMap or a function from a Variable to its optimizer",
                errors.describe(optimizer_map),
            )  # fmt: skip
        super().__init__(learning_rate=0.0, loss_scale_factor=loss_scale_factor, name=name)
        self.optimizer_map = optimizer_map
        self._optimizers = []
        if isinstance(optimizer_map, OptimizerMap):
            for optimizer in [*optimizer_map.values(), optimizer_map.default_optimizer]:
                self._add(optimizer)

    def _add(self, optimizer):
        """Return the position of an inner optimizer, a new one if need be."""
        for i, known in enumerate(self._optimizers):
            if known is optimizer:
                return i
        optimizer.loss_scale_factor = None  # gradients must not be divided twice
        self._optimizers.append(optimizer)
        return len(self._optimizers) - 1

    def build(self, variables):
        """Make the state for a list of Variables: that of each one's optimizer."""
        if self.built:
            super().build(variables)  # the same ones: nothing to do
            return
        own = checks.variables(f"{type(self).__name__}.build(variables)", variables)
        chosen = []
        for variable in own:
            optimizer = self.optimizer_map(variable)
            _check_inner(f"MultiOptimizer: optimizer of {variable.path!r}", optimizer)
            chosen.append(self._add(optimizer))
        self._shares = [
            [k for k, c in enumerate(chosen) if c == i] for i in range(len(self._optimizers))
        ]
        for optimizer, share in self._with_shares():
            optimizer.build([own[k] for k in share])
        self._trainable_variables = own
        self._index = {id(v): i for i, v in enumerate(own)}
        self.built = True

    def _with_shares(self):
        """Return each optimizer that has variables, with their positions."""
        return [(o, s) for o, s in zip(self._optimizers, self._shares, strict=True) if s]

    def _update(self, grads):
        for optimizer, share in self._with_shares():
            part = [grads[k] for k in share]
            if any(g is not None for g in part):
                optimizer._apply_aligned(part)
        self._iterations.assign_add(1)

    @property
    def optimizers(self):
        """The inner optimizers, a list."""
        return list(self._optimizers)

    @property
    def variables(self):
        """The own state, then that of each inner optimizer."""
        return [*self._variables, *(v for o in self._optimizers for v in o.variables)]

    @property
    def version(self):
        """A number that grows when compiled steps that use this optimizer go out of date."""
        return self._version + sum(o.version for o in self._optimizers)

    @property
    def learning_rate(self):
        """None of its own; says so."""
        raise errors.StepfitAttributeError(
            "MultiOptimizer.learning_rate: expected the learning rate of one optimizer, found "
            f"{len(self._optimizers)} optimizers; write optimizer.optimizers[i].learning_rate."
        )

    @learning_rate.setter
    def learning_rate(self, value):
        return self.learning_rate

    def finalize_variable_values(self, var_list):
        """Set Variables to the averages that their optimizers keep, if they do."""
        wanted = {id(v) for v in var_list}
        for optimizer in self._optimizers:
            own = [v for v in optimizer._trainable_variables if id(v) in wanted]
            if own:
                optimizer.finalize_variable_values(own)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Refuse: weight decay is the inner optimizers'."""
        raise errors.bad_value(
            "MultiOptimizer.exclude_from_weight_decay", "a call on an inner optimizer",
            "one on the whole", "write optimizer.optimizers[i].exclude_from_weight_decay(...)",
        )  # fmt: skip
