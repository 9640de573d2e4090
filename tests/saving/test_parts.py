"""Parts of weights: below a prefix, by name, from one model to another; with reports."""

import functools

import numpy as np
import optax
import pytest

import stepfit as keras
from tests.expect import refused
from tests.saving.models import fill, values_of


def net(units=1, front=False, body="body", head="head"):
    layers = keras.layers
    x = keras.Input((2,))
    inside = [keras.Input((2,)), layers.Dense(3, name="in"), layers.BatchNormalization(name="bn")]
    y = layers.Dense(2, name="front")(x) if front else x
    y = keras.Sequential(inside, name=body)(y)
    return keras.Model(x, layers.Dense(units, name=head)(y))


@pytest.fixture(scope="module")
def source():
    model = net()
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    fill(model.weights, 1)
    return model


@pytest.fixture(params=["w.weights.h5", "m.keras", "w.safetensors"])
def path(request, source, tmp_path):
    path = str(tmp_path / request.param)
    (source.save if path.endswith(".keras") else source.save_weights)(path)
    return path


def changed(model, before, source):
    """Return the paths of weights that changed; they have the source's values of that path."""
    values = dict(zip([w.path for w in source.weights], values_of(source.weights), strict=True))
    found = []
    for w, old, new in zip(model.weights, before, values_of(model.weights), strict=True):
        if not np.array_equal(old, new):
            np.testing.assert_array_equal(new, values[w.path])
            found.append(w.path)
    return found


@pytest.mark.parametrize(("prefix", "expected"), [
    ("body", ["body/in/kernel", "body/in/bias", "body/bn/gamma", "body/bn/beta",
              "body/bn/moving_mean", "body/bn/moving_variance"]),
    ("body/in/", ["body/in/kernel", "body/in/bias"]), ("body/in/bias", ["body/in/bias"]),
    (["body/bn/beta", "body/in/bias"], ["body/in/bias", "body/bn/beta"]),
])  # fmt: skip
def test_below_a_prefix(prefix, expected, path, source):
    model = net(units=5)  # whose head does not fit; nobody asks for it
    before = values_of(model.weights)
    report = model.load_weights(path, prefix=prefix)
    assert changed(model, before, source) == expected == sorted(
        report.loaded, key=expected.index
    )  # fmt: skip
    assert report.skipped == [w.path for w in model.weights if w.path not in expected]


def test_prefixes_that_there_are_not(path, source):
    model = net(units=5)
    before = values_of(model.weights)
    for prefix, error, text in [
        ("bdy", ValueError, "load_weights(prefix): expected the name of a part, found 'bdy'; did "
         "you mean 'body'?"),
        (3, TypeError, "load_weights(prefix): expected text, or a list of texts, found 3."),
    ]:  # fmt: skip
        refused(lambda p=prefix: model.load_weights(path, prefix=p), error, text)
    with pytest.raises(ValueError, match="expected shape "):
        model.load_weights(path, prefix="head")
    assert not changed(model, before, source)


@pytest.mark.parametrize("path", ["w.weights.h5", "m.keras"], indirect=True)
def test_by_name_wherever_a_layer_stands(path, source):
    model = net(front=True, head="other")
    before = values_of(model.weights)
    report = model.load_weights(path, by_name=True)
    assert set(changed(model, before, source)) == {w.path for w in source.weights[:6]}
    assert report.missing == ["front/kernel", "front/bias", "other/kernel", "other/bias"]
    model = net(units=3, front=True)
    with pytest.raises(ValueError, match="'head/kernel': expected shape"):
        model.load_weights(path, by_name=True)
    assert len(model.load_weights(path, by_name=True, skip_mismatch=True).mismatched) == 2


@pytest.mark.parametrize("path", ["w.weights.h5", "m.keras"], indirect=True)
@pytest.mark.parametrize(("head", "fix"), [
    ("tail", "give the layers the names of the file's, or pass by_name=False"),
    ("haed", "rename 'haed' to 'head', and others alike, or pass by_name=False"),
])  # fmt: skip
def test_by_name_where_no_name_fits(path, head, fix):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name=head)])
    model.compile("adam", "mse")  # whose name the file has
    before = values_of(model.weights)
    place = f"load_weights({path!r})" + (": model.weights.h5" if path.endswith("s") else "")
    refused(
        lambda: model.load_weights(path, by_name=True, skip_mismatch=True), ValueError,
        f"{place}, by_name=True: expected a layer of a name that the file has ('head', 'bn', "
        f"'in'), found none among {head!r}; {fix}.",
    )  # fmt: skip
    for a, b in zip(values_of(model.weights), before, strict=True):
        np.testing.assert_array_equal(a, b)
    keras.Sequential([keras.Input((2,)), keras.layers.ReLU()]).load_weights(path, by_name=True)


def test_from_model_to_model(source):
    model = net(units=3, front=True)
    report = keras.saving.transfer_weights(source, model)
    body = [w.path for w in source.weights[:6]]
    assert report.transferred == [(p, p) for p in body]
    assert report.skipped == [
        ("front/kernel", "the source has none of this path"),
        ("front/bias", "the source has none of this path"),
        ("head/kernel", "shape (3, 1) in the source, (3, 3) here"),
        ("head/bias", "shape (1,) in the source, (3,) here"),
    ]
    assert report.unused == ["head/kernel", "head/bias"]
    for a, b in zip(values_of(model.weights[2:8]), values_of(source.weights[:6]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert str(report).splitlines()[0] == "6 variables transferred"


def test_from_model_to_model_by_other_names(source):
    model = net(body="encoder", head="top")
    report = keras.saving.transfer_weights(source, model, "encoder/in", {"encoder": "body"})
    assert report.transferred == [
        ("body/in/kernel", "encoder/in/kernel"), ("body/in/bias", "encoder/in/bias"),
    ]  # fmt: skip
    assert report.skipped[0] == ("encoder/bn/gamma", "not below the prefix")
    assert len(keras.saving.transfer_weights(source, model, by="place").transferred) == 8
    for a, b in zip(values_of(model.weights), values_of(source.weights), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_cannot_be_transferred(source):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="x")])
    before = values_of(model.weights)
    for arguments, text in [
        ({}, "transfer_weights(...): expected variables of the target that the source has too, "
         "found none ('x/kernel': the source has none of this path); name the layers alike, pass "
         "rename={...}, or by='place'."),
        ({"by": "nam"}, "transfer_weights(by): expected the name of a way, found 'nam'; did you "
         "mean 'name'?"),
        ({"prefix": "y"}, "transfer_weights(prefix): expected the name of a part, found 'y'; "
         "known names: 'x', 'x/bias', 'x/kernel'."),
        ({"rename": {"x/kernle": "head/kernel"}}, "transfer_weights(rename), of the target: "
         "expected the name of a part, found 'x/kernle'; did you mean 'x/kernel'?"),
        ({"rename": {"x/": "haed"}}, "transfer_weights(rename['x/']), of the source: expected the "
         "name of a part, found 'haed'; did you mean 'head'?"),
        ({"rename": {"": "head"}}, "transfer_weights(rename): expected the start of a path in the "
         "target, found ''; name a part of it, as in {'backbone': 'encoder'}."),
    ]:  # fmt: skip
        refused(lambda a=arguments: keras.saving.transfer_weights(source, model, **a),
                ValueError, text)  # fmt: skip
    refused(
        lambda: keras.saving.transfer_weights(source, model, rename=["x"]), TypeError,
        "transfer_weights(rename): expected a dict from text to text, as in {'backbone': "
        "'encoder'}, found list of 1 elements.",
    )  # fmt: skip
    refused(
        lambda: keras.saving.transfer_weights(keras.Sequential([keras.layers.Dense(1)]), model),
        ValueError, "transfer_weights(source): expected a built model or layer, found an object "
        "of type Sequential; call it on data, or build(input_shape).",
    )  # fmt: skip
    for a, b in zip(values_of(model.weights), before, strict=True):
        np.testing.assert_array_equal(a, b)


class Odd:
    """A loss that no config can hold."""

    def __init__(self):
        self.thing = object()

    def __call__(self, y, y_pred):
        return (y - y_pred) ** 2

    def get_config(self):
        return {"thing": self.thing}


def distance(y, y_pred, by=1.0):
    return by * (y - y_pred) ** 2


class Distance:
    """A loss without a config, nor a name."""

    def __call__(self, y, y_pred):
        return distance(y, y_pred)


def test_a_model_is_not_lost_for_how_it_was_compiled(tmp_path):
    path = str(tmp_path / "m.keras")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optax.adam(0.1), "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    with pytest.warns(UserWarning, match="call compile as here, and then load_weights") as caught:
        model.save(path)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="call compile as here") as caught:
        keras.saving.save_model(model, path)
    assert caught[0].filename == __file__
    other = keras.saving.load_model(path)
    assert not other.compiled
    other.compile(optax.adam(0.1), "mse")
    other.load_weights(path)
    for a, b in zip(
        values_of([*other.weights, *other.optimizer.variables]),
        values_of([*model.weights, *model.optimizer.variables]), strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(a, b)
    for loss in (functools.partial(distance, by=2.0), Distance()):
        model.compile("sgd", loss)
        with pytest.warns(UserWarning, match="call compile as here.*expected a function with a na"):
            model.save(path)
        assert not keras.saving.load_model(path).compiled
    model.compile("sgd", Odd())
    with pytest.warns(UserWarning, match=r"config\['compile_config'\]\['loss'\].*expected numbers"):
        model.save(path)
    assert not keras.saving.load_model(path).compiled


@pytest.mark.parametrize("policy", ["mixed_float16", "float32"])
def test_losses_are_scaled_as_where_it_was_saved(policy, tmp_path):
    def within(name, run):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(name)
        try:
            return run()
        finally:
            keras.config.set_dtype_policy(before)

    def trained():
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("adam", "mse")
        model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
        return model

    model, path = within(policy, trained), str(tmp_path / "m.keras")
    model.save(path)
    other = within(
        "float32" if policy != "float32" else "mixed_float16",
        lambda: keras.saving.load_model(path),
    )
    assert type(other.optimizer) is type(model.optimizer)
    for a, b in zip(
        values_of(other.optimizer.variables), values_of(model.optimizer.variables), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_a_loader_of_the_users_that_fails_changes_nothing_else(tmp_path):
    class Own(keras.layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight((2,), name="w")

        def call(self, x):
            return x + self.w

        def load_own_variables(self, store):
            raise RuntimeError("own")

    path = str(tmp_path / "w.weights.h5")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), Own()])
    model.save_weights(path)
    model.layers[0].kernel.assign(np.zeros((2, 2)))
    with pytest.raises(RuntimeError, match="own"):
        model.load_weights(path)
    assert not model.layers[0].kernel.numpy().any()
