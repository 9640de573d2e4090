"""A pytree whose arrays live in a layer's Variables: the weights of a module of another library."""

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import dtypes, errors
from stepfit.core.variable import Variable


class VariableTree:
    """Makes one Variable of `layer` for each array or number in `tree`; other leaves stay.

    Floats get the dtype of the layer's policy. A typed PRNG key is kept as its bits. Numbers that
    no gradient exists for (integers, bools, keys) are never trainable.

    Args:
        layer: layer that gets the Variables.
        tree: pytree of arrays; they are copied.
        trainable: whether optimizers update the floats. Where they do not, floats are read as they
            are stored, whatever the layer computes in: these are statistics.
    """

    def __init__(self, layer, tree, trainable):
        paths, structure = jax.tree_util.tree_flatten_with_path(tree)
        # The tree with numbers for leaves: unlike its structure, modules can be copied and pickled.
        self._form = jax.tree.unflatten(structure, range(len(paths)))
        self._implementations = {}  # index of a typed key -> its implementation
        self.leaves = [
            self._make(i, layer, path, x, trainable) for i, (path, x) in enumerate(paths)
        ]

    def _make(self, index, layer, path, value, trainable):
        if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            self._implementations[index] = jax.random.key_impl(value)
            value = jax.random.key_data(value)
        if not isinstance(value, (jax.Array, np.ndarray, np.generic, bool, int, float, Variable)):
            return value
        array = jnp.asarray(value)
        is_float = dtypes.is_float(array.dtype)
        names = [n for key in path for n in _name(key).split("/") if n]
        if names[1:] and names[-1] == "value":  # of a variable of NNX
            names.pop()
        variable = layer.add_weight(
            array.shape,
            lambda shape, dtype: jnp.array(array, dtype),  # a copy: the caller keeps his own
            dtype=None if is_float else array.dtype,
            trainable=trainable and jnp.issubdtype(array.dtype, jnp.inexact),
            autocast=trainable,
            name=names[-1] if names else None,
        )
        if len(names) > 1:
            place = variable.path.rpartition("/")[0]
            variable.path = "/".join([place, *names])
        return variable

    @property
    def variables(self):
        """The Variables, in the order of the leaves."""
        return [x for x in self.leaves if isinstance(x, Variable)]

    def tree(self):
        """Return the tree with the Variables in it."""
        return self._with(self.leaves)

    def _with(self, leaves):
        return jax.tree.unflatten(jax.tree.structure(self._form), leaves)

    def read(self):
        """Return the tree with the Variables' values in it."""
        values = [x.value if isinstance(x, Variable) else x for x in self.leaves]
        for index, implementation in self._implementations.items():
            values[index] = jax.random.wrap_key_data(values[index], impl=implementation)
        return self._with(values)

    def assign(self, tree, where):
        """Set the Variables from a tree of the same structure.

        Args:
            tree: pytree of arrays.
            where: what returned it, for the error.
        """
        values, structure = jax.tree.flatten(tree)
        if jax.tree.structure(self._form) != structure:  # type: ignore[operator]
            raise errors.bad_value(
                where, "the structure that the state had at first", "another one",
                f"they differ at {_difference(self._form, tree)}",
            )  # fmt: skip
        for index, (leaf, value) in enumerate(zip(self.leaves, values, strict=True)):
            if isinstance(leaf, Variable):
                leaf.assign(jax.random.key_data(value) if index in self._implementations else value)


def _name(key):
    return jax.tree_util.keystr((key,), simple=True)


def _difference(first, second):
    """Return the first place that only one of two trees has."""
    places = [
        {jax.tree_util.keystr(path, simple=True, separator="/"): None
         for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]}
        for tree in (first, second)
    ]  # fmt: skip
    only = [p for p in (*places[0], *places[1]) if (p in places[0]) != (p in places[1])]
    return repr(only[0]) if only else "a container"
