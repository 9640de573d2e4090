"""What the tables of bad input share: data, tiny models, and a row's form."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

import stepfit as keras

L = keras.layers
_rng = np.random.default_rng(3)
X = _rng.normal(size=(16, 4)).astype("float32")
Y = _rng.normal(size=(16, 1)).astype("float32")
CLASSES = (np.arange(16) % 3).astype("int32")
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]
YES_NO = (np.arange(16) % 2).astype("float32")[:, None]
TOKENS = (np.arange(32) % 5).reshape(16, 2).astype("int32")
SPARSE = "sparse_categorical_crossentropy"


@dataclasses.dataclass
class Row:
    """One mistake.

    Attributes:
        name: what is wrong.
        call: function of the model that makes the mistake.
        text: what the user reads: the error's text and its notes, or the warning's text; None
            where the input is to be taken as it is.
        make: function that returns the model.
        warns: whether it is a warning, and training goes on.
        late: whether some batches are trained on before the mistake can be known.
    """

    name: str
    call: Callable[[Any], Any]
    text: str | None
    make: Callable[[], Any]
    warns: bool = False
    late: bool = False


def compiled(model, loss="mse", optimizer="sgd", **arguments):
    """Compile a model and return it."""
    model.compile(optimizer=optimizer, loss=loss, **arguments)
    return model


def mlp(units=1, activation=None, loss="mse", cls=keras.Sequential, dropout=0, **arguments):
    """A model of two layers, built and compiled."""
    layers = [keras.Input((4,), name="x"), L.Dense(3, name="hidden"),
              L.Dense(units, activation=activation, name="out")]  # fmt: skip
    if dropout:
        layers.insert(2, L.Dropout(dropout, name="drop"))
    return compiled(cls(layers, name="m"), loss, **arguments)


def classifier(loss=SPARSE, activation="softmax", **arguments):
    return mlp(3, activation, loss, **arguments)


def binary(activation="sigmoid", **arguments):
    return mlp(1, activation, "binary_crossentropy", **arguments)


def two_inputs():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    out = L.Dense(1, name="out")(L.Add(name="add")([a, b]))
    return compiled(keras.Model({"a": a, "b": b}, out, name="m"))


def two_outputs(**arguments):
    x = keras.Input((4,), name="x")
    a, b = L.Dense(1, name="a")(x), L.Dense(3, activation="softmax", name="b")(x)
    arguments = {"loss": {"a": "mse", "b": SPARSE}} | arguments
    return compiled(keras.Model(x, {"a": a, "b": b}, name="m"), **arguments)


def embedder(**arguments):
    layers = [keras.Input((2,), dtype="int32", name="x"), L.Embedding(5, 3, name="words"),
              L.Flatten(name="flat"), L.Dense(1, name="out")]  # fmt: skip
    return compiled(keras.Sequential(layers, name="m"), **arguments)


def own(train_step, **arguments):
    """Return a function that makes a model with this `train_step`."""
    cls = type("Own", (keras.Sequential,), {"train_step": train_step})
    return lambda: mlp(cls=cls, **arguments)


def fit(x=X, y=Y, **arguments):
    """Return a function of a model that fits it, silently."""
    return lambda model: model.fit(x, y, **({"verbose": 0} | arguments))


def batches(*given):
    """Yield batches."""
    yield from given


class Batches:
    """Batches that can be read again."""

    def __init__(self, *batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def rows(make, *given, **more):
    """Return rows for one model from ``(name, call, text)``."""
    return [Row(name, call, text, make, **more) for name, call, text in given]
