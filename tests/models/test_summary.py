"""`model.summary()`: a table that can be read."""

import numpy as np
import pytest

import stepfit
from stepfit import layers


def text_of(model, **arguments):
    lines = []
    model.summary(print_fn=lines.append, line_length=80, **arguments)
    assert len(lines) == 1
    return lines[0]


def rows(text):
    """Return the cells of each line of the table's body."""
    return [[cell.strip() for cell in line.strip("│ ").split("│")] for line in text.splitlines()
            if line.startswith("│")]  # fmt: skip


def convnet():
    return stepfit.Sequential([
        stepfit.Input((28, 28, 1)), layers.Conv2D(32, 3), layers.BatchNormalization(),
        layers.MaxPooling2D(), layers.Flatten(), layers.Dense(10, name="scores"),
    ], name="convnet")  # fmt: skip


def test_a_chain():
    text = text_of(convnet())
    assert text.splitlines()[0] == 'Model: "convnet"'
    assert rows(text) == [
        ["conv2d (Conv2D)", "(None, 26, 26, 32)", "320"],
        ["batch_normalization (BatchNormalization)", "(None, 26, 26, 32)", "128"],
        ["max_pooling2d (MaxPooling2D)", "(None, 13, 13, 32)", "0"],
        ["flatten (Flatten)", "(None, 5408)", "0"],
        ["scores (Dense)", "(None, 10)", "54,090"],
    ]
    assert text.splitlines()[-3:] == [
        "Total params: 54,538 (213.04 KB)", "Trainable params: 54,474 (212.79 KB)",
        "Non-trainable params: 64 (256.00 B)",
    ]  # fmt: skip


def test_branches_say_where_they_come_from():
    x, z = stepfit.Input((4,), name="x"), stepfit.Input((3,), name="z")
    shared = layers.Dense(3, name="shared")
    y = layers.Add(name="sum")([shared(x), z])
    text = text_of(stepfit.Model([x, z], y))
    assert [(row[0], row[-1]) for row in rows(text)] == [
        ("x (InputLayer)", "-"), ("shared (Dense)", "x"), ("z (InputLayer)", "-"),
        ("sum (Add)", "shared, z"),
    ]  # fmt: skip


def test_nested_and_trainable():
    model = stepfit.Sequential([stepfit.Input((4,)), stepfit.Sequential(
        [layers.Dense(3, name="inside", trainable=False)], name="inner"), layers.ReLU(name="relu"),
        layers.Dense(2, name="last")], name="outer")  # fmt: skip
    assert [row[0] for row in rows(text_of(model))] == [
        "inner (Sequential)", "relu (ReLU)", "last (Dense)",
    ]  # fmt: skip
    text = text_of(model, expand_nested=True, show_trainable=True)
    assert rows(text) == [
        ["inner (Sequential)", "(None, 3)", "15", "no"],
        ["inside (Dense)", "(None, 3)", "15", "no"],
        ["relu (ReLU)", "(None, 3)", "0", "-"],
        ["last (Dense)", "(None, 2)", "8", "yes"],
    ]
    assert "│   inside (Dense)" in text


class Plain(stepfit.Model):
    def __init__(self):
        super().__init__(name="plain")
        self.dense = layers.Dense(3, name="dense")

    def call(self, x):
        return self.dense(x)


def test_not_built_yet():
    text = text_of(Plain())
    assert rows(text) == [["dense (Dense)", "?", "not built"]]
    assert text.splitlines()[-1] == "Not built yet: call it on data, or build(input_shape)."


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda m: m.build((None, 4)), "(None, 3)"), (lambda m: m(np.ones((2, 4))), "(2, 3)"),
    ],
)  # fmt: skip
def test_a_subclassed_model_shows_what_came_out(build, shape):
    model = Plain()
    build(model)
    assert rows(text_of(model)) == [["dense (Dense)", shape, "15"]]


def test_the_optimizers_variables_are_counted():
    model = Plain()
    model.build((None, 4))
    model.compile(optimizer="adam", loss="mse")
    assert "Optimizer" not in text_of(model)
    model.optimizer.build(model.trainable_variables)
    assert "Optimizer params: 32 (128.00 B)" in text_of(model)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_lines_fit_and_rows_do_not_wrap(width):
    lines = []
    convnet().summary(line_length=width, print_fn=lines.append)
    shown = lines[0].splitlines()
    assert all(len(line) <= width for line in shown)
    if width >= 80:
        assert len(rows(lines[0])) == 5


def test_long_names_wrap_and_are_kept_whole():
    name = "a_very_long_name_" * 6
    model = stepfit.Sequential([stepfit.Input((4,)), layers.Dense(1, name=name[:-1])])
    joined = "".join(row[0] for row in rows(text_of(model))).replace(" ", "")
    assert joined == name[:-1] + "(Dense)"


def test_printed_by_default(capsys):
    Plain().summary(line_length=80)
    out = capsys.readouterr().out
    assert out.startswith('Model: "plain"') and "dense (Dense)" in out
    assert "\x1b" not in out  # no colour codes where there is no terminal
