"""A convolution by its definition, and the evaluation of programs with it, in NumPy."""

import itertools

import jax.numpy as jnp
import numpy as np


def convolution(lhs, rhs, params):
    """Return what ``conv_general_dilated`` with some parameters is, in float64."""
    orders, groups = params["dimension_numbers"], params["feature_group_count"]
    batch_groups = params["batch_group_count"]
    lhs = np.asarray(lhs, np.float64).transpose(orders.lhs_spec)
    rhs = np.asarray(rhs, np.float64).transpose(orders.rhs_spec)
    for axis, (d, (low, high)) in enumerate(zip(params["lhs_dilation"], params["padding"]), 2):
        lhs = np.moveaxis(lhs, axis, 0)
        dilated = np.zeros(((len(lhs) - 1) * d + 1, *lhs.shape[1:]))
        dilated[::d] = lhs
        zeros = [np.zeros((max(n, 0), *lhs.shape[1:])) for n in (low, high)]
        lhs = np.concatenate([zeros[0], dilated, zeros[1]])
        lhs = np.moveaxis(lhs[max(-low, 0) : len(lhs) - max(-high, 0)], 0, axis)
    strides, dilation, taps = params["window_strides"], params["rhs_dilation"], rhs.shape[2:]
    out = [
        (n - ((t - 1) * e + 1)) // s + 1
        for n, t, e, s in zip(lhs.shape[2:], taps, dilation, strides)
    ]
    number = max(groups, batch_groups)
    parts = []
    for i in range(number):
        x = np.split(lhs, number, axis=0 if batch_groups > 1 else 1)[i]
        w = np.split(rhs, number, axis=0)[i]
        part = np.zeros((len(x), len(w), *out))
        for tap in itertools.product(*map(range, taps)):
            where = tuple(
                slice(h * e, h * e + (n - 1) * s + 1, s)
                for h, e, n, s in zip(tap, dilation, out, strides)
            )
            part += np.einsum("ni...,oi->no...", x[(..., *where)], w[(..., *tap)])
        parts.append(part)
    return np.concatenate(parts, axis=1).transpose(np.argsort(orders.out_spec))


def evaluate(program, *args):
    """Return the outputs of a program, its convolutions made by `convolution`."""
    values = dict(zip(program.jaxpr.invars, args))

    def read(atom):
        return atom.val if hasattr(atom, "val") else values[atom]

    for equation in program.jaxpr.eqns:
        inputs, params = [read(x) for x in equation.invars], equation.params
        if equation.primitive.name == "conv_general_dilated":
            outputs = [jnp.asarray(convolution(*inputs, params), equation.outvars[0].aval.dtype)]
        else:
            outputs = equation.primitive.bind(*inputs, **equation.primitive.get_bind_params(params))
            outputs = outputs if equation.primitive.multiple_results else [outputs]
        values.update(zip(equation.outvars, outputs))
    return [read(x) for x in program.jaxpr.outvars]
