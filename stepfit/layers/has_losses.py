"""The losses that layers add while they are called."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from stepfit.core import scope as scopes
from stepfit.layers import call_context
from stepfit.layers.loss_list import LossList


class HasLosses:
    """The part of `Layer` that collects losses: of the last outermost call, one list a layer."""

    # What the layer has beside this.
    trainable_variables: Any
    _flatten_layers: Callable[..., list]
    _losses: list
    _losses_token: Any

    def add_loss(self, loss: Any) -> None:
        """Add a scalar, or a list of scalars, to the losses of the current call.

        Args:
            loss: scalar array; added to the loss in training and evaluation.
        """
        for value in loss if isinstance(loss, (list, tuple)) else [loss]:
            value = jnp.asarray(value)
            if value.ndim:
                value = jnp.mean(value)
            self._loss_list(for_writing=True).append(value)

    def _loss_list(self, for_writing=False):
        """The losses of the last outermost call: kept by the scope if there is one."""
        scope = scopes.current_scope()
        token = call_context.token()
        if scope is not None:
            if for_writing:
                entry = scope.layer_losses.get(id(self))
                if entry is None or entry[0] is not token:
                    entry = scope.layer_losses[id(self)] = (token, [])
                return entry[1]
            while scope is not None:
                if id(self) in scope.layer_losses:
                    return scope.layer_losses[id(self)][1]
                scope = scope.parent
            return []
        if for_writing and self._losses_token is not token:
            self._losses, self._losses_token = [], token
        return self._losses

    @property
    def losses(self) -> list[Any]:
        """Losses of the last call: `add_loss`, activity regularizers, and weight regularizers."""
        found = LossList(loss for layer in self._flatten_layers() for loss in layer._loss_list())
        for v in self.trainable_variables:
            if v.regularizer is not None:
                with scopes.autocast(None):
                    found.append(v.regularizer(v.value))
        return found

    def _forget_forward_losses(self):
        """Drop what an earlier `stateless_call` left for `compute_loss`: this call is newer."""
        self.__dict__.pop("_forward_losses", None)
        scope = scopes.current_scope()
        while scope is not None:
            scope.forward_losses.pop(id(self), None)
            scope = scope.parent
