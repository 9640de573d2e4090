"""A range test: how does the loss respond to the learning rate?"""

import math
from typing import Any

import numpy as np

from stepfit.callbacks.callback import Callback
from stepfit.callbacks.optimizers import with_learning_rate
from stepfit.core import errors
from stepfit.utils import optional

_SKIP = 5  # first losses that do not count: the average has hardly begun


def _slope(x, y):
    """Return the slope at each point of a curve: that of the line through it and its neighbours.

    A tenth of the points on either side count, for from one to the next there is mostly noise.
    """
    width = max(len(x) // 10, 1)
    near = [slice(max(i - width, 0), i + width + 1) for i in range(len(x))]
    return np.array([np.polyfit(x[part], y[part], 1)[0] for part in near])


class LearningRateFinder(Callback):
    """Trains for some steps with a rate that grows from step to step, and records the loss.

    ``rate(i) = min_lr * (max_lr / min_lr) ** (i / (steps - 1))``

    It stops training by itself, and gives the model back the weights, optimizer and metrics that it
    had before. Steps run one at a time, and the logs are those of each batch alone.

    Args:
        min_lr, max_lr: rates of the first and the last step.
        steps: number of steps.
        smoothing: from 0 to below 1, share of the past in the moving average of the losses.
        diverged: stop when that average is more than so many times its lowest value.

    Attributes:
        rates, losses: one number per step; `smoothed`, the moving average of the losses.

    Raises:
        ValueError: an argument out of range; a learning rate that follows a schedule; a step that
            reports no "loss".

    Example:

    >>> import numpy as np, stepfit as keras
    >>> keras.utils.set_random_seed(0)
    >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(), loss="mse")
    >>> finder = keras.callbacks.LearningRateFinder(1e-4, 10.0, steps=60)
    >>> rate = finder.find(model, x, x.sum(1, keepdims=True), batch_size=16)
    >>> 1e-3 < rate < 1.0
    True

    Source: Smith, 2017, https://arxiv.org/abs/1506.01186.
    """

    def __init__(self, min_lr=1e-7, max_lr=10.0, steps=100, smoothing=0.9, diverged=4.0):
        super().__init__()
        where = "LearningRateFinder"
        if not 0 < min_lr < max_lr:
            found = f"min_lr={min_lr!r}, max_lr={max_lr!r}"
            raise errors.bad_value(where, "0 < min_lr < max_lr", found)
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
            raise errors.bad_value(f"{where}(steps)", "at least 2", errors.describe(steps))
        if not 0 <= smoothing < 1:
            found = errors.describe(smoothing)
            raise errors.bad_value(f"{where}(smoothing)", "a number from 0 to below 1", found)
        if not diverged > 1:
            found = errors.describe(diverged)
            raise errors.bad_value(f"{where}(diverged)", "a number above 1", found)
        self.min_lr, self.max_lr, self.steps = min_lr, max_lr, steps
        self.smoothing, self.diverged = smoothing, diverged
        self._kept: Any = None
        self._forget()

    def _forget(self):
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.smoothed: list[float] = []

    def find(self, model, x, y=None, **arguments):
        """Run the test on a model and return `suggestion`.

        Args:
            model: a compiled model.
            x, y, arguments: as for `fit`; `epochs` is not needed.
        """
        arguments = {"verbose": 0, **arguments}
        callbacks = arguments.pop("callbacks", None)
        callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
        callbacks = [*(c for c in callbacks if c is not None), self]
        model.fit(x, y, epochs=self.steps, callbacks=callbacks, **arguments)
        return self.suggestion

    @property
    def suggestion(self):
        """The rate at which the average loss falls most steeply.

        Raises:
            RuntimeError: too few steps were run to tell.
        """
        count = len(self.smoothed)
        if count < 2 * _SKIP:
            fix = "begin with a smaller min_lr, or pass more steps and more epochs"
            raise errors.StepfitRuntimeError(
                errors.message(
                    "LearningRateFinder", f"at least {2 * _SKIP} steps", f"{count}",
                    fix if count else "call find(model, x, y) first",
                )
            )  # fmt: skip
        lowest = max(int(np.argmin(self.smoothed)), 2 * _SKIP - 1)
        slope = _slope(np.log(self.rates[: lowest + 1]), np.array(self.smoothed[: lowest + 1]))
        return self.rates[_SKIP + int(np.argmin(slope[_SKIP:]))]

    def plot(self, path):
        """Draw the losses over the rates, with the suggestion, and write a picture.

        Args:
            path: of the picture; its ending is the format.
        """
        figures = optional.load("matplotlib.figure", "LearningRateFinder.plot", "plot")
        figure = figures.Figure(figsize=(7, 4), layout="tight")
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, color="0.8", label="loss of the batch")
        axes.plot(self.rates, self.smoothed, label="moving average")
        best = self.suggestion
        axes.axvline(best, linestyle=":", color="black", label=f"suggestion {best:.1e}")
        low, high = min(self.smoothed), max(self.smoothed[:_SKIP])
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
        axes.set_ylim(low - 0.1 * (high - low), low + 2 * (high - low) if high > low else None)
        axes.legend()
        figure.savefig(path)

    # -- the run -----------------------------------------------------------------------------------

    def on_train_begin(self, logs=None):
        with_learning_rate(self.model, "LearningRateFinder")
        self._forget()
        self._kept = [v.numpy() for v in self._variables()]

    def on_train_batch_begin(self, batch, logs=None):
        self.model.reset_metrics()  # so that the loss is that of this batch
        share = len(self.rates) / (self.steps - 1)
        rate = self.min_lr * (self.max_lr / self.min_lr) ** share
        self.rates.append(rate)
        with_learning_rate(self.model, "LearningRateFinder").learning_rate = rate

    def on_train_batch_end(self, batch, logs=None):
        if "loss" not in (logs or {}):
            names = ", ".join(sorted(logs or {})) or "none"
            raise errors.bad_value("LearningRateFinder", "a log named 'loss'", names)
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            self.rates.pop()
            self.model.stop_training = True
            return
        self.losses.append(loss)
        before = self.smoothed[-1] if self.smoothed else loss
        self.smoothed.append(self.smoothing * before + (1 - self.smoothing) * loss)
        far = self.smoothed[-1] > self.diverged * min(self.smoothed) and min(self.smoothed) > 0
        if len(self.rates) == self.steps or (far and len(self.rates) > _SKIP):
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self._kept is not None:
            for variable, value in zip(self._variables(), self._kept, strict=True):
                variable.assign(value)
        self._kept = None

    def interrupted(self):
        self.on_train_end()

    def failed(self):
        self.on_train_end()

    def _variables(self):
        parts = ("trainable_variables", "non_trainable_variables", "optimizer_variables",
                 "metrics_variables")  # fmt: skip
        return [v for part in parts for v in self.model._state_part(part)]

    def state(self):
        curves = {"rates": self.rates, "losses": self.losses, "smoothed": self.smoothed}
        return {**{k: list(v) for k, v in curves.items()}, "kept": self._kept}

    def restore(self, state):
        self.rates, self.losses = list(state["rates"]), list(state["losses"])
        self.smoothed, self._kept = list(state["smoothed"]), state["kept"]
