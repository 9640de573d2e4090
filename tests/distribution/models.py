"""Small models for the tests of distribution: each makes (model, data) the same every time."""

import jax
import jax.numpy as jnp
import numpy as np

import stepfit as keras
from tests.gan import Gan

layers = keras.layers
ROWS = 36  # with batches of 16: two full ones, and one of 4 rows, which 8 do not divide


def _data(*shape, labels=None):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, *shape)).astype("float32")
    if labels is None:
        return x, x.reshape(ROWS, -1)[:, :1] * 0.5
    return x, rng.integers(0, labels, ROWS)


def mlp(distribution=None, rows=ROWS):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([
        keras.Input((16,)), layers.Dense(64, activation="relu", name="up"),
        layers.Dense(32, activation="relu", name="mid"), layers.Dropout(0.1),
        layers.Dense(1, name="out"),
    ])  # fmt: skip
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"], distribution=distribution)
    x, y = _data(16)
    return model, (x[:rows], y[:rows])


def cnn(distribution=None):
    keras.utils.set_random_seed(2)
    model = keras.Sequential([
        keras.Input((8, 8, 3)), layers.Conv2D(16, 3, padding="same", name="conv"),
        layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D(),
        layers.Conv2D(16, 3, strides=2, name="conv_2"), layers.Flatten(),
        layers.Dense(4, name="out"),
    ])  # fmt: skip
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(0.03, momentum=0.9)
    model.compile(optimizer, loss, metrics=["accuracy"], distribution=distribution)
    return model, _data(8, 8, 3, labels=4)


def transformer(distribution=None):
    keras.utils.set_random_seed(3)
    tokens = keras.Input((12,), dtype="int32")
    x = layers.Embedding(64, 32, name="embedding")(tokens)
    a = layers.MultiHeadAttention(4, 8, name="attention")(x, x)
    x = layers.LayerNormalization()(x + a)
    b = layers.Dense(32, name="down")(layers.Dense(64, activation="gelu", name="up")(x))
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x + b))
    model = keras.Model(tokens, layers.Dense(5, name="out")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.AdamW(0.001, clipnorm=1.0)
    model.compile(optimizer, loss, distribution=distribution)
    rng = np.random.default_rng(0)
    return model, (rng.integers(0, 64, (ROWS, 12)), rng.integers(0, 5, ROWS))


class StatelessGan(keras.Model):
    """The same kind of GAN with a step that takes and returns the state."""

    def __init__(self):
        super().__init__()
        self.generator = keras.Sequential([keras.Input((4,)), layers.Dense(6)])
        self.critic = keras.Sequential([
            keras.Input((6,)), layers.Dense(64, activation="gelu"), layers.Dense(1),
        ])  # fmt: skip

    def compile(self, **arguments):
        super().compile(**arguments)
        self.g_optimizer, self.c_optimizer = keras.optimizers.Adam(0.01), keras.optimizers.SGD(0.1)
        self.g_optimizer.build(self.generator.trainable_variables)
        self.c_optimizer.build(self.critic.trainable_variables)

    def train_step(self, state, data):
        real = data[0]
        noise = keras.random.normal((real.shape[0], 4))
        logs = {}
        for name, net, optimizer, sign in (
            ("c_loss", self.critic, self.c_optimizer, 1.0),
            ("g_loss", self.generator, self.g_optimizer, -1.0),
        ):
            mine, other = state.of(net)
            slots, before = state.of(optimizer), state

            def loss(weights, net=net, other=other, sign=sign, before=before):
                both = {n: before.of(n) for n in (self.generator, self.critic)}
                both[net] = (weights, other)
                fake, _ = self.generator.stateless_call(*both[self.generator], noise)
                fake, _ = self.critic.stateless_call(*both[self.critic], fake)
                true, _ = self.critic.stateless_call(*both[self.critic], real)
                return sign * jnp.mean(jnp.tanh(fake) - jnp.tanh(true))

            value, gradients = jax.value_and_grad(loss)(mine)
            new, slots = optimizer.stateless_apply(slots, gradients, mine)
            state = state.replace(net, (new, other)).replace(optimizer, slots)
            logs[name] = value
        return logs, state

    def test_step(self, state, data):
        mean, _ = self.critic.stateless_call(*state.of(self.critic), data[0])
        return {"mean": jnp.mean(mean)}, state


def gan(distribution=None, kind=Gan):
    keras.utils.set_random_seed(4)
    model = kind()
    model.compile(distribution=distribution)
    return model, _data(6)


def stateless_gan(distribution=None):
    return gan(distribution, StatelessGan)


MODELS = {f.__name__: f for f in (mlp, cnn, transformer, gan, stateless_gan)}


def layout_map(mesh):
    layouts = keras.distribution.LayoutMap(mesh)
    layouts[".*(up|conv|mid)/kernel"] = (None, "model")
    layouts[".*up/bias"] = ("model",)
    layouts[".*attention/(query|key|value)/kernel"] = (None, "model", None)
    layouts[".*embedding/embeddings"] = ("model", None)
    layouts[".*up/output"] = ("batch",)
    return layouts


def conv_layouts(mesh):
    layouts = keras.distribution.LayoutMap(mesh)
    layouts[".*conv.*/kernel"] = (None, None, None, "model")
    return layouts
