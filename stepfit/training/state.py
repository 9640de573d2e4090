"""TrainState: the values of everything a step may change, as one pytree picked by owner.

A *layout* says which Variables stand in which part; a state holds their values, in the same order.
A state unpacks as the tuple that Keras's JAX users know: four parts in `train_step`, three in
`test_step` (no optimizer), two in `predict_step` (no metrics either). Values are found by owner,
``state.of(self.discriminator)``, never by counting positions.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax

from stepfit.core import errors
from stepfit.core.variable import Variable

PARTS = {
    "train": ("trainable_variables", "non_trainable_variables", "optimizer_variables",
              "metrics_variables"),
    "test": ("trainable_variables", "non_trainable_variables", "metrics_variables"),
    "predict": ("trainable_variables", "non_trainable_variables"),
}  # fmt: skip


class Layout:
    """Which Variables stand in which part of a state, and the *extras* carried beside it.

    Args:
        kind: "train", "test" or "predict".
        parts: dict from part name to list of Variables.
        extras: Variables that a step reads or assigns though the model does not list them: the
            global random state, trackers left out of an overridden `metrics`, and the like.
        versions: what else compiled steps depend on: it changes when an optimizer is given another
            schedule.
        touched: when each layer, optimizer and metric was last changed by hand, which a compiled
            step does not see either.
    """

    def __init__(self, kind, parts, extras, versions=(), touched=()):
        self.kind, self.parts, self.touched = kind, parts, touched
        listed: set[int] = set()
        self.place: dict[int, tuple[str, int]] = {}  # of a Variable: its part, its index there
        for name, variables in parts.items():
            for index, v in enumerate(variables):
                listed.add(id(v))
                self.place.setdefault(id(v), (name, index))
        self.extras = [v for v in _unique(extras) if id(v) not in listed]
        self.variables = _unique([v for vs in parts.values() for v in vs] + self.extras)
        sizes = tuple(len(vs) for vs in parts.values())
        self.key = (sizes, tuple(id(v) for v in self.variables), versions)

    def state(self, value_of):
        """Return the state whose values are ``value_of(variable)``."""
        return TrainState(self, *([value_of(v) for v in vs] for vs in self.parts.values()))


class TrainState:
    """Values of the variables a step may change; unpacks into its parts.

    Attributes:
        trainable_variables, non_trainable_variables, optimizer_variables, metrics_variables:
            lists of arrays (the last two in training, the last in evaluation).

    Example, in a `train_step(self, state, data)`::

        trainable, non_trainable = state.of(self.generator)
        state = state.replace(self.generator, (new_trainable, non_trainable))
        state = state.replace(self.g_optimizer, new_optimizer_values)
        return logs, state
    """

    trainable_variables: list[Any]
    non_trainable_variables: list[Any]
    optimizer_variables: list[Any]
    metrics_variables: list[Any]

    def __init__(self, layout: Layout, *parts: Any):
        self._layout = layout
        self._parts = tuple(parts)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: Any) -> Any:
        return self._parts[index]

    if not TYPE_CHECKING:  # to a type checker, every name would be there

        def __getattr__(self, name):
            if name.startswith("_"):
                raise AttributeError(name)
            names = list(self._layout.parts)
            if name in names:
                return self._parts[names.index(name)]
            kind = f"{self._layout.kind}_step"
            known = [*names, "of", "replace"]
            near = errors.nearest(name, known)
            hint = f"did you mean {near!r}?" if near else f"it has {known}."
            raise errors.StepfitAttributeError(f"the state of {kind} has no {name!r}; {hint}")

    def __repr__(self):
        sizes = (f"{n}: {len(p)}" for n, p in zip(self._layout.parts, self._parts, strict=True))
        return f"<TrainState {', '.join(sizes)}>"

    def of(self, owner: Any) -> Any:
        """Return the values that belong to `owner`.

        Args:
            owner: a layer or model, an optimizer, a metric, a Variable, or a list of Variables,
                held by the model.

        Returns:
            ``(trainable, non_trainable)`` lists for a layer, as `stateless_call` takes them; a
            list for an optimizer, a metric or a list; an array for a Variable.

        Raises:
            ValueError: the owner's variables are not part of this state.
        """
        return jax.tree.map(self._value, variables_of(owner), is_leaf=_is_variable)

    def replace(self, owner: Any, values: Any) -> "TrainState":
        """Return a new state with the values of `owner` replaced.

        Args:
            owner: as in `of`.
            values: what `of` returns for this owner, with new values.
        """
        wanted = variables_of(owner)
        named = "state.replace(owner, values)"
        new: dict[int, tuple[Variable, Any]] = {}
        _collect(wanted, values, new, f"{named} for {_name(owner)}")
        for v, _ in new.values():
            self._value(v)
        parts = [
            [new[id(v)][1] if id(v) in new else value for v, value in zip(vs, part, strict=True)]
            for vs, part in zip(self._layout.parts.values(), self._parts, strict=True)
        ]
        return TrainState(self._layout, *parts)

    def _value(self, variable):
        if id(variable) not in self._layout.place:
            raise errors.bad_value(
                f"state.of({variable.path!r})", "a variable that this state holds",
                "one that the model does not reach by its attributes, or that was made after the "
                f"{self._layout.kind} state was formed",
                "hold its owner as an attribute of the model, and build it before fit()",
            )  # fmt: skip
        name, index = self._layout.place[id(variable)]
        return self._parts[list(self._layout.parts).index(name)][index]


jax.tree_util.register_pytree_node(
    TrainState, lambda s: (s._parts, s._layout), lambda layout, parts: TrainState(layout, *parts)
)


def variables_of(owner):
    """Return the Variables of an owner in the structure that `TrainState.of` gives values in."""
    if isinstance(owner, Variable):
        return owner
    if isinstance(owner, (list, tuple)) and all(isinstance(v, Variable) for v in owner):
        return list(owner)
    if hasattr(owner, "stateless_call"):
        return (owner.trainable_variables, owner.non_trainable_variables)
    if hasattr(owner, "variables"):
        if getattr(owner, "built", True) is False:
            raise errors.bad_value(
                f"state.of({_name(owner)})", "an optimizer that is built", "one that is not",
                "call its build(trainable_variables) in compile()",
            )  # fmt: skip
        return list(owner.variables)
    raise errors.bad_type(
        "state.of(owner)", "a layer, model, optimizer, metric or Variable", owner
    )


def _collect(wanted, values, new, where):
    if isinstance(wanted, Variable):
        new[id(wanted)] = (wanted, values)
        return
    values = list(values)
    if len(values) != len(wanted):
        what = "parts (trainable, non_trainable)" if isinstance(wanted, tuple) else "values"
        raise errors.bad_value(where, f"{len(wanted)} {what}", f"{len(values)}")
    for w, v in zip(wanted, values, strict=True):
        _collect(w, v, new, where)


def _is_variable(x):
    return isinstance(x, Variable)


def _name(owner):
    return repr(getattr(owner, "name", type(owner).__name__))


def _unique(variables):
    return list({id(v): v for v in variables}.values())
