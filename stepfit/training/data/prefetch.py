"""Reading ahead of the engine in a thread, wherever reading is slow enough to gain from it.

Handing a batch from thread to thread costs some 30 microseconds, and more where the reader holds
the interpreter. So every pass begins without a thread, times what it reads, and goes on in one as
soon as a batch is seen to take longer than `SLOW`. What is read, and in which order, is the same.
"""

import contextvars
import queue
import threading
import time
import warnings

from stepfit.core import config, errors

SLOW = 1e-3  # seconds; a source that takes longer for a batch is read in a thread
AHEAD = 4  # batches that wait to be fetched
PATIENCE = 5.0  # seconds; so long a read that is under way may take to end

_END = object()


class Pace:
    """How long a source takes for a batch, a moving mean that outlives the passes.

    Attributes:
        slow: whether a thread is worth its while.
    """

    slow = False

    def __init__(self):
        self.seconds, self._seen = 0.0, 0

    def note(self, seconds):
        """Note how long a batch took; returns how many may come before the next look."""
        self._seen += 1
        self.seconds += (seconds - self.seconds) * max(1 / self._seen, 0.1)
        if self._seen > 1:  # the first batch may open files
            self.slow = self.seconds > SLOW and config.read_ahead()
        return 0 if self._seen < 8 else min(int(SLOW / max(seconds, 1e-6)), 16)


class Prefetch:
    """Reads `items` ahead in a thread while that is worth it; to be iterated over once.

    Exceptions come where the item would have come. `close` ends the thread; a `Prefetch` that is
    neither exhausted nor closed keeps it.

    Args:
        items: iterator.
        pace: the source's `Pace`.
        name: how messages call the data.
    """

    def __init__(self, items, pace, name="x"):
        self._items, self._pace, self._name = items, pace, name
        self._thread: threading.Thread | None = None
        self._closed = False

    def __iter__(self):
        pace, items, left = self._pace, self._items, 0
        while not pace.slow:
            if left:  # looking at the clock costs as much as some batches do
                left -= 1
                item = next(items, _END)
            else:
                begin = time.perf_counter()
                item = next(items, _END)
                left = pace.note(time.perf_counter() - begin)
            if item is _END or self._closed:
                return
            yield item
        thread = self._start()
        while not self._closed:
            item, failure = self._ready.get()
            self._room.release()
            if failure is not None or item is _END:
                thread.join()
                if failure is not None:
                    raise failure
                return
            yield item

    def _start(self):
        self._ready: queue.SimpleQueue = queue.SimpleQueue()
        self._room, self._stop = threading.Semaphore(AHEAD), False
        run = contextvars.copy_context().run
        thread = self._thread = threading.Thread(
            target=run, args=(self._read,), name=f"stepfit-read-{self._name}", daemon=True
        )
        thread.start()
        return thread

    def _read(self):
        item = failure = None
        while item is not _END and failure is None:
            self._room.acquire()
            if self._stop:
                return
            begin = time.perf_counter()
            try:
                item = next(self._items, _END)
            except BaseException as e:  # raised again by whoever fetches it
                failure = e
            self._pace.note(time.perf_counter() - begin)
            self._ready.put((item, failure))

    def close(self):
        """End the thread; a read that is under way is waited for."""
        self._closed = True
        if self._thread is None or not self._thread.is_alive():
            return
        self._stop = True
        self._room.release()
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            expected = f"a batch, or an end, within {PATIENCE:g} seconds"
            fix = "the thread that waits for it is left behind"
            text = errors.message(self._name, expected, "a read that is still under way", fix)
            warnings.warn(text, RuntimeWarning, stacklevel=errors.users_level())
