"""The table of `test_fit_parity`: one row per way of training, for real Keras and for stepfit.

`k` is the library: real Keras or stepfit. A row gives a model, the arguments of `compile`, and
what `fit` is called with; whatever is not given has the value that most rows share.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

N, SIZE = 16, 4  # samples, features
_rng = np.random.default_rng(7)
X = _rng.normal(size=(N, SIZE)).astype("float32")
X2 = _rng.normal(size=(N, 3)).astype("float32")
IMAGES = _rng.normal(size=(N, 5, 5, 2)).astype("float32")
Y = _rng.normal(size=(N, 1)).astype("float32")
Y2 = _rng.normal(size=(N, 2)).astype("float32")
BINARY = (_rng.uniform(size=(N, 1)) > 0.5).astype("float32")
CLASSES = _rng.integers(0, 3, size=(N,)).astype("int32")
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]
WEIGHTS = _rng.uniform(0.2, 2.0, size=(N,)).astype("float32")
WEIGHTS2 = _rng.uniform(0.2, 2.0, size=(N,)).astype("float32")
SEQUENCES = _rng.normal(size=(N, 5, 2)).astype("float32")
TOKENS = np.sort(_rng.integers(0, 5, (N, 6)))[:, ::-1].clip(min=[1, *[0] * 5]).astype("int32")


def mlp(k, units=1, activation=None, **options):
    return k.Sequential(
        [
            k.Input((SIZE,)),
            k.layers.Dense(5, activation="tanh", name="hidden", **options),
            k.layers.Dense(units, activation=activation, name="out"),
        ],
        name="mlp",
    )


def functional(k):
    x = k.Input((SIZE,))
    h = k.layers.Dense(5, activation="tanh", name="hidden")(x)
    return k.Model(x, k.layers.Dense(1, name="out")(h))


def classifier(k):
    return mlp(k, 3, "softmax")


def binary(k):
    return mlp(k, 1, "sigmoid")


def cnn(k):
    return k.Sequential(
        [
            k.Input((5, 5, 2)),
            k.layers.Conv2D(3, 2, activation="relu", name="conv"),
            k.layers.BatchNormalization(name="norm"),
            k.layers.Dropout(0.0, name="drop"),
            k.layers.GlobalAveragePooling2D(name="pool"),
            k.layers.Dense(3, activation="softmax", name="out"),
        ]
    )


def regularized(k):
    return k.Sequential(
        [
            k.Input((SIZE,)),
            k.layers.Dense(5, activation="tanh", name="hidden",
                           kernel_regularizer=k.regularizers.L2(0.1),
                           activity_regularizer=k.regularizers.L1(0.01)),
            k.layers.ActivityRegularization(l2=0.02, name="activity"),
            k.layers.Dense(1, name="out", bias_regularizer="l2"),
        ]
    )  # fmt: skip


def adding_loss(k):
    class Penalty(k.layers.Layer):
        def call(self, x):
            self.add_loss(0.3 * k.ops.mean(k.ops.square(x)))
            return x

    x = k.Input((SIZE,))
    h = Penalty(name="penalty")(k.layers.Dense(5, name="hidden")(x))
    return k.Model(x, k.layers.Dense(1, name="out")(h))


def subclassed(k):
    class Net(k.Model):
        def __init__(self):
            super().__init__(name="net")
            self.hidden = k.layers.Dense(5, activation="tanh", name="hidden")
            self.out = k.layers.Dense(1, name="out")

        def call(self, x, training=False):
            h = self.hidden(x)
            if training:
                self.add_loss(0.1 * k.ops.sum(k.ops.square(h)))
            return self.out(h)

    model = Net()
    model(X[:2])
    return model


def heads(k, structure="list", inputs=None):
    """Two or three outputs: a list, a dict, or a nested structure of them."""
    x = k.Input((SIZE,), name="x")
    h = k.layers.Dense(5, activation="tanh", name="hidden")(x)
    a = k.layers.Dense(1, name="a")(h)
    b = k.layers.Dense(3, activation="softmax", name="b")(h)
    if structure == "list":
        return k.Model(x, [a, b])
    if structure == "dict":
        return k.Model(x, {"a": a, "b": b})
    if structure == "other_keys":
        return k.Model(x, {"second": b, "first": a})
    c = k.layers.Dense(2, name="c")(h)
    return k.Model(x, {"p": a, "q": [b, c]})


heads_dict = functools.partial(heads, structure="dict")
heads_other = functools.partial(heads, structure="other_keys")
heads_nested = functools.partial(heads, structure="nested")


def subclassed_heads(k, structure):
    class Net(k.Model):
        def __init__(self):
            super().__init__(name="net")
            self.a = k.layers.Dense(1, name="head_a")
            self.b = k.layers.Dense(2, name="head_b")

        def call(self, x):
            a, b = self.a(x), self.b(x)
            return [a, b] if structure == "list" else {"a": a, "b": b}

    model = Net()
    model(X[:2])
    return model


def two_inputs(k, structure="list"):
    x, z = k.Input((SIZE,), name="x"), k.Input((3,), name="z")
    h = k.layers.Concatenate(name="join")([k.layers.Dense(3, name="one")(x), z])
    out = k.layers.Dense(1, name="out")(h)
    return k.Model([x, z] if structure == "list" else {"x": x, "z": z}, out)


two_inputs_dict = functools.partial(two_inputs, structure="dict")


def frozen(k):
    model = mlp(k)
    model.layers[0].trainable = False
    return model


def shared(k):
    x = k.Input((SIZE,))
    layer = k.layers.Dense(SIZE, activation="tanh", name="shared")
    return k.Model(x, k.layers.Dense(1, name="out")(layer(layer(x))))


def nested(k):
    x = k.Input((SIZE,), name="outer_x")
    inner_x = k.Input((SIZE,), name="inner_x")
    h = k.layers.Dense(4, kernel_regularizer="l2", name="inner_dense")(inner_x)
    inner = k.Model(inner_x, k.layers.BatchNormalization(name="norm")(h), name="inner")
    tail = k.Sequential([k.layers.Dense(3, activation="tanh", name="tail_dense")], name="tail")
    return k.Model(x, k.layers.Dense(1, name="out")(tail(inner(x))))


def sequences(k):
    x = k.Input((5, 2))
    h = k.layers.LSTM(3, return_sequences=True, kernel_regularizer="l2", name="lstm", seed=1)(x)
    h = k.layers.Bidirectional(k.layers.GRU(2, name="gru", seed=1), name="both")(h)
    return k.Model(x, k.layers.Dense(3, activation="softmax", name="out")(h))


def tokens(k):
    x = k.Input((6,), dtype="int32")
    h = k.layers.Embedding(5, 4, mask_zero=True, name="table")(x)
    h = h + k.layers.MultiHeadAttention(2, 3, name="heads")(h, h)
    h = k.layers.LayerNormalization(name="norm")(h)
    h = k.layers.TimeDistributed(k.layers.Dense(4, activation="relu", name="each"), name="time")(h)
    h = k.layers.SimpleRNN(3, name="rnn", seed=1)(h)
    return k.Model(x, k.layers.Dense(3, activation="softmax", name="out")(h))


def sgd(k, **options):
    return k.optimizers.SGD(options.pop("learning_rate", 0.1), **options)


@dataclasses.dataclass
class Row:
    """One way of training.

    Attributes:
        model: function of the library.
        compile: dict, or function of the library, for `compile`; the optimizer is SGD(0.1).
        x, y, sample_weight: arrays for `evaluate` and the calls on batches, and for `fit`.
        fit: dict, or function of the library, of further arguments of `fit`.
        data: function that makes the one `x` argument of `fit`, where that is not an array.
        after_compile: function of the model, called between `compile` and `fit`.
        policy: dtype policy of every layer.
        tolerance: relative and absolute.
    """

    id: str
    model: Callable = mlp
    compile: Any = dataclasses.field(default_factory=dict)
    x: Any = dataclasses.field(default_factory=lambda: X)
    y: Any = dataclasses.field(default_factory=lambda: Y)
    sample_weight: Any = None
    fit: Any = dataclasses.field(default_factory=dict)
    data: Callable | None = None
    after_compile: Callable | None = None
    policy: str | None = None
    tolerance: float = 2e-5


def generator():
    while True:
        for i in range(4):
            part = slice(4 * i, 4 * i + 4)
            yield X[part], Y[part], WEIGHTS[part]


def tf_dataset():
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(({"x": X, "z": X2}, Y, WEIGHTS))
    return data.batch(8)


def tf_dict_outputs():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, {"a": Y, "b": CLASSES})).batch(8)


def torch_loader():
    import torch

    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    return torch.utils.data.DataLoader(data, batch_size=8)


def halve(epoch, rate):
    return rate * 0.5


def early(k):
    return {
        "epochs": 4,
        "validation_data": (X[:8], Y[8:]),
        "callbacks": [
            k.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True,
                                      baseline=0.0)
        ],
    }  # fmt: skip


def custom_mean_error(y_true, y_pred):
    return abs(y_true - y_pred).mean(axis=-1)


A, B = Y, CLASSES
TWO = {"loss": ["mse", "sparse_categorical_crossentropy"]}
TWO_BY_NAME = {"loss": {"a": "mse", "b": "sparse_categorical_crossentropy"}}

ROWS = [
    Row("mlp", compile={"loss": "mse", "metrics": ["mae"]}),
    Row("loss_only", compile={"loss": "mse"}),
    Row("loss_function", compile={"loss": custom_mean_error, "metrics": [custom_mean_error]}),
    Row("loss_object",
        compile=lambda k: {"loss": k.losses.Huber(delta=0.5),
                           "metrics": [k.metrics.RootMeanSquaredError(name="root")]}),
    Row("loss_sum", compile=lambda k: {"loss": k.losses.MeanSquaredError(reduction="sum"),
                                       "optimizer": sgd(k, learning_rate=0.01)}),
    Row("loss_weight_of_one_output", compile={"loss": "mse", "loss_weights": [0.5],
                                              "metrics": ["mse"]}),
    Row("loss_in_list", compile={"loss": ["mse"], "metrics": [["mae", "mse"]]}),
    Row("loss_by_name", functional, {"loss": {"out": "mse"}, "metrics": {"out": ["mae"]}}),
    Row("binary", binary, {"loss": "binary_crossentropy", "metrics": ["accuracy", "AUC"]},
        y=BINARY),
    Row("sparse", classifier,
        {"loss": "sparse_categorical_crossentropy",
         "metrics": ["accuracy", "sparse_top_k_categorical_accuracy"]}, y=CLASSES),
    Row("sparse_column", classifier, {"loss": "sparse_categorical_crossentropy",
                                      "metrics": ["acc"]}, y=CLASSES[:, None]),
    Row("categorical", classifier, {"loss": "categorical_crossentropy", "metrics": ["acc", "mse"]},
        y=ONE_HOT),
    Row("crossentropy_binary", binary, {"loss": "crossentropy", "metrics": ["acc"]}, y=BINARY),
    Row("crossentropy_sparse", classifier, {"loss": "ce"}, y=CLASSES),
    Row("crossentropy_categorical", classifier, {"loss": "crossentropy"}, y=ONE_HOT),
    Row("partial_batch", compile={"loss": "mse", "metrics": ["mae"]}, fit={"batch_size": 6}),
    Row("sample_weight", compile={"loss": "mse", "metrics": ["mae"]}, sample_weight=WEIGHTS),
    Row("sample_weight_column", compile={"loss": "mse"}, sample_weight=WEIGHTS[:, None]),
    Row("class_weight", classifier,
        {"loss": "sparse_categorical_crossentropy", "weighted_metrics": ["accuracy"]},
        y=CLASSES, fit={"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}}),
    Row("class_weight_one_hot", classifier, {"loss": "categorical_crossentropy"}, y=ONE_HOT,
        fit={"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}}),
    Row("weighted_metrics", compile={"loss": "mse", "metrics": ["mae"],
                                     "weighted_metrics": ["mse"]}, sample_weight=WEIGHTS),
    Row("weighted_metrics_unweighted", compile={"loss": "mse", "weighted_metrics": ["mse"]}),
    Row("validation_split", compile={"loss": "mse", "metrics": ["mae"]},
        fit={"validation_split": 0.25, "batch_size": 4}),
    Row("validation_data", compile={"loss": "mse", "metrics": ["mae"]},
        fit={"validation_data": (X[:5], Y[:5])}),
    Row("validation_weights", compile={"loss": "mse", "weighted_metrics": ["mae"]},
        fit={"validation_data": (X[:8], Y[:8], WEIGHTS[:8]), "validation_batch_size": 4,
             "validation_steps": 1}),
    Row("validation_freq", compile={"loss": "mse"},
        fit={"validation_data": (X, Y), "validation_freq": 2, "epochs": 4}),
    Row("validation_freq_list", compile={"loss": "mse"},
        fit={"validation_data": (X, Y), "validation_freq": [1, 3], "epochs": 3}),
    Row("initial_epoch", compile={"loss": "mse"}, fit={"initial_epoch": 2, "epochs": 4}),
    Row("generator", compile={"loss": "mse", "weighted_metrics": ["mae"]}, data=generator,
        fit={"steps_per_epoch": 3}, sample_weight=WEIGHTS),
    Row("cnn", cnn, lambda k: {"loss": "sparse_categorical_crossentropy",
                               "metrics": ["accuracy"], "optimizer": k.optimizers.Adam(0.01)},
        x=IMAGES, y=CLASSES),
    Row("regularizers", regularized, {"loss": "mse", "metrics": ["mse"]}),
    Row("add_loss", adding_loss, {"loss": "mse", "metrics": ["mse"]}),
    Row("only_add_loss", adding_loss, {}, y=None),
    Row("subclassed", subclassed, {"loss": "mse", "metrics": ["mae"]}),
    Row("outputs_list", heads, TWO, y=[A, B]),
    Row("outputs_without_names", functools.partial(subclassed_heads, structure="list"),
        {"loss": ["mse", "mae"], "metrics": [["mse"], ["mae"]]}, y=[Y, Y2]),
    Row("outputs_subclassed_dict", functools.partial(subclassed_heads, structure="dict"),
        {"loss": {"a": "mse", "b": "mae"}, "metrics": {"a": ["mae"], "b": ["mse"]}},
        y={"a": Y, "b": Y2}),
    Row("outputs_loss_by_name", heads, TWO_BY_NAME, y=[A, B]),
    Row("outputs_dict_list_weights", heads, {**TWO, "loss_weights": [0.3, 2.0]}, y=[A, B]),
    Row("outputs_dict_weights", heads, {**TWO_BY_NAME, "loss_weights": {"a": 0.3, "b": 2.0}},
        y=[A, B]),
    Row("outputs_dict", heads_dict,
        {**TWO_BY_NAME, "loss_weights": {"a": 0.3, "b": 2.0},
         "metrics": {"a": ["mae", "mse"], "b": "accuracy"}}, y={"a": A, "b": B}),
    Row("outputs_other_keys", heads_other,
        {"loss": {"first": "mse", "second": "sparse_categorical_crossentropy"},
         "metrics": {"first": ["mae"], "second": ["accuracy"]}},
        y={"first": A, "second": B}),
    Row("outputs_nested", heads_nested,
        {"loss": {"p": "mse", "q": ["sparse_categorical_crossentropy", "mae"]}},
        y={"p": A, "q": [B, Y2]}),
    Row("outputs_nested_metrics", heads_nested,
        {"loss": {"p": "mse", "q": ["sparse_categorical_crossentropy", "mae"]},
         "metrics": {"p": ["mae"], "q": [["accuracy"], ["mse"]]}},
        y={"p": A, "q": [B, Y2]}),
    Row("outputs_loss_none", heads, {"loss": ["mse", None], "metrics": [["mae"], ["accuracy"]]},
        y=[A, B]),
    Row("outputs_metrics_lists", heads,
        {**TWO, "metrics": [["mae", "mse"], ["accuracy"]]}, y=[A, B]),
    Row("outputs_metrics_flat_list", heads, {**TWO, "metrics": ["mae", "accuracy"]}, y=[A, B]),
    Row("outputs_metrics_by_name", heads, {**TWO, "metrics": {"b": ["accuracy"]}}, y=[A, B]),
    Row("outputs_weighted_metrics", heads,
        {**TWO, "metrics": [["mae"], []], "weighted_metrics": [["mae"], ["accuracy"]]},
        y=[A, B], sample_weight=[WEIGHTS, WEIGHTS2]),
    Row("outputs_weights_by_name", heads_dict,
        {**TWO_BY_NAME, "weighted_metrics": {"a": ["mae"]}},
        y={"a": A, "b": B}, sample_weight={"a": WEIGHTS, "b": WEIGHTS2}),
    Row("outputs_y_by_name", heads, TWO_BY_NAME, y={"a": A, "b": B}),
    Row("outputs_tf_data", heads_dict, TWO_BY_NAME, y={"a": A, "b": B}, data=tf_dict_outputs),
    Row("inputs_list", two_inputs, {"loss": "mse"}, x=[X, X2]),
    Row("inputs_dict", two_inputs_dict, {"loss": "mse"}, x={"x": X, "z": X2}),
    Row("inputs_by_name", two_inputs, {"loss": "mse"}, x={"z": X2, "x": X}),
    Row("tf_data", two_inputs_dict, {"loss": "mse"}, x={"x": X, "z": X2}, data=tf_dataset),
    Row("torch_loader", compile={"loss": "mse"}, data=torch_loader),
    Row("steps_per_execution", compile={"loss": "mse", "metrics": ["mae"],
                                        "steps_per_execution": 4},
        x=X[:12], y=Y[:12], fit={"batch_size": 2}),
    Row("steps_per_execution_partial", compile={"loss": "mse", "metrics": ["mae"],
                                                "steps_per_execution": 2}, fit={"batch_size": 6}),
    Row("run_eagerly", compile={"loss": "mse", "metrics": ["mae"], "run_eagerly": True}),
    Row("accumulation", compile=lambda k: {
        "loss": "mse", "optimizer": sgd(k, momentum=0.9, gradient_accumulation_steps=2)}),
    Row("ema", compile=lambda k: {
        "loss": "mse", "optimizer": sgd(k, use_ema=True, ema_momentum=0.7)}),
    Row("ema_overwrite", compile=lambda k: {
        "loss": "mse",
        "optimizer": sgd(k, use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=2)}),
    Row("clipnorm", compile=lambda k: {"loss": "mse", "optimizer": sgd(k, clipnorm=0.1)}),
    Row("global_clipnorm",
        compile=lambda k: {"loss": "mse", "optimizer": sgd(k, global_clipnorm=0.1)}),
    Row("weight_decay", compile=lambda k: {
        "loss": "mse", "optimizer": k.optimizers.AdamW(0.01, weight_decay=0.1)}),
    Row("schedule", compile=lambda k: {
        "loss": "mse",
        "optimizer": sgd(k, learning_rate=k.optimizers.schedules.ExponentialDecay(0.2, 1, 0.5))}),
    Row("default_optimizer", compile=lambda k: {"loss": "mse", "optimizer": "rmsprop"}),
    Row("bfloat16", classifier, {"loss": "sparse_categorical_crossentropy",
                                 "metrics": ["accuracy"]},
        y=CLASSES, policy="mixed_bfloat16", tolerance=1e-2),
    Row("float16", classifier, {"loss": "sparse_categorical_crossentropy"}, y=CLASSES,
        policy="mixed_float16", tolerance=2e-3),
    Row("frozen", frozen, {"loss": "mse"}),
    Row("frozen_after_compile", compile={"loss": "mse"},
        after_compile=lambda model: setattr(model.layers[0], "trainable", False)),
    Row("unfrozen_after_compile", frozen, {"loss": "mse"},
        after_compile=lambda model: setattr(model.layers[0], "trainable", True)),
    Row("shared", shared, {"loss": "mse"}),
    # With a number of steps given, Keras is compiled: its loops over time are slow eagerly.
    Row("sequences", sequences, lambda k: {"loss": "sparse_categorical_crossentropy",
                                           "optimizer": k.optimizers.Adam(0.01),
                                           "steps_per_execution": 1},
        x=SEQUENCES, y=CLASSES),
    # SGD: the gradient of the keys' bias is rounding alone, and Adam would make steps of it.
    Row("tokens", tokens, {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"],
                           "steps_per_execution": 1},
        x=TOKENS, y=CLASSES),
    Row("nested", nested, {"loss": "mse", "metrics": ["mae"]}),
    Row("early_stopping", compile={"loss": "mse"}, fit=early),
    Row("rate_scheduler", compile={"loss": "mse"}, fit=lambda k: {
        "epochs": 3, "callbacks": [k.callbacks.LearningRateScheduler(halve)]}),
]  # fmt: skip
