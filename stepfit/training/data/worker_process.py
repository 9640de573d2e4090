"""A process that makes batches, seen from the process that trains.

Each worker is a new Python process, not a fork: forks of a process that runs JAX can hang. It ends
when its standard input does, so none outlives a trainer that was killed.
"""

import os
import pathlib
import pickle
import signal
import subprocess
import sys
from typing import Any

from stepfit.core import errors

_SCRIPT = pathlib.Path(__file__).with_name("worker_main.py")


class WorkerProcess:
    """One worker; `get` is called by one thread at a time.

    Args:
        name: how messages call the data.
    """

    def __init__(self, name):
        self._name, self._held, self._closed = name, None, False
        self._process: Any = subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "JAX_PLATFORMS": "cpu"},  # the accelerator is the trainer's
        )  # fmt: skip
        self._send(list(sys.path))

    @property
    def pid(self):
        """Its process id."""
        return self._process.pid

    def _send(self, request):
        try:
            pickle.dump(request, self._process.stdin, protocol=5)
            self._process.stdin.flush()
        except (OSError, ValueError):  # it is gone, or was closed; found out when it is read
            pass

    def get(self, pickled, number, seed):
        """Return a batch.

        Args:
            pickled: the dataset; sent only where it is not the one the worker has.
            number: of the batch.
            seed: text that decides what Python's and NumPy's global generators draw for it.

        Raises:
            what the dataset raised, with the traceback of the worker as its cause; or
            StepfitRuntimeError: if the process died.
        """
        self._send((None if pickled is self._held else pickled, number, seed))
        self._held = pickled
        try:
            batch, error, text = pickle.load(self._process.stdout)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):
            raise self._died(number) from None
        if text is None:
            return batch
        if error is None:
            place = f"batch {number} of {self._name}"
            error = errors.StepfitRuntimeError(
                errors.message(place, "a batch", "an exception in the worker process (above)")
            )
        error.__cause__ = RemoteError(f"\n{text}")
        raise error

    def _died(self, number):
        code = None
        if not self._closed:
            try:
                code = self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                pass
        place = f"batch {number} of {self._name}"
        fix = "if memory ran out, lower `workers` or `max_queue_size` of the PyDataset"
        return worker_died(place, self.pid, code, fix)

    def close(self):
        """Kill the process; the thread that waits for it, if any, goes on."""
        self._closed = True
        self._process.kill()
        self._process.wait()

    def close_pipes(self):
        """Give the pipes back, once no thread waits at them."""
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                pipe.close()
            except OSError:
                pass


def worker_died(place, pid, code, fix):
    """Return the error for a worker process that ended with an exit code (negative: a signal)."""
    how = f"ended with exit code {code}"
    if code is not None and code < 0:
        known = {s.value for s in signal.Signals}
        how = f"killed by {signal.Signals(-code).name if -code in known else f'signal {-code}'}"
    expected, found = "a batch from a worker process", f"process {pid} {how}"
    return errors.StepfitRuntimeError(errors.message(place, expected, found, fix))


class RemoteError(Exception):
    """Holds the traceback of a worker process as text."""

    def __str__(self):
        return str(self.args[0])
