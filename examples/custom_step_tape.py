"""An own training step in tape style: the step works by side effect, as in tf.keras.

`train_step(self, data)` calls the model, takes gradients with a `GradientTape`, applies them and
updates metrics. It is compiled into the same pure function as a stateless step.
"""

import argparse

import stepfit as keras


class Classifier(keras.Model):
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


def make_model():
    inputs = keras.Input((8, 8))
    x = keras.layers.Rescaling(1 / 16)(inputs)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(64, activation="relu")(x)
    x = keras.layers.BatchNormalization()(x)
    return Classifier(inputs, keras.layers.Dense(10)(x))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args(argv)

    keras.utils.set_random_seed(0)
    (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
    model = make_model()
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(x_train, y_train, epochs=args.epochs)
    results = model.evaluate(x_test, y_test, return_dict=True)
    return history.history, results


if __name__ == "__main__":
    main()
