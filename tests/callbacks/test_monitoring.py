"""EarlyStopping, ModelCheckpoint, and what they share."""

import os
import subprocess
import sys
import types

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepfit.callbacks import CallbackList, EarlyStopping, ModelCheckpoint
from stepfit.callbacks.monitor import direction

from .fakes import FakeModel, run


def losses(*values, name="val_loss"):
    return [{"loss": 0.0, name: v} for v in values]


def stop(values, **kwargs):
    """Run EarlyStopping over values of a metric; return it and the model."""
    name = kwargs.get("monitor", "val_loss")
    callback = EarlyStopping(**kwargs)
    model = run(CallbackList(callback), losses(*values, name=name))
    return callback, model


def test_stops_after_patience():
    callback, model = stop([3, 2, 2.5, 2.5, 1], patience=2)
    assert model.stop_training and callback.stopped_epoch == 3
    assert (callback.best, callback.best_epoch, callback.wait) == (2, 1, 2)
    assert model.get_weights()[0][0, 0] == 3


def test_restores_the_best_weights(capsys):
    callback, model = stop([3, 2, 2.5, 2.5], patience=2, restore_best_weights=True, verbose=1)
    assert model.get_weights()[0][0, 0] == 1
    assert capsys.readouterr().out == (
        "Epoch 4: early stopping\nRestoring the weights of epoch 2, the best one\n"
    )


def test_can_be_used_again():
    callback = EarlyStopping(patience=1)
    for _ in range(2):
        model = run(CallbackList(callback), losses(1, 2, 3))
        assert model.stop_training and callback.stopped_epoch == 1


def test_a_metric_that_rises():
    callback, model = stop([0.5, 0.7, 0.6, 0.6], monitor="val_accuracy", patience=1)
    assert callback.stopped_epoch == 2 and callback.best == 0.7


def test_nan_is_never_an_improvement():
    nan = float("nan")
    callback, model = stop([nan, 2, nan, 1, nan, nan], patience=2, restore_best_weights=True)
    assert callback.best == 1 and callback.stopped_epoch == 5
    assert model.get_weights()[0][0, 0] == 3


VALUES = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.35, 0.4, 1.0]), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(
    values=VALUES,
    mode=st.sampled_from(["min", "max", "auto"]),
    patience=st.integers(0, 4),
    min_delta=st.sampled_from([0, 0.06, -0.06]),
    baseline=st.sampled_from([None, 0.25]),
    restore=st.booleans(),
    start=st.integers(0, 4),
)
def test_early_stopping_is_that_of_keras(
    values, mode, patience, min_delta, baseline, restore, start
):
    import keras

    kwargs = {
        "mode": mode, "patience": patience, "min_delta": min_delta, "baseline": baseline,
        "restore_best_weights": restore, "start_from_epoch": start,
    }  # fmt: skip
    ours, model = stop(values, **kwargs)
    theirs, other = keras.callbacks.EarlyStopping(**kwargs), FakeModel()
    theirs.set_model(other)
    theirs.on_train_begin()
    for epoch, logs in enumerate(losses(*values)):
        other.fill(epoch)
        theirs.on_epoch_end(epoch, logs)
        if other.stop_training:
            break
    theirs.on_train_end()
    for name in ("wait", "stopped_epoch", "best", "best_epoch"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert model.stop_training == other.stop_training
    np.testing.assert_array_equal(model.get_weights()[0], other.get_weights()[0])


DIRECTIONS = {
    "min": ["loss", "val_loss", "d_loss", "mse", "mean_squared_error", "val_mae",
            "root_mean_squared_error", "out_categorical_crossentropy", "squared_hinge", "poisson"],
    "max": ["accuracy", "val_acc", "auc", "auc_1", "val_precision_2", "recall", "r2_score",
            "top_k_categorical_accuracy", "head_sparse_categorical_accuracy", "binary_io_u",
            "cosine_similarity", "f1_score", "mean_io_u"],
}  # fmt: skip


@pytest.mark.parametrize(("mode", "name"), [(m, n) for m in DIRECTIONS for n in DIRECTIONS[m]])
def test_direction_by_name(mode, name):
    assert direction(name, "x") == mode


def test_directions_agree_with_keras():
    """Every built-in metric of Keras that has a direction gets the same one here."""
    import inspect

    import keras

    checked = 0
    for _, cls in inspect.getmembers(keras.metrics, inspect.isclass):
        needed = [p for p in list(inspect.signature(cls.__init__).parameters.values())[1:]
                  if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]  # fmt: skip
        if needed:
            continue
        metric = cls()
        theirs = getattr(metric, "_direction", None)
        if theirs:
            checked += 1
            assert direction(metric.name, "x") == {"up": "max", "down": "min"}[theirs], metric.name
    assert checked > 15


NO_METRIC = "EarlyStopping(monitor={!r}): expected one of the metrics {}, found {!r}; {}."
MISSING = [
    ("val_los", {"loss": 1.0, "val_loss": 2.0},
     "loss, val_loss", "pass one of these names, or write 'val_loss'"),
    ("val_loss", {"loss": 1.0, "accuracy": 1.0}, "accuracy, loss",
     "pass validation_data or validation_split to fit, or write 'loss'"),
    ("zzz", {"loss": 1.0}, "loss", "pass one of these names"),
    ("loss", {}, "none", "pass one of these names"),
]  # fmt: skip


@pytest.mark.parametrize(("monitor", "logs", "names", "fix"), MISSING)
def test_a_wrong_monitor_is_an_error_in_the_first_epoch(monitor, logs, names, fix):
    with pytest.raises(ValueError) as error:
        run(CallbackList(EarlyStopping(monitor)), [logs])
    assert str(error.value) == NO_METRIC.format(monitor, names, monitor, fix)


@pytest.mark.parametrize("freq", [2, [2, 4]])
def test_epochs_without_validation_are_passed_over(freq):
    callback = EarlyStopping(patience=1)
    epochs = [{"loss": 1.0}, {"loss": 1.0, "val_loss": 1.0}] * 2
    run(CallbackList(callback, validation_freq=freq), epochs)
    assert callback.stopped_epoch == 3
    with pytest.raises(ValueError, match="expected one of the metrics loss, found 'val_auc'"):
        run(CallbackList(EarlyStopping("val_auc"), validation_freq=freq), epochs)


BAD = [
    (lambda: EarlyStopping(patince=3), ValueError,
     "EarlyStopping(...): expected the name of an argument, found 'patince'; did you mean "
     "'patience'?"),
    (lambda: EarlyStopping(mode="mni"), ValueError,
     "EarlyStopping(mode): expected the name of a mode, found 'mni'; did you mean 'min'?"),
    (lambda: EarlyStopping(monitor=None), TypeError,
     "EarlyStopping(monitor): expected the name of a metric, found None."),
    (lambda: stop([1, 2], monitor="quality"), ValueError,
     "EarlyStopping: expected mode='min' or mode='max' where the name of the metric does not "
     "tell, found mode='auto' with monitor='quality'; pass mode='min' if a lower value is better, "
     "else mode='max'."),
    (lambda: stop([np.ones(3)]), TypeError,
     "EarlyStopping(monitor='val_loss'): expected a metric with one value, found float64[3]; "
     "monitor another one, or reduce it in the step."),
    (lambda: ModelCheckpoint("m.npz"), ValueError,
     "ModelCheckpoint(filepath): expected a path that ends in '.keras', found 'm.npz'; rename it, "
     "or pass save_weights_only=True."),
    (lambda: checkpoint("m.npz", save_best_only=True, save_freq=5), ValueError,
     "ModelCheckpoint(monitor='val_loss'): expected a metric of training, because save_freq=5 "
     "looks at batches, found one of validation; pass monitor='loss', or save_freq='epoch'."),
    (lambda: ModelCheckpoint("m.keras", save_weights_only=True), ValueError,
     "ModelCheckpoint(filepath): expected a path that ends in '.weights.h5', '.weights.json', "
     "'.safetensors', '.npz', found 'm.keras'; rename it, for example to 'model.weights.h5'."),
    (lambda: ModelCheckpoint("m.npz", save_weights_only=True, save_freq=0), ValueError,
     "ModelCheckpoint(save_freq): expected 'epoch' or a positive number of batches, found 0."),
    (lambda: checkpoint("{los:.1f}.npz").path_for(0, None, {"loss": 0.5}), ValueError,
     "ModelCheckpoint(filepath='{los:.1f}.npz'): expected the name of a value to fill in, found "
     "'los'; did you mean 'loss'?"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), BAD, ids=[row[2][:40] for row in BAD])
def test_message(call, kind, text):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == text


def checkpoint(path, **kwargs):
    return ModelCheckpoint(path, save_weights_only=True, **kwargs)


def read(path):
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def test_saves_every_epoch(tmp_path, capsys):
    callback = checkpoint(tmp_path / "a" / "{epoch:02d}-{val_loss:.2f}.npz", verbose=1)
    run(CallbackList(callback), losses(3, 1.234))
    assert sorted(os.listdir(tmp_path / "a")) == ["01-3.00.npz", "02-1.23.npz"]
    arrays = read(tmp_path / "a" / "02-1.23.npz")
    assert {k: v.shape for k, v in arrays.items()} == {"dense/kernel": (2, 2), "dense/bias": (2,)}
    assert (arrays["dense/kernel"] == 1).all()
    assert capsys.readouterr().out == (
        f"Epoch 1: saving the weights to {tmp_path}/a/01-3.00.npz\n"
        f"Epoch 2: saving the weights to {tmp_path}/a/02-1.23.npz\n"
    )


def test_saves_the_best_only(tmp_path, capsys):
    path = tmp_path / "w.npz"
    callback = checkpoint(path, save_best_only=True, verbose=1)
    run(CallbackList(callback), losses(3, 1, 2))
    assert (read(path)["dense/bias"] == 1).all() and callback.best == 1
    assert capsys.readouterr().out.splitlines() == [
        f"Epoch 1: val_loss improved from none to 3.00000, saving the weights to {path}",
        f"Epoch 2: val_loss improved from 3.00000 to 1.00000, saving the weights to {path}",
        "Epoch 3: val_loss did not improve from 1.00000",
    ]


def test_initial_value_threshold(tmp_path):
    path = tmp_path / "w.npz"
    callback = checkpoint(path, save_best_only=True, initial_value_threshold=2.0)
    run(CallbackList(callback), losses(3, 2.5))
    assert not path.exists()
    run(CallbackList(callback), losses(3, 1.5))
    assert path.exists()


def test_a_wrong_monitor_counts_only_for_the_best(tmp_path):
    run(CallbackList(checkpoint(tmp_path / "w.npz")), [{"loss": 1.0}])
    assert (tmp_path / "w.npz").exists()
    with pytest.raises(ValueError, match="ModelCheckpoint\\(monitor='val_loss'\\): expected one"):
        run(CallbackList(checkpoint(tmp_path / "v.npz", save_best_only=True)), [{"loss": 1.0}])


@pytest.mark.parametrize("freq", [1, 3, 4, 7])
def test_saves_every_few_batches(tmp_path, freq):
    callback = checkpoint(tmp_path / "{epoch}-{batch}.npz", save_freq=freq)
    run(CallbackList(callback), [{"loss": 1.0}] * 3, batches=5)
    steps = [i for i in range(15) if (i + 1) % freq == 0]
    expected = {f"{i // 5 + 1}-{i % 5 + 1}.npz" for i in steps}
    assert set(os.listdir(tmp_path)) == expected


def test_half_precision_is_kept(tmp_path):
    model = FakeModel()
    model.get_weights = lambda: [np.asarray(jnp.array([1.5, 3e38], "bfloat16")), np.zeros(1)]
    callback = checkpoint(tmp_path / "w.npz")
    callback.set_model(model)
    callback.on_epoch_end(0, {})
    found = read(tmp_path / "w.npz")["dense/kernel"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.astype("bfloat16"), jnp.array([1.5, 3e38], "bfloat16"))


def test_two_variables_of_one_path(tmp_path):
    model = FakeModel()
    model.weights = [types.SimpleNamespace(path="a")] * 2
    with pytest.raises(ValueError) as error:
        run(CallbackList(checkpoint(tmp_path / "w.npz")), [{}], model)
    assert str(error.value) == (
        "a: expected one variable of this path, found two; give the layers different names."
    )


def test_a_folder_in_the_way(tmp_path):
    (tmp_path / "w.npz").mkdir()
    with pytest.raises(ValueError) as error:
        run(CallbackList(checkpoint(tmp_path / "w.npz")), [{}])
    assert str(error.value) == (
        f"filepath '{tmp_path}/w.npz': expected the path of a file, found a folder; name a file "
        "in it."
    )


def test_a_kill_while_overwriting_leaves_the_older_file(tmp_path):
    """The process dies with half of the new file written; the older file is whole."""
    code = (
        "import os, sys, types\n"
        "import numpy as np\n"
        "from stepfit.utils.weights_file import save_weights\n"
        "path, value = sys.argv[1], np.ones((2, 2))\n"
        "kernel = types.SimpleNamespace(path='dense/kernel')\n"
        "model = types.SimpleNamespace(weights=[kernel], get_weights=lambda: [value])\n"
        "save_weights(model, path)\n"
        "def die(file, **arrays):\n"
        "    file.write(b'half'); file.flush(); os._exit(9)\n"
        "np.savez = die\n"
        "value += 1\n"
        "save_weights(model, path)\n"
    )
    path = tmp_path / "w.npz"
    done = subprocess.run([sys.executable, "-c", code, str(path)], timeout=120)
    assert done.returncode == 9
    assert (read(path)["dense/kernel"] == 1).all()
    assert len([n for n in os.listdir(tmp_path) if n.endswith(".part")]) == 1


def test_a_full_disk_leaves_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / "w.npz"
    run(CallbackList(checkpoint(path)), [{}])
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left on device"):
        run(CallbackList(checkpoint(path)), [{}])
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["w.npz"]
