"""Bad data and bad arguments of `fit`."""

import numpy as np
import pandas as pd

import stepfit as keras
from tests.bad_input.common import (
    CLASSES,
    Batches,
    X,
    Y,
    batches,
    embedder,
    fit,
    mlp,
    rows,
    two_inputs,
    two_outputs,
)


def forever():
    while True:
        yield X, Y


def failing():
    yield X, Y
    raise OSError("disk on fire")


def pair(n=4, features=4):
    return X[:n, :features], Y[:n]


STRICT = lambda: mlp(check="strict")

ROWS = [
    # arrays
    *rows(
        mlp,
        ("x with another feature size", fit(X[:, :3]),
         "Sequential 'm' input 'x': expected shape (None, 4), found shape (16, 3); axis 1 "
         "differs.\n"
         "In Sequential 'm', called with inputs=float32[16,3], training=False."),
        ("x with an axis too few", fit(X[:, 0]),
         "Sequential 'm' input 'x': expected shape (None, 4), found shape (16,); check the "
         "rank.\n"
         "In Sequential 'm', called with inputs=float32[16], training=False."),
        ("x with an axis too many", fit(np.tile(X[:, :, None], 2)),
         "Sequential 'm' input 'x': expected shape (None, 4), found shape (16, 4, 2); check the "
         "rank.\n"
         "In Sequential 'm', called with inputs=float32[16,4,2], training=False."),
        ("y of two columns for one output", fit(y=np.hstack([Y, Y])),
         "mean_squared_error: expected y_true and y_pred of the same shape, found y_true (16, "
         "2) and y_pred (16, 1); give the model's last layer 2 units, or reshape y."),
        ("y of width 0", fit(y=Y[:, :0]),
         "mean_squared_error: expected y_true and y_pred of the same shape, found y_true (16, "
         "0) and y_pred (16, 1); an axis of size 0 holds nothing."),
        ("x and y of different lengths", fit(y=Y[:9]),
         "x, y: expected one number of samples in all arrays, found x 16, y 9; the first axis "
         "counts the samples."),
        ("sample_weight of another length", fit(sample_weight=np.ones(5)),
         "x, y, sample_weight: expected one number of samples in all arrays, found x 16, y 16, "
         "sample_weight 5; the first axis counts the samples."),
        ("sample_weight of another shape", fit(sample_weight=np.ones((16, 3))),
         'loss "mse": expected sample_weight that broadcasts onto values of shape (16,), found '
         "sample_weight (16, 3); give one weight per sample, or one per value."),
        ("y missing", fit(y=None),
         "y: expected targets, because compile() was given a loss, found None; pass y, or "
         "override compute_loss."),
        ("x None", fit(None),
         "x: expected data, found None; pass an array, or a dict or list of arrays."),
        ("strings", fit(np.array([["a"] * 4] * 16)),
         "x: expected an array of numbers, found strings (<U1); map them to integers "
         "first, with a StringLookup or TextVectorization layer: layer(x) for arrays, "
         "dataset.map(lambda x, y: (layer(x), y)) in a data pipeline; a model that has such a "
         "layer takes strings in a call, model(x)."),
        ("objects", fit(np.full((16, 4), None)),
         "x: expected an array of numbers, found Python objects (dtype object); rows of "
         "different length need padding, with keras.utils.pad_sequences for example; None needs a "
         "number."),
        ("ragged lists", fit([[1, 2, 3, 4], [1, 2]], Y[:2]),
         "x: expected numbers in a regular shape, found a list of 2 elements that differ in "
         "length or type; make all rows equally long, with keras.utils.pad_sequences for "
         "example, or pass one array per input."),
        ("complex numbers", fit(X.astype("complex64")),
         "Sequential 'm' input 'x': expected dtype float32, found complex64; take .real or the "
         "absolute values, or give the Input dtype='complex64'.\n"
         "In Sequential 'm', called with inputs=complex64[16,4], training=False."),
        ("a table with text", fit(pd.DataFrame({"a": ["u"] * 16, "b": [1.0] * 16})),
         "x: expected columns of numbers, found other types in the columns ['a']; encode them "
         "as numbers first."),
        ("y as strings", fit(y=np.array(["yes"] * 16)),
         "y: expected an array of numbers, found strings (<U3); map them to integers "
         "first, with a StringLookup or TextVectorization layer: layer(x) for arrays, "
         "dataset.map(lambda x, y: (layer(x), y)) in a data pipeline; a model that has such a "
         "layer takes strings in a call, model(x)."),
        ("no samples", fit(X[:0], Y[:0]),
         "x: expected at least one sample, found float32[0,4]."),
        ("an empty list", fit([]),
         "x: expected at least one array, found list of 0 elements."),
        ("one number", fit(3.0, 1.0),
         "x: expected an array, found 3.0; pass NumPy or jax arrays, or dicts and lists of them."),
        ("a function", fit(batches, None),
         "x: expected data, found an object of type function; call it, if it is a function that "
         "makes a generator."),
        ("predict: no samples", lambda m: m.predict(X[:0], verbose=0),
         "x: expected at least one sample, found float32[0,4]."),
        ("predict: another feature size", lambda m: m.predict(X[:, :2], verbose=0),
         "Sequential 'm' input 'x': expected shape (None, 4), found shape (16, 2); axis 1 "
         "differs.\n"
         "In Sequential 'm', called with inputs=float32[16,2], training=False."),
        ("predict_on_batch: another feature size", lambda m: m.predict_on_batch(X[:, :2]),
         "Sequential 'm' input 'x': expected shape (None, 4), found shape (16, 2); axis 1 "
         "differs.\n"
         "In Sequential 'm', called with inputs=float32[16,2], training=False."),
        ("evaluate: y of two columns",
         lambda m: m.evaluate(X, np.hstack([Y, Y]), verbose=0),
         "mean_squared_error: expected y_true and y_pred of the same shape, found y_true (16, "
         "2) and y_pred (16, 1); give the model's last layer 2 units, or reshape y."),
        ("train_on_batch: lengths", lambda m: m.train_on_batch(X, Y[:3]),
         "x, y: expected one number of samples in all arrays, found x 16, y 3; the first axis "
         "counts the samples."),
        ("call: another feature size", lambda m: m(X[:, :3]),
         "Sequential 'm' input 'x': expected shape (None, 4), found shape (16, 3); axis 1 "
         "differs.\n"
         "In Sequential 'm', called with inputs=float32[16,3], training=False."),
    ),
    *rows(
        lambda: mlp(3), ("y of one column for three outputs", fit(),
         "mean_squared_error: expected y_true and y_pred of the same shape, found y_true (16, "
         "1) and y_pred (16, 3); give the model's last layer 1 unit, or reshape y."),
    ),
    *rows(
        two_inputs,
        ("typo in a key of x", fit({"a": X, "bb": X}),
         "Functional 'm' inputs: expected the keys ['a', 'b'], found ['a', 'bb']; 'b' is "
         "missing (did you mean it by 'bb'?).\n"
         "In Functional 'm', called with args=(float32[16,4], float32[16,4]), training=False."),
        ("one input missing", fit({"a": X}),
         "Functional 'm' inputs: expected the keys ['a', 'b'], found ['a']; 'b' is missing.\n"
         "In Functional 'm', called with args=(float32[16,4]), training=False."),
        ("list with one input missing", fit([X]),
         "Functional 'm' inputs: expected 2 arrays, for ['a', 'b'], found 1 (list of 1 "
         "elements).\n"
         "In Functional 'm', called with args=(float32[16,4]), training=False."),
        ("inputs of different lengths", fit({"a": X, "b": X[:5]}),
         "x, y: expected one number of samples in all arrays, found x['a'] 16, x['b'] 5, y 16; "
         "the first axis counts the samples."),
        ("one input of another shape", fit({"a": X, "b": X[:, :2]}),
         "Functional 'm' input 'b': expected shape (None, 4), found shape (16, 2); axis 1 "
         "differs.\n"
         "In Functional 'm', called with args=(float32[16,4], float32[16,2]), training=False."),
    ),
    *rows(
        two_outputs,
        ("typo in a key of y", fit(y={"a": Y, "c": CLASSES}),
         "y: expected the name of a model output, found 'c'; known names: 'a', 'b'."),
        ("one target missing", fit(y={"a": Y}),
         "y: expected the key 'b', found the keys ['a']."),
        ("targets not by output", fit(y=Y),
         "y: expected one element for each output ('a', ...), found float32[16,1]."),
        ("weights by output: typo",
         fit(y={"a": Y, "b": CLASSES}, sample_weight={"a": Y[:, 0], "c": Y[:, 0]}),
         "sample_weight: expected one array per output, as in y (['a'], ['b']), found ['a'], "
         "['c']; use the same keys in both, with None for an output without weights."),
    ),
    *rows(
        embedder,
        ("embedding index too large", fit(np.full((16, 2), 5)),
         "x: expected integers in [0, 4] for Embedding 'm/words', found 5; raise input_dim or "
         "check the vocabulary."),
        ("embedding index negative", fit(np.full((16, 2), -1)),
         "x: expected integers in [0, 4] for Embedding 'm/words', found -1; indices start at 0."),
        ("embedding index in validation data",
         fit(np.ones((16, 2), int), validation_data=(np.full((16, 2), 9), Y)),
         "validation_data[0]: expected integers in [0, 4] for Embedding 'm/words', found 9; "
         "raise input_dim or check the vocabulary."),
        ("embedding index in predict", lambda m: m.predict(np.full((4, 2), 7), verbose=0),
         "x: expected integers in [0, 4] for Embedding 'm/words', found 7; raise input_dim or "
         "check the vocabulary."),
        ("embedding index in the first batch",
         fit(batches((np.full((4, 2), 6), Y[:4])), None),
         "x: expected integers in [0, 4] for Embedding 'm/words', found 6; raise input_dim or "
         "check the vocabulary."),
    ),
    # sources of batches
    *rows(
        mlp,
        ("empty generator", fit(batches(), None),
         "x: expected a generator with at least one batch, found none; check the files or the "
         "filter it reads from."),
        ("generator and y", fit(batches((X, Y)), Y),
         "y: expected None where x makes its own batches, found float32[16,1]; let it yield (x, "
         "y) or (x, y, sample_weight)."),
        ("generator that yields None", fit(batches(None), None),
         "batch 0 of x: expected x, (x,), (x, y) or (x, y, sample_weight), found None; yield "
         "arrays."),
        ("generator that yields a list", fit(batches([X, Y]), None),
         "batch 0 of x: expected x, (x,), (x, y) or (x, y, sample_weight), found list of 2 "
         "elements; yield a tuple: `yield x, y`, or `yield ([a, b],)` for two inputs."),
        ("generator of four parts", fit(batches((X, Y, Y, Y)), None),
         "data: expected x, (x,), (x, y) or (x, y, sample_weight), found tuple of 4 elements; "
         "pass several inputs as one element: ((x1, x2), y)."),
        ("generator of single samples", fit(batches((X[0], 1.0)), None),
         "batch 0 of x, y: expected a batch (first axis: samples), found one number; make "
         "batches first, for example with .batch(32)."),
        ("generator of other features", fit(batches((X[:, :3], Y)), None),
         "Sequential 'm' input 'x': expected shape (None, 4), found shape (16, 3); axis 1 "
         "differs.\n"
         "In Sequential 'm', called with inputs=float32[16,3], training=False."),
        ("generator of empty batches", fit(batches((X[:0], Y[:0])), None),
         "batch 0 of x, x: expected at least one sample, found float32[0,4]."),
        ("generator: rows of x and y differ", fit(batches((X, Y[:3])), None),
         "mean_squared_error: expected y_true and y_pred of the same shape, found y_true (3, 1) "
         "and y_pred (16, 1); the first axis counts the samples."),
        ("batch_size with a generator", fit(batches((X, Y)), None, batch_size=4),
         "batch_size: expected no batch_size for such data, found 4, while x (a generator) "
         "yields 16 rows; drop batch_size, or change the batches that a generator makes."),
        ("validation_split with a generator",
         fit(batches((X, Y)), None, validation_split=0.5),
         "validation_split: expected arrays as x, found an object of type generator; pass "
         "validation_data, or cut the data before."),
        ("class_weight with a target for each value",
         fit(batches((X, np.tile(Y, 3))), None, class_weight={0: 1.0}),
         "class_weight: expected the labels of x of batch 0 as integer classes (n,) or one-hot "
         "rows, found float32[16,3] with rows that do not sum to 1; pass sample_weight instead."),
    ),
    *rows(
        mlp,
        ("structure changes in mid-epoch", fit(batches(pair(), X[:4]), None),
         "batch 1 of x: expected one structure in all batches, found another one than in the "
         "first batch: float32[4,4]; yield the same tuples and dict keys every time."),
        ("feature size changes in mid-epoch", fit(batches(pair(), pair(4, 3)), None),
         "Sequential 'm' input 'x': expected shape (None, 4), found shape (4, 3); axis 1 "
         "differs.\n"
         "In Sequential 'm', called with inputs=float32[4,3], training=True.\n"
         "This happened while checking batch 1."),
        ("y changes its shape in mid-epoch",
         fit(batches(pair(), (X[:4], np.ones((4, 2)))), None),
         "mean_squared_error: expected y_true and y_pred of the same shape, found y_true (4, 2) "
         "and y_pred (4, 1); give the model's last layer 2 units, or reshape y.\n"
         "This happened while checking batch 1."),
        ("rows of x and y differ in batch 1", fit(batches(pair(), (X[:4], Y[:3])), None),
         "mean_squared_error: expected y_true and y_pred of the same shape, found y_true (3, 1) "
         "and y_pred (4, 1); the first axis counts the samples.\n"
         "This happened while checking batch 1."),
        ("generator raises", fit(failing(), None),
         "(OSError)\n"
         "Raised while batch 1 of x was read."),
        ("one-shot generator and three epochs", fit(batches((X, Y)), None, epochs=3),
         "x: expected data for epoch 2, found a generator that ended after 1 batches in an "
         "earlier epoch; pass an object that can be read again (a tf.data.Dataset, a "
         "DataLoader, a class with __iter__), or an endless generator together with "
         "steps_per_epoch."),
        late=True,
    ),
    *rows(
        mlp,
        ("initial_epoch at the end", fit(epochs=2, initial_epoch=2),
         "fit(epochs): expected more than initial_epoch=2, found 2; no epoch is run; `epochs` "
         "is the number of the last one, not how many to add."),
        ("validation_steps alone", fit(validation_steps=3),
         "fit(validation_steps): expected validation data beside it, found none; pass "
         "validation_data or validation_split too."),
        ("steps_per_epoch beyond the data", fit(steps_per_epoch=40),
         "steps_per_epoch: expected at most 16, the batches of 1 in 16 samples, found 40; "
         "epochs will have 16 steps."),
        ("steps_per_epoch beyond a generator",
         fit(batches((X, Y)), None, steps_per_epoch=3),
         "x, epoch 1: expected 3 batches (steps_per_epoch=3), found 1, then the end; lower "
         "steps_per_epoch, or let a generator yield more."),
        ("a generator that never ends",
         lambda m: m.fit(forever(), verbose=0, callbacks=[_Stop()]),
         "x: expected data that ends, found a generator without an end; pass "
         "steps_per_epoch=..., or the first epoch will not end."),
        warns=True,
    ),
    # taken as it is
    *rows(
        mlp,
        ("an axis of size 1 too many", fit(X[:, :, None]), None),
        ("lists of lists", fit(X.tolist(), Y.tolist()), None),
        ("float64 and integers", fit(X.astype("float64"), Y.astype("int64")), None),
        ("y without the last axis", fit(y=Y[:, 0]), None),
        ("a table", fit(pd.DataFrame(X), pd.Series(Y[:, 0])), None),
        ("a generator for one epoch", fit(batches(pair(), pair(2)), None), None),
        ("batches that can be read again", fit(Batches((X, Y)), None, epochs=3), None),
    ),
    *rows(STRICT, ("good data, checked strictly", fit(), None)),
    *rows(two_inputs, ("a list for named inputs", fit([X, X]), None)),
]  # fmt: skip


class _Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = True
