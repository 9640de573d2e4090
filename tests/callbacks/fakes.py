"""A model without a network, for callbacks."""

import types

import numpy as np

from stepfit.utils import weights_file


class FakeOptimizer:
    def __init__(self, learning_rate=0.1):
        self.learning_rate = learning_rate


class FakeModel:
    """Has weights that the test sets, and what callbacks read and write."""

    def __init__(self, learning_rate=0.1):
        self.stop_training = False
        self.optimizer = FakeOptimizer(learning_rate)
        self.metrics = []
        self.weights = [
            types.SimpleNamespace(path="dense/kernel"),
            types.SimpleNamespace(path="dense/bias"),
        ]
        self._values = [np.zeros((2, 2), "float32"), np.zeros(2, "float32")]

    def get_weights(self):
        return [v.copy() for v in self._values]

    def set_weights(self, values):
        self._values = [np.array(v) for v in values]

    def save_weights(self, path):
        weights_file.save_weights(self, path)

    def fill(self, number):
        self._values = [np.full_like(v, number) for v in self._values]


def run(callbacks, epochs, model=None, batches=1, initial_epoch=0):
    """Drive a `CallbackList` through epochs; `epochs` is a list of their logs."""
    model = model or FakeModel()
    callbacks.set_model(model)
    callbacks.on_train_begin()
    logs = {}
    for epoch, logs in enumerate(epochs, initial_epoch):
        callbacks.on_epoch_begin(epoch)
        model.fill(epoch)
        for batch in range(batches):
            callbacks.on_train_batch_begin(batch)
            callbacks.on_train_batch_end(batch, logs)
        logs = dict(logs)
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    callbacks.on_train_end(logs)
    return model
