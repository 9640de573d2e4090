"""e: a transformer encoder, 2 blocks of width 128 on 64 tokens, that classifies; with Adam.

Blocks normalise first: ``x + attention(norm(x))``, then ``x + mlp(norm(x))`` with an exact gelu.
"""

import dataclasses

import numpy as np

from benchmarks.workloads.base import Workload, glorot, zeros
from benchmarks.workloads.weights import (
    equinox_dense,
    equinox_set,
    nnx_dense,
    torch_dense,
    torch_set,
)

EPSILON = 1e-5


@dataclasses.dataclass(frozen=True)
class Transformer(Workload):
    rows: int = 256
    batch: int = 32
    length: int = 64
    vocabulary: int = 1000
    width: int = 128
    heads: int = 4
    blocks: int = 2
    classes: int = 10

    name = "e"
    title = "transformer 2 x 128, seq 64"
    loss = "cross_entropy"
    optimizer = ("adam", 3e-4)

    def make_data(self, random):
        x = random.randint(self.vocabulary, size=(self.rows, self.length)).astype("int32")
        return x, random.randint(self.classes, size=self.rows).astype("int32")

    def make_weights(self, random):
        width, heads = self.width, self.heads
        small = lambda *shape: (0.02 * random.normal(size=shape)).astype("float32")
        norm = lambda: [np.ones(width, "float32"), zeros(width)]

        def block():
            found = norm()
            for _ in "query", "key", "value":
                kernel = glorot(random, width, width).reshape(width, heads, width // heads)
                found += [kernel, zeros(heads, width // heads)]
            found += [glorot(random, width, width).reshape(heads, -1, width), zeros(width)]
            found += norm()
            found += [glorot(random, width, 4 * width), zeros(4 * width)]
            return [*found, glorot(random, 4 * width, width), zeros(width)]

        return [
            small(self.vocabulary, width), small(self.length, width),
            *(array for _ in range(self.blocks) for array in block()),
            *norm(), glorot(random, width, self.classes), zeros(self.classes),
        ]  # fmt: skip

    def parts(self, weights):
        """Return the embeddings, a list of weights for each block, and the weights of the end."""
        (tokens, positions), inner, end = weights[:2], weights[2:-4], weights[-4:]
        return tokens, positions, [inner[i : i + 16] for i in range(0, len(inner), 16)], end

    def keras_layers(self, keras):
        layers = keras.layers
        builtin = hasattr(layers, "MultiHeadAttention")
        attention = layers.MultiHeadAttention if builtin else own_attention(keras)

        class Positions(layers.Layer):
            def build(self, input_shape):
                self.table = self.add_weight(input_shape[1:], "uniform")

            def call(self, x):
                return x + self.table

        inputs = keras.Input((self.length,), dtype="int32")
        x = Positions()(layers.Embedding(self.vocabulary, self.width)(inputs))
        for _ in range(self.blocks):
            y = layers.LayerNormalization(epsilon=EPSILON)(x)
            x = x + attention(self.heads, self.width // self.heads)(y, y)
            y = layers.LayerNormalization(epsilon=EPSILON)(x)
            y = layers.Dense(4 * self.width, activation="gelu")(y)
            x = x + layers.Dense(self.width)(y)
        x = layers.LayerNormalization(epsilon=EPSILON)(x)
        x = layers.GlobalAveragePooling1D()(x)
        return keras.Model(inputs, layers.Dense(self.classes)(x))

    def jax_model(self, weights, x):
        import jax
        import jax.numpy as jnp

        def norm(x, scale, offset):
            x = x - x.mean(-1, keepdims=True)
            return x * jax.lax.rsqrt((x**2).mean(-1, keepdims=True) + EPSILON) * scale + offset

        def attention(x, qk, qb, kk, kb, vk, vb, ok, ob):
            query, key, value = (
                jnp.einsum("btd,dhk->bthk", x, kernel) + bias
                for kernel, bias in ((qk, qb), (kk, kb), (vk, vb))
            )
            y = jax.nn.dot_product_attention(query, key, value)
            return jnp.einsum("bthk,hkd->btd", y, ok) + ob

        def mlp(x, k1, b1, k2, b2):
            return jax.nn.gelu(x @ k1 + b1, approximate=False) @ k2 + b2

        tokens, positions, blocks, (scale, offset, head, bias) = self.parts(weights)
        x = tokens[x] + positions
        for block in blocks:
            x = x + attention(norm(x, *block[:2]), *block[2:10])
            x = x + mlp(norm(x, *block[10:12]), *block[12:])
        return norm(x, scale, offset).mean(1) @ head + bias

    def nnx_model(self, weights):
        from flax import nnx

        tokens, positions, blocks, (scale, offset, head, bias) = self.parts(weights)
        rngs = nnx.Rngs(0)

        def norm(scale, offset):
            layer = nnx.LayerNorm(self.width, epsilon=EPSILON, rngs=rngs)
            layer.scale[...], layer.bias[...] = scale, offset
            return layer

        def attention(*arrays):
            layer = nnx.MultiHeadAttention(self.heads, self.width, decode=False, rngs=rngs)
            parts = layer.query, layer.key, layer.value, layer.out
            for part, kernel, bias in zip(parts, arrays[::2], arrays[1::2], strict=True):
                part.kernel[...], part.bias[...] = kernel, bias
            return layer

        class Block(nnx.Module):
            def __init__(self, arrays):
                self.norm1, self.norm2 = norm(*arrays[:2]), norm(*arrays[10:12])
                self.attention = attention(*arrays[2:10])
                self.dense1, self.dense2 = nnx_dense(*arrays[12:14]), nnx_dense(*arrays[14:])

            def __call__(self, x):
                x = x + self.attention(self.norm1(x))
                return x + self.dense2(nnx.gelu(self.dense1(self.norm2(x)), approximate=False))

        class Model(nnx.Module):
            def __init__(self):
                self.tokens = nnx.Embed(*tokens.shape, rngs=rngs)
                self.tokens.embedding[...] = tokens
                self.positions = nnx.Param(positions)
                self.blocks = nnx.List([Block(arrays) for arrays in blocks])
                self.norm, self.head = norm(scale, offset), nnx_dense(head, bias)

            def __call__(self, x):
                x = self.tokens(x) + self.positions[...]
                for block in self.blocks:
                    x = block(x)
                return self.head(self.norm(x).mean(1))

        return Model()

    def equinox_model(self, weights):
        import equinox as eqx
        import jax
        import jax.numpy as jnp

        tokens, positions, blocks, (scale, offset, head, bias) = self.parts(weights)

        def norm(scale, offset):
            layer = eqx.nn.LayerNorm(self.width, eps=EPSILON)
            return equinox_set(layer, weight=scale, bias=offset)

        def attention(*arrays):
            layer = eqx.nn.MultiheadAttention(
                self.heads, self.width, key=jax.random.key(0), use_query_bias=True,
                use_key_bias=True, use_value_bias=True, use_output_bias=True,
            )  # fmt: skip
            projections = [
                equinox_dense(kernel.reshape(self.width, self.width), bias.reshape(-1))
                for kernel, bias in zip(arrays[::2], arrays[1::2], strict=True)
            ]
            return eqx.tree_at(
                lambda m: [m.query_proj, m.key_proj, m.value_proj, m.output_proj],
                layer,
                projections,
            )

        class Block(eqx.Module):
            norm1: eqx.nn.LayerNorm
            attention: eqx.nn.MultiheadAttention
            norm2: eqx.nn.LayerNorm
            dense1: eqx.nn.Linear
            dense2: eqx.nn.Linear

            def __call__(self, x):
                y = jax.vmap(self.norm1)(x)
                x = x + self.attention(y, y, y)
                y = jax.vmap(self.dense1)(jax.vmap(self.norm2)(x))
                return x + jax.vmap(self.dense2)(jax.nn.gelu(y, approximate=False))

        class Model(eqx.Module):
            tokens: jax.Array
            positions: jax.Array
            blocks: list
            norm: eqx.nn.LayerNorm
            head: eqx.nn.Linear

            def __call__(self, x):
                x = self.tokens[x] + self.positions
                for block in self.blocks:
                    x = block(x)
                return self.head(jax.vmap(self.norm)(x).mean(0))

        made = [
            Block(norm(*a[:2]), attention(*a[2:10]), norm(*a[10:12]), equinox_dense(*a[12:14]),
                  equinox_dense(*a[14:]))
            for a in blocks
        ]  # fmt: skip
        end = norm(scale, offset), equinox_dense(head, bias)
        return Model(jnp.array(tokens), jnp.array(positions), made, *end)

    def torch_model(self, weights):
        import torch
        from torch import nn

        tokens, positions, blocks, (scale, offset, head, bias) = self.parts(weights)
        width = self.width

        def norm(scale, offset):
            return torch_set(nn.LayerNorm(width, eps=EPSILON), weight=scale, bias=offset)

        def attention(*arrays):
            layer = nn.MultiheadAttention(width, self.heads, batch_first=True)
            kernels = [kernel.reshape(width, width).T for kernel in arrays[::2]]
            biases = [bias.reshape(-1) for bias in arrays[1::2]]
            torch_set(layer.out_proj, weight=kernels[3], bias=biases[3])
            return torch_set(
                layer,
                in_proj_weight=np.concatenate(kernels[:3]),
                in_proj_bias=np.concatenate(biases[:3]),
            )

        class Block(nn.Module):
            def __init__(self, arrays):
                super().__init__()
                self.norm1, self.norm2 = norm(*arrays[:2]), norm(*arrays[10:12])
                self.attention = attention(*arrays[2:10])
                self.dense1, self.dense2 = torch_dense(*arrays[12:14]), torch_dense(*arrays[14:])

            def forward(self, x):
                y = self.norm1(x)
                x = x + self.attention(y, y, y, need_weights=False)[0]
                return x + self.dense2(nn.functional.gelu(self.dense1(self.norm2(x))))

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.tokens = nn.Embedding.from_pretrained(torch.tensor(tokens), freeze=False)
                self.positions = nn.Parameter(torch.tensor(positions))
                self.blocks = nn.ModuleList([Block(arrays) for arrays in blocks])
                self.norm, self.head = norm(scale, offset), torch_dense(head, bias)

            def forward(self, x):
                x = self.tokens(x) + self.positions
                for block in self.blocks:
                    x = block(x)
                return self.head(self.norm(x).mean(1))

        return Model()


def own_attention(keras):
    """Return a self-attention layer as a user writes it where the library has none."""
    ops = keras.ops

    class OwnAttention(keras.layers.Layer):
        def __init__(self, num_heads, key_dim):
            super().__init__()
            self.num_heads, self.key_dim = num_heads, key_dim

        def build(self, query_shape, value_shape):
            width, inner = query_shape[-1], (self.num_heads, self.key_dim)
            weight = self.add_weight
            self.projections = [
                (weight((width, *inner), "glorot_uniform"), weight(inner, "zeros"))
                for _ in ("query", "key", "value")
            ]
            self.output_kernel = self.add_weight((*inner, width), "glorot_uniform")
            self.output_bias = self.add_weight((width,), "zeros")

        def call(self, query, value, use_causal_mask=False):
            query, key, value = (
                ops.einsum("btd,dhk->bthk", x, kernel) + bias
                for x, (kernel, bias) in zip((query, value, value), self.projections, strict=True)
            )
            y = ops.dot_product_attention(query, key, value, is_causal=use_causal_mask)
            return ops.einsum("bthk,hkd->btd", y, self.output_kernel) + self.output_bias

    return OwnAttention
