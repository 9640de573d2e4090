"""Nested gradients: a Wasserstein GAN whose critic is held to slopes of about one.

The penalty is made of the gradient of the critic's score towards its input, so training the critic
differentiates a gradient. Written twice, with a tape inside the tape and with `jax.grad` inside the
tape; choose with `--inner`. Both give the same numbers.
"""

import argparse
import pathlib

import jax
from pictures import save_grid

import stepfit as keras
from stepfit import ops


def slopes_by_tape(critic, x):
    with keras.GradientTape() as tape:
        tape.watch(x)
        scores = critic(x, training=True)
    return tape.gradient(scores, x)


def slopes_by_grad(critic, x):
    return jax.grad(lambda x: ops.sum(critic(x, training=True)))(x)


class WGAN(keras.Model):
    def __init__(self, critic, generator, slopes=slopes_by_tape, latent_size=16, critic_steps=3):
        super().__init__()
        self.critic, self.generator, self.slopes = critic, generator, slopes
        self.latent_size, self.critic_steps = latent_size, critic_steps
        self.seeds = keras.random.SeedGenerator(1)
        self.distance_tracker = keras.metrics.Mean(name="distance")
        self.penalty_tracker = keras.metrics.Mean(name="penalty")

    def compile(self, c_optimizer, g_optimizer):
        super().compile(optimizer=None)
        self.c_optimizer, self.g_optimizer = c_optimizer, g_optimizer

    def fakes(self, n):
        noise = keras.random.normal((n, self.latent_size), seed=self.seeds)
        return self.generator(noise, training=True)

    def penalty(self, real, fake):
        """Return the mean squared deviation of the critic's slope from 1, between the images."""
        share = keras.random.uniform((len(real), 1, 1), seed=self.seeds)
        slopes = self.slopes(self.critic, share * real + (1 - share) * fake)
        norms = ops.sqrt(ops.sum(slopes**2, axis=(1, 2)) + 1e-12)
        return ops.mean((norms - 1) ** 2)

    def train_critic(self, real):
        fake = self.fakes(len(real))
        with keras.GradientTape() as tape:
            real_score, fake_score = ops.mean(self.critic(real)), ops.mean(self.critic(fake))
            penalty = self.penalty(real, fake)
            loss = fake_score - real_score + 10 * penalty
        weights = self.critic.trainable_variables
        self.c_optimizer.apply(tape.gradient(loss, weights), weights)
        self.distance_tracker.update_state(real_score - fake_score)
        self.penalty_tracker.update_state(penalty)

    def train_generator(self, n):
        with keras.GradientTape() as tape:
            loss = -ops.mean(self.critic(self.fakes(n)))
        weights = self.generator.trainable_variables
        self.g_optimizer.apply(tape.gradient(loss, weights), weights)

    def train_step(self, images):
        for _ in range(self.critic_steps):
            self.train_critic(images)
        self.train_generator(len(images))
        return {m.name: m.result() for m in self.metrics}


def make_network(inputs, outputs, activation=None):
    return keras.Sequential([
        keras.Input(inputs),
        keras.layers.Flatten(),
        keras.layers.Dense(128),
        keras.layers.LeakyReLU(0.2),
        keras.layers.Dense(128),
        keras.layers.LeakyReLU(0.2),
        keras.layers.Dense(outputs, activation=activation),
    ])  # fmt: skip


def make_wgan(inner="tape"):
    generator = make_network((16,), 64, "sigmoid")
    generator.add(keras.layers.Reshape((8, 8)))
    slopes = {"tape": slopes_by_tape, "grad": slopes_by_grad}[inner]
    wgan = WGAN(make_network((8, 8), 1), generator, slopes)
    wgan.compile(
        c_optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5, beta_2=0.9),
        g_optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5, beta_2=0.9),
    )
    return wgan


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inner", choices=("tape", "grad"), default="tape")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--out", type=pathlib.Path, default="examples/out")
    args = parser.parse_args(argv)

    keras.utils.set_random_seed(0)
    (images, _), _ = keras.datasets.digits.load_data(test_split=0.0)
    images = images[:1792].astype("float32") / 16  # 28 full batches of 64
    wgan = make_wgan(args.inner)
    history = wgan.fit(images, batch_size=64, epochs=args.epochs, verbose=2)

    noise = keras.random.normal((40, wgan.latent_size), seed=2)
    samples = wgan.generator.predict(noise, verbose=0)
    path = save_grid(samples, args.out / "gradient_penalty.png", title="Generated digits (WGAN-GP)")
    return history.history, path


if __name__ == "__main__":
    main()
