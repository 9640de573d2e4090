"""Where messages to the user go: standard output, or the `stepfit` logger."""

import logging
import sys

from stepfit.core import processes

_state = {"interactive": True}
# (stream, width, functions that end the watch) of a line that the next text takes the place of
_unfinished: list = []


def enable_interactive_logging():
    """Send progress and messages to standard output (the default)."""
    _state["interactive"] = True


def disable_interactive_logging():
    """Send progress and messages to the logger "stepfit" at level INFO."""
    _state["interactive"] = False


def is_interactive_logging_enabled():
    """Say whether messages go to standard output.

    >>> import stepfit as keras
    >>> keras.utils.is_interactive_logging_enabled()
    True
    """
    return _state["interactive"]


def print_msg(message, line_break=True):
    """Write a message to standard output, or to the logger where that is switched on.

    Args:
        message: text; characters that the output cannot encode are replaced. Of several processes
            the first alone is heard.
        line_break: whether to end the line.
    """
    if not processes.is_first():  # it would be said several times
        return
    if not is_interactive_logging_enabled():
        text = str(message).strip("\r\n ")
        if text:
            logging.getLogger("stepfit").info(text)
        return
    clear_line()
    _write(f"{message}\n" if line_break else str(message))


def draw_line(text, width, finish):
    """Draw a line on a terminal, in the place of the unfinished one if there is one.

    Args:
        text: begins with a carriage return.
        width: number of columns it takes.
        finish: whether the line stays; else the next one, or whatever is printed, takes its place.
    """
    _take_unfinished()
    _write(f"{text}\n" if finish else text)
    if not finish:
        watched = [s for s in (sys.stdout, sys.stderr) if s is sys.stdout or _is_terminal(s)]
        _unfinished[:] = [(sys.stdout, width, [w for w in map(_watch, watched) if w])]


def clear_line():
    """Take an unfinished line off the terminal, so that what a user prints has its own line."""
    stream, width = _take_unfinished()
    if stream is not None and stream is sys.stdout:
        _write("\r" + " " * width + "\r")


def end_line():
    """Leave an unfinished line on the terminal; what comes next begins below it."""
    stream, _ = _take_unfinished()
    if stream is not None and stream is sys.stdout:
        _write("\n")


def _take_unfinished():
    """Return stream and width of the unfinished line, which from now on is none."""
    try:
        stream, width, restore = _unfinished.pop()
    except IndexError:  # as mostly; or another thread has just taken it
        return None, 0
    for undo in restore:
        undo()
    return stream, width


def _is_terminal(stream):
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty())


def _watch(stream):
    """Have whatever else is written to a stream take the place of the unfinished line.

    Returns:
        A function that ends that, or None for a stream that does not allow it.
    """
    passes_on = type(stream).__setattr__ is not object.__setattr__  # what is set there stays
    if passes_on or not hasattr(stream, "__dict__"):
        return None
    write, own = stream.write, vars(stream).get("write")

    def clear_and_write(text):
        clear_line()
        return write(text)

    def undo():
        if vars(stream).get("write") is clear_and_write:  # else somebody else has put theirs there
            if own is None:
                del stream.write
            else:
                stream.write = own

    try:
        stream.write = clear_and_write
    except AttributeError:  # such as of a class that forbids it
        return None
    return undo


def _write(text):
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "ascii"
        text = text.replace("━", "=").replace("─", "-").replace("…", "...")
        sys.stdout.write(text.encode(encoding, errors="replace").decode(encoding))
    sys.stdout.flush()
