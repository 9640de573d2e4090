"""Several workers that make batches at once; what they make comes out in order."""

import collections
import queue
import threading
from concurrent.futures import Future

from stepfit.training.data.prefetch import PATIENCE


class Pool:
    """Threads that each run a function on numbers, one number at a time.

    Args:
        calls: one function per thread.
        ahead: how many results may be under way or wait.
        name: how the threads are called.
    """

    def __init__(self, calls, ahead, name="x"):
        self._ahead = max(ahead, 1)
        self._tasks: queue.SimpleQueue = queue.SimpleQueue()
        self._threads = [
            threading.Thread(
                target=self._work, args=(call,), name=f"stepfit-worker-{name}-{i}", daemon=True
            )
            for i, call in enumerate(calls)
        ]
        for thread in self._threads:
            thread.start()

    def _work(self, call):
        while (task := self._tasks.get()) is not None:
            future, number = task
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call(number))
                except BaseException as e:  # raised again by whoever fetches it
                    future.set_exception(e)
                del future, task  # or the result lives until the next one

    def results(self, numbers):
        """Return an iterator, with `close`, over the results for `numbers`, in their order."""
        return _Results(self._tasks, iter(numbers), self._ahead)

    def close(self):
        """End the threads; calls that are under way are waited for."""
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join(PATIENCE)
        self._threads = []


class _Results:
    def __init__(self, tasks, numbers, ahead):
        self._tasks, self._numbers = tasks, numbers
        self._under_way: collections.deque = collections.deque()
        for _ in range(ahead):
            self._submit()

    def _submit(self):
        for number in self._numbers:
            future: Future = Future()
            self._tasks.put((future, number))
            self._under_way.append(future)
            return

    def __iter__(self):
        return self

    def __next__(self):
        if not self._under_way:
            raise StopIteration
        future = self._under_way.popleft()
        result = future.result()
        self._submit()
        return result

    def close(self):
        """Drop what has not begun."""
        while self._under_way:
            self._under_way.pop().cancel()
