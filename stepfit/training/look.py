"""One look at a model's forward pass, by tracing it: what it returns, takes, and is made of.

The trace makes the model's variables and gives the shapes of its outputs. It also shows mistakes
that no value of a compiled step would show: trainable Variables that the model does not hold,
outputs that are not arrays, and linear outputs that a loss would take for probabilities.
"""

import jax
import numpy as np
from jax.extend.core import Literal

from stepfit.core import errors
from stepfit.core import scope as scopes
from stepfit.training import default_steps
from stepfit.training.leftovers import leave_behind
from stepfit.training.program import spec
from stepfit.training.step import explain

_SAME = frozenset({
    "reshape", "squeeze", "transpose", "convert_element_type", "broadcast_in_dim", "copy",
    "expand_dims", "reduce_precision", "optimization_barrier", "neg",
})  # fmt: skip
_CALLS = frozenset({"jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2"})


class Look:
    """What tracing the forward pass of a model for one form of batch showed.

    Args:
        model: the model.
        x: inputs, or their shapes.

    Attributes:
        outputs: shapes and dtypes, in the structure of the outputs.
        linear: for each leaf of the outputs, whether it is a linear function with trainable
            coefficients, so that it can be any number.
        strangers: trainable Variables that the forward pass reads and the model does not hold.
    """

    def __init__(self, model, x):
        where, was_built = model._where(), model.built

        def run(value):
            with scopes.Scope(collect_losses=True) as scope:
                scope.abstract, scope.again = True, was_built
                try:
                    outputs = default_steps.forward(model, value, training=False)
                except Exception as e:
                    explain(e, where)
                    raise
                finally:
                    leave_behind(model, where)
            self._read = list(scope.guests.values())
            for leaf in jax.tree.leaves(outputs):
                if not isinstance(leaf, (jax.Array, np.ndarray, np.generic, int, float)):
                    fix = "return arrays, in tuples, lists or dicts"
                    raise errors.bad_type(f"{where} call", "arrays", errors.describe(leaf), fix)
            return outputs

        closed, self.outputs = jax.make_jaxpr(run, return_shape=True)(jax.tree.map(spec, x))
        held = {id(v) for v in model.variables}
        self.strangers = [v for v in self._read if v.trainable and id(v) not in held]
        del self._read
        values = [v.peek_or_spec() for v in model.trainable_variables if v.constraint is None]
        free = set(map(id, values))
        weights = {
            var: None
            for var, value in zip(closed.jaxpr.constvars, closed.consts, strict=True)
            if id(value) in free
        }
        self.linear = [_is_linear(closed.jaxpr, var, weights) for var in closed.jaxpr.outvars]

    def check_held(self, model):
        """Raise where the forward pass reads trainable Variables that the model does not hold."""
        if not self.strangers:
            return
        paths = ", ".join(repr(v.path) for v in self.strangers[:3])
        more = len(self.strangers) - 3
        raise errors.bad_value(
            f"{model._where()} call", "to use trainable variables that the model holds",
            f"{paths}{f' and {more} more' if more > 0 else ''}, which no attribute of it leads to "
            "and which would never be trained",
            "hold the layer or Variable as an attribute, as in self.layer = ..., or set its "
            "`trainable` to False",
        )  # fmt: skip


# -- is an output linear? ----------------------------------------------------------------------


def _is_linear(jaxpr, var, weights):
    """Say whether `var` is surely a product with one of `weights`, or such a product plus one."""
    made = {out: eqn for eqn in jaxpr.eqns for out in eqn.outvars}

    def peel(atom):
        while not isinstance(atom, Literal) and atom in made and made[atom].primitive.name in _SAME:
            atom = made[atom].invars[0]
        return atom

    def is_weight(atom):
        atom = peel(atom)
        return not isinstance(atom, Literal) and atom in weights

    def visit(atom):
        atom = peel(atom)
        if isinstance(atom, Literal) or atom not in made:
            return False
        eqn = made[atom]
        name = eqn.primitive.name
        if name == "dot_general":
            return any(map(is_weight, eqn.invars))
        if name == "conv_general_dilated":
            return is_weight(eqn.invars[1])
        if name in ("add", "sub"):
            a, b = eqn.invars
            return (visit(a) and is_weight(b)) or (visit(b) and is_weight(a))
        if name in _CALLS:
            inner = eqn.params["jaxpr"]
            inner = getattr(inner, "jaxpr", inner)
            theirs = {
                theirs: None
                for theirs, ours in zip(inner.invars, eqn.invars, strict=True)
                if is_weight(ours)
            }
            return _is_linear(inner, inner.outvars[eqn.outvars.index(atom)], theirs)
        return False

    return not isinstance(var, Literal) and visit(var)
