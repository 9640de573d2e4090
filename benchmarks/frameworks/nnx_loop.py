"""flax nnx: a step under `nnx.jit` that changes model and optimizer, as its guide writes it."""

import numpy as np
from flax import nnx

from benchmarks.frameworks.batches import size, views


class NnxLoop:
    def __init__(self, workload):
        self.workload = workload
        self.batches = views(workload.data, workload.batch)
        self.state = workload.nnx_state()
        self.step = nnx.jit(self._step)

    def _step(self, state, total, batch):
        return total + self.workload.nnx_step(state, batch) * size(batch)

    def train(self, times):
        losses = []
        for _ in range(times):
            total = np.float32(0)
            for batch in self.batches:
                total = self.step(self.state, total, batch)
            losses.append(float(total) / self.workload.rows)
        return losses

    train_again = train

    def train_on_batch(self, times):
        batch = self.batches[0]
        return [float(self.step(self.state, np.float32(0), batch)) / size(batch)
                for _ in range(times)]  # fmt: skip

    def call(self, times):
        model = self.state[0]
        return [np.asarray(model(self.batches[0][0])) for _ in range(times)]
