"""Several callbacks behind one: each hook calls only those that define it."""

import difflib
import functools
import inspect
import warnings
from typing import Any

from stepfit.callbacks.batch_hooks import BatchHooks
from stepfit.callbacks.callback import HOOKS, Callback
from stepfit.callbacks.history import History
from stepfit.callbacks.logs import plain_logs
from stepfit.callbacks.progbar_logger import ProgbarLogger
from stepfit.core import errors, processes
from stepfit.utils.console import clear_line

_ALIASES = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}

_ALL_HOOKS = frozenset(HOOKS)


class CallbackList(Callback):
    """Calls a list of callbacks in order.

    Args:
        callbacks: a callback, or a list of them (lists may be nested), or None.
        add_history: whether to add a `History` if none is given.
        add_progbar: whether to add a `ProgbarLogger` if none is given.
        model: the model.
        params: dict entries for `set_params`, as keywords.

    Raises:
        TypeError: for anything that is not an instance of `Callback`.

    Example:

    >>> import stepfit as keras
    >>> callbacks = keras.callbacks.CallbackList(add_history=True, epochs=1)
    >>> callbacks.on_train_begin()
    >>> callbacks.on_epoch_end(0, {"loss": 0.5})
    >>> callbacks.history.history
    {'loss': [0.5]}
    """

    def __init__(self, callbacks=None, add_history=False, add_progbar=False, model=None, **params):
        super().__init__()
        self.callbacks = _flatten(callbacks, "callbacks")
        if add_history and not self._first(History):
            self.callbacks.append(History())
        if add_progbar and not self._first(ProgbarLogger):
            self.callbacks.append(ProgbarLogger())
        self.callbacks.sort(key=lambda c: c.comes_last)
        if not processes.is_first():
            self.callbacks = [c for c in self.callbacks if not c.by_first_process]
        _warn_of_misspelt_hooks(self.callbacks)
        for callback in self.callbacks:
            _check_arguments(callback)
        self._users = {}
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    @property
    def history(self):
        """The first `History` among the callbacks, or None."""
        return self._first(History)

    def _first(self, kind):
        return next((c for c in self.callbacks if isinstance(c, kind)), None)

    def append(self, callback):
        """Add a callback."""
        self.callbacks += _flatten(callback, "callback")
        self.callbacks.sort(key=lambda c: c.comes_last)
        self._users = {}

    def set_params(self, params):
        self.params = params
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def set_model(self, model):
        super().set_model(model)
        if self.history is not None:
            model.history = self.history
        for callback in self.callbacks:
            callback.set_model(model)

    def set_progress(self, progress):
        for callback in self.callbacks:
            callback.set_progress(progress)

    def users(self, hook):
        """Return the callbacks that define `hook`, a name such as "on_train_batch_end"."""
        if hook not in self._users:
            self._users[hook] = [c for c in self.callbacks if _defines(c, hook)]
        return self._users[hook]

    def of_batches(self, mode):
        """Return the `BatchHooks` for one kind of step.

        Args:
            mode: "train", "test" or "predict".
        """
        names = f"on_{mode}_batch_begin", f"on_{mode}_batch_end"
        if any(getattr(type(self), name) is not getattr(CallbackList, name) for name in names):
            return BatchHooks(mode, [(self, True, True)])  # a list with hooks of its own
        return BatchHooks(
            mode, [(c, *(_defines(c, name) for name in names)) for c in self.callbacks]
        )

    def _begin(self, hook, logs):
        self._users = {}  # methods may have been replaced on the instances since the last run
        self._call(hook, (), logs)

    def _call(self, hook, place, logs):
        users = self.users(hook)
        if not users:
            return
        logs = plain_logs(logs)
        for callback in users:
            if hook == "on_epoch_end" and not isinstance(callback, (History, ProgbarLogger)):
                clear_line()  # of the progress bar, which comes last
            getattr(callback, hook)(*place, logs)

    def _call_batch(self, hook, batch, logs):
        users = self.users(hook)
        if not users:
            return
        shared: list[dict] = []

        def read():
            if not shared:
                keep = hook.startswith("on_predict")  # outputs of any structure, not metrics
                shared.append((logs() if callable(logs) else logs) if keep else plain_logs(logs))
            return shared[0]

        for callback in users:
            getattr(callback, hook)(batch, logs=read if callback.lazy_batch_logs else read())

    def interrupted(self):
        self._tell_all("interrupted")

    def failed(self):
        self._tell_all("failed")

    def _tell_all(self, hook):
        """Call a method of every callback; one that fails keeps none of the others from it."""
        failures = []
        for callback in self.callbacks:
            try:
                getattr(callback, hook)()
            except Exception as e:
                failures.append(e)
        if failures:
            raise failures[0]

    def on_train_begin(self, logs=None):
        self._begin("on_train_begin", logs)

    def on_train_end(self, logs=None):
        self._call("on_train_end", (), logs)

    def on_epoch_begin(self, epoch, logs=None):
        self._call("on_epoch_begin", (epoch,), logs)

    def on_epoch_end(self, epoch, logs=None):
        self._call("on_epoch_end", (epoch,), logs)

    def on_train_batch_begin(self, batch, logs=None):
        self._call_batch("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        self._call_batch("on_train_batch_end", batch, logs)

    def on_batch_begin(self, batch, logs=None):
        self.on_train_batch_begin(batch, logs)

    def on_batch_end(self, batch, logs=None):
        self.on_train_batch_end(batch, logs)

    def on_test_begin(self, logs=None):
        self._begin("on_test_begin", logs)

    def on_test_end(self, logs=None):
        self._call("on_test_end", (), logs)

    def on_test_batch_begin(self, batch, logs=None):
        self._call_batch("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch, logs=None):
        self._call_batch("on_test_batch_end", batch, logs)

    def on_predict_begin(self, logs=None):
        self._begin("on_predict_begin", logs)

    def on_predict_end(self, logs=None):
        self._call("on_predict_end", (), logs)

    def on_predict_batch_begin(self, batch, logs=None):
        self._call_batch("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch, logs=None):
        self._call_batch("on_predict_batch_end", batch, logs)


def _defines(callback, hook):
    """Say whether a callback replaces a hook, on its class or on the instance."""
    if hook in vars(callback) or getattr(type(callback), hook) is not getattr(Callback, hook):
        return True
    return hook in _ALIASES and _defines(callback, _ALIASES[hook])


def _flatten(callbacks, path):
    if callbacks is None:
        return []
    if isinstance(callbacks, (list, tuple)):
        return [c for i, item in enumerate(callbacks) for c in _flatten(item, f"{path}[{i}]")]
    if isinstance(callbacks, Callback):
        return [callbacks]
    expected = "an instance of stepfit.callbacks.Callback"
    if isinstance(callbacks, type) and issubclass(callbacks, Callback):
        fix = f"write {callbacks.__name__}() with its arguments"
    elif callable(callbacks) and not isinstance(callbacks, type):
        fix = "wrap a function: LambdaCallback(on_epoch_end=function)"
    elif all(hasattr(callbacks, hook) for hook in HOOKS):
        fix = "use the callback of that name from stepfit.callbacks, or subclass its Callback"
    else:
        fix = "make a subclass of it, or use LambdaCallback"
    raise errors.bad_type(path, expected, errors.describe(callbacks), fix)


def _warn_of_misspelt_hooks(callbacks):
    """Warn of methods that look like hooks and are never called."""
    kinds: dict[Any, None] = {type(c): None for c in callbacks}
    for kind in kinds:
        for text in _misspelt_hooks(kind):
            warnings.warn(text, UserWarning, stacklevel=errors.users_level())


def _check_arguments(callback):
    """Raise where a hook of the user's cannot take what it will be called with."""
    if _is_stepfits(type(callback)) and _ALL_HOOKS.isdisjoint(vars(callback)):
        return
    for hook in HOOKS:
        if "test" in hook or "predict" in hook:  # perhaps never called
            continue
        method = vars(callback).get(hook) or _bound(callback, hook)
        if not _defines(callback, hook) or _is_stepfits(method) or inspect.isbuiltin(method):
            continue
        names = ["epoch"] if "epoch" in hook else ["batch"] if "batch" in hook else []
        try:
            signature = inspect.signature(method, follow_wrapped=False)
        except (TypeError, ValueError):  # it has none
            continue
        try:
            if names == ["batch"]:
                signature.bind(0, logs={})
            else:
                signature.bind(*(0 for _ in names), {})
        except TypeError:
            found = f"({', '.join(map(str, signature.parameters.values()))})"
            expected = f"({', '.join([*names, 'logs'])})"
            arguments = ", ".join(["self", *names, "logs=None"])
            fix = f"write def {hook}({arguments})"
            if hook in vars(callback):
                fix = f"give it a function of {expected}"
            raise errors.bad_type(
                f"{type(callback).__name__}.{hook}", f"the arguments {expected}", found, fix
            ) from None


def _bound(callback, hook):
    """Return a method of the class, bound, past a `__getattribute__` of the callback's."""
    method = inspect.getattr_static(type(callback), hook)
    return method.__get__(callback) if hasattr(method, "__get__") else method


def _is_stepfits(made):
    return str(getattr(made, "__module__", "")).partition(".")[0] == "stepfit"


@functools.lru_cache(maxsize=256)
def _misspelt_hooks(kind):
    """Return what is to be said of the methods of a class of callbacks."""
    texts = []
    for name in dir(kind):
        if not name.startswith("on_") or name in HOOKS or not callable(getattr(kind, name)):
            continue
        close = difflib.get_close_matches(name, HOOKS, n=1, cutoff=0.85)
        if close:
            text = f"{kind.__name__}.{name} is no hook and is never called; did you mean "
            texts.append(f"{text}{close[0]!r}?")
    return texts
