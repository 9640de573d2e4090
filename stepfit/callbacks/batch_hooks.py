"""The batch hooks of several callbacks: who hears of which step, and when."""


class BatchHooks:
    """The batch hooks of a list of callbacks, for one kind of step.

    *Strict* callbacks may look at the model: they are called between dispatches, for the last step
    of each. Those marked `fused_safe` hear of every step, with its logs, once its chunk is done.
    Those with `lazy_batch_logs` hear of the last step of each chunk and fetch logs if they like.

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
        strict = (c for c, *_ in self._users if not (c.fused_safe or c.lazy_batch_logs))
        self.strict = next(strict, None)

    def why_strict(self):
        """Return why steps run one by one, or None where they need not."""
        for callback, begins, _ in self._users:
            if callback is self.strict:
                hook = self._begin if begins else self._end
                return f"{type(callback).__name__} defines {hook} and is not fused_safe"
        return None

    def begin(self, first, count):
        """Call the hooks before the steps of a chunk."""
        for callback, begins, _ in self._users:
            if begins and not callback.fused_safe:
                getattr(callback, self._begin)(first, logs={})

    def end(self, result):
        """Call the hooks after the steps of a chunk; none for steps after a request to stop."""
        if not self.any:
            return
        safe = [user for user in self._users if user[0].fused_safe]
        others = [user for user in self._users if not user[0].fused_safe]
        last = result.count - 1
        for index in range(last) if safe else ():
            self._call(safe, result, index)
            if self._stopped():  # for the others this was the last step
                self._call(others, result, index)
                return
        self._call(self._users, result, last)

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
