"""a: one Dense(1) on ten features. A step costs next to nothing: the loop is what is measured."""

import dataclasses

from benchmarks.workloads.base import Workload, glorot, zeros
from benchmarks.workloads.weights import equinox_dense, nnx_dense, torch_dense


@dataclasses.dataclass(frozen=True)
class Dense(Workload):
    rows: int = 32 * 1024
    batch: int = 32
    features: int = 10

    name = "a"
    title = "Dense(1)"
    loss = "mse"
    optimizer = ("sgd", 3e-4)

    def make_data(self, random):
        x = random.normal(size=(self.rows, self.features)).astype("float32")
        y = x @ random.normal(size=(self.features, 1)) + 0.1 * random.normal(size=(self.rows, 1))
        return x, y.astype("float32")

    def make_weights(self, random):
        return [glorot(random, self.features, 1), zeros(1)]

    def keras_layers(self, keras):
        return keras.Sequential([keras.Input((self.features,)), keras.layers.Dense(1)])

    def jax_model(self, weights, x):
        kernel, bias = weights
        return x @ kernel + bias

    def nnx_model(self, weights):
        return nnx_dense(*weights)

    def equinox_model(self, weights):
        return equinox_dense(*weights)

    def torch_model(self, weights):
        return torch_dense(*weights)
