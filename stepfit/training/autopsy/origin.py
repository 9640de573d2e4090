"""Where a NaN or an infinity in a program's results began."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.extend.core import jaxpr_as_fun

from stepfit.core import jax_private
from stepfit.training.autopsy.flat import Flat


@dataclasses.dataclass
class Origin:
    """Where a non-finite value began.

    Attributes:
        input: number of the program's input that was not finite, or None.
        op: the operation that made it of finite values; where `input` is given, the first to use
            it, if any does.
        scopes, backward: those of the operation, with those of the loops around it.
        operands, results: arrays that went into the operation and came out.
        made_of_infinity: whether a constant infinity of the program went in.
    """

    input: int | None = None
    op: Any = None
    scopes: tuple = ()
    backward: bool = False
    operands: Any = ()
    results: Any = ()
    made_of_infinity: bool = False


class Trail:
    """What is bad among the values of one run of a program, and where it came from.

    Args:
        flat: the program, a `Flat`.
        args: its inputs.
    """

    def __init__(self, flat, args):
        self._flat, self._args = flat, list(args)
        self._flags, self._fresh = flat.flags(self._args)

    def bad_outputs(self):
        """Return the positions of outputs that are not finite."""
        return [k for k, number in enumerate(self._flat.outputs) if self._bad(number)]

    def origin(self, output):
        """Return the `Origin` of an output that is not finite.

        Args:
            output: its position.
        """
        flat, target = self._flat, self._flat.outputs[output]
        user: Any = None  # the operation that we came from
        mixer: Any = None  # one that made NaN of infinities
        while True:
            op = flat.producer.get(target)
            if op is None:
                if target in flat.inputs:
                    origin = self._origin(user)
                    origin.input = flat.inputs.index(target)
                    return origin
                return self._origin(mixer or user, made_of_infinity=True)
            inside = _LOOPS.get(op.name)
            if inside is not None:
                found = inside(op, flat.values(self._args, op.ins), op.outs.index(target))
                if isinstance(found, Origin):
                    found.scopes = (*op.scopes, *found.scopes)
                    found.backward = found.backward or op.backward
                    return found
                user, target = op, op.ins[found]
                continue
            ways = [] if target in self._fresh else self._causes(op, target)
            if not ways:
                return self._origin(op)
            if self._flags[target][0] and not self._flags[ways[0]][0]:
                mixer = op
            user, target = op, ways[0]

    def _bad(self, number):
        return any(self._flags.get(number, (False, False)))

    def _causes(self, op, target):
        """Return the operands that may have made a result bad, the likeliest first."""
        bad = [i for i in op.ins if self._bad(i)]
        nan = self._flags[target][0]  # NaN comes of NaN, where there is any, and stays NaN
        same = [i for i in bad if self._flags[i][0] == nan]
        return sorted(same or bad, key=lambda i: i in self._flat.fixed)

    def _origin(self, op, **more):
        if op is None:
            return Origin(**more)
        values = self._flat.values(self._args, [*op.ins, *op.outs])
        operands, results = values[: len(op.ins)], values[len(op.ins) :]
        return Origin(None, op, op.scopes, op.backward, operands, results, **more)


def find_origin(program, args, output):
    """Return the `Origin` of a program's output that is not finite.

    Args:
        program: a closed jaxpr.
        args: its inputs.
        output: position of the output.
    """
    return Trail(Flat(program), args).origin(output)


# -- loops and branches: each returns an Origin, or the operand that was not finite already ------


def _in_scan(op, operands, output):
    params = op.equation.params
    consts, carried = jax_private.scan_counts(params)
    run = jax.jit(jaxpr_as_fun(params["jaxpr"]))
    rounds = range(params["length"])
    inputs, results = [], []
    carry = operands[consts : consts + carried]
    for i in reversed(rounds) if params["reverse"] else rounds:
        rows = [x[i] for x in operands[consts + carried :]]
        inputs.append([*operands[:consts], *carry, *rows])
        results.append(run(*inputs[-1]))
        carry = results[-1][:carried]
    return _in_rounds(params["jaxpr"], inputs, results, output, consts, carried, lambda i: i)


def _in_while(op, operands, output):
    params = op.equation.params
    of_test, of_body = params["cond_nconsts"], params["body_nconsts"]
    test, run = (jax.jit(jaxpr_as_fun(params[k])) for k in ("cond_jaxpr", "body_jaxpr"))
    consts, carry = operands[of_test : of_test + of_body], operands[of_test + of_body :]
    inputs, results = [], []
    while bool(test(*operands[:of_test], *carry)[0]):
        inputs.append([*consts, *carry])
        carry = run(*inputs[-1])
        results.append(carry)
    if not inputs:
        return of_test + of_body + output
    return _in_rounds(params["body_jaxpr"], inputs, results, output, of_body, len(carry),
                      lambda i: of_test + i)  # fmt: skip


def _in_rounds(body, inputs, results, output, consts, carried, operand):
    """Go back from the first round of a loop with a bad result to where that began."""
    flat = Flat(body)
    last = len(results) - 1
    k = next((k for k, r in enumerate(results) if _is_bad(r[output])), last)
    while True:
        origin = Trail(flat, inputs[k]).origin(output)
        if origin.input is None:
            return origin
        if not consts <= origin.input < consts + carried or k == 0:
            return operand(origin.input)
        k, output = k - 1, origin.input - consts


def _in_cond(op, operands, output):
    branches = op.equation.params["branches"]
    taken = branches[min(max(int(operands[0]), 0), len(branches) - 1)]
    origin = find_origin(taken, operands[1:], output)
    return origin if origin.input is None else origin.input + 1


_LOOPS = {"scan": _in_scan, "while": _in_while, "cond": _in_cond}


def _is_bad(x):
    return jax.numpy.issubdtype(x.dtype, np.inexact) and not bool(jax.numpy.isfinite(x).all())
