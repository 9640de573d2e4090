"""Files to load that are not there."""

import errno
import pickle

import pytest

import stepfit as keras
from tests.expect import refused


def net():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def said(tmp_path, name, *, call="load_weights"):
    """Return what is said of a file that is not there, after the place and the expected."""
    path = str(tmp_path / name)
    load = {"load_model": keras.saving.load_model, "load_weights": net().load_weights,
            "load_exported": keras.saving.load_exported, "inspect": keras.saving.inspect}[call]
    with pytest.raises(FileNotFoundError) as caught:
        load(path)
    start = f"{call}({path!r}): expected a file, found "
    assert str(caught.value).startswith(start)
    assert isinstance(caught.value, keras.errors.StepfitError)
    return str(caught.value).removeprefix(start).replace(repr(str(tmp_path)), "HERE")


@pytest.mark.parametrize(("name", "fix"), [
    ("modle.keras", "did you mean 'model.keras'?"), ("other.keras", "it has 'model.keras'."),
    ("w.weights.h5", "did you mean 'ww.weights.h5'?"), ("q.weights.h5", "it has 'ww.weights.h5'."),
    ("ww.weights.hdf5", "did you mean 'ww.weights.h5'?"), ("q.npz", "check the path."),
    ("q.safetensors", "check the path."), ("q.weights.json", "did you mean 'ww.weights.h5'?"),
    ("folder", "check the path."), ("Model.keras", "did you mean 'model.keras'?"),
])  # fmt: skip
def test_the_nearest_file_is_named(name, fix, tmp_path):
    for there in ("model.keras", "ww.weights.h5", ".hidden.npz"):
        (tmp_path / there).touch()
    for call in ("load_model", "load_weights", "load_exported", "inspect"):
        assert said(tmp_path, name, call=call) == f"none of this name in HERE; {fix}"


def test_folders_and_links(tmp_path, monkeypatch):
    (tmp_path / "link.keras").symlink_to("gone.keras")
    assert said(tmp_path, "link.keras") == (
        "a link to what is not there; it leads to 'gone.keras'."
    )
    folder = str(tmp_path / "none")
    assert said(tmp_path, "none/m.keras") == f"no folder {folder!r}; check the path."
    monkeypatch.chdir(tmp_path)
    refused(
        lambda: keras.saving.load_model("none/m.keras"), FileNotFoundError,
        f"load_model('none/m.keras'): expected a file, found no folder {folder!r}; check the path: "
        f"it begins at the working directory, {str(tmp_path)!r}.",
    )  # fmt: skip
    for i in range(7):
        (tmp_path / f"{i}{i}{i}.npz").touch()
    refused(
        lambda: net().load_weights("abc.npz"), FileNotFoundError,
        "load_weights('abc.npz'): expected a file, found none of this name in "
        f"{str(tmp_path)!r}; "
        "it has '000.npz', '111.npz', '222.npz', '333.npz', '444.npz' and others.",
    )  # fmt: skip


def test_it_is_caught_as_in_keras():
    """Keras raises a ValueError for `.keras` files and a FileNotFoundError for others."""
    with pytest.raises(ValueError, match="no folder '/none'") as caught:
        keras.saving.load_model("/none/m.keras")
    error = caught.value
    assert isinstance(error, FileNotFoundError)
    assert (error.errno, error.filename) == (errno.ENOENT, "/none/m.keras")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
