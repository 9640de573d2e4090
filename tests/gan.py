"""A small GAN on tapes, for tests of training."""

import jax.numpy as jnp

import stepfit as keras


class Gan(keras.Model):
    """Two networks, two optimizers, one step on tapes."""

    def __init__(self):
        super().__init__()
        layers = keras.layers
        self.generator = keras.Sequential([keras.Input((4,)), layers.Dense(6)])
        self.critic = keras.Sequential([
            keras.Input((6,)), layers.Dense(8, activation="gelu"), layers.Dropout(0.2),
            layers.Dense(1),
        ])  # fmt: skip

    def compile(self, **arguments):
        super().compile(**arguments)
        self.g_optimizer, self.c_optimizer = keras.optimizers.Adam(0.01), keras.optimizers.SGD(0.1)

    def train_step(self, data):
        real = data[0] if isinstance(data, tuple) else data
        noise = keras.random.normal((real.shape[0], 4))
        losses = {}
        for name, net, optimizer, sign in (
            ("c_loss", self.critic, self.c_optimizer, 1.0),
            ("g_loss", self.generator, self.g_optimizer, -1.0),
        ):
            with keras.GradientTape() as tape:
                fake = self.critic(self.generator(noise), training=True)
                true = self.critic(real, training=True)
                loss = sign * jnp.mean(jnp.tanh(fake) - jnp.tanh(true))
            gradients = tape.gradient(loss, net.trainable_variables)
            optimizer.apply_gradients(zip(gradients, net.trainable_variables, strict=True))
            losses[name] = loss
        return losses

    def test_step(self, data):
        return {"mean": jnp.mean(self.critic(data[0]))}
