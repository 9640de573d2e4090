"""The rule for matrix products: gradients of weights that are used at many positions.

Such a gradient is a product over batch and positions. XLA's CPU compiler moves these to the end of
both arrays, and while it copies them computes whatever made the arrays once more, in strided order.
As a plain product of two matrices, over their first dimension and with its inputs finished first,
it needs no copy.
"""

import math

from jax import lax

from stepfit.rewrite.rule import Change


def _rule(equation):
    params = equation.params
    (over_a, over_b), (batch, _) = params["dimension_numbers"]
    first = tuple(range(len(over_a)))
    a, b = (x.aval.shape for x in equation.invars)
    if batch or len(first) < 2 or {tuple(over_a), tuple(over_b)} != {first} or 0 in (*a, *b):
        return None
    number = len(first)

    def compute(x, y):
        x, y = (
            lax.optimization_barrier(z.reshape(-1, math.prod(z.shape[number:]))) for z in (x, y)
        )
        product = lax.dot_general(
            x,
            y,
            (((0,), (0,)), ((), ())),
            precision=params["precision"],
            preferred_element_type=params["preferred_element_type"],
        )
        return product.reshape(*a[number:], *b[number:])

    return Change("product over positions", compute)


RULES = {"dot_general": _rule}
