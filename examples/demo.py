"""The demonstration behind `make demo`: a classifier and a GAN on real handwritten digits.

A convolutional classifier with its own train_step reads 8x8 digits; it must get 98 % of the test
images right. Then a GAN with two optimizers learns to draw digits. Pictures go to `demo/`.
"""

import argparse
import pathlib
import sys
import time

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")  # no window is needed
import matplotlib.pyplot as plt
import numpy as np
from gan_tape import GAN, make_discriminator, make_generator

import stepfit as keras

TARGET = 0.98
BLUE, ORANGE, RED = "#1f6fb4", "#e07b00", "#c4002f"


class RandomShift(keras.layers.Layer):
    """Moves each training image by up to one pixel in both directions."""

    def __init__(self, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator(seed)

    def call(self, images, training=False):
        if not training:
            return images
        padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
        corners = keras.random.randint((len(images), 2), 0, 3, seed=self.seeds)

        def crop(image, corner):
            return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), (8, 8, 1))

        return jax.vmap(crop)(padded, corners)


class Classifier(keras.Model):
    """A model with its own training step, in tape style."""

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        grads = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(grads, self.trainable_variables)

        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


class Snapshots(keras.callbacks.Callback):
    """Keeps what the generator draws from the same codes as training goes on."""

    def __init__(self, epochs, codes):
        super().__init__()
        self.epochs, self.codes, self.images = epochs, codes, {}

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 in self.epochs:
            self.images[epoch + 1] = self.model.generator.predict(self.codes, verbose=0)
            losses = ", ".join(f"{name} {value:.3f}" for name, value in logs.items())
            print(f"GAN epoch {epoch + 1}: {losses}")


def make_classifier(steps):
    layers = keras.layers
    inputs = keras.Input((8, 8, 1))
    x = RandomShift()(inputs)
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = layers.Dropout(0.4)(layers.Flatten()(x))
    x = layers.Dense(64, activation="relu")(x)
    outputs = layers.Dense(10)(layers.Dropout(0.3)(x))
    model = Classifier(inputs, outputs, name="digits")
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def train_classifier(epochs):
    """Train; return the history, the test images with labels, and the predicted labels."""
    (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
    x_train, x_test = (x[..., None].astype("float32") / 16 for x in (x_train, x_test))
    split = 1280  # 40 batches of 32; the remaining 157 images validate
    model = make_classifier(steps=epochs * split // 32)
    model.summary()
    history = model.fit(
        x_train[:split],
        y_train[:split],
        epochs=epochs,
        validation_data=(x_train[split:], y_train[split:]),
    )
    predicted = model.predict(x_test, verbose=0).argmax(-1)
    return history.history, (x_test, y_test), predicted


def train_gan(epochs):
    """Train; return ``{epoch: images}`` drawn on the way from the same codes."""
    (images, _), _ = keras.datasets.digits.load_data(test_split=0.0)
    images = images[:1792].astype("float32") / 16  # 28 full batches of 64
    gan = GAN(make_discriminator(), make_generator(latent_size=16))
    gan.compile(
        d_optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5),
        g_optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    epochs_shown = sorted({max(round(epochs * share), 1) for share in (0, 0.025, 0.1, 0.4, 1)})
    snapshots = Snapshots(epochs_shown, keras.random.normal((12, gan.latent_size), seed=4))
    gan.fit(images, batch_size=64, epochs=epochs, verbose=0, callbacks=[snapshots])
    return snapshots.images


def draw_curves(history, path):
    epochs = np.arange(1, len(history["loss"]) + 1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for axis, name, scale in ((left, "loss", 1), (right, "accuracy", 100)):
        axis.plot(epochs, scale * np.array(history[name]), color=BLUE, label="training")
        axis.plot(epochs, scale * np.array(history[f"val_{name}"]), color=ORANGE,
                  label="validation")  # fmt: skip
        axis.set_xlabel("epoch")
        axis.set_xlim(0, len(epochs) + 1)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    left.set_ylabel("crossentropy")
    left.set_yscale("log")
    left.legend(frameon=False)
    right.set_ylabel("accuracy (%)")
    right.set_ylim(80, 100.6)
    right.set_yticks(range(80, 101, 5))
    figure.suptitle(
        "Digits classifier (training sees shifted images and dropout, validation does not)",
        fontsize=11,
    )
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_predictions(images, labels, predicted, path, columns=12, rows=4):
    wrong = np.flatnonzero(predicted != labels)
    right = np.flatnonzero(predicted == labels)
    shown = np.concatenate([wrong, right])[: rows * columns]
    figure, axes = plt.subplots(rows, columns, figsize=(9, 3.9), layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for axis, i in zip(axes.flat, shown):
        good = predicted[i] == labels[i]
        axis.imshow(images[i, ..., 0], cmap="gray_r", interpolation="nearest")
        text = f"{predicted[i]}" if good else f"{predicted[i]}, is {labels[i]}"
        axis.set_title(text, fontsize=10, color="black" if good else RED, pad=2)
        if not good:
            axis.axis("on")
            axis.set(xticks=[], yticks=[])
            for spine in axis.spines.values():
                spine.set(color=RED, linewidth=2)
    figure.suptitle(
        f"Test digits and what they were read as: {len(right)} of {len(labels)} right, "
        "errors in red", fontsize=11,
    )  # fmt: skip
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_samples(images, path):
    rows, columns = len(images), len(next(iter(images.values())))
    figure, axes = plt.subplots(
        rows, columns, figsize=(9, 0.75 * rows + 0.4), squeeze=False, layout="constrained"
    )
    for row, (epoch, samples) in zip(axes, images.items()):
        for axis, image in zip(row, samples):
            axis.imshow(image, cmap="gray_r", interpolation="nearest", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        row[0].set_ylabel(f"epoch {epoch}", rotation=0, ha="right", va="center")
    figure.suptitle("What the GAN draws from the same twelve codes", fontsize=11)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40, help="of the classifier")
    parser.add_argument("--gan-epochs", type=int, default=200)
    parser.add_argument("--out", type=pathlib.Path, default="demo")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    names = ("curves", "predictions", "gan_samples")
    curves, predictions, gan_samples = (args.out / f"{name}.png" for name in names)

    keras.utils.set_random_seed(2)
    start = time.monotonic()
    history, (images, labels), predicted = train_classifier(args.epochs)
    accuracy = float(np.mean(predicted == labels))
    seconds = time.monotonic() - start
    print(f"\nTest accuracy: {accuracy:.2%} of {len(labels)} images, after {seconds:.0f} s\n")
    draw_curves(history, curves)
    draw_predictions(images, labels, predicted, predictions)
    draw_samples(train_gan(args.gan_epochs), gan_samples)
    print(f"\nAll done in {time.monotonic() - start:.0f} s. Pictures:")
    for path in (curves, predictions, gan_samples):
        print(f"  {path}")
    if accuracy < TARGET:
        print(f"The test accuracy is below {TARGET:.0%}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
