"""resnet50: ResNet-50 (v1.5) on 224x224x3 images, computing in bfloat16, for accelerators.

Weights, batch statistics and the loss stay in float32, as Keras's "mixed_bfloat16" has it.
Weights are found by the name of their layer: a dict name -> list of arrays in Keras's order.
"""

import dataclasses

import numpy as np

from benchmarks.workloads.base import Workload, zeros

MOMENTUM, EPSILON = 0.9, 1e-5


@dataclasses.dataclass(frozen=True)
class ResNet50(Workload):
    rows: int = 4096
    batch: int = 256
    size: int = 224
    width: int = 64
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    classes: int = 1000

    name = "resnet50"
    title = "ResNet-50 224x224, bf16"
    loss = "cross_entropy"
    optimizer = ("sgd", 0.01)
    precision = "mixed_bfloat16"
    tolerance = 1e-2

    def make_data(self, random):
        x = random.randint(256, size=(self.rows, self.size, self.size, 3)).astype("uint8")
        return x, random.randint(self.classes, size=self.rows).astype("int32")

    def plan(self):
        """Yield stage, block, stride and channels of each bottleneck block."""
        for stage, blocks in enumerate(self.blocks):
            for block in range(blocks):
                yield f"s{stage}b{block}", 2 if stage and not block else 1, self.width << stage

    def make_weights(self, random):
        found = {}

        def conv(name, size, inputs, outputs):
            spread = np.sqrt(2 / (size * size * inputs))
            kernel = random.normal(scale=spread, size=(size, size, inputs, outputs))
            found[f"{name}_conv"] = [kernel.astype("float32")]
            # The last scale of a block starts at zero, so that deep networks start well.
            scale = np.full(outputs, 0.0 if name.endswith("_3") else 1.0, "float32")
            found[f"{name}_bn"] = [scale, zeros(outputs), zeros(outputs), 1 + zeros(outputs)]

        conv("stem", 7, 3, self.width)
        inputs = self.width
        for name, _, channels in self.plan():
            if name.endswith("b0"):
                conv(f"{name}_0", 1, inputs, 4 * channels)
            conv(f"{name}_1", 1, inputs, channels)
            conv(f"{name}_2", 3, channels, channels)
            conv(f"{name}_3", 1, channels, 4 * channels)
            inputs = 4 * channels
        kernel = random.normal(scale=0.01, size=(inputs, self.classes)).astype("float32")
        return {**found, "head": [kernel, zeros(self.classes)]}

    def load(self, model, weights):
        for name, arrays in weights.items():
            model.get_layer(name).set_weights(arrays)

    def keras_layers(self, keras):
        layers = keras.layers

        def conv(x, name, channels, size=1, stride=1):
            if stride > 1 or size > 3:
                x = layers.ZeroPadding2D(size // 2)(x)
            padding = "valid" if stride > 1 or size > 3 else "same"
            x = layers.Conv2D(channels, size, stride, padding, use_bias=False,
                              name=f"{name}_conv")(x)  # fmt: skip
            return layers.BatchNormalization(
                momentum=MOMENTUM, epsilon=EPSILON, name=f"{name}_bn"
            )(x)

        def relu(x):
            return layers.Activation("relu")(x)

        inputs = keras.Input((self.size, self.size, 3), dtype="uint8")
        x = layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
        x = relu(conv(x, "stem", self.width, 7, 2))
        x = layers.ZeroPadding2D(1)(x)
        x = layers.MaxPooling2D(3, 2)(x)
        for name, stride, channels in self.plan():
            short = x
            if name.endswith("b0"):
                short = conv(x, f"{name}_0", 4 * channels, 1, stride)
            y = relu(conv(x, f"{name}_1", channels))
            y = relu(conv(y, f"{name}_2", channels, 3, stride))
            x = relu(short + conv(y, f"{name}_3", 4 * channels))
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(
            inputs, layers.Dense(self.classes, dtype="float32", name="head")(x)
        )

    def jax_state(self):
        import jax
        import jax.numpy as jnp

        weights = jax.tree.map(jnp.array, self.weights)
        statistics = {n: w[2:] for n, w in weights.items() if n.endswith("_bn")}
        weights = {n: w[:2] for n, w in weights.items()}
        return weights, self.optax_optimizer().init(weights), statistics

    def jax_step(self, state, batch):
        import jax
        import optax

        x, y = batch
        weights, slots, statistics = state

        def loss_of(weights):
            predictions, new = self._forward(weights, statistics, x)
            return self.jax_loss(y, predictions), new

        (loss, statistics), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights)
        updates, slots = self.optax_optimizer().update(gradients, slots, weights)
        return (optax.apply_updates(weights, updates), slots, statistics), loss

    def _forward(self, weights, statistics, x):
        import jax
        import jax.numpy as jnp
        from jax import lax

        new = {}

        def conv(x, name, size=1, stride=1):
            (kernel,) = weights[f"{name}_conv"]
            pad = [(size // 2, size // 2)] * 2
            x = lax.conv_general_dilated(
                x, kernel.astype(jnp.bfloat16), (stride, stride), pad,
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )  # fmt: skip
            scale, offset = weights[f"{name}_bn"]
            x = x.astype(jnp.float32)
            mean = x.mean((0, 1, 2))
            variance = (x**2).mean((0, 1, 2)) - mean**2
            old = statistics[f"{name}_bn"]
            new[f"{name}_bn"] = [
                MOMENTUM * a + (1 - MOMENTUM) * b for a, b in zip(old, (mean, variance))
            ]
            factor = lax.rsqrt(variance + EPSILON) * scale
            return (x * factor + (offset - mean * factor)).astype(jnp.bfloat16)

        x = x.astype(jnp.bfloat16) / 127.5 - 1
        x = jax.nn.relu(conv(x, "stem", 7, 2))
        window, stride, pad = (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0))
        # Values are not negative after relu: padding with the least of all changes nothing.
        x = lax.reduce_window(x, np.array(-np.inf, x.dtype), lax.max, window, stride, pad)
        for name, stride, _ in self.plan():
            short = conv(x, f"{name}_0", 1, stride) if name.endswith("b0") else x
            y = jax.nn.relu(conv(x, f"{name}_1"))
            y = jax.nn.relu(conv(y, f"{name}_2", 3, stride))
            x = jax.nn.relu(short + conv(y, f"{name}_3"))
        kernel, bias = weights["head"]
        return x.mean((1, 2)).astype(jnp.float32) @ kernel + bias, new
