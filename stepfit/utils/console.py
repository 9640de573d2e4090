"""Where messages to the user go: standard output, or the `stepfit` logger."""

import logging
import sys

from stepfit.core import processes

_state = {"interactive": True}
_unfinished: list = []  # (stream, width) of a line that the next text takes the place of


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
        finish: whether the line stays; else the next one, or any message, takes its place.
    """
    _write(f"{text}\n" if finish else text)
    _unfinished[:] = [] if finish else [(sys.stdout, width)]


def clear_line():
    """Take an unfinished line off the terminal, so that what a user prints has its own line."""
    if _unfinished:
        stream, width = _unfinished.pop()
        if stream is sys.stdout:
            _write("\r" + " " * width + "\r")


def end_line():
    """Leave an unfinished line on the terminal; what comes next begins below it."""
    if _unfinished:
        stream, _ = _unfinished.pop()
        if stream is sys.stdout:
            _write("\n")


def _write(text):
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "ascii"
        text = text.replace("━", "=").replace("─", "-").replace("…", "...")
        sys.stdout.write(text.encode(encoding, errors="replace").decode(encoding))
    sys.stdout.flush()
