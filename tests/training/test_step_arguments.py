"""Which style a step is in, by its arguments: decorated ones, and any number of them."""

import functools

import numpy as np
import pytest

import stepfit as keras

X, Y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")


def bare(function):
    return lambda *args, **kwargs: function(*args, **kwargs)


def wrapped(function):
    return functools.wraps(function)(bare(function))


def tape_style(self, data):
    return keras.Model.train_step(self, data)


def stateless(self, state, data):
    return keras.Model.train_step(self, state, data)


def any_number(self, *args):
    return keras.Model.train_step(self, *args)


def state_and_more(self, state, *more):
    return keras.Model.train_step(self, state, *more)


def fitted(step):
    own = type("Own", (keras.Model,), {"train_step": step})
    inputs = keras.Input((4,))
    model = own(inputs, keras.layers.Dense(1, kernel_initializer="ones")(inputs))
    model.compile("sgd", "mse")
    return model.fit(X, Y, verbose=0).history["loss"]


@pytest.mark.parametrize(
    "step",
    [tape_style, stateless, any_number, state_and_more, bare(tape_style), wrapped(tape_style),
     wrapped(stateless)],
)  # fmt: skip
def test_steps_that_are_run(step):
    assert fitted(step) == [9.0]


def test_a_stateless_step_behind_any_number_of_arguments():
    with pytest.raises(TypeError) as e:
        fitted(bare(stateless))
    assert (
        "In Own.train_step: *args is given (data), for it does not say which style it is. Write "
        "the arguments, (self, state, data); a decorator keeps them with "
        "@functools.wraps(function)."
    ) in e.value.__notes__


@pytest.mark.parametrize(
    ("step", "found"),
    [
        (lambda self: None, "(self)"),
        (lambda self, **options: None, "(self, **options)"),
        (lambda self, *, data: None, "(self, *, data)"),
        (lambda self, data, *, more: None, "(self, data, *, more)"),
        (lambda self, *args, more: None, "(self, *args, more)"),
        (lambda self, a, b, c=1, *args, d, e=2, **f: None, "(self, a, b, c, *args, d, e, **f)"),
    ],
)
def test_arguments_that_fit_neither(step, found):
    with pytest.raises(TypeError) as e:
        fitted(step)
    assert str(e.value) == (
        "Own.train_step: expected the arguments (self, state, data) or (self, data), found "
        f"{found}."
    )
