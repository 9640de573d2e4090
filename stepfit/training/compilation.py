"""Compilation: what a model is trained with - optimizer, losses, metrics - and their state."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from stepfit import metrics as metrics_module
from stepfit import optimizers as optimizers_module
from stepfit.callbacks import History
from stepfit.core import errors, placement, registry
from stepfit.core.dtypes import DTypePolicy
from stepfit.core.tracking import Watch, walk
from stepfit.core.variable import Variable
from stepfit.distribution import Distribution
from stepfit.metrics import Metric
from stepfit.optimizers import Optimizer
from stepfit.training.batch_loss import BatchLoss
from stepfit.training.compiled import CompiledLoss, CompiledMetrics, LossTracker
from stepfit.training.state_tree import StateTree

if TYPE_CHECKING:
    import optax

_DEFAULT_OPTIMIZER = "rmsprop"
_IN_CONFIGS = ("loss", "loss_weights", "metrics", "weighted_metrics", "run_eagerly",
               "steps_per_execution", "jit_compile")  # fmt: skip
_KINDS_IN_CONFIGS = {
    "optimizer": "optimizer", "loss": "loss", "metrics": "metric", "weighted_metrics": "metric",
}  # fmt: skip
_CHECKS = ("first", "strict")  # values of `compile(check=...)`


class Compilation(BatchLoss, StateTree):
    """Mixin that gives a model `compile`, its losses and metrics, and its training state."""

    # What the model has beside this.
    trainable_variables: list[Variable]
    non_trainable_variables: list[Variable]
    losses: list[Any]
    dtype_policy: DTypePolicy
    _where: Callable[[], str]
    _runner: Callable[[str], Any]
    _is_stock: Callable[[str], bool]

    def __init__(self):
        self._compiled = False
        self._optimizer: Any = None
        self._optimizer_given: Any = None
        self._loss_tracker: Any = None
        self._compiled_loss: Any = None
        self._compiled_metrics: CompiledMetrics | None = None
        self._runners: dict[str, Any] = {}
        self._check = "first"
        self._distribution: Any = None
        self._look: Any = None  # at the forward pass, once there is a first batch
        self.run_eagerly = False
        self.jit_compile: bool | Literal["auto"] | None = "auto"
        self.steps_per_execution: int | Literal["auto"] = "auto"
        self.stop_training = False
        self._training_now = 0  # passes with metrics that are under way
        self.history: History | Any = None  # of the last `fit`

    _untracked_names = frozenset({
        "_compile_arguments", "_compiled_loss", "_compiled_metrics", "_optimizer_given", "_runners",
        "history", "_finds",
    })  # fmt: skip

    def __getstate__(self):
        """A copy, pickled or not, compiles its steps itself."""
        kept = {k: v for k, v in self.__dict__.items() if k not in ("_forward_losses", "_finds")}
        return {**kept, "_runners": {}, "_training_now": 0}

    # -- compile -----------------------------------------------------------------------------------

    @errors.checks_arguments
    def compile(
        self,
        optimizer: "str | dict | Optimizer | optax.GradientTransformation" = _DEFAULT_OPTIMIZER,
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int | Literal["auto"] = "auto",
        jit_compile: bool | Literal["auto"] | None = "auto",
        auto_scale_loss: bool = True,
        check: Literal["first", "strict"] = "first",
        distribution: Distribution | None = None,
    ) -> None:
        """Say how the model is trained.

        Args:
            optimizer: name, `Optimizer`, or any `optax.GradientTransformation`.
            loss: name, `Loss` or callable; for several outputs a list or dict of them.
            loss_weights: number, or list or dict of numbers, per output.
            metrics: list of names, `Metric`s or callables; for several outputs a list of lists or
                a dict. They do not see sample weights.
            weighted_metrics: the same, for metrics that do.
            run_eagerly: run steps without compiling them, to look for mistakes.
            steps_per_execution: number of batches in one dispatch, or "auto": as many as take some
                tenth of a second, one if a callback needs the model after each batch. The numbers
                are the same. With an integer, batch hooks are called once per dispatch.
            jit_compile: False runs steps without compiling them, as in Keras, which is slow.
            auto_scale_loss: whether a float16 policy gets a `LossScaleOptimizer`.
            check: "first" looks at labels and indices in memory or in the first batch; "strict"
                looks at every value of every batch, for NaN too, before it is trained on.
            distribution: how to spread the model and its batches over several devices, see
                docs/distribution.md; default that of the block, else of `set_distribution`.

        Raises:
            ValueError, TypeError: an argument does not name or is not what it should be; the model
                is as it was then.

        Example:

        >>> import numpy as np, stepfit as keras
        >>> model = keras.Sequential([keras.layers.Dense(1)])
        >>> model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
        >>> history = model.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0)
        >>> sorted(history.history)
        ['loss', 'mae']
        """
        if steps_per_execution != "auto":
            expected = "'auto' or a positive int"
            if isinstance(steps_per_execution, bool) or not isinstance(steps_per_execution, int):
                text = isinstance(steps_per_execution, str)
                near = errors.nearest(steps_per_execution, ["auto"]) if text else None
                raise errors.bad_type(
                    "compile(steps_per_execution)", expected, errors.describe(steps_per_execution),
                    f"did you mean {near!r}?" if near else None,
                )  # fmt: skip
            if steps_per_execution < 1:
                raise errors.bad_value(
                    "compile(steps_per_execution)", expected, str(steps_per_execution)
                )
        if check not in _CHECKS:
            raise errors.unknown_name("compile(check)", "check", check, _CHECKS)
        if not (isinstance(jit_compile, bool) or jit_compile in ("auto", None)):
            raise errors.bad_value(
                "compile(jit_compile)", "True, False or 'auto'", errors.describe(jit_compile)
            )
        if not (distribution is None or isinstance(distribution, Distribution)):
            expected = "a distribution such as DataParallel(), or None"
            found = errors.describe(distribution)
            raise errors.bad_type("compile(distribution)", expected, found)
        if jit_compile is False and not run_eagerly:
            warnings.warn(
                "compile(jit_compile=False): steps are not compiled, which makes them many times "
                "slower; leave it out, or pass run_eagerly=True if that is what you want.",
                UserWarning, stacklevel=errors.users_level(),
            )  # fmt: skip
        given = optimizer
        if not (isinstance(optimizer, str) and optimizer == _DEFAULT_OPTIMIZER):
            optimizer = optimizers_module.get(optimizer)
        names = self._output_names()
        compiled_loss = None if loss is None else CompiledLoss(loss, loss_weights, names)
        compiled_metrics = CompiledMetrics(metrics, weighted_metrics, names)
        if loss is None and loss_weights is not None:
            raise errors.bad_value("compile(loss_weights)", "a loss beside it", "loss=None")

        self._optimizer_given = given
        self._optimizer = None if isinstance(optimizer, str) else optimizer
        if auto_scale_loss and self.dtype_policy.compute_dtype == "float16":
            self._optimizer = _scaled(self._optimizer or optimizers_module.get(optimizer))
        self._compiled_loss, self._compiled_metrics = compiled_loss, compiled_metrics
        if loss is not None:
            self.__dict__.pop("loss", None)
        self._loss_tracker = LossTracker(name="loss")
        self.run_eagerly = bool(run_eagerly)
        self.jit_compile = jit_compile
        self._check = check
        self._distribution = distribution or placement.of_block()
        self.steps_per_execution = steps_per_execution
        self.stop_training = False
        self._compiled = True
        self._look = None
        self._compile_arguments = {
            "optimizer": given, "loss": loss, "loss_weights": loss_weights, "metrics": metrics,
            "weighted_metrics": weighted_metrics, "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution, "jit_compile": jit_compile,
            "check": check,
        }  # fmt: skip
        self._changed()

    def get_compile_config(self) -> dict[str, Any]:
        """Return what `compile` was given as plain data; for a model not compiled an empty dict.

        Where a part of it has no config, that is a warning, and the dict is empty: a trained model
        is not lost for that.
        """
        if not self._compiled:
            return {}
        given, scaled = self._compile_arguments, optimizers_module.LossScaleOptimizer
        optimizer = self.optimizer
        if isinstance(optimizer, scaled) and not isinstance(given["optimizer"], scaled):
            optimizer = optimizer.inner_optimizer  # `compile` will wrap it again
        config = {key: given[key] for key in _IN_CONFIGS}
        if config["steps_per_execution"] == "auto":  # Keras's files know numbers only
            config["steps_per_execution"] = 1
        try:
            return registry.serialize({"optimizer": optimizer, **config})
        except errors.StepfitError as e:  # such as an optax transformation, made of functions
            warnings.warn(f"{errors.NOT_COMPILED} {e}", stacklevel=errors.users_level())
            return {}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config` says.

        A `compile` of the user's own is not called, for what it takes is not known: that is a
        warning. Such a class overrides `get_compile_config` and this method, too.

        Args:
            config: dict; an empty one does nothing.
        """
        if not config:
            return
        if self._has_own_compile:
            warnings.warn(
                f"{self._where()} compile_from_config: it was not compiled, because its class has "
                "a compile() of its own, whose arguments no file holds. Call compile as before, "
                "and then load_weights with the same file for the state of optimizers; or define "
                "get_compile_config and compile_from_config in the class (docs/saving.md).",
                stacklevel=errors.users_level(),
            )
            return
        given = {
            key: registry.deserialize(value, kind=_KINDS_IN_CONFIGS.get(key))
            for key, value in config.items()
        }
        if given.get("steps_per_execution") == 1:
            given["steps_per_execution"] = "auto"
        if given.get("jit_compile") is False:  # which Keras writes for "auto" on other engines
            given["jit_compile"] = "auto"
        self.compile(**given)

    @property
    def _has_own_compile(self):
        return type(self).compile is not Compilation.compile

    def _changed(self):
        """Forget compiled functions: the model is not what they were made for."""
        self._runners = {}

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._compiled

    @compiled.setter
    def compiled(self, value: bool) -> None:
        if value and "_compile_arguments" not in self.__dict__:
            raise errors.bad_value(
                f"{self._where()} compiled", "compile() to be called", "True set before that"
            )
        self._compiled = bool(value)

    @property
    def optimizer(self) -> Optimizer | Any:
        """The optimizer given to `compile`; the default one is made when first asked for."""
        if self._optimizer is None and self._optimizer_given is not None:
            self._optimizer = optimizers_module.get(self._optimizer_given)
        return self._optimizer

    @optimizer.setter
    def optimizer(self, value: Any) -> None:
        self._optimizer = None if value is None else optimizers_module.get(value)

    @property
    def loss(self):
        """What `compile` was given as loss, or what was set here for a step of one's own."""
        given = None if self._compiled_loss is None else self._compiled_loss.given
        return self.__dict__.get("loss", given)

    @loss.setter
    def loss(self, value):
        given = None if self._compiled_loss is None else self._compiled_loss.given
        if given is not None and value is not given and self._is_stock("train"):
            raise errors.bad_value(
                f"{self._where()} loss", "the loss that compile() was given",
                "another one, which the built-in train_step would not use",
                "call compile(loss=...) again",
            )  # fmt: skip
        self.__dict__["loss"] = value

    def _scale_loss(self):
        """Put a `LossScaleOptimizer` around the optimizer, as `compile` does for float16."""
        if not hasattr(self.optimizer, "inner_optimizer"):
            self._optimizer = _scaled(self.optimizer)

    def _require_optimizer(self):
        if self.optimizer is None:
            raise errors.StepfitValueError(
                f"{self._where()} train_step: expected an optimizer, found None; call "
                "compile(optimizer=..., loss=...) first."
            )
        return self.optimizer

    def _output_names(self):
        """Names of the outputs, where the model's graph knows them."""
        graph = getattr(self, "_graph", None)
        if graph is None:
            return None
        return [t.node.operation.name for t in graph.output_tensors]

    def _kept(self, name, find):
        """Return ``find()``, remembered until something about the model changes."""
        watch, found = self.__dict__.get("_finds", (None, None))
        if watch is None or watch.changed():
            found = {}
            self.__dict__["_finds"] = (Watch(self), found)
        if name not in found:
            found[name] = find()
        return found[name]

    # -- metrics and losses ------------------------------------------------------------------------

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that are reported and reset: the loss, the compiled ones, and attributes."""
        return list({id(m): m for m in self._own_metrics()}.values())

    def _own_metrics(self):
        return self._kept("metrics", self._find_metrics)

    def _find_metrics(self):
        held = [m for m in self._held_metrics() if m is not self._loss_tracker]
        found = []
        if self._loss_tracker is not None and all(m.name != "loss" for m in held):
            found.append(self._loss_tracker)
        compiled = self._compiled_metrics
        found += [] if compiled is None else compiled.others
        found += [] if self._compiled_loss is None else self._compiled_loss.parts
        found += [] if compiled is None else compiled.of_named_outputs
        return found + held

    def _held_metrics(self):
        inside = self._of_inner_models("_loss_tracker")
        metrics = walk(self, lambda x: isinstance(x, metrics_module.Metric), enter=_not_optimizer)
        for metric in metrics:
            inside |= {id(m) for m in walk(metric, lambda x: isinstance(x, metrics_module.Metric))}
        return [m for m in metrics if id(m) not in inside]

    def _all_metrics(self):
        stock = type(self).metrics is Compilation.metrics
        found = [*(() if stock else self.metrics), *self._own_metrics()]
        if self._loss_tracker is not None:
            found.append(self._loss_tracker)
        return list({id(m): m for m in found}.values())

    @property
    def metrics_names(self) -> list[str]:
        """Names of the metrics."""
        return [m.name for m in self.metrics]

    def reset_metrics(self) -> None:
        """Start every metric of the model over."""
        for metric in self._all_metrics():
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """Return ``{name: value}`` of the model's metrics, nested results flattened."""
        results: dict[str, Any] = {}
        nested: set[str] = set()  # keys that came from dicts
        for metric in self.metrics:
            value = metric.result()
            parts = value if isinstance(value, dict) else {metric.name: value}
            for name in parts:
                if name in results and (isinstance(value, dict) or name in nested):
                    raise errors.bad_value(
                        f"{self._where()} metrics", "results with different names",
                        f"{name!r} twice, the second from metric {metric.name!r}",
                        "give one of them another name or key",
                    )  # fmt: skip
            if isinstance(value, dict):
                nested.update(value)
            results.update(parts)
        return results

    @property
    def metrics_variables(self) -> list[Variable]:
        """The Variables of the metrics, in the order of `metrics`."""
        return [v for m in self.metrics for v in m.variables]

    # -- the state -------------------------------------------------------------------------------

    def _optimizers(self):
        return self._kept("optimizers", self._find_optimizers)

    def _find_optimizers(self):
        theirs = self._of_inner_models("_optimizer") - {id(self._optimizer)}
        found = walk(
            self, lambda x: isinstance(x, optimizers_module.Optimizer), enter=_not_optimizer
        )
        return [o for o in found if id(o) not in theirs]

    def _of_inner_models(self, attribute):
        """ids of what compiled models within this one have for their own training."""
        models = walk(self, lambda x: isinstance(x, Compilation), enter=_not_optimizer)
        return {id(getattr(m, attribute)) for m in models}

    def _state_part(self, name):
        """Return the Variables of one part of the training state."""
        if name == "optimizer_variables":
            found = [v for o in self._optimizers() for v in o.variables]
            return list({id(v): v for v in found}.values())
        return list({id(v): v for v in getattr(self, name)}.values())

    def _hidden_variables(self):
        """Variables of trackers that an overridden `metrics` does not list."""
        return [v for m in self._all_metrics() for v in m.variables]


def _not_optimizer(item):
    return not isinstance(item, optimizers_module.Optimizer)


def _scaled(optimizer):
    if isinstance(optimizer, optimizers_module.LossScaleOptimizer):
        return optimizer
    return optimizers_module.LossScaleOptimizer(optimizer)
