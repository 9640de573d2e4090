"""MultiHeadAttention and GroupQueryAttention: attention with projections, in several heads."""

import math
from typing import Any

import jax.numpy as jnp

from stepfit import constraints, initializers, regularizers
from stepfit.core import errors
from stepfit.layers import arguments
from stepfit.layers.dot_product import attend, causal_mask, window_mask
from stepfit.layers.einsum_dense import EinsumDense
from stepfit.layers.layer import Layer
from stepfit.layers.regularization import Dropout


class _Heads(Layer):
    """Base: projections of query, key and value; masks; one projection of what was attended to."""

    _attention_axes: tuple | None = None

    def _set_up(
        self, head_dims, dropout, use_bias, use_gate, sliding_window, flash_attention, seed,
        activity_regularizer, **settings,
    ):  # fmt: skip
        """Keep the settings; `head_dims`: ``(heads, size)`` of query, key and value."""
        name = type(self).__name__
        self._head_dims = head_dims
        self._use_bias, self._use_gate = use_bias, use_gate
        if sliding_window is not None:
            sliding_window = arguments.positive_int(sliding_window, f"{name}(sliding_window)")
        self._sliding_window, self._flash_attention = sliding_window, flash_attention
        self.seed = seed
        self._dropout_layer = Dropout(dropout, seed=seed, dtype=self.dtype_policy)
        self._sublayer_options = {
            "activity_regularizer": regularizers.get(activity_regularizer),
            "dtype": self.dtype_policy,
        }
        families = {
            "initializer": initializers, "regularizer": regularizers, "constraint": constraints
        }  # fmt: skip
        for key, value in settings.items():
            self._sublayer_options[key] = families[key.rpartition("_")[2]].get(value)

    def _projection(self, name, rank, bound, sizes, **more):
        """Return the layer that replaces the last `bound` axes of an input by axes of `sizes`."""
        letters = "abcdefghijklmnopqrstuvwxyz"
        free, inner = letters[: rank - bound], letters[rank - bound : rank]
        outer = letters[rank : rank + len(sizes)]
        options = {**self._sublayer_options, **more}
        for key, value in options.items():
            if isinstance(value, initializers.Initializer):
                options[key] = value.clone()  # without a seed, each draws its own numbers
        return EinsumDense(
            f"{free}{inner},{inner}{outer}->{free}{outer}",
            (*[None] * (len(free) - 1), *sizes),
            bias_axes=outer if self._use_bias else None,
            name=name,
            **options,
        )

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = value_shape if key_shape is None else key_shape
        if tuple(key_shape[1:-1]) != tuple(value_shape[1:-1]):
            raise errors.bad_value(
                f"{self._where()} key", f"the shape of value, {tuple(value_shape)}, but for the "
                "last axis", f"{tuple(key_shape)}",
            )  # fmt: skip
        rank = len(query_shape)
        query_heads, key_heads, value_heads = self._head_dims
        gate_heads = (query_heads[0], value_heads[1])
        self._query_dense = self._projection("query", rank, 1, query_heads)
        self._key_dense = self._projection("key", len(key_shape), 1, key_heads)
        self._gate_dense = None
        if self._use_gate:
            self._gate_dense = self._projection("gate", rank, 1, gate_heads, activation="sigmoid")
        self._value_dense = self._projection("value", len(value_shape), 1, value_heads)
        sizes = self._output_sizes(query_shape)
        self._output_dense = self._projection("attention_output", rank + 1, 2, sizes)
        self._query_dense.build(query_shape)
        self._key_dense.build(key_shape)
        if self._gate_dense is not None:
            self._gate_dense.build(query_shape)
        self._value_dense.build(value_shape)
        self._output_dense.build((*query_shape[:-1], *gate_heads))

    def _output_sizes(self, query_shape):
        return (query_shape[-1],)

    def call(
        self, query, value, key=None, query_mask=None, value_mask=None, key_mask=None,
        attention_mask=None, return_attention_scores=False, training=None, use_causal_mask=False,
    ):  # fmt: skip
        key = value if key is None else key
        mask = self._mask(query, value, query_mask, value_mask, key_mask, attention_mask,
                          use_causal_mask)  # fmt: skip
        gate = None if self._gate_dense is None else self._gate_dense(query)
        output, weights = self._compute_attention(
            self._query_dense(query), self._key_dense(key), self._value_dense(value), mask,
            training, return_attention_scores,
        )  # fmt: skip
        output = self._output_dense(output if gate is None else output * gate)
        return (output, weights) if return_attention_scores else output

    def _mask(self, query, value, query_mask, value_mask, key_mask, given, causal):
        """Join what all masks allow; None where every target may attend to every source."""
        lengths = query.shape[1], value.shape[1]
        if given is not None and query.ndim == value.ndim == 3:
            sizes = jnp.shape(given)[-2:]
            wanted = lengths[-len(sizes) :]
            if any(size not in (1, n) for size, n in zip(sizes, wanted, strict=True)):
                raise errors.bad_value(
                    f"{self._where()} attention_mask",
                    f"shape (batch, targets, sources), which end in {lengths}",
                    f"shape {jnp.shape(given)}",
                )  # fmt: skip
        masks = [
            None if query_mask is None else jnp.asarray(query_mask).astype(bool)[..., None],
            *(None if m is None else jnp.asarray(m).astype(bool)[..., None, :]
              for m in (value_mask, key_mask)),
            causal_mask(*lengths) if causal else None,
            window_mask(*lengths, self._sliding_window) if self._sliding_window else None,
            None if given is None else jnp.asarray(given).astype(bool),
        ]  # fmt: skip
        joined = None
        for mask in masks:
            if mask is not None:
                joined = mask if joined is None else joined & mask
        return joined

    def _compute_attention(
        self, query, key, value, attention_mask=None, training=None, return_attention_scores=False
    ):
        """Attend with projected arrays; what subclasses override to attend in another way.

        Args:
            query, key, value: ``(batch, ..., heads, size)``.
            attention_mask: bools ``(batch, ..., targets, sources)``, or None.

        Returns:
            ``(output, weights)``.
        """
        rank = query.ndim
        axes = self._attention_axes
        axes = tuple(range(1, rank - 2)) if axes is None else tuple(a % (rank - 1) for a in axes)
        around = [a for a in range(rank - 2) if a not in axes]
        places = [*around, *axes, rank - 2, rank - 1]
        dims = [x.shape[a] for x in (query, key) for a in axes]

        def flat(x):  # the axes that are attended over as one, before heads and features
            x = x.transpose(places)
            return x.reshape(*x.shape[: len(around)], -1, *x.shape[-2:])

        if attention_mask is not None:
            missing = len(around) + 1 + 2 * len(axes) - attention_mask.ndim
            after = attention_mask.ndim - 2 * len(axes)
            attention_mask = jnp.expand_dims(attention_mask, tuple(range(after, after + missing)))
            attention_mask = jnp.broadcast_to(
                attention_mask, (*attention_mask.shape[: len(around) + 1], *dims)
            )
            targets, sources = (math.prod(d) for d in (dims[: len(axes)], dims[len(axes) :]))
            attention_mask = attention_mask.reshape(
                *attention_mask.shape[: len(around) + 1], targets, sources
            )
        drops = self._dropout_layer.rate > 0
        output, weights = attend(
            flat(query), flat(key), flat(value), attention_mask, query.shape[-1] ** -0.5,
            drop=(lambda x: self._dropout_layer(x, training=training)) if drops else None,
            # As Keras, whose fused form leaves a target that may attend to nothing the mean.
            zero_masked=drops or return_attention_scores or rank != 4,
        )  # fmt: skip
        apart = [output.shape[i] for i in range(len(around))] + dims[: len(axes)]
        output = output.reshape(*apart, *output.shape[-2:])
        back = sorted(range(rank), key=places.__getitem__)
        return output.transpose(back), weights.reshape(*weights.shape[: len(around) + 1], *dims)

    def compute_mask(self, inputs, previous_mask=None):
        return [previous_mask]  # of the output, not of the scores

    query_dense = property(lambda self: self._query_dense)
    key_dense = property(lambda self: self._key_dense)
    value_dense = property(lambda self: self._value_dense)
    output_dense = property(lambda self: self._output_dense)


class MultiHeadAttention(_Heads):
    """``concat(head_1, ..., head_n) @ W_o``, ``head_i = softmax(q_i @ k_i.T / sqrt(d)) @ v_i``.

    ``q_i``, ``k_i`` and ``v_i`` are projections, with a bias, of query, key and value.

    Args:
        num_heads: number of heads.
        key_dim: ``d``, the size of each head of query and key.
        value_dim: size of each head of the value; None: `key_dim`.
        dropout: share of the attention weights set to 0 in training.
        use_bias: whether projections have a bias.
        output_shape: sizes of the output's last axes; None: the query's last one.
        attention_axes: axes of the query to attend over; None: all but batch and features.
        sliding_window: positions that are this far away, or farther, are not attended to.
        flash_attention: accepted for Keras's signature; XLA chooses the kernel.
        kernel_initializer, bias_initializer: initial weights of the projections.
        kernel_regularizer, bias_regularizer, activity_regularizer: of the projections.
        kernel_constraint, bias_constraint: of the projections.
        use_gate: whether the heads' outputs are multiplied by ``sigmoid`` of another projection of
            the query.
        seed: int or None, for dropout.

    Call arguments:
        query: ``(batch, targets, features)``.
        value: ``(batch, sources, features)``.
        key: as value; None: the value.
        query_mask, value_mask, key_mask: bools ``(batch, targets or sources)``; default what the
            arrays carry.
        attention_mask: bools ``(batch, targets, sources)``, perhaps with heads second; True
            attends.
        return_attention_scores: whether the weights are returned too.
        use_causal_mask: whether a target attends to no later source.

    Returns:
        ``(batch, targets, features)``, and with `return_attention_scores` the weights
        ``(batch, heads, targets, sources)``.

    Source: Vaswani et al., 2017, https://arxiv.org/abs/1706.03762

    >>> import numpy as np, stepfit as keras
    >>> layer = keras.layers.MultiHeadAttention(num_heads=2, key_dim=4)
    >>> x, y = np.ones((1, 5, 8)), np.ones((1, 7, 8))
    >>> output, weights = layer(x, y, return_attention_scores=True)
    >>> output.shape, weights.shape
    ((1, 5, 8), (1, 2, 5, 7))
    """

    # How Keras's files call them.
    _saved_names = {f"_{n}_dense": f"{n}_dense" for n in ("query", "key", "value", "output")}

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: Any = None,
        attention_axes: Any = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        name = type(self).__name__
        self.num_heads = arguments.positive_int(num_heads, f"{name}(num_heads)")
        self.key_dim = arguments.positive_int(key_dim, f"{name}(key_dim)")
        self.value_dim = self.key_dim
        if value_dim is not None:
            self.value_dim = arguments.positive_int(value_dim, f"{name}(value_dim)")
        self.dropout, self.use_bias = dropout, use_bias
        heads = (self.num_heads, self.key_dim)
        self._set_up(
            (heads, heads, (self.num_heads, self.value_dim)), dropout, use_bias, use_gate,
            sliding_window, flash_attention, seed, activity_regularizer,
            kernel_initializer=kernel_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint, bias_constraint=bias_constraint,
        )  # fmt: skip
        self._output_shape = (output_shape,) if isinstance(output_shape, int) else output_shape
        axes = (attention_axes,) if isinstance(attention_axes, int) else attention_axes
        self._attention_axes = None if axes is None else tuple(axes)

    @property
    def attention_axes(self):
        """The axes that are attended over, as given."""
        return self._attention_axes

    def _output_sizes(self, query_shape):
        return tuple(self._output_shape or (query_shape[-1],))


class GroupQueryAttention(_Heads):
    """`MultiHeadAttention` in which several heads of the query share a head of key and value.

    Args:
        head_dim: size of each head.
        num_query_heads: number of heads of the query.
        num_key_value_heads: number of heads of key and value; divides `num_query_heads`.
        dropout, use_bias, sliding_window, flash_attention, use_gate, seed, ...: as in
            `MultiHeadAttention`.

    Call arguments, returns: as in `MultiHeadAttention`; all inputs have three axes.

    Source: Ainslie et al., 2023, https://arxiv.org/abs/2305.13245

    >>> import numpy as np, stepfit as keras
    >>> layer = keras.layers.GroupQueryAttention(4, num_query_heads=6, num_key_value_heads=2)
    >>> x = np.ones((1, 5, 8))
    >>> layer(x, x).shape, layer.key_dense.kernel.shape
    ((1, 5, 8), (8, 2, 4))
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        name = type(self).__name__
        self.head_dim = arguments.positive_int(head_dim, f"{name}(head_dim)")
        self.num_query_heads = arguments.positive_int(num_query_heads, f"{name}(num_query_heads)")
        self.num_key_value_heads = arguments.positive_int(
            num_key_value_heads, f"{name}(num_key_value_heads)"
        )
        if self.num_query_heads % self.num_key_value_heads:
            raise errors.bad_value(
                f"{name}(num_query_heads)",
                f"a multiple of num_key_value_heads={self.num_key_value_heads}",
                f"{self.num_query_heads}",
            )  # fmt: skip
        self.dropout, self.use_bias, self.use_gate = dropout, use_bias, use_gate
        self.sliding_window = sliding_window
        query, key = ((n, self.head_dim) for n in (num_query_heads, num_key_value_heads))
        self._set_up(
            (query, key, key), dropout, use_bias, use_gate, sliding_window, flash_attention, seed,
            activity_regularizer,
            kernel_initializer=kernel_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint, bias_constraint=bias_constraint,
        )  # fmt: skip
