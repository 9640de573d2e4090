"""A variational auto-encoder: an own step with two loss terms, each with its tracker.

Randomness inside the step comes from a `SeedGenerator` held by a layer: its state is part of the
model's state, so each step draws new numbers and a run with the same seed repeats them.
"""

import argparse
import pathlib

from pictures import save_grid

import stepfit as keras
from stepfit import ops


class Sampling(keras.layers.Layer):
    """Draws a code from the normal distribution that the encoder describes."""

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator(seed)

    def call(self, inputs):
        mean, log_variance = inputs
        noise = keras.random.normal(mean.shape, seed=self.seeds)
        return mean + ops.exp(0.5 * log_variance) * noise


class VAE(keras.Model):
    def __init__(self, encoder, decoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.decoder, self.sample = encoder, decoder, Sampling(seed=1)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.reconstruction_tracker = keras.metrics.Mean(name="reconstruction")
        self.kl_tracker = keras.metrics.Mean(name="kl")

    def losses_of(self, x):
        """Return (loss, reconstruction error, KL divergence), in nats per image."""
        mean, log_variance = self.encoder(x)
        logits = self.decoder(self.sample((mean, log_variance)))
        error = keras.losses.binary_crossentropy(x, logits, from_logits=True)  # (n, 8)
        reconstruction = 8 * ops.mean(ops.sum(error, axis=-1))
        kl = 0.5 * ops.sum(mean**2 + ops.exp(log_variance) - log_variance - 1, axis=-1)
        return reconstruction + ops.mean(kl), reconstruction, ops.mean(kl)

    def track(self, loss, reconstruction, kl):
        self.loss_tracker.update_state(loss)
        self.reconstruction_tracker.update_state(reconstruction)
        self.kl_tracker.update_state(kl)
        return {m.name: m.result() for m in self.metrics}

    def train_step(self, x):
        with keras.GradientTape() as tape:
            losses = self.losses_of(x)
        grads = tape.gradient(losses[0], self.trainable_variables)
        self.optimizer.apply(grads, self.trainable_variables)
        return self.track(*losses)

    def test_step(self, x):
        return self.track(*self.losses_of(x))


def make_encoder(size):
    inputs = keras.Input((8, 8))
    x = keras.layers.Flatten()(inputs)
    x = keras.layers.Dense(128, activation="relu")(x)
    return keras.Model(inputs, (keras.layers.Dense(size)(x), keras.layers.Dense(size)(x)))


def make_decoder(size):
    return keras.Sequential([
        keras.Input((size,)),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(64),
        keras.layers.Reshape((8, 8)),
    ])  # fmt: skip


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--out", type=pathlib.Path, default="examples/out")
    args = parser.parse_args(argv)

    keras.utils.set_random_seed(0)
    (x_train, _), (x_test, _) = keras.datasets.digits.load_data()
    x_train, x_test = x_train.astype("float32") / 16, x_test.astype("float32") / 16
    vae = VAE(make_encoder(8), make_decoder(8))
    vae.compile(optimizer=keras.optimizers.Adam(2e-3))
    history = vae.fit(x_train, validation_data=(x_test,), epochs=args.epochs, verbose=2)

    codes = keras.random.normal((40, 8), seed=3)
    samples = ops.sigmoid(vae.decoder(codes))
    path = save_grid(samples, args.out / "vae.png", title="Decoded from random codes")
    return history.history, path


if __name__ == "__main__":
    main()
