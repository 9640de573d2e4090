"""Models with a `compile` of their own, in files."""

import numpy as np
import pytest

import stepfit as keras
from stepfit import layers

X, Y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")
NOTICE = (
    "Own 'own' compile_from_config: it was not compiled, because its class has a compile() of its "
    "own, whose arguments no file holds. Call compile as before, and then load_weights with the "
    "same file for the state of optimizers; or define get_compile_config and compile_from_config "
    "in the class (docs/saving.md)."
)


class Own(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.d = layers.Dense(1)

    def call(self, x):
        return self.d(x)

    def compile(self, optimizer, my_loss):
        super().compile(optimizer, loss=my_loss)


class Told(Own):
    """Says itself what a file is to hold."""

    def get_compile_config(self):
        return {"optimizer": self.optimizer, "my_loss": self.loss}

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))


class Adversaries(keras.Model):
    """Makes optimizers and a metric in `compile`, and builds none of them there."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.g = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
        self.d = keras.Sequential([keras.Input((2,)), layers.Dense(1)])

    def compile(self, d_optimizer, g_optimizer):
        super().compile()
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer
        self.tracker = keras.metrics.Mean(name="g_loss")

    def train_step(self, data):
        x, y = data
        d, g = self.d.trainable_variables, self.g.trainable_variables
        with keras.GradientTape() as tape:
            loss = keras.ops.mean((self.d(self.g(x)) - y) ** 2)
        d_grads, g_grads = tape.gradient(loss, (d, g))
        self.d_optimizer.apply(d_grads, d)
        self.g_optimizer.apply(g_grads, g)
        self.tracker.update_state(loss)
        return {"g_loss": self.tracker.result()}


def arrays(thing):
    return [np.asarray(v.value) for v in thing.variables]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(arrays(one), arrays(other), strict=True))


def test_the_model_comes_back_and_is_compiled_by_hand(tmp_path):
    path = tmp_path / "own.keras"
    model = Own(name="own")
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    model.save(path)
    with pytest.warns(UserWarning) as caught:
        again = keras.saving.load_model(path, custom_objects={"Own": Own})
    assert [str(w.message) for w in caught] == [NOTICE] and caught[0].filename == __file__
    assert same(model, again) and not again.compiled
    again.compile("adam", "mse")
    again.load_weights(path)
    assert same(model.optimizer, again.optimizer)
    keras.saving.load_model(path, custom_objects={"Own": Own}, compile=False)  # no warning


def test_a_class_that_says_what_the_file_holds(tmp_path):
    path = tmp_path / "told.keras"
    model = Told()
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    model.save(path)
    again = keras.saving.load_model(path, custom_objects={"Told": Told})
    assert again.compiled and again.loss == "mse" and same(model.optimizer, again.optimizer)


@pytest.mark.parametrize("compiled", [True, False])
def test_optimizers_and_metrics_that_compile_makes(tmp_path, compiled):
    path, adam = tmp_path / "gan.keras", keras.optimizers.Adam
    model = Adversaries(name="own")
    model.compile(adam(), adam())
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(path)
    known = {"Adversaries": Adversaries}
    if compiled:
        with pytest.warns(UserWarning, match="was not compiled"):
            again = keras.saving.load_model(path, custom_objects=known)
    else:
        again = keras.saving.load_model(path, custom_objects=known, compile=False)
    assert same(model, again)
    again.compile(adam(), adam())
    again.load_weights(path)
    assert same(model.d_optimizer, again.d_optimizer)
    assert same(model.g_optimizer, again.g_optimizer)
    for one in (model, again):
        one.fit(X, Y, verbose=0)
    assert same(model, again)
