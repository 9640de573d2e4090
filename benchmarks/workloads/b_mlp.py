"""b: an MLP 784-64-64-10 with Adam: small layers, so the loop still counts."""

import dataclasses

from benchmarks.workloads.base import Workload, glorot, zeros
from benchmarks.workloads.weights import equinox_dense, nnx_dense, torch_dense


@dataclasses.dataclass(frozen=True)
class Mlp(Workload):
    rows: int = 8192
    batch: int = 32
    features: int = 784
    hidden: int = 64
    classes: int = 10

    name = "b"
    title = "MLP 784-64-64-10"
    loss = "cross_entropy"
    optimizer = ("adam", 3e-4)

    def make_data(self, random):
        x = random.normal(size=(self.rows, self.features)).astype("float32")
        y = (x @ random.normal(size=(self.features, self.classes))).argmax(-1)
        return x, y.astype("int32")

    def make_weights(self, random):
        sizes = [self.features, self.hidden, self.hidden, self.classes]
        pairs = [(glorot(random, a, b), zeros(b)) for a, b in zip(sizes, sizes[1:])]
        return [array for pair in pairs for array in pair]

    def keras_layers(self, keras):
        return keras.Sequential([
            keras.Input((self.features,)),
            keras.layers.Dense(self.hidden, activation="relu"),
            keras.layers.Dense(self.hidden, activation="relu"),
            keras.layers.Dense(self.classes),
        ])  # fmt: skip

    def jax_model(self, weights, x):
        import jax

        k1, b1, k2, b2, k3, b3 = weights
        x = jax.nn.relu(x @ k1 + b1)
        x = jax.nn.relu(x @ k2 + b2)
        return x @ k3 + b3

    def nnx_model(self, weights):
        from flax import nnx

        k1, b1, k2, b2, k3, b3 = weights
        return nnx.Sequential(
            nnx_dense(k1, b1), nnx.relu, nnx_dense(k2, b2), nnx.relu, nnx_dense(k3, b3)
        )

    def equinox_model(self, weights):
        import equinox as eqx
        import jax

        k1, b1, k2, b2, k3, b3 = weights
        relu = eqx.nn.Lambda(jax.nn.relu)
        return eqx.nn.Sequential(
            [equinox_dense(k1, b1), relu, equinox_dense(k2, b2), relu, equinox_dense(k3, b3)]
        )

    def torch_model(self, weights):
        from torch import nn

        k1, b1, k2, b2, k3, b3 = weights
        return nn.Sequential(
            torch_dense(k1, b1), nn.ReLU(), torch_dense(k2, b2), nn.ReLU(), torch_dense(k3, b3)
        )
