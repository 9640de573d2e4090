"""Checkpoints in Orbax's format, written in the background."""

import os
from typing import Any

from stepfit.callbacks.saver import Saver
from stepfit.checkpoint.writing import alone
from stepfit.core import errors, processes
from stepfit.utils.missing import missing

_WEIGHTS = ("trainable_variables", "non_trainable_variables")
_PARTS = (*_WEIGHTS, "optimizer_variables", "metrics_variables")


class OrbaxCheckpoint(Saver):
    """Saves the model's variables with Orbax after epochs or batches, while training goes on.

    A checkpoint holds the weights, the optimizers' and the metrics' variables as a tree, by path,
    and is complete or not there. Its step is the index of the epoch, or the number of batches.
    `load` sets a model from one; Orbax's own readers open it as well. What goes wrong in the
    background is raised at the next saving, or at the end of training.

    Args:
        directory: folder of the checkpoints; a run that is not resumed wants one without any.
        monitor, verbose, save_best_only, mode, save_freq, initial_value_threshold: as in
            `ModelCheckpoint`.
        max_to_keep: number of newest checkpoints to keep; None for all.
        save_on_background: whether training goes on while a checkpoint is written.
        save_weights_only: whether to leave out the optimizers' and the metrics' variables.

    Raises:
        ValueError: when training begins, where the folder has later checkpoints.

    Example:

    >>> import os, tempfile, numpy as np, stepfit as keras
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x, folder = np.ones((8, 2), "float32"), os.path.join(tempfile.mkdtemp(), "checkpoints")
    >>> saver = keras.callbacks.OrbaxCheckpoint(folder)
    >>> history = model.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=[saver])
    >>> keras.callbacks.OrbaxCheckpoint.load(model, folder)
    1
    """

    what = "a checkpoint"

    def __init__(
        self, directory, monitor="val_loss", verbose=0, save_best_only=False, mode="auto",
        save_freq="epoch", initial_value_threshold=None, max_to_keep=1, save_on_background=True,
        save_weights_only=False,
    ):  # fmt: skip
        super().__init__(monitor, mode, verbose, save_best_only, save_freq, initial_value_threshold)
        if max_to_keep is not None and (not isinstance(max_to_keep, int) or max_to_keep < 1):
            found = errors.describe(max_to_keep)
            raise errors.bad_value("OrbaxCheckpoint(max_to_keep)", "a positive number", found)
        self.directory, self.max_to_keep = os.path.abspath(directory), max_to_keep
        self.save_on_background, self.save_weights_only = save_on_background, save_weights_only
        self._manager: Any = None
        self._resumed = self._checked = False

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._before = int(getattr(getattr(self.model, "optimizer", None), "iterations", 0))
        self._resumed = self._checked = False

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        if self._manager is None:
            self._manager = _open(self.directory, self.max_to_keep, self.save_on_background)
        latest = self._manager.latest_step()
        first = epoch if self.save_freq == "epoch" else self._before + 1
        if not self._checked and not self._resumed and latest is not None and latest >= first:
            raise errors.bad_value(
                f"OrbaxCheckpoint({self.directory!r})",
                f"no checkpoints of steps from {first} on, where this run begins",
                f"one of step {latest}", "pass another directory, or remove this one",
            )  # fmt: skip
        self._checked = True

    def on_train_end(self, logs=None):
        if self._manager is not None:
            self.wait_until_finished()
            self._manager.close()
            self._manager = None

    def interrupted(self):
        self.on_train_end()

    def failed(self):
        self.on_train_end()

    def restore(self, state):
        super().restore(state)
        self._resumed = True

    def wait_until_finished(self):
        """Wait until every checkpoint is written; raise what went wrong."""
        if self._manager is not None:
            self._manager.wait_until_finished()
            self._manager.check_for_errors()

    def place(self, epoch, batch, logs):
        return os.path.join(self.directory, str(self._step(epoch, batch)))

    def _step(self, epoch, batch):
        return epoch if batch is None else self._before + batch + 1

    def write(self, epoch, batch, logs):
        manager, step, args = self._manager, self._step(epoch, batch), _orbax().args
        manager.check_for_errors()
        for later in [s for s in manager.all_steps() if s >= step]:
            manager.delete(later)  # of epochs that are repeated after a resume
        tree, paths = {}, {}
        for part in _WEIGHTS if self.save_weights_only else _PARTS:
            variables = self.model._state_part(part)
            paths[part] = [v.path for v in variables]
            tree[part] = _nested(variables)
        manager.save(
            step,
            args=args.Composite(state=args.StandardSave(tree), paths=args.JsonSave(paths)),
            force=True,
        )

    @staticmethod
    def load(model: Any, directory: str | os.PathLike, step: int | None = None) -> int:
        """Set a model's variables from a checkpoint.

        Variables are matched by path; where the paths differ, by order. What the checkpoint has of
        optimizers and metrics is set where the model has them already.

        Args:
            model: the model, built, and compiled if it is to go on training.
            directory: folder of the checkpoints.
            step: which one; default the newest.

        Returns:
            The step.

        Raises:
            ValueError: no such checkpoint, or it does not fit; nothing is changed then.
            FileNotFoundError: no such folder.
        """
        where = f"OrbaxCheckpoint.load(directory={os.fspath(directory)!r})"
        if not os.path.exists(directory):
            raise missing(where, directory, "a folder of checkpoints")
        manager = _open(os.path.abspath(directory), None, False, create=False)
        try:
            steps = sorted(manager.all_steps()) if manager is not None else []
            if not steps or (step is not None and step not in steps):
                expected = "a checkpoint" if step is None else f"one of step {step}"
                found = f"those of steps {steps}" if steps else "none"
                raise errors.bad_value(where, expected, found)
            step, args = steps[-1] if step is None else step, _orbax().args
            wanted = args.Composite(state=args.StandardRestore(), paths=args.JsonRestore())
            try:
                found = manager.restore(step, args=wanted)
                parts = {name: list(paths) for name, paths in found["paths"].items()}
            except Exception as e:
                text = f"{type(e).__name__}: {(str(e).splitlines() or [''])[0]}"
                raise errors.bad_value(
                    where, f"the checkpoint of step {step}, whole", text, "load another step"
                ) from e
        finally:
            if manager is not None:
                manager.close()
        pairs = []
        for part, paths in parts.items():
            variables = model._state_part(part)
            if not variables and part not in _WEIGHTS:
                continue
            if len(variables) != len(paths):
                fix = "build the model first, with the layers and the optimizer it was saved with"
                expected = f"{len(variables)} {part.replace('_', ' ')}"
                raise errors.bad_value(where, expected, str(len(paths)), fix)
            own = [v.path for v in variables]
            order = own if set(own) == set(paths) else paths
            for variable, path in zip(variables, order, strict=True):
                pairs.append((variable, variable.conform(_at(found["state"][part], path))))
        for variable, value in pairs:
            variable.assign(value)
        return step


def _orbax():
    import orbax.checkpoint  # late: it takes long to load

    return orbax.checkpoint


def _open(directory, keep, background, create=True):
    if not create and not os.path.isdir(directory):
        return None
    orbax = _orbax()
    given: dict[str, Any] = {"create": create}
    if processes.several():  # one of them writes; none is to wait for the others
        os.makedirs(directory, exist_ok=True)
        given = {"create": False, "multiprocessing_options": alone()}
    options = orbax.CheckpointManagerOptions(
        max_to_keep=keep, enable_async_checkpointing=background, **given
    )
    return orbax.CheckpointManager(directory, options=options)


def _nested(variables):
    """Return copies of the values as nested dicts, by path; the step may reuse their memory."""
    tree: dict[str, Any] = {}
    for variable in variables:
        *folders, name = variable.path.split("/")
        inner = tree
        for folder in folders:
            inner = inner.setdefault(folder, {})
        if not isinstance(inner, dict) or name in inner:
            fix = "give the layers different names"
            raise errors.bad_value(variable.path, "one variable of this path", "two", fix)
        inner[name] = variable.numpy()
    return tree


def _at(tree, path):
    for name in path.split("/"):
        tree = tree[name]
    return tree
