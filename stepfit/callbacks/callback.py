"""The base class of all callbacks: one method per moment, each doing nothing."""

from typing import Any

from stepfit.core import constructors


class Callback:
    """Base class for objects that act during training, evaluation and prediction.

    Define the methods for the moments you need; the others cost nothing. A batch hook makes the
    model run step by step, unless the class says ``fused_safe = True``. `logs` is a dict of plain
    floats. To stop training, set `self.model.stop_training = True`.

    Attributes:
        model: the model, once training, evaluation or prediction has begun.
        params: dict with "epochs", "steps" (per epoch, None if unknown) and "verbose".

    Example:

    >>> import stepfit as keras
    >>> class Shout(keras.callbacks.Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(f"epoch {epoch}: {logs['loss']:.2f}!")
    >>> Shout().on_epoch_end(0, {"loss": 0.5})
    epoch 0: 0.50!
    """

    #: Set by callbacks that read their batch logs seldom: `on_*_batch_end` then receives a function
    #: that returns the logs, so that the step need not wait for the device.
    lazy_batch_logs = False

    #: Set it on callbacks whose batch hooks need no more than their arguments: then steps may be
    #: fused, and the hooks are called for each step a little later, with that step's logs. Any
    #: other callback that defines a batch hook has the model run one step at a time.
    fused_safe = False

    #: Whether its hooks are called after those of all others, wherever it stands in the list.
    comes_last = False

    #: Set it on callbacks that write or send what they are told: with several processes, those of
    #: the first process alone are called. They must not look at the model.
    by_first_process = False

    params: Any = None
    _model: Any = None

    def __new__(cls, *args, **kwargs):
        if (args or kwargs) and cls.__module__.startswith("stepfit."):
            constructors.check(cls, args, kwargs)
        return super().__new__(cls)

    @property
    def model(self) -> Any:
        return self._model

    def set_params(self, params: dict[str, Any]) -> None:
        """Receive the parameters of the run (a dict)."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Receive the model."""
        self._model = model

    def set_progress(self, progress: Any) -> None:
        """Receive the `Progress` of a `fit` that begins: where it is, and may be moved."""

    def state(self) -> dict[str, Any]:
        """Return what a run that goes on where this one is now has to know.

        Values are what JSON knows (numbers, text, lists, dicts, None) and NumPy arrays.
        """
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` of an earlier run returned; called after `on_train_begin`."""

    def needs_model_after(self, batch: int) -> int | None:
        """Say at which step of the epoch this callback must see the model next.

        Define it to look at the model now and then, without having all steps run one by one: the
        steps up to there may be fused, none after it has begun when `on_train_batch_end` is called
        for it, and that hook is called for no other step.

        Args:
            batch: number of the epoch's next step, from 0.

        Returns:
            The number (at least `batch`) of the step after which to be called, or None. It is asked
            anew every now and then, so the answer may depend on the time.

        Example:

        >>> import stepfit as keras
        >>> class EveryHundred(keras.callbacks.Callback):
        ...     def needs_model_after(self, batch):
        ...         return batch // 100 * 100 + 99
        ...     def on_train_batch_end(self, batch, logs=None):
        ...         print(batch, [w.shape for w in self.model.get_weights()])
        >>> EveryHundred().needs_model_after(100)
        199
        """
        return None

    def interrupted(self) -> None:
        """Called where Ctrl-C or SIGTERM is about to end `fit`: between two steps, none under way.

        `on_train_end` is not called then.
        """

    def failed(self) -> None:
        """Called where an error has ended `fit`; `on_train_end` is not called then."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Called when `fit` begins; `logs` is empty."""

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Called when `fit` ends; `logs` are those of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Called before an epoch (counted from 0); `logs` is empty."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Called after an epoch; `logs` holds the metrics, those of validation as "val_..."."""

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Called before a training step (counted from 0 in each epoch)."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Called after a training step; `logs` holds the metrics of the epoch so far."""
        self.on_batch_end(batch, logs=logs)

    def on_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Older name of `on_train_batch_end`."""

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Called when `evaluate`, or the validation of an epoch, begins."""

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Called when `evaluate`, or the validation of an epoch, ends; `logs`: its metrics."""

    def on_test_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Called before a test step."""

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Called after a test step; `logs` holds the metrics so far."""

    def on_predict_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Called when `predict` begins."""

    def on_predict_end(self, logs: dict[str, Any] | None = None) -> None:
        """Called when `predict` ends."""

    def on_predict_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Called before a prediction step."""

    def on_predict_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Called after a prediction step; `logs` is {"outputs": the outputs of the batch}."""


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))
