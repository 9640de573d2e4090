"""Configs as JSON, clones, exported programs, pure functions, and what `inspect` says."""

import functools
import os

import jax
import keras as real_keras
import numpy as np
import pytest

import stepfit as keras
from stepfit import cli
from stepfit.saving.file_errors import FileError
from tests.expect import refused
from tests.saving import hostile
from tests.saving.models import KINDS, inputs_of, outputs_of

SOME = ["functional", "subclassed"]


@pytest.fixture(scope="module")
def models():
    return {kind: KINDS[kind](keras) for kind in SOME}


@pytest.mark.parametrize("kind", SOME)
def test_clones_have_weights_of_their_own(kind, models):
    model = models[kind]
    clone = keras.models.clone_model(model)
    assert [w.shape for w in clone.weights] == [w.shape for w in model.weights]
    assert not {id(w) for w in clone.weights} & {id(w) for w in model.weights}
    clone.set_weights(model.get_weights())
    x = inputs_of(model)
    for a, b in zip(outputs_of(model, x), outputs_of(clone, x), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_clones_by_functions():
    x = keras.Input((3,))
    inner = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="in")])
    model = keras.Model(x, inner(keras.layers.Dense(2, name="out")(x)) * 2.0)
    called = []

    def frozen(layer):
        copy = type(layer).from_config(layer.get_config())
        copy.trainable = False
        return copy

    def call(layer, *args, **kwargs):
        called.append(layer.name)
        return layer(*args, **kwargs)

    clone = keras.models.clone_model(
        model, clone_function=frozen, call_function=call, recursive=True
    )
    assert not clone.trainable_weights and len(clone.weights) == 4
    assert called == ["out", inner.name]
    new = keras.Input((3,))
    clone = keras.models.clone_model(model, input_tensors=[new])
    assert clone.input is new or clone.inputs[0] is new
    with pytest.raises(ValueError, match="expected 1 tensors, found 2"):
        keras.models.clone_model(model, input_tensors=[new, keras.Input((3,))])


def test_weights_of_a_described_model_cost_nothing_before_they_are_used():
    text = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="d")]).to_json()
    model = keras.models.model_from_json(text)
    assert all(w.is_deferred for w in model.weights)
    model(np.ones((1, 2)))
    assert not any(w.is_deferred for w in model.weights)
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 3)), verbose=0)


@pytest.mark.parametrize("kind", SOME)
def test_exported_programs_need_no_code_of_the_model(kind, models, tmp_path):
    model, path = models[kind], str(tmp_path / "m.exported")
    model.export(path, input_signature=[(None, 4)] if kind == "subclassed" else None)
    x = inputs_of(model)
    np.savez(tmp_path / "x.npz", **(x if isinstance(x, dict) else {"input_0": x}))
    served = keras.saving.load_exported(path)
    found = served(x)
    found = [found[k] for k in sorted(found)] if isinstance(found, dict) else [found]
    for a, b in zip(found, outputs_of(model, x), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    name = next(iter(x)) if isinstance(x, dict) else None
    bigger = {k: np.repeat(v, 3, 0) for k, v in x.items()} if name else np.repeat(x, 3, 0)
    assert jax.tree.leaves(served(bigger))[0].shape[0] == 6
    with pytest.raises(ValueError, match=r"inputs\[0\]: expected shape \(None, 4\), found"):
        served([np.ones((2, 5))] * len(served.inputs))


class TakesDict(keras.Model):
    """A model whose `call` takes a dict, and no other form."""

    def __init__(self, *names):
        super().__init__()
        self.parts = {name: keras.layers.Dense(2) for name in names}

    def call(self, inputs):
        return {"sum": sum(layer(inputs[name]) for name, layer in self.parts.items())}


def arrays(**sizes):
    return {name: np.ones((3, size), "float32") for name, size in sizes.items()}


@pytest.mark.parametrize("signature", [
    {"right": (None, 5), "left": (None, 4)}, [{"left": (None, 4), "right": [None, 5]}],
    {"left": keras.InputSpec(shape=(None, 4)), "right": keras.Input((5,))},
    [arrays(left=4, right=5)],
], ids=["shapes", "in a list", "specs", "arrays"])  # fmt: skip
def test_programs_of_models_that_take_a_dict(signature, tmp_path):
    path, x = str(tmp_path / "m.exported"), arrays(left=4, right=5)
    model = TakesDict("left", "right")
    expected = model(x)["sum"]
    model.export(path, input_signature=signature)
    served = keras.saving.load_exported(path)
    np.testing.assert_allclose(served(x)["sum"], expected, atol=1e-5)
    with pytest.raises(ValueError, match="expected the name of an input, found 'left'"):
        served({"lft": x["left"], "right": x["right"]})


def test_programs_of_a_dict_of_one_and_of_a_list(tmp_path):
    path, x = str(tmp_path / "m.exported"), arrays(only=4)
    model = TakesDict("only")
    expected = model(x)["sum"]
    model.export(path, input_signature={"only": (None, 4)})
    for given in (x, [x["only"]], x["only"]):
        np.testing.assert_allclose(
            keras.saving.load_exported(path)(given)["sum"], expected, atol=1e-5
        )
    for signature in ((None, 4), [[(None, 4)]], keras.InputSpec(shape=(None, 4))):
        layer = keras.Sequential([keras.layers.Dense(2)])
        layer.build((None, 4))
        layer.export(path, input_signature=signature)
        assert keras.saving.load_exported(path).inputs == [((None, 4), "float32")]


def test_programs_of_graphs_whose_inputs_are_a_dict(tmp_path):
    path, x = str(tmp_path / "m.exported"), arrays(q=5, p=4)
    inputs = {"q": keras.Input((5,), name="second"), "p": keras.Input((4,), name="first")}
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs["p"]) + inputs["q"][:, :2])
    for signature in (None, {"p": (3, 4), "q": (3, 5)}):
        model.export(path, input_signature=signature)
        np.testing.assert_allclose(keras.saving.load_exported(path)(x), model(x), atol=1e-5)


@pytest.mark.parametrize(("signature", "kind", "text"), [
    (None, ValueError, "export(input_signature): expected shapes, for a model without symbolic "
     "inputs, found None; pass input_signature=[(None, 4)], or {name: shape} where `call` takes a "
     "dict."),
    ({"left": "float32"}, TypeError, "export(input_signature['left']): expected a shape or a "
     "tensor, found 'float32'."),
    ({"left": {"deep": (None, 4)}}, TypeError, "export(input_signature['left']): expected a shape "
     "or a tensor, found dict with keys ['deep']."),
    ({1: (None, 4)}, TypeError, "export(input_signature): expected names of inputs as keys, found "
     "1."),
    ([], ValueError, "export(input_signature): expected some shapes, found 0."),
    ([(None, 4), "left"], TypeError, "export(input_signature[1]): expected a shape or a tensor, "
     "found 'left'."),
    (4, TypeError, "export(input_signature): expected a list of shapes or tensors, or a dict of "
     "them, found 4."),
])  # fmt: skip
def test_signatures_that_are_none(signature, kind, text, tmp_path):
    model = TakesDict("left", "right")
    model(arrays(left=4, right=5))
    refused(lambda: model.export(tmp_path / "m", input_signature=signature), kind, text)
    assert not list(tmp_path.iterdir())


def test_a_signature_of_another_form_than_the_call(tmp_path):
    model = TakesDict("left", "right")
    model(arrays(left=4, right=5))
    with pytest.raises(TypeError) as caught:
        model.export(tmp_path / "m", input_signature=[(None, 4), (None, 5)])
    assert caught.value.__notes__[-1] == (
        "The model was called with a list of 2 arrays, as input_signature says; where `call` takes "
        "a dict, pass input_signature={name: shape, ...}."
    )
    inputs = {"q": keras.Input((5,)), "p": keras.Input((4,))}
    graph = keras.Model(inputs, keras.layers.Dense(2)(inputs["p"]))
    refused(
        lambda: graph.export(tmp_path / "m", input_signature={"q": (None, 5)}), ValueError,
        "export(input_signature): expected the keys ['p', 'q'], found ['q']; add 'p'.",
    )  # fmt: skip
    refused(
        lambda: graph.export(tmp_path / "m", input_signature={"qq": (None, 5), "p": (None, 4)}),
        ValueError, "export(input_signature): expected the name of an input, found 'qq'; did you "
        "mean 'q'?",
    )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_recurrent_programs_take_any_batch(tmp_path):
    layers, path = keras.layers, str(tmp_path / "m.exported")
    model = keras.Sequential([
        keras.Input((3, 2)), layers.Bidirectional(layers.LSTM(2, return_sequences=True)),
        layers.GRU(2),
    ])  # fmt: skip
    model.export(path)
    x = np.ones((3, 3, 2), "float32")
    np.testing.assert_allclose(keras.saving.load_exported(path)(x), model(x), atol=1e-5)


def test_strings_are_no_part_of_a_program(tmp_path):
    with pytest.raises(ValueError, match="expected numbers: a program has no strings, found str"):
        KINDS["text"](keras).export(tmp_path / "m.exported")


def test_what_is_no_exported_program(tmp_path):
    path = tmp_path / "m.keras"
    hostile.model().save(path)
    with pytest.raises(FileError, match="'inputs': expected a list, as Model.export writes it"):
        keras.saving.load_exported(path)
    with pytest.raises(ValueError, match=r"export\(format\): expected the name of a format"):
        hostile.model().export(path, format="onx")


def test_what_is_cut_off(tmp_path):
    path = tmp_path / "m.keras"
    hostile.model().save(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(FileError) as error:
        keras.saving.load_model(path)
    assert str(error.value) == (
        f"load_model({str(path)!r}): expected a zip archive, found none that opens (File is not a "
        "zip file); it may be cut off: use another copy of it."
    )


def test_pure_functions(models):
    model = models["functional"]
    function, state = model.as_function()
    x = inputs_of(model)
    outputs, new = jax.jit(function)(state, x)
    for a, b in zip([outputs["u"], outputs["v"]], outputs_of(model, x), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert new.keys() == state.keys()
    grads = jax.grad(lambda s: function(s, x)[0]["u"].sum(), allow_int=True)(state)
    assert any(float(np.abs(g).max()) > 0 for g in grads.values() if g.dtype == np.float32)
    with pytest.raises(ValueError, match="state: expected the name of a variable"):
        function({}, x)


def test_inspect(tmp_path, capsys):
    path = str(tmp_path / "m.keras")
    with pytest.warns(UserWarning, match="A lambda is saved as bytecode") as caught:
        keras.Sequential(
            [keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2), keras.layers.Dense(1)]
        ).save(path)
    assert caught[0].filename == __file__  # the user's line, not one of stepfit's
    assert cli.main(["inspect", path]) == 0
    text = capsys.readouterr().out
    assert "Lambda 'lambda" in text and "layers/dense/vars/0  float32[2, 1]  8 bytes" in text
    assert "warning: holds code (a lambda): refused but with safe_mode=False" in text
    for ending in ("weights.h5", "weights.json", "safetensors", "npz"):
        path = str(tmp_path / f"w.{ending}")
        hostile.model().save_weights(path)
        assert "arrays: 4, 52 bytes" in keras.saving.inspect(path)
    (tmp_path / "x").write_bytes(b"xyz")
    assert cli.main(["inspect", str(tmp_path / "x")]) == 1
    assert capsys.readouterr().out.startswith("refused: inspect(")


def test_lambdas_are_loaded_by_those_who_ask_for_it(tmp_path):
    path = str(tmp_path / "m.keras")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 3)])
    with pytest.warns(UserWarning, match="bytecode"):
        model.save(path)
    refused(
        lambda: keras.saving.load_model(path), ValueError,
        f"load_model({path!r}): config.json: config['class_name']: expected no code, found "
        "'__lambda__', a function's bytecode; write it as a function with a name, register it with "
        "@keras.saving.register_keras_serializable() and save the model anew; or, if you trust "
        "whoever wrote the file as you trust a program, pass safe_mode=False.",
    )  # fmt: skip
    loaded = keras.saving.load_model(path, safe_mode=False)
    assert loaded(np.ones((1, 2))).tolist() == [[3.0, 3.0]]
    theirs = real_keras.saving.load_model(path, safe_mode=False)
    assert np.asarray(theirs(np.ones((1, 2)))).tolist() == [[3.0, 3.0]]
    theirs.save(path)
    assert keras.saving.load_model(path, safe_mode=False)(np.ones((1, 2))).tolist() == [[3.0, 3.0]]


def test_what_no_file_can_hold(tmp_path):
    class Odd(keras.layers.Layer):
        def __init__(self, thing=None, **kwargs):
            super().__init__(**kwargs)
            self.thing = thing

        def call(self, x):
            return x

    path = str(tmp_path / "m.keras")
    refused(
        lambda: keras.Sequential([keras.Input((2,)), Odd(object())]).save(path), ValueError,
        f"save(filepath={path!r}): config['config']['layers'][1]['config']['thing']: expected "
        "numbers, strings, lists and dicts, found an object of type object; return it as such from "
        "get_config, and undo that in from_config.",
    )  # fmt: skip
    for thing, found in {
        b"\xff": "expected bytes that are text in UTF-8, found others.",
        functools.partial(max, 1): "expected a function with a name, or an object with get_config, "
        "found an object of type partial; write it as a function, and register it with "
        "@keras.saving.register_keras_serializable().",
    }.items():
        model = keras.Sequential([keras.Input((2,)), Odd(thing)])
        refused(functools.partial(model.save, path), ValueError, f"a config: {found}")
    with pytest.raises(ValueError, match="found an object of type ndarray"):
        keras.Sequential([keras.Input((2,)), Odd(np.array(["a"]))]).save(path)
    assert not os.path.exists(path)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_full_disk_while_saving(kind, tmp_path, monkeypatch):
    path = tmp_path / ("m.keras" if kind == "file" else "model")
    hostile.model().save(path, zipped=kind == "file")
    kept = keras.saving.load_model(path).get_weights()
    other = hostile.model()
    real = os.fsync

    def full(handle):
        real(handle)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        other.save(path, zipped=kind == "file")
    monkeypatch.undo()
    for a, b in zip(keras.saving.load_model(path).get_weights(), kept, strict=True):
        np.testing.assert_array_equal(a, b)
    assert os.listdir(tmp_path) == [path.name]
