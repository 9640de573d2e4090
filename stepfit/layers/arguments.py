"""Checks of constructor arguments that several layer families share."""

from stepfit.core import errors


def positive_int(value, where):
    """Return an int of at least 1, or raise naming the argument."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise errors.bad_type(where, "a positive int", errors.describe(value))
    if value.__index__() < 1:
        raise errors.bad_value(where, "a positive int", repr(value))
    return value.__index__()


def share(value, where):
    """Return a number in [0, 1), or raise naming the argument."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise errors.bad_type(where, "a number in [0, 1)", errors.describe(value))
    if not 0 <= value < 1:
        raise errors.bad_value(where, "a number in [0, 1)", repr(value))
    return value


def ints(value, rank, where, minimum=1):
    """Return an int, or a sequence of `rank` ints, as a tuple; each at least `minimum`."""
    if hasattr(value, "__index__") and not isinstance(value, bool):
        values = (value,) * rank
    elif isinstance(value, (list, tuple)):
        values = tuple(value)
    else:
        values = ()
    whole = all(hasattr(v, "__index__") and v.__index__() >= minimum for v in values)
    if len(values) != rank or not whole:
        kind = "positive int" if minimum == 1 else f"int of at least {minimum}"
        many = "positive ints" if minimum == 1 else f"ints of at least {minimum}"
        raise errors.bad_value(where, f"a {kind} or a tuple of {rank} {many}", repr(value))
    return tuple(v.__index__() for v in values)


def margins(value, rank, where):
    """Return margins before and after each of `rank` axes as a tuple of pairs.

    `value` is one int for all, one int per axis, or one pair per axis; with one axis, a pair of
    ints means before and after.
    """
    if isinstance(value, int):
        value = (value,) * rank
    if rank == 1 and len(value) == 2:
        value = (value,)
    if not isinstance(value, (list, tuple)) or len(value) != rank:
        raise errors.bad_value(
            where, f"an int, or {rank} ints or pairs of ints", repr(value)
        )
    return tuple(ints(v, 2, where, minimum=0) for v in value)


def padding(value, where, known=("valid", "same")):
    """Return the name of a padding in lower case, or raise naming the known ones."""
    name = value.lower() if isinstance(value, str) else value
    if name not in known:
        raise errors.unknown_name(where, "padding", value, known)
    return name
