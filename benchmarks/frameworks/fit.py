"""`fit`, `evaluate` and `predict`, of stepfit and of Keras on JAX: the same code for both."""

import functools
import importlib

import numpy as np

from benchmarks.frameworks.batches import views
from benchmarks.frameworks.best import Best

CANDIDATES = (8, 32, 128)  # for Keras's best steps_per_execution


class Fit:
    """One compiled model; batches come in the order of the data, so that losses can be compared."""

    def __init__(self, workload, library, **options):
        self.workload, self.options = workload, options
        self.model = workload.keras_model(importlib.import_module(library), **options)
        self.x, self.y = workload.data
        self.batch = {"batch_size": workload.batch, "verbose": 0}

    def train(self, times):
        history = self.model.fit(self.x, self.y, epochs=times, shuffle=False, **self.batch)
        return self.workload.epoch_losses(history.history)

    def train_again(self, times):
        return [self.train(1)[0] for _ in range(times)]

    def evaluate(self, times):
        return [self.model.evaluate(self.x, self.y, **self.batch) for _ in range(times)]

    def predict(self, times):
        return [self.model.predict(self.x, **self.batch) for _ in range(times)]

    @functools.cached_property
    def first_batch(self):
        return views((self.x, self.y), self.workload.batch)[0]

    def train_on_batch(self, times):
        x, y = self.first_batch
        return [float(self.model.train_on_batch(x, y)) for _ in range(times)]

    def predict_on_batch(self, times):
        return [self.model.predict_on_batch(self.first_batch[0]) for _ in range(times)]

    def call(self, times):
        return [np.asarray(self.model(self.first_batch[0])) for _ in range(times)]


class BestFit(Best):
    """`Fit` with whichever `steps_per_execution` is the fastest."""

    def __init__(self, workload, library):
        super().__init__(
            lambda steps: Fit(workload, library, steps_per_execution=steps),
            "steps_per_execution",
            [steps for steps in CANDIDATES if steps <= workload.steps],
        )
