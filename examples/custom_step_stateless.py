"""An own training step in stateless style: the step is a pure function, as in JAX.

`train_step(self, state, data)` gets the values of every variable and returns logs and new values.
`fit()`, its callbacks and its progress bar work as always.
"""

import argparse

import jax

import stepfit as keras


class Classifier(keras.Model):
    def loss_and_updates(self, trainable, non_trainable, x, y):
        y_pred, non_trainable = self.stateless_call(trainable, non_trainable, x, training=True)
        return self.compute_loss(x, y, y_pred), (y_pred, non_trainable)

    def train_step(self, state, data):
        x, y = data
        trainable, non_trainable = state.of(self)

        grad_fn = jax.value_and_grad(self.loss_and_updates, has_aux=True)
        (loss, (y_pred, non_trainable)), grads = grad_fn(trainable, non_trainable, x, y)
        trainable, optimizer_values = self.optimizer.stateless_apply(
            state.of(self.optimizer), grads, trainable
        )
        state = state.replace(self, (trainable, non_trainable))
        state = state.replace(self.optimizer, optimizer_values)

        logs = {}
        for metric in self.metrics:
            arguments = (loss,) if metric.name == "loss" else (y, y_pred)
            values = metric.stateless_update_state(state.of(metric), *arguments)
            state = state.replace(metric, values)
            logs[metric.name] = metric.stateless_result(values)
        return logs, state


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
