"""The epochs of one `fit`: training, validation, hooks, from wherever a backup left off."""

import functools
import warnings

from stepfit.callbacks.optimizers import inner
from stepfit.core import errors, processes
from stepfit.training.autopsy.guard import Guard
from stepfit.utils.console import print_msg


class FitLoop:
    """Runs the epochs of one `fit`.

    Args:
        model: the `Trainer`.
        progress: the `Progress`, at the first epoch.
        epochs: the epoch to stop after.
        hooks: the `CallbackList`.
        interrupts: the `SafeInterrupts` in force.
        validation: source of the validation data, or None.
        validate_after: function of the number of an epoch, from 1: whether to validate after it.
    """

    def __init__(self, model, progress, epochs, hooks, interrupts, validation, validate_after):
        self._model, self._progress, self._epochs = model, progress, epochs
        self._hooks, self._interrupts = hooks, interrupts
        self._validation, self._validate_after = validation, validate_after
        self._guard = Guard(hooks.callbacks)
        self._told = False  # whether the callbacks know that a signal ends it

    def run(self):
        """Run them all."""
        model, hooks = self._model, self._hooks
        counts = _update_counts(model)
        if processes.several() and processes.is_first() and not self._together():
            _warn_of_copies()
        try:
            with self._guard, self._interrupts.saving(self._interrupted):
                logs = self._run()
                if self._together():  # a signal after the last step, to whichever of them
                    received = processes.last_stop(self._interrupts.received)
                    self._interrupts.receive(received)
                self._interrupts.check()
            for optimizer, count in _update_counts(model).items():
                if count != counts.get(optimizer, 0):
                    optimizer.finalize_variable_values(optimizer._trainable_variables)
            hooks.on_train_end(logs)
        except BaseException:  # a KeyboardInterrupt may come from a hook or from the data, too
            if not self._told:
                hooks.failed()
            raise

    def _together(self):
        return self._model._runner("train").with_other_processes()

    def _interrupted(self):
        self._told = True
        self._hooks.interrupted()

    def _run(self):
        progress, logs = self._progress, {}
        self._hooks.set_progress(progress)
        self._hooks.on_train_begin()  # which may move it
        while progress.epoch < self._epochs and not progress.over:
            logs = self._run_epoch(progress.epoch)
            if self._together():
                self._model.stop_training = processes.agreed(bool(self._model.stop_training))
            if self._model.stop_training:
                break
        return logs

    def _run_epoch(self, epoch):
        model, progress, hooks = self._model, self._progress, self._hooks
        model.reset_metrics()
        model._training_now += 1  # a hook that evaluates leaves the metrics as they are
        try:
            hooks.on_epoch_begin(epoch)
        finally:
            model._training_now -= 1
        if not progress.trained:
            model._run_pass(
                "train", progress.source, epoch, hooks, self._interrupts,
                more=epoch + 1 < self._epochs, meanwhile=self._validation and self._warm_up,
                progress=progress, guard=self._guard,
            )  # fmt: skip
            progress.steps_are_over()
        logs = progress.logs()
        if self._validation is not None and self._validate_after(epoch + 1):
            results = model._evaluate(self._validation, hooks, self._interrupts)
            logs.update({f"val_{k}": v for k, v in results.items()})
        self._guard.end_epoch(epoch, logs)
        progress.next_epoch()
        hooks.on_epoch_end(epoch, logs)
        runner = model._runner("train")
        ran = runner.dispatched or runner.eager
        if hooks.params.get("verbose") == 2 and ran and not runner.announced:
            runner.announced = True
            print_msg(model.execution_report()["train"].line())
        return logs

    def _warm_up(self):
        self._model._runner("test").warm_up(self._validation)


@functools.cache
def _warn_of_copies():
    warnings.warn(
        "fit: expected a distribution, as there are several processes, found none that spans them: "
        "each process trains a model of its own. Pass "
        "compile(distribution=keras.distribution.DataParallel()), or call set_distribution.",
        UserWarning, stacklevel=errors.users_level(),
    )  # fmt: skip


def _update_counts(model):
    """Return the updates so far of each optimizer that keeps averages of the weights."""
    found = map(inner, model._optimizers())
    return {o: int(o.iterations) for o in found if o.use_ema and o.built}
