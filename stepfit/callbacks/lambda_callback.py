"""Callbacks from plain functions."""

from stepfit.callbacks.callback import Callback
from stepfit.core import errors


class LambdaCallback(Callback):
    """Calls functions given as arguments at the moments they are named after.

    Args:
        on_epoch_begin, on_epoch_end: functions of `(epoch, logs)`.
        on_train_begin, on_train_end: functions of `(logs)`.
        on_train_batch_begin, on_train_batch_end: functions of `(batch, logs)`.
        kwargs: functions for any other method of `Callback`, such as `on_test_end`; and
            ``fused_safe=True``, if functions of batches look at nothing but their arguments.

    Raises:
        ValueError: for a name that `Callback` does not have. TypeError: for what is no function.

    Example:

    >>> import stepfit as keras
    >>> c = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs))
    >>> c.on_epoch_end(0, {"loss": 0.5})
    0 {'loss': 0.5}
    """

    def __init__(
        self, on_epoch_begin=None, on_epoch_end=None, on_train_begin=None, on_train_end=None,
        on_train_batch_begin=None, on_train_batch_end=None, **kwargs,
    ):  # fmt: skip
        super().__init__()
        functions = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        self.fused_safe = bool(functions.pop("fused_safe", False))
        known = [n for n in vars(Callback) if n.startswith(("on_", "set_"))]
        for name, function in functions.items():
            if name not in known:
                raise errors.unknown_name("LambdaCallback", "callback method", name, known)
            if function is None:
                continue
            if not callable(function):
                found = errors.describe(function)
                raise errors.bad_type(f"LambdaCallback({name})", "a function", found)
            setattr(self, name, function)
