"""Ctrl-C at a safe point: between two steps, never while the weights are on their way."""

import signal
import threading


class SafeInterrupts:
    """Holds back SIGINT inside the block until `check` is called.

    The first Ctrl-C is kept and raised by the next `check()`; a second one raises at once, unless a
    step is running (`busy`). Outside the main thread, where signals cannot be caught, nothing is
    changed.
    """

    busy = False
    _pending = False

    def __enter__(self):
        self._pending = False
        self._previous = None
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def _handle(self, number, frame):
        if self._pending and not self.busy:
            raise KeyboardInterrupt
        self._pending = True

    def shield(self, run, *args):
        """Return ``run(*args)``, which no Ctrl-C interrupts."""
        self.busy = True
        try:
            return run(*args)
        finally:
            self.busy = False

    def check(self):
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self._pending:
            self._pending = False
            raise KeyboardInterrupt

    def __exit__(self, kind, value, trace):
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
        if kind is None and self._pending:
            raise KeyboardInterrupt
