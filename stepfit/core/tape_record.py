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

    __slots__ = ("inputs", "outputs", "pullback", "replay")

    def __init__(self, inputs, outputs, pullback, replay):
        self.inputs = inputs
        self.outputs = outputs  # None for a result through which no derivative flows
        self.pullback = pullback
        self.replay = replay  # (call, args, slots), where the operation may have to run again


class _Failure:
    """The pullback of an operation that JAX cannot differentiate: raise when it is needed."""

    def __init__(self, error):
        # The traceback would keep every value of the failed call alive.
        self.error = error.with_traceback(None)
        error.__cause__ = error.__context__ = None

    def __call__(self, cotangents, wanted):
        raise self.error


class Recorder:
    """The record of one tape, and the values that it tracks.

    Args:
        replayable: whether to keep what `pull` with ``on_record=True`` needs.
    """

    def __init__(self, replayable=False):
        self.replayable = replayable
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
            results = list(call(*args))
            live, pullback = [True] * len(results), _Failure(error)
        outputs: list = []
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
            replay = (call, args, slots) if self.replayable else None
            self.entries.append(_Entry([id(args[i]) for i in slots], outputs, pullback, replay))
        return results

    def pull(self, cotangents, sources, on_record=False):
        """Carry cotangents back through the record.

        Args:
            cotangents: dict from the id of a target to its cotangent.
            sources: set of ids of the values whose cotangents are wanted.
            on_record: whether what this computes goes on this same record. The pullbacks kept there
                are of no use then, since what they hold was computed off the record.

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
            pull = self._pull_on_record if on_record else _pull_off_record
            for i, ct in zip(entry.inputs, pull(entry, given, wanted)):
                if ct is not None and i in cotangents:
                    (ct,) = self.evaluate(_add, [cotangents[i], ct], custom=False)
                if ct is not None:
                    cotangents[i] = ct
        return cotangents

    def _pull_on_record(self, entry, cotangents, wanted):
        """Run an operation once more, together with its pullback, as one recorded operation."""
        call, args, slots = entry.replay
        given = [i for i, ct in enumerate(cotangents) if ct is not None]

        def operation(*values):
            full, cts = list(args), [None] * len(cotangents)
            for slot, value in zip(slots, values):
                full[slot] = value
            for i, value in zip(given, values[len(slots) :]):
                cts[i] = value
            _, _, pullback = jax_private.differentiate(call, full, slots)
            pulled = pullback(cts, wanted)
            return [
                jnp.zeros_like(value) if ct is None else ct
                for value, ct, want in zip(values, pulled, wanted)
                if want
            ]

        inputs = [*(args[slot] for slot in slots), *(cotangents[i] for i in given)]
        results = iter(self.evaluate(operation, inputs, custom=False))
        return [next(results) if want else None for want in wanted]


def _add(a, b):
    return [jax.lax.add(a, b)]


def _pull_off_record(entry, cotangents, wanted):
    return entry.pullback(cotangents, wanted)
