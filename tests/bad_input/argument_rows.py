"""Bad arguments of `fit`, and what `compile(check="strict")` finds."""

import numpy as np

import stepfit as keras
from tests.bad_input.common import (
    CLASSES,
    X,
    Y,
    batches,
    classifier,
    embedder,
    fit,
    mlp,
    rows,
    two_outputs,
)


def with_at(array, place, value):
    """Return a copy with one entry changed."""
    array = array.astype("float32")
    array[place] = value
    return array


def pair(n=4, features=4):
    return X[:n, :features], Y[:n]


NAN = float("nan")
STRICT = lambda: mlp(check="strict")

ROWS = [
    # arguments of fit
    *rows(
        mlp,
        ("batch_size 0", fit(batch_size=0),
         "batch_size: expected a positive integer, found 0; pass the number of rows of a batch, "
         "such as 32."),
        ("batch_size -4", fit(batch_size=-4),
         "batch_size: expected a positive integer, found -4; pass the number of rows of a "
         "batch, such as 32."),
        ("batch_size 16.0", fit(batch_size=16.0),
         "batch_size: expected a positive integer, found 16.0; pass the number of rows of a "
         "batch, such as 32."),
        ("batch_size text", fit(batch_size="16"),
         "batch_size: expected a positive integer, found '16'; pass the number of rows of a "
         "batch, such as 32."),
        ("validation_batch_size 0",
         fit(validation_data=(X, Y), validation_batch_size=0),
         "validation_batch_size: expected a positive integer, found 0; leave it out to use "
         "batch_size."),
        ("validation_split of no array",
         fit(validation_split="0.2"),
         "validation_split: expected a number between 0 and 1, found '0.2'; 0.2 keeps the last "
         "20 % of the samples."),
        ("epochs 0", fit(epochs=0),
         "fit(epochs): expected an int of at least 1, found 0."),
        ("epochs -1", fit(epochs=-1),
         "fit(epochs): expected an int of at least 1, found -1."),
        ("epochs 2.5", fit(epochs=2.5),
         "fit(epochs): expected an int of at least 1, found 2.5."),
        ("steps_per_epoch 0", fit(steps_per_epoch=0),
         "steps_per_epoch: expected a positive integer, found 0; leave it out to use all the "
         "data."),
        ("validation_steps 0", fit(validation_data=(X, Y), validation_steps=0),
         "validation_steps: expected a positive integer, found 0; leave it out to use all the "
         "data."),
        ("validation_freq 0", fit(validation_data=(X, Y), validation_freq=0),
         "fit(validation_freq): expected an int of at least 1, found 0."),
        ("verbose 7", fit(verbose=7),
         "verbose: expected 0, 1, 2 or 'auto', found 7."),
        ("shuffle text", fit(shuffle="yes"),
         "shuffle: expected True, False or 'batch', found 'yes'."),
        ("misspelt argument", fit(epoch=3),
         "fit(...): expected the name of an argument, found 'epoch'; did you mean 'epochs'?"),
        ("validation_split 1.5", fit(validation_split=1.5),
         "validation_split: expected a number between 0 and 1, found 1.5; 0.2 keeps the last 20 "
         "% of the samples."),
        ("validation_split negative", fit(validation_split=-0.1),
         "validation_split: expected a number between 0 and 1, found -0.1; 0.2 keeps the last "
         "20 % of the samples."),
        ("validation_split that leaves no sample", fit(validation_split=0.99),
         "validation_split: expected at least one sample for training and one for validation, "
         "found 0.99 of 16 samples, which leaves none for training; pass more samples, another "
         "fraction, or validation_data."),
        ("validation data of four parts", fit(validation_data=(X, Y, Y, Y)),
         "validation_data: expected (x, y), (x, y, sample_weight), or an object that makes "
         "batches, found tuple of 4 elements; pass several inputs as one element: ((x1, x2), y)."),
        ("validation x of another shape", fit(validation_data=(X[:, :2], Y)),
         "Sequential 'm' input 'x': expected shape (None, 4), found shape (16, 2); axis 1 "
         "differs.\n"
         "In Sequential 'm', called with inputs=float32[16,2], training=False.\n"
         "This happened while checking validation_data."),
        ("validation y of another shape",
         fit(validation_data=(X, np.hstack([Y, Y]))),
         "mean_squared_error: expected y_true and y_pred of the same shape, found y_true (16, "
         "2) and y_pred (16, 1); give the model's last layer 2 units, or reshape y.\n"
         "This happened while checking validation_data."),
        ("validation lengths", fit(validation_data=(X, Y[:5])),
         "validation_data: expected one number of samples in all arrays, found "
         "validation_data[0] 16, validation_data[1] 5; the first axis counts the samples."),
        ("validation data without targets", fit(validation_data=(X,)),
         "y: expected targets, because compile() was given a loss, found None; pass y, or "
         "override compute_loss.\n"
         "This happened while checking validation_data."),
        ("class_weight is a list", fit(class_weight=[1.0, 2.0]),
         "class_weight: expected a dict from class index to weight, found list of 2 elements; "
         "turn a list w into dict(enumerate(w))."),
        ("class_weight negative", fit(class_weight={0: -1.0}),
         "class_weight[0]: expected a finite number of at least 0, found -1.0."),
        ("not a callback", fit(callbacks=[print]),
         "callbacks[0]: expected an instance of stepfit.callbacks.Callback, found an object of "
         "type builtin_function_or_method; wrap a function: "
         "LambdaCallback(on_epoch_end=function)."),
        ("a callback's class", fit(callbacks=[keras.callbacks.EarlyStopping]),
         "callbacks[0]: expected an instance of stepfit.callbacks.Callback, found the class "
         "EarlyStopping; write EarlyStopping() with its arguments."),
        ("monitor typo",
         fit(callbacks=[keras.callbacks.EarlyStopping(monitor="los")]),
         "EarlyStopping(monitor='los'): expected one of the metrics loss, found 'los'; pass one "
         "of these names, or write 'loss'."),
        ("monitor of validation without any",
         fit(callbacks=[keras.callbacks.EarlyStopping()]),
         "EarlyStopping(monitor='val_loss'): expected one of the metrics loss, found "
         "'val_loss'; pass validation_data or validation_split to fit, or write 'loss'."),
        ("monitor whose direction is not known",
         fit(callbacks=[keras.callbacks.EarlyStopping(monitor="hiddenness")]),
         "EarlyStopping(monitor='hiddenness'): expected one of the metrics loss, found "
         "'hiddenness'; pass one of these names."),
    ),
    *rows(
        classifier,
        ("class_weight missing a class", fit(y=CLASSES, class_weight={0: 1.0, 1: 2.0}),
         "class_weight: expected a weight for every class in y, found none for class 2 (given: "
         "0, 1); add 2: 1.0 to leave that class as it is."),
    ),
    # compile(check="strict")
    *rows(
        STRICT,
        ("nan in x", fit(with_at(X, (9, 2), NAN)),
         "x: expected finite numbers, found nan at [9, 2]; drop such samples or fill the gaps, "
         "for example with numpy.nan_to_num."),
        ("inf in y", fit(y=with_at(Y, (3, 0), np.inf)),
         "y: expected finite numbers, found inf at [3, 0]; drop such samples or fill the gaps, "
         "for example with numpy.nan_to_num."),
        ("nan in sample_weight", fit(sample_weight=with_at(np.ones(16), 7, NAN)),
         "sample_weight: expected finite numbers, found nan at [7]; drop such samples or fill "
         "the gaps, for example with numpy.nan_to_num."),
        ("nan in validation data",
         fit(validation_data=(with_at(X, (1, 1), NAN), Y)),
         "validation_data[0]: expected finite numbers, found nan at [1, 1]; drop such samples "
         "or fill the gaps, for example with numpy.nan_to_num."),
        ("nan in predict", lambda m: m.predict(with_at(X, (1, 1), NAN), verbose=0),
         "x: expected finite numbers, found nan at [1, 1]; drop such samples or fill the gaps, "
         "for example with numpy.nan_to_num."),
        ("nan in evaluate", lambda m: m.evaluate(with_at(X, (1, 1), NAN), Y, verbose=0),
         "x: expected finite numbers, found nan at [1, 1]; drop such samples or fill the gaps, "
         "for example with numpy.nan_to_num."),
        ("nan in train_on_batch",
         lambda m: m.train_on_batch(with_at(X, (1, 1), NAN), Y),
         "x: expected finite numbers, found nan at [1, 1]; drop such samples or fill the gaps, "
         "for example with numpy.nan_to_num."),
        ("nan in the first batch", fit(batches((with_at(X, (1, 1), NAN), Y)), None),
         "batch 0, x: expected finite numbers, found nan at [1, 1]; drop such samples or fill "
         "the gaps, for example with numpy.nan_to_num."),
    ),
    *rows(
        STRICT,
        ("nan in batch 1", fit(batches(pair(), (with_at(X, (1, 1), NAN), Y)), None),
         "batch 1, x: expected finite numbers, found nan at [1, 1]; drop such samples or fill "
         "the gaps, for example with numpy.nan_to_num."),
        late=True,
    ),
    *rows(
        lambda: classifier(check="strict"),
        ("label 3 in batch 2 of 3 classes",
         fit(batches((X, CLASSES), (X, CLASSES), (X, CLASSES + 1)), None),
         "batch 2, y: expected integer labels in [0, 3) for sparse_categorical_crossentropy, "
         "found 3; give the model's last layer 4 units, or correct the labels."),
        late=True,
    ),
    *rows(
        lambda: two_outputs(check="strict"),
        ("nan in one of two targets",
         fit(y={"a": with_at(Y, (2, 0), NAN), "b": CLASSES}),
         "y['a']: expected finite numbers, found nan at [2, 0]; drop such samples or fill the "
         "gaps, for example with numpy.nan_to_num."),
    ),
    *rows(
        lambda: embedder(check="strict"),
        ("embedding index in batch 1",
         fit(batches((np.ones((4, 2)), Y[:4]), (np.full((4, 2), 6), Y[:4])), None),
         "batch 1, x: expected integers in [0, 4] for Embedding 'm/words', found 6; raise "
         "input_dim or check the vocabulary."),
        late=True,
    ),
]  # fmt: skip
