"""The loss and the metrics of one batch, as steps call them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from stepfit.core import errors
from stepfit.core import scope as scopes
from stepfit.core.variable import Variable
from stepfit.training.compiled import CompiledMetrics


class BatchLoss:
    """The part of a model that computes what its batches are judged by."""

    # What the model has beside this.
    trainable_variables: list[Variable]
    non_trainable_variables: list[Variable]
    metrics_variables: Any
    losses: list[Any]
    get_metrics_result: Callable[[], dict[str, Any]]
    _where: Callable[[], str]
    _compiled_loss: Any
    _compiled_metrics: CompiledMetrics | None

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the loss of one batch: the compiled losses plus those of the forward pass.

        Losses added by layers (`add_loss`, activity and weight regularizers) during the last
        forward pass are included, also after `stateless_call` without `return_losses`. Updates no
        metric, so it can be differentiated anywhere.

        Args:
            x, y, y_pred, sample_weight: inputs, targets, predictions, weights.
            training: whether the batch is trained on.

        Returns:
            A scalar.

        Raises:
            ValueError: there is no loss at all.
        """
        total = None
        if self._compiled_loss is not None:
            total = self._compiled_loss(y, y_pred, sample_weight)
        for extra in self._forward_losses_now():
            extra = jnp.asarray(extra)
            total = extra if total is None else total + extra.astype(total.dtype)
        if total is None:
            raise errors.StepfitValueError(
                f"{self._where()} compute_loss: expected a loss, found none; pass loss= to "
                "compile(), call add_loss in a layer, or override compute_loss."
            )
        root = scopes.root_scope()
        if root is not None:
            root.last_loss = total  # for a step that leaves the loss tracker to us
        return total

    def _forward_losses_now(self):
        scope = scopes.current_scope()
        while scope is not None:
            if id(self) in scope.forward_losses:
                return scope.forward_losses.pop(id(self))
            scope = scope.parent
        kept = self.__dict__.pop("_forward_losses", None)
        if kept is not None:
            try:
                return [jnp.asarray(loss) + 0 for loss in kept]
            except jax.errors.UnexpectedTracerError:
                pass  # they belong to a trace that is over
        return self.losses

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Update the compiled metrics with one batch and return `get_metrics_result()`."""
        if self._compiled_metrics is not None and y is not None:
            self._compiled_metrics.update(y, y_pred, sample_weight)
        for part in self._compiled_loss.parts if self._compiled_loss is not None else []:
            part.update_state(y, y_pred, sample_weight=sample_weight)
        return self.get_metrics_result()

    def stateless_compute_loss(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        metrics_variables: Sequence[Any],
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tuple[Any, tuple[list[Any], ...]]:
        """Compute the loss as a pure function of the variables' values.

        Args:
            trainable_variables, non_trainable_variables, metrics_variables: values of the
                properties of the same names.
            x, y, y_pred, sample_weight, training: as in `compute_loss`.

        Returns:
            ``(loss, (trainable_variables, non_trainable_variables, metrics_variables))``.
        """
        groups = [
            ("trainable_variables", self.trainable_variables, trainable_variables),
            ("non_trainable_variables", self.non_trainable_variables, non_trainable_variables),
            ("metrics_variables", self.metrics_variables, metrics_variables),
        ]
        where = f"{self._where()} stateless_compute_loss"
        pairs = [
            pair
            for name, variables, values in groups
            for pair in scopes.pair(f"{where}({name})", variables, values)
        ]
        with scopes.Scope(pairs, collect_losses=True) as scope:
            loss = self.compute_loss(x, y, y_pred, sample_weight, training=training)
        new = tuple([scope.get_current_value(v) for v in variables] for _, variables, _ in groups)
        return loss, new
