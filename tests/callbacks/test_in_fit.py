"""The callbacks in a real `fit`."""

import numpy as np
import pytest

import stepfit as keras

X = np.random.RandomState(0).normal(size=(24, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def compiled():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.05), loss="mse")
    return model


def test_callbacks_work_together(tmp_path):
    model = compiled()
    callbacks = [
        keras.callbacks.EarlyStopping(patience=1, restore_best_weights=True),
        keras.callbacks.ModelCheckpoint(
            tmp_path / "best.npz", save_weights_only=True, save_best_only=True
        ),
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.05 if epoch < 2 else 1e4),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    history = model.fit(
        X, Y, batch_size=8, epochs=9, validation_split=0.25, verbose=0, callbacks=callbacks
    )
    assert len(history.epoch) == 3  # the third epoch has a rate that ruins the weights
    assert history.history["learning_rate"] == pytest.approx([0.05, 0.05, 1e4])
    best = min(history.history["val_loss"])
    assert model.evaluate(X[18:], Y[18:], verbose=0) == pytest.approx(best, rel=1e-5)
    other = compiled()
    with np.load(tmp_path / "best.npz") as file:
        other.set_weights([file[v.path] for v in model.weights])
    assert other.evaluate(X[18:], Y[18:], verbose=0) == pytest.approx(best, rel=1e-5)
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0] == "epoch,learning_rate,loss,val_loss" and len(lines) == 4


@pytest.mark.parametrize("freq", [2, [2]])
def test_a_monitor_waits_for_the_epochs_with_validation(freq):
    stop = keras.callbacks.EarlyStopping(patience=5)
    history = compiled().fit(
        X, Y, epochs=2, validation_split=0.25, validation_freq=freq, verbose=0, callbacks=[stop]
    )
    assert stop.best == history.history["val_loss"][0]


def test_terminate_on_nan_stops_within_the_epoch(capsys):
    model = compiled()
    y = Y.copy()
    y[8] = np.nan
    model.fit(
        X, y, batch_size=8, epochs=3, shuffle=False, verbose=0,
        callbacks=[keras.callbacks.TerminateOnNaN()],
    )  # fmt: skip
    assert capsys.readouterr().out.startswith("Batch 1: Invalid loss, terminating training\n")
    assert len(model.history.epoch) == 1
