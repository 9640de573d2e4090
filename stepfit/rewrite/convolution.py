"""The rule for convolutions: which are slow on the CPU, and what to compute instead.

XLA's CPU kernels take one form only: arrays ``[batch, *space, channels]``, kernels ``[*space,
inputs, outputs]``, no groups, no dilation of the input. Outside of loops XLA brings other orders of
dimensions into it; inside it runs naive loops (https://github.com/jax-ml/jax/issues/12868).
Gradients of convolutions have other orders, dilated inputs, and kernels as large as images.
"""

import jax.numpy as jnp
from jax import lax

from stepfit.rewrite.convolution_definition import Convolution
from stepfit.rewrite.convolution_forms import convolve, sums_products
from stepfit.rewrite.rule import Change, Slow


def _orders(ndim):
    """Return the dimension numbers of the form that XLA's kernels take."""
    last, space = ndim - 1, range(1, ndim - 1)
    return (0, last, *space), (last, last - 1, *range(ndim - 2)), (0, last, *space)


def _rule(equation):
    params = equation.params
    lhs, rhs = (x.aval for x in equation.invars)
    out = equation.outvars[0].aval
    orders = params["dimension_numbers"]
    plain = (
        (orders.lhs_spec, orders.rhs_spec, orders.out_spec) == _orders(lhs.ndim)
        and params["feature_group_count"] == params["batch_group_count"] == 1
        and all(d == 1 for d in params["lhs_dilation"])
        and all(low >= 0 and high >= 0 for low, high in params["padding"])
        and out.dtype != jnp.float64
    )
    if plain and not _has_few_outputs(equation):
        return None
    groups = max(params["feature_group_count"], params["batch_group_count"])
    supported = lhs.ndim in (3, 4, 5) and jnp.issubdtype(lhs.dtype, jnp.floating)
    if 0 in (*lhs.shape, *rhs.shape, *out.shape):
        return None

    def compute(lhs, rhs):
        if not supported:
            raise Slow
        result = convolve(_canonical(lhs, rhs, params, out))
        return result.transpose(_inverse(_to_last(orders.out_spec))).astype(out.dtype)

    kind = "grouped convolution" if groups > 1 else "convolution"
    return Change("convolution", compute, f"{kind} {lhs.shape} x {rhs.shape}")


def _has_few_outputs(equation):
    """Say whether a convolution in XLA's form is still better computed in another."""
    return sums_products(equation.invars[1].aval.shape, equation.params["window_strides"])


def _to_last(spec):
    """Return the permutation from the order of `spec` to [batch, *space, channels]."""
    return (spec[0], *spec[2:], spec[1])


def _inverse(permutation):
    return tuple(permutation.index(i) for i in range(len(permutation)))


def _canonical(lhs, rhs, params, out):
    orders = params["dimension_numbers"]
    kernel = orders.rhs_spec
    lhs = lax.transpose(lhs, _to_last(orders.lhs_spec))
    groups = params["batch_group_count"]
    if groups > 1:  # the same as groups of channels, when the batch's groups become such
        batch, *space, channels = lhs.shape
        lhs = lhs.reshape(groups, batch // groups, *space, channels)
        lhs = lax.transpose(lhs, (*range(1, lhs.ndim - 1), 0, lhs.ndim - 1))
        lhs = lhs.reshape(batch // groups, *space, groups * channels)
    return Convolution(
        lhs=lhs,
        rhs=lax.transpose(rhs, (*kernel[2:], kernel[1], kernel[0])),
        out=tuple(out.shape[d] for d in orders.out_spec[2:]),
        strides=params["window_strides"],
        low=tuple(low for low, _ in params["padding"]),
        lhs_dilation=params["lhs_dilation"],
        rhs_dilation=params["rhs_dilation"],
        groups=max(groups, params["feature_group_count"]),
        precision=params["precision"],
        accumulate=jnp.promote_types(out.dtype, jnp.float32),
    )


RULES = {"conv_general_dilated": _rule}
