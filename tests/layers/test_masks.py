"""Masks: which layers make, use, pass on and join them, against real Keras."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
import pytest

from stepfit import layers
from stepfit.core import masks
from tests.parity.layers import made
from tests.parity.test_layers import inner

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(2, 4, 3)).astype("float32"), RNG.normal(size=(2, 4, 3)).astype("float32")
STEPS = np.array([[True, True, False, False], [True, False, True, True]])
OTHER = np.array([[True, False, True, False], [True, True, True, False]])
TOKENS = np.array([[3, 1, 0, 0], [2, 0, 1, 4]], "int32")


def with_mask(module, x, mask):
    """An array that carries a mask, made by a layer of the library in question."""
    array = jax.numpy.asarray(x)
    array._keras_mask = None if mask is None else jax.numpy.asarray(mask)
    return array


def mask_of(y):
    mask = getattr(y, "_keras_mask", None)
    return None if mask is None else np.asarray(mask)


ONES = {"kernel_initializer": "ones", "recurrent_initializer": "ones"}

# Layer, constructor arguments, inputs with their masks (a list for merging layers): what the table
# of all layers does not try, where every input has one mask and the layer its own options.
ROWS = [
    ("Embedding", {"input_dim": 5, "output_dim": 3, "mask_zero": True}, (TOKENS, None)),
    ("Embedding", {"input_dim": 5, "output_dim": 3}, (TOKENS, None)),
    ("Masking", {"mask_value": 0.0}, (X * STEPS[..., None], None)),
    ("Activation", {"activation": "relu"}, (X, STEPS)),
    ("Identity", {}, (X, STEPS)),
    ("LeakyReLU", {}, (X, STEPS)),
    ("PReLU", {}, (X, STEPS)),
    ("BatchNormalization", {}, (X, STEPS)),
    ("GlobalAveragePooling1D", {"keepdims": True}, (X, STEPS)),
    ("GlobalMaxPooling1D", {}, (X, STEPS)),
    ("Flatten", {}, (X, STEPS)),
    ("Conv1D", {"filters": 2, "kernel_size": 2, "kernel_initializer": "ones"}, (X, STEPS)),
    *[(name, {}, [(X, STEPS), (Y, OTHER)])
      for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")],
    *[(name, {}, [(X, STEPS), (Y, None)])
      for name in ("Add", "Multiply", "Maximum", "Minimum", "Concatenate")],
    ("Concatenate", {"axis": 1}, [(X, STEPS), (Y, OTHER)]),
    ("Dot", {"axes": 2}, [(X, STEPS), (Y, OTHER)]),
    *[(name, {"units": 2, **ONES, **more}, (X, STEPS)) for name in ("SimpleRNN", "LSTM", "GRU")
      for more in (
          {"return_sequences": True}, {"return_sequences": True, "go_backwards": True},
          {"return_sequences": True, "zero_output_for_mask": True}, {"zero_output_for_mask": True},
      )],
    *[("Bidirectional", {"layer": made("GRU", units=2, return_sequences=True, **ONES),
                         "merge_mode": mode}, (X, STEPS)) for mode in ("concat", "sum")],
    ("RNN", {"cell": [made("GRUCell", units=2, **ONES), made("LSTMCell", units=2, **ONES)],
             "return_sequences": True}, (X, STEPS)),
    ("TimeDistributed", {"layer": made("SimpleRNN", units=2, **ONES)},
     (np.stack([X, Y], 2), np.stack([STEPS, OTHER], 2))),
    ("Attention", {}, [(X, STEPS), (Y, OTHER)]),
    ("Attention", {}, [(X, None), (Y, OTHER), (X, STEPS)]),
    ("AdditiveAttention", {"use_scale": False}, [(X, STEPS), (Y, None)]),
]  # fmt: skip


@pytest.mark.parametrize("name, kwargs, inputs", ROWS, ids=[f"{i}-{r[0]}" for i, r in
                                                            enumerate(ROWS)])  # fmt: skip
def test_values_and_masks_are_keras(name, kwargs, inputs):
    results = []
    for module in (layers, keras.layers):
        layer = getattr(module, name)(**{k: inner(v, module, {}) for k, v in kwargs.items()})
        if isinstance(inputs, list):
            x = [with_mask(module, *pair) for pair in inputs]
        else:
            x = with_mask(module, *inputs)
        if name == "Embedding":
            layer.build((None, 4))
            layer.set_weights([np.arange(15.0).reshape(5, 3)])
        y = layer(x)
        results.append((np.asarray(y), mask_of(y)))
    (ours, our_mask), (theirs, their_mask) = results
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    assert (our_mask is None) == (their_mask is None)
    if our_mask is not None:
        np.testing.assert_array_equal(our_mask, their_mask)


def test_masks_travel_under_jit():
    embed = layers.Embedding(5, 3, mask_zero=True)
    pool = layers.GlobalAveragePooling1D()
    eager = pool(layers.Dense(3, kernel_initializer="identity")(embed(TOKENS)))
    dense = layers.Dense(3, kernel_initializer="identity")

    @jax.jit
    def call(tokens):
        return pool(dense(embed(tokens)))

    np.testing.assert_allclose(call(TOKENS), eager, rtol=1e-6)
    rows = np.asarray(embed.embeddings.value)[TOKENS]
    seen = (TOKENS != 0)[..., None]
    np.testing.assert_allclose(eager, (rows * seen).sum(1) / seen.sum(1), rtol=1e-5)
    assert not masks._of_tracers


def test_softmax_takes_a_mask():
    kept = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], "float32")
    x = X[0, :2]
    for mask in (kept, kept.astype(bool)):
        ours = layers.Softmax()(x, mask=mask)
        np.testing.assert_allclose(ours, keras.layers.Softmax()(x, mask=mask), rtol=1e-5)
    assert np.asarray(ours)[1].tolist() == [0.0, 0.0, 0.0]


def test_batch_normalization_counts_only_unmasked_steps():
    results = []
    for module in (layers, keras.layers):
        layer = module.BatchNormalization(momentum=0.5)
        y = layer(X, training=True, mask=STEPS)
        results.append([np.asarray(y), *layer.get_weights()])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
