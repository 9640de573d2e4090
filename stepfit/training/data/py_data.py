"""Batches from a `PyDataset`, made by one or several threads or processes."""

import importlib
import pickle
from typing import Any

from stepfit.core import errors
from stepfit.training.data import checks
from stepfit.training.data.numbered import NumberedSource
from stepfit.training.data.pool import Pool
from stepfit.training.data.worker_process import WorkerProcess
from stepfit.utils.py_dataset import PyDataset


def is_py_dataset(x):
    """Say whether `x` is a `PyDataset`, or one of Keras's (which has the same methods)."""
    if isinstance(x, PyDataset):
        return True
    return hasattr(x, "__getitem__") and hasattr(x, "on_epoch_end") and hasattr(x, "__len__")


class PyDatasetSource(NumberedSource):
    """Batches from a `PyDataset`, in an order that the number of workers does not change."""

    description = "a PyDataset"

    def __init__(self, data, *, name="x", **kwargs):
        self._workers = checks.positive_int(
            getattr(data, "workers", 1) or 1, f"{name}.workers", "1 makes batches one by one"
        )
        self._ahead = checks.positive_int(
            getattr(data, "max_queue_size", 10), f"{name}.max_queue_size", "10 is the default"
        )
        self._in_processes = bool(getattr(data, "use_multiprocessing", False))
        self._uses_peeked = not self._in_processes
        self._pool: Any = None
        self._processes: list = []
        self._pickled: Any = None
        self._epoch_now = 0
        self._ended = 0  # epochs whose end the dataset was told of
        self._ended_before: dict = {}  # epoch -> the same when it began
        self._begun = self._used = False  # told of a beginning; gave batches since then
        super().__init__(data, name=name, **kwargs)

    def _length(self):
        data = self._data
        return data.num_batches if hasattr(type(data), "num_batches") else len(data)

    def _convert(self, batch):
        return tuple(batch) if isinstance(batch, list) else batch

    # -- the dataset's own hooks -----------------------------------------------------------------

    def _begin(self, epoch):
        if self._begun and self._used:
            self._end()
        if not self._begun:
            self._call("on_epoch_begin")
            self._begun = True
        self._epoch_now, self._ended_before[epoch] = epoch, self._ended
        for old in [e for e in self._ended_before if e < epoch - 1]:
            del self._ended_before[old]

    def _end(self):
        self._call("on_epoch_end")
        self._ended += 1
        self._begun = self._used = False

    def _call(self, hook):
        getattr(self._data, hook, _nothing)()

    @property
    def _changes(self):
        """Whether the dataset may change between epochs."""
        kind = type(self._data)
        return any(
            getattr(kind, hook, None) is not getattr(PyDataset, hook)
            for hook in ("on_epoch_begin", "on_epoch_end")
        )

    # -- reading ---------------------------------------------------------------------------------

    def _read(self, numbers):
        self._used = True
        if not self._in_processes and self._workers == 1:
            return super()._read(numbers)
        if self._pool is None:
            self._start()
        if self._in_processes and (self._pickled is None or self._changes):
            self._pickled = self._pickle()
        return self._pool.results(numbers)

    def _start(self):
        calls: list = [self._load] * self._workers
        if self._in_processes:
            self._processes = [WorkerProcess(self.name) for _ in range(self._workers)]
            calls = [self._loader(process) for process in self._processes]
        self._pool = Pool(calls, max(self._ahead, self._workers), self.name)

    def _loader(self, process):
        def load(number):
            seed = f"{self.seed} {self._epoch_now} {number}"
            try:
                batch = process.get(self._pickled, number, seed)
            except errors.StepfitError:
                raise
            except Exception as e:
                e.add_note(f"Raised by a worker while batch {number} of {self.name} was read.")
                raise
            return self._incoming(batch, number)

        return load

    def _pickle(self):
        """Return the dataset pickled; classes of the script itself go by value."""
        pickler: Any = pickle
        try:
            pickler = importlib.import_module("cloudpickle")
        except ImportError:
            if type(self._data).__module__ == "__main__":
                fix = "pip install 'stepfit[workers]', or put the class into a module of its own"
                expected = "cloudpickle, which takes a class of the script to another process"
                text = errors.message(f"{self.name}.use_multiprocessing", expected, "none", fix)
                raise errors.StepfitRuntimeError(text) from None
        try:
            return pickler.dumps(self._data, protocol=5)
        except Exception as e:
            fix = "open files in __getitem__, or use threads (use_multiprocessing=False)"
            raise errors.bad_type(
                f"{self.name}.use_multiprocessing", "a dataset that can be pickled",
                f"one that cannot ({type(e).__name__})", fix,
            ) from e  # fmt: skip

    def close(self):
        super().close()
        pool, self._pool = self._pool, None
        for process in self._processes:
            process.close()
        if pool is not None:
            pool.close()
        for process in self._processes:
            process.close_pipes()
        self._processes = []

    # -- going on in another process -------------------------------------------------------------

    def state(self, epoch, step):
        ended = self._ended_before.get(epoch, self._ended)
        return {**super().state(epoch, step), "ended": ended}

    def restore(self, state, epoch, step):
        super().restore(state, epoch, step)
        for _ in range((state or {}).get("ended", epoch) - self._ended):
            if not self._begun:
                self._call("on_epoch_begin")
            self._end()


def _nothing():
    pass
