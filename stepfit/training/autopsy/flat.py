"""A traced program as one list of operations, with calls of other programs put in their place."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from stepfit.core import jax_private

# Calls whose programs are no more than a part of the program around them -> where that is kept.
_CALLS = {
    **dict.fromkeys(("jit", "pjit", "checkpoint", "remat2"), "jaxpr"),
    **dict.fromkeys(("closed_call", "core_call", "custom_jvp_call", "custom_vjp_call"),
                    "call_jaxpr"),
}  # fmt: skip
_OWN_LINES = ("checkpoint", "remat2")  # traced for each call; others may be kept from an earlier
_SAME_PLACE = frozenset({
    "add", "sub", "mul", "div", "pow", "integer_pow", "exp", "exp2", "expm1", "log", "log1p",
    "sqrt", "rsqrt", "cbrt", "square", "tan", "atanh", "acosh", "asin", "acos", "lgamma",
    "digamma", "erf_inv", "convert_element_type",
})  # fmt: skip


@dataclasses.dataclass(slots=True)
class Op:
    """One operation.

    Attributes:
        equation: what JAX knows of it.
        ins, outs: numbers of the values that go in and come out.
        scopes: names of the layers (and other name scopes) that it is in, outermost first.
        backward: whether it belongs to a backward pass.
        site: the equation whose source line stands for it.
    """

    equation: Any
    ins: list
    outs: list
    scopes: tuple
    backward: bool
    site: Any

    @property
    def name(self):
        """The name of the primitive."""
        return self.equation.primitive.name


class Flat:
    """A program as a list of operations on numbered values.

    Args:
        program: a closed jaxpr.

    Attributes:
        inputs, outputs: numbers of the values that go in and come out.
        constants: number -> array that the program holds, or literal.
        ops: the operations, in order.
        fixed: numbers of the values that are constants, or made of constants alone.
    """

    def __init__(self, program):
        self._count = 0
        self.constants: dict[int, Any] = {}
        self.ops: list[Op] = []
        body = getattr(program, "jaxpr", program)
        self.inputs = [self._new() for _ in body.invars]
        self.outputs = self._add(program, self.inputs, (), False, None)
        self.producer = {out: op for op in self.ops for out in op.outs}
        self.fixed = set(self.constants)
        for op in self.ops:
            if op.ins and self.fixed.issuperset(op.ins):
                self.fixed.update(op.outs)
        self._arrays = {i: x for i, x in self.constants.items() if isinstance(x, jax.Array)}
        self._flags = jax.jit(self._find_flags)

    def _new(self):
        self._count += 1
        return self._count - 1

    def _constant(self, value):
        number = self._new()
        self.constants[number] = value
        return number

    def _add(self, program, inputs, scopes, backward, site):
        """Add the operations of a program; returns the numbers of its outputs."""
        body = getattr(program, "jaxpr", program)
        numbers = dict(zip(body.invars, inputs, strict=True))
        for variable, value in zip(body.constvars, getattr(program, "consts", ()), strict=True):
            numbers[variable] = self._constant(value)

        def number(atom):
            return self._constant(atom.val) if hasattr(atom, "val") else numbers[atom]

        for equation in body.eqns:
            names, transposed = jax_private.scopes_of(equation)
            place = (*scopes, *names), backward or transposed, site or equation
            ins = [number(x) for x in equation.invars]
            kind = equation.primitive.name
            inner = equation.params.get(_CALLS.get(kind))
            if inner is not None and len(getattr(inner, "jaxpr", inner).invars) == len(ins):
                own_lines = kind in _OWN_LINES and site is None
                outs = self._add(inner, ins, *place[:2], None if own_lines else place[2])
            else:
                outs = [self._new() for _ in equation.outvars]
                self.ops.append(Op(equation, ins, outs, *place))
            numbers.update(zip(equation.outvars, outs, strict=True))
        return [number(x) for x in body.outvars]

    # -- running it ------------------------------------------------------------------------------

    def values(self, args, wanted):
        """Return the arrays of the values with some numbers, given the program's inputs."""
        run = jax.jit(lambda args, held: [self._run(args, held)[0][i] for i in wanted])
        return run(list(args), self._arrays)

    def flags(self, args):
        """Return ``{number: (has NaN, has infinities)}``, and the numbers of fresh values.

        A *fresh* value has NaN or infinities in places where no operand has any.
        """
        flags, fresh = self._flags(list(args), self._arrays)
        found = {i: (bool(nan), bool(inf)) for i, (nan, inf) in jax.device_get(flags).items()}
        return found, {i for i, new in jax.device_get(fresh).items() if new}

    def _find_flags(self, args, held):
        values, fresh = self._run(args, held)
        floats = {i: x for i, x in values.items() if _is_float(x)}
        flags = {i: (jnp.isnan(x).any(), jnp.isinf(x).any()) for i, x in floats.items()}
        return flags, fresh

    def _run(self, args, held):
        """Return all values, and for operations place by place whether their result is fresh."""
        values = {**self.constants, **held, **dict(zip(self.inputs, args, strict=True))}
        fresh = {}
        for op in self.ops:
            if not op.outs:  # run for its effect alone, as a print is
                continue
            operands = [values[i] for i in op.ins]
            results = jax_private.evaluate(op.equation, operands)
            values.update(zip(op.outs, results, strict=True))
            if op.name in _SAME_PLACE and _is_float(results[0]):
                bad = ~jnp.isfinite(results[0])
                for operand in filter(_is_float, operands):
                    bad = bad & jnp.isfinite(operand)
                fresh[op.outs[0]] = bad.any()
        return values, fresh


def _is_float(x):
    return jnp.issubdtype(jax.dtypes.result_type(x) if not hasattr(x, "dtype") else x.dtype,
                          jnp.inexact)  # fmt: skip
