"""Padding, windows and splits, beside Keras's."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

import stepfit
from stepfit.preprocessing.timeseries import timeseries_dataset_from_array
from stepfit.training.data import make_source
from stepfit.utils import pad_sequences, split_dataset
from tests.expect import refused

ROWS = [[1], [2, 3], [], [4, 5, 6]]
VECTORS = [np.ones((1, 2)), np.zeros((3, 2))]
PADDED = [
    (ROWS, {}),
    (ROWS, {"maxlen": 2}),
    (ROWS, {"maxlen": 2, "truncating": "post", "padding": "post", "value": 9}),
    (ROWS, {"maxlen": 5, "dtype": "float32", "value": -1.5}),
    (VECTORS, {"maxlen": 2, "padding": "post"}),
    ([["a"], ["b", "cde"]], {"dtype": object, "value": "-"}),
    (tuple(map(np.array, [[1, 2], [3]])), {"padding": "post"}),
    ([], {"maxlen": 3}),
    ([[], []], {}),
]


@pytest.mark.parametrize(("sequences", "options"), PADDED, ids=str)
def test_pad_sequences_is_that_of_keras(sequences, options):
    ours, theirs = (m.utils.pad_sequences(sequences, **options) for m in (stepfit, keras))
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    np.testing.assert_array_equal(ours, theirs)


DATA = np.arange(40.0).reshape(20, 2)
WINDOWS = [
    {"sequence_length": 3},
    {"sequence_length": 4, "sequence_stride": 3, "sampling_rate": 2, "batch_size": 2},
    {"sequence_length": 3, "start_index": 4, "end_index": 15, "batch_size": 4},
    {"sequence_length": 2, "batch_size": None},
    {"sequence_length": 3, "targets": np.arange(9), "batch_size": 5},
    {"sequence_length": 3, "targets": DATA, "start_index": 2, "batch_size": 5},
    {"sequence_length": 3, "targets": DATA, "shuffle": True, "seed": 3, "batch_size": 5},
]


@pytest.mark.parametrize("options", WINDOWS, ids=lambda o: str(list(o.items())[:3])[:60])
def test_windows_are_those_of_keras(options):
    options = {"targets": None, "format": "grain"} | options
    theirs = list(keras.utils.timeseries_dataset_from_array(DATA, **options))
    formats = ["grain"] if options.get("shuffle") else ["grain", "batches", "tf"]
    for format in formats:
        options = {**options, "format": format}
        ours = list(stepfit.utils.timeseries_dataset_from_array(DATA, **options))
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            for x, y in zip(*((a, b) if isinstance(b, tuple) else ([a], [b])), strict=True):
                np.testing.assert_array_equal(x, y)


def test_windows_are_batches_that_fit_shuffles_anew():
    found = timeseries_dataset_from_array(
        DATA, DATA[2:, :1], 3, shuffle=True, seed=1, batch_size=6, format="batches"
    )
    first, second = (np.concatenate([y[:, 0] for _, y in found]) for _ in range(2))
    assert not np.array_equal(first, second) and sorted(first) == sorted(second)
    model = stepfit.Sequential([stepfit.layers.Flatten(), stepfit.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert len(model.fit(found, epochs=2, verbose=0).history["loss"]) == 2


X, Y = np.arange(10), np.arange(20).reshape(10, 2)
SIZES = [{"left_size": 0.7}, {"right_size": 3}, {"left_size": 2, "right_size": 0.3},
         {"left_size": 5, "shuffle": True, "seed": 4}]  # fmt: skip


@pytest.mark.parametrize("options", SIZES, ids=str)
def test_splits_are_those_of_keras(options):
    theirs = [
        [np.array(part) for part in zip(*half.as_numpy_iterator(), strict=True)]
        for half in keras.utils.split_dataset((X, Y), **options)
    ]
    ours = split_dataset((X, Y), **options)
    as_tf = split_dataset((X, Y), preferred_backend="tensorflow", **options)
    as_torch = split_dataset((X, Y), preferred_backend="torch", **options)
    from_tf = split_dataset(tf.data.Dataset.from_tensor_slices((X, Y)), **options)
    for i in range(2):
        assert isinstance(as_torch[i], torch.utils.data.Dataset)
        halves = [ours[i], *(zip(*d, strict=True) for d in (as_tf[i], from_tf[i]))]
        halves.append(zip(*(as_torch[i][k] for k in range(len(as_torch[i]))), strict=True))
        for half in halves:
            for a, b in zip(map(np.array, half), theirs[i], strict=True):
                np.testing.assert_array_equal(a, b)


def test_other_structures_are_split():
    left, right = split_dataset({"a": X, "b": [Y, X]}, left_size=9)
    assert left["a"].tolist() == list(range(9)) and right["b"][0].tolist() == [[18, 19]]
    grain = pytest.importorskip("grain")
    left, right = split_dataset(grain.MapDataset.range(10), right_size=0.2)
    assert isinstance(left, grain.MapDataset) and list(right) == [8, 9]
    torch_set = torch.utils.data.TensorDataset(torch.arange(4), torch.arange(4) * 2)
    left, right = split_dataset(torch_set, left_size=0.5)
    assert [int(y) for _, y in right] == [4, 6]
    assert [int(y) for y in split_dataset(torch_set, left_size=1, preferred_backend="jax")[1][1]] \
        == [2, 4, 6]  # fmt: skip


WINDOW = "timeseries_dataset_from_array("
BAD = [
    (lambda: pad_sequences(3), "pad_sequences(sequences): expected a list of sequences, found 3."),
    (lambda: pad_sequences([[1], 2]),
     "pad_sequences(sequences)[1]: expected a sequence, found 2; put a single sequence into a "
     "list."),
    (lambda: pad_sequences([[1]], padding="left"),
     "pad_sequences(padding): expected the name of a side, found 'left'; known names: 'post', "
     "'pre'."),
    (lambda: pad_sequences([["a"]], value="-"),
     "pad_sequences(value): expected a int32, found '-'; pass dtype=object for strings."),
    (lambda: pad_sequences([np.ones((1, 2)), np.ones((1, 3))]),
     "pad_sequences(sequences)[1]: expected steps of shape (2,), as in the first sequence, found "
     "(3,)."),
    (lambda: timeseries_dataset_from_array(X, None, 3, sampling_rate=0),
     WINDOW + "sampling_rate): expected at least 1 and less than 10, the steps of data, found 0."),
    (lambda: timeseries_dataset_from_array(X, None, 3, start_index=10),
     WINDOW + "start_index): expected at least 0 and less than 10, the steps of data, found 10."),
    (lambda: timeseries_dataset_from_array(X, None, 3, start_index=4, end_index=4),
     WINDOW + "end_index): expected more than 4 and less than 10, the steps of data, found 4."),
    (lambda: timeseries_dataset_from_array(X, None, 11),
     WINDOW + "data): expected at least 11 steps for a window, found 10."),
    (lambda: split_dataset(X),
     "split_dataset(left_size, right_size): expected at least one, found neither."),
    (lambda: split_dataset(X, left_size=1.5),
     "split_dataset(left_size): expected an int from 1 to 9, or a share between 0 and 1, found "
     "1.5."),
    (lambda: split_dataset(X, left_size=0.8, right_size=0.4),
     "split_dataset(left_size, right_size): expected two parts of 10 samples, neither empty, found "
     "8 and 4."),
    (lambda: split_dataset((X, Y[:3]), left_size=1),
     "split_dataset(dataset): expected arrays of one length, found lengths [3, 10]."),
    (lambda: split_dataset(3, left_size=1),
     "split_dataset(dataset): expected arrays, or a dataset of tf.data, torch or grain, found 3."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), BAD, ids=[row[1][:50] for row in BAD])
def test_message(call, text):
    refused(call, (ValueError, TypeError), text)


def test_a_training_goes_on_at_the_very_batch_in_a_new_process():
    """What a backup does with a source: its state, and then `restore` in another one."""

    def source():
        data = timeseries_dataset_from_array(
            DATA, DATA[2:, :1], 3, shuffle=True, seed=1, batch_size=4, format="batches"
        )
        return make_source(data, shuffle=True, seed=9)

    first, again = source(), source()
    epochs = [[x for x, _ in first.epoch(0)]]
    batches = first.epoch(1)
    epochs.append([next(batches)[0] for _ in range(2)])
    state = first.state(1, 2)
    epochs[1] += [x for x, _ in batches]
    again.restore(state, 1, 2)
    rest = [x for x, _ in again.epoch(1, 2)]
    assert len(rest) == len(epochs[1]) - 2 > 0
    for x, y in zip(rest, epochs[1][2:], strict=True):
        np.testing.assert_array_equal(x, y)
    assert not np.array_equal(np.concatenate(epochs[0]), np.concatenate(epochs[1]))
