"""Errors: one form everywhere - where, expected, found, fix.

Every message names a *place* (a path in the model such as ``"encoder/dense"`` or an argument such
as ``validation_data[0]``), says what was *expected* there and what was *found*, and ends with a
*fix*. Contents of arrays are never printed. The classes derive from ``ValueError`` and
``TypeError``, so ``except`` clauses written for Keras go on working.
"""

import contextlib
import difflib
import functools
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

from stepfit.core import absent

_JAX_NOTE = "For simplicity, JAX has removed its internal frames"


class StepfitError(Exception):
    """Base of all errors that stepfit raises on its own account."""

    def add_note(self, note):
        """Add a note; not JAX's of the frames it left out, so that the message comes last."""
        if _JAX_NOTE not in note:
            super().add_note(note)


def drop_jax_note(e):
    """Take JAX's note of the frames it left out off an error that has others, for the same end."""
    notes = getattr(e, "__notes__", [])
    kept = [note for note in notes if _JAX_NOTE not in str(note)]
    if kept and len(kept) < len(notes):
        e.__notes__ = kept


class StepfitValueError(StepfitError, ValueError):
    """An argument has the right type and a wrong value, shape or structure."""


class StepfitTypeError(StepfitError, TypeError):
    """An argument has the wrong type."""


class StepfitArgumentError(StepfitValueError, StepfitTypeError):
    """A call has an argument that the function does not take, or lacks one that it needs."""


class StepfitRuntimeError(StepfitError, RuntimeError):
    """A call was made at a time when it cannot work."""


class StepfitAttributeError(StepfitError, AttributeError):
    """A name that an object does not have (with the name that was probably meant)."""


class NonFiniteError(StepfitRuntimeError):
    """A loss, or a weight, became NaN or infinite; `report` says where that came from."""

    def __init__(self, text, report=None):
        super().__init__(text)
        self.report = report


class BackupError(StepfitError, OSError):
    """A backup that could not be written, or none that can be read."""


class MissingFileError(StepfitValueError, FileNotFoundError):
    """A file to read that is not there."""

    def __str__(self):
        return str(self.args[0])


class ExhaustedDataError(StepfitError, RuntimeError):
    """A source of batches ran out before the requested number of steps."""


NOT_COMPILED = (  # a warning; what is in the way follows
    "The config says nothing of how the model was compiled: after loading, call compile as here, "
    "and then load_weights with the same file for the state of the optimizer."
)


def message(where, expected, found, fix=None):
    """Join the four parts of a message: ``where: expected ..., found ...; fix``."""
    text = f"{where}: expected {expected}, found {found}"
    if fix:
        text += f"; {fix}"
    return text if text.endswith("?") else text + "."


def bad_value(where, expected, found, fix=None):
    """Return a `StepfitValueError` in the standard form."""
    return StepfitValueError(message(where, expected, found, fix))


def bad_type(where, expected, found, fix=None):
    """Return a `StepfitTypeError` in the standard form; `found` may be an object."""
    if not isinstance(found, str):
        found = describe(found)
    return StepfitTypeError(message(where, expected, found, fix))


def cannot_be_set(where, name):
    """Return the error for setting an attribute that is computed."""
    return StepfitAttributeError(message(
        where, "an attribute that can be set", "one that is computed",
        f"give yours another name, such as {f'my_{name}'!r}",
    ))  # fmt: skip


_NOT_THE_USERS = frozenset({"stepfit", "jax", "contextlib", "functools"})
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def users_level():
    """Return the `stacklevel` with which a warning names the user's line.

    That is neither one of stepfit's nor of JAX's, which stands between where a step is traced.
    """
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and _is_ours(frame):
        frame, level = frame.f_back, level + 1
    return level


def _is_ours(frame):
    module = str(frame.f_globals.get("__name__")).partition(".")[0]  # of code made from text, too
    return module in _NOT_THE_USERS or frame.f_code.co_filename.startswith(_PACKAGE)


def nearest(name, known):
    """Return the known name nearest to `name`, or None where nothing is near."""
    by_lower = {str(k).lower(): k for k in known}
    inside = [k for low, k in by_lower.items() if low.endswith("_" + str(name).lower())]
    if len(inside) == 1:  # `heads` for `num_heads`
        return inside[0]
    swapped = [low for low in by_lower if sorted(low) == sorted(str(name).lower())]
    close = swapped or difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def with_article(kind):
    """Return "a loss", "an optimizer"."""
    return f"{'an' if kind[0] in 'aeio' else 'a'} {kind}"


def unknown_name(where, kind, name, known, error=StepfitValueError):
    """Return the error for a misspelt name, suggesting the nearest known one."""
    known = sorted({str(k) for k in known})
    near = nearest(name, known)
    if near is not None:
        fix = f"did you mean {near!r}?"
    else:
        shown = ", ".join(repr(k) for k in known[:12])
        fix = f"known names: {shown}" + (", ..." if len(known) > 12 else "")
    text = f"{where}: expected the name of {with_article(kind)}, found {name!r}; {fix}"
    return error(text if text.endswith("?") else text + ".")


def unknown_argument(where, name, known):
    """Return the error for a misspelt keyword in a call."""
    return unknown_name(where, "argument", name, known, StepfitArgumentError)


_Method = TypeVar("_Method", bound=Callable[..., Any])


def checks_arguments(method: _Method) -> _Method:
    """Have a method say which argument was meant where a keyword is misspelt."""
    known = list(inspect.signature(method).parameters)[1:]

    @functools.wraps(method)
    def run(self, *args, **kwargs):
        for name in kwargs:
            if name not in known:
                raise unknown_argument(f"{method.__name__}(...)", name, known)
        try:
            return method(self, *args, **kwargs)
        except Exception as e:
            drop_jax_note(e)
            raise

    return cast(_Method, run)


NO_VALUES = (  # a note, on errors of JAX's that say it in other words
    "Python `if`, float(), int() and NumPy's functions need values, and traced arrays have none. "
    "Use stepfit.ops or jax.numpy (where, cond)"
)


def check_not_old(where, name):
    """Raise where an attribute that is missing is one of tf.keras's, saying what to write.

    Args:
        where: function that returns the place, for messages.
        name: the attribute.
    """
    if name in absent.ATTRIBUTES:
        raise StepfitAttributeError(
            f"{where()} has no {name!r}, a name of tf.keras; {absent.ATTRIBUTES[name]}."
        )


def shape_first(method: _Method) -> _Method:
    """Have a method that makes a Variable say so where the name comes first, as in Keras 2."""

    @functools.wraps(method)
    def run(self, *args, **kwargs):
        if args and isinstance(args[0], str):
            where = f"{type(self).__name__}.{method.__name__}(shape)"
            others = "" if "name" in kwargs else f", name={args[0]!r}"
            fix = f"write {method.__name__}(shape=...{others})"
            raise bad_type(where, "a tuple of ints", repr(args[0]), fix)
        return method(self, *args, **kwargs)

    return cast(_Method, run)


@contextlib.contextmanager
def noting_arrays(where, **given):
    """Add to an error of the user's code or of JAX's, raised inside, which arrays it was given.

    Args:
        where: what was called, such as 'metric "gap"'.
        given: the arrays by their names.
    """
    try:
        yield
    except StepfitError:
        raise
    except Exception as e:
        shown = ", ".join(f"{name} {describe(value)}" for name, value in given.items())
        e.add_note(f"In {where}, called with {shown}.")
        raise


def missing_name(module, names):
    """Return a `__getattr__` for a module, which suggests the nearest of its public names."""

    def __getattr__(name):
        text = f"module {module!r} has no attribute {name!r}"
        if name in absent.NAMES.get(module, ()):
            raise StepfitAttributeError(
                f"{text}, which Keras has; docs/differences.md says why, and what to use."
            )
        near = None if name.startswith("_") else nearest(name, names)
        raise StepfitAttributeError(f"{text}; did you mean {near!r}?" if near else f"{text}.")

    return __getattr__


def describe(x):
    """Describe a value by type and, for arrays, dtype and shape; never by its contents.

    >>> import numpy as np
    >>> describe(np.zeros((2, 3), "float32")), describe("adma"), describe({"a": 1})
    ('float32[2,3]', "'adma'", "dict with keys ['a']")
    """
    if x is None or isinstance(x, (bool, int, float, complex)):
        return repr(x)
    if isinstance(x, str):
        return repr(x if len(x) <= 60 else x[:57] + "...")
    shape, dtype = getattr(x, "shape", None), getattr(x, "dtype", None)
    if isinstance(shape, tuple) and dtype is not None:
        return f"{dtype}[{','.join('None' if d is None else str(d) for d in shape)}]"
    if isinstance(x, dict):
        keys = list(x)[:8]
        return f"dict with keys {keys}" + ("..." if len(x) > 8 else "")
    if isinstance(x, (list, tuple)):
        kind = type(x).__name__
        return f"{kind} of {len(x)} elements"
    if isinstance(x, type):
        return f"the class {x.__name__}"
    return f"an object of type {type(x).__name__}"
