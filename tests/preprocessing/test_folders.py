"""Folders of images, texts and sounds, beside Keras's."""

import wave

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import stepfit
from stepfit import preprocessing
from stepfit.preprocessing import samples
from stepfit.utils import optional

RNG = np.random.RandomState(0)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three classes; images of several sizes, kinds and depths of folders."""
    root = tmp_path_factory.mktemp("images")
    for i in range(10):
        folder = root / ("birds", "cats", "dogs")[i % 3] / ("deeper" if i == 4 else "")
        folder.mkdir(parents=True, exist_ok=True)
        shape = ((9, 12, 3), (12, 9, 3), (8, 8), (16, 8, 4))[i % 4]
        image = Image.fromarray(RNG.randint(0, 256, shape).astype("uint8"))
        image.save(folder / f"{i}.{'PNG' if i % 2 else 'bmp'}" if i % 4 != 3 else folder / "x.png")
    (root / "notes.txt").write_text("no image")
    (root / ".hidden").mkdir()
    return root


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    root = tmp_path_factory.mktemp("texts")
    for i in range(7):
        (root / "ab"[i % 2]).mkdir(exist_ok=True)
        (root / "ab"[i % 2] / f"{i}.txt").write_text(f"text {i}: naïve {'x' * i}", encoding="utf-8")
    return root


def same(ours, theirs):
    ours, theirs = list(ours), list(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        parts = (a, b) if isinstance(a, tuple) else ((a,), (b,))
        for x, y in zip(*parts, strict=True):
            if x.dtype == object:
                assert x.tolist() == [t if isinstance(t, str) else t.decode() for t in y]
                continue
            y = np.asarray(y)
            assert (x.dtype, x.shape) == (y.dtype, y.shape)
            np.testing.assert_allclose(x, y, atol=2e-3)


IMAGES = [
    {},
    {"label_mode": "categorical", "color_mode": "grayscale", "interpolation": "nearest"},
    {"label_mode": None, "color_mode": "rgba", "interpolation": "bicubic"},
    {"labels": None, "image_size": 5, "data_format": "channels_first"},
    {"labels": [3, 1, 2, 1, 1, 1, 1, 1, 1, 1], "batch_size": None},
    {"class_names": ["dogs", "cats"], "label_mode": "binary", "crop_to_aspect_ratio": True},
    {"pad_to_aspect_ratio": True, "interpolation": "lanczos3"},
    {"validation_split": 0.3, "subset": "validation", "seed": 4, "interpolation": "lanczos5"},
]


@pytest.mark.parametrize("options", IMAGES, ids=str)
def test_images_are_those_of_keras(images, options):
    options = {"image_size": (7, 6), "batch_size": 4, "shuffle": False, "verbose": False} | options
    theirs = keras.utils.image_dataset_from_directory(images, format="grain", **options)
    for format in ("batches", "grain"):
        ours = stepfit.utils.image_dataset_from_directory(images, format=format, **options)
        assert ours.class_names == theirs.class_names
        assert ours.file_paths == [str(p) for p in theirs.file_paths]
        same(ours, theirs)


TEXTS = [{}, {"max_length": 9, "label_mode": "binary"}, {"labels": None, "batch_size": None}]


@pytest.mark.parametrize("options", TEXTS, ids=str)
def test_texts_are_those_of_keras(texts, options):
    options = {"shuffle": False, "verbose": False, "batch_size": 3} | options
    theirs = keras.utils.text_dataset_from_directory(texts, format="grain", **options)
    ours = stepfit.utils.text_dataset_from_directory(texts, format="batches", **options)
    ours, theirs = list(ours), list(theirs)
    if options["batch_size"] is None:
        assert ours == theirs
    else:
        same(ours, [(np.array(x, object), y) for x, y in theirs])


def test_shuffling_and_splitting_are_those_of_keras(images):
    for subset in ("training", "both"):
        options = {"validation_split": 0.4, "subset": subset, "seed": 7, "verbose": False,
                   "image_size": (4, 4), "format": "grain"}  # fmt: skip
        ours = stepfit.utils.image_dataset_from_directory(images, **options)
        theirs = keras.utils.image_dataset_from_directory(images, **options)
        if subset == "training":
            ours, theirs = [ours], [theirs]
        for a, b in zip(ours, theirs, strict=True):
            assert a.file_paths == b.file_paths
            same(a, b)


def test_what_is_said(images, capsys):
    load = preprocessing.image_dataset_from_directory
    load(images, validation_split=0.3, subset="both", seed=1, format="batches")
    load(images, labels=None, format="batches")
    assert capsys.readouterr().out.splitlines() == [
        "Found 10 files belonging to 3 classes.", "Using 7 files for training.",
        "Using 3 files for validation.", "Found 10 files.",
    ]  # fmt: skip


def test_with_tensorflow_it_is_a_tf_dataset(images, texts, monkeypatch):
    options = {"image_size": (4, 4), "batch_size": 4, "seed": 1, "verbose": False}
    found = preprocessing.image_dataset_from_directory(images, **options)
    assert isinstance(found, tf.data.Dataset) and int(found.cardinality()) == 3
    assert found.class_names == ["birds", "cats", "dogs"] and len(found.file_paths) == 10
    assert found.element_spec[0].shape.as_list() == [None, 4, 4, 3]
    batches = preprocessing.image_dataset_from_directory(images, format="batches", **options)
    same(found.as_numpy_iterator(), batches)
    found = preprocessing.text_dataset_from_directory(texts, shuffle=False, verbose=False)
    assert found.element_spec[0].dtype == tf.string
    assert next(iter(found))[0][0].numpy().decode() == "text 0: naïve "
    monkeypatch.setattr(optional, "found", lambda package: False)
    found = preprocessing.image_dataset_from_directory(images, **options)
    assert isinstance(found, samples.Batches)


def test_batches_have_an_order_of_their_own_in_each_pass(images):
    data = preprocessing.image_dataset_from_directory(
        images, image_size=(4, 4), batch_size=4, seed=1, format="batches", verbose=False
    )
    passes = [np.concatenate([y for _, y in data]) for _ in range(3)]
    assert not np.array_equal(passes[0], passes[1]) or not np.array_equal(passes[1], passes[2])
    assert all(sorted(p) == sorted(passes[0]) for p in passes)
    changed = data.map(lambda x, y: (x / 255, y + 1), num_parallel_calls=2).skip(1).take(1)
    assert len(changed) == 1 and changed.workers == 2 and changed.class_names == data.class_names
    x, y = changed.prefetch(1)[0]
    np.testing.assert_array_equal(x, data[1][0] / 255)
    np.testing.assert_array_equal(y, data[1][1] + 1)


def test_fit_takes_them(images):
    data = preprocessing.image_dataset_from_directory(
        images, image_size=(4, 4), batch_size=4, seed=1, format="batches", verbose=False
    )
    layers = stepfit.layers
    model = stepfit.Sequential([layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(3)])
    loss = stepfit.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    history = model.fit(data, epochs=2, validation_data=data.take(1), verbose=0)
    assert np.isfinite(history.history["val_loss"]).all()
    assert model.predict(data, verbose=0).shape == (10, 3)


def write_wav(path, x, rate=16000):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(x.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(x.astype("<i2").tobytes())


@pytest.mark.parametrize("length", [None, 6, 12])
def test_sounds_are_those_of_keras(tmp_path, length):
    for i, steps in enumerate((5, 9, 7)):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        x = RNG.randint(-(2**15), 2**15, (steps, 2))
        write_wav(tmp_path / "ab"[i % 2] / f"{i}.wav", x)
    options = {"output_sequence_length": length, "batch_size": 2, "shuffle": False,
               "verbose": False}  # fmt: skip
    ours = stepfit.utils.audio_dataset_from_directory(tmp_path, **options)
    theirs = keras.utils.audio_dataset_from_directory(tmp_path, **options)
    assert ours.class_names == theirs.class_names
    same(ours.as_numpy_iterator(), theirs.as_numpy_iterator())


def call(name, **options):
    return lambda root: getattr(stepfit.utils, name)(root, **options)


IMAGE, TEXT, AUDIO = (f"{k}_dataset_from_directory" for k in ("image", "text", "audio"))
BAD = [
    (call(IMAGE, label_mode="ints"),
     "(label_mode): expected the name of a label mode, found 'ints'; did you mean 'int'?"),
    (call(IMAGE, labels="infered"),
     "(labels): expected 'inferred', None or a list of integers, found 'infered'."),
    (call(IMAGE, labels=[1, 2]), "(labels): expected 10 labels, one for each file, found 2."),
    (call(IMAGE, labels=[1, 3] * 5, label_mode="categorical", format="batches"),
     '(labels): expected labels from 0 to 1 for label_mode="categorical", found labels from 1 to '
     "3."),
    (call(IMAGE, labels=None, class_names=["cats"]),
     "(class_names): expected None where labels are not inferred, found names; leave it out."),
    (call(IMAGE, class_names=["cat"]),
     "(class_names): expected the name of a subfolder, found 'cat'; did you mean 'cats'?"),
    (call(IMAGE, label_mode="binary"),
     ': expected two classes for label_mode="binary", found 3.'),
    (call(IMAGE, color_mode="RGB"),
     "(color_mode): expected the name of a color mode, found 'RGB'; did you mean 'rgb'?"),
    (call(IMAGE, interpolation="area"),
     "(interpolation): expected the name of an interpolation, found 'area'; known names: "
     "'bicubic', 'bilinear', 'lanczos3', 'lanczos5', 'nearest'."),
    (call(IMAGE, image_size=(1, 2, 3)),
     "(image_size): expected (height, width), found (1, 2, 3)."),
    (call(IMAGE, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
     "(crop_to_aspect_ratio, pad_to_aspect_ratio): expected at most one of them, found both."),
    (call(IMAGE, format="torch"),
     "(format): expected the name of a format, found 'torch'; known names: 'batches', 'grain', "
     "'tf'."),
    (call(IMAGE, validation_split=0.2),
     "(subset): expected a value, as validation_split is given, found None; pass validation_split "
     "and subset, or neither."),
    (call(IMAGE, subset="training"),
     "(validation_split): expected a value, as subset is given, found None; pass subset and "
     "validation_split, or neither."),
    (call(IMAGE, validation_split=2, subset="training"),
     "(validation_split): expected a share from 0 to 1, or None, found 2."),
    (call(IMAGE, validation_split=0.2, subset="train"),
     "(subset): expected the name of a subset, found 'train'; did you mean 'training'?"),
    (call(IMAGE, validation_split=0.2, subset="training"),
     "(seed): expected an int for a shuffled split, found None; so that the two parts come from "
     "one order."),
    (call(AUDIO, ragged=True),
     "(ragged): expected False, found True; leave output_sequence_length None, which pads each "
     "batch."),
]  # fmt: skip


@pytest.mark.parametrize(("run", "text"), BAD, ids=[row[1][:40] for row in BAD])
def test_message(images, run, text):
    with pytest.raises(ValueError) as error:
        run(images)
    name = AUDIO if "ragged" in text else IMAGE
    assert str(error.value) == name + text


def test_messages_about_files(tmp_path, texts):
    with pytest.raises(ValueError) as error:
        stepfit.utils.image_dataset_from_directory(texts, verbose=False)
    assert str(error.value) == (
        f"{IMAGE}: expected files with one of the suffixes .bmp, .gif, .jpeg, .jpg, .png, found "
        f"none in {str(texts)!r}."
    )
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "broken.png").write_bytes(b"no image")
    data = stepfit.utils.image_dataset_from_directory(tmp_path, format="batches", verbose=False)
    with pytest.raises(OSError) as error:
        data[0]
    assert error.value.__notes__ == [f"Raised while {tmp_path / 'a' / 'broken.png'} was read."]
    (tmp_path / "a" / "b.wav").touch()
    write_wav(tmp_path / "a" / "b.wav", np.zeros((4, 1)), rate=8000)
    with pytest.raises(ValueError, match="expected 16000 samples per second, found 8000; resample"):
        load = stepfit.utils.audio_dataset_from_directory
        load(tmp_path, sampling_rate=16000, verbose=False)
