"""A GAN with its own step in tape style: two networks, two optimizers, `fit()`."""

import argparse
import pathlib

from pictures import save_grid

import stepfit as keras
from stepfit import ops


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

    def fakes(self, n):
        noise = keras.random.normal((n, self.latent_size), seed=self.seeds)
        return self.generator(noise, training=True)

    def train_step(self, images):
        n = len(images)
        both = ops.concatenate([images, self.fakes(n)])
        real = ops.concatenate([ops.ones((n, 1)), ops.zeros((n, 1))])
        with keras.GradientTape() as tape:
            d_loss = self.loss_fn(real, self.discriminator(both, training=True))
        weights = self.discriminator.trainable_variables
        self.d_optimizer.apply(tape.gradient(d_loss, weights), weights)

        with keras.GradientTape() as tape:
            scores = self.discriminator(self.fakes(n), training=True)
            g_loss = self.loss_fn(ops.ones((n, 1)), scores)
        weights = self.generator.trainable_variables
        self.g_optimizer.apply(tape.gradient(g_loss, weights), weights)

        self.d_tracker.update_state(d_loss)
        self.g_tracker.update_state(g_loss)
        return {"d_loss": self.d_tracker.result(), "g_loss": self.g_tracker.result()}


def make_discriminator():
    return keras.Sequential([
        keras.Input((8, 8)),
        keras.layers.Flatten(),
        keras.layers.Dense(256),
        keras.layers.LeakyReLU(0.2),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(128),
        keras.layers.LeakyReLU(0.2),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(1),
    ])  # fmt: skip


def make_generator(latent_size):
    return keras.Sequential([
        keras.Input((latent_size,)),
        keras.layers.Dense(128),
        keras.layers.LeakyReLU(0.2),
        keras.layers.Dense(256),
        keras.layers.LeakyReLU(0.2),
        keras.layers.Dense(64, activation="sigmoid"),
        keras.layers.Reshape((8, 8)),
    ])  # fmt: skip


def train_and_draw(gan_class, about, picture, argv=None):
    """Train a GAN of this class on the digits; return its history, samples and their picture."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--out", type=pathlib.Path, default="examples/out")
    args = parser.parse_args(argv)

    keras.utils.set_random_seed(0)
    (images, _), _ = keras.datasets.digits.load_data(test_split=0.0)
    images = images[:1792].astype("float32") / 16  # 28 full batches of 64
    gan = gan_class(make_discriminator(), make_generator(latent_size=16))
    gan.compile(
        d_optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5),
        g_optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    history = gan.fit(images, batch_size=64, epochs=args.epochs, verbose=2)

    noise = keras.random.normal((40, gan.latent_size), seed=2)
    samples = gan.generator.predict(noise, verbose=0)
    path = save_grid(samples, args.out / picture, title="Generated digits")
    return history.history, samples, path


def main(argv=None):
    return train_and_draw(GAN, __doc__.splitlines()[0], "gan_tape.png", argv)


if __name__ == "__main__":
    main()
