"""The record of a gradient tape: which operations ran, and how cotangents go back through them.

Values are told apart by identity. The record holds every value that it tracks, so that no other
object can get the same ``id`` while the record exists.
"""

import jax
import jax.numpy as jnp

from stepfit.core import jax_private


def is_float(x):
    """Say whether an array or Variable has a dtype with derivatives: float or complex."""
    return jnp.issubdtype(x.dtype, jnp.inexact)


class _Entry:
    """One recorded operation: ids of its tracked arguments and results, and its pullback."""

    __slots__ = ("inputs", "outputs", "pullback")

    def __init__(self, inputs, outputs, pullback):
        self.inputs = inputs
        self.outputs = outputs  # None for a result through which no derivative flows
        self.pullback = pullback


class _Failure:
    """The pullback of an operation that JAX cannot differentiate: raise when it is needed."""

    def __init__(self, error):
        # The traceback would keep every value of the failed call alive.
        self.error = error.with_traceback(None)
        error.__cause__ = error.__context__ = None

    def __call__(self, cotangents, wanted):
        raise self.error


class Recorder:
    """The record of one tape, and the values that it tracks."""

    def __init__(self):
        self.active = False
        self.tracked = {}  # id -> value; holding the value keeps its id from being given again
        self.entries = []

    def tracks(self, value):
        return self.active and id(value) in self.tracked

    def track(self, value):
        self.tracked[id(value)] = value

    def evaluate(self, call, args, custom):
        """Run one call in the current trace, recording it where a tracked value goes in."""
        slots = [i for i, x in enumerate(args) if self.tracks(x)]
        if not slots:
            return call(*args)
        try:
            results, live, pullback = jax_private.differentiate(call, args, slots)
        except Exception as error:
            if custom:  # the user's own rule failed; do not run it a second time
                raise
            # Either not differentiable, which matters only if a gradient is asked for, or wrong
            # in itself, in which case this raises too.
            results = call(*args)
            live, pullback = [True] * len(results), _Failure(error)
        outputs = []
        for i, (result, is_live) in enumerate(zip(results, live)):
            if id(result) in self.tracked:
                # An argument that was handed through: the result must be a value of its own, with
                # the derivative of this call (reversed, say, or stopped), not the argument's.
                result = results[i] = jnp.copy(result)
            if is_live and is_float(result):
                self.track(result)
                outputs.append(id(result))
            else:
                outputs.append(None)
        if any(output is not None for output in outputs):
            self.entries.append(_Entry([id(args[i]) for i in slots], outputs, pullback))
        return results

    def pull(self, cotangents, sources):
        """Carry cotangents back through the record.

        Args:
            cotangents: dict from the id of a target to its cotangent.
            sources: set of ids of the values whose cotangents are wanted.

        Returns:
            A dict from id to cotangent, with at least those sources that the targets depend on.
        """
        cotangents = dict(cotangents)
        reached, needed = set(sources), []
        for entry in self.entries:
            wanted = [i in reached for i in entry.inputs]
            if any(wanted):
                needed.append((entry, wanted))
                reached.update(i for i in entry.outputs if i is not None)
        for entry, wanted in reversed(needed):
            given = [cotangents.get(i) for i in entry.outputs]
            if all(ct is None for ct in given):
                continue
            for i in entry.outputs:
                if i not in sources:
                    cotangents.pop(i, None)
            for i, ct in zip(entry.inputs, entry.pullback(given, wanted)):
                if ct is not None:
                    cotangents[i] = jax.lax.add(cotangents[i], ct) if i in cotangents else ct
        return cotangents
