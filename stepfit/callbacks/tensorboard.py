"""Curves, histograms, images and more for TensorBoard."""

import os
import secrets
import time
import warnings
from typing import Any

import jax

from stepfit.callbacks import event_files, optimizers
from stepfit.callbacks.callback import Callback
from stepfit.callbacks.tensorboard_views import Embeddings, graph_of, images_of
from stepfit.core import errors

_RUNS = ("train", "validation")


class TensorBoard(Callback):
    """Writes event files that TensorBoard shows: ``tensorboard --logdir=logs``.

    Runs and tags are those of Keras: in "train" and "validation", "epoch_..." by epoch,
    "batch_..." by batch of the run (from 1), "evaluation_..._vs_iterations" by update. Steps stay
    fused. A run that is resumed goes on in its curves: what was written after its state was kept
    is taken out of the files. Needs ``pip install 'stepfit[tensorboard]'``.

    Args:
        log_dir: folder of the logs.
        histogram_freq: number of epochs between two histograms of the weights; 0 for none.
        write_graph: whether to write the graph of the layers, and `summary()` as a text.
        write_images: whether to write the weights as images, as often as histograms.
        write_steps_per_second: whether to write how many steps were run per second.
        update_freq: "epoch", "batch", or a number of batches: how often "batch_..." is written.
        profile_batch: batch of the run to profile with `jax.profiler` (from 1), or a pair of the
            first and the last; 0 for none.
        embeddings_freq: number of epochs between two writings of the embedding tables; 0 for none.
        embeddings_metadata: path of a file with labels, relative to `log_dir`, or a dict from the
            name of an embedding layer to one.

    Raises:
        ImportError: the package `tensorboard` is not installed. ValueError: an argument out of
            range.

    Example:

    >>> import stepfit as keras
    >>> board = keras.callbacks.TensorBoard("logs", histogram_freq=1, update_freq=100)
    >>> board.update_freq
    100
    """

    def __init__(
        self, log_dir="logs", histogram_freq=0, write_graph=True, write_images=False,
        write_steps_per_second=False, update_freq="epoch", profile_batch=0, embeddings_freq=0,
        embeddings_metadata=None,
    ):  # fmt: skip
        super().__init__()
        event_files.load("compat")
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = _count("histogram_freq", histogram_freq)
        self.write_graph, self.write_images = write_graph, write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        if self.update_freq != "epoch" and not (_is_count(self.update_freq) and self.update_freq):
            raise _wrong("update_freq", "'epoch', 'batch' or a positive number", update_freq)
        self._start_batch, self._stop_batch = _batches(profile_batch)
        self.embeddings_freq = _count("embeddings_freq", embeddings_freq)
        self.embeddings_metadata = embeddings_metadata
        self._token = secrets.token_hex(4)
        self._runs: dict[str, event_files.EventFiles] = {}
        self._embeddings: Any = None
        self._before = self._heard = 0  # batches before this epoch, and in it
        self._described = self._tracing = self._in_fit = False
        self._began = self._last_write = (0, 0.0)  # batch of the run and time, of both
        if type(self).on_train_batch_end is TensorBoard.on_train_batch_end:
            # Another hook, of a subclass, may look at the model or at its logs.
            self.lazy_batch_logs, self.fused_safe = True, update_freq != "epoch"

    def _run(self, name):
        if name not in self._runs:
            folder = os.path.join(self.log_dir, name)
            self._runs[name] = event_files.EventFiles(folder, self._token)
        return self._runs[name]

    def _flush(self):
        for run in self._runs.values():
            run.flush()

    # -- state -------------------------------------------------------------------------------------

    def state(self):
        return {
            "token": self._token, "batches": [self._before, self._heard],
            "described": self._described,
            "files": {name: self._run(name).sizes() for name in _RUNS},
        }  # fmt: skip

    def restore(self, state):
        self._token, (self._before, self._heard) = state["token"], state["batches"]
        self._described, self._runs = state["described"], {}
        for name in _RUNS:
            self._run(name).go_back(state["files"][name])

    # -- training ----------------------------------------------------------------------------------

    def on_train_begin(self, logs=None):
        self._stop_profiler()  # that of a run that was broken off
        self._in_fit, self._before, self._heard = True, 0, 0
        self._described = False
        if self.embeddings_freq:
            layers = self.model._flatten_layers()
            self._embeddings = Embeddings(self.log_dir, self.embeddings_metadata, layers)

    def on_epoch_begin(self, epoch, logs=None):
        if self.write_graph and not self._described:
            self._describe()
        self._began = self._last_write = (self._before + self._heard, time.perf_counter())
        if self._before + 1 == self._start_batch:
            self._start_profiler()

    def needs_model_after(self, batch):
        """Name the batches before and after those to be profiled."""
        for number in (self._start_batch - 1, self._stop_batch):
            if self._start_batch and self._before + batch + 1 <= number:
                return number - self._before - 1
        return None

    def on_train_batch_end(self, batch, logs=None):
        self._heard, number = batch + 1, self._before + batch + 1
        if self.update_freq != "epoch" and number % self.update_freq == 0:
            run = self._run("train")
            for name, value in ((logs() if callable(logs) else logs) or {}).items():
                run.scalar(f"batch_{name}", value, number)
            if self.write_steps_per_second:
                (before, since), now = self._last_write, time.perf_counter()
                self._last_write = (number, now)
                speed = (number - before) / max(now - since, 1e-9)
                run.scalar("batch_steps_per_second", speed, number)
        if number == self._start_batch - 1:
            self._start_profiler()
        elif number == self._stop_batch:
            self._stop_profiler()

    def on_epoch_end(self, epoch, logs=None):
        train, validation = self._run("train"), self._run("validation")
        logs = dict(logs or {})
        logs.update(_learning_rates(self.model))
        if self.write_steps_per_second:
            steps = self._before + self._heard - self._began[0]
            logs["steps_per_second"] = steps / (time.perf_counter() - self._began[1])
        for name, value in logs.items():
            run = validation if name.startswith("val_") else train
            run.scalar(f"epoch_{name.removeprefix('val_')}", value, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(train, epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._embeddings.write()
        self._before, self._heard = self._before + self._heard, 0
        self._flush()

    def on_train_end(self, logs=None):
        self._in_fit = False
        self._stop_profiler()
        self._flush()

    def interrupted(self):
        self.on_train_end()

    def failed(self):
        self.on_train_end()

    def on_test_end(self, logs=None):
        iterations = getattr(getattr(self.model, "optimizer", None), "iterations", None)
        if iterations is not None:
            for name, value in (logs or {}).items():
                tag = f"evaluation_{name}_vs_iterations"
                self._run("validation").scalar(tag, value, int(iterations))
        if not self._in_fit:
            self._flush()

    # -- the model ---------------------------------------------------------------------------------

    def _describe(self):
        lines: list[str] = []
        self.model.summary(print_fn=lines.append)
        text = "\n".join(f"    {line}" for line in "\n".join(lines).splitlines())
        self._run("train").text("model", text, 0)
        self._run("train").graph(graph_of(self.model))
        self._described = True

    def _write_weights(self, run, epoch):
        for weight in self.model.weights:
            value = weight.numpy()
            run.histogram(f"{weight.path}/histogram", value, epoch)
            images = images_of(value) if self.write_images else None
            if images is not None:
                run.images(f"{weight.path}/image", images, epoch)

    # -- the profiler ------------------------------------------------------------------------------

    def _start_profiler(self):
        try:
            jax.profiler.start_trace(os.path.join(self.log_dir, "train"))
            self._tracing = True
        except RuntimeError as e:  # there is one profiler per process
            text = f"TensorBoard(profile_batch): no profile was made: {e}"
            warnings.warn(text, stacklevel=errors.users_level())

    def _stop_profiler(self):
        if self._tracing:
            self._tracing = False
            jax.profiler.stop_trace()


def _learning_rates(model):
    found = [o for o in optimizers.all_of(model) if getattr(o, "learning_rate", None) is not None]
    if len(found) == 1:
        return {"learning_rate": float(found[0].learning_rate)}
    return {f"learning_rate_{o.name}": float(o.learning_rate) for o in found}


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _count(name, value):
    if not _is_count(value):
        raise _wrong(name, "a number of epochs, 0 for never", value)
    return value


def _wrong(name, expected, value):
    return errors.bad_value(f"TensorBoard({name})", expected, errors.describe(value))


def _batches(given):
    """Return the first and the last batch to profile; (0, 0) for none."""
    pair = given.split(",") if isinstance(given, str) else given
    pair = list(pair) if isinstance(pair, (list, tuple)) else [pair]
    try:
        first, last = int(pair[0]), int(pair[-1])
    except (TypeError, ValueError):
        first, last = -1, -1
    if len(pair) > 2 or not 0 <= first <= last or (len(pair) == 2 and first == 0):
        expected = "0, the number of a batch from 1, or a pair (first, last)"
        raise _wrong("profile_batch", expected, given)
    return first, last
