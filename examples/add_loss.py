"""Losses from inside the model: `add_loss` in a layer, and a weight regularizer.

A sparse auto-encoder: a layer asks that each hidden unit is active one time in twenty, by adding a
loss of its own in `call`. Every way to train picks it up: the built-in step, an own step through
`compute_loss`, and `stateless_call(..., return_losses=True)` in plain JAX.
"""

import argparse

import stepfit as keras
from stepfit import ops


class Sparse(keras.layers.Layer):
    """Passes on activities in (0, 1) and adds a loss where their mean is not `target`."""

    def __init__(self, target=0.05, strength=0.01, **kwargs):
        super().__init__(**kwargs)
        self.target, self.strength = target, strength

    def call(self, activity):
        target, mean = self.target, ops.mean(activity, axis=0)
        divergence = target * ops.log(target / mean)
        divergence += (1 - target) * ops.log((1 - target) / (1 - mean))
        self.add_loss(self.strength * ops.mean(divergence))
        return activity


def make_model(strength):
    inputs = keras.Input((8, 8))
    x = keras.layers.Flatten()(inputs)
    code = keras.layers.Dense(64, activation="sigmoid")(x)
    code = Sparse(strength=strength, name="sparse")(code)
    x = keras.layers.Dense(64, kernel_regularizer=keras.regularizers.L2(1e-5))(code)
    model = keras.Model(inputs, keras.layers.Reshape((8, 8))(x))
    encoder = keras.Model(inputs, code)
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss="mse")
    return model, encoder


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args(argv)

    (x_train, _), (x_test, _) = keras.datasets.digits.load_data()
    x_train, x_test = x_train.astype("float32") / 16, x_test.astype("float32") / 16
    results = {}
    for strength in (0.0, 0.01):
        keras.utils.set_random_seed(0)
        model, encoder = make_model(strength)
        history = model.fit(x_train, x_train, epochs=args.epochs, verbose=0)
        activity = float(encoder.predict(x_test, verbose=0).mean())
        results[strength] = history.history["loss"], activity
        print(f"strength {strength}: loss {history.history['loss'][-1]:.4f}, "
              f"mean activity {activity:.3f}")  # fmt: skip

    # The same losses in plain JAX: the third value that stateless_call returns.
    trainable, non_trainable = model.get_state("predict")
    outputs, _, losses = model.stateless_call(trainable, non_trainable, x_test, return_losses=True)
    error = float(ops.mean((outputs - x_test) ** 2))
    total = model.evaluate(x_test, x_test, batch_size=len(x_test), verbose=0)
    print(f"evaluate: {total:.5f}")
    print(f"by hand:  {error + float(sum(losses)):.5f} = {error:.5f} (error) + "
          + " + ".join(f"{float(loss):.5f}" for loss in losses) + " (added)")  # fmt: skip
    return results, total, error + float(sum(losses))


if __name__ == "__main__":
    main()
