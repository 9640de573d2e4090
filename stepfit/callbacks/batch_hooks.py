"""The batch hooks of several callbacks: who hears of which step, and when."""

import numbers

from stepfit.callbacks.callback import Callback
from stepfit.core import errors

_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")


class BatchHooks:
    """The batch hooks of a list of callbacks, for one kind of step.

    *Strict* callbacks may look at the model: they are called between dispatches, for the last step
    of each. Those marked `fused_safe` hear of every step, with its logs, once its chunk is done.
    Those with `lazy_batch_logs` hear of the last step of each chunk and fetch logs if they like.
    *Choosy* ones define `needs_model_after`: a chunk ends where they need the model, and they hear
    of no other step (unless they are `fused_safe` or lazy as well).

    Args:
        kind: "train", "test" or "predict".
        users: ``(callback, begins, ends)`` in the user's order: whether it defines
            ``on_{kind}_batch_begin`` and ``on_{kind}_batch_end``.

    Attributes:
        any: whether there is anything to call.
        strict: the first strict callback, or None.
    """

    def __init__(self, kind, users):
        self._begin, self._end = f"on_{kind}_batch_begin", f"on_{kind}_batch_end"
        self._users = [user for user in users if user[1] or user[2]]
        self._kind = kind
        self.any = bool(self._users)
        self._choosy = [c for c, *_ in users if kind == "train" and _chooses(c)]
        seldom = {id(c) for c in self._choosy if not _adds_hooks(c)}
        eager = [c for c, *_ in self._users if not (c.fused_safe or c.lazy_batch_logs)]
        self._seldom = {id(c) for c in eager if id(c) in seldom}
        self.strict = next((c for c in eager if id(c) not in seldom), None)

    def why_strict(self):
        """Return why steps run one by one, or None where they need not."""
        for callback, begins, _ in self._users:
            if callback is self.strict:
                hook = self._begin if begins else self._end
                return f"{type(callback).__name__} defines {hook} and is not fused_safe"
        return None

    def when(self, callback, together=True):
        """Return when a callback is called, in words.

        Args:
            callback: one of those in the list.
            together: whether several steps go in one dispatch.
        """
        stay = "; steps stay fused" if together else ""
        hooked = any(callback is user[0] for user in self._users)
        if hooked and callback.fused_safe:
            return f"for every step, with its logs{stay}"
        if hooked and callback.lazy_batch_logs:
            return f"once for each dispatch{stay}" if together else "after every step"
        if id(callback) in self._seldom or any(callback is c for c in self._choosy):
            return f"after the steps that it asks for{stay}"
        if hooked and together:  # as with an integer for `steps_per_execution`
            return "once for each dispatch, with the model"
        if hooked:
            return "after every step, with the model: steps run one at a time"
        return "between epochs"

    def next_look(self, batch):
        """Return ``(step, callbacks)``: the first step from `batch` on after which some need the
        model, and which; ``(None, ())`` where none does.

        Args:
            batch: number of the next step.
        """
        answers = [(_step(c, batch), c) for c in self._choosy]
        steps = [max(step, batch) for step, _ in answers if step is not None]
        if not steps:
            return None, ()
        return min(steps), [c for step, c in answers if step is not None and step <= min(steps)]

    def numbers_of(self, callbacks):
        """Return the numbers of callbacks that `next_look` returned."""
        return [i for i, c in enumerate(self._choosy) if any(c is other for other in callbacks)]

    def by_numbers(self, numbers):
        """Return the callbacks that have some numbers."""
        return [self._choosy[i] for i in numbers]

    def begin(self, first, count):
        """Call the hooks before the steps of a chunk."""
        for callback, begins, _ in self._users:
            if begins and not callback.fused_safe and id(callback) not in self._seldom:
                getattr(callback, self._begin)(first, logs={})

    def end(self, result, looking=()):
        """Call the hooks after the steps of a chunk; none for steps after a request to stop.

        Args:
            result: of the chunk.
            looking: the choosy callbacks that need the model after its last step.
        """
        if not self.any:
            return
        safe = [user for user in self._users if user[0].fused_safe]
        absent = self._seldom - set(map(id, looking))
        others = [user for user in self._users if not user[0].fused_safe]
        others = [user for user in others if id(user[0]) not in self._seldom]
        last = result.count - 1
        for index in range(last) if safe else ():
            self._call(safe, result, index)
            if self._stopped():  # for the others this was the last step
                self._call(others, result, index)
                return
        self._call([user for user in self._users if id(user[0]) not in absent], result, last)

    def _call(self, users, result, index):
        """Call the hooks of some callbacks for one step of a chunk."""
        number, shared = result.first + index, None
        for callback, begins, ends in users:
            if begins and callback.fused_safe:
                getattr(callback, self._begin)(number, logs={})
            if not ends:
                continue
            if callback.lazy_batch_logs:
                getattr(callback, self._end)(number, logs=lambda: self._logs(result, index))
            else:
                shared = self._logs(result, index) if shared is None else shared
                getattr(callback, self._end)(number, logs=shared)

    def _stopped(self):
        model = self._users[0][0].model
        return self._kind == "train" and getattr(model, "stop_training", False)

    def _logs(self, result, index):
        if self._kind == "predict":
            return {"outputs": result.outputs(index)}
        return result.logs(index)


def _step(callback, batch):
    step = callback.needs_model_after(batch)
    if step is not None and not isinstance(step, numbers.Integral):
        where = f"{type(callback).__name__}.needs_model_after()"
        raise errors.bad_type(where, "the number of a step, or None", errors.describe(step))
    return step


def _chooses(callback):
    """Say whether a callback names the steps after which it needs the model."""
    own = type(callback).needs_model_after is not Callback.needs_model_after
    return own or "needs_model_after" in vars(callback)


def _adds_hooks(callback):
    """Say whether a subclass has batch hooks that its base's `needs_model_after` knows not of."""
    for kind in type(callback).__mro__:
        if kind is Callback or "needs_model_after" in vars(kind):
            return False
        if any(hook in vars(kind) for hook in _HOOKS):
            return True
    return False
