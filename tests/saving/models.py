"""One small model of each kind, made alike with stepfit and with real Keras."""

import contextlib
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np

import stepfit

LIBRARIES = {"keras": keras, "stepfit": stepfit}


def sequential(k):
    layers = k.layers
    return k.Sequential([
        k.Input((4,)), layers.Dense(3, activation="gelu", kernel_regularizer="l2"),
        layers.BatchNormalization(), layers.Dropout(0.1), layers.Dense(1),
    ])  # fmt: skip


def functional(k):
    """Shared layer, operations, nested model, several inputs and outputs."""
    layers = k.layers
    inner_input = k.Input((3,))
    inner = k.Model(inner_input, layers.Dense(2)(inner_input), name="inner")
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    shared = layers.Dense(3, kernel_initializer=k.initializers.HeNormal(seed=1))
    joined = layers.Add()([shared(a), shared(b)])
    y = k.ops.relu(joined) * 2.0 + k.ops.concatenate([joined[:, 1:], joined[..., :1]], axis=-1)
    y = k.ops.reshape(y, (-1, 3, 1))
    y = k.ops.mean(k.ops.cast(y, "float32"), axis=-1)
    outputs = {"u": inner(y), "v": layers.Dense(1, name="v")(joined)}
    return k.Model({"a": a, "b": b}, outputs)


def recurrent(k):
    layers = k.layers
    return k.Sequential([
        k.Input((4, 3)), layers.Bidirectional(layers.LSTM(2, return_sequences=True)),
        layers.RNN([layers.GRUCell(2), layers.SimpleRNNCell(3)], return_sequences=True),
        layers.TimeDistributed(layers.Dense(2)), layers.GRU(2), layers.Dense(1),
    ])  # fmt: skip


def attention(k):
    layers = k.layers
    x = k.Input((5,), dtype="int32")
    y = layers.Embedding(7, 4)(x)
    y = layers.LayerNormalization()(layers.MultiHeadAttention(2, 2)(y, y) + y)
    return k.Model(x, layers.Dense(1)(layers.GlobalAveragePooling1D()(y)))


def convolutional(k):
    layers = k.layers
    return k.Sequential([
        k.Input((6, 6, 2)), layers.Conv2D(3, 3, padding="same", use_bias=False),
        layers.GroupNormalization(3), layers.DepthwiseConv2D(2), layers.MaxPooling2D(),
        layers.SpectralNormalization(layers.Conv2D(2, 1)), layers.Flatten(), layers.Dense(1),
    ])  # fmt: skip


def mixed(k):
    layers = k.layers
    return k.Sequential([
        k.Input((4,)), layers.Dense(3, dtype="mixed_bfloat16"), layers.Dense(2, dtype="bfloat16"),
        layers.Dense(1, dtype="float32"),
    ])  # fmt: skip


def half(k):
    """The policy of all layers; `compile` scales the loss."""
    with policy(k, "mixed_float16"):
        return k.Sequential([k.Input((4,)), k.layers.Dense(3), k.layers.Dense(1, dtype="float32")])


@contextlib.contextmanager
def policy(k, name):
    """Have a library's layers take a policy, inside a ``with`` block."""
    before = k.config.dtype_policy()
    k.config.set_dtype_policy(name)
    try:
        yield
    finally:
        k.config.set_dtype_policy(before)


def several_outputs(k):
    layers = k.layers
    x = k.Input((4,))
    y = layers.Dense(3, name="body")(x)
    return k.Model(x, [layers.Dense(1, name="one")(y), layers.Dense(2, name="two")(y)])


def text(k):
    layers = k.layers
    return k.Sequential([
        k.Input((1,), dtype="string"),
        layers.TextVectorization(output_sequence_length=3, vocabulary=["a", "b", "c"]),
        layers.Embedding(6, 2), layers.GlobalAveragePooling1D(), layers.Dense(1),
    ])  # fmt: skip


def lookups(k):
    layers = k.layers
    x = k.Input((1,), dtype="string")
    y = layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")(x)
    return k.Model(x, layers.Dense(1)(y))


def custom(k):
    """Functions and classes of a user's, in slots of layers."""
    register = k.saving.register_keras_serializable("saving_tests")

    @register
    def twice(x):
        return 2 * x

    @register
    class Cube(k.regularizers.Regularizer):
        def __init__(self, factor=0.1):
            self.factor = factor

        def __call__(self, x):
            return self.factor * k.ops.sum(k.ops.abs(x) ** 3)

        def get_config(self):
            return {"factor": self.factor}

    x = k.Input((4,))
    y = k.layers.Dense(3, activation=twice, kernel_regularizer=Cube(0.2))(x)
    return k.Model(x, k.layers.Dense(1)(k.layers.Activation(twice)(y)))


def subclassed(k):
    layers = k.layers

    @k.saving.register_keras_serializable("saving_tests")
    class Block(layers.Layer):
        def __init__(self, units, activation="relu", **kwargs):
            super().__init__(**kwargs)
            self.units, self.activation = units, k.activations.get(activation)
            self.inner = layers.Dense(units)

        def build(self, input_shape):
            self.scale = self.add_weight(shape=(self.units,), initializer="ones", name="scale")
            self.inner.build(input_shape)

        def call(self, x):
            return self.activation(self.inner(x)) * self.scale

        def get_config(self):
            own = {"units": self.units, "activation": k.activations.serialize(self.activation)}
            return {**super().get_config(), **own}

    @k.saving.register_keras_serializable("saving_tests")
    class Net(k.Model):
        def __init__(self, units=3, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.blocks = [Block(units), [Block(units, "tanh")]]
            self.heads = {"out": layers.Dense(1)}
            self.shift = self.add_weight(shape=(), initializer="zeros", name="shift")
            self.tail = layers.Dropout(0.1)
            self._hidden = layers.Dense(units)

        def call(self, x):
            x = self.blocks[1][0](self.blocks[0](x))
            return self.tail(self.heads["out"](self._hidden(x))) + self.shift

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    model = Net()
    model(np.zeros((2, 4), "float32"))
    return model


KINDS = {
    f.__name__: f
    for f in (
        sequential, functional, several_outputs, recurrent, attention, convolutional, mixed, half,
        text, lookups, custom, subclassed,
    )
}  # fmt: skip


def inputs_of(model, seed=0):
    """Return inputs that a model takes: arrays, or a dict of them."""
    rng = np.random.default_rng(seed)
    if getattr(model, "inputs", None) is None:
        return rng.normal(size=(2, 4)).astype("float32")
    arrays = {
        t.name: np.array([["a"], ["b x"]]) if str(t.dtype) == "string"
        else rng.integers(0, 3, (2, *t.shape[1:])).astype(str(t.dtype))
        for t in model.inputs
    }  # fmt: skip
    return arrays if len(arrays) > 1 else next(iter(arrays.values()))


def fill(variables, seed=0):
    """Give variables values that differ from each other."""
    rng = np.random.default_rng(seed)
    for v in variables:
        if "int" in str(v.dtype):
            v.assign(rng.integers(1, 9, v.shape))
        else:
            v.assign(rng.uniform(0.1, 0.9, v.shape).astype("float32"))


def values_of(variables):
    """Return the values as arrays."""
    return [np.asarray(v.numpy() if hasattr(v, "numpy") else v, "float64") for v in variables]


FAST_COMPILE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def outputs_of(model, x):
    """Return the model's outputs on `x` as a flat list of arrays."""
    if not isinstance(x, dict) and x.dtype.kind == "U":  # strings stay outside of programs
        for layer in model.layers:
            x = x if type(layer).__name__ == "InputLayer" else np.asarray(layer(x))
        return [x.astype("float32")]
    run = jax.jit(lambda x: jax.tree.map(lambda y: y, model(x)))
    found = run.lower(x).compile(compiler_options=FAST_COMPILE)(x)
    found = jax.tree.leaves(found)
    return [np.asarray(y).astype("float32") for y in found]
