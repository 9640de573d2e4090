"""The losses of a forward pass: a list of scalars that is also the array of them."""

import jax
import jax.numpy as jnp


class LossList(list):
    """A list of scalar losses that JAX functions take as one array, so `jnp.sum(losses)` works."""

    def __jax_array__(self):
        return jnp.stack([jnp.asarray(loss) for loss in self]) if self else jnp.zeros(0)


jax.tree_util.register_pytree_node(
    LossList, lambda losses: (list(losses), None), lambda _, children: LossList(children)
)
