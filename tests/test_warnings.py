"""Warnings name the user's line, once; errors end with what is to be read."""

import ast
import inspect
import pathlib
import traceback
import warnings

import jax
import numpy as np
import pytest

import stepfit as keras

PACKAGE = pathlib.Path(keras.__file__).parent
X = np.ones((10, 4), "float32")
Y = X[:, :1]

# Calls of warnings.warn with a stacklevel of their own: "file:function" -> why that is right.
OWN_LEVEL: dict[str, str] = {}


def levels(tree, function=""):
    """Yield ``(function, stacklevel)`` of each call of `warnings.warn`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("warnings.warn", "warn"):
            yield function, {k.arg: ast.unparse(k.value) for k in node.keywords}.get("stacklevel")
        inner = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        yield from levels(node, node.name if inner else function)


def test_every_warning_is_at_the_users_line():
    wrong, count = [], 0
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        for function, level in levels(ast.parse(text)) if "warn(" in text else ():
            count += 1
            place = f"{file.relative_to(PACKAGE)}:{function}"
            if level != "errors.users_level()" and place not in OWN_LEVEL:
                wrong.append(place)
    assert wrong == [], "write stacklevel=errors.users_level()"
    assert count > 30


def places(run):
    """Return the texts of what is warned of, as a user sees them; all are at the line of `run`."""
    first = inspect.getsourcelines(run)[1]
    lines = range(first, first + len(inspect.getsourcelines(run)[0]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        run()
    assert all(w.filename == __file__ and w.lineno in lines for w in caught), caught
    return [str(w.message) for w in caught]


def one_layer(cls=keras.Sequential, **arguments):
    model = cls([keras.Input((4,)), keras.layers.Dense(1, **arguments)])
    model.compile("sgd", "mse")
    return model


class LearnsNothing(keras.Sequential):
    def train_step(self, state, data):
        return {"loss": 0.0}, state


class ReturnsOne(keras.Sequential):
    def train_step(self, data):
        super().train_step(data)
        return 1.0


class Misspelt(keras.callbacks.Callback):
    def on_epoch_ended(self, epoch, logs=None):
        pass


def test_warnings_of_fit_name_the_line_of_fit():
    def misspelt():
        one_layer().fit(X, Y, verbose=0, callbacks=[Misspelt()])

    def no_epoch():
        one_layer().fit(X, Y, verbose=0, epochs=2, initial_epoch=3)

    def not_finite():
        one_layer().fit(X, Y * np.nan, verbose=0)

    def nothing_learnt():  # said while the step is traced, with frames of JAX between
        one_layer(LearnsNothing).fit(X, Y, verbose=0)

    def one_number():
        one_layer(ReturnsOne).fit(X, Y, verbose=0)

    for run, beginning in [
        (misspelt, "Misspelt.on_epoch_ended is no hook"),
        (no_epoch, "fit(epochs): expected more than initial_epoch=3"),
        (not_finite, "fit, epoch 1: expected a finite loss"),
        (nothing_learnt, "LearnsNothing.train_step: expected the trainable variables to change"),
        (one_number, "ReturnsOne.train_step logs: expected a dict of scalars"),
    ]:
        (text,) = places(run)
        assert text.startswith(beginning)


def test_numbers_too_large_for_floats_are_told_of_by_name():
    def run():
        one_layer().predict(X.astype("float64") * 1e300, verbose=0)

    assert places(run) == [
        "x: expected numbers that float32 holds, found larger ones; they become infinite; scale "
        "them."
    ]

    def ignored():
        with np.errstate(over="ignore"):
            run()

    assert places(ignored) == []


@pytest.mark.parametrize("lazy", [False, True])
def test_softmax_over_one_value_is_told_of_once(lazy):
    layers = [keras.Input((4,))][lazy:]
    model: list = []

    def build():
        model.append(keras.Sequential([*layers, keras.layers.Dense(1, activation="softmax")]))

    def use():
        model[0].compile("sgd", "binary_crossentropy")
        model[0].fit(X, Y, batch_size=4, verbose=0)
        model[0].evaluate(X, Y, verbose=0)
        model[0].predict(X[:3], verbose=0)

    assert places(build) + places(use) == [
        "softmax: expected several values along axis -1, found shape (None, 1): the result is 1, "
        "whatever they are; for one probability use sigmoid."
    ]


class Mismatch(keras.layers.Layer):
    def call(self, x):
        return x @ jax.numpy.ones((3, 3))


class Unpacks(keras.Sequential):
    def train_step(self, data):
        _x, _y, _weight = data


def test_errors_end_with_what_is_to_be_read():
    def own_error():
        one_layer().fit(X, np.ones((10, 3)), verbose=0)

    def with_note():
        one_layer(Unpacks).fit(X, Y, verbose=0)

    for run, ending in [
        (own_error, "or reshape y."),
        (with_note, "keras.utils.unpack_x_y_sample_weight(data)`."),
        (lambda: Mismatch()(X), "called with x=float32[10,4]."),
        (lambda: Mismatch()(keras.Input((4,))), "(unknown sizes were tried as (462, 4))."),
    ]:
        with pytest.raises((ValueError, TypeError)) as caught:
            run()
        assert "".join(traceback.format_exception(caught.value)).rstrip().endswith(ending)
