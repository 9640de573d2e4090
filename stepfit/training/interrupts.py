"""Ctrl-C and SIGTERM at a safe point: between two steps, never while the weights are on their way.

SIGTERM is what schedulers send before they end a process: the program then ends with exit status
143, once what has to be saved is saved.
"""

import contextlib
import signal
import sys
import threading
import time
import warnings

# Those of `signal` look for names of handlers, which takes longer than all else here.
from _signal import getsignal  # type: ignore[import-not-found]
from _signal import signal as set_handler
from _thread import start_new_thread
from typing import Any

from stepfit.core import errors

TERMINATED = 128 + signal.SIGTERM  # the exit status that shells report for it
_PATIENCE = 1.0  # seconds until something is said of a Ctrl-C that is not obeyed yet
_HEARD = "Ctrl-C: stopping after the steps under way; press it again to stop at once."
_DEFAULTS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class SafeInterrupts:
    """Holds back SIGINT and SIGTERM inside the block until `check` is called.

    The first signal is kept, and `check()` turns it into KeyboardInterrupt or SystemExit(143). A
    Ctrl-C after that raises at once, unless a step is running; a line on standard error says so
    where the first one has not been obeyed after a second. Blocks may be nested (`evaluate` in
    a callback of `fit`): they share what was received, and the outermost one restores the handlers.
    A signal that the user has a handler for is left to it; outside the main thread, where signals
    cannot be caught, nothing is changed.
    """

    # These are the class's: shared by all blocks.
    _received: int | None = None  # the signal that waits
    _blocks = 0  # how many there were, those inside another not counted
    _running = 0  # steps of the main thread that are on their way
    _saver: Any = None  # (block, function): what to do before leaving, and who may

    def __enter__(self):
        self._previous = {}
        if _in_main_thread():
            ours = [n for n, default in _DEFAULTS.items() if getsignal(n) == default]
            if ours:  # before a signal can come in
                SafeInterrupts._received, SafeInterrupts._running = None, 0
                SafeInterrupts._blocks += 1
            for number in ours:
                self._previous[number] = set_handler(number, self._handle)
        return self

    def _handle(self, number, frame):
        if number == signal.SIGINT and self._received and not self._running:
            raise KeyboardInterrupt
        first = self._received is None
        if self._received != signal.SIGTERM:
            SafeInterrupts._received = number
        if number == signal.SIGINT and first:
            # Not by `threading`: this may have interrupted it where it holds its lock.
            with contextlib.suppress(RuntimeError):  # no thread is to be had: nothing is said
                start_new_thread(_acknowledge, (SafeInterrupts._blocks,))

    @contextlib.contextmanager
    def saving(self, save):
        """Have `save` called before a signal ends the block, by this block's own `check` alone.

        Args:
            save: function without arguments. Its errors become warnings.
        """
        before = SafeInterrupts._saver
        if _in_main_thread():
            SafeInterrupts._saver = (self, save)
        try:
            yield
        finally:
            if _in_main_thread():
                SafeInterrupts._saver = before

    def shield(self, run, *args):
        """Return ``run(*args)``, which no Ctrl-C interrupts."""
        if not _in_main_thread():
            return run(*args)
        SafeInterrupts._running += 1
        try:
            return run(*args)
        finally:
            SafeInterrupts._running -= 1

    @property
    def received(self):
        """The signal that waits for `check`, or None."""
        return self._received if _in_main_thread() else None

    def receive(self, number):
        """Have `check` end the block as if a signal had come, if number is not None.

        With several processes, another one may have got it.
        """
        if number is not None:
            SafeInterrupts._received = number

    @property
    def waiting(self):
        """Whether a signal waits for `check`."""
        return self._received is not None and _in_main_thread()

    def check(self):
        """Raise KeyboardInterrupt, or SystemExit, if a signal was received."""
        if not self.waiting:
            return
        if self._saver is not None:
            block, save = self._saver
            if block is not self:  # `fit` around this block comes to a safe point of its own
                return
            try:
                save()
            except Exception as e:
                text = f"fit: expected to save before it ended, found {type(e).__name__}: {e}"
                warnings.warn(text, RuntimeWarning, stacklevel=errors.users_level())
        number, SafeInterrupts._received = self._received, None
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(TERMINATED)

    def __exit__(self, kind, value, trace):
        for number in reversed(self._previous):  # Ctrl-C last: from then on it raises
            set_handler(number, self._previous[number])
        terminated = self._received == signal.SIGTERM  # which no error may make forgotten
        if self._previous and (kind is None or terminated):
            self.check()
        elif self._previous:
            SafeInterrupts._received = None


def _acknowledge(block):
    """Say that Ctrl-C was heard, where what it has to wait for takes its time."""
    time.sleep(_PATIENCE)
    waits = SafeInterrupts._received == signal.SIGINT and SafeInterrupts._blocks == block
    if waits and sys.stderr is not None:
        sys.stderr.write(f"{_HEARD}\n")
        sys.stderr.flush()


def _in_main_thread():
    return threading.current_thread() is threading.main_thread()
