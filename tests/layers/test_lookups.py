"""Lookups, hashes and texts against real Keras: values, vocabularies, data pipelines, configs."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import stepfit
from stepfit import layers as L
from tests.expect import refused

rng = np.random.default_rng(0)
WORDS = rng.choice(["ab", "b", "c", "zz", "", "q", "é"], (7, 5))
NUMBERS = rng.integers(-3, 6, (7, 5))
TEXTS = ["The Quick, brown fox!", "É jumps\tover\u00a0the  lazy-dog", "", "a a a b"]
CORPUS = ["the quick fox", "the lazy dog", "a b the", "É jumps fox"]


@stepfit.saving.register_keras_serializable("tests")
def shout(texts):
    return np.char.upper(texts)


@stepfit.saving.register_keras_serializable("tests")
def split_at_a(texts):
    return tf.strings.split(texts, sep="a")


MODES = ("int", "one_hot", "multi_hot", "count")

# What to make, the data to adapt it to (None: it was given a vocabulary), what to call it on.
CALLS = [
    *[("StringLookup", {"vocabulary": ["ab", "b", "c"], "output_mode": mode}, None, WORDS)
      for mode in MODES],
    ("StringLookup", {"vocabulary": ["ab", "b"], "output_mode": "tf_idf",
                      "idf_weights": [0.3, 0.4]}, None, WORDS),
    ("StringLookup", {"vocabulary": ["[UNK]", "ab", "b"], "output_mode": "tf_idf", "max_tokens": 5,
                      "idf_weights": [0.1, 0.3, 0.4], "pad_to_max_tokens": True}, None, WORDS),
    ("StringLookup", {"vocabulary": ["ab", "b"], "num_oov_indices": 3}, None, WORDS),
    ("StringLookup", {"vocabulary": ["ab"], "num_oov_indices": 3, "salt": 7}, None, WORDS),
    ("StringLookup", {"vocabulary": ["ab", "b"], "mask_token": ""}, None, WORDS),
    ("StringLookup", {"vocabulary": ["", "[UNK]", "ab"], "mask_token": ""}, None, WORDS),
    ("StringLookup", {"vocabulary": ["ab"], "mask_token": "", "output_mode": "count"}, None, WORDS),
    ("StringLookup", {"vocabulary": WORDS[0, :1]}, None, WORDS[:, :1]),
    ("StringLookup", {"vocabulary": ["ab"], "output_mode": "one_hot"}, None, WORDS[:, :1]),
    ("StringLookup", {"vocabulary": ["ab"], "output_mode": "multi_hot"}, None, ["ab", "c"]),
    ("StringLookup", {"vocabulary": ["ab"]}, None, "ab"),
    ("StringLookup", {}, WORDS, WORDS),
    ("StringLookup", {}, WORDS[:, 0], WORDS),
    ("StringLookup", {"max_tokens": 4, "mask_token": ""}, WORDS.tolist(), WORDS),
    ("StringLookup", {"output_mode": "tf_idf", "num_oov_indices": 2, "max_tokens": 9,
                      "pad_to_max_tokens": True}, WORDS, WORDS),
    *[("IntegerLookup", {"vocabulary": [1, 3, -2], "output_mode": mode}, None, NUMBERS)
      for mode in MODES],
    ("IntegerLookup", {"vocabulary": [1, 3], "num_oov_indices": 2, "mask_token": 0}, None, NUMBERS),
    ("IntegerLookup", {"vocabulary": [1], "num_oov_indices": 4, "oov_method": "farmhash",
                       "salt": [1, 2]}, None, NUMBERS),
    ("IntegerLookup", {"vocabulary": [1, 3, -2], "invert": True}, None, abs(NUMBERS)),
    ("IntegerLookup", {"vocabulary": [10**12, 3]}, None, np.array([3, 10**12, 10**12 + 1])),
    ("IntegerLookup", {"vocabulary": [1, 3]}, None, np.array([3.7, 1.0])),
    ("IntegerLookup", {"output_mode": "tf_idf"}, NUMBERS, NUMBERS),
    ("IntegerLookup", {"max_tokens": 4, "num_oov_indices": 2}, NUMBERS, NUMBERS),
    *[("Hashing", {"num_bins": 5, "output_mode": mode}, None, x)
      for mode in MODES for x in (WORDS, NUMBERS)],
    ("Hashing", {"num_bins": 5, "salt": 133}, None, WORDS),
    ("Hashing", {"num_bins": 5, "salt": (-3, 137)}, None, WORDS),
    ("Hashing", {"num_bins": 5, "mask_value": ""}, None, WORDS),
    ("Hashing", {"num_bins": 5, "mask_value": 1}, None, NUMBERS),
    ("Hashing", {"num_bins": 50}, None, np.array([[1.5], [-2.5], [2.0**40]])),
    *[("HashedCrossing", {"num_bins": 9, "output_mode": mode}, None, x)
      for mode in ("int", "one_hot")
      for x in ((WORDS[:, :1], NUMBERS[:, :1]), (NUMBERS[:, 0], NUMBERS[:, 1], WORDS[:, 0]))],
    ("HashedCrossing", {"num_bins": 9}, None, (np.array(3), np.array(-4))),
    *[("TextVectorization", settings, CORPUS, TEXTS) for settings in (
        {}, {"max_tokens": 5}, {"output_sequence_length": 3}, {"output_sequence_length": 9},
        {"ngrams": 2}, {"ngrams": (2, 3)}, {"split": "character"}, {"standardize": None},
        {"standardize": "lower"}, {"standardize": "strip_punctuation"},
        {"output_mode": "multi_hot"}, {"output_mode": "count", "ngrams": 2},
        {"output_mode": "tf_idf", "max_tokens": 30, "pad_to_max_tokens": True},
        {"split": None, "output_sequence_length": 6}, {"split": None, "output_mode": "multi_hot"},
        {"standardize": shout}, {"split": split_at_a}, {"split": None, "ngrams": 2},
    )],
    ("TextVectorization", {"vocabulary": ["", "[UNK]", "a", "fox"]}, None,
     np.array(TEXTS)[:, None]),
    ("TextVectorization", {"vocabulary": ["a", "fox"]}, None, tf.constant(TEXTS)),
    ("TextVectorization", {"vocabulary": ["a", "fox"], "output_mode": "tf_idf",
                           "idf_weights": [0.3, 0.4]}, None, "A fox"),
]  # fmt: skip
IDS = [f"{cls}-{i}" for i, (cls, *_) in enumerate(CALLS)]


def make(module, cls, settings, data):
    layer = getattr(module, cls)(**settings)
    if data is not None:
        layer.adapt(data)
    return layer


def close(found, expected):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.dtype == expected.dtype and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("cls, settings, data, x", CALLS, ids=IDS)
def test_values_are_keras(cls, settings, data, x):
    ours, theirs = make(L, cls, settings, data), make(keras.layers, cls, settings, data)
    close(ours(x), theirs(x))
    if hasattr(ours, "get_vocabulary"):
        assert ours.get_vocabulary() == theirs.get_vocabulary()
        assert ours.get_vocabulary(False) == theirs.get_vocabulary(False)
        assert ours.vocabulary_size() == theirs.vocabulary_size()


@pytest.mark.parametrize("cls, settings, data, x", CALLS, ids=IDS)
def test_config_round_trip(cls, settings, data, x, tmp_path):
    layer = make(L, cls, settings, data)
    config = json.loads(json.dumps(layer.get_config()))
    again = getattr(L, cls).from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    if hasattr(layer, "save_assets"):
        store = {}
        layer.save_own_variables(store)
        layer.save_assets(tmp_path)
        again.load_own_variables(store)
        again.load_assets(tmp_path)
        assert again.get_vocabulary() == layer.get_vocabulary()
        assert (tmp_path / "vocabulary.txt").exists() == ("vocabulary" not in settings)
    close(again(x), layer(x))


# Each of these is also one operation of a TensorFlow dataset, with Keras's dtype (int64 is int64).
IN_PIPELINES = [row for row in CALLS if np.ndim(row[3]) > 1 or row[0] == "TextVectorization"]
IN_PIPELINES = [
    row for row in IN_PIPELINES
    if row[1].get("standardize") is not shout  # on the JAX backend, Keras gives it no tensors
    and row[1].get("split", "") is not None and not np.ndim(row[3]) == 0
]  # fmt: skip


@pytest.mark.parametrize(
    "cls, settings, data, x", IN_PIPELINES[::2], ids=[row[0] for row in IN_PIPELINES[::2]]
)
def test_in_tf_data(cls, settings, data, x):
    source = tf.data.Dataset.from_tensor_slices(x).batch(4)

    def mapped(layer):
        return source.map((lambda *parts: layer(parts)) if cls == "HashedCrossing" else layer)

    run = [mapped(make(module, cls, settings, data)) for module in (L, keras.layers)]
    ours, theirs = run[0].element_spec, run[1].element_spec
    assert ours.dtype == theirs.dtype and ours.shape.rank is not None
    for a, b in zip(*run, strict=True):
        assert ours.shape.is_compatible_with(a.shape)
        close(a, b)


FORMS = {
    "batches": lambda layer, x: layer.adapt(iter([x[:3], x[3:]])),
    "a dataset": lambda layer, x: layer.adapt(
        tf.data.Dataset.from_tensor_slices(x).batch(3), steps=2),
    "a dataset of rows": lambda layer, x: layer.adapt(tf.data.Dataset.from_tensor_slices(x)),
    "a dataset of tokens": lambda layer, x: layer.adapt(
        tf.data.Dataset.from_tensor_slices(x[:, 0])),
    "twice": lambda layer, x: (layer.adapt(x[:2]), layer.adapt(x[:4])),
    "by hand": lambda layer, x: (
        layer.update_state(x[:2]), layer.update_state(x[3]), layer.finalize_state()),
    "a Python list": lambda layer, x: layer.adapt(x.tolist()),
}  # fmt: skip


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("cls, x", [("StringLookup", WORDS), ("IntegerLookup", NUMBERS)])
def test_adapt_learns_what_keras_learns(cls, x, form):
    for settings in ({}, {"output_mode": "tf_idf", "num_oov_indices": 2}):
        if form == "twice" and settings:  # Keras wants a vocabulary of the same size
            continue
        ours, theirs = getattr(L, cls)(**settings), getattr(keras.layers, cls)(**settings)
        FORMS[form](ours, x)
        FORMS[form](theirs, x)
        assert ours.get_vocabulary() == theirs.get_vocabulary()
        close(ours(x), theirs(x))


def test_adapt_takes_the_other_sources():
    class Batches(stepfit.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return WORDS[3 * index : 3 * index + 3], np.zeros(3)

    expected = L.StringLookup()
    expected.adapt(WORDS[:6])
    pairs = tf.data.Dataset.from_tensor_slices((WORDS[:6], np.zeros(6))).batch(4)
    for data in (Batches(), pairs, [list(row) for row in WORDS[:6]]):
        layer = L.StringLookup()
        layer.adapt(data)
        assert layer.get_vocabulary() == expected.get_vocabulary()
    layer = L.TextVectorization()
    layer.adapt(tf.data.Dataset.from_tensor_slices((CORPUS, [0] * 4)).batch(2))
    again = L.TextVectorization()
    again.adapt(np.array(CORPUS, object))
    assert layer.get_vocabulary() == again.get_vocabulary()


def test_strings_come_in_any_form():
    layer = L.StringLookup(vocabulary=["é", "b"])
    bytes_ = np.array(["é", "b"]).astype(object)
    forms = [["é", "b"], ("é", "b"), np.array(["é", "b"]), bytes_, tf.constant(["é", "b"]),
             np.char.encode(np.array(["é", "b"]), "utf-8"), ["é".encode(), b"b"]]  # fmt: skip
    for x in forms:
        assert layer(x).tolist() == [1, 2]
    latin = L.StringLookup(vocabulary=["é"], encoding="latin-1")
    assert latin(["é".encode("latin-1")]).tolist() == [1]


@pytest.mark.parametrize("texts", [[], ["", " "]], ids=["no text", "no token"])
@pytest.mark.parametrize("mode", ["int", "multi_hot", "count", "tf_idf"])
def test_texts_without_any_token(texts, mode):
    values = []
    for module in (keras, stepfit):
        layer = module.layers.TextVectorization(output_mode=mode)
        layer.adapt(np.array(CORPUS))
        values.append(np.asarray(layer(np.array(texts, object))))
    assert values[0].shape == values[1].shape and not values[0].any() and not values[1].any()


def test_strings_come_back():
    layer = L.StringLookup(vocabulary=["a", "b"], invert=True, mask_token="")
    found = layer(np.array([[0, 1, 2, 9]]))
    assert found.tolist() == [["", "[UNK]", "a", "[UNK]"]]
    mapped = tf.data.Dataset.from_tensor_slices([[2, 3]]).map(layer)
    assert mapped.element_spec.dtype == tf.string
    assert next(iter(mapped)).numpy().tolist() == [b"a", b"b"]


def test_a_vocabulary_file(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("b\na\n")
    layer = L.StringLookup(vocabulary=str(path))
    assert layer.get_vocabulary() == ["[UNK]", "b", "a"]
    assert layer.get_config()["vocabulary"] is None
    (tmp_path / "numbers.txt").write_text("7\n-1\n")
    assert L.IntegerLookup(vocabulary=tmp_path / "numbers.txt").get_vocabulary() == [-1, 7, -1]


@pytest.mark.parametrize(
    "layer",
    [
        L.IntegerLookup(vocabulary=[10, 20, -5, 10**12], num_oov_indices=2, mask_token=0),
        L.IntegerLookup(vocabulary=[10**12]),
        L.IntegerLookup(vocabulary=[3, 5], num_oov_indices=3, oov_method="farmhash"),
        L.IntegerLookup(vocabulary=[3, 5], output_mode="multi_hot", mask_token=0),
        L.IntegerLookup(vocabulary=[3, 5], output_mode="tf_idf", idf_weights=[0.5, 2.0]),
        L.IntegerLookup(vocabulary=[3, 5], invert=True),
        L.Hashing(5),
        L.Hashing(5, output_mode="count"),
    ],
    ids=lambda layer: layer.name,
)
def test_integers_in_a_compiled_model(layer):
    x = np.array([[10, 20, 0], [3, 5, -5], [7, 1, 2], [1, 1, 3]], "int32")
    model = stepfit.Sequential([stepfit.Input((3,), dtype="int32"), layer])
    close(model.predict(x, batch_size=2, verbose=0), layer(x))
    assert model.output_shape[1:] == layer(x).shape[1:] and model.output.dtype == layer(x).dtype


def test_training_with_lookups_and_crossings():
    a, b = stepfit.Input((1,), dtype="int32"), stepfit.Input((1,), dtype="int32")
    lookup = L.IntegerLookup(vocabulary=[0, 1, 2])
    crossed = L.HashedCrossing(7, "one_hot")([a, b])
    y = L.Dense(1)(L.Concatenate()([L.Flatten()(L.Embedding(4, 2)(lookup(b))), crossed]))
    model = stepfit.Model([a, b], y)
    model.compile("sgd", "mse")
    data = [np.arange(8)[:, None], np.arange(8)[:, None] % 4]
    losses = model.fit(data, np.ones((8, 1)), epochs=3, verbose=0).history["loss"]
    assert losses[2] < losses[0]
    close(model.predict(data, verbose=0).round(4), np.asarray(model(data)).round(4))


def test_a_model_that_begins_with_strings():
    model = stepfit.Sequential([
        L.TextVectorization(vocabulary=["a", "b"], output_sequence_length=3),
        L.Embedding(4, 2), L.GlobalAveragePooling1D(), L.Dense(1),
    ])  # fmt: skip
    first = model(["a b", "b"])
    close(model(np.array([["a b"], ["b"]])), first)
    inputs = stepfit.Input((1,), dtype="string")
    assert stepfit.Model(inputs, model.layers[0](inputs)).output_shape == (None, 3)
    inputs = stepfit.Input((), dtype="string")
    close(stepfit.Model(inputs, model(inputs))(["a b", "b"]), first)
    model.compile("sgd", "mse")
    text = (
        "x: expected an array of numbers, found strings (<U3); map them to integers first, with a "
        "StringLookup or TextVectorization layer: layer(x) for arrays, dataset.map(lambda x, y: "
        "(layer(x), y)) in a data pipeline; a model that has such a layer takes strings in a "
        "call, model(x)."
    )
    for run in (model.fit, model.evaluate):
        with pytest.raises(TypeError) as caught:
            run(np.array(["a b", "b"]), np.ones((2, 1)), verbose=0)
        assert str(caught.value) == text
    layer, rest = model.layers[0], stepfit.Sequential(model.layers[1:])
    rest.compile("sgd", "mse")
    pairs = tf.data.Dataset.from_tensor_slices((["a b", "b"], [[1.0], [2.0]])).batch(2)
    assert rest.fit(pairs.map(lambda x, y: (layer(x), y)), verbose=0).history["loss"]
    close(rest(layer(["a b", "b"])), model(["a b", "b"]))


ERRORS = [
    (lambda: L.StringLookup(name="s")(["a"]),
     "StringLookup 's': expected a vocabulary before the first call, found none; call adapt(data) "
     "first, or pass vocabulary=[...]."),
    (lambda: L.TextVectorization(name="t")(["a"]),
     "TextVectorization 't': expected a vocabulary before the first call, found none; call "
     "adapt(data) first, or pass vocabulary=[...]."),
    (lambda: L.StringLookup(vocabulary=["a"], name="s")(np.array([1, 2])),
     "StringLookup 's' input: expected strings, found int64[2]; call .astype(str) on them."),
    (lambda: L.StringLookup(vocabulary=["a"], name="s")([["a"], ["a", "b"]]),
     "StringLookup 's' input: expected rows of one length, found a list of 2 elements that differ; "
     "pad them."),
    (lambda: L.IntegerLookup(vocabulary=[1], name="i")(["a"]),
     "IntegerLookup 'i' input: expected integers, found <U1[1]."),
    (lambda: L.IntegerLookup(vocabulary=[1], num_oov_indices=0, name="i")([1, 2, 3]),
     "IntegerLookup 'i' input: expected tokens of the vocabulary only (num_oov_indices=0), found 2 "
     "others; use num_oov_indices=1."),
    (lambda: L.StringLookup(max_tokens=1),
     "StringLookup(max_tokens): expected an int of at least 2, found 1."),
    (lambda: L.StringLookup(num_oov_indices=-1),
     "StringLookup(num_oov_indices): expected an int of at least 0, found -1."),
    (lambda: L.StringLookup(pad_to_max_tokens=True),
     "StringLookup(max_tokens): expected an int, with pad_to_max_tokens=True, found None."),
    (lambda: L.StringLookup(output_mode="multihot"),
     "StringLookup(output_mode): expected the name of an output mode, found 'multihot'; did you "
     "mean 'multi_hot'?"),
    (lambda: L.StringLookup(invert=True, output_mode="count"),
     "StringLookup(output_mode): expected 'int', with invert=True, found 'count'."),
    (lambda: L.StringLookup(sparse=True),
     "StringLookup(sparse): expected False, found True; JAX has dense arrays only."),
    (lambda: L.StringLookup(vocabulary=["a", "b", "a"], name="s"),
     "StringLookup 's' set_vocabulary(vocabulary): expected tokens that differ, found 1 repeated."),
    (lambda: L.StringLookup(vocabulary=["a", ""], mask_token="", name="s"),
     "StringLookup 's' set_vocabulary(vocabulary): expected mask_token='' only in front, as "
     "['', '[UNK]'], found it at index 1 of the others; leave the special tokens out, they are "
     "added."),
    (lambda: L.StringLookup(vocabulary=["a", "b"], max_tokens=2, name="s"),
     "StringLookup 's' set_vocabulary(vocabulary): expected at most max_tokens=2 with the special "
     "ones, found 3."),
    (lambda: L.StringLookup(vocabulary=["a"], output_mode="tf_idf", name="s"),
     "StringLookup 's' set_vocabulary(idf_weights): expected one float per token, found None; "
     "output_mode is 'tf_idf'."),
    (lambda: L.StringLookup(vocabulary=["a"], output_mode="tf_idf", idf_weights=[1.0, 2.0],
                            name="s"),
     "StringLookup 's' set_vocabulary(idf_weights): expected shape (1,), one float per token, "
     "found shape (2,)."),
    (lambda: L.StringLookup(vocabulary="no/such/file", name="s"),
     "StringLookup 's' set_vocabulary(vocabulary): expected the path of a text file, found "
     "'no/such/file', which cannot be read (No such file or directory)."),
    (lambda: L.StringLookup(vocabulary=["a"], name="s").adapt(["b"]),
     "StringLookup 's' adapt(data): expected a layer without a vocabulary, found one that was "
     "given it in its constructor; leave `vocabulary` out to learn it."),
    (lambda: L.IntegerLookup(salt=3),
     "IntegerLookup(salt): expected None, with oov_method='floormod', found 3."),
    (lambda: L.IntegerLookup(vocabulary_dtype="int32"),
     "IntegerLookup(vocabulary_dtype): expected 'int64', found 'int32'."),
    (lambda: L.Hashing(0), "Hashing(num_bins): expected a positive int, found 0."),
    (lambda: L.Hashing(3, salt="x"),
     "Hashing(salt): expected an int or a pair of ints, found 'x'."),
    (lambda: L.Hashing(3, dtype="float32"),
     "Hashing(dtype): expected int32 or int64, with output_mode='int', found float32."),
    (lambda: L.HashedCrossing(3, name="h")(np.ones(3)),
     "HashedCrossing 'h' inputs: expected a list of at least two arrays, found float64[3]."),
    (lambda: L.HashedCrossing(3, name="h")([np.ones(3, int), np.ones(2, int)]),
     "HashedCrossing 'h' inputs: expected arrays of one shape, (batch,) or (batch, 1), found "
     "shapes (3,), (2,)."),
    (lambda: L.HashedCrossing(3, name="h")([np.ones(3), np.ones(3)]),
     "HashedCrossing 'h' inputs[0]: expected strings or integers, found float64[3]."),
    (lambda: L.TextVectorization(standardize="lowercase"),
     "TextVectorization(standardize): expected the name of a way, found 'lowercase'; did you mean "
     "'lower'?"),
    (lambda: L.TextVectorization(split=3),
     "TextVectorization(split): expected a name, a function or None, found 3."),
    (lambda: L.TextVectorization(ngrams=0),
     "TextVectorization(ngrams): expected None, a positive int or a tuple of them, found 0."),
    (lambda: L.TextVectorization(ragged=True),
     "TextVectorization(ragged): expected False, found True; rows are padded with 0, to "
     "output_sequence_length or the longest one."),
    (lambda: L.TextVectorization(output_mode="count", output_sequence_length=3),
     "TextVectorization(output_sequence_length): expected None, or an int with output_mode='int', "
     "found 3."),
    (lambda: L.TextVectorization(vocabulary=["a"], name="t")([["a", "b"]]),
     "TextVectorization 't' input: expected strings of shape (batch,) or (batch, 1), to be split, "
     "found shape (1, 2); use split=None for strings that are tokens."),
    (lambda: L.TextVectorization(
        vocabulary=["a"], standardize=lambda x: x[:1], name="t")(["a"] * 2),
     "TextVectorization 't' input standardize(...): expected a result of shape (2,), found shape "
     "(1,); let it return one string for each string."),
    (lambda: L.TextVectorization(vocabulary=["a"], split=lambda x: x, name="t")(["a"]),
     "TextVectorization 't' input split(...): expected a result of 1 lists of strings, found "
     "<U1[1]; let it return the tokens of each string."),
    (lambda: L.StringLookup(vocabulary=["a"], name="s")(stepfit.Input((1,), dtype="int32")),
     "StringLookup 's' input: expected strings, found numbers (int32); use IntegerLookup for "
     "integers, and Input(..., dtype='string') for strings."),
    (lambda: L.Dense(2, name="d")(stepfit.Input((1,), dtype="string")),
     "Dense 'd' input: expected numbers, found strings; put a StringLookup, TextVectorization or "
     "Hashing layer before it."),
]  # fmt: skip


@pytest.mark.parametrize("call, text", ERRORS, ids=[t.split(":")[0] + f"-{i}" for i, (_, t) in
                                                    enumerate(ERRORS)])  # fmt: skip
def test_error_texts(call, text):
    refused(call, (ValueError, TypeError, RuntimeError), text)


@pytest.mark.parametrize("cls, good, bad", [
    ("StringLookup", WORDS, [iter([WORDS, NUMBERS]), [], 3, iter([])]),
    ("IntegerLookup", NUMBERS, [iter([NUMBERS, WORDS]), [], 3, iter([])]),
    ("TextVectorization", CORPUS, [iter([CORPUS, NUMBERS]), [""], 3, iter([])]),
])  # fmt: skip
def test_a_failed_adapt_changes_nothing(cls, good, bad):
    layer = getattr(L, cls)(output_mode="tf_idf")
    layer.adapt(good)
    before, config = np.asarray(layer(good)), layer.get_config()
    for data in bad:
        with pytest.raises((ValueError, TypeError)):
            layer.adapt(data)
        np.testing.assert_array_equal(layer(good), before)
        assert layer.get_config() == config
    with pytest.raises((ValueError, TypeError)):
        layer.set_vocabulary(["x", "x"], [1.0, 2.0])
    np.testing.assert_array_equal(layer(good), before)
