"""Weights kept in a file: written whole, read back by path or order, refused when they differ."""

import numpy as np
import pytest

import stepfit as keras
from tests.expect import refused


def made(units=3):
    return keras.Sequential([
        keras.Input((2,)), keras.layers.Dense(units, name="a"), keras.layers.Dense(1)
    ])  # fmt: skip


def test_round_trip_by_path_and_by_order(tmp_path):
    model, path = made(), tmp_path / "w.npz"
    model.save_weights(path)
    kept = model.get_weights()
    model.set_weights([w * 0 for w in kept])
    model.load_weights(path)
    other = made()  # its second layer has another automatic name
    assert other.weights[2].path != model.weights[2].path
    other.load_weights(path)
    for found in (model.get_weights(), other.get_weights()):
        for a, b in zip(found, kept, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_checkpoint_is_read_back(tmp_path):
    model = made()
    model.compile("sgd", "mse")
    keep = keras.callbacks.ModelCheckpoint(tmp_path / "c.npz", save_weights_only=True)
    model.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0, callbacks=[keep])
    kept = model.get_weights()
    other = made()
    other.load_weights(tmp_path / "c.npz")
    for a, b in zip(other.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_does_not_fit_changes_nothing(tmp_path):
    model, path = made(), str(tmp_path / "w.npz")
    made(4).save_weights(path)
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"set_weights\(weights\[0\]\) for 'sequential/a/kernel'"):
        model.load_weights(path)
    refused(
        lambda: model.load_weights("w.h5"),
        ValueError,
        "load_weights(filepath): expected a path that ends in '.npz', the one format of this "
        "version, found 'w.h5'; rename it, for example to 'weights.npz'.",
    )
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save_weights(path)
    refused(
        lambda: model.load_weights(path),
        ValueError,
        f"load_weights({path!r}): expected 4 arrays, one for each weight, found 2; build the model "
        "first, with the layers that it was saved with.",
    )
    with open(path, "r+b") as file:
        file.truncate(100)
    with pytest.raises(ValueError, match="expected an archive of arrays, found BadZipFile"):
        model.load_weights(path)
    with pytest.raises(FileNotFoundError):
        model.load_weights(tmp_path / "none.npz")
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
