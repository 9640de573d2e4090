"""c: the simple convnet of Keras's examples (Conv 32, Conv 64) on 28x28x1 images, with Adam."""

import dataclasses

from benchmarks.workloads.base import Workload, glorot, zeros
from benchmarks.workloads.weights import (
    equinox_conv,
    equinox_dense,
    nnx_conv,
    nnx_dense,
    torch_conv,
    torch_dense,
)


@dataclasses.dataclass(frozen=True)
class Cnn(Workload):
    rows: int = 512
    batch: int = 64
    size: int = 28
    filters: tuple[int, int] = (32, 64)
    classes: int = 10

    name = "c"
    title = "CNN 28x28 (32/64)"
    loss = "cross_entropy"
    optimizer = ("adam", 1e-3)

    def make_data(self, random):
        x = random.uniform(size=(self.rows, self.size, self.size, 1)).astype("float32")
        return x, random.randint(self.classes, size=self.rows).astype("int32")

    def make_weights(self, random):
        one, two = self.filters
        left = ((self.size - 2) // 2 - 2) // 2
        shapes = [(3, 3, 1, one), (3, 3, one, two), (left * left * two, self.classes)]
        pairs = [(glorot(random, *shape), zeros(shape[-1])) for shape in shapes]
        return [array for pair in pairs for array in pair]

    def keras_layers(self, keras):
        one, two = self.filters
        return keras.Sequential([
            keras.Input((self.size, self.size, 1)),
            keras.layers.Conv2D(one, (3, 3), activation="relu"),
            keras.layers.MaxPooling2D((2, 2)),
            keras.layers.Conv2D(two, (3, 3), activation="relu"),
            keras.layers.MaxPooling2D((2, 2)),
            keras.layers.Flatten(),
            keras.layers.Dense(self.classes),
        ])  # fmt: skip

    def jax_model(self, weights, x):
        import jax
        from jax import lax

        def conv(x, kernel, bias):
            x = lax.conv_general_dilated(
                x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            return jax.nn.relu(x + bias)

        def pool(x):
            size = (1, 2, 2, 1)
            return lax.reduce_window(x, -jax.numpy.inf, lax.max, size, size, "VALID")

        k1, b1, k2, b2, k3, b3 = weights
        x = pool(conv(x, k1, b1))
        x = pool(conv(x, k2, b2))
        return x.reshape(len(x), -1) @ k3 + b3

    def nnx_model(self, weights):
        from flax import nnx

        def pool(x):
            return nnx.max_pool(x, (2, 2), strides=(2, 2))

        def flatten(x):
            return x.reshape(len(x), -1)

        k1, b1, k2, b2, k3, b3 = weights
        return nnx.Sequential(
            nnx_conv(k1, b1, padding="VALID"), nnx.relu, pool,
            nnx_conv(k2, b2, padding="VALID"), nnx.relu, pool,
            flatten, nnx_dense(k3, b3),
        )  # fmt: skip

    def equinox_model(self, weights):
        import equinox as eqx
        import jax

        k1, b1, k2, b2, k3, b3 = weights
        relu, pool = eqx.nn.Lambda(jax.nn.relu), eqx.nn.MaxPool2d(2, 2)
        # Channels come first, both here and in torch, as these libraries want them.
        first = eqx.nn.Lambda(lambda x: x.transpose(2, 0, 1))
        flatten = eqx.nn.Lambda(lambda x: x.transpose(1, 2, 0).reshape(-1))
        return eqx.nn.Sequential([
            first, equinox_conv(k1, b1), relu, pool, equinox_conv(k2, b2), relu, pool,
            flatten, equinox_dense(k3, b3),
        ])  # fmt: skip

    def torch_model(self, weights):
        from torch import nn

        k1, b1, k2, b2, k3, b3 = weights
        channels = k2.shape[-1]
        k3 = k3.reshape(-1, channels, self.classes).swapaxes(0, 1).reshape(-1, self.classes)
        return nn.Sequential(
            torch_conv(k1, b1), nn.ReLU(), nn.MaxPool2d(2),
            torch_conv(k2, b2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), torch_dense(k3, b3),
        )  # fmt: skip

    def torch_inputs(self, x):
        return x.transpose(0, 3, 1, 2)
