"""Bad losses, labels, metrics, optimizers and other arguments of `compile`."""

import jax.numpy as jnp
import numpy as np
import optax

import stepfit as keras
from tests.bad_input.common import (
    CLASSES,
    ONE_HOT,
    SPARSE,
    YES_NO,
    L,
    X,
    Y,
    batches,
    binary,
    classifier,
    fit,
    mlp,
    rows,
    two_outputs,
)


def compiling(x=X, y=Y, **arguments):
    """Return a function of a model that compiles it with these arguments and fits it."""

    def call(model):
        model.compile(**({"optimizer": "sgd", "loss": "mse"} | arguments))
        model.fit(x, y, verbose=0)

    return call


def late_label(value):
    labels = CLASSES.copy()
    labels[-1] = value
    return labels


def forgetful(y_true, y_pred):
    del y_true, y_pred


def two(metric="MeanAbsoluteError", names=("m", "m")):
    return [getattr(keras.metrics, metric)(name=name) for name in names]


def gap(y_true, y_pred):
    """Goes wrong in JAX."""
    return y_true[:3] - y_pred


ROWS = [
    *rows(
        mlp,
        ("shapes in a function of one's own as a metric", compiling(metrics=[gap]),
         '(TypeError)\nIn metric "gap", called with y_true float32[16,1], y_pred float32[16,1].'),
        ("shapes in a function of one's own as the loss", compiling(loss=gap),
         '(TypeError)\nIn loss "gap", called with y_true float32[16,1], y_pred float32[16,1].'),
    ),
    *rows(
        classifier,
        ("label 7 of 3 classes", fit(y=late_label(7)),
         "y: expected integer labels in [0, 3) for sparse_categorical_crossentropy, found 7; "
         "give the model's last layer 8 units, or correct the labels."),
        ("label -1", fit(y=late_label(-1)),
         "y: expected integer labels in [0, 3) for sparse_categorical_crossentropy, found -1; "
         "labels start at 0; to leave entries out of the loss, pass ignore_class."),
        ("label 7 in the first batch", fit(batches((X, late_label(7))), None),
         "y: expected integer labels in [0, 3) for sparse_categorical_crossentropy, found 7; "
         "give the model's last layer 8 units, or correct the labels."),
        ("label 7 in validation data",
         fit(y=CLASSES, validation_data=(X, late_label(7))),
         "validation_data[1]: expected integer labels in [0, 3) for "
         "sparse_categorical_crossentropy, found 7; give the model's last layer 8 units, or "
         "correct the labels."),
        ("label 7 in evaluate", lambda m: m.evaluate(X, late_label(7), verbose=0),
         "y: expected integer labels in [0, 3) for sparse_categorical_crossentropy, found 7; "
         "give the model's last layer 8 units, or correct the labels."),
        ("label 7 in train_on_batch", lambda m: m.train_on_batch(X, late_label(7)),
         "y: expected integer labels in [0, 3) for sparse_categorical_crossentropy, found 7; "
         "give the model's last layer 8 units, or correct the labels."),
        ("fractions as labels", fit(y=CLASSES + 0.5),
         "y: expected integer labels for sparse_categorical_crossentropy, found 0.5; class "
         "labels are whole numbers; for targets that are quantities use a regression loss such "
         "as mean_squared_error."),
        ("nan as a label", fit(y=np.where(CLASSES == 2, np.nan, CLASSES)),
         "y: expected integer labels for sparse_categorical_crossentropy, found nan; class "
         "labels are whole numbers; for targets that are quantities use a regression loss such "
         "as mean_squared_error."),
        ("one-hot labels for a sparse loss", fit(y=ONE_HOT),
         "sparse_categorical_crossentropy: expected integer labels y_true (16,) for y_pred (16, "
         "3), found y_true (16, 3); for one-hot labels use categorical_crossentropy, or take "
         "keras.ops.argmax(y, axis=-1)."),
    ),
    *rows(
        lambda: classifier("categorical_crossentropy"),
        ("integer labels for a categorical loss", fit(y=CLASSES),
         "categorical_crossentropy: expected y_true and y_pred of the same shape, found y_true "
         "(16,) and y_pred (16, 3); for integer class labels use "
         "sparse_categorical_crossentropy, or make y one-hot with keras.utils.to_categorical(y, "
         "3)."),
        ("integer labels in a column for a categorical loss", fit(y=CLASSES[:, None]),
         "categorical_crossentropy: expected y_true and y_pred of the same shape, found y_true "
         "(16, 1) and y_pred (16, 3); for integer class labels use "
         "sparse_categorical_crossentropy, or make y one-hot with keras.utils.to_categorical(y, "
         "3)."),
        ("shares above 1", fit(y=ONE_HOT * 2),
         "y: expected targets in [0, 1] for categorical_crossentropy, found 2; scale them to "
         "[0, 1], or use another loss."),
    ),
    *rows(
        binary,
        ("targets 0, 10 for yes and no", fit(y=YES_NO * 10),
         "y: expected targets in [0, 1] for binary_crossentropy, found 10; scale them to [0, "
         "1], or use another loss."),
        ("targets -1, 1 for yes and no", fit(y=YES_NO * 2 - 1),
         "y: expected targets in [0, 1] for binary_crossentropy, found -1; for targets -1 and 1 "
         "use hinge, or pass (y + 1) / 2."),
    ),
    *rows(
        lambda: binary(activation=None),
        ("a linear output for probabilities", fit(y=YES_NO),
         "compile(loss): expected an output of probabilities in [0, 1] for binary_crossentropy, "
         'found the output of a linear layer; end the model with activation="sigmoid", or give '
         "the loss from_logits=True."),
    ),
    *rows(
        lambda: classifier(activation=None),
        ("a linear output for class probabilities", fit(y=CLASSES),
         "compile(loss): expected an output of probabilities in [0, 1] for "
         "sparse_categorical_crossentropy, found the output of a linear layer; end the model "
         'with activation="softmax", or give the loss from_logits=True.'),
    ),
    *rows(
        lambda: two_outputs(loss={"a": "binary_crossentropy", "b": SPARSE}),
        ("a linear output among two", fit(y={"a": YES_NO, "b": CLASSES}),
         "compile(loss)['a']: expected an output of probabilities in [0, 1] for "
         "binary_crossentropy, found the output of a linear layer; end the model with "
         'activation="sigmoid", or give the loss from_logits=True.'),
    ),
    *rows(
        mlp,
        ("loss typo", compiling(loss="mean_square_error"),
         "loss: expected the name of a loss, found 'mean_square_error'; did you mean "
         "'mean_squared_error'?"),
        ("optimizer typo", compiling(optimizer="adma"),
         "optimizer: expected the name of an optimizer, found 'adma'; did you mean 'adam'?"),
        ("metric typo", compiling(metrics=["acuracy"]),
         "metric: expected the name of a metric, found 'acuracy'; did you mean 'accuracy'?"),
        ("loss None", compiling(loss=None),
         "Sequential 'm' compute_loss: expected a loss, found none; pass loss= to compile(), "
         "call add_loss in a layer, or override compute_loss."),
        ("a loss's class that needs arguments",
         compiling(loss=keras.losses.LossFunctionWrapper),
         "loss: expected a loss that needs no arguments, found the class LossFunctionWrapper; "
         "pass an instance: LossFunctionWrapper(fn=...)."),
        ("an optimizer's class", compiling(optimizer=keras.optimizers.SGD),
         "optimizer: expected an optimizer, found the class SGD; write SGD()."),
        ("an optax function not called", compiling(optimizer=optax.sgd),
         "optimizer: expected an optimizer, found an object of type function; call it: "
         "optax.sgd(...)."),
        ("optimizer None", compiling(optimizer=None),
         "Sequential 'm' train_step: expected an optimizer, found None; call "
         "compile(optimizer=..., loss=...) first."),
        ("learning rate negative",
         lambda m: compiling(optimizer=keras.optimizers.SGD(-0.1))(m),
         "SGD learning_rate: expected a number that is not negative, found -0.1."),
        ("learning rate text",
         lambda m: compiling(optimizer=keras.optimizers.SGD("fast"))(m),
         "SGD learning_rate: expected a number, a LearningRateSchedule or a callable, found "
         "'fast'."),
        ("optimizer with a misspelt argument",
         lambda m: keras.optimizers.Adam(learning_rat=0.1),
         "Adam(...): expected the name of an argument, found 'learning_rat'; did you mean "
         "'learning_rate'?"),
        ("loss list too long", compiling(loss=["mse", "mae"]),
         "compile(loss): expected 1 entries, one per output, found 2."),
        ("loss dict with an unknown key", compiling(loss={"oot": "mse"}),
         "compile(loss): expected the name of a model output, found 'oot'; did you mean 'out'?"),
        ("loss returns None", compiling(loss=forgetful),
         'loss "forgetful": expected an array of one value per sample, found None; return the '
         "values."),
        ("metric returns None", compiling(metrics=[forgetful]),
         'metric "forgetful": expected an array of one value per sample, found None; return the '
         "values."),
        ("loss of another shape than the batch",
         compiling(loss=lambda y_true, y_pred: jnp.ones(3)), None),
        ("metrics of one name", compiling(metrics=two()),
         "compile(metrics): expected metrics with different names, found 'm' twice; pass name= "
         "to one of them."),
        ("a metric called loss", compiling(metrics=two(names=("loss",))),
         "compile(metrics): expected a name that is not taken, found 'loss', the name of the "
         "loss; pass another name=."),
        ("a metric that is a number", compiling(metrics=[3]),
         "metric: expected a metric, its name, or a callable, found 3."),
        ("a metric of values", compiling(metrics=[keras.metrics.Mean(name="pred")]),
         "compile(metrics): expected a metric of targets and predictions, found Mean 'pred', "
         "which takes values and weights; hold it as an attribute of the model, and update it "
         "in a step or in `call`."),
        ("loss_weights of the wrong length", compiling(loss_weights=[1.0, 2.0]),
         "compile(loss_weights): expected 1 entries, one per output, found 2."),
        ("steps_per_execution 0", compiling(steps_per_execution=0),
         "compile(steps_per_execution): expected 'auto' or a positive int, found 0."),
        ("steps_per_execution text", compiling(steps_per_execution="fast"),
         "compile(steps_per_execution): expected 'auto' or a positive int, found 'fast'."),
        ("jit_compile text", compiling(jit_compile="yes"),
         "compile(jit_compile): expected True, False or 'auto', found 'yes'."),
        ("check text", compiling(check="stict"),
         "compile(check): expected the name of a check, found 'stict'; did you mean 'strict'?"),
        ("check True", compiling(check=True),
         "compile(check): expected the name of a check, found True; known names: 'first', "
         "'strict'."),
        ("misspelt argument of compile", lambda m: m.compile(optimiser="sgd"),
         "compile(...): expected the name of an argument, found 'optimiser'; did you mean "
         "'optimizer'?"),
        ("loss misspelt as a keyword", lambda m: m.compile("sgd", los="mse"),
         "compile(...): expected the name of an argument, found 'los'; did you mean 'loss'?"),
        ("loss with a misspelt argument", lambda m: keras.losses.Huber(detla=2.0),
         "Huber(...): expected the name of an argument, found 'detla'; did you mean 'delta'?"),
        ("metric with a misspelt argument", lambda m: keras.metrics.Mean(nam="a"),
         "Mean(...): expected the name of an argument, found 'nam'; did you mean 'name'?"),
        ("loss reduction misspelt",
         lambda m: keras.losses.MeanSquaredError(reduction="men"),
         "reduction: expected the name of a reduction, found 'men'; did you mean 'mean'?"),
    ),
    *rows(
        two_outputs,
        ("loss dict: typo",
         compiling(y={"a": Y, "b": CLASSES}, loss={"a": "mse", "c": SPARSE}),
         "compile(loss): expected the name of a model output, found 'c'; known names: 'a', 'b'."),
        ("metrics dict: typo",
         lambda m: compiling(y={"a": Y, "b": CLASSES}, loss=["mse", SPARSE],
                             metrics={"aa": ["mae"]})(m),
         "compile(metrics): expected the name of a model output, found 'aa'; did you mean 'a'?"),
        ("label 7 in one of two targets", fit(y={"a": Y, "b": late_label(7)}),
         "y['b']: expected integer labels in [0, 3) for sparse_categorical_crossentropy, found "
         "7; give the model's last layer 8 units, or correct the labels."),
    ),
    *rows(
        lambda: keras.Sequential([keras.Input((4,)), L.Dense(1)], name="m"),
        ("fit before compile", fit(),
         "Sequential 'm': expected a compiled model, found one that is not; call "
         "compile(optimizer=..., loss=...) first."),
        ("evaluate before compile", lambda m: m.evaluate(X, Y, verbose=0),
         "Sequential 'm': expected a compiled model, found one that is not; call "
         "compile(optimizer=..., loss=...) first."),
        ("train_on_batch before compile", lambda m: m.train_on_batch(X, Y),
         "Sequential 'm': expected a compiled model, found one that is not; call "
         "compile(optimizer=..., loss=...) first."),
    ),
    *rows(
        lambda: mlp(optimizer=keras.optimizers.SGD(1e30)),
        ("exploding learning rate", fit(epochs=3),
         "fit, epoch 2: expected a finite loss, found inf; pass "
         "callbacks=[keras.callbacks.TerminateOnNaN()] to be told where it came from, and to "
         "keep the weights from before."),
        warns=True,
    ),
    # taken as it is
    *rows(
        mlp,
        ("an optax object", compiling(optimizer=optax.adam(1e-3)), None),
        ("a loss's class", compiling(loss=keras.losses.Huber), None),
        ("a metric's class", compiling(metrics=[keras.metrics.MeanAbsoluteError]), None),
        ("from_logits on a linear output",
         compiling(y=YES_NO, loss=keras.losses.BinaryCrossentropy(from_logits=True)), None),
    ),
    *rows(
        classifier,
        ("ignored labels",
         compiling(y=late_label(-1),
                   loss=keras.losses.SparseCategoricalCrossentropy(ignore_class=-1)), None),
        ("soft labels", compiling(y=ONE_HOT * 0.8, loss="categorical_crossentropy"), None),
    ),
]  # fmt: skip
