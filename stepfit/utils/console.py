"""Where messages to the user go: standard output, or the `stepfit` logger."""

import logging
import sys

_state = {"interactive": True}


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
        message: text; characters that the output cannot encode are replaced.
        line_break: whether to end the line.
    """
    if not is_interactive_logging_enabled():
        text = str(message).strip("\r\n ")
        if text:
            logging.getLogger("stepfit").info(text)
        return
    text = f"{message}\n" if line_break else str(message)
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "ascii"
        text = text.replace("━", "=").replace("─", "-").replace("…", "...")
        sys.stdout.write(text.encode(encoding, errors="replace").decode(encoding))
    sys.stdout.flush()
