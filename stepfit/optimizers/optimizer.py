"""The base of optimizers: everything but the formula that turns gradients into a direction.

One update does, in this order: divide by the loss scale, accumulate, clip, decay the weights, step,
average the weights, apply constraints, count. The step is either the subclass's `transformation`
(an optax transformation) or, where a subclass overrides it, `update_step` for each variable. All
state is in Variables, so the same code runs eagerly and, on the values of a scope, in a trace.
"""

import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from stepfit.core import errors
from stepfit.core import scope as scopes
from stepfit.core.variable import Variable
from stepfit.optimizers import checks, clipping
from stepfit.optimizers import learning_rate as rates
from stepfit.optimizers.branch import branch
from stepfit.optimizers.slots import SHARED, OptimizerState
from stepfit.optimizers.state import TransformationState


class Optimizer(OptimizerState):
    """Base of optimizers: subclasses implement `transformation()`.

    ``weight <- weight - learning_rate * direction(gradient)``

    Args:
        learning_rate: non-negative float (a Variable then, assignable while training), a
            `LearningRateSchedule` or callable of the iteration, or a callable without arguments.
        weight_decay: float; weights shrink by ``learning_rate * weight_decay`` of themselves at
            each update, see `exclude_from_weight_decay`.
        clipnorm: float; largest norm of each gradient.
        clipvalue: float; largest absolute value of each element of a gradient.
        global_clipnorm: float; largest joint norm of all gradients.
        use_ema: whether to keep an exponential moving average of the weights.
        ema_momentum: float from 0 to 1; share of the old average.
        ema_overwrite_frequency: int; every so many updates the weights become their average. None:
            only in `finalize_variable_values`, which `fit` calls at its end.
        loss_scale_factor: float; `scale_loss` multiplies by it, `apply` divides gradients by it.
        gradient_accumulation_steps: int of at least 2; an update is made at every so many calls of
            `apply`, with the mean of the gradients. Iterations, schedules, averages and
            constraints count real updates, so it equals one update with the large batch.
        name: name.

    Raises:
        ValueError: an argument out of range. TypeError: an unusable learning rate.

    Example:

    >>> import optax, stepfit as keras
    >>> class SignSGD(keras.optimizers.Optimizer):
    ...     def transformation(self):
    ...         return optax.scale_by_sign()
    >>> w = keras.Variable([1.0, 2.0])
    >>> SignSGD(learning_rate=0.5).apply([w.value], [w])
    >>> w.numpy()
    array([0.5, 1.5], dtype=float32)
    """

    _on_gradients: Any = None  # told of (optimizer, gradients, variables, scale of the loss)
    _last_slots: tuple[str, ...] = ()  # names of slots that come after all others, as in Keras
    _interleaved = False  # whether all slots of one variable stand together, as in Keras

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        where = type(self).__name__
        if kwargs.pop("decay", None) is not None:
            warnings.warn(
                f"{where}: `decay` has no effect; pass "
                "learning_rate=keras.optimizers.schedules.InverseTimeDecay(...) instead.",
                stacklevel=errors.users_level(),
            )
        if kwargs:
            raise checks.unknown_argument(where, next(iter(kwargs)), SHARED)
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        checks.hyperparameters(where, {n: getattr(self, n) for n in SHARED[1:-1]})
        self._state: Any = None
        self._not_decayed: tuple[list[Variable], re.Pattern[str] | None] = ([], None)
        self._make_state(learning_rate, name)

    # -- what subclasses implement or use ----------------------------------------------------------

    def transformation(self) -> Any:
        """Return the optax transformation that turns gradients into a direction.

        `combine` then applies the learning rate. `update` of the transformation also receives
        ``learning_rate`` and ``iteration`` if it accepts extra arguments.
        """
        raise NotImplementedError(
            f"{type(self).__name__}: expected a method transformation(self) that returns an "
            "optax.GradientTransformation, or update_step(self, gradient, variable, "
            "learning_rate), found neither; define one."
        )

    def combine(self, value, direction, learning_rate):
        """Return a weight's new value, given its direction and the learning rate."""
        return value - learning_rate * direction

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Update one variable; where a subclass overrides this, `transformation` is not used."""
        raise NotImplementedError

    def build(self, variables: Iterable[Variable]) -> None:
        """Make the state for a list of Variables; a second time for the same ones does nothing.

        Raises:
            TypeError: not Variables. ValueError: built for other Variables.
        """
        self._check_super_called()
        where = type(self).__name__
        own: list[Variable] = checks.variables(f"{where}.build(variables)", variables)
        if self.built or self._trainable_variables:
            if list(map(id, own)) != list(map(id, self._trainable_variables)):
                raise checks.foreign(self, own)
            return
        self._trainable_variables = own
        self._index = {id(v): i for i, v in enumerate(own)}
        if self.use_ema:
            self._model_variables_moving_average = self.add_optimizer_variables(own, "average")
        if self.gradient_accumulation_steps:
            self._accumulated = self.add_optimizer_variables(own, "gradient_accumulator")
            self._contributing: set[int] = set()
        if not self._has_update_step():
            self._state = TransformationState(
                optax.with_extra_args_support(self.transformation()), own,
                self._add_from_value, self._last_slots, self._interleaved,
            )  # fmt: skip
        if self.gradient_accumulation_steps:
            self._accumulation_step = self.add_variable((), dtype="int32", name="accumulation_step")
        self._check_decay_names()
        self.built = True

    # -- updating ----------------------------------------------------------------------------------

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Variable:
        """Update from pairs ``(gradient, variable)``; returns `iterations`. See `apply`."""
        pairs = checks.pairs(type(self).__name__, grads_and_vars)
        if pairs:
            self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self.iterations

    def apply(
        self, grads: Iterable[Any], trainable_variables: Iterable[Variable] | None = None
    ) -> None:
        """Update the variables from their gradients.

        Args:
            grads: list of arrays, None for variables without a gradient (they are left alone).
            trainable_variables: the Variables in the order of `grads`; some or all of those that
                the optimizer was built with. The first call builds it if need be.

        Raises:
            ValueError: lengths or shapes differ; Variables of another model; no gradient at all.
        """
        self._check_super_called()
        grads = list(grads)
        if not grads:
            return
        if self.loss_scale_factor is not None:
            self._check_scaled()
        if self._on_gradients is not None:
            self._on_gradients(self, grads, trainable_variables, self.loss_scale_factor)
        self._apply_aligned(self._align(grads, trainable_variables))

    def _apply_aligned(self, grads):
        """Update from one gradient per variable of the optimizer, None where there is none."""
        if self.loss_scale_factor is not None:
            grads = [g if g is None else g / self.loss_scale_factor for g in grads]
        with jax.named_scope(f"optimizer.{self.name}"):
            if self.gradient_accumulation_steps:
                self._accumulate(grads)
            else:
                self._update(grads)

    def stateless_apply(
        self,
        optimizer_variables: Sequence[Any],
        grads: Sequence[Any],
        trainable_variables: Sequence[Any],
    ) -> tuple[list[Any], list[Any]]:
        """Update without side effects, for use inside `jax.jit`.

        Args:
            optimizer_variables: list of arrays in the order of `variables`.
            grads: list of arrays in the order of the Variables the optimizer was built with.
            trainable_variables: list of arrays, the values of those Variables.

        Returns:
            ``(trainable_variables, optimizer_variables)``, two lists of arrays.

        Raises:
            ValueError: not built, lengths or shapes differ, or the lists are exchanged.

        Example:

        >>> import stepfit as keras
        >>> w = keras.Variable([1.0])
        >>> sgd = keras.optimizers.SGD(0.1)
        >>> sgd.build([w])
        >>> weights, state = sgd.stateless_apply(sgd.variables, [w.value], [w.value])
        >>> float(weights[0][0]), int(state[0]), float(w[0])
        (0.8999999761581421, 1, 1.0)
        """
        self._check_super_called()
        checks.stateless_arguments(self, optimizer_variables, grads, trainable_variables)
        weights, own = self._trainable_variables, self.variables
        values = [*trainable_variables, *optimizer_variables]
        values = [v.value if isinstance(v, Variable) else v for v in values]
        with scopes.Scope(zip([*weights, *own], values, strict=True)) as scope:
            self.apply(grads)
        current = scope.get_current_value
        return [current(v) for v in weights], [current(v) for v in own]

    def scale_loss(self, loss: Any) -> Any:
        """Return the loss to differentiate: multiplied by `loss_scale_factor`, if there is one."""
        if self.loss_scale_factor is None:
            return loss
        self._note_scaled()
        return loss * self.loss_scale_factor

    def _note_scaled(self):
        root = scopes.root_scope()
        if root is not None:
            root.scaled_by.add(id(self))

    def _check_scaled(self):
        """Refuse, in a step, to divide by a scale that nothing was multiplied by."""
        root = scopes.root_scope()
        if root is not None and root.is_step and id(self) not in root.scaled_by:
            raise errors.bad_value(
                f"{type(self).__name__}.apply(grads)",
                "the loss to be scaled before it was differentiated",
                "no call of scale_loss in this step", "differentiate optimizer.scale_loss(loss)",
            )  # fmt: skip

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """Set Variables to their moving average, where `use_ema` is on and updates were made.

        Args:
            var_list: Variables; those that another optimizer updates are left alone.

        Raises:
            ValueError: none of them is one that this optimizer updates.
        """
        if not self.use_ema or not self.built:
            return
        var_list = list(var_list)
        known = [v for v in var_list if id(v) in self._index]
        if var_list and not known:
            raise checks.foreign(self, var_list)
        started = self._iterations.value > 0
        for variable in known:
            average = self._model_variables_moving_average[self._index[id(variable)]]
            variable.assign(jnp.where(started, average.value, variable.value))

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Exempt Variables from weight decay; call it before the optimizer is built.

        Args:
            var_list: Variables to exempt.
            var_names: patterns (regular expressions); a Variable whose path, such as
                "encoder/dense/bias", contains one of them is exempt.

        Raises:
            ValueError: the optimizer is built.
        """
        if self.built:
            raise errors.bad_value(
                f"{type(self).__name__}.exclude_from_weight_decay", "an optimizer not yet built",
                "a built one", "call it before compile() or build()",
            )  # fmt: skip
        exempt: list[Variable] = checks.variables("var_list", var_list or ())
        pattern = re.compile("|".join(var_names)) if var_names else None
        self._not_decayed = (exempt, pattern)

    # -- the parts of one update -------------------------------------------------------------------

    def _accumulate(self, grads):
        """Add gradients to their sums, and update with the means at every so many calls."""
        count, steps = self._accumulation_step, self.gradient_accumulation_steps
        for i, (total, g) in enumerate(zip(self._accumulated, grads, strict=True)):
            if g is not None:
                total.assign_add(g)
                self._contributing.add(i)
        count.assign_add(1)

        def finish():
            means = [
                total.value / steps if i in self._contributing else None
                for i, total in enumerate(self._accumulated)
            ]
            self._update(means)
            for variable in [count, *self._accumulated]:
                variable.assign(jnp.zeros(variable.shape, variable.dtype))

        touched = [*self._trainable_variables, *self._variables]
        branch(count.value >= steps, finish, lambda: None, touched)

    def _update(self, grads):
        """Make one update from a list of gradients (None: leave the variable alone)."""
        grads = self._clip(grads)
        moved = [
            (v, g) for v, g in zip(self._trainable_variables, grads, strict=True) if g is not None
        ]
        rate = rates.evaluate(self._learning_rate, self._iterations.value)
        for v, _ in moved:
            decay = self._decay_of(v)
            if decay is not None and self._decays(v):
                v.assign_sub(v.value * (rate * decay).astype(v.dtype))
        if self._has_update_step():
            for v, g in moved:
                self.update_step(g, v, rate)
        else:
            self._transform(grads, rate)
        if self.use_ema:
            self._average()
        for v, _ in moved:
            if v.constraint is not None:
                v.assign(v.constraint(v.value))
        self._iterations.assign_add(1)

    def _clip(self, grads):
        if self.clipnorm:
            return clipping.by_norm(grads, self.clipnorm)
        if self.global_clipnorm:
            return clipping.by_global_norm(grads, self.global_clipnorm)
        return clipping.by_value(grads, self.clipvalue) if self.clipvalue else grads

    def _transform(self, grads, rate):
        """Let the transformation turn gradients into directions, and move the variables."""
        state, variables = self._state, self._trainable_variables
        values = [v.value for v in variables]
        filled = [jnp.zeros_like(v) if g is None else g for g, v in zip(grads, values, strict=True)]
        transformation = optax.with_extra_args_support(self.transformation())
        directions, new = transformation.update(
            state.by_key(filled), state.read(), state.by_key(values),
            learning_rate=rate, iteration=self._iterations.value,
        )  # fmt: skip
        skip = {i for i, g in enumerate(grads) if g is None}
        state.write(new, skip, f"{type(self).__name__}.transformation()")
        for i, (variable, value) in enumerate(zip(variables, values, strict=True)):
            if i not in skip:
                direction = directions[state.keys[i]].astype(variable.dtype)
                own_rate = None if rate is None else rate.astype(variable.dtype)
                variable.assign(self.combine(value, direction, own_rate))

    def _average(self):
        """Move the averages, and at every so many updates set the weights to them."""
        momentum = jnp.where(self._iterations.value == 0, 0.0, self.ema_momentum)
        every = self.ema_overwrite_frequency
        for v, average in zip(
            self._trainable_variables, self._model_variables_moving_average, strict=True
        ):
            share = momentum.astype(v.dtype)
            average.assign(share * average.value + (1 - share) * v.value)
            if every:
                due = (self._iterations.value + 1) % every == 0
                v.assign(jnp.where(due, average.value, v.value))

    # -- checks ------------------------------------------------------------------------------------

    def _align(self, grads, given):
        """Return the gradients in the order of the optimizer's variables, None where absent."""
        where = type(self).__name__
        if given is None:
            if not self.built:
                raise errors.bad_value(
                    f"{where}.apply(grads)", "a built optimizer", "one without variables",
                    "pass apply(grads, trainable_variables)",
                )  # fmt: skip
            given = self._trainable_variables
        else:
            given = checks.variables(f"{where}.apply(trainable_variables)", given)
            if not self.built:
                self.build(given)
            unknown = [v for v in given if id(v) not in self._index]
            if unknown:
                raise checks.foreign(self, unknown)
        if len(grads) != len(given):
            raise errors.bad_value(
                f"{where}.apply(grads)", f"{len(given)} gradients, one per variable",
                f"{len(grads)}",
            )  # fmt: skip
        aligned: list[Any] = [None] * len(self._trainable_variables)
        missing = []
        for gradient, variable in zip(grads, given, strict=True):
            if gradient is None:
                missing.append(variable)
                continue
            checks.gradient(where, gradient, variable)
            cast = jnp.asarray(gradient).astype(variable.dtype)
            aligned[self._index[id(variable)]] = cast
        if len(missing) == len(given):
            raise errors.bad_value(
                f"{where}.apply(grads)", "at least one gradient", f"{len(grads)} times None",
                "compute the loss from these variables",
            )  # fmt: skip
        if missing:
            warnings.warn(
                f"{where}: no gradient for {checks.paths(missing)}; left unchanged. Does the loss "
                "depend on them?",
                stacklevel=errors.users_level(),
            )
        return aligned

    def _decay_of(self, variable):
        return self.weight_decay

    def _decays(self, variable):
        exempt, pattern = self._not_decayed
        if any(variable is v for v in exempt):
            return False
        return not (pattern and pattern.search(variable.path))

    def _check_decay_names(self):
        pattern = self._not_decayed[1]
        if pattern and not any(pattern.search(v.path) for v in self._trainable_variables):
            warnings.warn(
                f"{type(self).__name__}.exclude_from_weight_decay: no variable's path contains "
                f"{pattern.pattern!r}; all are decayed.",
                stacklevel=errors.users_level(),
            )

    def _has_update_step(self):
        return type(self).update_step is not Optimizer.update_step
