"""Small trainings that are killed and run again: a compiled fit, an own step, a GAN on tapes."""

import jax
import jax.numpy as jnp
import numpy as np

import stepfit as keras
from tests.gan import Gan

EPOCHS, BATCH = 4, 4
_RANDOM = np.random.default_rng(0)
X = _RANDOM.random((70, 6)).astype("float32")  # 17 batches of 4, and one of 2
Y = X.sum(axis=1, keepdims=True)


def mlp():
    layers = keras.layers
    return keras.Sequential([
        keras.Input((6,)), layers.Dense(8, activation="relu"), layers.BatchNormalization(),
        layers.Dropout(0.3), layers.Dense(1),
    ])  # fmt: skip


def compiled():
    """Gradients are summed over three steps; so backups fall into the middle of that."""
    model = mlp()
    optimizer = keras.optimizers.Adam(0.01, gradient_accumulation_steps=3)
    model.compile(optimizer, loss="mse", metrics=["mae"])
    return model, (X, Y)


class Stateless(keras.Model):
    """A step of one's own, as a pure function."""

    def __init__(self):
        super().__init__()
        self.net = mlp()
        self.mae = keras.metrics.MeanAbsoluteError(name="mae")

    def call(self, x, training=False):
        return self.net(x, training=training)

    def train_step(self, state, data):
        x, y = data

        def loss_of(trainable, fixed):
            y_pred, fixed = self.stateless_call(trainable, fixed, x, training=True)
            return jnp.mean((y - y_pred) ** 2), (y_pred, fixed)

        trainable, fixed, optimizer, _ = state
        gradient = jax.value_and_grad(loss_of, has_aux=True)
        (loss, (y_pred, fixed)), gradients = gradient(trainable, fixed)
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
        metric = self.mae.stateless_update_state(state.of(self.mae), y, y_pred)
        state = state.replace(self.mae, metric)
        state = state.replace(self.optimizer, optimizer)
        state = state.replace(self, (trainable, fixed))
        return {"loss": loss, "mae": self.mae.stateless_result(metric)}, state

    def test_step(self, data):
        x, y = data
        return {"loss": jnp.mean((y - self(x)) ** 2)}


def stateless():
    model = Stateless()
    model.compile(optimizer=keras.optimizers.SGD(0.01, momentum=0.9))
    return model, (X, Y)


def gan():
    model = Gan()
    model.compile()
    return model, (X, Y)


KINDS = {"compiled": compiled, "stateless": stateless, "gan": gan}


def fit(kind, callbacks=(), **arguments):
    """Train a model of a kind from a fixed seed.

    Returns:
        ``(weights, history)``: all its variables' values, and what History holds.
    """
    keras.utils.set_random_seed(7)
    model, data = KINDS[kind]()
    arguments = {"epochs": EPOCHS, "batch_size": BATCH, "verbose": 0, **arguments}
    history = model.fit(*data, validation_data=(X[:20], Y[:20]), callbacks=callbacks, **arguments)
    return [np.array(v) for part in model.get_state() for v in part], history.history


def same(one, other):
    """Say whether two results of `fit` are the same, to the bit."""
    values = all(
        a.dtype == b.dtype and a.tobytes() == b.tobytes()
        for a, b in zip(one[0], other[0], strict=True)
    )
    return values and one[1] == other[1]
