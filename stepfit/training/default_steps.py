"""The steps that a model has unless it gives its own."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from stepfit.core import errors
from stepfit.core import scope as scopes
from stepfit.training.gradients import value_and_grad
from stepfit.training.state import PARTS, TrainState
from stepfit.utils import unpack_x_y_sample_weight


def serves_both_styles(step: Callable) -> Any:
    """Make a stateful step ``(self, data)`` answer ``(self, state, data)`` too, for `super()`."""
    kind = step.__name__.removesuffix("_step")

    def both(self, *args):
        if len(args) == 1:
            return step(self, args[0])
        if len(args) != 2:
            raise errors.bad_type(
                f"{step.__name__}(...)", "the arguments (state, data) or (data)",
                f"{len(args)} arguments",
            )  # fmt: skip
        return _statelessly(self, kind, step, *args)

    both.__name__, both.__doc__, both.__qualname__ = step.__name__, step.__doc__, step.__qualname__
    setattr(both, "_serves_both_styles", True)  # noqa: B010
    return both


def _statelessly(model, kind, step, state, data):
    parts = [model._state_part(name) for name in PARTS[kind]]
    where = f"super().{kind}_step"
    pairs = [
        pair
        for name, variables, values in zip(PARTS[kind], parts, state, strict=True)
        for pair in scopes.pair(f"{where}({name})", variables, values)
    ]
    with scopes.Scope(pairs, collect_losses=True) as scope:
        result = step(model, data)
    outer = scopes.current_scope()
    listed = {id(v) for v, _ in pairs}
    for key, v in scope.variables.items():
        if key not in listed and outer is not None:
            v.assign(scope.values[key])
    new = [[scope.get_current_value(v) for v in variables] for variables in parts]
    if isinstance(state, TrainState):
        return result, TrainState(state._layout, *new)
    return result, tuple(new)


def forward(model, x, training):
    """Call the model, with `training` where its call takes it."""
    return model(x, training=training) if _takes_training(model.call) else model(x)


def loss_of(model, x, y, y_pred, sample_weight, training):
    """Return `compute_loss` of a batch, given `training` where an override takes it."""
    takes = _takes_training(model.compute_loss)
    more = {"training": training} if takes else {}
    return model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, **more)


def _takes_training(method):
    parameters = inspect.signature(method).parameters
    return "training" in parameters or any(
        p.kind is p.VAR_KEYWORD for p in parameters.values()
    )


def batch_size(x):
    """Return the number of samples in a batch."""
    leaves = jax.tree.leaves(x)
    return leaves[0].shape[0] if leaves and jnp.ndim(leaves[0]) else 1


@serves_both_styles
def train_step(self, data):
    """Run one batch: forward, loss, gradients, update, metrics.

    Overridden as ``train_step(self, state, data)``, returning ``(logs, state)``, or as
    ``train_step(self, data)``, returning logs; `super().train_step(...)` works in both.
    """
    x, y, sample_weight = unpack_x_y_sample_weight(data)
    optimizer = self._require_optimizer()

    def compute():
        y_pred = forward(self, x, training=True)
        loss = loss_of(self, x, y, y_pred, sample_weight, training=True)
        return optimizer.scale_loss(loss), (loss, y_pred)

    variables = self.trainable_variables
    (_, (loss, y_pred)), gradients = value_and_grad(compute, variables)()
    optimizer.apply(gradients, variables)
    self._loss_tracker.update_state(loss, sample_weight=batch_size(x))
    return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)


@serves_both_styles
def test_step(self, data):
    """Evaluate one batch: forward, loss, metrics.

    Overridden as ``test_step(self, state, data)``, returning ``(logs, state)``, or as
    ``test_step(self, data)``, returning logs.
    """
    x, y, sample_weight = unpack_x_y_sample_weight(data)
    y_pred = forward(self, x, training=False)
    loss = loss_of(self, x, y, y_pred, sample_weight, training=False)
    self._loss_tracker.update_state(loss, sample_weight=batch_size(x))
    return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)


@serves_both_styles
def predict_step(self, data):
    """Run the model forward on one batch.

    Overridden as ``predict_step(self, state, data)``, returning ``(outputs, state)``, or as
    ``predict_step(self, data)``, returning outputs.
    """
    x, _, _ = unpack_x_y_sample_weight(data)
    return forward(self, x, training=False)
