"""What single layers promise beyond the table: state, freezing, noise, names, function forms."""

import jax
import keras
import numpy as np
import pytest

from stepfit import layers, ops
from stepfit.core import registry

X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")


def test_batch_normalization_moves_only_in_training():
    layer = layers.BatchNormalization(momentum=0.9)
    layer(X)
    still = layer.moving_mean.numpy()
    assert still.tolist() == [0, 0, 0, 0]
    layer(X, training=True)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * X.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * X.var(0), rtol=1e-5)


def test_frozen_batch_normalization_runs_in_inference_mode():
    layer = layers.BatchNormalization()
    layer(X)
    layer.trainable = False
    np.testing.assert_allclose(layer(X, training=True), layer(X), rtol=1e-6)
    assert layer.moving_mean.numpy().tolist() == [0, 0, 0, 0]
    assert layer.trainable_variables == [] and len(layer.non_trainable_variables) == 4


def test_batch_normalization_keeps_statistics_in_float32():
    layer = layers.BatchNormalization(dtype="mixed_float16")
    x = (1000 + 300 * X).astype("float16")
    y = layer(x, training=True)
    assert y.dtype == "float16" and layer.moving_variance.dtype == "float32"
    assert np.isfinite(np.asarray(y)).all()
    np.testing.assert_allclose(
        layer.moving_variance, 0.99 + 0.01 * np.float32(x).var(0), rtol=1e-3
    )


@pytest.mark.parametrize("cls, setting", [
    ("Dropout", 0.25), ("GaussianNoise", 0.5), ("GaussianDropout", 0.25), ("AlphaDropout", 0.25),
])  # fmt: skip
def test_noise_has_the_right_mean_and_spread(cls, setting):
    x = np.random.default_rng(1).normal(size=(200, 200)).astype("float32")
    y = np.asarray(getattr(layers, cls)(setting, seed=1)(x, training=True))
    expected = {
        "Dropout": (1 / 0.75) ** 0.5, "GaussianNoise": 1.25**0.5, "GaussianDropout":
        (1 + 0.25 / 0.75) ** 0.5, "AlphaDropout": 1.0,
    }[cls]  # fmt: skip
    assert abs(y.mean() - x.mean()) < 0.02 and abs(y.std() - expected) < 0.02
    if cls == "Dropout":
        assert abs((y == 0).mean() - setting) < 0.01


def test_seeds_repeat_and_layers_without_seed_differ():
    ones = np.ones((1, 64), "float32")

    def draws(**kwargs):
        layer = layers.Dropout(0.5, **kwargs)
        return [np.asarray(layer(ones, training=True)) for _ in range(2)]

    a, b, c = draws(seed=1), draws(seed=1), draws()
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a[0], a[1]) and not np.array_equal(c[0], c[1])


def test_dropout_masks_follow_noise_shape():
    x = np.ones((3, 5, 7), "float32")
    y = np.asarray(layers.Dropout(0.5, noise_shape=(None, 1, None), seed=1)(x, training=True))
    assert (y == y[:, :1]).all() and 0 < (y[:, 0] == 0).mean() < 1
    y = np.asarray(layers.SpatialDropout1D(0.5, seed=1)(x, training=True))
    assert (y == y[:, :1]).all()


def test_dropout_of_everything_is_zero():
    assert not np.asarray(layers.Dropout(1)(X, training=True)).any()


def test_leaky_relu_takes_alpha_as_in_tf_keras():
    layer = layers.LeakyReLU(alpha=0.2)
    assert layer.negative_slope == 0.2
    config = layer.get_config()
    assert config["negative_slope"] == 0.2 and "alpha" not in config
    assert layers.LeakyReLU.from_config(config).negative_slope == 0.2


def test_embedding_takes_a_table_and_keeps_large_indices_in_half_precision():
    table = np.arange(6000.0, dtype="float32").reshape(3000, 2)
    layer = layers.Embedding(3000, 2, weights=[table], dtype="mixed_bfloat16")
    out = layer(np.array([2049.0], "float32"))
    np.testing.assert_array_equal(np.float32(out)[0], np.float32(table[2049].astype(out.dtype)))
    assert layer.get_config()["weights"] is None


@registry.register_keras_serializable(package="test_layers")
def scaled(x, training=None):
    return x * (2.0 if training else 3.0)


def test_function_layers_store_the_name_only():
    layer = layers.Function(scaled)
    np.testing.assert_allclose(layer(X), 3 * X)
    np.testing.assert_allclose(layer(X, training=True), 2 * X)
    assert layer.get_config()["function"] == "test_layers>scaled"
    assert layers.Function.from_config(layer.get_config()).function is scaled
    assert layer(layers.Input((4,))).shape == (None, 4)
    both = layers.Function(lambda a, b: a + b)
    np.testing.assert_allclose(both(X, X), 2 * X)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "average", "maximum", "minimum",
                                  "concatenate", "dot"])  # fmt: skip
def test_function_forms_of_merging_layers(name):
    ours = getattr(layers, name)([X, X + 1])
    np.testing.assert_allclose(ours, getattr(keras.layers, name)([X, X + 1]), rtol=1e-5)


def test_average_pooling_of_integers_and_negative_maxima():
    x = -np.ones((1, 4, 1), "float32")
    assert np.asarray(layers.MaxPooling1D(3, padding="same")(x)).max() == -1
    assert np.asarray(ops.max_pool(x.astype("int32"), 2)).ravel().tolist() == [-1, -1]


def test_layers_see_variables_in_the_compute_dtype():
    layer = layers.Dense(2, dtype="mixed_bfloat16")
    assert layer(X).dtype == "bfloat16" and layer.kernel.dtype == "float32"
    grad = jax.grad(
        lambda w: layer.stateless_call(w, [], X)[0].astype("float32").sum()
    )([v.value for v in layer.trainable_variables])
    assert [g.dtype for g in grad] == ["float32", "float32"]


def test_every_public_name_is_listed_and_exists():
    for name in layers.__all__:
        assert getattr(layers, name).__doc__, name
    modules = {"activation", "arguments", "conv", "core", "merging", "pooling"}
    assert not modules & set(layers.__all__)
