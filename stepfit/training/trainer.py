"""Trainer: `compile`, `fit`, `evaluate`, `predict` and the calls on single batches.

How a batch travels: `make_source` turns the user's data into batches; `_run_pass` hands them to a
`Runner`, which runs the step; the step's logs go to the callbacks, and the last logs of an epoch
into History. How a weight travels: the `Runner` gathers the model's Variables into one cell, the
step returns new values for it, and every Variable reads its value there.
"""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np

from stepfit import losses as losses_module
from stepfit import metrics as metrics_module
from stepfit import optimizers as optimizers_module
from stepfit.callbacks import CallbackList
from stepfit.core import errors
from stepfit.core import scope as scopes
from stepfit.core.tracking import walk
from stepfit.training import default_steps
from stepfit.training.compiled import CompiledLoss, CompiledMetrics, LossTracker
from stepfit.training.data import make_source, split_validation, unpack_validation_data
from stepfit.training.data.class_weight import weigh_batch
from stepfit.training.engine import LazyLogs, Runner, to_floats
from stepfit.training.interrupts import SafeInterrupts
from stepfit.utils import unpack_x_y_sample_weight

_DEFAULT_OPTIMIZER = "rmsprop"


class Trainer:
    """Mixin that gives a model its training loop."""

    train_step = default_steps.train_step
    test_step = default_steps.test_step
    predict_step = default_steps.predict_step

    def __init__(self):
        self._compiled = False
        self._optimizer = None
        self._optimizer_given = None
        self._loss_tracker = None
        self._compiled_loss = None
        self._compiled_metrics = None
        self._runners = {}
        self.run_eagerly = False
        self.jit_compile = "auto"
        self.steps_per_execution = 1
        self.stop_training = False
        self.history = None

    _untracked_names = frozenset({"_compiled_loss", "_compiled_metrics", "_runners", "history"})

    # -- compile -----------------------------------------------------------------------------------

    def compile(
        self,
        optimizer=_DEFAULT_OPTIMIZER,
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        auto_scale_loss=True,
    ):
        """Say how the model is trained.

        Args:
            optimizer: name, `Optimizer`, or any `optax.GradientTransformation`.
            loss: name, `Loss` or callable; for several outputs a list or dict of them.
            loss_weights: number, or list or dict of numbers, per output.
            metrics: list of names, `Metric`s or callables; for several outputs a list of lists or
                a dict. They do not see sample weights.
            weighted_metrics: the same, for metrics that do.
            run_eagerly: run steps without compiling them, to look for mistakes.
            steps_per_execution: number of batches in one dispatch; batch hooks of callbacks are
                called once per dispatch.
            jit_compile: False runs steps without compiling them.
            auto_scale_loss: whether a float16 policy gets a `LossScaleOptimizer`.

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
        if isinstance(steps_per_execution, bool) or not isinstance(steps_per_execution, int):
            raise errors.bad_type(
                "compile(steps_per_execution)", "a positive int", steps_per_execution
            )
        if steps_per_execution < 1:
            raise errors.bad_value(
                "compile(steps_per_execution)", "a positive int", str(steps_per_execution)
            )
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
        self._loss_tracker = LossTracker(name="loss")
        self.run_eagerly = bool(run_eagerly)
        self.jit_compile = jit_compile
        self.steps_per_execution = steps_per_execution
        self.stop_training = False
        self._compiled = True
        self._compile_arguments = {
            "optimizer": given, "loss": loss, "loss_weights": loss_weights, "metrics": metrics,
            "weighted_metrics": weighted_metrics, "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution, "jit_compile": jit_compile,
        }  # fmt: skip
        self._changed()

    def _changed(self):
        """Forget compiled functions: the model is not what they were made for."""
        self._runners = {}

    @property
    def compiled(self):
        """Whether `compile` was called."""
        return self._compiled

    @property
    def optimizer(self):
        """The optimizer given to `compile`; the default one is made when first asked for."""
        if self._optimizer is None and self._optimizer_given is not None:
            self._optimizer = optimizers_module.get(self._optimizer_given)
        return self._optimizer

    @optimizer.setter
    def optimizer(self, value):
        self._optimizer = None if value is None else optimizers_module.get(value)

    @property
    def loss(self):
        """What `compile` was given as loss."""
        return None if self._compiled_loss is None else self._compiled_loss.given

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
        if graph is None or isinstance(graph.outputs, dict):
            return None
        return [t.node.operation.name for t in graph.output_tensors]

    # -- metrics and losses ------------------------------------------------------------------------

    @property
    def metrics(self):
        """The metrics that are reported and reset: the loss, the compiled ones, and attributes."""
        return list({id(m): m for m in self._own_metrics()}.values())

    def _own_metrics(self):
        held = [m for m in self._held_metrics() if m is not self._loss_tracker]
        found = []
        if self._loss_tracker is not None and all(m.name != "loss" for m in held):
            found.append(self._loss_tracker)
        if self._compiled_metrics is not None:
            found += self._compiled_metrics.all
        if self._compiled_loss is not None:
            found += self._loss_parts()
        return found + held

    def _held_metrics(self):
        inside = set()
        metrics = walk(self, lambda x: isinstance(x, metrics_module.Metric), enter=_not_optimizer)
        for metric in metrics:
            inside |= {id(m) for m in walk(metric, lambda x: isinstance(x, metrics_module.Metric))}
        return [m for m in metrics if id(m) not in inside]

    def _loss_parts(self):
        if not hasattr(self._compiled_loss, "parts") and self._compiled_loss.terms is not None:
            self._compiled_loss.parts = self._compiled_loss.trackers()
        return getattr(self._compiled_loss, "parts", [])

    def _all_metrics(self):
        both = [*self.metrics, *Trainer._own_metrics(self)]
        if self._loss_tracker is not None:
            both.append(self._loss_tracker)
        return list({id(m): m for m in both}.values())

    @property
    def metrics_names(self):
        """Names of the metrics."""
        return [m.name for m in self.metrics]

    def reset_metrics(self):
        """Start every metric of the model over."""
        for metric in self._all_metrics():
            metric.reset_state()

    def get_metrics_result(self):
        """Return ``{name: value}`` of the model's metrics, nested results flattened."""
        results = {}
        for metric in self.metrics:
            value = metric.result()
            results.update(value if isinstance(value, dict) else {metric.name: value})
        return results

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
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
            kept = getattr(scope, "forward_losses", {})
            if id(self) in kept:
                return kept.pop(id(self))
            scope = scope.parent
        kept = self.__dict__.pop("_forward_losses", None)
        if kept is not None:
            try:
                return [jnp.asarray(loss) + 0 for loss in kept]
            except jax.errors.UnexpectedTracerError:
                pass  # they belong to a trace that is over
        return self.losses

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Update the compiled metrics with one batch and return `get_metrics_result()`."""
        if self._compiled_metrics is not None and y is not None:
            self._compiled_metrics.update(y, y_pred, sample_weight)
        for part in self._loss_parts() if self._compiled_loss is not None else []:
            part.update_state(y, y_pred, sample_weight=sample_weight)
        return self.get_metrics_result()

    def stateless_compute_loss(
        self,
        trainable_variables,
        non_trainable_variables,
        metrics_variables,
        x=None,
        y=None,
        y_pred=None,
        sample_weight=None,
        training=True,
    ):
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
        pairs = []
        for name, variables, values in groups:
            values = list(values)
            if len(values) != len(variables):
                raise errors.bad_value(
                    f"{self._where()} stateless_compute_loss({name})", f"{len(variables)} values",
                    f"{len(values)}", f"pass the values of `.{name}`, in that order",
                )  # fmt: skip
            pairs += zip(variables, values, strict=True)
        with scopes.Scope(pairs, collect_losses=True) as scope:
            loss = self.compute_loss(x, y, y_pred, sample_weight, training=training)
        new = tuple([scope.get_current_value(v) for v in variables] for _, variables, _ in groups)
        return loss, new

    @property
    def metrics_variables(self):
        """The Variables of the metrics, in the order of `metrics`."""
        return [v for m in self.metrics for v in m.variables]

    # -- the state -------------------------------------------------------------------------------

    def _optimizers(self):
        return walk(
            self, lambda x: isinstance(x, optimizers_module.Optimizer), enter=_not_optimizer
        )

    def _state_part(self, name):
        """Return the Variables of one part of the training state."""
        if name == "optimizer_variables":
            found = [v for o in self._optimizers() for v in o.variables]
            return list({id(v): v for v in found}.values())
        return list({id(v): v for v in getattr(self, name)}.values())

    def _hidden_variables(self):
        """Variables of trackers that an overridden `metrics` does not list."""
        return [v for m in self._all_metrics() for v in m.variables]

    def get_state(self, kind="train"):
        """Return the current values of everything a step may change, as a `TrainState`.

        Args:
            kind: "train" (four parts), "test" (three) or "predict" (two).
        """
        return self._runner(kind).layout().state(lambda v: v.value)

    def set_state(self, state):
        """Write a state back to the model, its optimizers and metrics.

        Args:
            state: a `TrainState`, or the plain tuple of lists with 4, 3 or 2 parts: as a loop of
                your own leaves them.

        Raises:
            ValueError: the parts do not fit; nothing is changed then.
        """
        parts = list(state)
        kinds = {4: "train", 3: "test", 2: "predict"}
        if len(parts) not in kinds:
            raise errors.bad_value("set_state(state)", "4, 3 or 2 parts", str(len(parts)))
        layout = self._runner(kinds[len(parts)]).layout()
        pairs = []
        for (name, variables), values in zip(layout.parts.items(), parts, strict=True):
            values = list(values)
            if len(values) != len(variables):
                raise errors.bad_value(
                    f"set_state(state) part {name!r}", f"{len(variables)} values", f"{len(values)}"
                )
            pairs += [(v, v.conform(value)) for v, value in zip(variables, values, strict=True)]
        for v, value in pairs:
            v.assign(value)

    def _runner(self, kind):
        if kind not in self._runners:
            eager = self.run_eagerly or self.jit_compile is False
            self._runners[kind] = Runner(self, kind, eager, self.steps_per_execution)
        return self._runners[kind]

    def _ready(self, kind, batch):
        """Build and check everything that the first batch shows to be needed."""
        step = getattr(type(self), f"{kind}_step")
        default = getattr(step, "_serves_both_styles", False)
        if default and kind != "predict" and not self._compiled:
            raise errors.StepfitValueError(
                f"{self._where()}: expected a compiled model, found one that is not; call "
                "compile(optimizer=..., loss=...) first."
            )
        self._build_from_batch(batch, required=default)
        if kind == "train" and self._compiled and default:
            if not self.trainable_variables:
                raise errors.bad_value(
                    f"{self._where()} fit", "at least one trainable variable", "none",
                    "hold layers in attributes of the model, and check `trainable`",
                )  # fmt: skip
        if kind == "train" and self._optimizer is None and default:
            self._optimizer = self.optimizer
        if kind == "train" and self._optimizer is not None and not self._optimizer.built:
            if self.trainable_variables:
                self._optimizer.build(self.trainable_variables)
        self._runner(kind).prepare(batch)

    def _build_from_batch(self, batch, required):
        """Trace the forward pass, to make variables and to match losses and metrics to outputs."""
        loss, metrics = self._compiled_loss, self._compiled_metrics
        unmatched = (loss is not None and loss.terms is None) or (
            metrics is not None and metrics.metrics is None
        )
        if self.built and not unmatched:
            return
        x, y, _ = unpack_x_y_sample_weight(batch)
        if not self._has_call():
            if metrics is not None and metrics.metrics is None and not _any_given(metrics):
                metrics.build(None, ())
            return
        try:
            y_pred = _abstractly(lambda v: default_steps.forward(self, v, training=False), x)
        except Exception:
            if required:
                raise
            return  # an own step may feed `call` with something else than the batch
        if loss is not None and y is not None:
            loss.build(y_pred)
            self._check_labels(y, y_pred)
        if metrics is not None and (y is not None or not _any_given(metrics)):
            metrics.build(y, y_pred)

    def _check_labels(self, y, y_pred):
        for output, fn, _ in self._compiled_loss.terms:
            target = output.pick(y, "y")
            if isinstance(target, (np.ndarray, jax.Array)):
                losses_module.check_labels(fn, target, tuple(output.select(y_pred).shape))

    # -- fit, evaluate, predict --------------------------------------------------------------------

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
    ):
        """Train the model.

        Args:
            x: arrays (also in lists or dicts), a generator, an iterable of batches, a
                `tf.data.Dataset` or a torch DataLoader.
            y: targets, for arrays.
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

        Returns:
            A `History`: ``history.history`` maps each name to its values, one per epoch.

        Raises:
            ValueError, TypeError: naming the argument; the model is as it was then.
        """
        epochs = _count(epochs, "fit(epochs)", least=1)
        initial_epoch = _count(initial_epoch, "fit(initial_epoch)", least=0)
        validate_after = _validation_epochs(validation_freq)
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = split_validation(
                x, y, sample_weight, validation_split
            )
        source = make_source(
            x, y, sample_weight, batch_size=batch_size, shuffle=shuffle, steps=steps_per_epoch,
            class_weight=class_weight,
        )  # fmt: skip
        validation = None
        if validation_data is not None:
            vx, vy, vw = unpack_validation_data(validation_data)
            validation = make_source(
                vx, vy, vw, batch_size=validation_batch_size or batch_size,
                steps=validation_steps, argument="validation_data",
                steps_argument="validation_steps",
            )  # fmt: skip
        callbacks = self._callback_list(callbacks, verbose, epochs, source, history=True)
        self._ready("train", source.peek())
        if validation is not None:
            with _naming("validation_data"):
                self._ready("test", validation.peek())

        self.stop_training = False
        logs = {}
        with SafeInterrupts() as interrupts:
            callbacks.on_train_begin()
            for epoch in range(initial_epoch, epochs):
                self.reset_metrics()
                callbacks.on_epoch_begin(epoch)
                logs = to_floats(
                    self._run_pass("train", source.epoch(epoch), callbacks, interrupts)
                )
                if validation is not None and validate_after(epoch + 1):
                    results = self._evaluate(validation, callbacks, interrupts)
                    logs.update({f"val_{k}": v for k, v in results.items()})
                callbacks.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            if self._optimizer is not None and self._optimizer.built:
                self._finalize_weights()
            callbacks.on_train_end(logs)
        return self.history

    def _finalize_weights(self):
        """Have the weights be the averaged ones, where the optimizer keeps averages."""
        for optimizer in self._optimizers():
            if optimizer.built:
                optimizer.finalize_variable_values(self.trainable_variables)

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
    ):
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
        source = make_source(x, y, sample_weight, batch_size=batch_size, steps=steps,
                             steps_argument="steps")  # fmt: skip
        self._ready("test", source.peek())
        callbacks = self._callback_list(callbacks, verbose, 1, source)
        with SafeInterrupts() as interrupts:
            results = self._evaluate(source, callbacks, interrupts)
        return results if return_dict else self._in_order(results)

    def _evaluate(self, source, callbacks, interrupts):
        self.reset_metrics()
        callbacks.on_test_begin()
        logs = to_floats(self._run_pass("test", source.epoch(0), callbacks, interrupts))
        callbacks.on_test_end(logs)
        return logs

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Return the model's outputs for some data, as NumPy arrays.

        Args:
            x: inputs, as in `fit`.
            batch_size, verbose, steps, callbacks: as in `evaluate`.

        Returns:
            Arrays in the structure of the model's outputs, batches joined along axis 0.
        """
        source = make_source(x, batch_size=batch_size, steps=steps, steps_argument="steps")
        self._ready("predict", source.peek())
        callbacks = self._callback_list(callbacks, verbose, 1, source)
        outputs = []
        with SafeInterrupts() as interrupts:
            callbacks.on_predict_begin()
            self._run_pass("predict", source.epoch(0), callbacks, interrupts, outputs)
            callbacks.on_predict_end()
        return jax.tree.map(lambda *parts: np.concatenate(parts), *outputs)

    def _run_pass(self, kind, batches, callbacks, interrupts, outputs=None):
        """Run one kind of step over some batches; returns the last logs."""
        runner = self._runner(kind)
        begin = getattr(callbacks, f"on_{kind}_batch_begin")
        end = getattr(callbacks, f"on_{kind}_batch_end")
        logs, step = {}, 0
        for chunk in _chunks(batches, runner.fuse):
            begin(step)
            result = runner.run_many(chunk)
            step += len(chunk)
            if outputs is None:
                logs = LazyLogs(result)
                end(step - 1, logs)
            else:
                results = result if isinstance(result, list) and len(chunk) > 1 else [result]
                if len(chunk) == 1 and isinstance(result, list):
                    results = result
                outputs.extend(jax.device_get(results))
                end(step - 1, {"outputs": outputs[-1]})
            interrupts.check()
            if self.stop_training and kind == "train":
                break
        return logs

    def _callback_list(self, callbacks, verbose, epochs, source, history=False):
        if isinstance(callbacks, CallbackList):
            return callbacks
        verbose = _verbosity(verbose)
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
        self, x, y=None, sample_weight=None, class_weight=None, return_dict=False
    ):
        """Run one training step on one batch.

        Args:
            x, y, sample_weight: one batch of arrays.
            class_weight: dict from class index to weight.
            return_dict: return ``{name: value}``.

        Returns:
            Loss and metrics, accumulated since `reset_metrics()`, as in `evaluate`.
        """
        return self._on_batch("train", x, y, sample_weight, return_dict, class_weight)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Evaluate one batch; arguments and result as in `train_on_batch`."""
        return self._on_batch("test", x, y, sample_weight, return_dict)

    def _on_batch(self, kind, x, y, sample_weight, return_dict, class_weight=None):
        data = _one_batch(x, y, sample_weight)
        if class_weight is not None:
            data = weigh_batch(data, class_weight, "x", 0)
        self._ready(kind, data)
        logs = to_floats(self._runner(kind).run(data))
        return logs if return_dict else self._in_order(logs)

    def predict_on_batch(self, x):
        """Return the model's outputs for one batch, as NumPy arrays."""
        data = _one_batch(x, None, None)
        self._ready("predict", data)
        return jax.device_get(self._runner("predict").run(data))


def _one_batch(x, y, sample_weight):
    size = None
    for leaf in jax.tree.leaves(x):
        size = np.shape(leaf)[0] if np.ndim(leaf) else 1
        break
    return make_source(x, y, sample_weight, batch_size=max(size or 1, 1)).peek()


def _chunks(batches, size):
    """Group batches of equal shapes, `size` at a time; what is left runs one by one."""
    if size == 1:
        for batch in batches:
            yield [batch]
        return
    chunk = []
    for batch in batches:
        if chunk and _shapes(batch) != _shapes(chunk[0]):
            yield from ([b] for b in chunk)
            chunk = []
        chunk.append(batch)
        if len(chunk) == size:
            yield chunk
            chunk = []
    yield from ([b] for b in chunk)


def _shapes(batch):
    return [np.shape(x) for x in jax.tree.leaves(batch)]


def _abstractly(fn, x):
    def struct(leaf):
        leaf = np.asarray(leaf) if not hasattr(leaf, "dtype") else leaf
        return jax.ShapeDtypeStruct(leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype))

    def run(value):
        with scopes.Scope(collect_losses=True) as scope:
            scope.abstract = True
            return fn(value)

    return jax.eval_shape(run, jax.tree.map(struct, x))


def _any_given(metrics):
    return any(v is not None for v in metrics.given.values())


def _not_optimizer(item):
    return not isinstance(item, optimizers_module.Optimizer)


def _scaled(optimizer):
    if isinstance(optimizer, optimizers_module.LossScaleOptimizer):
        return optimizer
    return optimizers_module.LossScaleOptimizer(optimizer)


def _count(value, argument, least):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise errors.bad_type(argument, f"an int of at least {least}", value)
    if value < least:
        raise errors.bad_value(argument, f"an int of at least {least}", str(value))
    return int(value)


def _verbosity(verbose):
    if isinstance(verbose, str) and verbose == "auto":
        return 1
    if isinstance(verbose, (bool, int)) and int(verbose) in (0, 1, 2):
        return int(verbose)
    raise errors.bad_value("verbose", "0, 1, 2 or 'auto'", errors.describe(verbose))


def _validation_epochs(frequency):
    if isinstance(frequency, (list, tuple, set)):
        return lambda epoch: epoch in frequency
    frequency = _count(frequency, "fit(validation_freq)", least=1)
    return lambda epoch: epoch % frequency == 0


@contextlib.contextmanager
def _naming(argument):
    """Add the argument's name to errors about its data."""
    try:
        yield
    except Exception as e:
        e.add_note(f"This happened while checking {argument}.")
        raise

