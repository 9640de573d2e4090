"""Models that are trained by a step of their own and never called: GANs, mostly."""

import numpy as np
import pytest

import stepfit as keras
from stepfit import layers

X, Y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")


class Uncalled(keras.Model):
    """Has no `call`; one layer is made for a shape, or is not, and one is never used."""

    def __init__(self, known=True, **kwargs):
        super().__init__(**kwargs)
        self.known = known
        shape = [keras.Input((4,))] if known else []
        self.inner = keras.Sequential([*shape, layers.Dense(1)])
        self.unused = layers.Dropout(0.5)

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = keras.ops.mean((self.inner(x) - y) ** 2)
        weights = self.inner.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        return {"loss": loss}


class CalledOnSomethingElse(Uncalled):
    def call(self, latent):
        return self.inner(latent["latent"])


CLASSES = {"Uncalled": Uncalled, "CalledOnSomethingElse": CalledOnSomethingElse}


def trained(cls=Uncalled, known=True, **options):
    model = cls(known)
    model.compile("adam", **options)
    model.fit(X, Y, verbose=0)
    return model


def same(one, other):
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return bool(one.weights) and all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("cls", CLASSES.values())
@pytest.mark.parametrize("known", [True, False])
def test_training_makes_it_built_and_it_comes_back(cls, known, tmp_path):
    model = trained(cls, known)
    assert model.built and model.count_params() == 5
    assert model.execution_report()["train"].traces == 1 + (not known)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", custom_objects=CLASSES)
    assert same(model, again) and again.built and int(again.optimizer.iterations) == 1
    again.save(tmp_path / "again.keras")
    again.fit(X, Y, verbose=0)
    assert int(again.optimizer.iterations) == 2
    model.save_weights(tmp_path / "m.weights.h5")
    other = trained(cls, known)
    other.load_weights(tmp_path / "m.weights.h5")
    assert same(model, other)


def test_weights_load_into_one_whose_layers_have_theirs(tmp_path):
    model, other = trained(), Uncalled()
    model.save_weights(tmp_path / "m.weights.h5")
    assert not other.built
    other.load_weights(tmp_path / "m.weights.h5")
    assert same(model, other) and other.built


def test_eager_steps_too(tmp_path):
    model = trained(known=False, run_eagerly=True)
    model.save(tmp_path / "m.keras")
    assert same(model, keras.saving.load_model(tmp_path / "m.keras", custom_objects=CLASSES))


def test_checkpoints(tmp_path):
    model = Uncalled()
    model.compile("adam")
    savers = [
        keras.callbacks.ModelCheckpoint(tmp_path / "m.weights.h5", save_weights_only=True),
        keras.callbacks.ModelCheckpoint(tmp_path / "m.keras"),
    ]
    model.fit(X, Y, verbose=0, callbacks=savers)
    assert (tmp_path / "m.weights.h5").exists()
    assert same(model, keras.saving.load_model(tmp_path / "m.keras", custom_objects=CLASSES))


def test_layers_that_are_built_make_it_built():
    class Two(keras.Model):
        def __init__(self):
            super().__init__()
            self.d = keras.Sequential([keras.Input((4,)), layers.Dense(1)])

    model = Two()
    assert model.built and model.count_params() == 5
    model.build((None, 4))


def test_a_file_of_keras(tmp_path):
    real = pytest.importorskip("keras")

    class Uncalled(real.Model):
        def __init__(self, known=True, **kwargs):
            super().__init__(**kwargs)
            self.inner = real.Sequential([real.Input((4,)), real.layers.Dense(1)])
            self.unused = real.layers.Dropout(0.5)

    theirs = Uncalled()
    theirs.build((None, 4))
    theirs.save(tmp_path / "theirs.keras")
    ours = keras.saving.load_model(tmp_path / "theirs.keras", custom_objects=CLASSES)
    assert same(theirs, ours) and ours.built
    ours = trained()
    ours.save(tmp_path / "ours.keras")
    with pytest.warns(UserWarning, match="cannot be built automatically"):
        back = real.saving.load_model(
            tmp_path / "ours.keras", custom_objects={"Uncalled": Uncalled}, compile=False
        )
    assert same(ours, back) and back.built


def messages(model, tmp_path):
    path = str(tmp_path / "m.weights.h5")
    for act in (
        lambda: model.save_weights(path), model.count_params, lambda: model.build((None, 4))
    ):
        with pytest.raises((ValueError, RuntimeError)) as e:
            act()
        yield str(e.value).replace(path, "m")


def test_what_is_missing_is_said(tmp_path):
    fix = "call or build each layer that it holds, or train it."
    found = "one whose Dropout 'dropout' is not built"
    assert list(messages(Uncalled(name="u"), tmp_path)) == [
        f"save_weights(filepath='m'): expected a model that is built, found {found}; {fix}",
        f"Uncalled 'u': expected a built layer to count parameters of, found {found}; {fix}",
        "Uncalled 'u' build(input_shape): expected a `call` method, or layers that are built, "
        f"found {found}; {fix}",
    ]
    none = list(messages(Uncalled(known=False, name="u"), tmp_path))
    assert none[0] == (
        "save_weights(filepath='m'): expected a model that is built, found one without variables "
        f"yet; {fix}"
    )


def test_one_that_can_be_called_and_was_not(tmp_path):
    model = CalledOnSomethingElse(name="c")
    model.unused(X)
    with pytest.raises(ValueError) as e:
        model.save(tmp_path / "m.keras")
    assert str(e.value).endswith(
        "expected a model that is built, found one that was not called yet; call it on data, or "
        "build(input_shape)."
    )


def test_a_model_that_no_file_can_hold_is_refused_before_training(tmp_path):
    class Odd(Uncalled):
        def __init__(self, thing):
            super().__init__()
            self.thing = thing

    model = Odd(object())
    model.compile("adam")
    before = model.get_weights()
    path = str(tmp_path / "m.keras")
    with pytest.raises((ValueError, TypeError)) as e:
        model.fit(X, Y, verbose=0, callbacks=[keras.callbacks.ModelCheckpoint(path)])
    assert str(e.value).replace(path, "m") == (
        "ModelCheckpoint(filepath='m'): config['config']['thing']: expected numbers, strings, "
        "lists and dicts, found an object of type object; return it as such from get_config, and "
        "undo that in from_config."
    )
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
