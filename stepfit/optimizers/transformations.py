"""Transformations of gradients in optax's form (`init`, `update`), with Keras's numbers.

`update` returns a *direction*, which the optimizer subtracts, times the learning rate, from the
weights. Beside optax's arguments it receives ``learning_rate`` and ``iteration`` (the number of
updates before this one), for rules whose memory depends on them.
"""

from typing import Any

import jax
import optax


def per_variable(init, update, sees_weight=False):
    """Make a transformation out of functions of one variable.

    Args:
        init: function from a variable's value to its slots, a dict from name to array.
        update: function ``(gradient, slots, learning_rate, iteration) -> (direction, slots)``.
        sees_weight: whether `update` takes the weight's value as a fifth argument.

    Returns:
        optax.GradientTransformationExtraArgs whose state holds the slots of each variable.
    """

    def init_all(params):
        return jax.tree.map(init, params)

    def update_all(gradients, state, params=None, *, learning_rate, iteration, **unused):
        structure: Any
        leaves, structure = jax.tree.flatten(gradients)
        slots = structure.flatten_up_to(state)
        weights = [(w,) if sees_weight else () for w in structure.flatten_up_to(params)]
        pairs = [
            update(g, s, learning_rate, iteration, *w)
            for g, s, w in zip(leaves, slots, weights, strict=True)
        ]
        directions, slots = zip(*pairs, strict=True) if pairs else ((), ())
        return structure.unflatten(directions), structure.unflatten(slots)

    return optax.GradientTransformationExtraArgs(init_all, update_all)
