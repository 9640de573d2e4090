"""Functional models: graphs of layers and operations between symbolic inputs and outputs."""

import jax
import keras as oracle
import numpy as np
import pytest

import stepfit
from stepfit import layers, ops
from tests.expect import refused

RNG = np.random.default_rng(0)


def data(*shape):
    return RNG.normal(size=shape).astype("float32")


# -- the same graphs in both, one row each -------------------------------------------------------


def chain(k):
    x = k.Input((4,), name="x")
    h = k.layers.Dense(3, activation="relu", name="h")(x)
    return k.Model(x, k.layers.Dense(2, name="y")(h)), [data(2, 4)]


def branches(k):
    dense = k.layers.Dense
    a, b, c = (k.Input((n,), name=name) for n, name in ((4, "a"), (3, "b"), (2, "c")))
    shared = dense(5, name="shared")
    q = k.layers.Concatenate(name="cat")([shared(a), shared(dense(4, name="p")(b))])
    inner_in = k.Input((10,), name="inner_in")
    inner = k.Model(inner_in, dense(2, name="i2")(dense(6, name="i1")(inner_in)), name="inner")
    added = k.layers.Add(name="sum")([dense(3, name="r")(c), dense(3, name="s")(inner(q))])
    outputs = {"one": k.layers.BatchNormalization(name="bn")(q), "two": dense(1, name="t")(added)}
    return k.Model([a, b, c], outputs), [data(2, 4), data(2, 3), data(2, 2)]


def diamond(k):
    dense = k.layers.Dense
    x = k.Input((4,), name="x")
    top = dense(4, name="top")(x)
    left, right = dense(4, name="left")(top), dense(4, name="right")(dense(4, name="mid")(top))
    joined = k.layers.Multiply(name="times")([right, left, top])
    return k.Model(x, [dense(1, name="last")(joined), left, top]), [data(2, 4)]


def twice(k):
    x = k.Input((4,), name="x")
    again, other = k.layers.Dense(4, name="again"), k.layers.Dense(4, name="other")
    return k.Model(x, again(other(again(x)))), [data(2, 4)]


def nested_twice(k):
    i = k.Input((3,), name="i")
    inner = k.Model(i, k.layers.Dense(3, name="d")(i), name="inner")
    x = k.Input((3,), name="x")
    middle = k.Model(x, inner(inner(x)), name="middle")
    z = k.Input((3,), name="z")
    return k.Model(z, [middle(z), inner(z)], name="outer"), [data(2, 3)]


def dict_inputs(k):
    inputs = {"zeta": k.Input((2,), name="zeta"), "alpha": k.Input((3,), name="alpha")}
    joined = k.layers.Concatenate(name="cat")([inputs["alpha"], inputs["zeta"]])
    outputs = (k.layers.Dense(2, name="d")(joined), [k.layers.Dense(1, name="e")(inputs["zeta"])])
    return k.Model(inputs, outputs), {"zeta": data(2, 2), "alpha": data(2, 3)}


def operations(k):
    x, y = k.Input((4,), name="x"), k.Input((4,), name="y")
    h = k.ops.relu(x * 2.0 - y) + 1.0 / (1.0 + k.ops.exp(-x))
    h = k.ops.concatenate([h, k.layers.Dense(3, name="d")(y)], axis=-1)
    parts = k.ops.split(h, [3], axis=-1)
    outputs = [parts[0], k.ops.sum(parts[1], axis=-1), h[:, :2]]
    return k.Model([x, y], outputs), [data(2, 4), data(2, 4)]


def in_the_middle(k):
    x = k.Input((4,), name="x")
    h = k.layers.Dense(3, name="h")(x)
    k.Model(x, h)
    return k.Model(h, k.layers.Dense(2, name="y")(h)), [data(2, 3)]


def convolutional(k):
    x = k.Input((8, 8, 2), name="x")
    skip = k.layers.Conv2D(4, 1, name="skip")(x)
    h = k.layers.Conv2D(4, 3, padding="same", name="c1")(x)
    h = k.layers.BatchNormalization(name="bn")(h)
    h = k.layers.Add(name="add")([k.layers.ReLU(name="relu")(h), skip])
    h = k.layers.GlobalAveragePooling2D(name="gap")(h)
    return k.Model(x, k.layers.Dense(3, name="out")(h)), [data(2, 8, 8, 2)]


ROWS = [chain, branches, diamond, twice, nested_twice, dict_inputs, operations, convolutional,
        in_the_middle]  # fmt: skip


@pytest.mark.parametrize("make", ROWS)
def test_graphs_are_keras(make):
    (ours, inputs), (theirs, _) = make(stepfit), make(oracle)
    names = [layer.name for layer in ours.layers]
    if make is not in_the_middle:  # where Keras makes up a name for the new input
        assert names == [layer.name for layer in theirs.layers]
    assert len(names) == len(theirs.layers)
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]
    assert ours.count_params() == theirs.count_params()
    for kind in ("trainable_variables", "non_trainable_variables"):
        assert [v.path for v in getattr(ours, kind)] == [v.path for v in getattr(theirs, kind)]
    assert [t.shape for t in ours.outputs] == [t.shape for t in theirs.outputs]
    ours.set_weights([np.asarray(w) for w in theirs.get_weights()])
    for training in (False, True):
        a, b = ours(inputs, training=training), theirs(inputs, training=training)
        assert jax.tree.structure(a) == jax.tree.structure(b)
        jax.tree.map(lambda m, n: np.testing.assert_allclose(m, n, atol=2e-6, rtol=1e-5), a, b)
    compiled = jax.jit(ours)(inputs)
    jax.tree.map(lambda m, n: np.testing.assert_allclose(m, n, atol=2e-6, rtol=1e-5), compiled,
                 ours(inputs))  # fmt: skip


# -- calling -------------------------------------------------------------------------------------


def two_inputs():
    a, b = stepfit.Input((4,), name="a"), stepfit.Input((3,), name="b")
    y = layers.Dense(2, kernel_initializer="ones")(layers.Concatenate()([a, b]))
    return stepfit.Model([a, b], y, name="m")


@pytest.mark.parametrize(
    "give",
    [
        lambda a, b: [a, b], lambda a, b: (a, b), lambda a, b: {"a": a, "b": b},
        lambda a, b: {"b": b, "a": a}, lambda a, b: {"a": a, "b": b, "more": a},
        lambda a, b: [a.astype("float64"), jax.numpy.asarray(b)],
        lambda a, b: [stepfit.Variable(a), b],
    ],
)  # fmt: skip
def test_inputs_may_come_in_several_forms(give):
    a, b = data(2, 4), data(2, 3)
    expected = np.repeat(a.sum(1, keepdims=True) + b.sum(1, keepdims=True), 2, axis=1)
    np.testing.assert_allclose(two_inputs()(give(a, b)), expected, rtol=1e-5)


def test_a_last_axis_of_one_may_be_missing():
    x = stepfit.Input((1,))
    model = stepfit.Model(x, x * 2.0)
    assert model(np.array([1.0, 2.0])).tolist() == [[2], [4]]
    flat = stepfit.Input(())
    model = stepfit.Model(flat, flat * 2.0)
    assert model(np.array([[1.0], [2.0]])).tolist() == [2, 4]


def test_inputs_are_cast_to_the_graphs_dtypes():
    x = stepfit.Input((2,), dtype="int32")
    assert stepfit.Model(x, x + 1)(np.array([[1.0, 2.0]])).dtype == "int32"


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        (
            lambda: {"a": data(2, 4), "bb": data(2, 3)},
            "Functional 'm' inputs: expected the keys ['a', 'b'], found ['a', 'bb']; 'b' is "
            "missing (did you mean it by 'bb'?).",
        ),
        (
            lambda: {"a": data(2, 4)},
            "Functional 'm' inputs: expected the keys ['a', 'b'], found ['a']; 'b' is missing.",
        ),
        (
            lambda: [data(2, 4)],
            "Functional 'm' inputs: expected 2 arrays, for ['a', 'b'], found 1 (list of 1 "
            "elements).",
        ),
        (
            lambda: data(2, 4),
            "Functional 'm' inputs: expected 2 arrays, for ['a', 'b'], found 1 (float32[2,4]).",
        ),
        (
            lambda: [data(2, 4), data(2, 4)],
            "Functional 'm' input 'b': expected shape (None, 3), found shape (2, 4); axis 1 "
            "differs.",
        ),
        (
            lambda: [data(2, 4, 4), data(2, 3)],
            "Functional 'm' input 'a': expected shape (None, 4), found shape (2, 4, 4); check the "
            "rank.",
        ),
    ],
)
def test_wrong_inputs_word_for_word(inputs, text):
    refused(lambda: two_inputs()(inputs()), ValueError, text)


def test_inputs_and_targets_in_one_tuple():
    x = stepfit.Input((4,), name="a")
    model = stepfit.Model(x, layers.Dense(1)(x), name="m")
    refused(
        lambda: model((data(2, 4), data(2, 1))), ValueError,
        "Functional 'm' inputs: expected 1 arrays, for ['a'], found 2 (tuple of 2 elements); where "
        "these are inputs and targets, pass them one by one: x, y.",
    )  # fmt: skip


def test_long_integers_are_taken_without_a_warning():
    x = stepfit.Input((3,), dtype="int64")
    model = stepfit.Model(x, layers.Rescaling(2.0)(x))
    assert model(np.ones((2, 3), "int64")).tolist() == [[2.0] * 3] * 2


def disconnected():
    a, b = stepfit.Input((2,), name="a"), stepfit.Input((2,), name="b")
    return stepfit.Model(a, layers.Add()([a, b]))


def disconnected_deep():
    a, b = stepfit.Input((2,), name="a"), stepfit.Input((2,), name="b")
    inner = stepfit.Model([a, b], a + layers.Dense(2)(b))
    c = stepfit.Input((2,), name="c")
    return stepfit.Model(c, inner([c, ops.relu(b)]))


def same_names():
    a = stepfit.Input((2,))
    return stepfit.Model(a, layers.Dense(1, name="d")(layers.Dense(2, name="d")(a)), name="m")


def wrong_nested():
    model = two_inputs()
    return model([stepfit.Input((4,)), stepfit.Input((5,))])


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (
            disconnected, ValueError,
            "Functional 'functional' inputs: expected every tensor that the outputs depend on, "
            "found outputs that also depend on 'b', shape (None, 2); add it to the inputs.",
        ),
        (
            disconnected_deep, ValueError,
            "Functional 'functional_1' inputs: expected every tensor that the outputs depend on, "
            "found outputs that also depend on 'b', shape (None, 2); add it to the inputs.",
        ),
        (
            same_names, ValueError,
            "Functional 'm' layers: expected names that differ, found 'd' twice; pass name= to one "
            "of them.",
        ),
        (
            wrong_nested, ValueError,
            "Functional 'm' input 'b': expected shape (None, 3), found shape (None, 5); axis 1 "
            "differs.",
        ),
        (
            lambda: stepfit.Model(stepfit.Input((2,)), np.ones(2), name="m"), ValueError,
            "Functional 'm' outputs: expected symbolic tensors, found float64[2].",
        ),
        (
            lambda: stepfit.Model(inputs=np.ones(2), outputs=stepfit.Input((2,)), name="m"),
            ValueError, "Functional 'm' inputs: expected symbolic tensors, found float64[2].",
        ),
        (
            lambda: stepfit.Model(3), TypeError,
            "Model(...): expected symbolic tensors (inputs, outputs) or keywords, found 3.",
        ),
    ],
)  # fmt: skip
def test_wrong_graphs_word_for_word(make, kind, text):
    refused(make, kind, text)


# -- structure -----------------------------------------------------------------------------------


def test_what_a_functional_model_knows_of_itself():
    model, _ = branches(stepfit)
    assert [t.name for t in model.inputs] == model.input_names == ["a", "b", "c"]
    assert model.output_names == ["bn", "t"] and len(model.outputs) == 2
    assert model.input_shape == [(None, 4), (None, 3), (None, 2)]
    assert model.output_shape == {"one": (None, 10), "two": (None, 1)}
    assert list(model.output) == ["one", "two"] and model.input[0] is model.inputs[0]
    assert model.built and isinstance(model, stepfit.Functional)
    assert "shared" in [op.name for op in model.operations]
    inner = model.get_layer("inner")
    assert inner.get_layer("i1") is inner.layers[1] and inner.get_layer(index=-1).name == "i2"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"name": "catt"},
            "Functional 'm' get_layer(name): expected the name of a layer, found 'catt'; did you "
            "mean 'cat'?",
        ),
        ({"index": 9}, "Functional 'm' get_layer(index): expected an index below 2, found 9."),
        ({}, "get_layer(name, index): expected one of the two, found both or neither."),
        (
            {"name": "cat", "index": 0},
            "get_layer(name, index): expected one of the two, found both or neither.",
        ),
    ],
)
def test_get_layer_word_for_word(arguments, text):
    x = stepfit.Input((2,))
    model = stepfit.Model(x, layers.Dense(1, name="cat")(x), name="m")
    refused(lambda: model.get_layer(**arguments), ValueError, text)


def test_a_model_of_part_of_another():
    x = stepfit.Input((4,))
    h = layers.Dense(3, name="h")(x)
    y = layers.Dense(2, name="y")(h)
    whole, features, head = stepfit.Model(x, y), stepfit.Model(x, h), stepfit.Model(h, y)
    value = data(2, 4)
    np.testing.assert_allclose(head(features(value)), whole(value), rtol=1e-5)
    assert [v.path for v in head.weights] == ["y/kernel", "y/bias"]
    assert [layer.name for layer in features.layers][1:] == ["h"]
    extract = stepfit.Model(whole.inputs, [layer.output for layer in whole.layers[1:]])
    assert [o.shape for o in extract(value)] == [(2, 3), (2, 2)]


def test_one_output_of_several_as_an_input():
    class Pair(layers.Layer):
        def call(self, x):
            return x + 1, x * 2

    x = stepfit.Input((2,))
    first, second = Pair()(x)
    model = stepfit.Model([x, first], layers.Add()([first, second]))
    assert model([np.ones((1, 2)), np.zeros((1, 2))]).tolist() == [[2, 2]]
    assert stepfit.Model(first, first * 3.0)(np.ones((1, 2))).tolist() == [[3, 3]]


def test_an_input_that_nothing_uses():
    a, b = stepfit.Input((2,), name="a"), stepfit.Input((3,), name="b")
    model = stepfit.Model([a, b], a * 2.0)
    assert model([np.ones((1, 2)), np.ones((1, 3))]).tolist() == [[2, 2]]
    assert sorted(layer.name for layer in model.layers) == ["a", "b"]


def test_an_input_that_is_an_output():
    x = stepfit.Input((2,))
    model = stepfit.Model(x, {"in": x, "out": x + 1.0})
    assert {k: v.tolist() for k, v in model(np.ones((1, 2))).items()} == {
        "in": [[1, 1]], "out": [[2, 2]],
    }  # fmt: skip


def test_training_and_masks_go_through():
    tokens = np.array([[1, 2, 0]])
    x = stepfit.Input((3,), dtype="int32")
    h = layers.Embedding(4, 8, mask_zero=True)(x)
    model = stepfit.Model(x, layers.Dropout(0.9)(h))
    assert (model(tokens, training=True) == 0).mean() > 0.5 and not (model(tokens) == 0).any()
    assert model(tokens)._keras_mask.tolist() == [[True, True, False]]
    forced = stepfit.Model(x, layers.Dropout(0.9)(h, training=True))
    assert (forced(tokens) == 0).any()
    outer = stepfit.Sequential([model])
    assert outer(tokens)._keras_mask.tolist() == [[True, True, False]]


def test_losses_of_a_graph():
    x = stepfit.Input((3,))
    dense = layers.Dense(2, kernel_initializer="ones", kernel_regularizer="l2")
    model = stepfit.Model(x, layers.ActivityRegularization(l2=0.5)(dense(x)))
    model(np.ones((2, 3)))
    assert sorted(float(v) for v in model.losses) == pytest.approx([0.06, 9.0])
    _, _, losses = model.stateless_call(
        [v.value for v in model.trainable_variables], [], np.ones((2, 3)), return_losses=True
    )
    assert sorted(float(v) for v in losses) == pytest.approx([0.06, 9.0])


# -- subclasses with a graph ---------------------------------------------------------------------


class Extended(stepfit.Model):
    def __init__(self, inputs, outputs, *, factor=2.0, **kwargs):
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.factor = factor
        self.extra = layers.Dense(7, name="extra")
        self.tracker = stepfit.metrics.Mean(name="tracker")


def test_a_subclass_called_with_inputs_and_outputs():
    x = stepfit.Input((3,))
    model = Extended(x, layers.Dense(2, name="d")(x), factor=3.0, name="mine")
    assert type(model) is Extended and model.factor == 3 and model.name == "mine"
    assert model(np.ones((1, 3))).shape == (1, 2) == model.compute_output_shape((1, 3))
    assert model.metrics == [model.tracker]
    assert [v.path for v in model.weights] == ["d/kernel", "d/bias"]
    assert model.get_layer("extra") is model.extra
    model.extra(np.ones((1, 3)))
    assert len(model.weights) == 4


def test_a_subclass_that_makes_its_own_graph():
    class Own(stepfit.Model):
        def __init__(self, units):
            x = stepfit.Input((3,))
            super().__init__(x, layers.Dense(units)(x))
            self.units = units

        def call(self, inputs, training=None):
            return super().call(inputs) * 10.0

    model, plain = Own(2), None
    plain = stepfit.Model(model.inputs, model.outputs)
    x = data(1, 3)
    np.testing.assert_allclose(model(x), np.asarray(plain(x)[0]) * 10, rtol=1e-5)
