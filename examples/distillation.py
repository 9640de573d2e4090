"""Knowledge distillation: a small student learns from a large teacher's predictions.

Where only the loss is your own, own only the loss: overriding `compute_loss` leaves the built-in
step in place.
"""

import argparse

import stepfit as keras
from stepfit import ops


class Distiller(keras.Model):
    """Trains `student`; the loss mixes the labels with the teacher's softened predictions."""

    def __init__(self, student, teacher, alpha=0.3, temperature=3.0, **kwargs):
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


def train(model, data, epochs):
    (x_train, y_train), (x_test, y_test) = data
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(x_train, y_train, epochs=epochs, verbose=0)
    return model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args(argv)

    keras.utils.set_random_seed(0)
    data = keras.datasets.digits.load_data()
    (x_train, y_train), test = data
    few = (x_train[:300], y_train[:300]), test  # labelled images for the student

    teacher = make_network(256)
    accuracy = {"teacher": train(teacher, data, args.epochs)}
    accuracy["student alone"] = train(make_network(8), few, 3 * args.epochs)
    accuracy["student taught"] = train(Distiller(make_network(8), teacher), few, 3 * args.epochs)
    for name, value in accuracy.items():
        print(f"{name:>14}: test accuracy {value:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
