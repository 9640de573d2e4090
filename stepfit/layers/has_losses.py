"""The losses that layers add while they are called."""

import jax.numpy as jnp

from stepfit.core import scope as scopes
from stepfit.layers import call_context
from stepfit.layers.loss_list import LossList


class HasLosses:
    """The part of `Layer` that collects losses: of the last outermost call, one list a layer."""

    def add_loss(self, loss):
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
                entry = _scope_losses(scope).get(id(self))
                if entry is None or entry[0] is not token:
                    entry = _scope_losses(scope)[id(self)] = (token, [])
                return entry[1]
            while scope is not None:
                if id(self) in _scope_losses(scope):
                    return _scope_losses(scope)[id(self)][1]
                scope = scope.parent
            return []
        if for_writing and self._losses_token is not token:
            self._losses, self._losses_token = [], token
        return self._losses

    @property
    def losses(self):
        """Losses of the last call: `add_loss`, activity regularizers, and weight regularizers."""
        found = LossList(loss for layer in self._flatten_layers() for loss in layer._loss_list())
        for v in self.trainable_variables:
            if v.regularizer is not None:
                with scopes.autocast(None):
                    found.append(v.regularizer(v.value))
        return found


def _scope_losses(scope):
    if not hasattr(scope, "layer_losses"):
        scope.layer_losses = {}
    return scope.layer_losses
