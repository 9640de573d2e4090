"""A small model and its data, for tests of callbacks in a real `fit`."""

import numpy as np

import stepfit as keras

X = np.random.RandomState(0).normal(size=(24, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def compiled(optimizer=None, **arguments):
    """Return a small compiled model with weights that are always the same."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, activation="tanh", name="body"),
            keras.layers.Dense(1, name="head"),
        ],
        name="net",
    )
    values = np.random.RandomState(1)
    model.set_weights([values.normal(size=w.shape).astype("float32") for w in model.weights])
    optimizer = keras.optimizers.SGD(0.05) if optimizer is None else optimizer
    model.compile(optimizer=optimizer, loss="mse", **arguments)
    return model


def fit(model, callbacks, epochs=3, **arguments):
    """Train it on 6 batches of 4 per epoch, or 4 with validation; always in one order."""
    arguments = {"batch_size": 4, "shuffle": False, "verbose": 0, **arguments}
    return model.fit(X, Y, epochs=epochs, callbacks=callbacks, **arguments)
