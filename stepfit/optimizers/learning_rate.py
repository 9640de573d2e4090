"""What a learning rate may be, and what it is at a given iteration."""

import inspect
import math
import numbers

import jax
import jax.numpy as jnp
import numpy as np

from stepfit.core import config, errors
from stepfit.core.variable import Variable


def standardize(value, where):
    """Return a learning rate, refusing what cannot be one.

    Args:
        value: number, array without axes, schedule, callable, or None.
        where: the argument's name for messages.

    Returns:
        `value` itself, a Variable's value.

    Raises:
        ValueError: negative or NaN. TypeError: not a learning rate.
    """
    value = value.value if isinstance(value, Variable) else value
    if value is None or isinstance(value, jax.core.Tracer):
        return value
    if isinstance(value, type):
        fix = f"write {value.__name__}(...)"
        raise errors.bad_type(where, "a number or a schedule instance", value, fix)
    if callable(value):
        return value
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number and not (isinstance(value, (np.ndarray, jax.Array)) and value.ndim == 0):
        raise errors.bad_type(
            where, "a number, a LearningRateSchedule or a callable", errors.describe(value)
        )
    if math.isnan(value) or value < 0:
        raise errors.bad_value(where, "a number that is not negative", repr(float(value)))
    return value


def evaluate(learning_rate, iteration):
    """Return the learning rate at an iteration.

    A callable that needs an argument gets the iteration. One without arguments that returns a
    plain number is asked again at every update, from inside compiled steps too.

    Args:
        learning_rate: Variable, schedule, callable, or None.
        iteration: int32 scalar, concrete or traced.

    Returns:
        float scalar array; None for None.
    """
    if learning_rate is None or isinstance(learning_rate, Variable):
        return learning_rate if learning_rate is None else learning_rate.value
    if takes_iteration(learning_rate):
        return jnp.asarray(learning_rate(iteration), config.floatx())
    value = learning_rate()
    value = value.value if isinstance(value, Variable) else value
    if isinstance(value, jax.core.Tracer) or not isinstance(iteration, jax.core.Tracer):
        return jnp.asarray(value, config.floatx())
    result = jax.ShapeDtypeStruct((), config.floatx())
    return jax.pure_callback(
        lambda _: np.asarray(learning_rate(), result.dtype),
        result,
        iteration,
        vmap_method="sequential",
    )


def takes_iteration(function):
    """Say whether a callable cannot be called without an argument."""
    try:
        inspect.signature(function).bind()
    except TypeError:
        return True
    except ValueError:  # a builtin without a signature
        return True
    return False
