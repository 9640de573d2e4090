"""Averaged weights for evaluation, the weights of training for training."""

from typing import Any

from stepfit.callbacks import optimizers
from stepfit.callbacks.callback import Callback
from stepfit.core import errors, placement


class SwapEMAWeights(Callback):
    """Gives the model its averaged weights while it is evaluated, and its own back afterwards.

    The averages are those of an optimizer with `use_ema=True`. With several optimizers, those that
    keep averages count.

    Args:
        swap_on_epoch: whether the model has the averages at the end of an epoch too, up to the
            beginning of the next: for callbacks that come later in the list, such as
            `ModelCheckpoint`, and after the last epoch.

    Raises:
        ValueError: no optimizer with `use_ema=True`.

    Example:

    >>> import numpy as np, stepfit as keras
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.1, use_ema=True), loss="mse")
    >>> x = np.ones((8, 2), "float32")
    >>> swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    >>> history = model.fit(x, x[:, :1], verbose=0, callbacks=[swap])
    """

    def __init__(self, swap_on_epoch=False):
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._own: Any = None  # the values of training, while the model has the averages
        self._for_evaluation = False  # whether it has them only until the evaluation ends

    def on_train_begin(self, logs=None):
        self._pairs()
        self._put_back()  # where the last run was broken off

    def on_epoch_begin(self, epoch, logs=None):
        self._put_back()

    def on_epoch_end(self, epoch, logs=None):
        if self.swap_on_epoch:
            self._take_averages()

    def on_train_end(self, logs=None):
        self._own = None  # the averages stay

    def interrupted(self):
        self._put_back()

    def failed(self):
        self._put_back()

    def on_test_begin(self, logs=None):
        self._for_evaluation = self._own is None
        self._take_averages()

    def on_test_end(self, logs=None):
        if self._for_evaluation:
            self._put_back()

    def on_predict_begin(self, logs=None):
        self.on_test_begin()

    def on_predict_end(self, logs=None):
        self.on_test_end()

    def state(self):
        return {"own": None if self._own is None else [placement.whole(v) for v in self._own]}

    def restore(self, state):
        self._own = state["own"]

    def _pairs(self):
        """Return the pairs (weight, its average), of optimizers that have made an update."""
        found = [optimizers.inner(o) for o in optimizers.all_of(self.model)]
        averaging = [o for o in found if getattr(o, "use_ema", False)]
        if not averaging:
            raise errors.bad_value(
                "SwapEMAWeights", "an optimizer with use_ema=True",
                "none" if not found else f"{type(found[0]).__name__} with use_ema=False",
                "pass use_ema=True to the optimizer",
            )  # fmt: skip
        return [
            pair for o in averaging if o.built and int(o.iterations)
            for pair in zip(o._trainable_variables, o._model_variables_moving_average, strict=True)
        ]  # fmt: skip

    def _take_averages(self):
        pairs = self._pairs()
        if self._own is None and pairs:
            self._own = [weight.value for weight, _ in pairs]
            for weight, average in pairs:
                weight.assign(average.value)

    def _put_back(self):
        if self._own is not None:
            for (weight, _), value in zip(self._pairs(), self._own, strict=True):
                weight.assign(value)
            self._own = None
