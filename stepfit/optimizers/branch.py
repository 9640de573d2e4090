"""A conditional for stateful code: `if` where the condition is known, else `lax.cond`."""

import jax

from stepfit.core.scope import Scope


def branch(condition, then, otherwise, variables):
    """Run `then()` or `otherwise()`, functions that assign to some of `variables`.

    Args:
        condition: boolean scalar, concrete or traced.
        then, otherwise: functions without arguments; what they return is dropped.
        variables: every Variable that either may assign to. Where the condition is traced, both
            run in a scope of their own and the Variables get the values of the chosen one.
    """
    if not isinstance(condition, jax.core.Tracer):
        (then if condition else otherwise)()
        return

    def values_after(function):
        def run():
            with Scope():
                function()
                return [v.value for v in variables]

        return run

    values = jax.lax.cond(condition, values_after(then), values_after(otherwise))
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
