"""Ctrl-C at a safe point: between two steps, never while the weights are on their way."""

import signal
import threading


class SafeInterrupts:
    """Holds back SIGINT inside the block until `check` is called.

    The first Ctrl-C is kept and raised by the next `check()`; a second one raises at once. Outside
    the main thread, where signals cannot be caught, nothing is changed.
    """

    def __enter__(self):
        self._pending = False
        self._previous = None
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def _handle(self, number, frame):
        if self._pending:
            raise KeyboardInterrupt
        self._pending = True

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
