"""An own evaluation step, in both styles: test-time augmentation.

The model is trained on digits that were moved by up to one pixel. The plain model is evaluated on
the test images in all five places, one by one. An own `test_step` looks at all five views of an
image and averages the predictions. Both styles of it do the same work and give the same numbers.
"""

import argparse

import numpy as np

import stepfit as keras

SHIFTS = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]


def shifted(x):
    """Return versions of images of shape (n, 8, 8), each moved by one of SHIFTS."""
    return [keras.ops.roll(x, shift, axis=(1, 2)) for shift in SHIFTS]


class TapeStyle(keras.Model):
    def test_step(self, data):
        x, y = data
        y_pred = sum(self(view, training=False) for view in shifted(x)) / len(SHIFTS)
        loss = self.compute_loss(x, y, y_pred)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=len(x))
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


class Stateless(keras.Model):
    def test_step(self, state, data):
        x, y = data
        trainable, non_trainable = state.of(self)
        y_pred = 0.0
        for view in shifted(x):
            scores, _ = self.stateless_call(trainable, non_trainable, view, training=False)
            y_pred += scores / len(SHIFTS)
        loss = self.compute_loss(x, y, y_pred)

        logs = {}
        for metric in self.metrics:
            if metric.name == "loss":
                values = metric.stateless_update_state(state.of(metric), loss, len(x))
            else:
                values = metric.stateless_update_state(state.of(metric), y, y_pred)
            state = state.replace(metric, values)
            logs[metric.name] = metric.stateless_result(values)
        return logs, state


def compiled(model):
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args(argv)

    keras.utils.set_random_seed(0)
    (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
    inputs = keras.Input((8, 8))
    x = keras.layers.Reshape((8, 8, 1))(keras.layers.Rescaling(1 / 16)(inputs))
    x = keras.layers.Conv2D(16, 3, activation="relu")(x)
    outputs = keras.layers.Dense(10)(keras.layers.Flatten()(x))

    # All models are over the same layers: they share their weights.
    plain = compiled(keras.Model(inputs, outputs))
    x_many, y_many = np.concatenate(shifted(x_train)), np.tile(y_train, len(SHIFTS))
    plain.fit(x_many, y_many, batch_size=64, epochs=args.epochs)
    results = {}
    x_views, y_views = np.concatenate(shifted(x_test)), np.tile(y_test, len(SHIFTS))
    results["one by one"] = plain.evaluate(x_views, y_views, verbose=0, return_dict=True)
    for style in (TapeStyle, Stateless):
        model = compiled(style(inputs, outputs))
        results[style.__name__] = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
    for name, logs in results.items():
        print(f"{name:>12}: loss {logs['loss']:.4f}  accuracy {logs['accuracy']:.4f}")
    return results


if __name__ == "__main__":
    main()
