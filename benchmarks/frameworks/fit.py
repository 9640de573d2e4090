"""`fit`, `evaluate` and `predict`, of stepfit and of Keras on JAX: the same code for both."""

import functools
import importlib
import time

import numpy as np

from benchmarks.frameworks.batches import views

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


class BestFit:
    """`Fit` with whichever `steps_per_execution` is the fastest, searched once."""

    def __init__(self, workload, library):
        self.workload, self.library = workload, library
        self.options, self.fit = {}, None

    def _make(self, steps):
        return Fit(self.workload, self.library, steps_per_execution=steps)

    def _search(self, operation):
        """Return the candidate with the shortest pass of three, taken in turns."""
        candidates = [k for k in CANDIDATES if k <= self.workload.steps]
        if len(candidates) == 1:
            return candidates[0]
        passes = {k: getattr(self._make(k), operation) for k in candidates}
        seconds = {k: [] for k in candidates}
        for turn in range(4):
            for k, once in passes.items():
                start = time.perf_counter()
                once(1)
                if turn:  # the first compiles
                    seconds[k].append(time.perf_counter() - start)
        return min(candidates, key=lambda k: min(seconds[k]))

    def _do(self, operation, times):
        if self.fit is None:  # what the search has trained is left behind
            self.options = {"steps_per_execution": self._search(operation)}
            self.fit = Fit(self.workload, self.library, **self.options)
        return getattr(self.fit, operation)(times)

    train = functools.partialmethod(_do, "train")
    train_again = functools.partialmethod(_do, "train_again")
    evaluate = functools.partialmethod(_do, "evaluate")
    predict = functools.partialmethod(_do, "predict")
