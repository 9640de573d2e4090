"""Ctrl-C at a safe point: between two steps, never while the weights are on their way."""

import signal
import threading


class SafeInterrupts:
    """Holds back SIGINT inside the block until `check` is called.

    The first Ctrl-C is kept and raised by the next `check()`; a second one raises at once, unless a
    step is running. Blocks may be nested (`evaluate` in a callback of `fit`): they share what was
    pressed, and the outermost one restores the handler. Outside the main thread, where signals
    cannot be caught, nothing is changed.
    """

    _pressed = False  # these two are the class's: shared by all blocks
    _running = 0  # steps of the main thread that are on their way

    def __enter__(self):
        self._previous = None
        if _in_main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            SafeInterrupts._pressed, SafeInterrupts._running = False, 0
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def _handle(self, number, frame):
        if self._pressed and not self._running:
            raise KeyboardInterrupt
        SafeInterrupts._pressed = True

    def shield(self, run, *args):
        """Return ``run(*args)``, which no Ctrl-C interrupts."""
        if not _in_main_thread():
            return run(*args)
        SafeInterrupts._running += 1
        try:
            return run(*args)
        finally:
            SafeInterrupts._running -= 1

    def check(self):
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self._pressed and _in_main_thread():
            SafeInterrupts._pressed = False
            raise KeyboardInterrupt

    def __exit__(self, kind, value, trace):
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            if kind is None:
                self.check()


def _in_main_thread():
    return threading.current_thread() is threading.main_thread()
