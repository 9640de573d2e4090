"""Data sets: small made-up files in the real formats, served by this machine."""

import gzip
import hashlib
import io
import json
import os
import pickle
import tarfile

import numpy as np
import pytest

from stepfit.core import config
from stepfit.datasets import (
    boston_housing,
    california_housing,
    cifar10,
    cifar100,
    digits,
    fashion_mnist,
    imdb,
    mnist,
    pickles,
    reuters,
)

RNG = np.random.RandomState(0)


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def ragged(count, longest=9):
    texts = np.empty(count, dtype=object)
    for i in range(count):
        texts[i] = RNG.randint(1, 50, size=RNG.randint(1, longest)).tolist()
    return texts


def images(*shape):
    return RNG.randint(0, 256, size=shape).astype("uint8")


def labels(count, classes=10):
    return RNG.randint(0, classes, size=count)


def idx(array):
    head = b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(head + array.tobytes())


def tar(folder, files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def cifar_batch(count, *keys):
    """A batch in the format of the official files: a pickle of protocol 2 with byte strings."""
    batch = {b"data": images(count, 3072), b"batch_label": b"batch", b"filenames": [b"a.png"]}
    for key in keys:
        batch[key.encode()] = labels(count, 100).tolist()
    return pickle.dumps(batch, protocol=2)


def serve(server, monkeypatch, module, **contents):
    """Put files on the server and their hashes into the module."""
    for name, content in contents.items():
        server.files[name] = content
    hashes = [hashlib.sha256(c).hexdigest() for c in contents.values()]
    if len(hashes) == 1:
        monkeypatch.setattr(module, "_SHA256", hashes[0])


@pytest.fixture
def imdb_file(server, monkeypatch):
    content = npz(x_train=ragged(12), y_train=labels(12, 2), x_test=ragged(7), y_test=labels(7, 2))
    serve(server, monkeypatch, imdb, **{"imdb.npz": content})
    return content


@pytest.fixture
def reuters_file(server, monkeypatch):
    content = npz(x=ragged(15), y=labels(15, 46))
    serve(server, monkeypatch, reuters, **{"reuters.npz": content})
    return content


def test_digits_are_those_of_the_uci_repository():
    """The hashes are those of `sklearn.datasets.load_digits`, see data/DIGITS.txt."""
    with np.load(digits._FILE, allow_pickle=False) as file:
        x, y = file["x"], file["y"]
    assert hashlib.sha256(x.tobytes()).hexdigest().startswith("8f26b2bd9d135c256808f68f14fdabdd")
    assert hashlib.sha256(y.tobytes()).hexdigest().startswith("8ba4f891220f5e4c9c819638d1602d74")
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert x_train.shape == (1437, 8, 8) and x_test.shape == (360, 8, 8)
    assert {a.dtype.name for a in (x_train, y_train, x_test, y_test)} == {"uint8"}
    pairs = {(a.tobytes(), int(b)) for a, b in zip(x, y, strict=True)}
    ours = np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test])
    assert {(a.tobytes(), int(b)) for a, b in zip(*ours, strict=True)} == pairs
    assert np.bincount(ours[1]).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_digits_split():
    parts = [digits.load_data(seed=s) for s in (113, 113, 7)]
    np.testing.assert_array_equal(parts[0][0][0], parts[1][0][0])
    assert not np.array_equal(parts[0][0][1], parts[2][0][1])
    (x_train, _), (x_test, _) = digits.load_data(test_split=0)
    assert (len(x_train), len(x_test)) == (1797, 0)
    with pytest.raises(ValueError) as error:
        digits.load_data(test_split=1.0)
    assert str(error.value) == (
        "test_split: expected a number from 0 to below 1, found 1.0; 0.2 puts every fifth sample "
        "into the test part."
    )


def test_digits_come_with_source_and_licence():
    text = (digits._FILE.parent / "DIGITS.txt").read_text()
    for part in ("10.24432/C50P49", "CC BY 4.0", "E. Alpaydin, C. Kaynak"):
        assert part in text


def test_mnist(server, home, monkeypatch):
    arrays = {
        "x_train": images(6, 28, 28), "y_train": labels(6).astype("uint8"),
        "x_test": images(3, 28, 28), "y_test": labels(3).astype("uint8"),
    }  # fmt: skip
    serve(server, monkeypatch, mnist, **{"mnist.npz": npz(**arrays)})
    for _ in range(2):
        (x_train, y_train), (x_test, y_test) = mnist.load_data()
        for found, name in ((x_train, "x_train"), (y_train, "y_train"), (x_test, "x_test"),
                            (y_test, "y_test")):  # fmt: skip
            np.testing.assert_array_equal(found, arrays[name])
    assert server.requests == ["mnist.npz"]
    assert sorted(p.name for p in (home / "datasets").iterdir()) == ["mnist.npz"]


def test_fashion_mnist(server, monkeypatch):
    parts = {
        "train-labels-idx1-ubyte.gz": labels(6).astype("uint8"),
        "train-images-idx3-ubyte.gz": images(6, 28, 28),
        "t10k-labels-idx1-ubyte.gz": labels(3).astype("uint8"),
        "t10k-images-idx3-ubyte.gz": images(3, 28, 28),
    }
    files = {name: idx(array) for name, array in parts.items()}
    server.files.update(files)
    hashes = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    assert list(hashes) == list(fashion_mnist._MD5)
    monkeypatch.setattr(fashion_mnist, "_MD5", hashes)
    (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data()
    for found, expected in zip((y_train, x_train, y_test, x_test), parts.values(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_cifar10(server, monkeypatch, data_format):
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    files = {name: cifar_batch(4, "labels") for name in names}
    serve(server, monkeypatch, cifar10,
          **{"cifar-10-python.tar.gz": tar("cifar-10-batches-py", files)})  # fmt: skip
    before = config.image_data_format()
    config.set_image_data_format(data_format)
    try:
        (x_train, y_train), (x_test, y_test) = cifar10.load_data()
    finally:
        config.set_image_data_format(before)
    assert y_train.shape == (20, 1) and y_test.shape == (4, 1) and y_test.dtype == np.uint8
    second = pickle.loads(files["data_batch_2"])
    expected = second[b"data"].reshape(4, 3, 32, 32)
    if data_format == "channels_last":
        expected = expected.transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(x_train[4:8], expected)
    np.testing.assert_array_equal(y_train[4:8, 0], second[b"labels"])
    assert x_test.shape[1:] == expected.shape[1:]


@pytest.mark.parametrize("mode", ["fine", "coarse"])
def test_cifar100(server, monkeypatch, mode):
    files = {n: cifar_batch(4, "fine_labels", "coarse_labels") for n in ("train", "test")}
    serve(server, monkeypatch, cifar100,
          **{"cifar-100-python.tar.gz": tar("cifar-100-python", files)})  # fmt: skip
    for _ in range(2):
        (x_train, y_train), (_, y_test) = cifar100.load_data(mode)
    key = f"{mode}_labels".encode()
    np.testing.assert_array_equal(y_train[:, 0], pickle.loads(files["train"])[key])
    np.testing.assert_array_equal(y_test[:, 0], pickle.loads(files["test"])[key])
    assert x_train.shape == (4, 32, 32, 3) and len(server.requests) == 1


@pytest.mark.parametrize("version", ["small", "large"])
def test_california_housing_is_that_of_keras(server, monkeypatch, version):
    import keras.src.datasets.california_housing as theirs

    content = npz(x=RNG.normal(size=(700, 8)).astype("f4"), y=np.arange(700, dtype="f4"))
    serve(server, monkeypatch, california_housing, **{"california_housing.npz": content})
    ours = california_housing.load_data(version, test_split=0.3, seed=5)
    path = str(config.home() / "datasets" / "california_housing.npz")
    monkeypatch.setattr(theirs, "get_file", lambda *args, **kwargs: path)
    expected = theirs.load_data(version, test_split=0.3, seed=5)
    same(ours, expected)


def test_boston_housing_is_that_of_keras(server, monkeypatch):
    import keras.src.datasets.boston_housing as theirs

    content = npz(x=RNG.normal(size=(50, 13)), y=np.arange(50.0))
    serve(server, monkeypatch, boston_housing, **{"boston_housing.npz": content})
    ours = boston_housing.load_data(test_split=0.3, seed=5)
    path = str(config.home() / "datasets" / "boston_housing.npz")
    monkeypatch.setattr(theirs, "get_file", lambda *args, **kwargs: path)
    same(ours, theirs.load_data(test_split=0.3, seed=5))


def same(ours, theirs):
    for (x, y), (their_x, their_y) in zip(ours, theirs, strict=True):
        assert [list(a) for a in x] == [list(a) for a in their_x]
        np.testing.assert_array_equal(y, their_y)


WORDS = [
    {},
    {"num_words": 20},
    {"num_words": 30, "skip_top": 5, "oov_char": None},
    {"maxlen": 6},
    {"start_char": None, "index_from": 0},
    {"start_char": None, "index_from": 4},
    {"start_char": 7, "oov_char": 9, "num_words": 25, "seed": 3},
]


@pytest.mark.parametrize("kwargs", WORDS, ids=str)
def test_imdb_is_that_of_keras(imdb_file, monkeypatch, kwargs):
    import keras.src.datasets.imdb as theirs

    ours = imdb.load_data(**kwargs)
    path = str(config.home() / "datasets" / "imdb.npz")
    monkeypatch.setattr(theirs, "get_file", lambda *args, **kwargs: path)
    same(ours, theirs.load_data(**kwargs))


@pytest.mark.parametrize("kwargs", [*WORDS, {"test_split": 0.5}], ids=str)
def test_reuters_is_that_of_keras(reuters_file, monkeypatch, kwargs):
    import keras.src.datasets.reuters as theirs

    ours = reuters.load_data(**kwargs)
    path = str(config.home() / "datasets" / "reuters.npz")
    monkeypatch.setattr(theirs, "get_file", lambda *args, **kwargs: path)
    same(ours, theirs.load_data(**kwargs))
    assert ours[0][0].ndim == 1 and isinstance(ours[0][0][0], list)


def test_maxlen_that_leaves_nothing(imdb_file):
    with pytest.raises(ValueError) as error:
        imdb.load_data(maxlen=1)
    assert str(error.value) == (
        "maxlen: expected a maxlen that keeps at least one text, found 1; raise maxlen."
    )


@pytest.mark.parametrize("module", [imdb, reuters])
def test_word_index(server, monkeypatch, module):
    name = f"{module.__name__.split('.')[-1]}_word_index.json"
    content = json.dumps({"the": 1, "naïve": 2}).encode()
    server.files[name] = content
    monkeypatch.setattr(module, "_INDEX_MD5", hashlib.md5(content).hexdigest())
    assert module.get_word_index() == {"the": 1, "naïve": 2}


def test_topics_are_those_of_keras():
    from keras.datasets import reuters as theirs

    assert reuters.get_label_names() == theirs.get_label_names()


def test_hashes_and_places_are_those_of_keras():
    """The official files: what Keras downloads is what we download."""
    import inspect

    from keras.src import datasets as theirs

    for module in (mnist, imdb, reuters, boston_housing, california_housing, cifar10, cifar100):
        source = inspect.getsource(getattr(theirs, module.__name__.split(".")[-1]))
        assert module._SHA256 in source
        for md5 in (getattr(module, "_INDEX_MD5", ""),):
            assert md5 in source
        host = "cs.toronto.edu/~kriz" if "cifar" in module.__name__ else "tf-keras-datasets"
        assert host in source


CHOICES = [
    (lambda: cifar100.load_data("fin"),
     "label_mode: expected the name of a set of labels, found 'fin'; did you mean 'fine'?"),
    (lambda: california_housing.load_data("smal"),
     "version: expected the name of a version, found 'smal'; did you mean 'small'?"),
    (lambda: california_housing.load_data(test_split=2),
     "test_split: expected a number from 0 to below 1, found 2; 0.2 puts every fifth sample into "
     "the test part."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), CHOICES)
def test_choices(call, text):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == text


class Evil:
    def __reduce__(self):
        return os.system, ("exit 1",)


class EvilEval:
    def __reduce__(self):
        return eval, ("1",)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("evil", [Evil, EvilEval])
def test_pickles_that_name_functions_are_refused(protocol, evil):
    content = pickle.dumps({b"data": [evil()]}, protocol=protocol)
    with pytest.raises(ValueError, match=r"evil: expected a pickle of plain numbers and arrays"):
        pickles.load_pickle(io.BytesIO(content), "evil")


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "numpy.load", "subprocess.Popen"])
def test_no_other_name_is_looked_up(name):
    module, attribute = name.rsplit(".", 1)
    content = f"c{module}\n{attribute}\n.".encode()
    with pytest.raises(ValueError) as error:
        pickles.load_pickle(io.BytesIO(content), "file")
    assert str(error.value) == (
        f"file: expected a pickle of plain numbers and arrays, found the name {name}; delete the "
        "file, so that it is downloaded again."
    )


BROKEN = {
    "empty": b"",
    "truncated": pickle.dumps({b"data": images(4, 4)}, protocol=2)[:-40],
    "structured dtype": pickle.dumps(np.zeros(2, [("a", "i4")]), protocol=2),
    "datetime": pickle.dumps(np.zeros(2, "M8[s]"), protocol=2),
    "wrong size": pickle.dumps(images(4, 4), protocol=2).replace(b"K\x04K\x04", b"K\x04K\x09"),
    "a set": pickle.dumps({1, 2}, protocol=4),
    "a bare dtype": pickle.dumps(np.dtype("i4"), protocol=2),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_pickles_have_a_named_error(name):
    with pytest.raises(ValueError, match="^file: expected a pickle of plain numbers and arrays"):
        pickles.load_pickle(io.BytesIO(BROKEN[name]), "file")


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["u1", "i4", ">i8", "f4", "bool"])
def test_pickled_arrays_come_back(protocol, dtype):
    array = RNG.randint(0, 2, size=(3, 4)).astype(dtype)
    for given in (array, np.asfortranarray(array)):
        content = pickle.dumps({"a": given, "b": [1, 2.5, "c"]}, protocol=protocol)
        found = pickles.load_pickle(io.BytesIO(content), "file")
        (first,) = [v for v in found.values() if isinstance(v, np.ndarray)]
        np.testing.assert_array_equal(first, array)
        assert first.dtype == array.dtype


def test_object_arrays_with_code_inside_are_refused(server, home, monkeypatch):
    texts = np.empty(2, dtype=object)
    texts[0], texts[1] = [1], Evil()
    serve(server, monkeypatch, reuters, **{"reuters.npz": npz(x=texts, y=labels(2))})
    with pytest.raises(ValueError, match="reuters.npz, member x.npy: expected a pickle of plain"):
        reuters.load_data()
