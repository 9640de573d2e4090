"""The forms of a convolution that has few outputs, each the sum over many positions.

These are the gradients of kernels. As convolutions, ``lhs`` is [channels, *space, batch] and
``rhs`` [*space, batch, features]. Both go to the order that they have in memory, [batch, *space,
channels], and are called `a` and `b`; output o is then a product of two matrices, made of the parts
of `a` and `b` that meet there:

    output[o] = sum over h of a[j]^T b[h],  where j * d = o * s + h * e - p.

Vocabulary
----------
*Windows*: the parts of an array that meet something, one part for each of some outputs. Seen from
`b`, windows of `a` move with the output; seen from `a`, windows of `b` do.
"""

import dataclasses
import itertools
import math

import jax.numpy as jnp
from jax import lax

from stepfit.rewrite.convolution_definition import MANY, positions
from stepfit.rewrite.rule import Slow
from stepfit.rewrite.windows import interleave_all, take, take_each

_WIDE = 128  # columns of a matrix of windows; wider ones are worth no copy into one array
_PARTS = 8  # such matrices at most; more would take too long to compile
_COST_OF_A = 1.5  # of a number in windows of `a`; of `b` 1: products are faster if these are wide


def few_outputs(c):
    """A kernel's gradient: products of matrices over all positions and the batch."""
    spatial = range(len(c.out))
    order = (len(spatial), *spatial, len(spatial) + 1)
    a = lax.transpose(c.lhs, (len(spatial) + 1, *c.axes, 0))
    b = lax.transpose(c.rhs, order)
    if all(d == 1 for d in c.lhs_dilation):
        products = _crossed(c, a, b)
    elif all(e == 1 for e in c.rhs_dilation):
        products = lax.rev(_crossed(_seen_from_a(c), b, a), spatial).swapaxes(-1, -2)
    else:
        products = lax.concatenate([_product(c, *m)[None] for m in _meetings(c, a, b)], 0)
        products = products.reshape(*c.out, *products.shape[1:])
    return lax.transpose(products, order)


def _product(c, x, y):
    x, y = (z.reshape(-1, z.shape[-1]) for z in (x, y))
    return c.dot(x, y, (((0,), (0,)), ((), ())))


def _seen_from_a(c):
    """Return the convolution with `a` and `b` exchanged. Its outputs are the mirror image."""
    return c.change(
        lhs_dilation=c.rhs_dilation,
        rhs_dilation=c.lhs_dilation,
        low=tuple((n - 1) * s - p for n, s, p in zip(c.out, c.strides, c.low)),
    )


@dataclasses.dataclass(frozen=True)
class _Dimension:
    """One dimension of space, `a` not dilated; along it windows of `b` move, or those of `a`.

    Outputs of one *remainder* (by the period) meet the same *phase* of `a`: every e-th of it.
    """

    out: int
    stride: int
    low: int
    dilation: int
    size: int
    taps: int
    b_moves: bool

    @property
    def period(self):
        period = self.dilation // math.gcd(self.stride, self.dilation)
        return min(period, self.out) if self.b_moves else 1

    def outs(self, remainder):
        return range(remainder, self.out, self.period)

    def _phase(self, remainder):
        return (remainder * self.stride - self.low) % self.dilation

    def starts_of_a(self, remainder):
        if self.b_moves:
            return [self._phase(remainder)]
        return [o * self.stride - self.low for o in self.outs(remainder)]

    def starts_of_b(self, remainder):
        if not self.b_moves:
            return [0]
        first = self._phase(remainder) + self.low
        return [(first - o * self.stride) // self.dilation for o in self.outs(remainder)]

    def count(self, remainder):
        """How many positions meet: of the phase, or of `b`."""
        if not self.b_moves:
            return self.taps
        return max(1, -(-(self.size - self._phase(remainder)) // self.dilation))

    @property
    def sizes(self):
        """How many numbers windows have, for each channel of `a`, and for each of `b`."""
        if self.b_moves:
            return self.size, self.size * self.out / self.dilation
        return self.taps * self.out, self.taps


def _dimensions(c, a, b):
    """Return the dimensions, with windows moving where fewest numbers need be copied.

    Those of `b` move only where some outputs share a remainder: each remainder is a product.
    """

    def cost(dimensions):
        of_a, of_b = (math.prod(sizes) for sizes in zip(*(d.sizes for d in dimensions)))
        return _COST_OF_A * of_a * a.shape[-1] + of_b * b.shape[-1]

    choices = [
        [_Dimension(n, s, p, e, size, taps, b_moves) for b_moves in (True, False)]
        for n, s, p, e, size, taps in zip(
            c.out, c.strides, c.low, c.rhs_dilation, a.shape[1:-1], b.shape[1:-1]
        )
    ]
    shared = [[d for d in pair if d.period < d.out or d.out == 1] for pair in choices]
    return min(itertools.product(*shared), key=cost)


def _crossed(c, a, b):
    """Return all outputs, ``[*out, channels of a, channels of b]``, where `a` is not dilated.

    Along some dimensions windows of `a` move, along the others those of `b`; the products of the
    former with the latter hold every output. So a kernel of 3 x 3 takes 3 + 3 copies and not 9, and
    narrow windows lie side by side in wide matrices. A dilated `b` has products of its own for each
    remainder.
    """
    dimensions = _dimensions(c, a, b)
    periods, steps = [d.period for d in dimensions], [d.dilation for d in dimensions]
    if math.prod(periods) > MANY:
        raise Slow

    def part(remainders):
        along = list(zip(dimensions, remainders))
        counts = [d.count(r) for d, r in along]
        starts_a = positions(*(d.starts_of_a(r) for d, r in along))
        starts_b = positions(*(d.starts_of_b(r) for d, r in along))
        windows_a = take_each(a, c.axes, starts_a, steps, counts)
        windows_b = take_each(b, c.axes, starts_b, [1] * len(steps), counts)
        product = _products(c, _joined(windows_a), _joined(windows_b))

        outs = [len(d.outs(r)) for d, r in along]
        of_a = [1 if d.b_moves else n for d, n in zip(dimensions, outs)]
        of_b = [n if d.b_moves else 1 for d, n in zip(dimensions, outs)]
        product = product.reshape(*of_a, a.shape[-1], *of_b, b.shape[-1])
        half = len(outs) + 1
        order = [axis for i in range(half) for axis in (i, half + i)]
        product = lax.transpose(product, order).reshape(*outs, a.shape[-1], b.shape[-1])
        return _first(product, [len(d.outs(0)) for d in dimensions])

    whole = interleave_all(part, periods, range(len(dimensions)))
    return _first(whole, c.out)


def _first(x, counts):
    """Return as many as `counts` along the first axes; zeros where there are fewer."""
    return take(x, range(len(counts)), [0] * len(counts), [1] * len(counts), counts)


def _products(c, xs, ys):
    """Return the product of all `xs` side by side with all `ys` side by side."""
    return _concatenate([_concatenate([_product(c, x, y) for y in ys], 1) for x in xs], 0)


def _joined(windows):
    """Return windows side by side, as many in an array as keep it narrow enough."""
    number = max(1, _WIDE // windows[0].shape[-1], -(-len(windows) // _PARTS))
    parts = [windows[i : i + number] for i in range(0, len(windows), number)]
    return [_concatenate(part, part[0].ndim - 1) for part in parts]


def _concatenate(arrays, axis):
    return lax.concatenate(arrays, axis) if len(arrays) > 1 else arrays[0]


def few_outputs_by_channel(c):
    """A kernel's gradient where channels are hardly mixed: sums of products over all positions."""
    spatial = len(c.out)
    batch, inputs = c.lhs.shape[0], c.rhs.shape[-2]
    a = c.lhs.reshape(batch, *c.lhs.shape[1:-1], c.groups, inputs)
    a = lax.transpose(a, (spatial + 2, *c.axes, spatial + 1, 0)).astype(c.accumulate)
    a = a.reshape(*a.shape[:-2], -1)
    b = lax.transpose(c.rhs, (spatial, *range(spatial), spatial + 1)).astype(c.accumulate)

    def sum_of_products(x, y):
        x, y = (
            x.reshape(-1, c.groups, batch, 1),
            y.reshape(-1, c.groups, 1, y.shape[-1] // c.groups),
        )
        products = (x * y).reshape(x.shape[0], -1)
        # A product with ones: XLA sums rows far more slowly than it multiplies matrices.
        ones = lax.full((1, x.shape[0]), 1, c.accumulate)
        return c.dot(ones, products, (((1,), (0,)), ((), ())))

    sums = lax.concatenate([sum_of_products(*meeting) for meeting in _meetings(c, a, b)], 0)
    sums = sums.reshape(*c.out, c.groups, batch, -1)
    order = (spatial + 1, *range(spatial), spatial, spatial + 2)
    return lax.transpose(sums, order).reshape(batch, *c.out, -1)


def _meetings(c, a, b):
    """Return, for each output, the parts of `a` and `b` that meet.

    One of the two need not be copied, if the other's windows move. Whichever is the cheaper to
    copy moves.
    """
    outputs = positions(*map(range, c.out))
    starts = [[o * s - p for o, s, p in zip(o, c.strides, c.low)] for o in outputs]
    a_moves = all(d == 1 for d in c.lhs_dilation)
    b_moves = all(e == 1 for e in c.rhs_dilation)
    if b_moves and (b.shape[-1] < a.shape[-1] or not a_moves):
        starts = [[-i for i in start] for start in starts]
        moving = take_each(b, c.axes, starts, c.lhs_dilation, c.lhs.shape[1:-1])
        return [(a, y) for y in moving]
    if a_moves:
        return [(x, b) for x in take_each(a, c.axes, starts, c.rhs_dilation, c.taps)]

    def meeting(o):
        ranges = [_meeting(*x) for x in zip(o, *_relations(c))]
        if None in ranges:
            return jnp.zeros((1, a.shape[-1]), a.dtype), jnp.zeros((1, b.shape[-1]), b.dtype)
        (starts_a, steps_a), (starts_b, steps_b), counts = _unzip(ranges)
        x = take(a, c.axes, starts_a, steps_a, counts)
        return x, take(b, c.axes, starts_b, steps_b, counts)

    return [meeting(o) for o in outputs]


def _unzip(ranges):
    a, b, counts = zip(*ranges)
    return tuple(zip(*a)), tuple(zip(*b)), counts


def _relations(c):
    return c.strides, c.low, c.lhs_dilation, c.rhs_dilation, c.lhs.shape[1:-1], c.taps


def _meeting(o, s, p, d, e, size, taps):
    """Return which inputs j meet which taps h at output o: (start, step) of both, and a count."""
    met = [
        ((o * s + h * e - p) // d, h)
        for h in range(taps)
        if (o * s + h * e - p) % d == 0 and 0 <= (o * s + h * e - p) // d < size
    ]
    if not met:
        return None
    common = math.gcd(d, e)
    j, h = met[0]
    return (j, e // common), (h, d // common), len(met)
