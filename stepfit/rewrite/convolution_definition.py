"""A convolution as the rules see it, in one order of dimensions.

Along each dimension of space, with strides s, padding p, dilations d (input) and e (kernel), output
o is the sum over taps h of ``lhs[j] * rhs[h]`` where

    j * d = o * s + h * e - p.

Every form follows from this relation.
"""

import dataclasses
import itertools
import math
from typing import Any

from jax import lax

from stepfit.rewrite.rule import Slow

MANY = 512  # pieces that a convolution may be cut into; more would take too long to compile


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A convolution of arrays in the order ``[batch, *space, channels]``.

    Args:
        lhs: the input, ``[batch, *space, channels]``.
        rhs: the kernel, ``[*space, channels / groups, outputs]``.
        out: sizes of the output's space.
        strides, low, lhs_dilation, rhs_dilation: ints per dimension of space; `low` is the padding
            before the input.
        groups: how many groups the channels are in.
        precision: as `lax` takes it.
        accumulate: the dtype in which products are summed.
    """

    lhs: Any
    rhs: Any
    out: tuple
    strides: tuple
    low: tuple
    lhs_dilation: tuple
    rhs_dilation: tuple
    groups: int
    precision: Any
    accumulate: Any

    @property
    def axes(self):
        """The axes of space of `lhs` and of the output."""
        return range(1, self.lhs.ndim - 1)

    @property
    def taps(self):
        """The sizes of the kernel's space."""
        return self.rhs.shape[:-2]

    def change(self, **changes):
        """Return a convolution that differs in some fields."""
        return dataclasses.replace(self, **changes)

    def dot(self, a, b, dimensions):
        """Return a product of matrices, as exact as the convolution is."""
        return lax.dot_general(
            a, b, dimensions, precision=self.precision, preferred_element_type=self.accumulate
        )


def positions(*ranges):
    """Return the tuples of one number of each range; the last changes fastest."""
    if math.prod(map(len, ranges)) > MANY:
        raise Slow
    return list(itertools.product(*ranges))
