"""Jacobians of a gradient tape: every cotangent of a basis, pulled back at once."""

import math
from typing import Any, Literal

import jax
import jax.numpy as jnp

from stepfit.core.errors import StepfitRuntimeError, bad_type, bad_value, describe, message
from stepfit.core.tape_record import is_float
from stepfit.core.variable import Variable

Unconnected = Literal["none", "zero"]  # what a source gets that the target does not depend on


def is_variable(x):
    """Say whether `x` is a Variable."""
    return isinstance(x, Variable)


def flatten(tree):
    """Flatten a structure whose leaves are arrays and Variables."""
    return jax.tree.flatten(tree, is_leaf=is_variable)


def check_target(method, target):
    """Raise unless `target` is an array of a float dtype."""
    where = f"GradientTape.{method}, argument target"
    if not isinstance(target, jax.Array):
        raise bad_type(where, "JAX arrays", describe(target), "compute it inside the block")
    if not is_float(target):
        raise bad_type(
            where,
            "a float or complex dtype",
            target,
            "convert it inside the block with y.astype('float32')",
        )


def check_source(method, source):
    """Raise unless `source` is something that can have been watched."""
    if not is_variable(source) and not isinstance(source, jax.Array):
        raise bad_type(
            f"GradientTape.{method}, argument sources",
            "Variables or watched JAX arrays",
            describe(source),
            "make an array with jnp.asarray(x), watch it, and use it inside the block",
        )


class Jacobians:
    """The Jacobian methods of `GradientTape`, which has what is only declared here."""

    _persistent: bool
    _recorder: Any
    _reading: Any
    _stand_ins_of: Any
    _collect: Any

    def jacobian(
        self, target: Any, sources: Any, unconnected_gradients: Unconnected = "none"
    ) -> Any:
        """Return all derivatives of a target: of every element towards every element.

        ``jacobian[s][i, j] = dt[i] / ds[j]``

        Args:
            target: float array of any shape.
            sources: Variable, watched or computed array, or a structure of these.
            unconnected_gradients: as for `gradient`.

        Returns:
            Arrays of shape ``target.shape + source.shape`` in the structure of `sources`.

        Raises:
            StepfitRuntimeError: on the second call on a tape that is not persistent.
            StepfitTypeError: if `target` or a source is not an array, or `target` is not a float.
            StepfitValueError: if `unconnected_gradients` is misspelt.

        Example:

        >>> import jax.numpy as jnp
        >>> from stepfit.core.tape import GradientTape
        >>> x = jnp.arange(2.0)
        >>> with GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = jnp.stack([x[0] * x[1], x[1] ** 2, x[0] + x[1]])
        >>> tape.jacobian(y, x).tolist()
        [[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]
        """
        check_target("jacobian", target)
        basis = jnp.eye(math.prod(target.shape), dtype=target.dtype)
        basis = basis.reshape((-1, *target.shape))
        rows, tree = self._rows("jacobian", target, sources, unconnected_gradients, basis)
        rows = [r if r is None else r.reshape(target.shape + r.shape[1:]) for r in rows]
        return jax.tree.unflatten(tree, rows)

    def batch_jacobian(
        self, target: Any, source: Any, unconnected_gradients: Unconnected = "none"
    ) -> Any:
        """Return the derivatives of each example of a target towards the same example of a source.

        ``jacobian[b, i, j] = dt[b, i] / ds[b, j]``, on the understanding that ``t[b]`` depends on
        no other example than ``s[b]``.

        Args:
            target: float array of shape ``(batch, ...)``.
            source: watched array, computed array or Variable of shape ``(batch, ...)``.
            unconnected_gradients: as for `gradient`.

        Returns:
            An array of shape ``(batch,) + target.shape[1:] + source.shape[1:]``.

        Raises:
            StepfitRuntimeError: on the second call on a tape that is not persistent.
            StepfitTypeError: if `target` or `source` is not an array, or `target` is not a float.
            StepfitValueError: if the two have no batch axis of one length, or
                `unconnected_gradients` is misspelt.

        Example:

        >>> import jax.numpy as jnp
        >>> from stepfit.core.tape import GradientTape
        >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
        >>> with GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = x**2
        >>> tape.batch_jacobian(y, x).tolist()
        [[[2.0, 0.0], [0.0, 4.0]], [[6.0, 0.0], [0.0, 8.0]]]
        """
        check_target("batch_jacobian", target)
        check_source("batch_jacobian", source)
        if not (target.shape[:1] and target.shape[:1] == source.shape[:1]):
            raise bad_value(
                "GradientTape.batch_jacobian, argument source",
                f"the batch axis of the target, {describe(target)}",
                describe(source),
                "give both a first axis of one length, or use jacobian",
            )
        per_example = target.shape[1:]
        basis = jnp.eye(math.prod(per_example), dtype=target.dtype).reshape((-1, 1, *per_example))
        basis = jnp.broadcast_to(basis, (basis.shape[0], *target.shape))
        (rows,), _ = self._rows("batch_jacobian", target, source, unconnected_gradients, basis)
        if rows is None:
            return None
        rows = jnp.moveaxis(rows, 0, 1)
        return rows.reshape(target.shape + source.shape[1:])

    def _rows(self, method, target, sources, unconnected_gradients, basis):
        """Pull every row of a basis of cotangents back to the sources."""
        leaves, tree = flatten(sources)
        for leaf in leaves:
            check_source(method, leaf)
        if self._recorder.active and self._persistent:
            raise StepfitRuntimeError(
                message(
                    f"GradientTape.{method}",
                    "a call after the `with` block of a persistent tape",
                    "one inside it",
                    "leave the block first, or use two nested tapes for derivatives of a Jacobian",
                )
            )
        with self._reading(method, unconnected_gradients):
            wanted = {i for leaf in leaves for i in self._stand_ins_of(leaf)}
            start = id(target) if id(target) in self._recorder.tracked else None

            def pull(row):
                cotangents = {} if start is None else {start: row}
                pulled = self._recorder.pull(cotangents, wanted)
                return {i: ct for i, ct in pulled.items() if i in wanted}

            cotangents = jax.vmap(pull)(basis)
            rows = self._collect(cotangents, leaves, unconnected_gradients, basis.shape[:1])
        return rows, tree
