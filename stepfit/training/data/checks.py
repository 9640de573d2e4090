"""Checks of the arguments that say how data is cut into batches."""

import dis
import itertools
import math
import types
import warnings

import numpy as np

from stepfit.core import errors

_INTEGERS = (int, np.integer)
_NUMBERS = (int, float, np.integer, np.floating)


def positive_int(value, argument, fix, optional=True):
    """Return `value` as a positive int (None stays None where `optional`)."""
    if value is None and optional:
        return None
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, _INTEGERS):
        raise errors.bad_type(argument, "a positive integer", errors.describe(value), fix)
    if value < 1:
        raise errors.bad_value(argument, "a positive integer", repr(int(value)), fix)
    return int(value)


def batch_size(value):
    """Return a checked `batch_size` (None: not given)."""
    return positive_int(value, "batch_size", "pass the number of rows of a batch, such as 32")


def steps(value, argument="steps_per_epoch"):
    """Return a checked number of steps (None: not given)."""
    return positive_int(value, argument, "leave it out to use all the data")


_WAYS_OUT = {"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS"}  # of a generator's code


def warn_of_endless(data, name, steps_argument):
    """Warn of an iterator that can be seen never to end, where no number of steps is given."""
    data = getattr(data, "lent", data)
    endless = isinstance(data, (itertools.count, itertools.cycle))
    if isinstance(data, types.GeneratorType):
        names = {i.opname for i in dis.get_instructions(data.gi_code)}
        endless = "JUMP_BACKWARD" in names and names.isdisjoint(_WAYS_OUT)
    if endless:
        fix = f"pass {steps_argument}=..., or the first epoch will not end"
        text = errors.message(name, "data that ends", "a generator without an end", fix)
        warnings.warn(text, UserWarning, stacklevel=errors.users_level())


def shuffle(value):
    """Return a checked `shuffle`: True, False or "batch"."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if value == "batch" and isinstance(value, str):
        return value
    raise errors.bad_value("shuffle", "True, False or 'batch'", errors.describe(value))


def fraction(value, argument):
    """Return a checked number between 0 and 1, both excluded."""
    fix = "0.2 keeps the last 20 % of the samples"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, _NUMBERS):
        raise errors.bad_type(argument, "a number between 0 and 1", errors.describe(value), fix)
    if not 0 < value < 1:
        raise errors.bad_value(argument, "a number between 0 and 1", repr(float(value)), fix)
    return float(value)


def class_weight(value):
    """Return a checked `class_weight` as a dict from int to float (None stays None)."""
    if value is None:
        return None
    where, expected = "class_weight", "a dict from class index to weight"
    if not isinstance(value, dict):
        fix = "turn a list w into dict(enumerate(w))"
        raise errors.bad_type(where, expected, errors.describe(value), fix)
    if not value:
        raise errors.bad_value(where, expected, "an empty dict", "leave it out for no weights")
    checked = {}
    for key, weight in value.items():
        if isinstance(key, bool) or not isinstance(key, _NUMBERS) or key != int(key):
            fix = "use the integer that stands for the class in y"
            raise errors.bad_type(where, "integers as keys", f"the key {key!r}", fix)
        place = f"class_weight[{int(key)}]"
        try:
            number = float(weight)
        except (TypeError, ValueError):
            raise errors.bad_type(place, "a number", errors.describe(weight)) from None
        if not math.isfinite(number) or number < 0:
            raise errors.bad_value(place, "a finite number of at least 0", repr(number))
        checked[int(key)] = number
    return checked
