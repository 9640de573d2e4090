"""Datasets for worker processes, which import this module and little else."""

import os
import signal
import threading
import time

import numpy as np

X = np.arange(20, dtype="float32").reshape(10, 2)
Y = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0], "int32")


class Batches:
    """Three batches by number, with what is needed to make them go wrong."""

    workers, use_multiprocessing, max_queue_size = 1, False, 10

    def __init__(self, workers=1, use_multiprocessing=False, max_queue_size=10, bad=None, how=None):
        self.workers, self.use_multiprocessing = workers, use_multiprocessing
        self.max_queue_size, self.bad, self.how = max_queue_size, bad, how
        self.order, self.rng, self.calls = np.arange(10), np.random.default_rng(3), []

    def __len__(self):
        return 3

    def __getitem__(self, i):
        if i == self.bad:
            if self.how == "raise":
                raise OSError("disk gone")
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "exit":
                os._exit(3)
        rows = self.order[4 * i : 4 * i + 4]
        return X[rows], Y[rows]

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")


class Reordered(Batches):
    """Its order changes after each epoch."""

    def on_epoch_end(self):
        super().on_epoch_end()
        self.rng.shuffle(self.order)


class Noisy(Batches):
    """What a batch holds is drawn from NumPy's global generator."""

    def __getitem__(self, i):
        return np.random.random((4, 2)).astype("float32"), Y[:4]


class Slow(Batches):
    """Each batch takes its time, the first ones most."""

    def __getitem__(self, i):
        time.sleep(0.02 * (3 - i))
        return super().__getitem__(i)


class Unpicklable(Batches):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.lock = threading.Lock()


class Samples:
    """Samples by number, for torch and grain."""

    def __init__(self, bad=None, how=None):
        self.bad, self.how = bad, how

    def __repr__(self):
        return "Samples"

    def __len__(self):
        return 10

    def __getitem__(self, i):
        if i == self.bad:
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError("disk gone")
        return X[i], int(Y[i])
