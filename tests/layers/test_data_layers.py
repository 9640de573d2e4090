"""Normalization, Discretization, CategoryEncoding, Pipeline, hashes: adapting, data, errors."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

import stepfit
from stepfit import layers as L
from stepfit.layers.preprocessing import fingerprints
from tests.expect import refused

rng = np.random.default_rng(0)
X = rng.normal(size=(20, 4, 3)).astype("float32")
Y = rng.normal(size=300).astype("float32")


def dataset(x, batch):
    return tf.data.Dataset.from_tensor_slices(x).batch(batch)


def close(found, expected, rtol=1e-5):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.dtype == expected.dtype and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-5)


class Batches(stepfit.utils.PyDataset):
    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.x[10 * index : 10 * index + 10], np.zeros(10)


SOURCES = {
    "an array": lambda: X,
    "float64": lambda: X.astype("float64"),
    "integers": lambda: (9 * X).astype("int32"),
    "batches": lambda: [X[:12], X[12:]],
    "a dataset": lambda: dataset(X, 8),
    "pairs": lambda: dataset((X, X[:, 0]), 8),
}


@pytest.mark.parametrize("source", list(SOURCES))
@pytest.mark.parametrize("axis", [-1, None, 1, (1, 2), -2])
def test_normalization_learns_what_keras_learns(source, axis):
    ours, theirs = L.Normalization(axis), keras.layers.Normalization(axis)
    for layer in (ours, theirs):
        layer.adapt(X[:5] + 7)  # and forgets it
        layer.adapt(SOURCES[source]())
    close(ours.mean, theirs.mean)
    close(ours.variance, theirs.variance)
    close(ours(X), theirs(X))
    assert [w.path.split("/")[-1] for w in ours.weights] == ["mean", "variance", "count"]
    back = L.Normalization(axis, invert=True)
    back.adapt(SOURCES[source]())
    close(back(ours(X)), X)


def test_normalization_takes_the_other_sources():
    expected = L.Normalization()
    expected.adapt(X)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.tensor(X)), 8)
    pairs = [Batches(X), ((b, None) for b in (X[:10], X[10:])), [(b[0],) for b in loader],
             torch.tensor(X)]  # fmt: skip
    for data in pairs:
        layer = L.Normalization()
        layer.adapt(data)
        close(layer.mean, expected.mean)
        close(layer.variance, expected.variance)
    rows = L.Normalization()
    rows.adapt(tf.data.Dataset.from_tensor_slices(X[:, 0]))  # samples, not batches
    close(rows.mean[0], X[:, 0].mean(0))


def test_normalization_in_a_model():
    layer = L.Normalization()
    model = stepfit.Sequential([stepfit.Input((3,)), layer, L.Dense(1)])
    model.compile("sgd", "mse")
    text = (
        "Normalization 'sequential/normalization': expected statistics before the first call, "
        "found none; call adapt(data) first, or pass mean=... and variance=...."
    )
    for run in (lambda: model(X[:, 0]), lambda: model.fit(X[:, 0], X[:, 0, :1], verbose=0)):
        with pytest.raises(RuntimeError) as caught:
            run()
        assert str(caught.value) == text
    layer.adapt(5 * X[:, 0])
    model.fit(X[:, 0], X[:, 0, :1], verbose=0)
    before = model.predict(X[:, 0], verbose=0)
    again = stepfit.models.clone_model(model) if hasattr(stepfit.models, "clone_model") else model
    again.set_weights(model.get_weights())  # weights are statistics enough
    close(again(X[:, 0]), before)
    layer.adapt(X[:, 0])  # is heard of by what is compiled
    assert not np.allclose(model.predict(X[:, 0], verbose=0), before)


def test_normalization_keeps_small_variances_apart():
    x = np.full((4, 1), 2.0, "float32")
    ours, theirs = L.Normalization(), keras.layers.Normalization()
    ours.adapt(x)
    theirs.adapt(x)
    close(ours(x + 1), theirs(x + 1))


def forms(layer, form):
    if form == "an array":
        layer.adapt(Y)
    if form == "a matrix":
        layer.adapt(Y.reshape(100, 3))
    if form == "batches":
        layer.adapt(iter([Y[:100], Y[100:]]))
    if form == "a dataset":
        layer.adapt(dataset(Y, 50), steps=3)
    if form == "numbers":
        layer.adapt(Y[:30].tolist())
    if form == "twice":
        layer.adapt(Y[:100])
        layer.adapt(Y[200:])
    if form == "few":
        layer.adapt(Y[:3])
    if form == "by hand":
        layer.update_state(Y[:50])
        layer.update_state(Y[50:])
        layer.finalize_state()
    return layer


def test_normalization_keeps_its_digits_and_its_range_in_16_bits():
    x = 1e3 * X.reshape(80, 3) + 500  # a variance of 1e6, which float16 does not hold
    learned = L.Normalization(dtype="mixed_float16")
    learned.adapt(x)
    given = L.Normalization(mean=x.mean(0), variance=x.var(0), dtype="float16")
    for layer in (learned, given):
        found = np.asarray(layer(x))
        assert found.dtype == "float16"
        np.testing.assert_allclose(found, (x - x.mean(0)) / x.std(0), atol=2e-3)
    deep = np.array([[0, 300, 65535]], "uint16")
    found = np.asarray(L.Rescaling(1 / 65535, dtype="float16")(deep))
    np.testing.assert_allclose(found, deep / 65535, rtol=1e-3)


def test_statistics_stand_at_their_axes_whatever_the_rank():
    last = L.Normalization()
    last.adapt(X)
    close(last(X[0, 0]), np.asarray(last(X))[0, 0])
    second = L.Normalization(axis=1, mean=np.arange(4.0), variance=np.full(4, 4.0))
    second(X)
    close(second(X[:, :, 0]), (X[:, :, 0] - np.arange(4.0, dtype="float32")) / 2)
    whole = L.Normalization(axis=None, mean=1.0, variance=4.0)
    whole(X)
    assert whole(X[0]).shape == X[0].shape


def test_statistics_of_standard_data_are_known_for_learned_after_loading():
    layer = L.Normalization()
    layer.adapt(np.array([[-1.0], [1.0]]))
    other = L.Normalization()
    other.build((None, 1))
    other.set_weights(layer.get_weights())
    assert other(np.array([[3.0]])).tolist() == [[3.0]]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16"])
@pytest.mark.parametrize("depth", [127, 256, 300])
def test_categories_in_a_narrow_dtype(dtype, depth):
    x = np.array([[0, 100, 3], [4, 126, 126]])
    for mode in ("multi_hot", "one_hot", "count"):
        layer = L.CategoryEncoding(depth, mode)
        close(layer(x.astype(dtype)), layer(x))


@pytest.mark.parametrize("form", ["an array", "a matrix", "batches", "a dataset", "numbers",
                                  "twice", "few", "by hand"])  # fmt: skip
def test_discretization_learns_what_keras_learns(form):
    for settings in ({"num_bins": 4}, {"num_bins": 7, "epsilon": 0.05, "output_mode": "one_hot"},
                     {"num_bins": 1, "output_mode": "count"}):  # fmt: skip
        ours = forms(L.Discretization(**settings), form)
        theirs = forms(keras.layers.Discretization(**settings), form)
        np.testing.assert_allclose(ours.bin_boundaries, theirs.bin_boundaries, rtol=1e-6)
        x = Y[:12].reshape(4, 3)
        close(ours(x), theirs(x))
        config = json.loads(json.dumps(ours.get_config()))
        again = L.Discretization.from_config(config)
        close(again(x), ours(x))
        assert again.get_config() == ours.get_config()
        forms(again, form)  # can be adapted again


@pytest.mark.parametrize("x", [Y[:12].reshape(4, 3), Y[:2], Y[:2, None], Y[:12].reshape(2, 3, 2)],
                         ids=lambda x: str(x.shape))  # fmt: skip
@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
def test_modes_are_keras(mode, x):
    bins = {"bin_boundaries": [-0.5, 0.0, 1.0], "output_mode": mode}
    ours = L.Discretization(**bins)
    close(ours(x), keras.layers.Discretization(**bins)(x))
    assert ours.compute_output_shape(x.shape) == ours(x).shape
    if mode != "int":
        index = np.asarray(L.Discretization(bins["bin_boundaries"])(x))
        ours, theirs = L.CategoryEncoding(5, mode), keras.layers.CategoryEncoding(5, mode)
        close(ours(index), theirs(index))
        close(ours(index.tolist()), theirs(index))
        if mode == "count" and x.ndim == 2:
            weights = np.arange(index.size).reshape(index.shape) / 8
            close(ours(index, count_weights=weights), theirs(index, count_weights=weights))


CATEGORIES = np.arange(15).reshape(5, 3) % 5
PIPELINES = [
    ("Normalization", {"axis": 1, "mean": 1.0, "variance": 4.0}, X),
    ("Discretization", {"bin_boundaries": [0.0, 1.0]}, X),
    ("CategoryEncoding", {"num_tokens": 5, "output_mode": "one_hot"}, CATEGORIES),
    ("CategoryEncoding", {"num_tokens": 5}, CATEGORIES),
    ("MelSpectrogram", {"fft_length": 8, "sequence_stride": 4, "num_mel_bins": 3,
                        "power_to_db": False}, X[:, 0].repeat(9, 1)),
]  # fmt: skip


@pytest.mark.parametrize("cls, settings, x", PIPELINES, ids=[cls for cls, *_ in PIPELINES])
def test_in_tf_data(cls, settings, x):
    layer = getattr(L, cls)(**settings)
    expected = np.asarray(layer(x))
    found = dataset((x, x), 3).map(lambda a, b: (layer(a), b))
    assert found.element_spec[0].shape.as_list() == [None, *expected.shape[1:]]
    close(np.concatenate([a.numpy() for a, _ in found]), expected)


def test_a_pipeline_runs_its_layers():
    def make(module):
        return module.Pipeline([
            module.Rescaling(2.0), module.Discretization([0.0, 1.0]),
            module.CategoryEncoding(3, "one_hot"), module.Dropout(0.0),
        ], name="p")  # fmt: skip

    ours, theirs = make(L), make(keras.layers)
    x = X[:, 0]
    close(ours(x), theirs(x))
    again = L.Pipeline.from_config(json.loads(json.dumps(ours.get_config())))
    close(again(x), ours(x))
    assert [type(layer).__name__ for layer in again.layers] == [
        "Rescaling", "Discretization", "CategoryEncoding", "Dropout"]  # fmt: skip
    mapped = dataset(x, 8).map(ours)
    assert mapped.element_spec.shape.as_list() == [None, 3, 3]
    close(np.concatenate(list(mapped.as_numpy_iterator())), np.asarray(ours(x)))
    model = stepfit.Sequential([stepfit.Input((3,)), ours])
    close(model.predict(x, verbose=0), ours(x))
    words = L.Pipeline([L.StringLookup(vocabulary=["a"]), L.CategoryEncoding(2, "one_hot")])
    mapped = next(iter(dataset(["a", "z"], 2).map(words)))
    assert mapped.numpy().tolist() == words(["a", "z"]).tolist() == [[0, 1], [1, 0]]
    random = L.Pipeline([L.Dropout(0.5, seed=1)])
    zeros = [(np.asarray(random(X, **given)) == 0).any() for given in ({}, {"training": False})]
    assert zeros == [True, False]


def test_fingerprints_are_tensorflows():
    lengths = [*range(70), 127, 128, 129, 191, 192, 193, 1000]
    texts = [rng.integers(0, 256, n).astype("uint8").tobytes() for n in [*lengths, *lengths]]
    bins = (1 << 62) - 57
    found = fingerprints.fingerprint64(texts) % np.uint64(bins)
    assert found.tolist() == tf.strings.to_hash_bucket_fast(texts, bins).numpy().tolist()
    for key in [(1, 2), (-3, 2**62)]:
        found = fingerprints.siphash64(texts, key) % np.uint64(bins)
        expected = tf.strings.to_hash_bucket_strong(texts, bins, key=key).numpy()
        assert found.tolist() == expected.tolist()
    assert fingerprints.fingerprint64([]).shape == (0,)


def test_the_matrix_of_pitches():
    settings = {"num_mel_bins": 6, "num_spectrogram_bins": 33, "upper_edge_hertz": 3000.0}
    ours = L.MelSpectrogram().linear_to_mel_weight_matrix(**settings)
    theirs = keras.layers.MelSpectrogram().linear_to_mel_weight_matrix(**settings)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


def adapted(data, **settings):
    layer = L.Normalization(**settings)
    layer.adapt(data)
    return layer


ERRORS = [
    (lambda: L.Normalization(mean=1.0),
     "Normalization(mean, variance): expected both or none, found variance=None."),
    (lambda: L.Normalization(mean=[1.0], variance=1.0),
     "Normalization(variance): expected the mean's shape (1,), found shape ()."),
    (lambda: L.Normalization(axis=None, mean=[1.0], variance=[1.0]),
     "Normalization(mean): expected at most 0 axes, as axis=None has, found shape (1,)."),
    (lambda: L.Normalization(axis=4, name="n").adapt(X),
     "Normalization 'n' adapt(data): expected an axis 4, found 3 axes."),
    (lambda: L.Normalization(name="n")(stepfit.Input((None,))),
     "Normalization 'n' input axis 1: expected a known size, found None; give the Input its "
     "sizes."),
    (lambda: L.Normalization(axis=(2, 1), mean=np.ones((3, 4)), variance=np.ones((3, 4)),
                             name="n")(X),
     "Normalization 'n' mean and variance: expected shape (4, 3), the input's sizes along the axes "
     "(1, 2), found shape (3, 4)."),
    (lambda: adapted(X, name="n")(X[:, :, :1]),
     "Normalization 'n' input axis 2: expected size 3, found 1."),
    (lambda: L.Normalization(mean=0, variance=1, name="n").adapt(X),
     "Normalization 'n' adapt(data): expected a layer that was not given its statistics, found one "
     "with mean and variance; leave them out to learn them."),
    (lambda: L.Normalization(name="n").adapt(np.array(["a"])),
     "Normalization 'n' adapt(data): expected numbers, found <U1[1]."),
    (lambda: L.Normalization(name="n").adapt([X, X[:, :, :2]]),
     "Normalization 'n' adapt(data): expected batches like the shape (20, 4, 3), found shape "
     "(20, 4, 2)."),
    (lambda: L.Normalization(name="n").adapt([]),
     "Normalization 'n' adapt(data): expected at least one batch, found none."),
    (lambda: L.Normalization(name="n").adapt(3),
     "Normalization 'n' adapt(data): expected an array, a dataset or an iterable of batches, found "
     "3."),
    (lambda: L.Discretization(),
     "Discretization(bin_boundaries, num_bins): expected one of the two, found none."),
    (lambda: L.Discretization([1.0], 3),
     "Discretization(bin_boundaries, num_bins): expected one of the two, found both."),
    (lambda: L.Discretization(num_bins=-1),
     "Discretization(num_bins): expected an int of at least 0, found -1."),
    (lambda: L.Discretization([1.0, 0.0]),
     "Discretization(bin_boundaries): expected ascending floats, found others."),
    (lambda: L.Discretization(4),
     "Discretization(bin_boundaries): expected a list of floats, found 4; for a number of bins "
     "pass num_bins=4."),
    (lambda: L.Discretization(num_bins=3, name="d")(X),
     "Discretization 'd': expected boundaries before the first call, found none; call adapt(data) "
     "first, or pass bin_boundaries=[...]."),
    (lambda: L.Discretization([1.0], name="d").adapt(X),
     "Discretization 'd' adapt(data): expected a layer that was given num_bins, found one that was "
     "given bin_boundaries."),
    (lambda: L.CategoryEncoding(),
     "CategoryEncoding(num_tokens): expected a positive int, found None; use IntegerLookup where "
     "it is not known."),
    (lambda: L.CategoryEncoding(3, "int"),
     "CategoryEncoding(output_mode): expected the name of an output mode, found 'int'; known "
     "names: 'count', 'multi_hot', 'one_hot'."),
    (lambda: L.CategoryEncoding(3, name="c")(np.array([[1, 3]])),
     "CategoryEncoding 'c' input: expected integers in [0, 2], found 3; raise num_tokens."),
    (lambda: L.CategoryEncoding(3, name="c")(np.array([[1]]), count_weights=np.ones((1, 1))),
     "CategoryEncoding 'c' count_weights: expected None, with output_mode='multi_hot', found "
     "float32[1,1]; use output_mode=\"count\"."),
    (lambda: L.CategoryEncoding(3, "count", name="c")(np.array([[1]]), count_weights=np.ones(2)),
     "CategoryEncoding 'c' count_weights: expected shape (1, 1), as the inputs have, found shape "
     "(2,)."),
    (lambda: L.Pipeline(L.Dense(1)),
     "Pipeline(layers): expected a list of layers, found an object of type Dense."),
    (lambda: L.Pipeline([L.Dense(1), 3]), "Pipeline(layers[1]): expected a layer, found 3."),
    (lambda: L.MelSpectrogram(16, sequence_length=20),
     "MelSpectrogram(sequence_length): expected at most fft_length=16, found 20."),
    (lambda: L.STFTSpectrogram("power"),
     "STFTSpectrogram(mode): expected the name of a mode, found 'power'; known names: 'angle', "
     "'imag', 'log', 'magnitude', 'psd', 'real', 'stft'."),
    (lambda: L.STFTSpectrogram(frame_length=8, frame_step=9),
     "STFTSpectrogram(frame_step): expected an int in [1, frame_length=8], found 9."),
    (lambda: L.STFTSpectrogram(frame_length=8, fft_length=4),
     "STFTSpectrogram(fft_length): expected at least frame_length=8, found 4."),
    (lambda: L.STFTSpectrogram(padding="causal"),
     "STFTSpectrogram(padding): expected the name of a padding, found 'causal'; known names: "
     "'same', 'valid'."),
    (lambda: stepfit.initializers.STFT("both"),
     "STFT(side): expected the name of a side, found 'both'; known names: 'imag', 'real'."),
    (lambda: stepfit.initializers.STFT(window="hanm"),
     "STFT(window): expected a window of scipy.signal.get_window, by name, found 'hanm'; for "
     "example \"hann\"; a window with parameters is given as an array."),
    (lambda: stepfit.initializers.STFT(scaling="densty"),
     "STFT(scaling): expected the name of a scaling, found 'densty'; did you mean 'density'?"),
    (lambda: stepfit.initializers.STFT()((4, 3)),
     "STFT(shape): expected three axes (steps, 1, frequencies), found shape (4, 3)."),
    (lambda: stepfit.initializers.STFT(window=np.ones(3))((4, 1, 3)),
     "STFT(window): expected shape (4,), found shape (3,)."),
]  # fmt: skip


@pytest.mark.parametrize("call, text", ERRORS, ids=[t.split(":")[0] + f"-{i}" for i, (_, t) in
                                                    enumerate(ERRORS)])  # fmt: skip
def test_error_texts(call, text):
    refused(call, (ValueError, TypeError, RuntimeError), text)


def test_a_length_that_is_no_power_of_two_is_warned_of():
    with pytest.warns(UserWarning, match=r"expected a power of two, found 10\."):
        L.STFTSpectrogram(frame_length=8, fft_length=10)


@pytest.mark.parametrize("layer, good", [(L.Normalization(), X), (L.Discretization(num_bins=3), X)],
                         ids=["Normalization", "Discretization"])  # fmt: skip
def test_a_failed_adapt_changes_nothing(layer, good):
    layer.adapt(good)
    before, config = np.asarray(layer(good)), layer.get_config()
    for data in (iter([X, np.array(["a"])]), iter([]), 3, np.zeros((0, 4, 3))):
        with pytest.raises((ValueError, TypeError)):
            layer.adapt(data)
        np.testing.assert_array_equal(layer(good), before)
        assert layer.get_config() == config
