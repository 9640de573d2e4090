"""Two layers of one kind in a row, and nothing else: forward and backward passes, with SGD.

The second layer's backward pass has a gradient of its input to find, as in a real model. Targets
have the shape of the output. Only libraries with layers of Keras's kind take part.
"""

import dataclasses

from benchmarks.workloads.base import Workload


def attention(keras, x, heads, size):
    for _ in range(2):
        x = keras.layers.MultiHeadAttention(heads, size)(x, x)
    return x


# What each makes of `x`, with layers of `keras`.
KINDS = {
    "lstm": lambda keras, x, units: keras.layers.LSTM(units)(
        keras.layers.LSTM(units, return_sequences=True)(x)
    ),
    "gru": lambda keras, x, units: keras.layers.GRU(units)(
        keras.layers.GRU(units, return_sequences=True)(x)
    ),
    "attention": attention,
    "batchnorm": lambda keras, x: keras.layers.BatchNormalization()(
        keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    ),
    "conv1d": lambda keras, x, filters, size: keras.layers.Conv1D(filters, size)(
        keras.layers.Conv1D(filters, size, padding="same")(x)
    ),
    "conv2d": lambda keras, x, filters, size: keras.layers.Conv2D(filters, size)(
        keras.layers.Conv2D(filters, size, padding="same")(x)
    ),
    "depthwise": lambda keras, x, size: keras.layers.DepthwiseConv2D(size)(
        keras.layers.DepthwiseConv2D(size, padding="same")(x)
    ),
    "transpose": lambda keras, x, filters, size: keras.layers.Conv2DTranspose(filters, size)(
        keras.layers.Conv2DTranspose(filters, size, strides=2, padding="same")(x)
    ),
}


@dataclasses.dataclass(frozen=True)
class Layers(Workload):
    kind: str
    shape: tuple[int, ...]  # of one example
    settings: tuple[int, ...] = ()

    name = "layers"
    loss = "mse"
    optimizer = ("sgd", 1e-3)
    contestants = ("stepfit", "stepfit spe=1", "keras", "keras best spe")

    @property
    def title(self):
        sizes = "x".join(map(str, self.shape))
        settings = f" ({', '.join(map(str, self.settings))})" if self.settings else ""
        return f"2 x {self.kind}{settings} on {sizes}, batch {self.batch}"

    def keras_layers(self, keras):
        x = keras.Input(self.shape)
        return keras.Model(x, KINDS[self.kind](keras, x, *self.settings))

    def make_data(self, random):
        import stepfit

        x = random.normal(size=(self.rows, *self.shape)).astype("float32")
        shape = self.keras_layers(stepfit).output_shape[1:]
        return x, random.normal(size=(self.rows, *shape)).astype("float32")

    def make_weights(self, random):
        import stepfit

        stepfit.utils.set_random_seed(1)
        return self.keras_layers(stepfit).get_weights()
