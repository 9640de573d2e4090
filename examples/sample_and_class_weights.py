"""Sample weights and class weights, in `fit()` and in an own step.

Four in ten training labels are drawn at random, and we know which. Giving these samples a small
weight brings the accuracy back. Class weights, with which one digit is made to count more,
arrive in the step the same way: `fit()` turns them into sample weights.
"""

import argparse

import numpy as np

import stepfit as keras


class Weighted(keras.Model):
    def train_step(self, data):
        # (x, y) or (x, y, sample_weight): None stands for what was not given.
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with keras.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, sample_weight)
        grads = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(grads, self.trainable_variables)

        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred, sample_weight=sample_weight)
        return {m.name: m.result() for m in self.metrics}


def make_model():
    inputs = keras.Input((8, 8))
    x = keras.layers.Rescaling(1 / 16)(inputs)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(256, activation="relu")(x)
    model = Weighted(inputs, keras.layers.Dense(10)(x))
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
    )
    return model


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args(argv)

    keras.utils.set_random_seed(0)
    (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
    rng = np.random.default_rng(0)
    doubtful = rng.random(len(y_train)) < 0.4
    y_noisy = np.where(doubtful, rng.integers(0, 10, len(y_train)), y_train)

    weights = {"all alike": None, "doubtful ones 0.05": np.where(doubtful, 0.05, 1.0)}
    accuracy = {}
    for name, sample_weight in weights.items():
        model = make_model()
        model.fit(x_train, y_noisy, sample_weight=sample_weight, epochs=args.epochs, verbose=0)
        accuracy[name] = model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
        print(f"weights {name}: test accuracy {accuracy[name]:.3f}")

    # Say that missing an 8 is costly and count it 5 times: fewer are missed, at a price elsewhere.
    costly = {digit: 5.0 if digit == 8 else 1.0 for digit in range(10)}
    called_8 = {}
    for name, class_weight in {"all alike": None, "8 counts 5 times": costly}.items():
        model = make_model()
        model.fit(x_train, y_noisy, class_weight=class_weight, epochs=args.epochs, verbose=0)
        predictions = model.predict(x_test, verbose=0).argmax(-1)
        called_8[name] = int((predictions == 8).sum())
        print(f"classes {name}: {called_8[name]} of {len(y_test)} test images called 8")
    return accuracy, called_8


if __name__ == "__main__":
    main()
