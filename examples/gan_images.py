"""A convolutional GAN on 28x28 images, with the step of gan_tape.py: minutes on two CPU cores."""

import argparse
import pathlib
import time

import jax
import numpy as np
from gan_tape import GAN
from pictures import save_grid

import stepfit as keras


def make_discriminator(filters):
    layers = keras.layers
    return keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(filters // 2, 3, strides=2, padding="same"),
        layers.LeakyReLU(0.2),
        layers.Conv2D(filters, 3, strides=2, padding="same"),
        layers.LeakyReLU(0.2),
        layers.GlobalMaxPooling2D(),
        layers.Dense(1),
    ])  # fmt: skip


def make_generator(latent_size, filters):
    layers = keras.layers
    return keras.Sequential([
        keras.Input((latent_size,)),
        layers.Dense(7 * 7 * filters),
        layers.LeakyReLU(0.2),
        layers.Reshape((7, 7, filters)),
        layers.Conv2DTranspose(filters, 4, strides=2, padding="same"),
        layers.LeakyReLU(0.2),
        layers.Conv2DTranspose(filters, 4, strides=2, padding="same"),
        layers.LeakyReLU(0.2),
        layers.Conv2D(1, 7, padding="same", activation="sigmoid"),
    ])  # fmt: skip


def images_28():
    """Return the 8x8 digits as images of 28x28, from 0 to 1, drawn smoothly in the middle."""
    (digits, _), _ = keras.datasets.digits.load_data(test_split=0.0)
    large = jax.image.resize(digits / 16.0, (len(digits), 20, 20), "cubic").clip(0, 1)
    return np.pad(large, [(0, 0), (4, 4), (4, 4)])[..., None].astype("float32")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=100, help="in all")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--filters", type=int, default=128)
    parser.add_argument("--out", type=pathlib.Path, default="examples/out")
    args = parser.parse_args(argv)

    keras.utils.set_random_seed(0)
    images = images_28()
    images = images[: len(images) // args.batch_size * args.batch_size]  # full batches
    gan = GAN(make_discriminator(args.filters), make_generator(128, args.filters), latent_size=128)
    gan.compile(
        d_optimizer=keras.optimizers.Adam(3e-4),
        g_optimizer=keras.optimizers.Adam(3e-4),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    per_epoch = min(args.batches, len(images) // args.batch_size)
    begin = time.perf_counter()
    history = gan.fit(
        images, batch_size=args.batch_size, epochs=args.batches // per_epoch,
        steps_per_epoch=per_epoch, verbose=2,
    )  # fmt: skip
    print(f"{time.perf_counter() - begin:.0f} seconds, compiling included")
    print(gan.execution_report())

    noise = keras.random.normal((40, gan.latent_size), seed=2)
    samples = gan.generator.predict(noise, verbose=0)
    path = save_grid(samples, args.out / "gan_images.png", title="Generated digits, 28x28")
    return history.history, samples, path


if __name__ == "__main__":
    main()
