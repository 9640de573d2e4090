"""torch, eager on the CPU: `backward` and `step` for each batch, on one thread or on all."""

import jax
import numpy as np
import torch

from benchmarks.frameworks.batches import size, views
from benchmarks.frameworks.best import Best

_ALL = torch.get_num_threads()


class TorchLoop:
    def __init__(self, workload, threads=_ALL):
        self.workload, self.threads = workload, threads
        x, y = workload.data
        data = workload.torch_inputs(x), np.asarray(y, _label_dtype(y)) if y is not None else None
        data = jax.tree.map(lambda array: torch.tensor(np.ascontiguousarray(array)), data)
        self.batches = views(data, workload.batch)
        self.state = workload.torch_state()

    def train(self, times):
        torch.set_num_threads(self.threads)
        losses = []
        for _ in range(times):
            total = torch.zeros(())
            for batch in self.batches:
                total += self.workload.torch_step(self.state, batch) * size(batch)
            losses.append(total.item() / self.workload.rows)
        return losses

    train_again = train

    def train_on_batch(self, times):
        torch.set_num_threads(self.threads)
        batch = self.batches[0]
        return [self.workload.torch_step(self.state, batch).item() for _ in range(times)]

    @torch.no_grad()
    def call(self, times):
        torch.set_num_threads(self.threads)
        model = self.state[0]
        return [model(self.batches[0][0]).numpy() for _ in range(times)]


class BestTorchLoop(Best):
    """On small models one thread is often the faster."""

    evaluate = predict = None  # TorchLoop only trains, and calls

    def __init__(self, workload):
        threads = sorted({1, _ALL}) if workload.name != "d" else [_ALL]  # d takes minutes
        super().__init__(lambda n: TorchLoop(workload, n), "threads", threads)


def _label_dtype(y):
    return "int64" if np.issubdtype(y.dtype, np.integer) else y.dtype
