"""A call of a model on arrays: compiled where that changes nothing, op by op everywhere else."""

import concurrent.futures
import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stepfit as keras
from stepfit import layers
from stepfit.layers.layer import Layer


def mlp():
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(5, "relu"), layers.Dropout(0.5), layers.Dense(3)]
    )


def cnn():
    return keras.Sequential([
        keras.Input((8, 8, 1)), layers.Conv2D(3, 3, activation="relu"),
        layers.BatchNormalization(), layers.MaxPooling2D(), layers.Flatten(),
        layers.GaussianNoise(0.5), layers.Dense(2),
    ])  # fmt: skip


def two_by_two():
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b", dtype="int32")
    joined = layers.Add()([layers.Dense(3)(a), keras.ops.cast(b, "float32") * 2])
    outputs = {"sum": joined, "norm": layers.LayerNormalization()(joined)}
    return keras.Model({"a": a, "b": b}, outputs)


def nested():
    x = keras.Input((4,))
    return keras.Model(x, [mlp()(x), keras.ops.relu(x)])


def masked():
    x = keras.Input((5, 2))
    return keras.Model(x, layers.Dense(3)(layers.Masking()(x)))


def mixed():
    return keras.Sequential([
        keras.Input((4,)), layers.Dense(3, dtype="mixed_bfloat16"), layers.BatchNormalization(),
    ])  # fmt: skip


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


ROWS = {
    "mlp": (mlp, normal(6, 4)),
    "mlp, float64": (mlp, normal(6, 4).astype("float64")),
    "mlp, a jax array": (mlp, jnp.asarray(normal(6, 4))),
    "cnn": (cnn, normal(2, 8, 8, 1)),
    "dicts": (two_by_two, {"a": normal(6, 3), "b": np.arange(18).reshape(6, 3)}),
    "nested": (nested, normal(6, 4)),
    "masked": (masked, normal(2, 5, 2) * np.array([1, 1, 0, 1, 0])[:, None]),
    "mixed": (mixed, normal(6, 4)),
}
TRAINING = [{}, {"training": False}, {"training": True}]


@pytest.mark.parametrize("kwargs", TRAINING, ids=str)
@pytest.mark.parametrize("make, x", ROWS.values(), ids=ROWS)
def test_as_op_by_op(make, x, kwargs):
    cached = make()
    plain = copy.deepcopy(cached)
    tolerance = 2e-2 if make is mixed else 1e-5
    for _ in range(3):  # state moves on from call to call
        found, wanted = cached(x, **kwargs), Layer.__call__(plain, x, **kwargs)
        assert jax.tree.structure(found) == jax.tree.structure(wanted)
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            np.testing.assert_allclose(a, b, atol=tolerance, rtol=tolerance)
            masks = [getattr(y, "_keras_mask", None) for y in (a, b)]
            assert (masks[0] is None) == (masks[1] is None)
            if masks[0] is not None:
                np.testing.assert_array_equal(*masks)
        for v, w in zip(cached.variables, plain.variables, strict=True):
            np.testing.assert_allclose(v.numpy(), w.numpy(), atol=tolerance, err_msg=v.path)
    assert cached._cached_call.traces == 1
    assert plain._cached_call.traces == 0


def test_one_trace_per_shape_and_training():
    model = mlp()
    for _ in range(2):
        for size in (1, 7):
            for kwargs in TRAINING[1:]:
                model(normal(size, 4), **kwargs)
    assert model._cached_call.traces == 4


def test_new_values_are_used_and_nothing_is_traced_anew():
    model = mlp()
    model.compile("sgd", "mse")
    model.train_on_batch(normal(6, 4), normal(6, 3))
    x = normal(6, 4)
    before = model(x)
    model.layers[0].kernel.assign(model.layers[0].kernel * 0)
    model.layers[0].bias.assign(model.layers[0].bias * 0)
    np.testing.assert_allclose(model(x), np.broadcast_to(model.layers[2].bias, (6, 3)))
    model.train_on_batch(x, normal(6, 3))
    model.fit(x, normal(6, 3), verbose=0)
    np.testing.assert_allclose(model(x), model.predict(x, verbose=0), rtol=1e-6)
    assert float(abs(before - model(x)).max()) > 0
    mlp()  # something else in the process
    model(x)
    assert model._cached_call.traces == 1


def freeze(model):
    model.layers[1].trainable = False


CHANGES = {
    "an argument": (mlp, lambda m: setattr(m.layers[1], "rate", 0.0), True),
    "a flag that a layer reads": (cnn, freeze, True),
    "a layer more": (mlp, lambda m: m.add(layers.Rescaling(3.0)), False),
    "a layer less": (mlp, lambda m: m.pop(), False),
    "an activation": (mlp, lambda m: setattr(m.layers[0], "activation", jnp.tanh), False),
}


@pytest.mark.parametrize("make, change, training", CHANGES.values(), ids=CHANGES)
def test_what_is_changed_takes_effect(make, change, training):
    x = normal(2, *make().input_shape[1:])
    model = make()
    model(x, training=training)
    change(model)
    plain = copy.deepcopy(model)
    found, wanted = model(x, training=training), Layer.__call__(plain, x, training=training)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    for v, w in zip(model.variables, plain.variables, strict=True):
        np.testing.assert_allclose(v.numpy(), w.numpy(), atol=1e-5)
    assert model._cached_call.traces == 2


class Counting(layers.Layer):
    calls = 0

    def call(self, x):
        type(self).calls += 1
        return x


class Squash:
    def __call__(self, x):
        Counting.calls += 1
        return jnp.tanh(x)


def count(x):
    Counting.calls += 1
    return x


counted_op = keras.op(count, name="count")


def with_operation():
    x = keras.Input((4,))
    return keras.Model(x, counted_op(x))


def chain(*found):
    return keras.Sequential([keras.Input((4,)), *found])


class OwnCall(keras.Sequential):
    def call(self, inputs, training=None, mask=None):
        Counting.calls += 1
        return super().call(inputs)


def patched():
    model = chain(layers.Dense(2))
    model.layers[0].call = count
    return model


def eagerly():
    model = chain(layers.Dense(2), Counting())
    model.compile(run_eagerly=True)
    return model


SIDE_EFFECTS = {
    "a layer": lambda: chain(Counting()),
    "a layer inside": lambda: chain(chain(Counting())),
    "a function": lambda: chain(layers.Function(count)),
    "an activation": lambda: chain(layers.Dense(4, activation=count)),
    "an activation of a class": lambda: chain(layers.Activation(Squash())),
    "an operation": with_operation,
    "an own call": lambda: OwnCall([keras.Input((4,)), layers.Dense(2)]),
    "a patched layer": patched,
    "run_eagerly": eagerly,
}


@pytest.mark.parametrize("make", SIDE_EFFECTS.values(), ids=SIDE_EFFECTS)
def test_what_the_user_wrote_runs_at_each_call(make):
    model = make()
    before = Counting.calls
    for _ in range(3):
        model(normal(2, 4))
    assert Counting.calls == before + 3
    assert model._cached_call.traces == 0


HELD = {
    "list": [count], "dict": {"f": (count,)}, "array": np.ones(3), "list of arrays": [np.ones(3)],
}  # fmt: skip


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
def test_what_a_layer_holds_may_be_called_or_change(held):
    model = chain(layers.Dense(2))
    model.layers[0].held = held
    model(normal(2, 4))
    assert model._cached_call.traces == 0


def fails(call):
    with pytest.raises(Exception) as caught:
        call()
    return type(caught.value), str(caught.value), getattr(caught.value, "__notes__", None)


MISTAKES = {
    "a shape": (mlp, normal(6, 5), {}),
    "a rank": (cnn, normal(6, 8), {}),
    "a key": (two_by_two, {"a": normal(2, 3)}, {}),
    "an argument": (mlp, normal(6, 4), {"trainig": True}),
    "an index": (
        lambda: keras.Sequential([keras.Input((2,)), layers.Embedding(4, 2)]),
        np.array([[1, 4]]), {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("make, x, kwargs", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_read_the_same_and_spoil_nothing(make, x, kwargs):
    model = make()
    names = copy.deepcopy(model)  # of the same names
    assert fails(lambda: model(x, **kwargs)) == fails(lambda: Layer.__call__(names, x, **kwargs))
    if make is mlp:
        traces = model._cached_call.traces
        model(normal(6, 4))
        model(normal(6, 4))
        assert model._cached_call.traces == traces + 1


def test_randomness_without_a_seed_differs_from_call_to_call():
    x = keras.Input((4,))
    model = keras.Model(x, keras.random.dropout(x, 0.5))
    ones = np.ones((2, 40), "float32")[:, :4]
    drawn = {np.asarray(model(ones)).tobytes() for _ in range(30)}
    assert len(drawn) > 10


def test_threads_that_share_a_model_draw_different_numbers():
    model = keras.Sequential([layers.RandomRotation(0.2), layers.RandomZoom(0.2)])
    x = normal(8, 8, 3)
    model(x)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda _: np.asarray(model(x, training=True)).tobytes(), range(100))
        assert len(set(found)) == 100


def test_losses_of_a_call_are_kept():
    model = chain(layers.Dense(2, kernel_initializer="ones"), layers.ActivityRegularization(l1=1.0))
    model(np.ones((2, 4), "float32"))
    model(np.ones((1, 4), "float32"))
    assert [float(loss) for loss in model.losses] == [8.0]


def test_calls_inside_something_else_are_part_of_it():
    model, x = mlp(), normal(6, 4)
    wanted = model(x)
    gradient = jax.grad(lambda x: jnp.sum(model(x)))(jnp.asarray(x))
    assert float(abs(gradient).max()) > 0
    np.testing.assert_allclose(jax.jit(model)(x), wanted, rtol=1e-5)
    with keras.GradientTape() as tape:
        loss = jnp.sum(model(x) ** 2)
    found = tape.gradient(loss, model.trainable_variables)
    assert all(g is not None for g in found)
    zeros = [jnp.zeros(v.shape) for v in model.variables]
    with keras.StatelessScope(zip(model.variables[:4], zeros[:4], strict=True)):
        assert float(abs(model(x)).max()) == 0
    with jax.disable_jit():
        np.testing.assert_allclose(model(x), wanted, rtol=1e-5)
    assert model._cached_call.traces == 1


@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_have_calls_of_their_own(again):
    model, x = mlp(), normal(6, 4)
    wanted = model(x)
    other = again(model)
    np.testing.assert_allclose(other(x), wanted)
    other.layers[2].bias.assign(np.ones(3))
    np.testing.assert_allclose(model(x), wanted)
    np.testing.assert_allclose(other(x), wanted + 1, rtol=1e-6)
    assert (model._cached_call.traces, other._cached_call.traces) == (1, 1)
