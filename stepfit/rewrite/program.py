"""The pass: walk a program, and put faster equations in the place of slow ones.

Vocabulary
----------
*Program*: what JAX makes of a traced function (a "jaxpr"): a list of equations. Some equations hold
programs of their own: the body of a loop, the branches of a `cond`, a jitted call.

*Rule*: a function that looks at an equation and returns ``None`` (leave it), or a `Change`: a name
to report and a function of the equation's inputs that computes the same outputs. The function is
traced with the inputs' shapes, and its equations take the place of the old one; every other
equation stays the object that it was, with its effects and its place in the source.

The pass comes after differentiation. So it meets the gradients of everybody's layers as well as the
layers, and need not be differentiable itself.
"""

import dataclasses
from typing import Any

import jax

from stepfit.rewrite import convolution, dots, pooling
from stepfit.rewrite.rule import Slow

_RULES = {**convolution.RULES, **pooling.RULES, **dots.RULES}


@dataclasses.dataclass
class Report:
    """What `rewrite` did to a program.

    Args:
        rewritten: name of a rule -> how often it was used.
        left: descriptions of operations that are slow inside a loop here, and were left alone.
    """

    rewritten: dict = dataclasses.field(default_factory=dict)
    left: list = dataclasses.field(default_factory=list)

    @property
    def fits_loop(self):
        """Whether nothing is left that runs slower inside a loop than outside of it."""
        return not self.left


def rewrite(program, platform):
    """Replace what XLA runs slowly on a platform: convolutions, pooling, their gradients, dots.

    Args:
        program: a ``ClosedJaxpr``, after differentiation.
        platform: "cpu", or another, for which nothing is changed.

    Returns:
        ``(program, report)``: a program with the same inputs, outputs and effects, equal up to
        rounding (the same object, if it holds nothing to replace), and a `Report`.

    Example:

    >>> import jax, jax.numpy as jnp
    >>> gradient = jax.grad(lambda w, x: jnp.convolve(x, w).sum())
    >>> step = jax.make_jaxpr(gradient)(jnp.ones(3), jnp.ones(8))
    >>> rewrite(step, platform="cpu")[1].rewritten
    {'convolution': 2}
    """
    report = Report()
    if platform == "cpu":
        program = _rewritten(program, report)
    return program, report


def _rewritten(program, report):
    """Return a program (open or closed) rewritten, or itself."""
    body = getattr(program, "jaxpr", program)
    equations: list[Any] = []
    for equation in body.eqns:
        equations += _replacements(equation, report)
    if len(equations) == len(body.eqns) and all(map(_same, equations, body.eqns)):
        return program
    body = body.replace(eqns=equations)
    return program.replace(jaxpr=body) if hasattr(program, "jaxpr") else body


def _same(a, b):
    return a is b


def _replacements(equation, report):
    rule = _RULES.get(equation.primitive.name)
    change = rule(equation) if rule else None
    if change is None:
        return [_with_inner_programs_rewritten(equation, report)]
    try:
        if _sharded(equation):
            raise Slow
        new = _traced(change.function, equation)
    except Slow:
        if change.slow:
            report.left.append(change.slow)
        return [equation]
    report.rewritten[change.name] = report.rewritten.get(change.name, 0) + 1
    return new


def _sharded(equation):
    """Say whether types say how values are spread over devices: a rule's types would not fit."""
    shardings = [getattr(x.aval, "sharding", None) for x in equation.invars]
    shardings.append(equation.params.get("out_sharding"))
    return any(part is not None for s in shardings for part in getattr(s, "spec", ()))


def _with_inner_programs_rewritten(equation, report):
    inner = Report()
    params = {key: _inner(value, inner) for key, value in equation.params.items()}
    report.left += inner.left
    if equation.params.get("check_vma"):  # types there say which values vary: see `_sharded`
        report.left += [f"{name} in a shard_map with check_vma=True" for name in inner.rewritten]
        return equation
    for name, count in inner.rewritten.items():
        report.rewritten[name] = report.rewritten.get(name, 0) + count
    if all(params[key] is value for key, value in equation.params.items()):
        return equation
    return equation.replace(params=params)


def _inner(value, report):
    if isinstance(value, (tuple, list)) and any(hasattr(x, "eqns") for x in value):
        new = [_inner(x, report) for x in value]
        return value if all(map(_same, new, value)) else type(value)(new)
    return _rewritten(value, report) if hasattr(value, "eqns") else value


def _traced(function, equation):
    """Return equations that compute the outputs of `equation` by `function`."""
    shapes = [jax.ShapeDtypeStruct(x.aval.shape, x.aval.dtype) for x in equation.invars]
    program = jax.make_jaxpr(function)(*shapes)
    body = program.jaxpr
    assert not program.consts
    renamed = dict(zip((*body.invars, *body.outvars), (*equation.invars, *equation.outvars)))

    def rename(atoms):
        return [atom if hasattr(atom, "val") else renamed.get(atom, atom) for atom in atoms]

    return [
        new.replace(
            invars=rename(new.invars),
            outvars=rename(new.outvars),
            source_info=equation.source_info,
        )
        for new in body.eqns
    ]
