"""Layers of flax nnx, equinox and torch that start from given Keras weights.

Keras keeps a Dense kernel as (inputs, outputs) and a convolution kernel as (height, width, inputs,
outputs); equinox and torch turn both round.
"""

import numpy as np


def nnx_dense(kernel, bias):
    from flax import nnx

    layer = nnx.Linear(*kernel.shape, rngs=nnx.Rngs(0))
    layer.kernel[...], layer.bias[...] = kernel, bias
    return layer


def nnx_conv(kernel, bias, **options):
    from flax import nnx

    *size, inputs, outputs = kernel.shape
    layer = nnx.Conv(inputs, outputs, tuple(size), rngs=nnx.Rngs(0), **options)
    layer.kernel[...], layer.bias[...] = kernel, bias
    return layer


def equinox_set(layer, **values):
    """Return the equinox layer with these arrays instead of its own."""
    import equinox as eqx
    import jax.numpy as jnp

    names = sorted(values)
    return eqx.tree_at(
        lambda m: [getattr(m, name) for name in names],
        layer,
        [jnp.array(values[name]) for name in names],
    )


def equinox_dense(kernel, bias):
    import equinox as eqx
    import jax

    layer = eqx.nn.Linear(*kernel.shape, key=jax.random.key(0))
    return equinox_set(layer, weight=kernel.T, bias=bias)


def equinox_conv(kernel, bias, **options):
    import equinox as eqx
    import jax

    *size, inputs, outputs = kernel.shape
    layer = eqx.nn.Conv2d(inputs, outputs, tuple(size), key=jax.random.key(0), **options)
    return equinox_set(layer, weight=kernel.transpose(3, 2, 0, 1), bias=bias[:, None, None])


def torch_set(layer, **values):
    """Give the torch layer these values; return it."""
    import torch

    with torch.no_grad():
        for name, value in values.items():
            getattr(layer, name).copy_(torch.tensor(np.ascontiguousarray(value)))
    return layer


def torch_dense(kernel, bias):
    from torch import nn

    return torch_set(nn.Linear(*kernel.shape), weight=kernel.T, bias=bias)


def torch_conv(kernel, bias, **options):
    from torch import nn

    *size, inputs, outputs = kernel.shape
    layer = nn.Conv2d(inputs, outputs, tuple(size), **options)
    return torch_set(layer, weight=kernel.transpose(3, 2, 0, 1), bias=bias)
