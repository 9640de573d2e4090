"""OrbaxCheckpoint: checkpoints that Orbax reads, and that a model goes on from."""

import os
import pathlib

import numpy as np
import pytest

import stepfit as keras
from stepfit.callbacks import OrbaxCheckpoint

from .small import compiled, fit


def values(model):
    return [np.array(v) for part in model.get_state() for v in part]


def steps(folder):
    return sorted(int(name) for name in os.listdir(folder) if name.isdigit())


def adam():
    return compiled(keras.optimizers.Adam(0.01), metrics=["mae"])


@pytest.mark.parametrize("background", [True, False])
def test_a_model_goes_on_from_a_checkpoint(tmp_path, background):
    seen = {}
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.update({epoch: values(keep.model)})
    )
    saver = OrbaxCheckpoint(tmp_path / "c", max_to_keep=2, save_on_background=background)
    history = fit(adam(), [saver, keep], 4).history
    assert steps(tmp_path / "c") == [2, 3]
    model = adam()
    fit(model, [], 1)  # so that the optimizer has its state
    assert OrbaxCheckpoint.load(model, tmp_path / "c", step=2) == 2
    for found, expected in zip(values(model), seen[2], strict=True):
        np.testing.assert_array_equal(found, expected)
    rest = fit(model, [], 4, initial_epoch=3).history
    assert rest["loss"] == history["loss"][3:]


def test_orbax_reads_it(tmp_path):
    import orbax.checkpoint as ocp

    model = compiled()
    fit(model, [OrbaxCheckpoint(tmp_path / "c", save_weights_only=True)], 1)
    tree = ocp.StandardCheckpointer().restore(tmp_path / "c" / "0" / "state")
    assert set(tree) == {"trainable_variables", "non_trainable_variables"}
    np.testing.assert_array_equal(
        tree["trainable_variables"]["net"]["body"]["kernel"], model.get_weights()[0]
    )


def test_it_saves_after_batches_and_leaves_steps_fused(tmp_path):
    model = compiled()
    fit(model, [OrbaxCheckpoint(tmp_path / "c", save_freq=4, max_to_keep=None)], 2)
    assert steps(tmp_path / "c") == [4, 8, 12]
    assert model.execution_report()["train"].one_by_one is None


def test_it_saves_the_best_only(tmp_path):
    rate = keras.callbacks.LearningRateScheduler(lambda epoch: 0.05 if epoch != 2 else 0.8)
    saver = OrbaxCheckpoint(tmp_path / "c", "loss", save_best_only=True, max_to_keep=None)
    losses = fit(compiled(), [rate, saver], 4).history["loss"]
    assert steps(tmp_path / "c") == [i for i in range(4) if losses[i] == min(losses[: i + 1])]
    assert steps(tmp_path / "c") == [0, 1]


def test_bfloat16_and_a_model_of_another_name(tmp_path):
    first, second = (
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)], name=name) for name in "ab"
    )
    for model in (first, second):
        model.compile("sgd", "mse")
    for weight in (*first.weights, *second.weights):
        assert weight.path[0] in "ab"
    low = keras.Variable(np.ones(3, "float32"), dtype="bfloat16", name="low")
    first.low, second.low = low, keras.Variable(np.zeros(3), dtype="bfloat16", name="low_2")
    fit(first, [OrbaxCheckpoint(tmp_path / "c", save_weights_only=True)], 1)
    OrbaxCheckpoint.load(second, tmp_path / "c")
    for ours, other in zip(second.weights, first.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), other.numpy())
        assert ours.numpy().dtype == other.numpy().dtype


def test_an_error_in_the_background_is_raised(tmp_path, monkeypatch):
    saver = OrbaxCheckpoint(tmp_path / "c")

    def broken(*args, **kwargs):
        raise OSError("No space left on device")

    def check(epoch, logs):
        monkeypatch.setattr(saver._manager, "check_for_errors", broken)

    breaks = keras.callbacks.LambdaCallback(on_epoch_begin=check)
    with pytest.raises(OSError, match="No space left"):
        fit(compiled(), [saver, breaks], 2)


def two_runs(folder):
    fit(compiled(), [OrbaxCheckpoint(folder)], 2)
    model = compiled()
    before = model.get_weights()
    try:
        fit(model, [OrbaxCheckpoint(folder)], 2)
    finally:
        assert steps(folder) == [1]
        assert all(map(np.array_equal, before, model.get_weights()))


def loaded_into_another(folder):
    fit(compiled(), [OrbaxCheckpoint(folder)], 1)
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    other.compile("sgd", "mse")
    OrbaxCheckpoint.load(other, folder)


def loaded_at_another_step(folder):
    fit(compiled(), [OrbaxCheckpoint(folder)], 2)
    OrbaxCheckpoint.load(compiled(), folder, step=7)


def loaded_without_paths(folder):
    fit(compiled(), [OrbaxCheckpoint(folder)], 1)
    for path in pathlib.Path(folder, "0", "paths").rglob("metadata"):
        path.write_text("{")
    OrbaxCheckpoint.load(compiled(), folder)


BAD = [
    (two_runs, "OrbaxCheckpoint('{}'): expected no checkpoints of steps from 0 on, where this run "
     "begins, found one of step 1; pass another directory, or remove this one."),
    (loaded_into_another, "OrbaxCheckpoint.load(directory='{}'): expected 2 trainable variables, "
     "found 4; build the model first, with the layers and the optimizer it was saved with."),
    (loaded_at_another_step, "OrbaxCheckpoint.load(directory='{}'): expected one of step 7, found "
     "those of steps [1]."),
    (lambda folder: OrbaxCheckpoint.load(compiled(), folder),
     "OrbaxCheckpoint.load(directory='{}'): expected a folder of checkpoints, found none of this "
     "name in '{}'; check the path."),
    (loaded_without_paths, "OrbaxCheckpoint.load(directory='{}'): expected the checkpoint of step "
     "0, whole, found JSONDecodeError: Expecting property name enclosed in double quotes: line 1 "
     "column 2 (char 1); load another step."),
    (lambda folder: OrbaxCheckpoint(folder, max_to_keep=0),
     "OrbaxCheckpoint(max_to_keep): expected a positive number, found 0."),
    (lambda folder: OrbaxCheckpoint(folder, save_freq="batch"),
     "OrbaxCheckpoint(save_freq): expected 'epoch' or a positive number of batches, found "
     "'batch'."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), BAD, ids=[row[1][:50] for row in BAD])
def test_message(tmp_path, call, text):
    folder = str(tmp_path / "c")
    with pytest.raises(ValueError) as error:
        call(folder)
    assert str(error.value) == text.format(folder, tmp_path)
