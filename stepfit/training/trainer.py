"""Trainer: `fit`, `evaluate`, `predict` and the calls on single batches.

How a batch travels: `make_source` turns the user's data into batches; a `Pass` hands them, some at
a time, to a `Runner`, which runs the step on each; the logs go to the callbacks, and the last logs
of an epoch into History. How a weight travels: the `Runner` gathers the model's Variables into one
cell, the step returns new values for it, and every Variable reads its value there.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from stepfit.callbacks import BackupAndRestore, Callback, CallbackList, History
from stepfit.callbacks.optimizers import inner
from stepfit.core import errors, placement
from stepfit.training import arguments, default_steps
from stepfit.training.compilation import Compilation
from stepfit.training.data import make_source, split_validation, unpack_validation_data
from stepfit.training.data.class_weight import weigh_batch
from stepfit.training.dry_run import DryRunner
from stepfit.training.engine import Runner
from stepfit.training.fit_loop import FitLoop
from stepfit.training.interrupts import SafeInterrupts
from stepfit.training.logs import Outputs, to_floats
from stepfit.training.look import Look
from stepfit.training.passes import Pass
from stepfit.training.progress import Progress
from stepfit.training.report import ExecutionReport, report_of
from stepfit.training.values import ValueChecks
from stepfit.utils import unpack_x_y_sample_weight

Verbosity = Literal["auto", 0, 1, 2] | bool
Callbacks = Callback | Iterable[Callback] | None


class Trainer(Compilation):
    """Mixin that gives a model its training loop."""

    # What the model has beside this.
    built: bool
    _has_call: Callable[[], bool]
    _count_as_built: Callable[[], None]
    _forget_call: Callable[[], None]

    train_step = default_steps.train_step
    test_step = default_steps.test_step
    predict_step = default_steps.predict_step

    def _runner(self, kind):
        eager = "run_eagerly=True" if self.run_eagerly else None
        if eager is None and self.jit_compile is False:
            eager = "jit_compile=False"
        runner = self._runners.get(kind)
        if runner is None or (runner.why_eager, runner.steps) != (eager, self.steps_per_execution):
            runner = self._runners[kind] = Runner(self, kind, eager, self.steps_per_execution)
        return runner

    def execution_report(self) -> ExecutionReport:
        """Return how the steps of this model were run so far, and why.

        Returns:
            A mapping from "train", "test" and "predict" to a `StepReport`; `print` it.

        Example:

        >>> import numpy as np, stepfit as keras
        >>> model = keras.Sequential([keras.layers.Dense(1)])
        >>> model.compile(optimizer="sgd", loss="mse")
        >>> history = model.fit(np.ones((64, 2)), np.ones((64, 1)), batch_size=8, verbose=0)
        >>> report = model.execution_report()
        >>> report["train"].steps, report["train"].programs[0].fused
        (8, True)
        """
        return ExecutionReport({kind: report_of(r) for kind, r in self._runners.items() if r.step})

    def _ready(self, kind, batch):
        """Build and check everything that the first batch shows to be needed."""
        if self._runner(kind).knows(batch):
            return
        with placement.within(self._distribution):
            self._make_ready(kind, batch)

    def _make_ready(self, kind, batch):
        step = getattr(type(self), f"{kind}_step")
        default = getattr(step, "_serves_both_styles", False)
        if default and kind != "predict" and not self._compiled:
            raise errors.StepfitValueError(
                f"{self._where()}: expected a compiled model, found one that is not; call "
                "compile(optimizer=..., loss=...) first."
            )
        if default and not self._has_call():
            raise errors.StepfitRuntimeError(
                f"{self._where()} {kind}_step: expected a `call` method or (inputs, outputs), "
                f"found neither; define `def call(self, inputs): ...`, or an own {kind}_step."
            )
        self._build_from_batch(batch, required=default, needs_targets=kind != "predict")
        if kind == "train" and self._compiled and default:
            if not self.trainable_variables:
                raise errors.bad_value(
                    f"{self._where()} fit", "at least one trainable variable", "none",
                    "hold layers in attributes of the model, and check `trainable`",
                )  # fmt: skip
            if self._look is not None:
                self._look.check_held(self)
        if kind == "train" and self._optimizer is None and default:
            self._optimizer = self.optimizer
        if kind == "train" and self._optimizer is not None and not self._optimizer.built:
            if self.trainable_variables:
                self._optimizer.build(self.trainable_variables)
        elif kind == "train" and self._optimizer is not None and default:
            self._check_optimizer()
        had_optimizer = self._optimizer is not None
        try:
            self._runner(kind).prepare(batch)
        except Exception:
            if kind != "train" or had_optimizer or self._optimizer is None:
                raise
            # The step asked for the default optimizer, which was made just then.
            self._optimizer.build(self.trainable_variables)
            self._runner(kind).prepare(batch)
        self._count_as_built()

    def _build_from_batch(self, batch, required, needs_targets):
        """Trace the forward pass, to make variables and to match losses and metrics to outputs."""
        loss, metrics = self._compiled_loss, self._compiled_metrics
        unmatched = (loss is not None and loss.terms is None) or (
            metrics is not None and metrics.metrics is None
        )
        if self.built and not unmatched:
            return
        if not self._has_call():
            if metrics is not None and metrics.metrics is None and not _any_given(metrics):
                metrics.build(None, ())
            return
        built, look = self.built, None
        try:
            x, y, _ = unpack_x_y_sample_weight(batch)
            look = Look(self, x)
            self.__dict__["_look"] = look  # past __setattr__: a look changes nothing
            y_pred = look.outputs
            if loss is not None and y is not None:
                plain = required and self._is_stock("train")
                loss.build(y, y_pred, look.linear if plain else ())
            if metrics is not None and (y is not None or not _any_given(metrics)):
                metrics.build(y, y_pred)
        except Exception:
            if not built and look is None:
                self._forget_call()
            if required:
                raise
            return  # an own step may feed `call` and its losses with something else than the batch
        if metrics is not None and metrics.metrics is None and required and needs_targets:
            raise errors.bad_value(
                "y", "targets, because compile() was given metrics", "None", "pass y"
            )

    def _is_stock(self, kind):
        """Say whether a step and its loss are those of the library."""
        step = getattr(type(self), f"{kind}_step")
        stock = getattr(step, "_serves_both_styles", False)
        return stock and type(self).compute_loss is Compilation.compute_loss

    def _check_optimizer(self):
        """Raise where there are trainable variables that came after the optimizer was built."""
        optimizer = inner(self._optimizer)
        known = {id(v) for v in optimizer._trainable_variables}
        new = [v.path for v in self.trainable_variables if id(v) not in known]
        if new and len(new) < len(self.trainable_variables):
            raise errors.bad_value(
                f"{self._where()} fit", "the trainable variables that the optimizer was built for",
                f"{len(new)} more, such as {new[0]!r}",
                "after unfreezing or adding layers call compile() again, with a new optimizer",
            )  # fmt: skip

    # -- fit, evaluate, predict --------------------------------------------------------------------

    @errors.checks_arguments
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Verbosity = "auto",
        callbacks: Callbacks = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | Literal["batch"] = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Iterable[int] = 1,
        dry_run: bool = False,
    ) -> History:
        """Train the model.

        Args:
            x: arrays, sparse ones too (also in lists or dicts), a generator, an iterable of
                batches, a `PyDataset`, `tf.data.Dataset` or torch DataLoader, a dataset of grain or
                Hugging Face: docs/data.md.
            y: targets, for arrays; names of columns, for Hugging Face datasets.
            batch_size: samples per batch, for arrays; default 32.
            epochs: the epoch to stop after.
            verbose: 0 silent, 1 progress bar, 2 one line per epoch, "auto" (1).
            callbacks: list of `Callback`s.
            validation_split: fraction of the arrays, taken from the end, to validate on.
            validation_data: ``(x, y)``, ``(x, y, sample_weight)``, or any source of batches.
            shuffle: whether arrays are shuffled anew in each epoch; "batch" shuffles whole batches.
            class_weight: dict from class index to weight.
            sample_weight: weights, for arrays.
            initial_epoch: the epoch to begin with.
            steps_per_epoch: batches per epoch; needed for endless sources.
            validation_steps: batches to validate on.
            validation_batch_size: samples per batch of validation arrays; default `batch_size`.
            validation_freq: validate every so many epochs, or after the epochs in a list.
            dry_run: build, check and compile everything, train nothing, and return a `DryRun` that
                says what would be done.

        Returns:
            A `History`: ``history.history`` maps each name to its values, one per epoch.

        Raises:
            ValueError, TypeError: naming the argument; the model is as it was then.
        """
        with SafeInterrupts() as interrupts, contextlib.ExitStack() as held:
            dry = held.enter_context(DryRunner(self, arguments.flag(dry_run, "fit(dry_run)")))
            initial_epoch, epochs = arguments.epochs(initial_epoch, epochs)
            validate_after = arguments.validation_epochs(validation_freq)
            if validation_split and validation_data is None:
                (x, y, sample_weight), validation_data = split_validation(
                    x, y, sample_weight, validation_split
                )
            x, validation_data = dry.data(x), dry.data(validation_data)
            source = held.enter_context(make_source(
                x, y, sample_weight, batch_size=batch_size, shuffle=shuffle, steps=steps_per_epoch,
                class_weight=class_weight, seed=dry.seed(x, shuffle),
            ))  # fmt: skip
            validation = None
            validation_batch_size = arguments.validation(
                validation_data, validation_steps, validation_batch_size
            )
            if validation_data is not None:
                vx, vy, vw = unpack_validation_data(validation_data)
                validation = held.enter_context(make_source(
                    vx, vy, vw, batch_size=validation_batch_size or batch_size,
                    steps=validation_steps, argument="validation_data",
                    steps_argument="validation_steps",
                ))  # fmt: skip
            if dry.wanted:
                hooks = dry.hooks(callbacks, verbose)
            else:
                hooks = self._callback_list(callbacks, verbose, epochs, source, history=True)
            if validation is not None and validation_freq != 1 and not dry.wanted:
                # there are epochs in which no val_... is due
                hooks.set_params({**hooks.params, "validation_freq": validation_freq})
            source.keeps_states = any(isinstance(c, BackupAndRestore) for c in hooks.callbacks)
            self._ready("train", source.form())
            source = ValueChecks(self, "train").source(source)
            if validation is not None:
                with arguments.naming("validation_data"):
                    self._ready("test", validation.form())
                validation = ValueChecks(self, "test").source(validation, "validation_data")
            arguments.check_monitors(hooks.callbacks, self._log_names(validation))
            if dry.wanted:
                return dry.report(source, validation, hooks, epochs - initial_epoch)

            self.stop_training = False
            progress = Progress(initial_epoch, source, hooks.callbacks, validation)
            FitLoop(self, progress, epochs, hooks, interrupts, validation, validate_after).run()
        return self.history

    @errors.checks_arguments
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Verbosity = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Callbacks = None,
        return_dict: bool = False,
    ) -> Any:
        """Return the loss and the metrics on some data.

        Args:
            x, y, sample_weight, batch_size: as in `fit`.
            verbose: 0 silent, 1 progress bar, 2 one line, "auto" (1).
            steps: number of batches.
            callbacks: list of `Callback`s.
            return_dict: return ``{name: value}``.

        Returns:
            The loss if there are no metrics, else a list: the loss, then the metrics in the order
            of `metrics_names`; or a dict.
        """
        with SafeInterrupts() as interrupts, contextlib.ExitStack() as held:
            source = make_source(x, y, sample_weight, batch_size=batch_size, steps=steps,
                                 steps_argument="steps")  # fmt: skip
            held.enter_context(source)
            self._ready("test", source.form())
            source = ValueChecks(self, "test").source(source)
            hooks = self._callback_list(callbacks, verbose, 1, source)
            results = self._evaluate(source, hooks, interrupts)
        return results if return_dict else self._in_order(results)

    def _evaluate(self, source, hooks, interrupts):
        with self._metrics_apart():
            hooks.on_test_begin()
            logs = self._run_pass("test", source, 0, hooks, interrupts)
            hooks.on_test_end(logs)
        return logs

    @errors.checks_arguments
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Verbosity = "auto",
        steps: int | None = None,
        callbacks: Callbacks = None,
    ) -> Any:
        """Return the model's outputs for some data, as NumPy arrays.

        Args:
            x: inputs, as in `fit`.
            batch_size, verbose, steps, callbacks: as in `evaluate`.

        Returns:
            Arrays in the structure of the model's outputs, batches joined along axis 0.
        """
        with SafeInterrupts() as interrupts, contextlib.ExitStack() as held:
            source = make_source(x, batch_size=batch_size, steps=steps, steps_argument="steps")
            held.enter_context(source)
            self._ready("predict", source.form())
            source = ValueChecks(self, "predict").source(source, targets=False)
            hooks = self._callback_list(callbacks, verbose, 1, source)
            outputs = Outputs(source.num_samples)
            hooks.on_predict_begin()
            self._run_pass("predict", source, 0, hooks, interrupts, outputs.add)
            hooks.on_predict_end()
        return outputs.joined()

    def _log_names(self, validation):
        """Return the names that the logs of an epoch will have; None where no step was traced."""
        names = list(self._runner("train").log_names)
        if validation is not None:
            of_test = self._runner("test").log_names
            names = [*names, *(f"val_{name}" for name in of_test)] if of_test else []
        return names or None

    def _run_pass(
        self, kind, source, epoch, callbacks, interrupts, collect=None, more=False, meanwhile=None,
        progress=None, guard=None,
    ):  # fmt: skip
        """Run one kind of step over an epoch of a source; returns the last logs."""
        self._training_now += kind == "train"
        try:
            one_pass = Pass(
                self._runner(kind), source, epoch, callbacks, interrupts, collect=collect,
                more=more, meanwhile=meanwhile, progress=progress, guard=guard,
                stopped=lambda: self.stop_training and kind == "train",
            )  # fmt: skip
            last = one_pass.run(lambda batch: self._ready(kind, batch))
        finally:
            self._training_now -= kind == "train"
        return {} if last is None or collect is not None else last.logs()

    @contextlib.contextmanager
    def _metrics_apart(self):
        """Give the block metrics of its own: a pass that is under way keeps its."""
        kept = []
        if self._training_now:
            kept = [(v, v.value) for m in self._all_metrics() for v in m.variables]
        self.reset_metrics()
        self._training_now += 1  # a hook in the block may evaluate, too
        try:
            yield
        finally:
            self._training_now -= 1
            for variable, value in kept:
                variable.assign(value)

    def _callback_list(self, callbacks, verbose, epochs, source, history=False):
        if isinstance(callbacks, CallbackList):
            return callbacks
        verbose = arguments.verbosity(verbose)
        steps = source.num_batches
        made = CallbackList(
            callbacks, add_history=history, add_progbar=verbose != 0, verbose=verbose,
            epochs=epochs, steps=steps, model=self,
        )  # fmt: skip
        if history:
            self.history = made.history
        return made

    def _in_order(self, logs):
        ordered = [logs[name] for name in self.metrics_names if name in logs]
        ordered += [v for k, v in logs.items() if k not in self.metrics_names]
        return ordered[0] if len(ordered) == 1 else ordered

    # -- single batches ----------------------------------------------------------------------------

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Run one training step on one batch.

        Args:
            x, y, sample_weight: one batch of arrays.
            class_weight: dict from class index to weight.
            return_dict: return ``{name: value}``.

        Returns:
            Loss and metrics of this batch alone, as in `evaluate`.
        """
        return self._on_batch("train", x, y, sample_weight, return_dict, class_weight)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Evaluate one batch; arguments and result as in `train_on_batch`."""
        return self._on_batch("test", x, y, sample_weight, return_dict)

    def _on_batch(self, kind, x, y, sample_weight, return_dict, class_weight=None):
        data = arguments.one_batch(x, y, sample_weight)
        if class_weight is not None:
            data = weigh_batch(data, class_weight, "x", 0)
        self._ready(kind, data)
        ValueChecks(self, kind).batch(data)
        with SafeInterrupts() as interrupts, self._metrics_apart():
            logs = to_floats(interrupts.shield(self._runner(kind).run_batch, data))
        return logs if return_dict else self._in_order(logs)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the model's outputs for one batch, as NumPy arrays."""
        data = arguments.one_batch(x, None, None)
        self._ready("predict", data)
        ValueChecks(self, "predict").batch(data, targets=False)
        return self._runner("predict").run_batch(data)


def _any_given(metrics):
    return any(v is not None for v in metrics.given.values())
