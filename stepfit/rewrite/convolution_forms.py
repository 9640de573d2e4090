"""Forms of a convolution whose parts XLA's CPU kernels take.

Vocabulary
----------
*Taps*: the positions of a kernel. *Phase*: the outputs whose index has the same remainder when
divided by some period. Where an input is dilated (transposed convolutions, gradients of strided
ones), most products of a naive loop are with zeros; each phase meets the taps of one remainder
only, and is a small convolution without dilation.

`convolution_definition` has the relation that everything here follows from.
"""

import math
from typing import Any

import jax.numpy as jnp
from jax import lax

from stepfit.rewrite.convolution_definition import MANY, positions
from stepfit.rewrite.rule import Slow
from stepfit.rewrite.weight_gradients import few_outputs, few_outputs_by_channel
from stepfit.rewrite.windows import interleave_all, take, take_each

_FEW = 128  # outputs of a weight's gradient: kernels are small
_GROUPS = 64
_TINY = 4  # products per group, tap and position that are computed without a matrix


def convolve(c):
    """Return the output of a `Convolution`, by the form that is fast on the CPU."""
    disjoint = _disjoint(c)
    few = disjoint or math.prod(c.out) < math.prod(c.taps) and math.prod(c.out) <= _FEW
    if c.groups > 1:
        return _grouped(c, few)
    if few:
        return _kernel(c) if _takes_large_kernel(c) else few_outputs(c)
    if any(d > 1 for d in c.lhs_dilation):
        return _spread(c) if _spreads(c) else _phases(c)
    if c.accumulate == jnp.float64 or math.prod(c.taps) == 1:
        return _sum_over_taps(c)
    if sums_products(c.rhs.shape, c.strides):
        return _products_summed(c)
    return _kernel(c)


def _disjoint(c):
    """Say whether this is the gradient of a kernel that met every input once at most (patches)."""
    return max(c.rhs_dilation) > 1 and all(e >= n for e, n in zip(c.rhs_dilation, c.out))


def _takes_large_kernel(c):
    """Say whether XLA's kernel, given one as large as the input, beats products of windows.

    It does along one dimension of space (0.8 of their time); along two it takes up to 30 times as
    long, by sizes that follow no rule.
    """
    dilated = max(*c.lhs_dilation, *c.rhs_dilation) > 1
    return len(c.out) == 1 < c.out[0] and not dilated and c.lhs.dtype == jnp.float32


def _spreads(c):
    """Say whether each input alone makes some of the outputs: no two meet at one."""
    return all(
        s == e == 1 and taps <= d
        for s, e, d, taps in zip(c.strides, c.rhs_dilation, c.lhs_dilation, c.taps)
    )


def _kernel(c):
    """The form that XLA has a kernel for."""
    last, space = c.lhs.ndim - 1, range(c.lhs.ndim - 2)
    order = lax.ConvDimensionNumbers(
        (0, last, *c.axes), (last, last - 1, *space), (0, last, *c.axes)
    )
    high = [
        (n - 1) * s + (taps - 1) * e + 1 - size - low
        for n, s, taps, e, size, low in zip(
            c.out, c.strides, c.taps, c.rhs_dilation, c.lhs.shape[1:-1], c.low
        )
    ]
    lhs, padding = c.lhs, list(zip(c.low, high))
    if min(map(min, padding)) < 0:  # XLA's kernel cannot crop; a crop may go beyond the input
        crop = [p if min(p) < 0 else (0, 0) for p in padding]
        sizes = [size + sum(p) for size, p in zip(lhs.shape[1:-1], crop)]
        lhs = take(lhs, c.axes, [-low for low, _ in crop], [1] * len(crop), sizes)
        padding = [(0, 0) if min(p) < 0 else p for p in padding]
    return lax.conv_general_dilated(
        lhs,
        c.rhs,
        c.strides,
        padding,
        rhs_dilation=c.rhs_dilation,
        dimension_numbers=order,
        precision=c.precision,
        preferred_element_type=c.accumulate if c.accumulate != c.lhs.dtype else None,
    )


def _windows(c, x, axes):
    """Return, for each tap, the part of `x` that it meets, `out` long. No dilated inputs."""
    starts = [
        [h * e - p for h, e, p in zip(tap, c.rhs_dilation, c.low)]
        for tap in positions(*map(range, c.taps))
    ]
    return take_each(x, axes, starts, c.strides, c.out)


def _sum_over_taps(c):
    """One matrix product per tap."""
    kernel = c.rhs.reshape(-1, *c.rhs.shape[-2:])
    total: Any = 0
    for w, x in zip(kernel, _windows(c, c.lhs, c.axes)):
        total += c.dot(x.reshape(-1, x.shape[-1]), w, (((1,), (0,)), ((), ())))
    return total.reshape(c.lhs.shape[0], *c.out, -1)


def _spread(c):
    """Disjoint outputs of each input: one product with the whole kernel, then a change of order."""
    outputs, spatial = c.rhs.shape[-1], len(c.out)
    # The last tap makes the first output. Outputs that no tap makes are zero.
    kernel = lax.rev(c.rhs, range(spatial))
    kernel = take(kernel, range(spatial), [0] * spatial, [1] * spatial, c.lhs_dilation)
    kernel = lax.transpose(kernel, (spatial, *range(spatial), spatial + 1))
    channels = kernel.shape[0]
    product = c.dot(
        c.lhs.reshape(-1, channels), kernel.reshape(channels, -1), (((1,), (0,)), ((), ()))
    )
    product = product.reshape(*c.lhs.shape[:-1], *c.lhs_dilation, outputs)
    pairs = [axis for i in range(spatial) for axis in (1 + i, 1 + spatial + i)]
    product = lax.transpose(product, (0, *pairs, product.ndim - 1))
    space = [n * d for n, d in zip(c.lhs.shape[1:-1], c.lhs_dilation)]
    starts = [taps - 1 - p for taps, p in zip(c.taps, c.low)]
    product = product.reshape(c.lhs.shape[0], *space, outputs)
    return take(product, c.axes, starts, [1] * spatial, c.out)


def sums_products(kernel, strides):
    """Say whether a kernel ``[*space, channels, outputs]`` has too few outputs for XLA's kernel."""
    several = 1 < math.prod(kernel[:-2]) <= MANY
    return several and kernel[-1] <= 4 and kernel[-2] >= 16 and all(s == 1 for s in strides)


def _products_summed(c):
    """Few outputs of many channels: all products first, then the sum over shifted planes."""
    outputs, spatial = c.rhs.shape[-1], len(c.out)
    kernel = lax.transpose(c.rhs, (*range(spatial), spatial + 1, spatial))
    kernel = kernel.reshape(-1, c.rhs.shape[-2])
    products = c.dot(kernel, c.lhs.reshape(-1, kernel.shape[1]), (((1,), (1,)), ((), ())))
    products = products.reshape(-1, outputs, *c.lhs.shape[:-1])
    total: Any = 0
    for plane, tap in enumerate(positions(*map(range, c.taps))):
        starts = [h * e - p for h, e, p in zip(tap, c.rhs_dilation, c.low)]
        total += take(products[plane], range(2, spatial + 2), starts, c.strides, c.out)
    return lax.transpose(total, (*range(1, spatial + 2), 0))


def _phases(c):
    """Each phase of the outputs is a convolution without dilated inputs, with some of the taps."""
    spatial = range(len(c.out))
    periods = [d // math.gcd(s, d) for s, d in zip(c.strides, c.lhs_dilation)]
    counts = [-(-n // period) for n, period in zip(c.out, periods)]

    def part(phases):
        taps = []
        for q, s, p, d, e, size in zip(
            phases, c.strides, c.low, c.lhs_dilation, c.rhs_dilation, c.taps
        ):
            meet = [h for h in range(size) if (q * s + h * e - p) % d == 0]
            if not meet:
                shape = (c.lhs.shape[0], *counts, c.rhs.shape[-1])
                return jnp.zeros(shape, c.accumulate)
            taps.append((meet[0], d // math.gcd(d, e), len(meet)))
        first, step, count = zip(*taps)
        dilations = list(zip(c.lhs_dilation, c.rhs_dilation))
        return convolve(
            c.change(
                rhs=take(c.rhs, spatial, first, step, count),
                out=tuple(counts),
                strides=tuple(n * s // d for n, s, d in zip(periods, c.strides, c.lhs_dilation)),
                low=tuple(
                    -((q * s + h * e - p) // d)
                    for q, s, h, (d, e), p in zip(phases, c.strides, first, dilations, c.low)
                ),
                lhs_dilation=(1,) * len(c.out),
                rhs_dilation=tuple(e // math.gcd(d, e) for d, e in dilations),
            )
        ).astype(c.accumulate)

    if math.prod(periods) > MANY:
        raise Slow
    whole = interleave_all(part, periods, c.axes)
    return take(whole, c.axes, [0] * len(c.out), [1] * len(c.out), c.out)


def _grouped(c, few):
    """Products of channels where a group has few of them, else one group after the other."""
    if not few and any(d > 1 for d in c.lhs_dilation):
        return _phases(c)
    inputs, outputs = c.rhs.shape[-2], c.rhs.shape[-1] // c.groups
    if few and c.lhs.shape[0] * outputs <= _TINY:
        return few_outputs_by_channel(c)
    if not few and inputs * outputs <= _TINY:
        return _by_channel(c)
    last = c.lhs.ndim - 1
    parts = [
        convolve(c.change(lhs=lhs, rhs=rhs, groups=1)).astype(c.accumulate)
        for lhs, rhs in zip(_split(c.lhs, last, c.groups), _split(c.rhs, last, c.groups))
    ]
    return lax.concatenate(parts, last)


def _split(x, axis, number):
    if number > _GROUPS:
        raise Slow
    return lax.split(x, [x.shape[axis] // number] * number, axis)


def _by_channel(c):
    """The sum over taps of the windows times the kernel, channel by channel."""
    inputs, ones = c.rhs.shape[-2], (1,) * (c.lhs.ndim - 1)
    total: Any = 0
    kernel = c.rhs.astype(c.accumulate).reshape(-1, *c.rhs.shape[-2:])
    for w, x in zip(kernel, _windows(c, c.lhs.astype(c.accumulate), c.axes)):
        x = x.reshape(*x.shape[:-1], c.groups, inputs)
        w = w.reshape(inputs, *ones, c.groups, -1)
        total += sum(x[..., i, None] * w[i] for i in range(inputs))
    return total.reshape(*total.shape[:-2], -1)
