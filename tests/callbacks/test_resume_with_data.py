"""Exact resume from each kind of data: no batch is repeated, none is skipped."""

import numpy as np
import pytest

import stepfit as keras
from stepfit.callbacks import BackupAndRestore

X = np.arange(96, dtype="float32").reshape(48, 2) / 96  # 12 batches of 4; a row tells its number
Y = X.sum(axis=1, keepdims=True)


class Stop(Exception):
    """Ends a fit from within."""


class Notes(keras.callbacks.Callback):
    """Notes the first row's number of each batch that is trained on; raises after one of them."""

    fused_safe = True

    def __init__(self, stop=None):
        super().__init__()
        self.rows: list = []
        self.stop = stop

    def on_train_batch_end(self, batch, logs=None):
        self.rows.append(round(logs["row"] * 48))
        if len(self.rows) == self.stop:
            raise Stop


class Model(keras.Model):
    """Reports the batch it was trained on."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = ((self(x) - y) ** 2).mean()
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {"loss": loss, "row": x[0, 0]}

    def test_step(self, data):
        return {"row": data[0][0, 0]}


def batches(step=1):
    for start in range(0, 48, 4):
        yield X[start : start + 4], Y[start : start + 4]


def endless():
    random = np.random.default_rng(3)
    while True:
        rows = random.permutation(48)[:4]
        yield X[rows], Y[rows]


class Readable:
    def __iter__(self):
        return batches()


class ByNumber:
    def __len__(self):
        return 12

    def __getitem__(self, index):
        return X[4 * index : 4 * index + 4], Y[4 * index : 4 * index + 4]


def tf_data():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(48, seed=5).batch(4).repeat()


KINDS = {
    "arrays": lambda: {"x": X, "y": Y, "batch_size": 4, "shuffle": True},
    "arrays, epochs of 5": lambda: {"x": X, "y": Y, "batch_size": 4, "steps_per_epoch": 5},
    "shuffled batches": lambda: {"x": X, "y": Y, "batch_size": 4, "shuffle": "batch"},
    "endless generator": lambda: {"x": endless(), "steps_per_epoch": 7},
    "iterable": lambda: {"x": Readable()},
    "iterable, epochs of 5": lambda: {"x": Readable(), "steps_per_epoch": 5},
    "by number": lambda: {"x": ByNumber(), "shuffle": True},
    "tf.data": lambda: {"x": tf_data(), "steps_per_epoch": 7},
}


def run(kind, directory=None, stop=None, save_freq=4, **arguments):
    """Train from a seed that differs each time, so that whatever is not restored shows."""
    notes = Notes(stop)
    callbacks = [notes]
    if directory is not None:
        keras.utils.set_random_seed(run.seed)
        run.seed += 1
        backup = BackupAndRestore(directory, save_freq=save_freq, delete_checkpoint=False)
        callbacks.append(backup)
    model = Model()
    model.compile(keras.optimizers.Adam(0.01))
    try:
        model.fit(**KINDS[kind](), epochs=4, verbose=0, callbacks=callbacks, **arguments)
    except Stop:
        return notes.rows, None, backup
    return notes.rows, model, backup if directory is not None else None


@pytest.mark.parametrize("kind", KINDS)
def test_no_batch_is_repeated_and_none_is_skipped(kind, tmp_path):
    run.seed = 1
    expected, model, _ = run(kind, tmp_path / "undisturbed")
    weights, total = model.get_weights(), len(expected)
    run.seed = 1
    seen: list = []
    for stop in (6, 9, 7):
        rows, _, backup = run(kind, tmp_path / "run", stop)
        seen[len(seen) - len(seen) % 4 :] = rows  # those after the last backup come again
        assert len(seen) < total
    rows, model, _ = run(kind, tmp_path / "run")
    seen[len(seen) - len(seen) % 4 :] = rows
    assert seen == expected
    for found, wanted in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_validation_data_that_are_read_on_and_on(tmp_path):
    def histories(stop):
        validation = {"validation_data": endless(), "validation_steps": 3}
        _, model, _ = run("arrays", tmp_path / "run", stop, save_freq="epoch", **validation)
        return model and model.history.history["val_row"]

    run.seed = 1
    assert histories(30) is None
    resumed = histories(None)
    _, model, _ = run("arrays", tmp_path / "other", save_freq="epoch",
                      validation_data=endless(), validation_steps=3)  # fmt: skip
    assert resumed == model.history.history["val_row"]
