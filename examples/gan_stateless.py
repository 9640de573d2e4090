"""A GAN with its own step in stateless style: two networks, two optimizers, `fit()`.

The values of each network and each optimizer are taken from the state by owner, `state.of(owner)`,
and put back with `state.replace(owner, values)`: nothing is found by its position in a list.
"""

import jax
import jax.numpy as jnp
from gan_tape import train_and_draw

import stepfit as keras


class GAN(keras.Model):
    def __init__(self, discriminator, generator, latent_size=16):
        super().__init__()
        self.discriminator, self.generator = discriminator, generator
        self.latent_size = latent_size
        self.seeds = keras.random.SeedGenerator(1)
        self.d_tracker = keras.metrics.Mean(name="d_loss")
        self.g_tracker = keras.metrics.Mean(name="g_loss")

    def compile(self, d_optimizer, g_optimizer, loss):
        super().compile(optimizer=None)
        self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss
        d_optimizer.build(self.discriminator.trainable_variables)
        g_optimizer.build(self.generator.trainable_variables)

    def train_step(self, state, images):
        n = len(images)
        noise = keras.random.normal((2, n, self.latent_size), seed=self.seeds)
        d, d_rest = state.of(self.discriminator)
        g, g_rest = state.of(self.generator)

        def discriminator_loss(d):
            fakes, _ = self.generator.stateless_call(g, g_rest, noise[0], training=True)
            both = jnp.concatenate([images, fakes])
            scores, new = self.discriminator.stateless_call(d, d_rest, both, training=True)
            real = jnp.concatenate([jnp.ones((n, 1)), jnp.zeros((n, 1))])
            return self.loss_fn(real, scores), new

        def generator_loss(g):
            fakes, new = self.generator.stateless_call(g, g_rest, noise[1], training=True)
            scores, _ = self.discriminator.stateless_call(d, d_rest, fakes, training=True)
            return self.loss_fn(jnp.ones((n, 1)), scores), new

        (d_loss, d_rest), grads = jax.value_and_grad(discriminator_loss, has_aux=True)(d)
        d, d_slots = self.d_optimizer.stateless_apply(state.of(self.d_optimizer), grads, d)
        (g_loss, g_rest), grads = jax.value_and_grad(generator_loss, has_aux=True)(g)
        g, g_slots = self.g_optimizer.stateless_apply(state.of(self.g_optimizer), grads, g)

        state = state.replace(self.discriminator, (d, d_rest)).replace(self.d_optimizer, d_slots)
        state = state.replace(self.generator, (g, g_rest)).replace(self.g_optimizer, g_slots)
        # Each is averaged over the epoch by the tracker of that name.
        return {"d_loss": d_loss, "g_loss": g_loss}, state


def main(argv=None):
    return train_and_draw(GAN, __doc__.splitlines()[0], "gan_stateless.png", argv)


if __name__ == "__main__":
    main()
