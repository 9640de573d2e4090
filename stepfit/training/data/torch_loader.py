"""Batches from a torch `DataLoader`, without importing torch."""

import base64
import multiprocessing.connection
import signal
import sys
import threading
from typing import Any

import numpy as np

from stepfit.core import errors
from stepfit.training.data.generators import IterableSource
from stepfit.training.data.worker_process import worker_died


def is_torch_loader(x):
    """Say whether `x` is a `torch.utils.data.DataLoader`."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.utils.data.DataLoader)


def refuse_samples(x, name):
    """Raise for a torch dataset: it holds samples, not batches."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.utils.data.Dataset):
        fix = "pass torch.utils.data.DataLoader(dataset, batch_size=32)"
        raise errors.bad_type(name, "batches", "a torch Dataset, which holds single samples", fix)


class TorchLoaderSource(IterableSource):
    """Batches from a DataLoader as NumPy arrays; the loader decides on order and batch size.

    What torch's generators are before a pass marks it: they decide on the order, and on what its
    workers draw. A sampler with `set_epoch` is told the number of the pass.
    """

    def __init__(self, data, **kwargs):
        self.batch_size = data.batch_size
        self.num_samples = len(data.dataset) if hasattr(data.dataset, "__len__") else None
        self._handler: Any = None
        kwargs["description"] = "a torch DataLoader"
        super().__init__(data, **kwargs)

    def _convert(self, batch):
        return tuple(batch) if isinstance(batch, list) else batch

    def _open_pass(self, number, mark):
        loader = self._data
        for sampler in (loader.sampler, loader.batch_sampler):
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(number)
        generators = self._generators()
        if mark is None:
            mark = self._next_mark()
        else:
            for generator, text in zip(generators, mark, strict=True):
                state = np.frombuffer(base64.b64decode(text), np.uint8).copy()
                generator.set_state(sys.modules["torch"].from_numpy(state))
        if not loader.num_workers:
            return iter(loader), mark
        # In the main thread torch would have the death of a worker raise an exception wherever the
        # main thread is just then, be it between a step and the storing of its weights.
        self._mute_handler()
        return _in_another_thread(lambda: iter(loader)), mark

    def _next_mark(self):
        states = [generator.get_state().numpy() for generator in self._generators()]
        return [base64.b64encode(state.tobytes()).decode() for state in states]

    def _generators(self):
        loader = self._data
        samplers = [loader.sampler, getattr(loader.batch_sampler, "sampler", None)]
        held = [getattr(s, "generator", None) for s in (loader, *samplers)]
        torch = sys.modules["torch"]
        found = [torch.default_generator, *(g for g in held if isinstance(g, torch.Generator))]
        return list({id(g): g for g in found}.values())

    def _close_pass(self, iterator):
        loader = self._data
        shutdown = getattr(iterator, "_shutdown_workers", None)
        if shutdown is not None and not loader.persistent_workers:
            shutdown()

    def _explain(self, error):
        """A dead worker shows as a broken pipe, a file that is gone, or torch's own message."""
        if not self._data.num_workers or not isinstance(error, (RuntimeError, OSError, EOFError)):
            return None
        workers = getattr(self._iterator, "_workers", [])
        sentinels = [worker.sentinel for worker in workers]
        dying = multiprocessing.connection.wait(sentinels, timeout=1) if sentinels else []
        for worker in workers:
            if worker.sentinel in dying:
                worker.join(5)  # its pipes close some time before it is gone
            if worker.exitcode:
                place = f"batch {self._read} of {self.name}"
                fix = "if memory ran out, lower num_workers or prefetch_factor of the DataLoader"
                return worker_died(place, worker.pid, worker.exitcode, fix)
        return None

    def _mute_handler(self):
        if threading.current_thread() is not threading.main_thread():
            return
        handler = signal.getsignal(signal.SIGCHLD)
        if getattr(handler, "__module__", "").startswith("torch."):
            self._handler = handler
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def close(self):
        super().close()
        if self._handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, self._handler)
            self._handler = None


def _in_another_thread(call):
    """Return ``call()``, made in a thread of its own."""
    found: list = []

    def run():
        try:
            found.append((call(), None))
        except BaseException as e:
            found.append((None, e))

    thread = threading.Thread(target=run, name="stepfit-open-loader")
    thread.start()
    thread.join()
    result, failure = found[0]
    if failure is not None:
        raise failure
    return result
