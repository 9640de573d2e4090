"""gpt: one step of a GPT-2 of 124M parameters, computing in bfloat16, for accelerators.

Twelve blocks of width 768 on 1024 tokens; the head is the token embedding, turned round. Each
position predicts the next token; the loss is their mean.
"""

import dataclasses

from benchmarks.workloads.base import Workload, zeros
from benchmarks.workloads.e_transformer import own_attention

EPSILON = 1e-5


@dataclasses.dataclass(frozen=True)
class Gpt(Workload):
    rows: int = 256
    batch: int = 16
    length: int = 1024
    vocabulary: int = 50_304  # 50,257 made a multiple of 128
    width: int = 768
    heads: int = 12
    blocks: int = 12

    name = "gpt"
    title = "GPT 124M, seq 1024, bf16"
    loss = "cross_entropy"
    optimizer = ("adam", 3e-4)
    precision = "mixed_bfloat16"
    tolerance = 1e-2

    def make_data(self, random):
        text = random.randint(self.vocabulary, size=(self.rows, self.length + 1)).astype("int32")
        return text[:, :-1], text[:, 1:]

    def make_weights(self, random):
        width, heads = self.width, self.heads
        small = lambda *shape: random.normal(scale=0.02, size=shape).astype("float32")
        norm = lambda: [1 + zeros(width), zeros(width)]

        def block():
            projections = [
                array
                for _ in ("query", "key", "value")
                for array in (small(width, heads, width // heads), zeros(heads, width // heads))
            ]
            return [
                *norm(), *projections, small(heads, width // heads, width), zeros(width),
                *norm(), small(width, 4 * width), zeros(4 * width),
                small(4 * width, width), zeros(width),
            ]  # fmt: skip

        found = {"embedding": [small(self.vocabulary, width), small(self.length, width)]}
        for i in range(self.blocks):
            found[f"block{i}"] = block()
        return {**found, "norm": norm()}

    def load(self, model, weights):
        for name, arrays in weights.items():
            model.get_layer(name).set_weights(arrays)

    def keras_layers(self, keras):
        layers, ops = keras.layers, keras.ops
        sizes = (self.vocabulary, self.length, self.width)
        attention = layers.MultiHeadAttention if hasattr(layers, "MultiHeadAttention") else None
        attention = attention or own_attention(keras)

        class Embedding(layers.Layer):
            def build(self, input_shape):
                vocabulary, length, width = sizes
                self.tokens = self.add_weight((vocabulary, width), "glorot_uniform")
                self.positions = self.add_weight((length, width), "glorot_uniform")

            def call(self, x, reverse=False):
                if reverse:
                    return ops.matmul(x, ops.transpose(self.tokens))
                x = ops.take(self.tokens, x, axis=0) + self.positions
                return ops.cast(x, self.compute_dtype)

        class Block(layers.Layer):
            def __init__(self, heads, width, **kwargs):
                super().__init__(**kwargs)
                self.norm1 = layers.LayerNormalization(epsilon=EPSILON)
                self.attention = attention(heads, width // heads)
                self.norm2 = layers.LayerNormalization(epsilon=EPSILON)
                self.dense1 = layers.Dense(4 * width)
                self.dense2 = layers.Dense(width)

            def build(self, input_shape):
                self.norm1.build(input_shape)
                self.attention.build(input_shape, input_shape)
                self.norm2.build(input_shape)
                self.dense1.build(input_shape)
                self.dense2.build((*input_shape[:-1], self.dense1.units))

            def call(self, x):
                y = self.norm1(x)
                x = x + self.attention(y, y, use_causal_mask=True)
                y = self.dense1(self.norm2(x))
                return x + self.dense2(ops.gelu(y, approximate=True))

        inputs = keras.Input((self.length,), dtype="int32")
        embedding = Embedding(name="embedding")
        x = embedding(inputs)
        for i in range(self.blocks):
            x = Block(self.heads, self.width, name=f"block{i}")(x)
        x = layers.LayerNormalization(epsilon=EPSILON, name="norm")(x)
        x = embedding(x, reverse=True)
        return keras.Model(inputs, layers.Activation("linear", dtype="float32")(x))

    def jax_model(self, weights, x):
        import jax
        import jax.numpy as jnp

        half = jnp.bfloat16
        fast = "cudnn" if jax.default_backend() == "gpu" else None

        def norm(x, scale, offset):
            y = x.astype(jnp.float32)
            y = y - y.mean(-1, keepdims=True)
            y = y * jax.lax.rsqrt((y**2).mean(-1, keepdims=True) + EPSILON) * scale + offset
            return y.astype(half)

        def attention(x, qk, qb, kk, kb, vk, vb, ok, ob):
            query, key, value = (
                jnp.einsum("btd,dhk->bthk", x, kernel.astype(half)) + bias.astype(half)
                for kernel, bias in ((qk, qb), (kk, kb), (vk, vb))
            )
            y = jax.nn.dot_product_attention(
                query, key, value, is_causal=True, implementation=fast
            )
            return jnp.einsum("bthk,hkd->btd", y, ok.astype(half)) + ob.astype(half)

        def mlp(x, k1, b1, k2, b2):
            x = jax.nn.gelu(x @ k1.astype(half) + b1.astype(half), approximate=True)
            return x @ k2.astype(half) + b2.astype(half)

        tokens, positions = (table.astype(half) for table in weights["embedding"])
        x = tokens[x] + positions
        for i in range(self.blocks):
            block = weights[f"block{i}"]
            x = x + attention(norm(x, *block[:2]), *block[2:10])
            x = x + mlp(norm(x, *block[10:12]), *block[12:])
        return (norm(x, *weights["norm"]) @ tokens.T).astype(jnp.float32)

    def flops(self):
        """Return the floating-point operations of a step, counted by hand.

        Six for each weight that multiplies and token, forward and backward, and for the attention
        12 x width x length for each token and block (the masked half counted, as is usual).
        """
        multiplying = 12 * self.blocks * self.width**2 + self.vocabulary * self.width
        attention = 12 * self.blocks * self.width * self.length
        return self.batch * self.length * (6 * multiplying + attention)

