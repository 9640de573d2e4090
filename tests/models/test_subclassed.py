"""Models given by a `call`: built on the first call, or by an input shape."""

import keras as oracle
import numpy as np
import pytest

import stepfit
from stepfit import layers
from tests.expect import refused

X = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")


def classifier(k):
    class Classifier(k.Model):
        def __init__(self, units=3, **kwargs):
            super().__init__(**kwargs)
            self.hidden = k.layers.Dense(units, name="hidden")
            norm = k.layers.BatchNormalization(name="norm")
            self.blocks = [k.layers.Dense(2, name="block"), norm]
            self.drop = k.layers.Dropout(0.5, name="drop")

        def call(self, x, training=None):
            x = self.drop(self.hidden(x), training=training)
            for block in self.blocks:
                x = block(x)
            return x

    return Classifier


def outer(k):
    inner = classifier(k)

    class Outer(k.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = inner(name="inner")
            self.graph = k.Sequential([k.layers.Dense(3, name="g")], name="graph")
            self.last = k.layers.Dense(1, name="last")
            self.temperature = self.add_weight(shape=(), name="temperature", initializer="ones")

        def call(self, x):
            return self.last(self.graph(self.inner(x))) / self.temperature

    return Outer


@pytest.mark.parametrize("make", [classifier, outer])
def test_models_are_keras(make):
    ours, theirs = make(stepfit)(name="m"), make(oracle)(name="m")
    assert not ours.built and ours.trainable_variables == ours.trainable_weights
    ours(X), theirs(X)
    assert ours.built
    for kind in ("weights", "trainable_variables", "non_trainable_weights"):
        a, b = ([v.path for v in getattr(m, kind)] for m in (ours, theirs))
        assert a == b
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert ours.count_params() == theirs.count_params()
    ours.set_weights([np.asarray(w) for w in theirs.get_weights()])
    np.testing.assert_allclose(ours(X), theirs(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [classifier, outer])
def test_build_by_an_input_shape(make):
    called, built = make(stepfit)(name="m"), make(stepfit)(name="m")
    called(X)
    built.build((None, 4))
    assert built.built
    assert [(v.path, v.shape) for v in built.weights] == [(v.path, v.shape) for v in called.weights]
    assert built.compute_output_shape((7, 4)) == called(X[:1].repeat(7, 0)).shape
    kernel = built.weights[0]
    built(X), built.build((None, 4))
    assert built.weights[0] is kernel and len(built.weights) == len(called.weights)


def test_a_build_of_the_users_own():
    class Own(stepfit.Model):
        def __init__(self):
            super().__init__(name="own")
            self.dense = layers.Dense(2, name="dense")

        def build(self, input_shape):
            self.dense.build(input_shape)
            self.scale = self.add_weight(shape=(2,), initializer="ones", name="scale")
            self.built = True

        def call(self, x):
            return self.dense(x) * self.scale

    by_call, by_hand = Own(), Own()
    by_call(X)
    by_hand.build((None, 4))
    for model in (by_call, by_hand):
        paths = [v.path for v in model.weights]
        assert paths == ["own/scale", "own/dense/kernel", "own/dense/bias"]


def test_several_inputs():
    class Two(stepfit.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = layers.Dense(2), layers.Dense(2)

        def call(self, inputs):
            return {"sum": self.a(inputs["x"]) + self.b(inputs["y"]), "x": inputs["x"]}

    model = Two()
    out = model({"x": X, "y": X[:, :3]})
    assert out["sum"].shape == (2, 2) and len(model.weights) == 4
    other = Two()
    other.build({"x": (None, 4), "y": (None, 3)})
    assert [v.shape for v in other.weights] == [v.shape for v in model.weights]


def test_training_reaches_the_layers():
    model = classifier(stepfit)()
    model(X)
    assert (model(X) == model(X)).all() and not (model(X, training=True) == model(X)).all()


def test_trainable_toggles():
    model = outer(stepfit)()
    model(X)
    everything = len(model.trainable_variables)
    model.inner.trainable = False
    assert len(model.trainable_variables) == everything - 6
    model.inner.hidden.trainable = True
    assert len(model.trainable_variables) == everything - 6
    model.trainable = False
    assert model.trainable_variables == []
    model.trainable = True
    assert len(model.trainable_variables) == everything


def test_a_model_on_symbolic_tensors():
    model = classifier(stepfit)()
    x = stepfit.Input((4,))
    whole = stepfit.Model(x, model(x))
    assert whole.output_shape == (None, 2) and len(whole.weights) == len(model.weights) == 8
    np.testing.assert_allclose(whole(X), model(X), rtol=1e-6)


def test_layers_added_later_are_found():
    model = classifier(stepfit)()
    model(X)
    before = len(model.weights)
    model.blocks.append(layers.Dense(5, name="late"))
    model(X)
    assert len(model.weights) == before + 2 and model.get_layer("late").units == 5


def test_metrics_and_optimizers_are_not_weights():
    model = classifier(stepfit)()
    model.tracker = stepfit.metrics.Mean(name="tracker")
    model(X)
    assert len(model.weights) == 8 and not any("tracker" in v.path for v in model.variables)
    assert model.tracker in model.metrics


class NoCall(stepfit.Model):
    pass


@pytest.mark.parametrize(
    ("run", "kind", "text"),
    [
        (
            lambda: NoCall()(X), RuntimeError,
            "NoCall 'no_call': expected a `call` method or (inputs, outputs), found neither; "
            "define `def call(self, inputs): ...`.",
        ),
        (
            lambda: classifier(stepfit)(name="m").output_shape, AttributeError,
            "Classifier 'm' has no 'output_shape': it is not made of symbolic inputs and outputs, "
            "or not built yet.",
        ),
        (
            lambda: classifier(stepfit)(name="m").build(), ValueError,
            "Classifier 'm' build(input_shape): expected a tuple, found None.",
        ),
        (
            lambda: classifier(stepfit)(nam="m"), ValueError,
            "Classifier(...): expected the name of an argument, found 'nam'; did you mean 'name'?",
        ),
        (
            lambda: classifier(stepfit)(name="m").get_layer("hiden"), ValueError,
            "Classifier 'm' get_layer(name): expected the name of a layer, found 'hiden'; did you "
            "mean 'hidden'?",
        ),
    ],
)  # fmt: skip
def test_refused_word_for_word(run, kind, text):
    refused(run, kind, text)
