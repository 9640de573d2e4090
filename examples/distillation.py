"""Knowledge distillation: a small student learns from a large teacher's predictions.

The student knows only 200 labels; the teacher says something about every image. Where only the loss
is your own, own only the loss: overriding `compute_loss` leaves the built-in step in place.
"""

import argparse

import numpy as np

import stepfit as keras
from stepfit import ops


class Distiller(keras.Model):
    """Trains `student`; the loss mixes the labels with the teacher's softened predictions."""

    def __init__(self, student, teacher, alpha=0.1, temperature=3.0, **kwargs):
        super().__init__(**kwargs)
        self.student, self.teacher = student, teacher
        self.teacher.trainable = False
        self.alpha, self.temperature = alpha, temperature

    def call(self, x, training=None):
        return self.student(x, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        label_loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        soft_targets = ops.softmax(self.teacher(x, training=False) / self.temperature)
        soft_scores = y_pred / self.temperature
        soft_loss = keras.losses.categorical_crossentropy(
            soft_targets, soft_scores, from_logits=True
        )
        soft_loss = ops.mean(soft_loss) * self.temperature**2
        return self.alpha * label_loss + (1 - self.alpha) * soft_loss


def make_network(units):
    return keras.Sequential([
        keras.Input((8, 8)),
        keras.layers.Rescaling(1 / 16),
        keras.layers.Flatten(),
        keras.layers.Dense(units, activation="relu"),
        keras.layers.Dense(10),
    ])  # fmt: skip


def train(model, x, y, epochs, sample_weight=None):
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(x, y, sample_weight=sample_weight, epochs=epochs, verbose=0)
    return model


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args(argv)

    keras.utils.set_random_seed(0)
    (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
    labelled = (np.arange(len(x_train)) < 200).astype("float32")

    teacher = train(make_network(256), x_train, y_train, args.epochs)
    alone = train(make_network(16), x_train[:200], y_train[:200], 3 * args.epochs)
    taught = train(Distiller(make_network(16), teacher), x_train, y_train, args.epochs, labelled)
    accuracy = {}
    for name, model in {"teacher": teacher, "alone": alone, "taught": taught}.items():
        accuracy[name] = model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
        print(f"{name:>7}: test accuracy {accuracy[name]:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
