"""equinox: a step under `eqx.filter_jit` that takes and returns the model."""

import equinox as eqx
import jax
import numpy as np

from benchmarks.frameworks.batches import size, views


class EquinoxLoop:
    def __init__(self, workload):
        self.batches = views(workload.data, workload.batch)
        self.rows = workload.rows
        self.state = workload.equinox_state()

        @eqx.filter_jit(donate="all-except-first")
        def step(batch, state, total):
            state, loss = workload.equinox_step(state, batch)
            return state, total + loss * size(batch)

        self.step = step

    def train(self, times):
        losses = []
        for _ in range(times):
            total = np.float32(0)
            for batch in self.batches:
                self.state, total = self.step(batch, self.state, total)
            losses.append(float(total) / self.rows)
        return losses

    train_again = train

    def train_on_batch(self, times):
        losses, batch = [], self.batches[0]
        for _ in range(times):
            self.state, total = self.step(batch, self.state, np.float32(0))
            losses.append(float(total) / size(batch))
        return losses

    def call(self, times):
        model = self.state[0]
        return [np.asarray(jax.vmap(model)(self.batches[0][0])) for _ in range(times)]
