"""Dtypes by name, and policies."""

import subprocess
import sys
import textwrap

import jax.numpy as jnp
import numpy as np
import pytest

import stepfit
from stepfit.core import dtypes
from tests.expect import refused


@pytest.fixture(autouse=True)
def restore():
    yield
    stepfit.config.set_floatx("float32")
    dtypes.set_dtype_policy(None)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (None, "float32"), (float, "float32"), (int, "int32"), (bool, "bool"), ("float", "float32"),
        ("half", "float16"), ("bfloat16", "bfloat16"), (np.float16, "float16"),
        (np.dtype("int8"), "int8"), (jnp.bfloat16, "bfloat16"), (jnp.float32, "float32"),
        (jnp.zeros(1).dtype, "float32"), ("int64", "int64"), (np.uint8, "uint8"),
    ],
)  # fmt: skip
def test_standard_names(given, name):
    assert dtypes.standardize_dtype(given) == name


def test_unknown_names():
    refused(
        lambda: dtypes.standardize_dtype("floaat32"), ValueError,
        "dtype: expected the name of a dtype, found 'floaat32'; did you mean 'float32'?",
    )  # fmt: skip
    refused(
        lambda: stepfit.layers.Dense(1, dtype="mixed_float"), ValueError,
        "dtype: expected the name of a dtype policy, found 'mixed_float'; did you mean "
        "'mixed_float16'?",
    )  # fmt: skip


def test_floatx():
    stepfit.config.set_floatx("float16")
    assert stepfit.config.floatx() == "float16"
    assert stepfit.Variable(1.0).dtype == "float16" and stepfit.Input((1,)).dtype == "float16"
    assert stepfit.layers.Dense(1).dtype == "float16"
    refused(
        lambda: stepfit.config.set_floatx("float64"), ValueError,
        "set_floatx(value): expected a float dtype that JAX has switched on, found 'float64'; call "
        'jax.config.update("jax_enable_x64", True) first.',
    )  # fmt: skip
    refused(
        lambda: stepfit.config.set_floatx("flot32"), ValueError,
        "set_floatx(value): expected the name of a float dtype, found 'flot32'; did you mean "
        "'float32'?",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "compute", "variable"),
    [
        ("float32", "float32", "float32"), ("bfloat16", "bfloat16", "bfloat16"),
        ("float16", "float16", "float16"), ("mixed_bfloat16", "bfloat16", "float32"),
        ("mixed_float16", "float16", "float32"),
    ],
)  # fmt: skip
def test_policies(name, compute, variable):
    policy = stepfit.DTypePolicy(name)
    assert (policy.compute_dtype, policy.variable_dtype) == (compute, variable)
    assert policy == stepfit.DTypePolicy.from_config(policy.get_config())
    assert hash(policy) == hash(stepfit.DTypePolicy(name)) and name in repr(policy)
    for given in (name, policy, {"class_name": "DTypePolicy", "config": {"name": name}}):
        layer = stepfit.layers.Dense(2, dtype=given)
        y = layer(np.ones((1, 3)))
        assert (y.dtype.name, layer.kernel.dtype) == (compute, variable)
        assert layer.kernel.value.dtype == variable  # outside `call` as it is kept


def test_the_global_policy():
    dtypes.set_dtype_policy("mixed_bfloat16")
    layer = stepfit.layers.Dense(2)
    assert layer.compute_dtype == "bfloat16" and layer.dtype_policy == dtypes.dtype_policy()
    dtypes.set_dtype_policy(None)
    assert stepfit.layers.Dense(2).compute_dtype == "float32"


def test_layers_of_different_policies_in_one_model():
    layers = stepfit.layers
    model = stepfit.Sequential(
        [stepfit.Input((3,)), layers.Dense(2, dtype="mixed_float16"), layers.Dense(2)]
    )
    assert model.layers[0].output.dtype == "float16"
    assert model(np.ones((1, 3))).dtype == "float32" == model.output.dtype


def test_only_floats_are_cast():
    class Kinds(stepfit.layers.Layer):
        def call(self, x):
            return x

    out = Kinds(dtype="mixed_bfloat16")(
        {"f": np.ones(1), "i": np.ones(1, "int32"), "b": np.ones(1, bool)}
    )
    assert {k: v.dtype.name for k, v in out.items()} == {"f": "bfloat16", "i": "int32", "b": "bool"}
    kept = Kinds(dtype="mixed_bfloat16", autocast=False)(np.ones(1, "float32"))
    assert kept.dtype == "float32"


def test_policies_that_jax_has_switched_off():
    refused(
        lambda: stepfit.DTypePolicy("float64"), ValueError,
        "dtype policy: expected a dtype that JAX has switched on, found 'float64'; call "
        'jax.config.update("jax_enable_x64", True) first.',
    )  # fmt: skip


def test_64_bits_where_jax_has_them():
    script = """
        import jax
        jax.config.update("jax_enable_x64", True)
        import numpy as np, stepfit
        assert stepfit.Variable(np.ones(2)).dtype == "float64"
        assert stepfit.Variable(1.0).dtype == "float32"
        assert stepfit.Variable(np.int64(2**40)).value == 2**40
        layer = stepfit.layers.Dense(2, dtype="float64")
        y = layer(np.full((1, 3), 1 + 1e-12))
        assert y.dtype == "float64" and layer.kernel.value.dtype == "float64"
        stepfit.config.set_floatx("float64")
        model = stepfit.Sequential([stepfit.Input((3,)), stepfit.layers.Dense(1)])
        assert model.output.dtype == "float64"
        assert model(np.ones((2, 3))).dtype == "float64"
        assert stepfit.random.normal((2,), seed=1).dtype == "float64"
        print("fine")
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == "fine", done.stderr[-2000:]


def test_64_bit_integers_without_x64_are_kept_in_32():
    assert stepfit.Variable(np.arange(3, dtype="int64")).dtype == "int32"
    assert stepfit.Variable(1, dtype="int64").dtype == "int32"
