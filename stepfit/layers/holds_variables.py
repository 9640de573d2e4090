"""What a layer holds: its Variables, those of the layers below, and their weights.

The lists are made when asked for, by a walk over attributes (`core.tracking`): first a layer's own
trainable Variables, then its other ones, then those of the layers below, one after another.
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from stepfit import constraints, initializers, regularizers
from stepfit.core import dtypes, errors, naming
from stepfit.core.tracking import Tracked, children, walk
from stepfit.core.variable import Variable
from stepfit.layers import call_context
from stepfit.random import SeedGenerator


class HoldsVariables(Tracked):
    """The part of `Layer` that makes and lists Variables."""

    # What the layer has beside this.
    name: str
    built: bool
    variable_dtype: str
    _has_run: bool
    _trainable: bool
    _weights_made: list[Variable]
    _check_ready: Callable[[], None]
    _where: Callable[[], str]

    _memory: Any = ()  # Variables that the layer remembers a sequence in: not weights

    @errors.shape_first
    def add_weight(
        self,
        shape: Sequence[int] | int | None = None,
        initializer: str | dict | Callable[..., Any] | None = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: str | dict | Callable[[Any], Any] | None = None,
        constraint: str | dict | Callable[[Any], Any] | None = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Make a Variable that belongs to this layer.

        Args:
            shape: tuple of ints; default a scalar.
            initializer: name, initializer or callable; default glorot_uniform for floats, or zeros.
            dtype: default the policy's variable dtype.
            trainable: whether optimizers update it.
            autocast: whether `call` reads it in the compute dtype.
            regularizer, constraint: name, object or callable.
            name: name; default "variable".

        Returns:
            The Variable.
        """
        self._check_ready()
        context = call_context.current()
        if self._has_run and context is not None and context.layer is self:
            raise errors.StepfitRuntimeError(
                f"{self._where()} add_weight({name!r}): expected variables to be made before or in "
                "the first call, found one made in a later `call`, which would start afresh each "
                "time; make it in `build` or `__init__`."
            )
        dtype = dtypes.standardize_dtype(dtype) if dtype is not None else self.variable_dtype
        if initializer is None:
            initializer = "glorot_uniform" if dtypes.is_float(dtype) else "zeros"
        shape = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        if any(d is None for d in shape):
            raise errors.bad_value(
                f"{self._where()} add_weight(shape)", "sizes that are all known", str(shape),
                "give the Input these sizes",
            )  # fmt: skip
        inside = contextlib.nullcontext if naming.in_scope(self.name) else naming.name_scope
        with inside(self.name):
            variable = Variable(
                initializers.get(initializer), shape=shape, dtype=dtype, trainable=trainable,
                autocast=autocast, aggregation=aggregation, name=name,
            )  # fmt: skip
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        variable.overwrite_with_gradient = overwrite_with_gradient
        variable.trainable = variable.trainable and self._trainable
        self._weights_made.append(variable)
        return variable

    add_variable = add_weight

    @property
    def variables(self) -> list[Variable]:
        """All Variables: weights, states of seed generators and of sequences; not metrics'."""
        self._check_ready()
        return _own_first(self)

    @property
    def weights(self) -> list[Variable]:
        """All Variables except the states of seed generators and of stateful recurrent layers."""
        self._check_ready()
        return _own_first(self, memory=False)

    @property
    def trainable_variables(self) -> list[Variable]:
        """The Variables that optimizers update."""
        frozen = _frozen_variables(self)
        return [v for v in self.variables if v.trainable and id(v) not in frozen]

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The Variables that optimizers leave alone, seed states included."""
        frozen = _frozen_variables(self)
        return [v for v in self.variables if not v.trainable or id(v) in frozen]

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that optimizers update."""
        return self.trainable_variables

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that optimizers leave alone."""
        frozen = _frozen_variables(self)
        return [v for v in self.weights if not v.trainable or id(v) in frozen]

    @property
    def metrics(self) -> list[Any]:
        """The metrics that this layer and the layers below hold."""
        return walk(self, lambda x: hasattr(x, "update_state"), enter=_enter_for_variables)

    @property
    def metrics_variables(self) -> list[Variable]:
        """The Variables of the metrics."""
        return [v for m in self.metrics for v in m.variables]

    @property
    def trainable(self) -> bool:
        """Whether the variables are updated in training; setting it sets all below.

        A Variable below becomes trainable only if it was made so: moving averages never do.
        """
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for layer in self._flatten_layers(include_self=False):
            layer._trainable = bool(value)
        for variable in _own_first(self, memory=False):
            variable.trainable = bool(value) and variable.made_trainable

    def _flatten_layers(self, include_self=True, recursive=True):
        """Return the layers below, parents before children."""
        if recursive:
            below = walk(self, lambda x: isinstance(x, HoldsVariables), enter=_enter_for_variables)
        else:
            below = [x for x in children(self) if isinstance(x, HoldsVariables)]
        return [self, *below] if include_self else below

    def count_params(self) -> int:
        """Return the number of scalars in the weights."""
        if not self.built:
            found, fix = self._what_is_missing()
            if not self.weights:
                found = "one whose variables do not exist yet"
                fix = "call it on data or call build(input_shape) first"
            expected = "a built layer to count parameters of"
            raise errors.bad_value(self._where(), expected, found, fix)
        return sum(v.size for v in self.weights)

    def _what_is_missing(self):
        """Say of a layer that is not built ``(what was found, the fix)``."""
        fix = "call it on data, or build(input_shape)"
        if not getattr(self, "_has_call", lambda: True)():
            fix = "call or build each layer that it holds, or train it"
        below = [x for x in self._flatten_layers(include_self=False) if not x.built]
        if not self.weights:
            return "one without variables yet", fix
        if below:
            return f"one whose {below[0]._where()} is not built", fix
        return "one that was not called yet", fix

    def get_weights(self) -> list[np.ndarray]:
        """Return the weights' values as a list of NumPy arrays."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Iterable[Any]) -> None:
        """Set the weights from a list of arrays, in the order of `get_weights`.

        Raises:
            ValueError: wrong number or shape; no weight is changed then.
        """
        mine, given = self.weights, list(weights)
        if len(given) != len(mine):
            raise errors.bad_value(
                f"{self._where()} set_weights(weights)", f"{len(mine)} arrays", f"{len(given)}",
                "order and number are those of get_weights()",
            )  # fmt: skip
        for index, (v, w) in enumerate(zip(mine, given, strict=True)):
            if tuple(np.shape(w)) != v.shape:
                raise errors.bad_value(
                    f"{self._where()} set_weights(weights[{index}]) for {v.path!r}",
                    f"shape {v.shape}", f"shape {tuple(np.shape(w))}",
                )  # fmt: skip
        for v, w in zip(mine, given, strict=True):
            v.assign(w)

    def save_own_variables(self, store: Any) -> None:
        """Write the layer's own weights, not those of layers below, into `store`.

        Args:
            store: a mapping from names to arrays; by default the names are "0", "1", ...
        """
        for i, variable in enumerate(self._saved_variables()):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Read the layer's own weights from what `save_own_variables` wrote.

        Raises:
            ValueError: another number of arrays, or an array of another shape.
        """
        own = self._saved_variables()
        if len(store) != len(own):
            raise errors.bad_value(
                f"weights of {self._where()}", f"{len(own)} arrays", f"{len(store)}"
            )
        values = [v.conform(store[str(i)]) for i, v in enumerate(own)]
        for variable, value in zip(own, values, strict=True):
            variable.assign(value)

    setattr(load_own_variables, "by_number", True)  # noqa: B010

    def _saved_variables(self):
        """Return the weights that the layer holds itself: trainable ones first, in order made."""
        held = {id(v): v for v in children(self) if isinstance(v, Variable)}
        for variable in self._memory:
            held.pop(id(variable), None)
        made = [v for v in self._weights_made if id(v) in held]
        kept = list({id(v): v for v in [*made, *held.values()]}.values())
        return [v for v in kept if v.made_trainable] + [v for v in kept if not v.made_trainable]


def _enter_for_variables(item):
    """Metrics and optimizers keep their Variables to themselves."""
    return isinstance(item, HoldsVariables) or not hasattr(item, "variables")


def _own_first(layer, memory=True):
    """Variables of `layer`: its own trainable, its own others, then layer by layer below.

    With ``memory=False`` without what is no weight: states of seed generators and of sequences.
    """
    found, seen = [], set()

    def add(variables):
        for v in variables:
            if id(v) not in seen:
                seen.add(id(v))
                found.append(v)

    def visit(current):
        held = children(current)
        left_out = () if memory else {id(v) for v in current._memory}
        own = [v for v in held if isinstance(v, Variable) and id(v) not in left_out]
        add(v for v in own if v.made_trainable)
        add(v for v in own if not v.made_trainable)
        if memory:
            add(g.state for g in held if isinstance(g, SeedGenerator))
        for item in held:
            if isinstance(item, HoldsVariables) and id(item) not in seen:
                seen.add(id(item))
                visit(item)

    visit(layer)
    return found


def _frozen_variables(layer):
    """ids of the Variables that stand below a layer with ``trainable = False``."""
    frozen, seen = set(), set()

    def visit(current, inherited):
        inherited = inherited or not current._trainable
        if (id(current), inherited) in seen:
            return
        seen.add((id(current), inherited))
        for item in children(current):
            if isinstance(item, Variable) and inherited:
                frozen.add(id(item))
            elif isinstance(item, HoldsVariables):
                visit(item, inherited)

    visit(layer, False)
    return frozen
