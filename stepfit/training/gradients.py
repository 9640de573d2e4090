"""Gradients of stateful code: `jax.value_and_grad` that lets side effects through."""

from collections.abc import Callable, Iterable
from typing import Any

import jax

from stepfit.core import scope as scopes
from stepfit.core.variable import Variable


def value_and_grad(
    fn: Callable[..., Any], variables: Iterable[Variable]
) -> Callable[..., tuple[Any, list[jax.Array]]]:
    """Return a function that computes ``fn``'s value and its gradients by `variables`.

    What `fn` assigns on the way (batch statistics, random states, metrics) takes effect outside,
    once, with values that carry no gradient: `fn` may call layers and update metrics freely.

    Args:
        fn: function returning a scalar, or ``(scalar, aux)`` with `aux` any structure of arrays.
        variables: list of Variables.

    Returns:
        Function with `fn`'s arguments returning ``((scalar, aux), gradients)`` (``(scalar,
        gradients)`` where `fn` returns no `aux`); gradients in the order of `variables`.

    Example:

    >>> import stepfit as keras
    >>> v, calls = keras.Variable(3.0), keras.Variable(0.0, trainable=False)
    >>> def f():
    ...     calls.assign_add(1.0)
    ...     return v * v
    >>> value, (gradient,) = keras.value_and_grad(f, [v])()
    >>> float(value), float(gradient), float(calls.value)
    (9.0, 6.0, 1.0)
    """
    variables = list(variables)

    def run(*args, **kwargs):
        written: list[Variable] = []
        has_aux: list[bool] = []

        def pure(values):
            pairs = list(zip(variables, values, strict=True))
            given = {id(v): value for v, value in pairs}
            with scopes.Scope(pairs, collect_losses=True) as scope:
                result = fn(*args, **kwargs)
            value, aux = result if isinstance(result, tuple) else (result, None)
            has_aux[:] = [isinstance(result, tuple)]
            written[:] = [
                v for key, v in scope.variables.items() if scope.values[key] is not given.get(key)
            ]
            return value, (aux, [scope.values[id(v)] for v in written])

        with scopes.autocast(None):
            start = [v.value for v in variables]
        (value, (aux, new)), gradients = jax.value_and_grad(pure, has_aux=True)(start)
        for v, new_value in zip(written, new, strict=True):
            v.assign(new_value)
        return ((value, aux) if has_aux[0] else value), gradients

    return run
