"""Clipping of gradients; None stands for a gradient that is not there and stays None."""

import jax.numpy as jnp


def by_norm(gradients, bound):
    """Scale each gradient so that its own norm is at most `bound`: ``g * bound / max(|g|, bound)``.

    Args:
        gradients: list of arrays and None.
        bound: positive float.
    """
    return [
        g if g is None else g * bound / jnp.maximum(jnp.sqrt(jnp.sum(jnp.square(g))), bound)
        for g in gradients
    ]


def by_global_norm(gradients, bound):
    """Scale all gradients by one factor so that their joint norm is at most `bound`.

    A norm that is not finite makes every gradient NaN, so that it cannot pass unseen.

    Args:
        gradients: list of arrays and None.
        bound: positive float.
    """
    squares = [jnp.sum(jnp.square(g)).astype(jnp.float32) for g in gradients if g is not None]
    norm = jnp.sqrt(sum(squares))
    factor = bound * jnp.minimum(1.0 / norm, 1.0 / bound) + (norm - norm)
    return [g if g is None else g * factor.astype(g.dtype) for g in gradients]


def by_value(gradients, bound):
    """Limit each element to ``[-bound, bound]``.

    Args:
        gradients: list of arrays and None.
        bound: positive float.
    """
    return [g if g is None else jnp.clip(g, -bound, bound) for g in gradients]
