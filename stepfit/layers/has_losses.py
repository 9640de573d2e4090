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

    def _loss_list(self, for_writing=False, since=None):
        """The losses of the last outermost call: kept by the scope if there is one.

        Args:
            for_writing: whether the list of the running call is wanted, made if need be.
            since: token of a call; losses of earlier calls are left out.
        """
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
                    token, losses = scope.layer_losses[id(self)]
                    return _newer(token, losses, since)
                scope = scope.parent
            return []
        if for_writing and self._losses_token is not token:
            self._losses, self._losses_token = [], token
        return self._losses if for_writing else _newer(self._losses_token, self._losses, since)

    def _begin_outermost_call(self, token):
        """Note a call that no other call is around."""
        self._forget_forward_losses()
        scope = scopes.current_scope()
        if scope is None:
            self._last_call = token
        else:
            scope.last_calls[id(self)] = token

    def _last_outermost_call(self):
        scope = scopes.current_scope()
        if scope is None:
            return self.__dict__.get("_last_call")
        while scope is not None:
            if id(self) in scope.last_calls:
                return scope.last_calls[id(self)]
            scope = scope.parent
        return None

    @property
    def losses(self) -> list[Any]:
        """Losses of the last call: `add_loss`, activity regularizers, and weight regularizers."""
        since = self._last_outermost_call()
        found = LossList(
            loss for layer in self._flatten_layers() for loss in layer._loss_list(since=since)
        )
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


def _newer(token, losses, since):
    """Return the losses of a call, or none if that is older than the call `since`."""
    old = since is not None and token is not None and token.number < since.number
    return [] if old else losses
