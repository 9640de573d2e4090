"""Spectral normalization while training, and functions as layers."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import pytest

import stepfit
from stepfit import layers
from stepfit.core import masks


def test_fit_with_spectral_normalization_is_keras():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 5)).astype("float32")

    def fitted(library):
        inner = library.layers.Dense(4, activation="relu")
        model = library.Sequential(
            [library.Input((5,)), library.layers.SpectralNormalization(inner)]
        )
        model.compile(library.optimizers.SGD(0.1), "mse")
        generator = np.random.default_rng(1)
        model.set_weights([generator.normal(size=w.shape) for w in model.weights])
        history = model.fit(x, x[:, :4], batch_size=4, epochs=2, shuffle=False, verbose=0)
        return [*model.get_weights(), history.history["loss"], model.predict(x, verbose=0)]

    for ours, theirs in zip(fitted(stepfit), fitted(keras), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_kernel_of_zeros_stays():
    layer = layers.SpectralNormalization(layers.Dense(2, kernel_initializer="zeros"))
    assert layer(np.ones((1, 3)), training=True).tolist() == [[0.0, 0.0]]


def test_lambda_gets_mask_and_training():
    seen = []

    def note(x, mask=None, training=None, factor=1.0):
        seen.append((mask is not None, training, factor))
        return x * factor

    layer = layers.Lambda(note, arguments={"factor": 2.0}, mask=lambda x, mask: mask)
    x = layers.Masking()(np.zeros((2, 3, 4), "float32"))
    y = layer(x, training=True)
    assert seen[-1] == (True, True, 2.0) and masks.get_mask(y).shape == (2, 3)
    assert layer.get_config()["arguments"] == {"factor": 2.0}


ERRORS = [
    (lambda: layers.Lambda("relu"), TypeError,
     "Lambda(function): expected a function, found 'relu'; decorate it with "
     "@keras.saving.register_keras_serializable() to load it by name."),
    (lambda: layers.SpectralNormalization(layers.ReLU())(np.ones((1, 2))), ValueError,
     "SpectralNormalization(layer): expected a layer with a kernel or embeddings, found ReLU "
     "'re_lu', which has neither."),
    (lambda: layers.SpectralNormalization(layers.Dense(2), power_iterations=0), ValueError,
     "SpectralNormalization(power_iterations): expected a positive int, found 0."),
    (lambda: layers.AdaptiveMaxPooling2D((2, 3, 4)), ValueError,
     "AdaptiveMaxPooling2D(output_size): expected a positive int or a tuple of 2 positive ints, "
     "found (2, 3, 4)."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "error", "text"), ERRORS, ids=[t.split(":")[0] for *_, t in ERRORS]
)
def test_error_texts(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(text)
