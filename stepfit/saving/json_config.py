"""JSON from a file: of limited size and depth, without the words that JSON does not have."""

import json
import math

from stepfit.saving.file_errors import shown, wrong

MOST_BYTES = 64 * 2**20
MOST_DEPTH = 100
MOST_DIGITS = 40


def parse(data, place):
    """Return what JSON text holds.

    Args:
        data: bytes, UTF-8.
        place: file and member, for messages.

    Raises:
        FileError: too long, too deep, not JSON, a key twice, NaN or Infinity.
    """
    if len(data) > MOST_BYTES:
        raise wrong(place, f"at most {MOST_BYTES} bytes of JSON", f"{len(data)}")
    try:
        text = bytes(data).decode("utf-8")
    except UnicodeDecodeError as e:
        raise wrong(place, "JSON in UTF-8", f"other bytes at {e.start}") from None
    _check_depth(text, place)

    def refuse(word):
        raise wrong(place, "JSON, which has no such number", word)

    def number(digits):
        if len(digits) > MOST_DIGITS:
            raise wrong(place, f"numbers of at most {MOST_DIGITS} digits", f"{len(digits)} digits")
        return int(digits)

    def real(digits):
        value = float(digits)
        return value if math.isfinite(value) else refuse(shown(digits))

    def pairs(items):
        found = dict(items)
        if len(found) < len(items):
            names = [k for k, _ in items]
            twice = next(k for k in names if names.count(k) > 1)
            raise wrong(place, "each key once", f"{shown(twice)} twice")
        return found

    try:
        return json.loads(
            text, parse_constant=refuse, parse_int=number, parse_float=real, object_pairs_hook=pairs
        )
    except json.JSONDecodeError as e:
        raise wrong(place, "JSON", f"{e.msg} at character {e.pos}") from None


def parse_dict(data, place):
    """Return a JSON object as a dict; see `parse`."""
    value = parse(data, place)
    if not isinstance(value, dict):
        raise wrong(place, "a JSON object", f"a {type(value).__name__}")
    return value


def _check_depth(text, place):
    """Count brackets outside strings, before the parser recurses into them."""
    depth, in_string, escaped = 0, False, False
    for c in text:
        if in_string:
            if escaped:
                escaped = False
            elif c == "\\":
                escaped = True
            elif c == '"':
                in_string = False
        elif c == '"':
            in_string = True
        elif c in "[{":
            depth += 1
            if depth > MOST_DEPTH:
                raise wrong(place, f"JSON at most {MOST_DEPTH} levels deep", "more")
        elif c in "]}":
            depth -= 1


def encode(value, place):
    """Return plain data as JSON text.

    Raises:
        FileError: something in it is no plain data; says where.
    """
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        path, found = _first_odd(value, "config")
        raise wrong(
            f"{place}: {path}", "numbers, strings, lists and dicts", found,
            "return it as such from get_config, and undo that in from_config",
        ) from None  # fmt: skip


def _first_odd(value, path):
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, (str, int, float, type(None))):  # of those, JSON makes text
                return f"{path}[{key!r}]", f"a key of type {type(key).__name__}"
            found = _first_odd(item, f"{path}[{key!r}]")
            if found:
                return found
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            found = _first_odd(item, f"{path}[{i}]")
            if found:
                return found
    elif isinstance(value, float) and not math.isfinite(value):
        return path, f"{value}, which JSON does not have"
    elif not isinstance(value, (str, int, float, bool, type(None))):
        return path, f"an object of type {type(value).__name__}"
    return None
