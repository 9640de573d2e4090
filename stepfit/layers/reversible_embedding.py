"""ReversibleEmbedding: an embedding that also goes back from vectors to scores of the integers."""

import jax.numpy as jnp

from stepfit import ops
from stepfit.core import dtypes, masks
from stepfit.layers.core import Embedding


class ReversibleEmbedding(Embedding):
    """Table of vectors: ``embeddings[x]``, or with ``reverse=True``, ``x @ embeddings.T``.

    Args:
        input_dim: number of rows; valid inputs are ``0 ... input_dim - 1``.
        output_dim: length of each vector.
        tie_weights: whether the way back uses the transposed table, not one of its own.
        embeddings_initializer, embeddings_regularizer, embeddings_constraint: as in `Embedding`.
        mask_zero: whether 0 means "nothing here" and is masked from the layers that follow.
        reverse_dtype: dtype of the way back; default the layer's compute dtype.
        logit_soft_cap: None, or a bound ``c``: the way back then returns ``c * tanh(logits / c)``.

    Input: integers of any shape; output: ``(*shape, output_dim)``. With ``reverse=True``, input:
    ``(..., output_dim)``; output: ``(..., input_dim)``.

    >>> import numpy as np, stepfit as keras
    >>> layer = keras.layers.ReversibleEmbedding(10, 4)
    >>> hidden = layer(np.array([[1, 2, 3]]))
    >>> hidden.shape, layer(hidden, reverse=True).shape
    ((1, 3, 4), (1, 3, 10))

    Source: Press and Wolf, 2016, https://arxiv.org/abs/1608.05859
    """

    def __init__(
        self,
        input_dim,
        output_dim,
        tie_weights=True,
        embeddings_initializer="uniform",
        embeddings_regularizer=None,
        embeddings_constraint=None,
        mask_zero=False,
        reverse_dtype=None,
        logit_soft_cap=None,
        **kwargs,
    ):
        super().__init__(
            input_dim, output_dim, embeddings_initializer, embeddings_regularizer,
            embeddings_constraint, mask_zero, **kwargs,
        )  # fmt: skip
        self.tie_weights = tie_weights
        self.reverse_dtype = None if reverse_dtype is None else dtypes.standardize_dtype(
            reverse_dtype
        )  # fmt: skip
        self.logit_soft_cap = logit_soft_cap

    def build(self, input_shape=None):
        super().build(input_shape)
        if not self.tie_weights:
            self.reverse_embeddings = self.add_weight(
                name="reverse_embeddings",
                shape=(self.output_dim, self.input_dim),
                initializer=self.embeddings_initializer,
            )

    def call(self, inputs, reverse=False):
        if not reverse:
            outputs = super().call(inputs)
            if self.mask_zero:
                masks.set_mask(outputs, ops.not_equal(inputs, 0))
            return outputs
        table = self.embeddings.value.T if self.tie_weights else self.reverse_embeddings.value
        dtype = self.reverse_dtype or self.compute_dtype
        logits = jnp.matmul(inputs.astype(dtype), table.astype(dtype))
        cap = self.logit_soft_cap
        return logits if cap is None else cap * jnp.tanh(logits / cap)

    def compute_mask(self, inputs, previous_mask=None):
        return None  # `call` sets it: scores have none
