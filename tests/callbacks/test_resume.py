"""Each callback: a run that is broken off and goes on ends as one that was not."""

import csv
import functools
import pathlib

import numpy as np
import pytest

import stepfit as keras
from stepfit import callbacks as C

from . import events
from .resuming import BreakOff, Crash, GoOn
from .small import compiled, fit

EPOCHS = 6


def names(folder):
    return sorted(p.name for p in pathlib.Path(folder).iterdir())


def rows(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def archives(folder):
    """The files of a folder of weights, with their arrays."""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("*.npz")):
        with np.load(path) as file:
            found[path.name] = {name: file[name].tolist() for name in file.files}
    return found


def ruin(epoch):
    """A rate that spoils the weights from the third epoch on."""
    return 0.05 if epoch < 2 else 0.8


def norms(monitor):
    return monitor.history, monitor.steps


ROWS = {
    # name: (callbacks in a folder, what to compare: a function of the first of them and the folder)
    "History": (lambda d: [C.History()], lambda c, d: (c.history, c.epoch)),
    "EarlyStopping": (
        lambda d: [C.EarlyStopping("loss", patience=2, restore_best_weights=True),
                   C.LearningRateScheduler(ruin)],
        lambda c, d: (c.wait, c.best, c.best_epoch, c.stopped_epoch),
    ),
    "ReduceLROnPlateau": (
        lambda d: [C.ReduceLROnPlateau("loss", factor=0.5, patience=2, min_delta=1e3, cooldown=1)],
        lambda c, d: (c.wait, c.cooldown_counter, c.best),
    ),
    "LearningRateScheduler": (
        lambda d: [C.LearningRateScheduler(lambda epoch, rate: rate * 0.9)],
        lambda c, d: float(c.model.optimizer.learning_rate),
    ),
    "ModelCheckpoint, best": (
        lambda d: [C.ModelCheckpoint(d / "{epoch}.npz", "loss", save_best_only=True,
                                     save_weights_only=True), C.LearningRateScheduler(ruin)],
        lambda c, d: (c.best, archives(d)),
    ),
    "ModelCheckpoint, batches": (
        lambda d: [C.ModelCheckpoint(d / "{epoch}-{batch}.npz", save_weights_only=True,
                                     save_freq=3)],
        lambda c, d: archives(d),
    ),
    "OrbaxCheckpoint": (
        lambda d: [C.OrbaxCheckpoint(d / "c", save_freq=3, max_to_keep=3)],
        lambda c, d: (names(d / "c"), C.OrbaxCheckpoint.load(c.model, d / "c"),
                      [w.tolist() for w in c.model.get_weights()]),
    ),
    "CSVLogger": (lambda d: [C.CSVLogger(d / "log.csv")], lambda c, d: rows(d / "log.csv")),
    "CSVLogger, appending": (
        lambda d: [C.CSVLogger(d / "log.csv", append=True)], lambda c, d: rows(d / "log.csv"),
    ),
    "TensorBoard": (
        lambda d: [C.TensorBoard(d, update_freq=2, histogram_freq=2)],
        lambda c, d: (events.scalars(d / "train"), events.scalars(d / "validation"),
                      [e.step for e in events.read(d / "train").Tensors("net/head/bias/histogram")],
                      len(events.read(d / "train").Tensors("model"))),
    ),
    "SwapEMAWeights": (
        lambda d: [C.SwapEMAWeights(swap_on_epoch=True)], lambda c, d: c._own,
    ),
    "SwapEMAWeights, in evaluation": (lambda d: [C.SwapEMAWeights()], lambda c, d: c._own),
    "GradientMonitor": (
        lambda d: [C.GradientMonitor("variable", every=2)], lambda c, d: norms(c),
    ),
    "Timing": (lambda d: [C.Timing()], lambda c, d: [row["epoch"] for row in c.history]),
    "TerminateOnNaN": (lambda d: [C.TerminateOnNaN()], lambda c, d: c.model.stop_training),
    "LambdaCallback": (
        lambda d: [C.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(twice=2 * epoch))],
        lambda c, d: None,
    ),
    "ProgbarLogger": (lambda d: [C.ProgbarLogger()], lambda c, d: None),
}  # fmt: skip


def model_of(name):
    optimizer = keras.optimizers.SGD(0.05, momentum=0.5, use_ema="EMA" in name)
    if "EMA" in name:
        optimizer.ema_momentum = 0.8
    return compiled(optimizer)


BY_BATCH = ["ModelCheckpoint, batches", "OrbaxCheckpoint", "TensorBoard", "GradientMonitor"]
CASES = {
    **{f"{name}, after an epoch": (name, (2, None, 1)) for name in ROWS},
    **{f"{name}, after two batches": (name, (2, 1, 0)) for name in ROWS},
    **{f"{name}, after three batches": (name, (2, 2, 0)) for name in BY_BATCH},
}


def run(name, folder, kept=None):
    """Train to the end, from what was kept if anything; return everything that can be seen."""
    model, callbacks = model_of(name), ROWS[name][0](folder)
    more = [] if kept is None else [GoOn(kept)]
    history = fit(model, [*callbacks, *more], EPOCHS, validation_split=1 / 3)
    weights = [w.tolist() for w in model.get_weights()]
    return history.history, history.epoch, weights, ROWS[name][1](callbacks[0], folder)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A function from a name to the end of a run that was not broken off."""
    return functools.cache(lambda name: run(name, tmp_path_factory.mktemp("whole")))


@pytest.mark.parametrize(("name", "place"), CASES.values(), ids=CASES)
def test_a_resumed_run_ends_as_an_uninterrupted_one(name, place, tmp_path, capsys, uninterrupted):
    crash = BreakOff(*place)
    with pytest.raises(Crash):
        callbacks = [*ROWS[name][0](tmp_path), crash]
        fit(model_of(name), callbacks, EPOCHS, validation_split=1 / 3)
    assert run(name, tmp_path, crash.kept) == uninterrupted(name)
    capsys.readouterr()


def test_many_callbacks_together_resume_from_files(tmp_path):
    """The same with `BackupAndRestore`, whose files the states pass through."""

    def many(folder):
        return [
            C.CSVLogger(folder / "log.csv"), C.TensorBoard(folder, update_freq=1), C.Timing(),
            C.EarlyStopping("val_loss", patience=9, restore_best_weights=True),
            C.SwapEMAWeights(), C.GradientMonitor("variable", every=2),
            C.BackupAndRestore(folder / "backup", save_freq=3),
        ]  # fmt: skip

    ends = []
    for broken in (False, True):
        folder = tmp_path / str(broken)
        folder.mkdir()
        for crash in ([BreakOff(2, 3)], []) if broken else ([],):
            model, callbacks = model_of("EMA"), many(folder)
            arguments = {"epochs": EPOCHS, "validation_split": 1 / 3}
            if crash:
                with pytest.raises(Crash):
                    fit(model, [*callbacks, *crash], **arguments)
            else:
                history = fit(model, callbacks, **arguments)
        ends.append((
            history.history, [w.tolist() for w in model.get_weights()], rows(folder / "log.csv"),
            events.scalars(folder / "train"), events.scalars(folder / "validation"),
            norms(callbacks[5]),
        ))  # fmt: skip
    assert ends[0] == ends[1]


def test_every_callback_is_in_the_table():
    """Those of the trackers and of the range test have a test of their own."""
    elsewhere = {"Callback", "CallbackList", "RemoteMonitor", "LearningRateFinder", "MLflowLogger",
                 "WandbLogger", "BackupAndRestore"}  # fmt: skip
    assert {name.split(",")[0] for name in ROWS} | elsewhere == set(C.__all__) | elsewhere
