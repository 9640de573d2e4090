"""Attention without projections: by dot product, and by a sum."""

import jax
import jax.numpy as jnp

from stepfit import random
from stepfit.core import errors
from stepfit.core.variable import Variable
from stepfit.layers.dot_product import causal_mask
from stepfit.layers.layer import Layer
from stepfit.layers.recurrent_cells import rate


class Attention(Layer):
    """``softmax(scores) @ value`` with ``scores = query @ key.T`` (Luong's attention).

    Args:
        use_scale: whether scores are multiplied by a weight.
        score_mode: "dot", or "concat" for ``w * sum(tanh(query + key))`` over the features.
        dropout: share of the attention weights set to 0 in training.
        seed: int or None, for dropout.

    Call arguments:
        inputs: ``[query, value]`` or ``[query, value, key]``: ``(batch, targets, features)`` and
            twice ``(batch, sources, features)``; the key is the value where it is not given.
        mask: ``[query_mask, value_mask]``, bools ``(batch, targets)`` and ``(batch, sources)`` or
            None: masked targets get 0, masked sources are not attended to.
        return_attention_scores: whether the weights are returned too.
        use_causal_mask: whether a target attends to no later source.

    Returns:
        ``(batch, targets, features)``, and with `return_attention_scores` the weights
        ``(batch, targets, sources)``.

    Source: Luong et al., 2015, https://arxiv.org/abs/1508.04025

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.Attention()([np.ones((1, 5, 8)), np.ones((1, 7, 8))]).shape
    (1, 5, 8)
    """

    scale: Variable | None

    def __init__(self, use_scale=False, score_mode="dot", dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        name = type(self).__name__
        if score_mode not in ("dot", "concat"):
            raise errors.unknown_name(
                f"{name}(score_mode)", "score mode", score_mode, ("dot", "concat")
            )
        self.use_scale, self.score_mode, self.seed = use_scale, score_mode, seed
        self.dropout = rate(dropout, f"{name}(dropout)")
        if self.dropout:
            self.seed_generator = random.SeedGenerator(seed)

    def build(self, input_shape):
        self.scale = self.concat_score_weight = None
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(
                name="concat_score_weight", shape=(), initializer="ones"
            )

    def _calculate_scores(self, query, key):
        scale = 1 if self.scale is None else self.scale.value
        if self.concat_score_weight is None:
            return query @ key.swapaxes(-2, -1) * scale
        both = query[..., :, None, :] + key[..., None, :, :]
        return self.concat_score_weight.value * jnp.sum(jnp.tanh(scale * both), axis=-1)

    def call(
        self, inputs, mask=None, training=False, return_attention_scores=False,
        use_causal_mask=False,
    ):  # fmt: skip
        self._check(inputs, mask)
        query, value, key = inputs[0], inputs[1], inputs[-1]
        query_mask, value_mask = mask[:2] if mask else (None, None)
        scores = self._calculate_scores(query, key)
        allowed = None if value_mask is None else jnp.asarray(value_mask).astype(bool)
        if allowed is not None and allowed.ndim == 2:
            allowed = allowed[:, None, :]
        if use_causal_mask:
            causal = causal_mask(*scores.shape[-2:])
            allowed = causal if allowed is None else allowed & causal
        if allowed is not None:
            low = 65504.0 if scores.dtype == jnp.float16 else 1e9
            scores = jnp.where(allowed, scores, scores - jnp.asarray(low, scores.dtype))
        weights = used = jax.nn.softmax(scores)
        if training and self.dropout:
            used = random.dropout(weights, self.dropout, seed=self.seed_generator)
        output = used @ value
        if query_mask is not None:
            output = jnp.where(jnp.asarray(query_mask).astype(bool)[..., None], output, 0)
        return (output, used) if return_attention_scores else output

    def _check(self, inputs, mask):
        many = isinstance(inputs, (list, tuple)) and len(inputs) in (2, 3)
        if not many:
            raise errors.bad_value(
                f"{self._where()} inputs", "a list [query, value] or [query, value, key]",
                errors.describe(inputs),
            )  # fmt: skip
        if mask is not None and not (isinstance(mask, (list, tuple)) and len(mask) in (2, 3)):
            raise errors.bad_value(
                f"{self._where()} mask", "a list [query_mask, value_mask]", errors.describe(mask)
            )

    def compute_mask(self, inputs, previous_mask=None):
        return [previous_mask[0]] if previous_mask else None  # of the output, not of the scores


class AdditiveAttention(Attention):
    """``softmax(scores) @ value``, ``scores = sum(scale * tanh(query + key))`` (Bahdanau's).

    Args:
        use_scale: whether there is a weight for each feature.
        dropout: share of the attention weights set to 0 in training.
        **kwargs: `seed`, and the layer's own arguments.

    Call arguments, returns: as in `Attention`.

    Source: Bahdanau et al., 2015, https://arxiv.org/abs/1409.0473

    >>> import numpy as np, stepfit as keras
    >>> keras.layers.AdditiveAttention()([np.ones((1, 5, 8)), np.ones((1, 7, 8))]).shape
    (1, 5, 8)
    """

    def __init__(self, use_scale=True, dropout=0.0, **kwargs):
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape):
        self.scale = None
        if self.use_scale:
            self.scale = self.add_weight(
                name="scale", shape=(input_shape[0][-1],), initializer="glorot_uniform"
            )

    def _calculate_scores(self, query, key):
        scale = 1 if self.scale is None else self.scale.value
        both = query[..., :, None, :] + key[..., None, :, :]
        return jnp.sum(scale * jnp.tanh(both), axis=-1)
