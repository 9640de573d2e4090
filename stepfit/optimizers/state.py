"""The state of a transformation, kept in Variables so that it travels like all other state."""

import collections
from typing import Any

import jax
import numpy as np

from stepfit.core import errors, jax_private, placement
from stepfit.core.variable import Variable


class TransformationState:
    """A transformation's state as a flat list of Variables.

    The transformation sees the weights as a dict from path to array, so each leaf of its state that
    belongs to one weight is known by that weight's key. Leaves of one kind stand in the order of
    the weights.

    Args:
        transformation: an optax.GradientTransformation.
        variables: the Variables to optimise.
        add: function ``(value, name, weight) -> Variable`` that makes a Variable of the optimizer;
            `weight` is the Variable that it belongs to, or None.
        last: names of leaves whose Variables come after all others, one group per name.
        interleaved: whether all Variables of one weight stand together, for transformations that
            keep them in several places.
    """

    def __init__(self, transformation, variables, add, last=(), interleaved=False):
        self.keys = _unique([v.path for v in variables])
        params = self.by_key([v.peek_or_spec() for v in variables])
        state = _initial_state(transformation.init, params)
        self.structure: Any
        leaves, self.structure = jax.tree_util.tree_flatten_with_path(state)
        position = {key: i for i, key in enumerate(self.keys)}
        self.names: list[tuple[str, ...]] = []
        self.owners: list[int | None] = []  # position of the weight that a leaf belongs to
        self._random: list[Any] = []  # implementation of a leaf that is a random key
        values, order = [], []
        blocks: dict[tuple[str, ...], int] = {}  # path up to a weight's key -> its first position
        for i, (path, leaf) in enumerate(leaves):
            parts = [_part(entry) for entry in path]
            at = next((k for k, part in enumerate(parts) if part in position), None)
            owner = None if at is None else position[parts[at]]
            name = tuple(parts if at is None else (parts[at + 1 :] or parts[:at]))
            group = last.index(name[-1]) + 1 if name and name[-1] in last else 0
            block = 0 if interleaved else blocks.setdefault(tuple(parts[:at]), i)
            order.append((group, block, -1 if owner is None else owner, i))
            is_key = jax.numpy.issubdtype(getattr(leaf, "dtype", int), jax.dtypes.prng_key)
            self.names.append(name)
            self.owners.append(owner)
            self._random.append(jax.random.key_impl(leaf) if is_key else None)
            values.append(jax.random.key_data(leaf) if is_key else leaf)
        made: dict[int, Variable] = {}
        for *_, i in sorted(order):
            label, owner = "_".join(self.names[i]) or "state", self.owners[i]
            weight = None if owner is None else variables[owner]
            if weight is not None:
                label = f"{weight.path}_{label}"
            made[i] = add(values[i], label.replace("/", "_"), weight)
        self.variables = [made[i] for i in range(len(values))]

    def __getstate__(self):
        # JAX pickles no structure that holds classes of its own; a tree of it, Python does.
        positions = jax.tree.unflatten(self.structure, range(len(self.variables)))
        return {**self.__dict__, "structure": positions}

    def __setstate__(self, state):
        self.__dict__.update(state, structure=jax.tree.structure(state["structure"]))

    def by_key(self, values):
        """Return a list of values, one per weight, in the form the transformation sees."""
        return dict(zip(self.keys, values, strict=True))

    def read(self):
        """Return the current state in the transformation's own structure."""
        leaves = [
            v.value if impl is None else jax.random.wrap_key_data(v.value, impl=impl)
            for v, impl in zip(self.variables, self._random, strict=True)
        ]
        return jax.tree.unflatten(self.structure, leaves)

    def write(self, state, skip, where):
        """Assign a new state.

        Args:
            state: what the transformation's `update` returned.
            skip: set of indices of weights whose part of the state stays as it was.
            where: the optimizer's name for messages.

        Raises:
            ValueError: the structure is not the one that `init` gave.
        """
        leaves, structure = jax.tree.flatten(state)
        if structure != self.structure:
            raise errors.bad_value(
                where, f"a state of the structure that init gave ({len(self.variables)} arrays)",
                f"another structure ({len(leaves)} arrays)",
                "let the transformation's update return a state like init's",
            )  # fmt: skip
        rows = zip(self.variables, leaves, self.owners, self._random, strict=True)
        for variable, leaf, owner, impl in rows:
            if owner not in skip or owner is None:
                variable.assign(leaf if impl is None else jax.random.key_data(leaf))

    def find(self, *ending):
        """Return the first Variable whose name ends in `ending`, or None."""
        for name, variable in zip(self.names, self.variables, strict=True):
            if name[-len(ending) :] == ending:
                return variable
        return None


def _initial_state(init, params):
    """Return ``init(params)``, computed by one program; by none if there is nothing to compute."""
    if placement.only_planned():
        return jax.tree.map(zeros, jax.eval_shape(init, params))
    if not jax_private.at_top_level():
        with jax.ensure_compile_time_eval():
            return init(params)
    compiled = jax.jit(init)
    try:
        computes = bool(compiled.trace(params).jaxpr.jaxpr.eqns)
    except Exception:  # it does what only works on values
        computes = False
    return compiled(params) if computes else init(params)


def _part(entry):
    """Return one entry of a tree path as text."""
    for attribute in ("key", "name", "idx"):
        if hasattr(entry, attribute):
            return str(getattr(entry, attribute))
    return str(entry)


def _unique(paths):
    """Return `paths` with a number added to repeated ones."""
    seen: collections.Counter[str] = collections.Counter()
    keys = []
    for path in paths:
        keys.append(path if not seen[path] else f"{path}:{seen[path]}")
        seen[path] += 1
    return keys


def zeros(value):
    """Return zeros like `value`, made on the host (nothing to compile)."""
    if placement.only_planned():
        return np.broadcast_to(np.zeros((), value.dtype), value.shape)  # takes no memory
    return np.zeros(value.shape, value.dtype)
