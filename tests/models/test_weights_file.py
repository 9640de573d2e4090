"""Weights kept in a file of any kind: written whole, read back, refused when they differ."""

import numpy as np
import pytest

import stepfit as keras
from tests.expect import refused

ENDINGS = ["npz", "safetensors", "weights.h5", "weights.json"]


def made(units=3):
    return keras.Sequential([
        keras.Input((2,)), keras.layers.Dense(units, name="a"), keras.layers.Dense(1),
        keras.layers.BatchNormalization(),
    ], name="m")  # fmt: skip


@pytest.mark.parametrize("ending", ENDINGS)
def test_round_trip(tmp_path, ending):
    model, path = made(), tmp_path / f"w.{ending}"
    for i, v in enumerate(model.weights):
        v.assign(np.full(v.shape, i + 0.5))
    model.save_weights(path)
    kept = model.get_weights()
    model.set_weights([w * 0 for w in kept])
    report = model.load_weights(path)
    assert report.complete and len(report.loaded) == 8
    other = made()  # its second layer has another automatic name
    assert other.weights[2].path != model.weights[2].path
    other.load_weights(path)
    for found in (model.get_weights(), other.get_weights()):
        for a, b in zip(found, kept, strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="a new path, with overwrite=False"):
        model.save_weights(path, overwrite=False)


@pytest.mark.parametrize("ending", ["npz", "weights.h5", "keras"])
def test_a_checkpoint_is_read_back(tmp_path, ending):
    model = made()
    model.compile("sgd", "mse")
    path = tmp_path / f"c.{ending}"
    keep = keras.callbacks.ModelCheckpoint(path, save_weights_only=ending != "keras")
    model.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0, callbacks=[keep])
    kept = model.get_weights()
    other = keras.saving.load_model(path) if ending == "keras" else made()
    other.load_weights(path)
    for a, b in zip(other.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_does_not_fit_changes_nothing(tmp_path, ending):
    model, path = made(), str(tmp_path / f"w.{ending}")
    made(4).save_weights(path)
    before = model.get_weights()
    fix = "build the model that was saved, or pass skip_mismatch=True to load what fits"
    refused(
        lambda: model.load_weights(path), ValueError,
        f"load_weights({path!r}): 'm/a/kernel': expected shape (2, 3), found shape (2, 4) (and 2 "
        f"more that do not fit); {fix}.",
    )  # fmt: skip
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]).save_weights(path)
    with pytest.raises(ValueError, match="expected an array for it, found none"):
        model.load_weights(path)
    with open(path, "r+b") as file:
        file.truncate(100)
    with pytest.raises(ValueError, match=r"load_weights\('.*'\).*: expected"):
        model.load_weights(path)
    with pytest.raises(FileNotFoundError):
        model.load_weights(tmp_path / f"none.{ending}")
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_loading_what_fits(tmp_path):
    model, path = made(), tmp_path / "w.weights.h5"
    other = made(4)
    other.save_weights(path)
    before = model.get_weights()
    report = model.load_weights(path, skip_mismatch=True)
    assert str(report) == "4 variables loaded, 3 mismatched ('m/a/kernel', ...)"
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    model.load_weights(path, skip_mismatch=True, objects_to_skip=[model.layers[-1]])


def test_endings(tmp_path):
    model = made()
    where = "save_weights(filepath='w.h5')"
    refused(
        lambda: model.save_weights("w.h5"), ValueError,
        f"{where}: expected a path that ends in '.weights.h5', '.weights.json', '.safetensors', "
        "'.npz', found 'w.h5'; rename it, for example to 'model.weights.h5'.",
    )  # fmt: skip
    refused(
        lambda: model.save_weights("w.npz", max_shard_size=1), ValueError,
        "save_weights(filepath='w.npz'): expected a path that ends in '.weights.json', with "
        "max_shard_size, found 'w.npz'.",
    )  # fmt: skip
    (tmp_path / "w.txt").write_bytes(b"x")
    with pytest.raises(ValueError, match="found another ending"):
        model.load_weights(tmp_path / "w.txt")
    fresh = keras.Sequential([keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="expected a model that is built"):
        fresh.save_weights(tmp_path / "w.npz")
    with pytest.raises(ValueError, match="expected a model that is built"):
        fresh.load_weights(tmp_path / "w.npz")


def test_values_that_are_not_finite_are_reported(tmp_path):
    model, path = made(), tmp_path / "w.weights.h5"
    model.weights[1].assign([1.0, np.nan, 2.0])
    model.save_weights(path)
    assert model.load_weights(path).not_finite == ["m/a/bias"]


def test_other_dtypes_are_reported(tmp_path):
    path = tmp_path / "w.weights.h5"
    half = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, dtype="bfloat16")])
    full = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    half.save_weights(path)
    report = full.load_weights(path)
    assert [row[1:] for row in report.cast] == [("bfloat16", "float32")] * 2
    np.testing.assert_array_equal(full.get_weights()[0], half.get_weights()[0].astype("float32"))
