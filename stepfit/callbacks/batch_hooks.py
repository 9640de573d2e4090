"""The batch hooks of several callbacks: who hears of which step, and when."""


class BatchHooks:
    """The batch hooks of a list of callbacks, for one kind of step.

    *Strict* callbacks may look at the model: they are called between dispatches, for the last step
    of each. Those marked `fused_safe` hear of every step, with its logs, once its chunk is done.
    Those with `lazy_batch_logs` hear of the last step of each chunk and fetch logs if they like.

    Args:
        kind: "train", "test" or "predict".
        begin, end: the callbacks that define ``on_{kind}_batch_begin`` and ``..._end``.
    """

    def __init__(self, kind, begin, end):
        self._names = f"on_{kind}_batch_begin", f"on_{kind}_batch_end"
        self._begin, self._end = begin, end
        self._trains, self._predicts = kind == "train", kind == "predict"
        self.any = bool(begin or end)
        self.strict = any(not (c.fused_safe or c.lazy_batch_logs) for c in [*begin, *end])

    def begin(self, first, count):
        """Call the hooks before the steps of a chunk."""
        for callback in self._begin:
            if not callback.fused_safe:
                getattr(callback, self._names[0])(first, logs={})

    def end(self, result):
        """Call the hooks after the steps of a chunk."""
        if not self.any:
            return
        last = result.first + result.count - 1
        logs = None  # of the last step, shared by those that read it
        for callback in dict.fromkeys([*self._begin, *self._end]):
            if callback.fused_safe:
                self._each_step(callback, result)
            elif callback in self._end:
                if callback.lazy_batch_logs:
                    getattr(callback, self._names[1])(last, logs=lambda: self._logs(result))
                else:
                    logs = self._logs(result) if logs is None else logs
                    getattr(callback, self._names[1])(last, logs=logs)

    def _each_step(self, callback, result):
        for index in range(result.count):
            number = result.first + index
            if self._trains and getattr(callback.model, "stop_training", False):
                return  # it asked to stop, and knows nothing of the steps that ran meanwhile
            if callback in self._begin:
                getattr(callback, self._names[0])(number, logs={})
            if callback in self._end:
                getattr(callback, self._names[1])(number, logs=self._logs(result, index))

    def _logs(self, result, index=-1):
        if self._predicts:
            return {"outputs": result.outputs(index)}
        return result.logs(index)
