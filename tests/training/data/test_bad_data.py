"""Bad data and arguments: one row each, the message word for word."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from stepfit.training.data import make_source, split_validation

X = np.zeros((6, 2), "float32")
Y = np.zeros(6, "int32")
BIG = np.full((4, 1), 2**40)


def make(x=X, y=Y, sample_weight=None, **kwargs):
    return make_source(x, y, sample_weight, **kwargs)


def split(x=X, y=Y, sample_weight=None, share=0.5):
    return split_validation(x, y, sample_weight, share)


def restore_other():
    make().restore(make(batch_size=4).state(0, 1), 0, 1)


class RaggedTensor:
    """As far as it is recognised."""


class RaggedTensorSpec:
    shape = SimpleNamespace(rank=2)


class RaggedDataset:
    element_spec = (RaggedTensorSpec(), None)
    as_numpy_iterator = None

    def cardinality(self):
        return 3


ARRAY_FIX = "pass NumPy or jax arrays, or dicts and lists of them."
BATCH_FIX = "pass the number of rows of a batch, such as 32."
ROWS = [
    # call, class, message
    (lambda: make(None), ValueError,
     "x: expected data, found None; pass an array, or a dict or list of arrays."),
    (lambda: make("text"), TypeError, f"x: expected an array, found 'text'; {ARRAY_FIX}"),
    (lambda: make({"a": X, "b": object()}), TypeError,
     f"x['b']: expected an array, found an object of type object; {ARRAY_FIX}"),
    (lambda: make([X, RaggedTensor()]), TypeError,
     "x[1]: expected an array with rows of one length, found a RaggedTensor; pad its rows: call "
     ".to_tensor() on it, or .padded_batch(...) on a tf.data.Dataset."),
    (lambda: make(RaggedDataset(), None), TypeError,
     "x: expected batches with rows of one length, found a dataset of RaggedTensors (x); add "
     ".map(lambda x, y: (x.to_tensor(), y)) to it, or make its batches with .padded_batch(...)."),
    (lambda: make(["a", "b"]), TypeError,
     "x: expected an array of numbers, found strings (<U1); map them to integers first, with a "
     "StringLookup or TextVectorization layer: layer(x) for arrays, dataset.map(lambda x, y: "
     "(layer(x), y)) in a data pipeline; a model that has such a layer takes strings in a call, "
     "model(x)."),
    (lambda: make(np.array([None, 1])), TypeError,
     "x: expected an array of numbers, found Python objects (dtype object); rows of different "
     "length need padding, with keras.utils.pad_sequences for example; None needs a number."),
    (lambda: make(np.zeros(2, "M8[s]")), TypeError,
     "x: expected an array of numbers, found dtype datetime64[s]; convert it to numbers first."),
    (lambda: make([[1, 2], [3]]), ValueError,
     "x: expected numbers in a regular shape, found a list of 2 elements that differ in length or "
     "type; make all rows equally long, with keras.utils.pad_sequences for example, or pass one "
     "array per input."),
    (lambda: make([np.zeros(2), np.zeros(3)]), ValueError,
     "x, y: expected one number of samples in all arrays, found x[0] 2, x[1] 3, y 6; the first "
     "axis counts the samples; a list of rows becomes one array with keras.utils.pad_sequences or "
     "numpy.stack."),
    (lambda: make(np.float32(1)), ValueError,
     "x: expected an array with at least one axis, found a single number; the first axis counts "
     "the samples, so pass x[None] for a single one."),
    (lambda: make(scipy.sparse.csr_array(np.array([[2**40]] * 6))), ValueError,
     "x: expected integers that fit into int32, found int64 numbers beyond its range; call "
     'jax.config.update("jax_enable_x64", True), or map them to smaller numbers.'),
    (lambda: make(scipy.sparse.coo_array(np.ones(6))), ValueError,
     "x: expected a sparse matrix, found float64[6]; make it two-dimensional, (samples, "
     "features)."),
    (lambda: make(scipy.sparse.csr_array(np.ones((5, 2)))), ValueError,
     "x, y: expected one number of samples in all arrays, found x 5, y 6; the first axis counts "
     "the samples."),
    (lambda: make(scipy.sparse.csr_array((0, 2)), None), ValueError,
     "x: expected at least one sample, found float32[0,2]."),
    (lambda: restore_other(), ValueError,
     "x: expected the data of the run that goes on: 6 samples in batches of 4, found 6 samples in "
     "batches of 32; pass the same data and batch_size, or start anew."),
    (lambda: make(pd.DataFrame({"a": [1, 2], "b": ["u", "v"]})), TypeError,
     "x: expected columns of numbers, found other types in the columns ['b']; encode them as "
     "numbers first."),
    (lambda: make(pd.Series(["u", "v"]).astype(object)), TypeError,
     "x: expected columns of numbers, found text or mixed types; encode them as numbers first."),
    (lambda: make(BIG, None), ValueError,
     "x: expected integers that fit into int32, found int64 numbers beyond its range; call "
     'jax.config.update("jax_enable_x64", True), or map them to smaller numbers.'),
    (lambda: make(np.zeros((0, 2)), np.zeros(0)), ValueError,
     "x: expected at least one sample, found float32[0,2]."),
    (lambda: make([]), ValueError, "x: expected at least one array, found list of 0 elements."),
    (lambda: make({}), ValueError, "x: expected at least one array, found dict with keys []."),
    (lambda: make(y=np.zeros(5)), ValueError,
     "x, y: expected one number of samples in all arrays, found x 6, y 5; the first axis counts "
     "the samples."),
    (lambda: make({"a": X, "b": X[:4]}), ValueError,
     "x, y: expected one number of samples in all arrays, found x['a'] 6, x['b'] 4, y 6; the "
     "first axis counts the samples."),
    (lambda: make(sample_weight=np.ones(3)), ValueError,
     "x, y, sample_weight: expected one number of samples in all arrays, found x 6, y 6, "
     "sample_weight 3; the first axis counts the samples."),
    (lambda: make(y=Y[:3], argument="validation_data"), ValueError,
     "validation_data: expected one number of samples in all arrays, found validation_data[0] 6, "
     "validation_data[1] 3; the first axis counts the samples."),
    (lambda: make(None, argument="validation_data"), ValueError,
     "validation_data[0]: expected data, found None; pass an array, or a dict or list of arrays."),
    (lambda: make(y={"u": Y, "v": Y}, sample_weight={"u": Y * 1.0}), ValueError,
     "sample_weight: expected one array per output, as in y (['u'], ['v']), found ['u']; use the "
     "same keys in both, with None for an output without weights."),
    (lambda: make(y=[Y, Y], sample_weight=np.ones((6, 3))), ValueError,
     "sample_weight: expected one weight per sample, shape (samples,), or one array per output, "
     "found float32[6,3]; pass weights in the structure of y."),
    (lambda: make(sample_weight=[np.ones(6)]), ValueError,
     "sample_weight: expected the structure of y, found list of 1 elements; pass one array of "
     "weights."),
    (lambda: make(batch_size=0), ValueError,
     f"batch_size: expected a positive integer, found 0; {BATCH_FIX}"),
    (lambda: make(batch_size=-4), ValueError,
     f"batch_size: expected a positive integer, found -4; {BATCH_FIX}"),
    (lambda: make(batch_size=16.0), TypeError,
     f"batch_size: expected a positive integer, found 16.0; {BATCH_FIX}"),
    (lambda: make(batch_size="16"), TypeError,
     f"batch_size: expected a positive integer, found '16'; {BATCH_FIX}"),
    (lambda: make(batch_size=True), TypeError,
     f"batch_size: expected a positive integer, found True; {BATCH_FIX}"),
    (lambda: make(steps=0), ValueError,
     "steps_per_epoch: expected a positive integer, found 0; leave it out to use all the data."),
    (lambda: make(steps=2.5, steps_argument="validation_steps"), TypeError,
     "validation_steps: expected a positive integer, found 2.5; leave it out to use all the "
     "data."),
    (lambda: make(shuffle="yes"), ValueError,
     "shuffle: expected True, False or 'batch', found 'yes'."),
    (lambda: make(class_weight=[1.0, 2.0]), TypeError,
     "class_weight: expected a dict from class index to weight, found list of 2 elements; turn a "
     "list w into dict(enumerate(w))."),
    (lambda: make(class_weight={}), ValueError,
     "class_weight: expected a dict from class index to weight, found an empty dict; leave it "
     "out for no weights."),
    (lambda: make(class_weight={"a": 1.0}), TypeError,
     "class_weight: expected integers as keys, found the key 'a'; use the integer that stands for "
     "the class in y."),
    (lambda: make(class_weight={0: None}), TypeError,
     "class_weight[0]: expected a number, found None."),
    (lambda: make(class_weight={0: float("nan")}), ValueError,
     "class_weight[0]: expected a finite number of at least 0, found nan."),
    (lambda: make(y=np.array([0, 1, 2, 0, 1, 2]), class_weight={0: 1.0, 1: 2.0}), ValueError,
     "class_weight: expected a weight for every class in y, found none for class 2 (given: 0, "
     "1); add 2: 1.0 to leave that class as it is."),
    (lambda: make(y=None, class_weight={0: 1.0}), ValueError,
     "class_weight: expected y, found None; pass y, or leave class_weight out."),
    (lambda: make(y=[Y, Y], class_weight={0: 1.0}), ValueError,
     "class_weight: expected a model with one output, found y with several (list of 2 elements); "
     "pass sample_weight with one array per output."),
    (lambda: make(y=np.ones((6, 3)), class_weight={0: 1.0}), ValueError,
     "class_weight: expected y as integer classes (n,) or one-hot rows, found float32[6,3] with "
     "rows that do not sum to 1; pass sample_weight instead."),
    (lambda: make(y=np.full(6, 0.5), class_weight={0: 1.0}), ValueError,
     "class_weight: expected y as integer classes or one-hot rows, found float32[6] with "
     "fractions; pass sample_weight instead."),
    (lambda: make(iter([]), Y), ValueError,
     "y: expected None where x makes its own batches, found int32[6]; let it yield (x, y) or (x, "
     "y, sample_weight)."),
    (lambda: make(len, None), TypeError,
     "x: expected data, found an object of type builtin_function_or_method; call it, if it is a "
     "function that makes a generator."),
    (lambda: make(object(), None), TypeError,
     "x: expected data, found an object of type object; pass arrays, a generator, a "
     "tf.data.Dataset or a torch DataLoader."),
    (lambda: split(share=1.5), ValueError,
     "validation_split: expected a number between 0 and 1, found 1.5; 0.2 keeps the last 20 % of "
     "the samples."),
    (lambda: split(share="0.2"), TypeError,
     "validation_split: expected a number between 0 and 1, found '0.2'; 0.2 keeps the last 20 % "
     "of the samples."),
    (lambda: split(share=0.99), ValueError,
     "validation_split: expected at least one sample for training and one for validation, found "
     "0.99 of 6 samples, which leaves none for training; pass more samples, another fraction, or "
     "validation_data."),
    (lambda: split(x=iter([X]), y=None), TypeError,
     "validation_split: expected arrays as x, found an object of type list_iterator; pass "
     "validation_data, or cut the data before."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), ROWS, ids=[row[2][:60] for row in ROWS])
def test_message(call, kind, text):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == text


def test_messages_never_print_contents():
    assert all(len(row[2]) < 330 for row in ROWS)


def test_steps_beyond_the_data_warn_and_end_with_it():
    with pytest.warns(UserWarning) as record:
        source = make(batch_size=2, steps=5)
    assert str(record[0].message) == (
        "steps_per_epoch: expected at most 3, the batches of 2 in 6 samples, found 5; epochs will "
        "have 3 steps."
    )
    assert source.num_batches == 3
