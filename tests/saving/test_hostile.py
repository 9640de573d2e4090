"""Bad files x entry points: each is refused, and nothing else happens."""

import contextlib
import io
import json
import os
import shutil
import sys
import threading
import tracemalloc
import warnings
import zipfile

import h5py
import numpy as np
import pytest

import stepfit as keras
from stepfit.core import errors
from stepfit.saving.file_errors import FileError
from tests.saving import hostile

MOST_MEMORY = 200 * 2**20  # of arrays in Python, while a bad file is refused


@contextlib.contextmanager
def nothing_happens(folder, model=None):
    """Check that a block raises a clear error and leaves everything as it was."""
    keras.saving.load_model, keras.models  # noqa: B018  # loaded before
    modules, files, threads = set(sys.modules), listing(folder), threading.active_count()
    before = None if model is None else model.get_weights()
    with pytest.raises(errors.StepfitError) as caught:
        yield
    text = str(caught.value)
    assert ": expected " in text and ", found " in text, text
    assert len(text) < 2500
    new = {m for m in set(sys.modules) - modules if not m.startswith(("stepfit", "jax", "numpy"))}
    assert not new & {"os.system", "subprocess", "this_is_no_module"}, new
    assert listing(folder) == files and threading.active_count() <= threads + 1
    assert keras.config.floatx() == "float32" and keras.dtype_policies.get("float32")
    if model is not None:
        for a, b in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)


def listing(folder):
    return sorted(os.path.join(p, f) for p, _, files in os.walk(folder) for f in files)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(autouse=True)
def memory():
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST_MEMORY


def keras_file(folder, **changed):
    parts = hostile.members(hostile.good(folder, "keras"))
    return hostile.zipped(list({**parts, **changed}.items()))


CONFIG_CASES = hostile.configs()
assert len(CONFIG_CASES) >= 35

def write_config(folder, data):
    path = hostile.written(folder, "bad.keras", keras_file(folder, **{"config.json": data}))
    return path


def legacy_file(folder, data):
    path = os.path.join(folder, "bad.h5")
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = data
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = ["d", "e"]
        for name, shape in {"d": (2, 3), "e": (3, 1)}.items():
            group.create_group(name).attrs["weight_names"] = ["kernel", "bias"]
            group[f"{name}/kernel"] = np.zeros(shape, "f4")
            group[f"{name}/bias"] = np.zeros(shape[1:], "f4")
    return path


@pytest.mark.parametrize("case", CONFIG_CASES)
def test_configs(case, folder):
    data = CONFIG_CASES[case]
    path = write_config(folder, data)
    with nothing_happens(folder):  # a .keras file
        keras.saving.load_model(path)
    unpacked = os.path.join(folder, "unpacked")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(unpacked)
    with nothing_happens(folder):
        keras.saving.load_model(unpacked)
    shutil.rmtree(unpacked)
    text = data.decode("utf-8", "surrogateescape")
    if case != "bytes_that_are_no_text":
        if "\0" not in text:
            old = legacy_file(folder, text)
            with nothing_happens(folder):
                keras.saving.load_model(old)
        if case == "a_huge_layer":  # it is described, and costs nothing yet
            assert keras.models.model_from_json(text).count_params() == 4 * 10**9 + 1
            return
        with nothing_happens(folder):
            keras.models.model_from_json(text)
    if case not in hostile.RAW:
        config = json.loads(text)
        with nothing_happens(folder):
            found = keras.saving.deserialize_keras_object(config)
            if not isinstance(found, keras.Model):  # it is for whoever asked to look
                raise FileError("config: expected a model, found something else.")
        if "layers" in config["config"]:
            with nothing_happens(folder):
                keras.Sequential.from_config(config["config"])


def test_a_huge_layer_is_not_made(folder):
    """Its shape is known, compared and refused before there is any memory for it."""
    path = write_config(folder, CONFIG_CASES["a_huge_layer"])
    with pytest.raises(FileError) as caught:
        keras.saving.load_model(path)
    assert str(caught.value).startswith(
        f"load_model({path!r}): model.weights.h5: 'm/d/kernel': expected shape (2, 1000000000), "
        "found shape (2, 3)"
    )


def test_a_config_reads_no_file():
    config = json.loads(CONFIG_CASES["a_file_as_vocabulary"])["config"]["layers"][1]
    with pytest.raises(ValueError, match="StringLookup: vocabulary: expected the values"):
        keras.saving.deserialize_keras_object(config)


@pytest.mark.parametrize("case", ["a_lambda", "a_lambda_layer"])
def test_code_is_refused_whoever_asks(case, folder):
    config = json.loads(CONFIG_CASES[case])
    for run in (
        lambda: keras.saving.load_model(write_config(folder, CONFIG_CASES[case])),
        lambda: keras.Sequential.from_config(config["config"]),
        lambda: keras.layers.deserialize(config["config"]["layers"][1])
        if hasattr(keras.layers, "deserialize")
        else keras.saving.deserialize_keras_object(config),
    ):
        with pytest.raises(ValueError, match="expected no code, found '__lambda__'"):
            run()


@pytest.mark.parametrize("case", [
    "a_member_called_dots", "a_member_called_dots_inside", "a_member_called_absolute",
    "a_member_called_drive", "a_member_called_backslash", "a_member_called_control",
    "a_member_called_empty_part", "a_member_called_long", "a_member_called_deep", "a_member_twice",
    "a_member_twice_but_for_case", "a_symbolic_link", "a_bomb", "a_bomb_as_config", "no_weights",
    "no_config", "cut_off", "no_archive", "a_flipped_bit", "encrypted", "another_compression",
    "a_size_that_is_not_true",
])  # fmt: skip
def test_archives(case, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile says that a name is there twice
        data = hostile.archives(folder)
        assert len(data) == 22
    path, model = hostile.written(folder, "bad.keras", data[case]), hostile.model()
    with nothing_happens(folder):
        keras.saving.load_model(path)
    if case not in ("no_config", "a_bomb_as_config"):
        with nothing_happens(folder, model):
            model.load_weights(path)


WEIGHTS = {
    "weights.h5": hostile.hdf5_files, "safetensors": hostile.tensors_files,
    "npz": hostile.npz_files,
}  # fmt: skip
PLACES = ("weights.h5", "keras", "folder", "weights.json")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("ending", WEIGHTS)
def test_weights(ending, folder):
    cases, model = WEIGHTS[ending](folder), hostile.model()
    assert len(cases) >= 12
    for case, data in cases.items():
        path = hostile.written(folder, f"{case}.{ending}", data)
        try:
            with nothing_happens(folder, model):
                model.load_weights(path)
            if ending == "weights.h5":
                other = hostile.written(
                    folder, "bad.keras", keras_file(folder, **{"model.weights.h5": data})
                )
                with nothing_happens(folder, model):
                    model.load_weights(other)
                with nothing_happens(folder):
                    keras.saving.load_model(other)
        except BaseException as e:
            e.add_note(f"case: {case}")
            raise
        os.remove(path)


MAPS = {
    "another_folder": {"/layers/dense/vars": "../x.weights.h5"},
    "absolute": {"/layers/dense/vars": "/etc/passwd"}, "no_h5": {"/layers/dense/vars": "x.txt"},
    "missing": {"/layers/dense/vars": "none.weights.h5"}, "a_number": {"/layers/dense/vars": 3},
    "a_list_in_a_list": {"/layers/dense/vars": [["x.weights.h5"]]}, "a_list": [], "empty": {},
    "a_link": {"/layers/dense/vars": "link.weights.h5"},
}  # fmt: skip


@pytest.mark.parametrize("case", MAPS)
def test_maps_of_several_files(case, folder):
    model = hostile.model()
    link = os.path.join(folder, "link.weights.h5")
    if not os.path.lexists(link):
        os.symlink("/etc/passwd", link)
    text = json.dumps({"metadata": {}, "weight_map": MAPS[case]}).encode()
    path = hostile.written(folder, "bad.weights.json", text)
    with nothing_happens(folder, model):
        model.load_weights(path)


def test_files_that_were_not_written_together(tmp_path):
    model, path = hostile.model(), tmp_path / "w.weights.json"
    model.save_weights(path, max_shard_size=3e-8)
    shards = sorted(p for p in os.listdir(tmp_path) if p.endswith(".h5"))
    assert len(shards) == 2
    other = tmp_path / "other"
    other.mkdir()
    model.layers[0].kernel.assign_add(np.ones((2, 3)))
    model.save_weights(other / "w.weights.json", max_shard_size=3e-8)
    shutil.copy(other / shards[0], tmp_path / shards[0])
    with pytest.raises(FileError, match="expected the file that was written with the map, found"):
        model.load_weights(path)


def test_folders(tmp_path):
    folder = tmp_path / "model"
    hostile.model().save(folder, zipped=False)
    secret = tmp_path / "secret.json"
    shutil.copy(folder / "config.json", secret)
    for make in (os.symlink, os.link):
        os.remove(folder / "config.json")
        make(secret, folder / "config.json")
        with nothing_happens(tmp_path):
            keras.saving.load_model(folder)
    with nothing_happens(tmp_path):
        keras.saving.load_model(tmp_path)  # no model's folder
    os.mkfifo(tmp_path / "pipe.keras")
    with nothing_happens(tmp_path):
        keras.saving.load_model(tmp_path / "pipe.keras")


def test_assets_stay_inside(tmp_path, folder):
    """A layer reads its files from a folder that has those of the archive and no other."""

    @keras.saving.register_keras_serializable("hostile")
    class Words(keras.layers.Layer):
        def call(self, x):
            return x

        def save_assets(self, path):
            with open(os.path.join(path, "words.txt"), "w") as file:
                file.write("a b")

        def load_assets(self, path):
            with open(os.path.join(path, "words.txt")) as file:
                self.words, self.seen = file.read(), sorted(os.listdir(path))

    path = tmp_path / "m.keras"
    keras.Sequential([keras.Input((2,)), Words()]).save(path)
    parts = hostile.members(path.read_bytes())
    assert parts["assets/layers/words/words.txt"] == b"a b"
    layer = keras.saving.load_model(path).layers[0]
    assert (layer.words, layer.seen) == ("a b", ["words.txt"])
    stream = io.BytesIO(hostile.zipped([*parts.items(), ("assets/layers/../../x", b"")]))
    path.write_bytes(stream.getvalue())
    with nothing_happens(tmp_path):
        keras.saving.load_model(path)
