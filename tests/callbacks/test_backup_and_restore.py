"""BackupAndRestore: a run that is broken off goes on as if nothing had happened."""

import hashlib
import json
import os
import pathlib
import re
import warnings

import numpy as np
import pytest

import stepfit as keras
from stepfit.callbacks import BackupAndRestore
from stepfit.checkpoint import folders, format, reading
from tests.faults.runs import X, Y, fit, same


class Stop(Exception):
    """Ends a fit from within."""


class StopAt(keras.callbacks.Callback):
    """Raises after a step of an epoch, or where a hook is called."""

    def __init__(self, epoch, at):
        super().__init__()
        self.epoch, self.at, self.now = epoch, at, -1

    def needs_model_after(self, batch):
        due = self.now == self.epoch and isinstance(self.at, int) and batch <= self.at
        return self.at if due else None

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        raise Stop

    def on_test_end(self, logs=None):
        if (self.now, "validation") == (self.epoch, self.at):
            raise Stop

    def on_epoch_end(self, epoch, logs=None):
        if (epoch, "epoch") == (self.epoch, self.at):
            raise Stop


STOPS = [(0, 7), (1, "validation"), (2, 17), (2, "epoch"), (3, 0)]


@pytest.fixture(scope="module")
def expected():
    return {kind: fit(kind) for kind in ("compiled", "stateless", "gan")}


def broken_off(kind, directory, stops=STOPS, callbacks=list, **arguments):
    for stop in stops:
        with pytest.raises(Stop):
            fit(kind, [StopAt(*stop), BackupAndRestore(directory, **arguments), *callbacks()])
    return fit(kind, [BackupAndRestore(directory, **arguments), *callbacks()])


@pytest.mark.parametrize(
    ("kind", "save_freq", "stops"),
    [pytest.param("compiled", 5, STOPS, marks=pytest.mark.slow),
     ("compiled", "epoch", STOPS[1:4]), ("compiled", 18, STOPS[1:3]),
     ("compiled", "0.05s", STOPS[::2]), ("stateless", 7, STOPS[::2]), ("gan", 4, STOPS[1::3])],
)  # fmt: skip
def test_a_run_that_is_broken_off_ends_the_same(kind, save_freq, stops, tmp_path, expected):
    found = broken_off(kind, tmp_path / "run", stops, save_freq=save_freq)
    assert same(found, expected[kind])
    assert not (tmp_path / "run").exists()  # removed at the end


def test_a_run_that_is_not_broken_off_is_not_changed_by_backups(tmp_path, expected):
    backup = BackupAndRestore(tmp_path, save_freq=5, delete_checkpoint=False)
    assert same(fit("compiled", [backup]), expected["compiled"])
    assert [path.name for path in folders.backups(tmp_path)] == ["backup-000014", "backup-000013"]
    again = fit("compiled", [BackupAndRestore(tmp_path, delete_checkpoint=False)])
    assert same(again, expected["compiled"])  # the last steps again, from the newest


def test_a_run_that_is_over_is_not_trained_further(tmp_path, expected, capsys):
    backup = {"directory": tmp_path, "delete_checkpoint": False}
    fit("compiled", [BackupAndRestore(**backup)])
    steps: list = []
    counts = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: steps.append(epoch))
    assert same(fit("compiled", [BackupAndRestore(**backup), counts]), expected["compiled"])
    assert steps == []
    longer = fit("compiled", [BackupAndRestore(**backup), counts], epochs=6, verbose=2)
    assert steps == [4, 5] and same(longer, fit("compiled", epochs=6))
    assert f"Going on from backup-000004 in {tmp_path}: epoch 5\nEpoch 5/6\n" in (
        capsys.readouterr().out
    )


def test_steps_between_backups_stay_fused(tmp_path):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=9)
    as_without = {9: 1, 8: 1}
    for freq, expected in (
        (9, as_without), ("epoch", as_without), ("10min", as_without), (12, {9: 1, 3: 1, 5: 1}),
    ):  # fmt: skip
        model.fit(X[:68], Y[:68], batch_size=4, verbose=0)  # the programs are there
        backup = BackupAndRestore(tmp_path, save_freq=freq)
        model.fit(X[:68], Y[:68], batch_size=4, verbose=0, callbacks=[backup])
        assert model._runner("train").dispatched == expected, freq
        assert model.execution_report()["train"].one_by_one is None


def test_callbacks_go_on_where_they_were(tmp_path, expected):
    def callbacks():
        return [
            keras.callbacks.EarlyStopping("loss", patience=1, min_delta=100.0),
            keras.callbacks.CSVLogger(tmp_path / "log.csv", append=True),
        ]

    found = broken_off("compiled", tmp_path / "run", [(1, 3)], callbacks, save_freq=5)
    assert len(found[1]["loss"]) == 2  # no patience is gained
    assert found[1]["loss"] == expected["compiled"][1]["loss"][:2]
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "0", "1"]


def test_a_request_to_stop_is_not_forgotten(tmp_path, expected):
    def callbacks():
        return [keras.callbacks.EarlyStopping("loss", patience=0, min_delta=100.0)]

    class StopsLate(StopAt):
        comes_last = True

    with pytest.raises(Stop):
        fit("compiled", [BackupAndRestore(tmp_path), StopsLate(1, "epoch"), *callbacks()])
    found = fit("compiled", [BackupAndRestore(tmp_path), *callbacks()])
    assert len(found[1]["loss"]) == 2


class Explodes(keras.callbacks.Callback):
    """Makes a weight NaN in an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            weight = self.model.trainable_variables[0]
            weight.assign(np.full(weight.shape, np.nan))


def test_weights_that_are_not_finite_are_not_kept(tmp_path):
    with warnings.catch_warnings(), pytest.warns(RuntimeWarning) as caught:
        warnings.filterwarnings("ignore", ".*expected a finite loss")
        fit("compiled", [BackupAndRestore(tmp_path, delete_checkpoint=False), Explodes(2)])
    assert [re.sub("'sequential[^']*'", "W", str(w.message)) for w in caught] == [
        f"BackupAndRestore('{tmp_path}'): W has values that are not finite (epoch {epoch}, step 0)"
        "; no backup is made, the last good one stays." for epoch in (4, 5)
    ]  # fmt: skip
    newest = folders.backups(tmp_path)[0]
    assert json.loads((newest / "state.json").read_text())["place"]["epoch"] == 2
    assert same(fit("compiled", [BackupAndRestore(tmp_path)]), fit("compiled"))


# -- damage ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder with the backups after epochs 3 and 4."""
    folder = tmp_path_factory.mktemp("kept") / "run"
    fit("compiled", [BackupAndRestore(folder, delete_checkpoint=False)])
    return folder


@pytest.fixture
def run(kept, tmp_path):
    """A copy of it."""
    import shutil

    return pathlib.Path(shutil.copytree(kept, tmp_path / "run"))


def largest(folder):
    files = [p for p in (folder / "arrays").rglob("*") if p.is_file() and p.parent.name == "d"]
    return max(files, key=lambda p: p.stat().st_size)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_damage_is_passed_over_with_a_warning(run, expected):
    path = largest(run / "backup-000004")
    flip(path)
    name = path.relative_to(run / "backup-000004").as_posix()
    with pytest.warns(UserWarning) as caught:
        found = fit("compiled", [BackupAndRestore(run)])
    assert same(found, expected["compiled"])
    assert str(caught[0].message) == (
        f"BackupAndRestore('{run}'): backup-000004 is damaged and not used: file '{name}' has "
        "other bytes than were written; it is now called damaged-000004; going on from "
        "backup-000003."
    )


@pytest.mark.parametrize(
    ("file", "text", "line", "said"),
    [
        ("state.json", "{}", "", "its JSON is not what backups hold (KeyError: 'format')"),
        ("state.json", "[", "", "its JSON is not what backups hold (JSONDecodeError: "),
        ("tensors.json", "[1]", "", "its JSON is not what backups hold (TypeError: "),
        ("state.json", "{}", "0  /etc/hostname\n", "file 'manifest' has other bytes"),
        ("state.json", "{}", "0  ../elsewhere\n", "file 'manifest' has other bytes"),
        ("state.json", "{}", "no checksum\n", "file 'manifest' has other bytes"),
    ],
)
def test_a_backup_that_somebody_made_up_is_damaged(run, file, text, line, said):
    folder = run / "backup-000004"
    (folder / file).write_text(text)
    (folder / format.MANIFEST).unlink()
    body = format.manifest_text(folder).rpartition(format._OWN)[0] + line
    own = hashlib.sha256(body.encode()).hexdigest()
    (folder / format.MANIFEST).write_text(f"{body}{format._OWN}{own}\n")
    with pytest.raises(reading.Damaged) as caught:
        reading.read(folder)
    assert said.replace("'manifest'", repr(format.MANIFEST)) in str(caught.value)


def test_where_all_are_damaged_nothing_is_trained(run):
    for folder in folders.backups(run):
        (folder / "state.json").unlink()
    for _ in range(2):  # it is not forgotten when it was said once
        with warnings.catch_warnings(record=True) as caught, pytest.raises(OSError) as error:
            warnings.simplefilter("always")
            fit("compiled", [BackupAndRestore(run)])
    assert str(error.value) == (
        f"BackupAndRestore('{run}'): expected a backup that is intact, found 2 that are damaged; "
        "remove the folder to start anew."
    )
    assert str(caught[0].message) == (
        f"BackupAndRestore('{run}'): backup-000004 is damaged and not used: file 'state.json': "
        "missing; none is intact."
    )


def test_parts_of_a_killed_process_are_removed(run, expected):
    part = run / ".backup-000005.part"
    part.mkdir()
    (part / "state.json").write_text("{")
    backup = BackupAndRestore(run, delete_checkpoint=False)
    assert same(fit("compiled", [backup]), expected["compiled"])
    assert not part.exists()


# -- what differs ----------------------------------------------------------------------------------


def differing(run, make, fix_up=lambda model: None, x=X, y=Y, **arguments):
    keras.utils.set_random_seed(7)
    model = make()
    arguments = {"epochs": 5, "batch_size": 4, "verbose": 0, **arguments}
    with pytest.raises(ValueError) as caught:
        model.fit(x, y, callbacks=[BackupAndRestore(run)], **arguments)
    end = "; go on with what the backup was made of, or start anew with another folder."
    text = str(caught.value)
    start = f"BackupAndRestore('{run}'): expected "
    assert text.startswith(start)
    assert len(folders.backups(run)) == 2  # nothing was touched
    return re.sub(r"(sequential|dense|adam)_\d+", r"\1", text.removeprefix(start).removesuffix(end))


def model_of(units=8, middle="BatchNormalization", optimizer=None, **compiled):
    layers = keras.layers
    model = keras.Sequential([
        keras.Input((6,)), layers.Dense(units, activation="relu"), getattr(layers, middle)(),
        layers.Dropout(0.3), layers.Dense(1),
    ])  # fmt: skip
    if optimizer is None:
        optimizer = keras.optimizers.Adam(0.01, gradient_accumulation_steps=3)
    model.compile(optimizer, loss="mse", **({"metrics": ["mae"]} | compiled))
    return model


OTHERS = [
    (lambda: model_of(units=9), {},
     "trainable weight 'sequential/dense/kernel' of float32[6, 8], as in backup-000004, found "
     "float32[6, 9]"),
    (lambda: model_of(middle="LayerNormalization"), {},
     "layer 2 to be of class BatchNormalization, as in backup-000004, found LayerNormalization"),
    (lambda: model_of(optimizer=keras.optimizers.SGD(0.1)), {},
     "the optimizers Adam, as in backup-000004, found SGD"),
    (lambda: model_of(optimizer=keras.optimizers.Adam(0.01)), {},
     "optimizer variable 2 to be 'adam/sequential_dense_kernel_gradient_accumulator', as in "
     "backup-000004, found 'adam/sequential_dense_kernel_momentum'"),
    (lambda: model_of(metrics=[]), {},
     "4 metric variables, as in backup-000004, found 2; 'mean_absolute_error/total' is in one of "
     "them only"),
    (model_of, {"batch_size": 8}, "a batch size of 4, as in backup-000004, found 8"),
    (model_of, {"x": X[:60], "y": Y[:60]},
     "a number of samples of 70, as in backup-000004, found 60"),
    (model_of, {"steps_per_epoch": 10},
     "a number of steps per epoch of 18, as in backup-000004, found 10"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "arguments", "text"), OTHERS)
def test_what_differs_is_named(run, make, arguments, text):
    assert differing(run, make, **arguments) == text


def test_another_fit_is_told_apart(run):
    model = model_of()
    with pytest.raises(ValueError) as caught:
        model.fit(X, Y, batch_size=4, epochs=9, initial_epoch=4, verbose=0,
                  callbacks=[BackupAndRestore(run)])  # fmt: skip
    assert str(caught.value) == (
        f"BackupAndRestore('{run}'): expected the backup of a fit with initial_epoch=4, found "
        "backup-000004 of one with initial_epoch=0; give each call of fit a folder of its own."
    )


# -- errors ----------------------------------------------------------------------------------------


def test_an_error_of_the_writer_is_raised_at_the_next_step(tmp_path, monkeypatch):
    from stepfit.checkpoint import writing

    def fails(folder, arrays, document):
        raise OSError(28, "No space left on device")

    fit("compiled", [BackupAndRestore(tmp_path, delete_checkpoint=False)], epochs=1)
    monkeypatch.setattr(writing, "write", fails)
    for save_freq in (5, "epoch"):
        with pytest.raises(OSError) as caught:
            fit("compiled", [BackupAndRestore(tmp_path, save_freq=save_freq)], epochs=3)
        assert str(caught.value) == (
            f"BackupAndRestore('{tmp_path}'): expected to write a backup, found OSError: [Errno "
            "28] No space left on device; make room or another folder, and run the script again; "
            "it goes on from backup-000001, which is intact."
        )


def test_an_error_of_the_last_backup_is_raised_at_the_end(tmp_path, monkeypatch):
    from stepfit.checkpoint import writing

    calls: list = []

    def fails_last(folder, arrays, document):
        calls.append(folder)
        if len(calls) == 4:
            raise ValueError("the disk is gone")

    monkeypatch.setattr(writing, "write", fails_last)
    with pytest.raises(OSError, match="ValueError: the disk is gone"):
        fit("compiled", [BackupAndRestore(tmp_path)])


class Unkeepable(keras.callbacks.Callback):
    def state(self):
        return {"when": {1: "epoch"}}

    def restore(self, state):
        pass


BAD = [
    ({"directory": 3}, TypeError,
     "BackupAndRestore(directory): expected the path of a folder, found 3."),
    ({}, TypeError, "BackupAndRestore(directory): expected the path of a folder, found None."),
    ({"directory": "x", "save_freq": "weekly"}, ValueError,
     "BackupAndRestore(save_freq): expected 'epoch', a positive number of steps, or a time such as "
     "'30s', '10min' or '2h', found 'weekly'."),
    ({"directory": "x", "save_freq": 0}, ValueError,
     "BackupAndRestore(save_freq): expected 'epoch', a positive number of steps, or a time such as "
     "'30s', '10min' or '2h', found 0."),
    ({"directory": "x", "keep": 1}, ValueError,
     "BackupAndRestore(keep): expected an int of at least 2, found 1; the newest one may be "
     "damaged, so one is not enough."),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "kind", "text"), BAD)
def test_bad_arguments(arguments, kind, text):
    with pytest.raises(kind) as caught:
        BackupAndRestore(**arguments)
    assert str(caught.value) == text


def test_a_folder_that_cannot_be_one(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as caught:
        fit("compiled", [BackupAndRestore(tmp_path / "file")])
    assert str(caught.value) == (
        f"BackupAndRestore('{tmp_path}/file'): expected a folder that can be written to, found "
        "FileExistsError: File exists."
    )


def test_a_state_that_cannot_be_kept(tmp_path):
    with pytest.raises(TypeError) as caught:
        fit("compiled", [BackupAndRestore(tmp_path), Unkeepable()])
    assert str(caught.value) == (
        "Unkeepable.state(): expected numbers, text, None, arrays, lists and dicts with text as "
        "keys, found dict with keys [1]."
    )


def test_the_argument_of_keras_is_known(tmp_path):
    backup = BackupAndRestore(backup_dir=os.fspath(tmp_path), double_checkpoint=True)
    assert backup.directory == os.fspath(tmp_path)


def test_a_callback_whose_state_nobody_takes_back_is_an_error(tmp_path):
    class Counts(keras.callbacks.Callback):
        def state(self):
            return {"count": 1}

    text = "Counts: expected restore beside state, found state alone; define restore"
    with pytest.raises(ValueError, match=text):
        fit("compiled", [BackupAndRestore(tmp_path), Counts()])


def test_two_backups_in_one_folder_are_an_error(tmp_path):
    text = "expected one callback for a folder, found two; give each a folder of its own"
    with pytest.raises(ValueError, match=text):
        fit("compiled", [BackupAndRestore(tmp_path), BackupAndRestore(f"{tmp_path}/", 5)])
