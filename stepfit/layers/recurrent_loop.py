"""The loop over time that recurrent layers share: one `lax.scan`, whatever the cell does.

Vocabulary
----------
*Step*: a function of one time step's input and the states that returns an output and new states.
*Masked step*: one that a sample passes over: its states stay, and its last output is given again.
*Assigned*: Variables that a step changes, such as a seed generator's state or a moving average;
they are carried from step to step like states, and assigned when the loop has ended.
*Place*: most cells return one of their states as the output. Where it stands among the states is
found by looking at the objects once; the last output then needs no carry of its own.
"""

import jax
import jax.numpy as jnp
from jax import lax

from stepfit.core import errors
from stepfit.core import scope as scopes


def run_steps(
    step, sequences, states, mask=None, *, where="", every_output=True, zero_masked=False,
    backwards=False, unroll=False,
):  # fmt: skip
    """Run `step` over the second axis of `sequences`.

    Args:
        step: function ``(input, states) -> (output, states)``.
        sequences: array ``(batch, steps, ...)``, or a structure of them.
        states: structure of arrays ``(batch, ...)``.
        mask: None, or bools ``(batch, steps)``; False: masked.
        where: the layer, for errors.
        every_output: whether the outputs of all steps are returned, or the last one alone.
        zero_masked: whether the output of a masked step is 0.
        backwards: whether the last step comes first; outputs stand in the order of the loop.
        unroll: whether the loop is compiled to straight code.

    Returns:
        ``(output, states, loss)``; `loss` is the sum of what layers added in all steps, or None.
    """
    step = _Step(step)
    first = jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype), states)
    x = jax.tree.map(lambda a: jax.ShapeDtypeStruct((a.shape[0], *a.shape[2:]), a.dtype), sequences)
    shape = jax.eval_shape(step.look, x, first)
    placed = step.place is not None and (mask is None or not zero_masked)
    carry_last = not every_output and not placed
    if mask is not None and not zero_masked:
        _check_repeatable(states, shape, where)

    def body(carry, item):
        states, held, last = carry
        x, seen = item
        output, new, held, loss = step(x, states, held)
        if seen is not None:
            skipped = jnp.zeros_like(output) if zero_masked else _previous(states)
            output = _where(seen, output, skipped)
            new = jax.tree.map(lambda a, b: _where(seen, a, b), new, states)
        return (new, held, output if carry_last else None), (output if every_output else None, loss)

    with scopes.autocast(None):
        held = [v.value for v in step.assigned]
    start = states, held, jnp.zeros(shape.shape, shape.dtype) if carry_last else None
    steps = jax.tree.map(_time_first, sequences), None if mask is None else _steps_of(mask)
    (states, held, last), (outputs, losses) = lax.scan(
        body, start, steps, reverse=backwards, unroll=bool(unroll) or 1
    )
    for variable, value in zip(step.assigned, held, strict=True):
        variable.assign(value)
    if every_output:
        output = _time_first(outputs[::-1] if backwards else outputs)
    else:
        output = last if carry_last else jax.tree.leaves(states)[step.place]
    return output, states, None if losses is None else jnp.sum(losses)


class _Step:
    """A step as a pure function: what it assigns and the losses it adds are among its results."""

    def __init__(self, function):
        self.function, self.assigned, self.place = function, [], None

    def __call__(self, x, states, held):
        with scopes.Scope(zip(self.assigned, held, strict=True)) as scope:
            output, new = self.function(x, states)
            held = [scope.get_current_value(v) for v in self.assigned]
        self.scope = scope
        return output, _like(states, new), held, added_loss(scope)

    def look(self, x, states):
        """Learn from one call what the step assigns and which state is its output."""
        output, new, _, _ = self(x, states, [])
        self.assigned = [self.scope.variables[key] for key in self.scope.values]
        places = [i for i, state in enumerate(jax.tree.leaves(new)) if state is output]
        self.place = places[0] if places else None
        return output


def added_loss(scope):
    """Return the sum of the losses that layers added in a scope, or None."""
    losses = [loss for _, some in scope.layer_losses.values() for loss in some]
    return sum(losses) if losses else None


def _like(states, new):
    """Return new states in the structure and the dtypes of the old ones."""
    flat, structure = jax.tree.flatten(states)
    pairs = zip(jax.tree.leaves(new), flat, strict=True)
    return jax.tree.unflatten(structure, [n if n.dtype == s.dtype else n.astype(s.dtype)
                                          for n, s in pairs])  # fmt: skip


def _previous(states):
    """Return the state that Keras takes for the previous output: of the last cell, the first."""
    inner = isinstance(states[-1], (list, tuple))
    return states[-1][0] if inner else states[0]


def _check_repeatable(states, output, where):
    if _previous(states).shape != output.shape:
        raise errors.bad_value(
            f"{where} mask", "a cell whose first state is its output, which a masked step repeats",
            f"an output of shape {output.shape} beside a state of shape {_previous(states).shape}",
            "pass zero_output_for_mask=True",
        )  # fmt: skip


def _where(seen, new, old):
    return jnp.where(seen.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def _time_first(x):
    return x.swapaxes(0, 1)


def _steps_of(mask):
    """Return a mask as bools ``(steps, batch)``; a step with one seen feature is seen."""
    mask = jnp.asarray(mask).astype(bool)
    return _time_first(mask.reshape(*mask.shape[:2], -1).any(-1))
