"""The state of a transformation, kept in Variables so that it travels like all other state."""

import collections

import jax
import numpy as np

from stepfit.core import errors


class TransformationState:
    """A transformation's state as a flat list of Variables.

    The transformation sees the weights as an ordered dict from path to array, so each leaf of its
    state that belongs to one weight is known by that weight's key.

    Args:
        transformation: an optax.GradientTransformation.
        variables: the Variables to optimise.
        add: function ``(value, name) -> Variable`` that makes a Variable of the optimizer.
        last: names of leaves whose Variables come after all others, one group per name.
    """

    def __init__(self, transformation, variables, add, last=()):
        self.keys = _unique([v.path for v in variables])
        with jax.ensure_compile_time_eval():
            params = self.by_key([v.peek() for v in variables])
            state = transformation.init(params)
        leaves, self.structure = jax.tree_util.tree_flatten_with_path(state)
        position = {key: i for i, key in enumerate(self.keys)}
        self.names, self.owners, values, self._random = [], [], [], []
        for path, leaf in leaves:
            parts = [_part(entry) for entry in path]
            owner = next((p for p in parts if p in position), None)
            after = parts[parts.index(owner) + 1 :] if owner is not None else ()
            self.names.append(tuple(after or (p for p in parts if p != owner)))
            self.owners.append(None if owner is None else position[owner])
            is_key = jax.numpy.issubdtype(getattr(leaf, "dtype", int), jax.dtypes.prng_key)
            self._random.append(jax.random.key_impl(leaf) if is_key else None)
            values.append(jax.random.key_data(leaf) if is_key else leaf)
        group = [last.index(n[-1]) + 1 if n and n[-1] in last else 0 for n in self.names]
        self.variables = [None] * len(values)
        for i in sorted(range(len(values)), key=group.__getitem__):
            name = "_".join(self.names[i]) or "state"
            if self.owners[i] is not None:
                name = f"{variables[self.owners[i]].path}_{name}"
            self.variables[i] = add(values[i], name.replace("/", "_"))

    def by_key(self, values):
        """Return a list of values, one per weight, in the form the transformation sees."""
        return collections.OrderedDict(zip(self.keys, values, strict=True))

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


def _part(entry):
    """Return one entry of a tree path as text."""
    for attribute in ("key", "name", "idx"):
        if hasattr(entry, attribute):
            return str(getattr(entry, attribute))
    return str(entry)


def _unique(paths):
    """Return `paths` with a number added to repeated ones."""
    seen, keys = collections.Counter(), []
    for path in paths:
        keys.append(path if not seen[path] else f"{path}:{seen[path]}")
        seen[path] += 1
    return keys


def zeros(value):
    """Return zeros like `value`, made on the host (nothing to compile)."""
    return np.zeros(value.shape, value.dtype)
