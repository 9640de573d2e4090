"""`config`, `backend`, `mixed_precision`, `dtype_policies`: beside Keras's, and their effects."""

import itertools
import warnings

import jax
import keras
import numpy as np
import pytest

import stepfit
from stepfit import backend, config, dtype_policies, mixed_precision
from stepfit.utils import Config
from tests.expect import refused

DTYPES = ["bool", "int8", "int32", "int64", "uint8", "uint32", "uint64", "float16", "bfloat16",
          "float32", "float64", "complex64", "float8_e4m3fn", int, float, None]  # fmt: skip


def outcome(function, *args):
    try:
        return function(*args)
    except ValueError:
        return "ValueError"


def test_result_type_is_that_of_keras():
    different = [
        dtypes for count in (0, 1, 2, 3) for dtypes in itertools.product(DTYPES, repeat=count)
        if (count < 3 or {int, float} & set(dtypes))
        and not (count == 1 and dtypes[0] == "float8_e4m3fn")  # of one dtype, there is no question
        and outcome(backend.result_type, *dtypes) != outcome(keras.backend.result_type, *dtypes)
    ]  # fmt: skip
    assert different == []


KINDS = [None, "float16", "uint8", "bool", np.int64, np.float32, "complex64", float, int]


@pytest.mark.parametrize("dtype", KINDS, ids=str)
@pytest.mark.parametrize("name", ["is_float_dtype", "is_int_dtype", "standardize_dtype"])
def test_questions_about_dtypes(name, dtype):
    assert getattr(backend, name)(dtype) == getattr(keras.backend, name)(dtype)


def test_symbolic_tensors_and_sources():
    a, b = stepfit.Input((2,)), stepfit.Input((2,))
    c = stepfit.layers.Dense(2)(a) + b
    assert backend.is_keras_tensor(c) and not backend.is_keras_tensor(np.ones(2))
    assert stepfit.utils.get_source_inputs(c * a) == [a, b]
    assert stepfit.utils.get_source_inputs(a) == [a]
    with pytest.raises(TypeError) as error:
        stepfit.utils.get_source_inputs(3)
    assert str(error.value) == "get_source_inputs(tensor): expected a symbolic tensor, found 3."


def test_clear_session_starts_afresh():
    config.set_dtype_policy("mixed_bfloat16")
    stepfit.layers.Dense(1)
    assert backend.get_uid("dense") == 2
    stepfit.utils.clear_session(free_memory=False)
    layer = stepfit.layers.Dense(1)
    assert (layer.name, layer.compute_dtype, backend.get_uid("x")) == ("dense", "float32", 1)


def test_device():
    with stepfit.device("cpu:0"):
        assert stepfit.ops.ones(2).device == jax.devices("cpu")[0]
    with stepfit.device(jax.devices()[0]):
        pass
    with pytest.raises(ValueError) as error, stepfit.device("tpu:3"):
        pass
    there = ", ".join(f"{d.platform}:{d.id}" for d in jax.devices())
    assert str(error.value) == (
        f"device(device_name): expected a device that JAX has, found 'tpu:3'; there are {there}."
    )
    assert stepfit.version() == stepfit.__version__


# -- limits ----------------------------------------------------------------------------------------


@pytest.fixture
def limits(monkeypatch):
    yield monkeypatch
    config.set_max_epochs(None)
    config.set_max_steps_per_epoch(None)


def run(**options):
    model = stepfit.Sequential([stepfit.Input((2,)), stepfit.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.ones((12, 2), "float32"), np.ones((12, 1), "float32")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = model.fit(x, y, batch_size=2, verbose=0, **options)
        predicted = model.predict(x, batch_size=2, verbose=0)
    texts = [str(w.message) for w in caught]
    return len(history.epoch), int(model.optimizer.iterations), len(predicted), texts


def test_limits_of_fit_and_predict(limits):
    assert run(epochs=3) == (3, 18, 12, [])
    config.set_max_epochs(2)
    config.set_max_steps_per_epoch(4)
    steps = " is limited to 4 by config.set_max_steps_per_epoch."
    texts = ["steps_per_epoch" + steps, "epochs is limited to 2 by config.set_max_epochs."]
    assert (config.max_epochs(), config.max_steps_per_epoch()) == (2, 4)
    epochs, count, predicted, said = run(epochs=3)
    assert (epochs, count, predicted) == (2, 8, 8)
    assert sorted(said) == sorted([*texts, "steps" + steps])
    config.set_max_steps_per_epoch(50)
    assert run(epochs=1) == (1, 6, 12, [])  # less than the limits: nothing is said
    config.set_max_steps_per_epoch(4)
    assert run(epochs=1, steps_per_epoch=3)[:3] == (1, 3, 8)


def test_limits_from_the_environment(limits):
    stepfit.core.config._state.pop("max_epochs", None)
    limits.setenv("KERAS_MAX_EPOCHS", "7")
    assert config.max_epochs() == 7
    config.set_max_epochs(None)
    assert config.max_epochs() is None
    stepfit.core.config._state.pop("max_epochs")
    limits.setenv("KERAS_MAX_EPOCHS", "many")
    with pytest.raises(ValueError) as error:
        config.max_epochs()
    assert str(error.value) == "KERAS_MAX_EPOCHS: expected an int of at least 1, found 'many'."


# -- switches --------------------------------------------------------------------------------------


def test_flash_attention():
    assert config.is_flash_attention_enabled() is keras.config.is_flash_attention_enabled()
    for module in (config, keras.config):
        module.disable_flash_attention()
    try:
        assert config.is_flash_attention_enabled() is keras.config.is_flash_attention_enabled()
        x = np.ones((1, 2, 1, 8), "float32")
        assert stepfit.ops.dot_product_attention(x, x, x).shape == x.shape
    finally:
        for module in (config, keras.config):
            module.enable_flash_attention()
    assert config.is_flash_attention_enabled() is None
    if jax.default_backend() != "gpu":
        with pytest.raises(ValueError) as error:
            stepfit.ops.dot_product_attention(x, x, x, flash_attention=True)
        assert str(error.value) == (
            "dot_product_attention(flash_attention): expected None or False where there is no GPU, "
            f"found True on {jax.default_backend()}."
        )


def test_traceback_filtering():
    before = jax.config.jax_traceback_filtering
    assert config.is_traceback_filtering_enabled()
    config.disable_traceback_filtering()
    assert jax.config.jax_traceback_filtering == "off"
    assert not config.is_traceback_filtering_enabled()
    config.enable_traceback_filtering()
    assert config.is_traceback_filtering_enabled()
    jax.config.update("jax_traceback_filtering", before)


def test_the_engine_is_jax():
    config.set_backend("jax")
    assert config.backend() == "jax" and not config.is_nnx_enabled()


# -- policies --------------------------------------------------------------------------------------


def test_mixed_precision_is_another_name():
    mixed_precision.set_global_policy("mixed_bfloat16")
    assert mixed_precision.global_policy() == mixed_precision.Policy("mixed_bfloat16")
    assert stepfit.layers.Dense(1).compute_dtype == "bfloat16"
    mixed_precision.set_dtype_policy(None)


def policy_map(module):
    policies = module.dtype_policies
    return policies.DTypePolicyMap(
        "float32", {"a/.*": policies.get("mixed_bfloat16"), "b": module.DTypePolicy("float16")}
    )


def test_a_map_gives_each_layer_its_policy():
    def dtypes_of(module):
        class Block(module.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.inner = module.layers.Dense(2, dtype=self.dtype_policy, name="inner")

            def build(self, input_shape):
                self.inner.build(input_shape)

            def call(self, x):
                return self.inner(x)

        found = []
        for name in ("a", "b"):
            block = Block(name=name, dtype=policy_map(module))
            y = block(np.ones((1, 2), "float32"))
            layers = (block, block.inner)
            found += [(la.compute_dtype, la.variable_dtype) for la in layers] + [str(y.dtype)]
        return found

    assert dtypes_of(stepfit) == dtypes_of(keras)


def test_a_map_is_that_of_keras():
    ours, theirs = policy_map(stepfit), policy_map(keras)
    for path in ("a/x", "b", "c", "a"):
        assert ours[path].name == theirs[path].name
    assert (ours.name, len(ours), list(ours), "b" in ours, "c" in ours) == (
        theirs.name, len(theirs), list(theirs), "b" in theirs, "c" in theirs)  # fmt: skip
    ours["c"] = "float64" if config.floatx() == "float64" else "bfloat16"
    del ours["b"]
    assert list(ours) == ["a/.*", "c"]
    assert dtype_policies.DTypePolicyMap().name == keras.dtype_policies.DTypePolicyMap().name


def test_policies_travel_as_plain_data():
    for policy in (stepfit.DTypePolicy("mixed_float16"), policy_map(stepfit)):
        assert dtype_policies.deserialize(dtype_policies.serialize(policy)) == policy
        layer = stepfit.layers.Dense(1, dtype=policy)
        assert stepfit.layers.Dense.from_config(layer.get_config()).dtype_policy == policy
    theirs = keras.dtype_policies.serialize(policy_map(keras))
    assert dtype_policies.deserialize(theirs) == policy_map(stepfit)
    found = dtype_policies.serialize(stepfit.DTypePolicy("float16"))["config"]
    assert found == keras.dtype_policies.serialize(keras.DTypePolicy("float16"))["config"]


# -- Config ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Config, keras.utils.Config], ids=["stepfit", "keras"])
def test_config_object(kind):
    c = kind(rate=0.1)
    c.depth, c["name"] = 3, "x"
    assert (c["depth"], c.name, len(c), list(c), "rate" in c) == (
        3, "x", 3, ["depth", "name", "rate"], True)  # fmt: skip
    assert c.pop("name") == "x" and c.get("name", 5) == 5
    c.update(depth=4)
    assert c.as_dict() == {"rate": 0.1, "depth": 4} == dict(c.items())
    assert c.to_json() == '{"rate": 0.1, "depth": 4}' and list(c.keys()) == ["rate", "depth"]
    assert repr(c) == "<Config {'rate': 0.1, 'depth': 4}>" and list(c.values()) == [0.1, 4]
    del c["rate"]
    c.freeze()
    for change in (lambda: setattr(c, "depth", 5), lambda: c.update(a=1), lambda: c.pop("depth")):
        with pytest.raises(ValueError):
            change()
    assert c.frozen
    c.unfreeze()
    with pytest.raises(AttributeError, match="[Dd]id you mean 'depth'?"):
        c.depht  # noqa: B018


BAD = [
    (lambda: config.set_max_epochs(0),
     "set_max_epochs(max_epochs): expected an int of at least 1, or None, found 0."),
    (lambda: config.set_max_steps_per_epoch(True),
     "set_max_steps_per_epoch(max_steps_per_epoch): expected an int of at least 1, or None, found "
     "True."),
    (lambda: config.set_backend("torch"),
     "set_backend(backend): expected 'jax', found 'torch'; stepfit has one engine; leave the call "
     "out."),
    (lambda: dtype_policies.DTypePolicyMap(policy_map=[1]),
     "DTypePolicyMap(policy_map): expected a dict, found list of 1 elements."),
    (lambda: policy_map(stepfit).__setitem__("b", "float32"),
     "DTypePolicyMap: expected a key that is not there yet, found 'b'; delete it first."),
    (lambda: dtype_policies.DTypePolicyMap(None, {"a.*": "float32", ".*": "float16"})["a"],
     "DTypePolicyMap: expected one key that matches 'a', found 'a.*' and '.*'; make the patterns "
     "exclude each other."),
    (lambda: dtype_policies.serialize("float32"),
     "serialize(dtype_policy): expected a DTypePolicy, found 'float32'."),
    (lambda: dtype_policies.deserialize({"class_name": "DTypePolic", "config": {}}),
     "config['class_name']: expected the name of a dtype policy's class, found 'DTypePolic'; did "
     "you mean 'DTypePolicy'?"),
    (lambda: backend.result_type("float8_e4m3fn", "float32"),
     "result_type(dtypes): expected dtypes that promote, found float8_e4m3fn; cast them to one "
     "dtype first."),
    (lambda: setattr(Config(), "update", 1),
     "Config: expected a name of a value, found 'update', a name of its own; choose another."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), BAD, ids=[row[1][:40] for row in BAD])
def test_message(call, text):
    refused(call, (ValueError, TypeError), text)
