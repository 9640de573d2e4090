"""Mistakes in `compile` and `fit`: one row each, the message word for word, the model unharmed."""

import numpy as np
import pytest

import stepfit
from stepfit.core import errors
from tests.training.fit_rows import (
    BINARY,
    CLASSES,
    ONE_HOT,
    WEIGHTS,
    X2,
    Y2,
    X,
    Y,
    adding_loss,
    binary,
    classifier,
    frozen,
    functional,
    heads,
    mlp,
)  # fmt: skip

LATE = CLASSES.copy()
LATE[-1] = 7
SPARSE = {"model": classifier, "loss": "sparse_categorical_crossentropy"}
HEADS = {"model": heads, "loss": ["mse", "sparse_categorical_crossentropy"], "y": [Y, CLASSES]}
MEAN = "sparse_categorical_crossentropy"
GIVE_UNITS = "give the model's last layer 8 units, or correct the labels."
SHAPES = "mean_squared_error: expected y_true and y_pred of the same shape, found y_true "


def forgetful(y_true, y_pred):
    del y_true, y_pred


def named(cls, name):
    return getattr(stepfit.metrics, cls)(name=name)


def two(a, b):
    return [named("MeanSquaredError", a), named("MeanAbsoluteError", b)]


# arguments of `compile` (and the model), those of `fit`, class, message
ROWS = [
    # optimizer, loss and metrics by name
    ({"optimizer": "adma"}, {}, ValueError,
     "optimizer: expected the name of an optimizer, found 'adma'; did you mean 'adam'?"),
    ({"optimizer": stepfit.optimizers.Adam}, {}, TypeError,
     "optimizer: expected an optimizer, found the class Adam; write Adam()."),
    ({"optimizer": 3}, {}, TypeError,
     'optimizer: expected an optimizer, found 3; pass a name ("adam"), an instance (Adam()) or an '
     "optax transformation (optax.adam(1e-3))."),
    ({"loss": "mean_square_error"}, {}, ValueError,
     "loss: expected the name of a loss, found 'mean_square_error'; did you mean "
     "'mean_squared_error'?"),
    ({**HEADS, "loss": {"a": "msee", "b": "mse"}}, {}, ValueError,
     "loss: expected the name of a loss, found 'msee'; did you mean 'mse'?"),
    ({"loss": stepfit.losses.LossFunctionWrapper}, {}, TypeError,
     "loss: expected a loss that needs no arguments, found the class LossFunctionWrapper; pass an "
     "instance: LossFunctionWrapper(fn=...)."),
    ({"loss": 3}, {}, TypeError, "loss: expected a loss, its name, or a callable, found 3."),
    ({"metrics": ["acuracy"]}, {}, ValueError,
     "metric: expected the name of a metric, found 'acuracy'; did you mean 'accuracy'?"),
    ({"weighted_metrics": ["acuracy"]}, {}, ValueError,
     "metric: expected the name of a metric, found 'acuracy'; did you mean 'accuracy'?"),
    ({"metrics": [stepfit.metrics.MeanMetricWrapper]}, {}, TypeError,
     "metric: expected a metric that needs no arguments, found the class MeanMetricWrapper; pass "
     "an instance: MeanMetricWrapper(fn=...)."),
    ({"metrics": [3]}, {}, TypeError,
     "metric: expected a metric, its name, or a callable, found 3."),
    # other arguments of compile
    ({"steps_per_execution": 0}, {}, ValueError,
     "compile(steps_per_execution): expected 'auto' or a positive int, found 0."),
    ({"steps_per_execution": 1.5}, {}, TypeError,
     "compile(steps_per_execution): expected 'auto' or a positive int, found 1.5."),
    ({"steps_per_execution": "aut"}, {}, TypeError,
     "compile(steps_per_execution): expected 'auto' or a positive int, found 'aut'; did you mean "
     "'auto'?"),
    ({"jit_compile": "always"}, {}, ValueError,
     "compile(jit_compile): expected True, False or 'auto', found 'always'."),
    ({"loss": None, "loss_weights": 2.0}, {}, ValueError,
     "compile(loss_weights): expected a loss beside it, found loss=None."),
    # what is given per output
    ({"loss": ["mse", "mae"]}, {}, ValueError,
     "compile(loss): expected 1 entries, one per output, found 2."),
    ({"loss_weights": [1.0, 2.0]}, {}, ValueError,
     "compile(loss_weights): expected 1 entries, one per output, found 2."),
    ({"loss_weights": "big"}, {}, TypeError,
     "compile(loss_weights): expected a number per output, found 'big'."),
    ({"model": functional, "loss": {"oout": "mse"}}, {}, ValueError,
     "compile(loss): expected the name of a model output, found 'oout'; did you mean 'out'?"),
    ({"model": functional, "loss": {"out": "mse", "b": "mse"}}, {}, ValueError,
     "compile(loss): expected one entry, for the output 'out', found the keys ['out', 'b']."),
    ({"model": functional, "metrics": {"oout": ["mae"]}}, {}, ValueError,
     "compile(metrics): expected the name of a model output, found 'oout'; did you mean 'out'?"),
    ({**HEADS, "loss": ["mse"] * 3}, {}, ValueError,
     "compile(loss): expected 2 entries, one per output, found 3."),
    ({**HEADS, "loss": {"a": "mse", "bb": "mse"}}, {}, ValueError,
     "compile(loss): expected the name of a model output, found 'bb'; did you mean 'b'?"),
    ({**HEADS, "loss_weights": {"a": 1.0, "bb": 2.0}}, {}, ValueError,
     "compile(loss_weights): expected the name of a model output, found 'bb'; did you mean 'b'?"),
    ({**HEADS, "loss_weights": [1.0] * 3}, {}, ValueError,
     "compile(loss_weights): expected 2 entries, one per output, found 3."),
    ({**HEADS, "metrics": {"aa": ["mae"]}}, {}, ValueError,
     "compile(metrics): expected the name of a model output, found 'aa'; did you mean 'a'?"),
    ({**HEADS, "metrics": [["mae"]] * 3}, {}, ValueError,
     "compile(metrics): expected 2 entries, one per output, found 3."),
    ({**HEADS, "y": Y}, {}, ValueError,
     "y: expected one element for each output ('a', ...), found float32[8,1]."),
    ({**HEADS, "y": [Y]}, {}, ValueError,
     "y: expected an element for output 1, found 1 elements."),
    ({**HEADS, "y": [Y, CLASSES, Y]}, {}, ValueError,
     "y: expected 2 elements, one per output, found 3."),
    ({**HEADS, "y": {"a": Y, "bb": CLASSES}}, {}, ValueError,
     "y: expected the name of a model output, found 'bb'; did you mean 'b'?"),
    ({**HEADS, "y": [Y, LATE]}, {}, ValueError,
     f"y['b']: expected integer labels in [0, 3) for {MEAN}, found 7; {GIVE_UNITS}"),
    # what functions return, names that clash
    ({"loss": forgetful}, {}, TypeError,
     'loss "forgetful": expected an array of one value per sample, found None; return the values.'),
    ({"metrics": [forgetful]}, {}, TypeError,
     'metric "forgetful": expected an array of one value per sample, found None; return the '
     "values."),
    ({"metrics": ["mae", "mae"]}, {}, ValueError,
     "compile(metrics): expected metrics with different names, found 'mae' twice; pass name= to "
     "one of them."),
    ({"metrics": two("m", "m")}, {}, ValueError,
     "compile(metrics): expected metrics with different names, found 'm' twice; pass name= to one "
     "of them."),
    ({"metrics": two("loss", "m")}, {}, ValueError,
     "compile(metrics): expected a name that is not taken, found 'loss', the name of the loss; "
     "pass another name=."),
    ({"model": classifier, "loss": "categorical_crossentropy", "y": ONE_HOT,
      "metrics": [named("F1Score", "f1")]}, {}, ValueError,
     "metric 'f1': expected one number as its result, found float32[3]; pass average=\"macro\", "
     '"micro" or "weighted".'),
    # arguments of fit
    ({}, {"epochs": 0}, ValueError, "fit(epochs): expected an int of at least 1, found 0."),
    ({}, {"epochs": -1}, ValueError, "fit(epochs): expected an int of at least 1, found -1."),
    ({}, {"epochs": 2.5}, TypeError, "fit(epochs): expected an int of at least 1, found 2.5."),
    ({}, {"epochs": True}, TypeError, "fit(epochs): expected an int of at least 1, found True."),
    ({}, {"epochs": "3"}, TypeError, "fit(epochs): expected an int of at least 1, found '3'."),
    ({}, {"initial_epoch": -1}, ValueError,
     "fit(initial_epoch): expected an int of at least 0, found -1."),
    ({}, {"validation_freq": 0}, ValueError,
     "fit(validation_freq): expected an int of at least 1, found 0."),
    ({}, {"validation_freq": "often"}, TypeError,
     "fit(validation_freq): expected an int of at least 1, found 'often'."),
    ({}, {"verbose": 3}, ValueError, "verbose: expected 0, 1, 2 or 'auto', found 3."),
    ({}, {"verbose": "loud"}, ValueError, "verbose: expected 0, 1, 2 or 'auto', found 'loud'."),
    ({}, {"callbacks": [3]}, TypeError,
     "callbacks[0]: expected an instance of stepfit.callbacks.Callback, found 3; make a subclass "
     "of it, or use LambdaCallback."),
    # shapes and labels
    ({"y": Y2}, {}, ValueError,
     f"{SHAPES}(8, 2) and y_pred (8, 1); give the model's last layer 2 units, or reshape y."),
    ({"model": classifier}, {}, ValueError,
     f"{SHAPES}(8, 1) and y_pred (8, 3); give the model's last layer 1 unit, or reshape y."),
    ({"model": classifier, "y": Y[:, 0]}, {}, ValueError,
     f"{SHAPES}(8,) and y_pred (8, 3); reshape y to the shape of the model's output."),
    ({**SPARSE, "y": CLASSES - 1}, {}, ValueError,
     f"y: expected integer labels in [0, 3) for {MEAN}, found -1; labels start at 0; to leave "
     "entries out of the loss, pass ignore_class."),
    ({**SPARSE, "y": LATE}, {}, ValueError,
     f"y: expected integer labels in [0, 3) for {MEAN}, found 7; {GIVE_UNITS}"),
    ({**SPARSE, "y": CLASSES}, {"validation_data": (X, LATE)}, ValueError,
     f"validation_data[1]: expected integer labels in [0, 3) for {MEAN}, found 7; {GIVE_UNITS}"),
    ({**SPARSE, "y": ONE_HOT}, {}, ValueError,
     f"{MEAN}: expected integer labels y_true (8,) for y_pred (8, 3), found y_true (8, 3); for "
     "one-hot labels use categorical_crossentropy, or take keras.ops.argmax(y, axis=-1)."),
    ({"model": classifier, "loss": "categorical_crossentropy", "y": CLASSES}, {}, ValueError,
     "categorical_crossentropy: expected y_true and y_pred of the same shape, found y_true (8,) "
     "and y_pred (8, 3); for integer class labels use sparse_categorical_crossentropy, or make y "
     "one-hot with keras.utils.to_categorical(y, 3)."),
    ({"model": binary, "loss": "binary_crossentropy", "y": BINARY * 10}, {}, ValueError,
     "y: expected targets in [0, 1] for binary_crossentropy, found 10; scale them to [0, 1], or "
     "use another loss."),
    ({}, {"validation_data": (X, Y2)}, ValueError,
     f"{SHAPES}(8, 2) and y_pred (8, 1); give the model's last layer 2 units, or reshape y."),
    ({"x": X2}, {}, ValueError,
     "Sequential 'mlp' input 'input_layer': expected shape (None, 4), found shape (8, 3); axis 1 "
     "differs."),
    ({"y": None}, {}, ValueError,
     "y: expected targets, because compile() was given a loss, found None; pass y, or override "
     "compute_loss."),
    ({"model": adding_loss, "loss": None, "metrics": ["mae"], "y": None}, {}, ValueError,
     "y: expected targets, because compile() was given metrics, found None; pass y."),
    ({"loss": None}, {}, ValueError,
     "Sequential 'mlp' compute_loss: expected a loss, found none; pass loss= to compile(), call "
     "add_loss in a layer, or override compute_loss."),
    ({}, {"sample_weight": Y2}, ValueError,
     'loss "mse": expected sample_weight that broadcasts onto values of shape (8,), found '
     "sample_weight (8, 2); give one weight per sample, or one per value."),
    ({}, {"sample_weight": WEIGHTS[:3]}, ValueError,
     "x, y, sample_weight: expected one number of samples in all arrays, found x 16, y 16, "
     "sample_weight 3; the first axis counts the samples."),
]  # fmt: skip


def good(model, y):
    """Losses and targets with which the model trains."""
    if model is heads:
        return {"loss": ["mse", MEAN]}, [Y, CLASSES]
    return ({"loss": MEAN}, CLASSES) if model is classifier else ({"loss": "mse"}, Y)


def state(model):
    return [v.numpy() for v in [*model.variables, *model.optimizer.variables]]


def check(call, cls, message):
    with pytest.raises(cls) as caught:
        call()
    assert str(caught.value) == message
    assert isinstance(caught.value, errors.StepfitError)


@pytest.mark.parametrize("row", range(len(ROWS)), ids=lambda i: f"{i}-{ROWS[i][3][:40]}")
def test_message_and_that_the_model_is_as_before(row):
    compiled, fit, cls, message = ROWS[row]
    compiled = dict(compiled)
    make, x, y = compiled.pop("model", mlp), compiled.pop("x", X), compiled.pop("y", Y)
    model = make(stepfit)
    right, right_y = good(make, y)
    optimizer = stepfit.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, **right, run_eagerly=True)
    model.train_on_batch(X, right_y)
    before = state(model)
    compiled = {"optimizer": optimizer, "loss": "mse", **compiled}

    def mistake():
        model.compile(**compiled)
        model.fit(x, y, **{"verbose": 0, "batch_size": 8, **fit})

    check(mistake, cls, message)
    assert model.optimizer is optimizer
    for value, old in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(value, old)
    model.compile(optimizer, **right, run_eagerly=True)
    model.train_on_batch(X, right_y)
    assert int(optimizer.iterations) == 2


@pytest.mark.parametrize(
    "call",
    [lambda m: m.fit(X, Y, verbose=0), lambda m: m.evaluate(X, Y, verbose=0),
     lambda m: m.train_on_batch(X, Y), lambda m: m.test_on_batch(X, Y)],
    ids=["fit", "evaluate", "train_on_batch", "test_on_batch"],
)  # fmt: skip
def test_a_model_that_is_not_compiled(call):
    check(
        lambda: call(mlp(stepfit)), ValueError,
        "Sequential 'mlp': expected a compiled model, found one that is not; call "
        "compile(optimizer=..., loss=...) first.",
    )  # fmt: skip


def test_an_optimizer_used_for_another_model():
    optimizer = stepfit.optimizers.Adam(name="adam")
    first, second = mlp(stepfit), mlp(stepfit)
    first.compile(optimizer, "mse")
    first.fit(X, Y, verbose=0)
    before = state(first), second.get_weights()
    second.compile(optimizer, "mse")
    names = "'mlp/hidden/kernel', 'mlp/hidden/bias', 'mlp/out/kernel'"
    check(
        lambda: second.fit(X, Y, verbose=0), ValueError,
        f"Adam 'adam': expected the 4 variables it was built with ({names} and 1 more), found 4 "
        f"unknown ones: {names}, 'mlp/out/bias'; an optimizer serves one set of variables; make a "
        "new Adam(...) for another.",
    )  # fmt: skip
    for now, then in zip((state(first), second.get_weights()), before, strict=True):
        for a, b in zip(now, then, strict=True):
            np.testing.assert_array_equal(a, b)


def test_layers_unfrozen_after_a_fit():
    model = frozen(stepfit)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    model.layers[0].trainable = True
    check(
        lambda: model.fit(X, Y, verbose=0), ValueError,
        "Sequential 'mlp' fit: expected the trainable variables that the optimizer was built for, "
        "found 2 more, such as 'mlp/hidden/kernel'; after unfreezing or adding layers call "
        "compile() again, with a new optimizer.",
    )  # fmt: skip
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)


def test_nothing_to_train():
    model = mlp(stepfit)
    model.trainable = False
    model.compile("sgd", "mse")
    check(
        lambda: model.fit(X, Y, verbose=0), ValueError,
        "Sequential 'mlp' fit: expected at least one trainable variable, found none; hold layers "
        "in attributes of the model, and check `trainable`.",
    )  # fmt: skip


def test_labels_of_single_batches_are_checked():
    model = classifier(stepfit)
    model.compile("sgd", MEAN)
    model.train_on_batch(X, CLASSES)
    message = f"y: expected integer labels in [0, 3) for {MEAN}, found 7; {GIVE_UNITS}"
    check(lambda: model.train_on_batch(X, LATE), ValueError, message)
    check(lambda: model.test_on_batch(X, LATE), ValueError, message)
