"""A progress bar in three forms, chosen by where the output goes.

On a *terminal* and in a *notebook* one line is redrawn in place, a few times per second::

    17/32 ━━━━━━━━━━━━━━━━━━━━ 0s 3ms/step - loss: 0.1234

In a *log* (a file, a pipe) nothing is redrawn: one line is written at the end, without control
characters::

    32/32 - 0s - 3ms/step - loss: 0.1234
"""

import os
import shutil
import sys
import time

import numpy as np

from stepfit.core import errors
from stepfit.utils.console import draw_line, is_interactive_logging_enabled, print_msg

_GREEN, _DIM, _BOLD, _RESET = "\x1b[32m", "\x1b[37m", "\x1b[1m", "\x1b[0m"
_SMALLEST_BAR = 5
_MORE = " …"  # of the metrics


def is_dynamic():
    """Say whether standard output redraws a line in place (a terminal or a notebook)."""
    if not is_interactive_logging_enabled():
        return False
    isatty = getattr(sys.stdout, "isatty", None)
    return bool(isatty and isatty()) or in_notebook() or "PYCHARM_HOSTED" in os.environ


def in_notebook():
    """Say whether standard output is that of a Jupyter kernel."""
    return "ipykernel" in sys.modules and type(sys.stdout).__module__.startswith("ipykernel")


class Progbar:
    """Shows how far a loop has come, how long it will take, and its metrics.

    Args:
        target: number of steps expected, or None if unknown.
        width: width of the bar in characters; less where the terminal is narrow.
        verbose: 0 silent, 1 a bar, 2 one line at the end.
        interval: least time between two redraws, in seconds.
        stateful_metrics: names shown as they are; the others are averaged over the steps.
        stateless_metrics: names that are averaged, the others being shown as they are. At most
            one of the two may be given.
        unit_name: what a step is called.

    Example:

    >>> import stepfit as keras
    >>> bar = keras.utils.Progbar(2, verbose=0)
    >>> bar.update(1, [("loss", 0.5)])
    >>> bar.update(2, [("loss", 0.3)])
    """

    def __init__(
        self, target, width=20, verbose=1, interval=0.05, stateful_metrics=None,
        stateless_metrics=None, unit_name="step",
    ):  # fmt: skip
        if stateful_metrics is not None and stateless_metrics is not None:
            raise errors.bad_value(
                "Progbar", "stateful_metrics or stateless_metrics", "both", "pass one of them"
            )
        self.target, self.width, self.verbose = target, width, verbose
        self.interval, self.unit_name = interval, unit_name
        self._averaged = None if stateless_metrics is None else set(stateless_metrics)
        self._shown_as_is = set(stateful_metrics or ())
        self._dynamic = is_dynamic()
        self._colour = self._dynamic and "NO_COLOR" not in os.environ
        self._metrics = {}  # name -> (sum, count)
        self._seen = 0
        self._start = time.monotonic()
        self._first = None  # (time, steps, left out) at the first update: the step that compiles
        self._left_out = 0.0  # seconds that no step took
        self._stopped = None  # time at which the steps were over
        self._drawn_at = float("-inf")
        self._drawn_width = 0

    def due(self):
        """Say whether `update` would draw now; a caller can save itself the metrics if not."""
        return self.verbose == 1 and self._dynamic and self._interval_over(time.monotonic())

    def _interval_over(self, now):
        return now - self._drawn_at >= self.interval

    def stop_clock(self):
        """Leave what follows, such as validation, out of the time per step."""
        self._stopped = time.monotonic()

    def leave_out(self, seconds):
        """Leave so many of the seconds since the start out of the time per step."""
        self._left_out = seconds

    def update(self, current, values=None, finalize=None):
        """Report progress.

        Args:
            current: number of steps done.
            values: list of (name, value) of the steps since the last update.
            finalize: whether this is the last update; by default where `current` reaches `target`.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        self._take(values or (), current, finalize)
        now = time.monotonic()
        if self._first is None and current:
            self._first = (now, current, self._left_out)
        self._seen = current
        if self.verbose == 1 and self._dynamic:
            if finalize or self._interval_over(now):
                self._draw(current, now, finalize)
        elif self.verbose and finalize:
            print_msg(self._log_line(current, now))

    def add(self, n, values=None):
        """Report `n` more steps."""
        self.update(self._seen + n, values)

    def _take(self, values, current, finalize):
        steps = max(current - self._seen, 1)
        for name, value in values:
            as_is = name in self._shown_as_is if self._averaged is None else (
                name not in self._averaged
            )
            if as_is or finalize:
                self._metrics[name] = (value, 1)
            else:
                total, count = self._metrics.get(name, (0.0, 0))
                self._metrics[name] = (total + value * steps, count + steps)

    def _draw(self, current, now, finalize):
        columns = max(shutil.get_terminal_size().columns - 1, 1)
        count = self._count(current)
        seconds = self._seconds_per_step(current, now)
        if finalize or not self.target:
            clock = f"{now - self._start:.0f}s"
        else:
            clock = _duration(seconds * (self.target - current))
        rate = _rate(seconds, self.unit_name)
        head = len(count) + 2 + len(clock) + 1 + len(rate)
        # The last line may be folded, so the metrics do not compete with the bar there.
        metrics = self._pieces() if finalize else self._fitting(columns - head)
        bar = self._bar_width(columns - head - (0 if finalize else sum(map(len, metrics))))
        pieces = [count, *([" " + "━" * bar] if bar else []), f" {clock}", f" {rate}", *metrics]
        lines = _fold(pieces, columns, whole=finalize)
        line = lines[0]
        blank = " " * min(max(self._drawn_width - len(line), 0), columns - len(line))
        self._drawn_width = len(line)
        if bar:  # it has room only where the line begins with count, bar and clock
            done = min(int(bar * current / self.target), bar)
            line = self._paint(count, bar, done, clock) + line[len(count) + 2 + bar + len(clock) :]
        text = "\n".join([f"\r{line}{blank}", *lines[1:]])
        draw_line(text, self._drawn_width, finish=finalize)
        self._drawn_at = time.monotonic()

    def _paint(self, count, bar, done, clock):
        """Return the beginning of the line, with the steps done in another colour."""
        if not self._colour:
            return f"{count} {'━' * done}{'─' * (bar - done)} {clock}"
        bar = f"{_GREEN}{'━' * done}{_RESET}{_DIM}{'━' * (bar - done)}{_RESET}"
        return f"{_BOLD}{count}{_RESET} {bar} {_BOLD}{clock}{_RESET}"

    def _pieces(self, digits=4):
        return [f" - {name}: {text}" for name, text in self._texts(digits)]

    def _fitting(self, room):
        """Return the metrics that fit beside a short bar: with fewer digits, and no more of them
        than there is room for. The first one is always there.
        """
        least = _SMALLEST_BAR if self.target else 0
        for digits in (4, 3, 2):
            pieces = self._pieces(digits)
            if sum(map(len, pieces)) <= room - least:
                return pieces
        while len(pieces) > 1 and sum(map(len, pieces)) + len(_MORE) > room - least:
            pieces.pop()
        return [*pieces, _MORE] if len(pieces) < len(self._metrics) else pieces

    def _bar_width(self, room):
        """The bar gives way to the metrics on a narrow terminal, and goes where none is left."""
        if not self.target or room < _SMALLEST_BAR:
            return 0
        return min(self.width, room)

    def _log_line(self, current, now):
        parts = [self._count(current), f"{now - self._start:.0f}s"]
        parts.append(_rate(self._seconds_per_step(current, now), self.unit_name))
        parts += [f"{name}: {text}" for name, text in self._texts()]
        return " - ".join(parts)

    def _count(self, current):
        if not self.target:
            return f"{current}/Unknown"
        return f"{current:>{len(str(self.target))}}/{self.target}"

    def _texts(self, digits=4):
        for name, (total, count) in self._metrics.items():
            value = float(np.mean(total)) / max(count, 1)
            yield name, f"{value:.{digits}f}" if abs(value) > 1e-3 else f"{value:.{digits}e}"

    def _seconds_per_step(self, current, now):
        """Mean time of a step without compiling: from the first update on, where there are more."""
        if not current:
            return 0.0
        now = self._stopped or now
        begin, steps, left_out = self._first or (self._start, 0, 0.0)
        if current <= steps:
            begin, steps, left_out = self._start, 0, 0.0
        return max(0.0, now - begin - (self._left_out - left_out)) / (current - steps)


def _duration(seconds):
    if seconds > 3600:
        return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{int(seconds % 60):02d}"
    if seconds > 60:
        return f"{int(seconds // 60)}:{int(seconds % 60):02d}"
    return f"{int(seconds)}s"


def _rate(seconds, unit):
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s/{unit}"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.0f}ms/{unit}"
    return f"{seconds * 1e6:.0f}us/{unit}"


def _fold(pieces, columns, whole):
    """Join pieces to one line of at most `columns`, cut where it is too long.

    With `whole` nothing is cut: further lines take what does not fit.
    """
    line = "".join(pieces)
    if len(line) <= columns:
        return [line]
    if not whole:
        return [line[: columns - 1] + "…"]
    lines = [""]
    for piece in pieces:
        if lines[-1] and len(lines[-1]) + len(piece) > columns:
            lines.append("   ")
        lines[-1] += piece
    return lines
