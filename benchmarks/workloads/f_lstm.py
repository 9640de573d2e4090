"""f: LSTM(64) over 32 time steps, then Dense(10), with Adam."""

import dataclasses

from benchmarks.workloads.base import Workload, glorot, zeros
from benchmarks.workloads.weights import (
    equinox_dense,
    equinox_set,
    nnx_dense,
    torch_dense,
    torch_set,
)


@dataclasses.dataclass(frozen=True)
class Lstm(Workload):
    rows: int = 2048
    batch: int = 64
    length: int = 32
    features: int = 16
    units: int = 64
    classes: int = 10

    name = "f"
    title = "LSTM 64, seq 32"
    loss = "cross_entropy"
    optimizer = ("adam", 1e-3)

    def make_data(self, random):
        x = random.normal(size=(self.rows, self.length, self.features)).astype("float32")
        return x, random.randint(self.classes, size=self.rows).astype("int32")

    def make_weights(self, random):
        return [
            glorot(random, self.features, 4 * self.units),
            glorot(random, self.units, 4 * self.units),
            zeros(4 * self.units),
            glorot(random, self.units, self.classes),
            zeros(self.classes),
        ]

    def keras_layers(self, keras):
        builtin = hasattr(keras.layers, "LSTM")
        lstm = keras.layers.LSTM if builtin else own_lstm(keras)
        return keras.Sequential([
            keras.Input((self.length, self.features)),
            lstm(self.units),
            keras.layers.Dense(self.classes),
        ])  # fmt: skip

    def jax_model(self, weights, x):
        import jax
        import jax.numpy as jnp

        kernel, recurrent, bias, head, head_bias = weights

        def step(carry, x):
            h, c = carry
            i, f, g, o = jnp.split(x @ kernel + h @ recurrent + bias, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        start = jnp.zeros((len(x), self.units))
        (h, _), _ = jax.lax.scan(step, (start, start), x.swapaxes(0, 1))
        return h @ head + head_bias

    def nnx_model(self, weights):
        from flax import nnx

        kernel, recurrent, bias, head, head_bias = weights
        cell = nnx.OptimizedLSTMCell(self.features, self.units, rngs=nnx.Rngs(0))
        cell.dense_i.kernel[...] = kernel
        cell.dense_h.kernel[...], cell.dense_h.bias[...] = recurrent, bias
        rnn = nnx.RNN(cell)
        return nnx.Sequential(rnn, lambda x: x[:, -1], nnx_dense(head, head_bias))

    def equinox_model(self, weights):
        import equinox as eqx
        import jax
        import jax.numpy as jnp

        kernel, recurrent, bias, head, head_bias = weights

        class Model(eqx.Module):
            cell: eqx.nn.LSTMCell
            head: eqx.nn.Linear

            def __call__(self, x):
                start = jnp.zeros(self.cell.hidden_size)
                (h, _), _ = jax.lax.scan(
                    lambda carry, x: (self.cell(x, carry), None), (start, start), x
                )
                return self.head(h)

        cell = eqx.nn.LSTMCell(self.features, self.units, key=jax.random.key(0))
        cell = equinox_set(cell, weight_ih=kernel.T, weight_hh=recurrent.T, bias=bias)
        return Model(cell, equinox_dense(head, head_bias))

    def torch_model(self, weights):
        import torch

        kernel, recurrent, bias, head, head_bias = weights
        lstm = torch.nn.LSTM(self.features, self.units, batch_first=True)
        torch_set(lstm, weight_ih_l0=kernel.T, weight_hh_l0=recurrent.T, bias_ih_l0=bias)
        torch_set(lstm, bias_hh_l0=zeros(4 * self.units))
        lstm.bias_hh_l0.requires_grad_(False)  # one bias, as everywhere else

        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.lstm, self.head = lstm, torch_dense(head, head_bias)

            def forward(self, x):
                return self.head(self.lstm(x)[0][:, -1])

        return Model()


def own_lstm(keras):
    """Return an LSTM layer as a user writes it where the library has none."""
    ops = keras.ops

    class OwnLstm(keras.layers.Layer):
        def __init__(self, units):
            super().__init__()
            self.units = units

        def build(self, input_shape):
            self.kernel = self.add_weight((input_shape[-1], 4 * self.units), "glorot_uniform")
            self.recurrent = self.add_weight((self.units, 4 * self.units), "orthogonal")
            self.bias = self.add_weight((4 * self.units,), "zeros")

        def call(self, x):
            kernel, recurrent, bias = (v.value for v in (self.kernel, self.recurrent, self.bias))

            def step(carry, x):
                h, c = carry
                gates = ops.matmul(x, kernel) + ops.matmul(h, recurrent) + bias
                i, f, g, o = ops.split(gates, 4, axis=-1)
                c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
                return (ops.sigmoid(o) * ops.tanh(c), c), None

            start = ops.zeros((ops.shape(x)[0], self.units))
            (h, _), _ = ops.scan(step, (start, start), ops.swapaxes(x, 0, 1))
            return h

    return OwnLstm
