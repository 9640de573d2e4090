"""Checks of what users hand to an optimizer."""

import itertools
import math
import numbers

import jax.numpy as jnp

from stepfit.core import errors
from stepfit.core.scope import current_scope
from stepfit.core.variable import Variable

_ORDER = "(optimizer_variables, grads, trainable_variables)"


def hyperparameters(where, values):
    """Check the arguments that all optimizers share.

    Args:
        where: class name for messages.
        values: dict from argument name to value.

    Raises:
        ValueError: a value out of range, or two ways of clipping at once.
    """

    def number(name, test, expected):
        value = values[name]
        if value is None:
            return
        if not isinstance(value, numbers.Real) or math.isnan(value) or not test(value):
            raise errors.bad_value(f"{where} {name}", f"{expected} or None", errors.describe(value))

    number("weight_decay", lambda x: x >= 0, "a float that is not negative")
    for name in ("clipnorm", "clipvalue", "global_clipnorm"):
        number(name, lambda x: x >= 0, "a float that is not negative")
    number("loss_scale_factor", lambda x: x > 0, "a positive float")
    whole = lambda least: lambda x: isinstance(x, numbers.Integral) and x >= least
    number("gradient_accumulation_steps", whole(2), "an int of at least 2")
    if values["use_ema"]:
        number("ema_momentum", lambda x: 0 <= x <= 1, "a float between 0 and 1")
        number("ema_overwrite_frequency", whole(1), "an int of at least 1")
    clips = [n for n in ("clipnorm", "clipvalue", "global_clipnorm") if values[n] is not None]
    if len(clips) > 1:
        raise errors.bad_value(
            where, "at most one of clipnorm, clipvalue and global_clipnorm", " and ".join(clips)
        )


def unknown_argument(where, name, known):
    """Return the error for a keyword that no optimizer takes."""
    if name == "lr":
        return errors.StepfitValueError(
            f"{where}: expected the argument 'learning_rate', found 'lr'; write learning_rate=..."
        )
    return errors.unknown_argument(f"{where}(...)", name, known)


def variables(where, given):
    """Return the given Variables as a list.

    Raises:
        TypeError: not a list of Variables. ValueError: one Variable twice.
    """
    if isinstance(given, Variable) or not hasattr(given, "__iter__"):
        raise errors.bad_type(
            where, "a list of Variables", errors.describe(given), "pass model.trainable_variables"
        )
    given = list(given)
    for i, v in enumerate(given):
        if not isinstance(v, Variable):
            raise errors.bad_type(
                f"{where}[{i}]", "a Variable", errors.describe(v), "pass model.trainable_variables"
            )
    if len({id(v) for v in given}) != len(given):
        twice = next(v.path for i, v in enumerate(given) if any(v is w for w in given[:i]))
        raise errors.bad_value(where, "each Variable once", f"{twice!r} twice")
    return given


def pairs(where, given):
    """Return pairs ``(gradient, variable)`` as a list.

    Raises:
        TypeError: something else, such as a list of gradients.
    """
    place, fix = f"{where}.apply_gradients", (
        "write apply_gradients(zip(grads, variables)), or apply(grads, variables)"
    )
    expected = "pairs (gradient, variable)"
    if not hasattr(given, "__iter__") or hasattr(given, "shape"):
        raise errors.bad_type(place, expected, errors.describe(given), fix)
    given = list(given)
    for i, pair in enumerate(given):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            found = f"{errors.describe(pair)} at [{i}]"
            raise errors.bad_type(place, expected, found, fix)
    return given


def paths(given, limit=5):
    """Return the paths of some Variables as text."""
    shown = ", ".join(repr(v.path) for v in given[:limit])
    return shown + (f" and {len(given) - limit} more" if len(given) > limit else "")


def gradient(where, value, variable):
    """Check one gradient against its Variable.

    Raises:
        TypeError: not a float array. ValueError: another shape.
    """
    place = f"{where}: gradient of {variable.path!r}"
    if isinstance(value, Variable):
        raise errors.bad_type(
            place, "an array", f"the Variable {value.path!r}", f"the order is {_ORDER}"
        )
    shape = getattr(value, "shape", None)
    if shape is None or getattr(value, "dtype", None) is None:
        raise errors.bad_type(place, f"an array of shape {variable.shape}", errors.describe(value))
    if tuple(shape) != variable.shape:
        raise errors.bad_value(place, f"shape {variable.shape}", f"shape {tuple(shape)}")
    if not jnp.issubdtype(value.dtype, jnp.inexact):
        raise errors.bad_type(
            place, "a float array", value,
            "integer arrays have no gradient: convert them, or make the Variable not trainable",
        )  # fmt: skip


def foreign(optimizer, given):
    """Return the error for Variables that `optimizer` was not built with."""
    where = type(optimizer).__name__
    unknown = [v for v in given if id(v) not in optimizer._index]
    known = paths(optimizer._trainable_variables, 3)
    expected = f"the {len(optimizer._trainable_variables)} variables it was built with ({known})"
    found = f"{len(given)} of them in another order or number"
    if unknown:
        found = f"{len(unknown)} unknown ones: {paths(unknown)}"
    return errors.bad_value(
        f"{where} {optimizer.name!r}", expected, found,
        f"an optimizer serves one set of variables; make a new {where}(...) for another",
    )  # fmt: skip


def _mismatch(values, expected, optional=False):
    """Say in words how `values` differ from the Variables they stand for, or return None."""
    if not isinstance(values, (list, tuple)):
        return f"a list of {len(expected)} arrays", errors.describe(values)
    if len(values) != len(expected):
        return f"{len(expected)} arrays", f"{len(values)}"
    for i, (value, variable) in enumerate(zip(values, expected, strict=True)):
        if value is None and optional:
            continue
        shape = getattr(value, "shape", () if isinstance(value, numbers.Real) else None)
        if shape is None or tuple(shape) != variable.shape:
            found = errors.describe(value) if shape is None else f"shape {tuple(shape)}"
            return f"shape {variable.shape} at [{i}] ({variable.path!r})", found
    return None


def stateless_arguments(optimizer, optimizer_variables, grads, trainable_variables):
    """Check the three lists given to `stateless_apply`.

    Raises:
        ValueError: the optimizer is not built; a list does not fit; two lists are exchanged.
    """
    where = f"{type(optimizer).__name__}.stateless_apply"
    if not optimizer.built:
        raise errors.bad_value(
            where, "a built optimizer", "one without variables",
            "call optimizer.build(model.trainable_variables) first",
        )  # fmt: skip
    own, weights = optimizer.variables, optimizer._trainable_variables
    given = (optimizer_variables, grads, trainable_variables)
    names = ("optimizer_variables", "grads", "trainable_variables")
    expected = ((own, False), (weights, True), (weights, False))
    for name, values, (against, optional) in zip(names, given, expected, strict=True):
        wrong = _mismatch(values, against, optional)
        if wrong is None:
            continue
        for order in itertools.permutations(range(3)):
            if all(_mismatch(given[i], *e) is None for i, e in zip(order, expected, strict=True)):
                raise errors.bad_value(
                    where, f"the arguments {_ORDER}", "them in another order", f"pass {_ORDER}"
                )
        wanted, found = wrong
        raise errors.bad_value(f"{where} {name}", wanted, found, f"the order is {_ORDER}")
    if weights and _are(grads, weights) and not _are(trainable_variables, weights):
        raise errors.bad_value(
            f"{where} grads", "gradients", "the values of the trainable variables", f"pass {_ORDER}"
        )


def _are(values, weights):
    """Say whether `values` are the given Variables or the very arrays they hold here."""
    scope = current_scope()

    def held(v):
        inside = None if scope is None else scope.get_current_value(v)
        return v.peek() if inside is None else inside

    return all(x is v or x is held(v) for x, v in zip(values, weights, strict=True))
