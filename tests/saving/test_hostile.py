"""Bad files x entry points: each is refused, and nothing else happens."""

import contextlib
import io
import json
import os
import shutil
import sys
import threading
import warnings

import keras as real
import numpy as np
import pytest

import stepfit as keras
from stepfit.core import errors
from stepfit.saving.file_errors import FileError
from tests.saving import hostile, hostile_matrix


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


@pytest.fixture(scope="module")
def families(folder):
    return hostile_matrix.families(folder)


@pytest.mark.parametrize("entry", hostile_matrix.ENTRIES, ids=lambda e: f"{e.name}, {e.family}")
def test_bad_files_are_refused(entry, families, folder):
    """The whole matrix; `make hostile` prints it, and listens for files opened and code run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile says that a name is there twice
        count, wrong = hostile_matrix.run(entry, families[entry.family], folder, hostile.model())
    assert not wrong
    assert count >= 4


def test_there_are_enough_bad_files(families):
    by_name: dict[str, int] = {}
    for entry in hostile_matrix.ENTRIES:
        count = len(families[entry.family]) - len(entry.but)
        by_name[entry.name] = by_name.get(entry.name, 0) + count
    assert min(by_name.values()) >= 40


def write_config(folder, case):
    data = hostile.configs()[case]
    return hostile_matrix.in_archive("config.json")(folder, data)


def test_a_huge_layer_is_not_made(folder):
    """Its shape is known, compared and refused before there is any memory for it."""
    path = write_config(folder, "a_huge_layer")
    with pytest.raises(FileError) as caught:
        keras.saving.load_model(path)
    assert str(caught.value).startswith(
        f"load_model({path!r}): model.weights.h5: 'm/d/kernel': expected shape (2, 1000000000), "
        "found shape (2, 3)"
    )
    text = hostile.configs()["a_huge_layer"].decode()  # as long as it is described, it is free
    assert keras.models.model_from_json(text).count_params() == 4 * 10**9 + 1


def test_a_config_reads_no_file():
    config = json.loads(hostile.configs()["a_file_as_vocabulary"])["config"]["layers"][1]
    with pytest.raises(ValueError, match="StringLookup: vocabulary: expected the values"):
        keras.saving.deserialize_keras_object(config)


def test_a_config_reads_no_file_for_a_subclass_either(tmp_path):
    @keras.saving.register_keras_serializable("hostile")
    class Words(keras.layers.StringLookup):
        pass

    (tmp_path / "words.txt").write_text("a\nb\n")
    vocabulary = str(tmp_path / "words.txt")
    assert Words(vocabulary=vocabulary).get_vocabulary() == ["[UNK]", "a", "b"]
    config = {"class_name": "Words", "registered_name": "hostile>Words", "module": None,
              "config": {"vocabulary": vocabulary}}  # fmt: skip
    with pytest.raises(ValueError, match="Words: vocabulary: expected the values"):
        keras.saving.deserialize_keras_object(config)
    again = keras.saving.serialize_keras_object(Words(vocabulary=["a"]))
    assert keras.saving.deserialize_keras_object(again).get_vocabulary() == ["[UNK]", "a"]


@pytest.mark.parametrize(("name", "argument"), [
    ("metrics.MeanIoU", "num_classes"), ("metrics.AUC", "num_thresholds"),
    ("layers.TextVectorization", "ngrams"), ("layers.AdaptiveMaxPooling1D", "output_size"),
    ("layers.MelSpectrogram", "fft_length"), ("layers.MelSpectrogram", "num_mel_bins"),
    ("layers.Discretization", "num_bins"),
])  # fmt: skip
def test_what_is_made_at_once_is_not_endless(name, argument):
    module, cls = name.split(".")
    config = {"class_name": cls, "module": f"keras.{module}", "config": {argument: 10**9}}
    with pytest.raises(ValueError, match=f"config of {cls}: {argument}: expected at most"):
        keras.saving.deserialize_keras_object(config)


@pytest.mark.parametrize("case", ["a_lambda", "a_lambda_layer"])
def test_code_is_refused_whoever_asks(case, folder):
    config = json.loads(hostile.configs()[case])
    for run in (
        lambda: keras.saving.load_model(write_config(folder, case)),
        lambda: keras.Sequential.from_config(config["config"]),
        lambda: keras.layers.deserialize(config["config"]["layers"][1])
        if hasattr(keras.layers, "deserialize")
        else keras.saving.deserialize_keras_object(config),
    ):
        with pytest.raises(ValueError, match="expected no code, found '__lambda__'"):
            run()


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


def test_keras_reads_a_map_that_was_written_again(tmp_path):
    model, path = hostile.model(), tmp_path / "w.weights.json"
    other = real.Sequential(
        [real.Input((2,)), real.layers.Dense(3, name="d"), real.layers.Dense(1, name="e")]
    )
    for _ in range(3):
        model.layers[0].kernel.assign_add(np.ones((2, 3)))
        model.save_weights(path, max_shard_size=3e-8)
        assert len(os.listdir(tmp_path)) <= 4  # the map, two files, and one that Keras opens
        model.load_weights(path)
        other.load_weights(path)
        for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


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


def test_a_folder_with_other_things_is_not_replaced(tmp_path):
    model = hostile.model()
    (tmp_path / "config.json").write_text("{}")  # of something else
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(ValueError, match="that of a model, found one with 'thesis.tex' in it"):
        model.save(tmp_path, zipped=False)
    assert listing(tmp_path) == [str(tmp_path / "config.json"), str(tmp_path / "thesis.tex")]
    for _ in range(2):
        model.save(tmp_path / "new", zipped=False)


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
