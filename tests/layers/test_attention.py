"""What attention layers promise beyond the table: masks, dropout, precision, einsum forms."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import stepfit
from stepfit import layers
from stepfit.layers import dot_product

RNG = np.random.default_rng(0)
Q = RNG.normal(size=(2, 4, 6)).astype("float32")
V = RNG.normal(size=(2, 5, 6)).astype("float32")
Q_MASK = np.array([[True, True, False, True], [True, False, True, True]])
V_MASK = np.array([[True, False, True, True, True], [False, True, True, True, False]])
GIVEN = RNG.uniform(size=(2, 4, 5)) > 0.3
HEADS = [("MultiHeadAttention", (2, 3)), ("GroupQueryAttention", (3, 4, 2))]


def masked(x, mask):
    array = jnp.asarray(x)
    array._keras_mask = jnp.asarray(mask)
    return array


def both(name, args, **kwargs):
    """Our layer and real Keras's, built, with the same weights."""
    pair = [getattr(module, name)(*args, **kwargs) for module in (layers, keras.layers)]
    for layer in pair:
        layer.build(Q.shape, V.shape)
    pair[1].set_weights(pair[0].get_weights())
    return pair


@pytest.mark.parametrize("name, args", HEADS)
@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("call", [
    {"value_mask": V_MASK}, {"key_mask": V_MASK, "value_mask": GIVEN[:, 0]},
    {"attention_mask": GIVEN}, {"attention_mask": GIVEN.astype("int32")},
    {"attention_mask": np.repeat(GIVEN[:, None], 2, 1)}, {"attention_mask": GIVEN[:1]},
    {"attention_mask": GIVEN, "value_mask": V_MASK, "use_causal_mask": True},
    {"attention_mask": np.zeros((2, 4, 5), bool)}, {"use_causal_mask": True},
], ids=lambda call: "+".join(call))  # fmt: skip
def test_masks_of_a_call_are_keras(name, args, scores, call):
    if name == "GroupQueryAttention" and np.ndim(call.get("attention_mask")) == 4:
        call = {"attention_mask": np.repeat(GIVEN[:, None], 4, 1)}
    ours, theirs = both(name, args, sliding_window=3 if len(call) == 3 else None)
    found = ours(Q, V, return_attention_scores=scores, **call)
    expected = theirs(Q, V, return_attention_scores=scores, **jax.tree.map(jnp.asarray, call))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name, args", HEADS)
def test_masks_that_inputs_carry_are_used_and_passed_on(name, args):
    ours, theirs = both(name, args)
    found = ours(masked(Q, Q_MASK), masked(V, V_MASK))
    expected = theirs(masked(Q, Q_MASK), masked(V, V_MASK))
    np.testing.assert_allclose(found[Q_MASK], expected[Q_MASK], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found._keras_mask, Q_MASK)
    output, scores = ours(masked(Q, Q_MASK), V, return_attention_scores=True)
    np.testing.assert_array_equal(output._keras_mask, Q_MASK)
    assert getattr(scores, "_keras_mask", None) is None
    assert not np.asarray(scores)[~np.broadcast_to(Q_MASK[:, None, :, None], scores.shape)].any()


def test_masks_travel_through_a_model():
    def model(k):
        tokens = k.Input((None,), dtype="int32")
        x = k.layers.Embedding(9, 6, mask_zero=True)(tokens)
        x = k.layers.MultiHeadAttention(2, 3)(x, x)
        return k.Model(tokens, k.layers.GlobalAveragePooling1D()(x))

    tokens = np.array([[1, 2, 3, 0, 0], [4, 5, 0, 0, 0]], "int32")
    ours, theirs = model(stepfit), model(keras)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(tokens), theirs(tokens), rtol=1e-5, atol=1e-5)
    cut = np.asarray(ours(tokens[:, :3]))
    np.testing.assert_allclose(ours(tokens)[0], cut[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", [
    lambda rate: layers.MultiHeadAttention(2, 8, dropout=rate, seed=1),
    lambda rate: layers.GroupQueryAttention(8, 2, 1, dropout=rate, seed=1),
], ids=["MultiHeadAttention", "GroupQueryAttention"])  # fmt: skip
def test_dropout_of_weights(make):
    x = RNG.normal(size=(4, 60, 8)).astype("float32")
    dropped, plain = make(0.5), make(0.0)
    plain.build(x.shape, x.shape)
    dropped.build(x.shape, x.shape)
    plain.set_weights(dropped.get_weights())
    np.testing.assert_allclose(dropped(x, x), plain(x, x), rtol=1e-4, atol=1e-5)
    first, second = (np.asarray(dropped(x, x, training=True)) for _ in range(2))
    assert not np.array_equal(first, second)
    mean = np.mean([dropped(x, x, training=True) for _ in range(60)], 0)
    assert np.abs(mean - plain(x, x)).mean() < 0.3 * np.abs(first - plain(x, x)).mean()
    assert [v.dtype for v in dropped.non_trainable_variables] == ["uint32"]
    assert plain.non_trainable_variables == []


def test_dropout_of_attention_scores():
    layer = layers.Attention(dropout=0.5, seed=1)
    zeros = np.zeros((1, 40, 6), "float32")
    _, weights = layer([zeros, zeros], training=True, return_attention_scores=True)
    np.testing.assert_allclose(sorted(set(np.unique(weights).round(5))), [0, 0.05], atol=1e-4)
    assert 0.4 < float((weights == 0).mean()) < 0.6
    np.testing.assert_allclose(layer([zeros, zeros], return_attention_scores=True)[1], 1 / 40)


def test_heads_that_share_a_key_are_those_that_repeat_it():
    query, key, value = (
        jnp.asarray(RNG.normal(size=(2, n, h, 3)), "float32")
        for n, h in ((4, 6), (5, 2), (5, 2))
    )  # fmt: skip
    output, weights = dot_product.attend(query, key, value, scale=0.5)
    again = dot_product.attend(query, *(jnp.repeat(x, 3, 2) for x in (key, value)), scale=0.5)
    for a, b in zip((output, weights), again, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        output, jax.nn.dot_product_attention(query, key, value, scale=0.5), rtol=1e-5, atol=1e-5
    )


def test_logits_of_16_bit_inputs_are_in_32():
    layer = layers.MultiHeadAttention(2, 64, dtype="mixed_bfloat16")
    exact = layers.MultiHeadAttention(2, 64)
    x = 3 * RNG.normal(size=(2, 16, 32)).astype("float32")
    layer.build(x.shape, x.shape)
    exact.build(x.shape, x.shape)
    exact.set_weights(layer.get_weights())
    y, weights = layer(x, x, return_attention_scores=True)
    assert y.dtype == weights.dtype == "bfloat16"
    np.testing.assert_allclose(np.float32(y), exact(x, x), rtol=0.1, atol=0.1)


def test_attention_over_an_axis_is_attention_of_each_slice():
    x = RNG.normal(size=(2, 3, 4, 6)).astype("float32")
    layer = layers.MultiHeadAttention(2, 3, attention_axes=2)
    y = np.asarray(layer(x, x, attention_mask=np.tril(np.ones((2, 3, 4, 4), bool))))
    flat = layers.MultiHeadAttention(2, 3)
    flat.build((None, 4, 6), (None, 4, 6))
    flat.set_weights(layer.get_weights())
    part = x.reshape(6, 4, 6)
    np.testing.assert_allclose(
        y.reshape(6, 4, 6), flat(part, part, use_causal_mask=True), rtol=1e-5, atol=1e-5
    )


def test_a_subclass_may_attend_in_another_way():
    class Mean(layers.MultiHeadAttention):
        def _compute_attention(self, query, key, value, attention_mask=None, training=None,
                               return_attention_scores=False):  # fmt: skip
            return jnp.broadcast_to(value.mean(1, keepdims=True), query.shape), None

    layer = Mean(2, 3)
    y = np.asarray(layer(Q, V))
    np.testing.assert_allclose(y, y[:, :1].repeat(4, 1), rtol=1e-6)


def test_names_of_projections_and_their_first_weights():
    layer = layers.MultiHeadAttention(2, 30, name="heads", use_gate=True)
    layer.build((None, 4, 60), (None, 4, 60))
    assert [w.path for w in layer.weights][::2] == [
        f"heads/{part}/kernel" for part in ("query", "key", "gate", "value", "attention_output")
    ]
    query, key = layer.query_dense.kernel.numpy(), layer.key_dense.kernel.numpy()
    assert not np.array_equal(query, key)
    limit = (6 / (60 + 60)) ** 0.5  # 60 features in, 2 heads of 30 out
    assert 0.95 * limit < np.abs(query).max() <= limit
    out = layer.output_dense.kernel.numpy()
    assert out.shape == (2, 30, 60) and 0.95 * limit < np.abs(out).max() <= limit


@pytest.mark.parametrize("equation, sizes", [
    ("abc,cd->abd", (4, 5)), ("abc,bcd->ad", 5), ("...x,xy->...y", 7), ("abc,dc->abd", (4, 7)),
])  # fmt: skip
def test_matrix_products_are_the_equation(equation, sizes):
    layer = layers.EinsumDense(equation, sizes)
    y = layer(Q)
    np.testing.assert_allclose(
        y, np.einsum(equation, Q, layer.kernel.numpy()), rtol=1e-5, atol=1e-5
    )
