"""Modules of other libraries as layers: the numbers of the bare module, and of Keras's layers."""

import copy
import functools
import os
import pickle

os.environ.setdefault("KERAS_BACKEND", "jax")

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax
import pytest
from flax import nnx

import stepfit
from stepfit import layers
from tests.expect import refused

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = X[:, :1] - X[:, 1:2]


# -- the same small net four times: a linear layer, batch norm, dropout, a linear layer -----------


class Linen(nn.Module):
    sows: bool = True  # which Keras's layer does not take

    @nn.compact
    def __call__(self, x, training):
        x = nn.Dense(4)(x)
        x = nn.BatchNorm(use_running_average=not training, momentum=0.9)(x)
        x = nn.Dropout(0.5, deterministic=not training)(x)
        if self.sows:
            self.sow("intermediates", "hidden", x)
        return nn.Dense(1)(x)

    def twice(self, x, training):
        return 2 * self(x, training)


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(3, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.last = nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, x):
        return self.last(self.dropout(self.norm(self.first(x))))


class Equinox(eqx.Module):
    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    last: eqx.nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key)
        self.first, self.last = eqx.nn.Linear(3, 4, key=keys[0]), eqx.nn.Linear(4, 1, key=keys[1])
        self.norm, self.dropout = eqx.nn.BatchNorm(4, "batch", mode="batch"), eqx.nn.Dropout(0.5)

    def __call__(self, x, state, key=None):
        x, state = self.norm(self.first(x), state)
        return self.last(self.dropout(x, key=key)), state


@stepfit.saving.register_keras_serializable("tests")
def init_fn(rng, inputs):
    size = inputs.shape[-1]
    params = {"w": jax.random.normal(rng, (size, 4)), "out": [jnp.ones((4, 1)), 0.5]}
    return params, {"mean": jnp.zeros(4), "seen": 0}


@stepfit.saving.register_keras_serializable("tests")
def call_fn(params, state, rng, inputs, training):
    x = inputs @ params["w"]
    if training:
        mean = x.mean(0)
        state = {"mean": 0.9 * state["mean"] + 0.1 * mean, "seen": state["seen"] + 1}
        x = jnp.where(jax.random.bernoulli(rng, 0.5, x.shape), 2 * (x - mean), 0)
    else:
        x = x - state["mean"]
    weights, bias = params["out"]
    return x @ weights + bias, state


@functools.cache
def linen_variables():
    return Linen().init(jax.random.key(0), X, training=False)


def make(kind, **kwargs):
    if kind == "jax":
        params, state = init_fn(jax.random.key(0), X)
        return layers.JaxLayer(call_fn, init_fn, params=params, state=state, seed=3, **kwargs)
    if kind == "flax":
        return layers.FlaxLayer(Linen(), variables=linen_variables(), seed=3, **kwargs)
    if kind == "nnx":
        return layers.NnxLayer(Nnx(nnx.Rngs(0)), **kwargs)
    module, state = eqx.nn.make_with_state(Equinox)(jax.random.key(0))
    return layers.EquinoxLayer(module, state, seed=3, **kwargs)


def bare(kind, training):
    """Outputs of the module itself, and the leaves of its new state, as the layer has them."""
    key = jnp.array([3, 0], "uint32")  # the first of SeedGenerator(3)
    if kind == "jax":
        return call_fn(*init_fn(jax.random.key(0), X), key, X, training)
    if kind == "flax":
        rngs = {"dropout": key} if training else None
        y, state = Linen().apply(
            linen_variables(), X, training=training, rngs=rngs, mutable=["batch_stats"]
        )
        return y, state
    if kind == "nnx":
        module = Nnx(nnx.Rngs(0))
        module.train() if training else module.eval()
        y = module(X)
        return y, [module.norm.mean[...], module.norm.var[...]]
    module, state = eqx.nn.make_with_state(Equinox)(jax.random.key(0))
    module = eqx.nn.inference_mode(module, not training)
    keys = jax.random.split(key, len(X)) if training else None
    axes = (0, None, 0 if training else None)
    return jax.vmap(module, axes, (0, None), axis_name="batch")(X, state, keys)


KINDS = ("jax", "flax", "nnx", "equinox")
each = pytest.mark.parametrize("kind", KINDS)


@each
@pytest.mark.parametrize("training", [False, True])
def test_the_numbers_of_the_bare_module(kind, training):
    layer = make(kind)
    expected, state = bare(kind, training)
    np.testing.assert_allclose(layer(X, training=training), expected, rtol=1e-5, atol=1e-6)
    states = [v.value for v in layer.tracked_state if "rngs" not in v.path]
    for found, wanted in zip(states, jax.tree.leaves(state), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["jax", "flax"])
def test_the_numbers_and_gradients_of_keras_layers(kind):
    ours = make(kind)
    if kind == "jax":
        theirs = keras.layers.JaxLayer(call_fn, init_fn, seed=3)
    else:
        theirs = keras.layers.FlaxLayer(Linen(sows=False), seed=3)
    theirs.build(X.shape)
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]
    theirs.set_weights(ours.get_weights())

    def results(layer):
        def loss(trainable, frozen):
            y, state = layer.stateless_call(trainable, frozen, X, training=True)
            return jnp.mean((y - Y) ** 2), (y, state)

        groups = layer.trainable_variables, layer.non_trainable_variables
        values = [[v.value for v in group] for group in groups]
        return jax.value_and_grad(loss, has_aux=True)(*values)

    found, expected = results(ours), results(theirs)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    found, expected = ours(X), theirs(X)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


# -- training -------------------------------------------------------------------------------------


class Tape(stepfit.Sequential):
    def train_step(self, data):
        x, y = data
        with stepfit.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables))
        return {"loss": loss}


class Stateless(stepfit.Sequential):
    def train_step(self, state, data):
        x, y = data

        def loss_fn(trainable):
            y_pred, frozen = self.stateless_call(
                trainable, state.non_trainable_variables, x, training=True
            )
            return self.compute_loss(x, y, y_pred), frozen

        (loss, frozen), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.trainable_variables)
        trainable, slots = self.optimizer.stateless_apply(
            state.optimizer_variables, grads, state.trainable_variables
        )
        state = state.replace(self.trainable_variables, trainable)
        state = state.replace(self.non_trainable_variables, frozen)
        return {"loss": loss}, state.replace(self.optimizer, slots)


def fitted(kind, cls=stepfit.Sequential, epochs=2, **kwargs):
    layer = make(kind, **kwargs)
    model = cls([stepfit.Input((3,)), layer])
    model.compile(stepfit.optimizers.SGD(0.1), "mse")
    history = model.fit(X, Y, batch_size=4, epochs=epochs, shuffle=False, verbose=0)
    return model, layer, history.history["loss"]


@functools.cache
def default_fit(kind):
    return fitted(kind)


@each
def test_a_fused_fit_is_that_of_the_bare_module(kind):
    model, layer, losses = default_fit(kind)
    assert "fused" in str(model.execution_report())
    again = make(kind)
    values = [[v.value for v in group]
              for group in (again.trainable_variables, again.non_trainable_variables)]  # fmt: skip
    optimizer = optax.sgd(0.1)
    slots, expected = optimizer.init(values[0]), []

    @jax.jit
    def step(trainable, frozen, slots, x, y):
        def loss(trainable):
            y_pred, new = again.stateless_call(trainable, frozen, x, training=True)
            return jnp.mean((y_pred - y) ** 2), new

        (value, frozen), grads = jax.value_and_grad(loss, has_aux=True)(trainable)
        updates, slots = optimizer.update(grads, slots)
        return value, optax.apply_updates(trainable, updates), frozen, slots

    for _ in range(2):
        found = []
        for i in (0, 4):
            value, *values, slots = step(*values, slots, X[i : i + 4], Y[i : i + 4])
            found.append(float(value))
        expected.append(np.mean(found))
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    variables = layer.trainable_variables + layer.non_trainable_variables
    for found, wanted in zip(variables, values[0] + values[1], strict=True):
        np.testing.assert_allclose(found.value, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind, cls", [("flax", Tape), ("equinox", Stateless)])
def test_both_styles_of_step_train_alike(kind, cls):
    np.testing.assert_allclose(fitted(kind, cls)[2], default_fit(kind)[2], rtol=1e-5)


def test_values_given_stay_the_callers():
    """The engine donates memory, and the layer works on copies."""
    params = {"w": jnp.ones((3, 1))}
    layer = layers.JaxLayer(lambda params, inputs: inputs @ params["w"], params=params)
    model = stepfit.Sequential([stepfit.Input((3,)), layer])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(params["w"], np.ones((3, 1)))
    assert not np.array_equal(layer.params["w"].numpy(), params["w"])
    assert all(leaf is None for leaf in jax.tree.leaves(layer._init_arguments[1].get("params")))


def test_one_layer_in_two_places():
    layer = make("flax")
    inputs = stepfit.Input((3,))
    model = stepfit.Model(inputs, layer(inputs) + layer(2 * inputs))
    assert len(model.trainable_variables) == 6
    np.testing.assert_allclose(model(X), layer(X) + layer(2 * X), rtol=1e-5, atol=1e-6)


@each
def test_frozen_layers_stay_as_they_are(kind):
    layer = make(kind, trainable=False)
    assert not layer.trainable_variables and len(layer.weights) >= 5
    layer.trainable = True
    trained = {id(v) for v in layer.trainable_variables}
    assert trained == {id(v) for v in layer.tracked_params}


# -- shapes, dtypes, copies -----------------------------------------------------------------------


@each
def test_shapes_and_dtypes(kind):
    layer = make(kind, dtype="mixed_bfloat16")
    outputs = layer(stepfit.Input((3,)))
    assert outputs.shape == (None, 1)
    # Statistics are float32, and where they enter a sum, so is the result.
    assert outputs.dtype == ("bfloat16" if kind == "flax" else "float32")
    floats = {v.dtype for v in layer.weights if not v.dtype.startswith(("u", "i", "b"))}
    assert floats == {"float32"}
    layer(X, training=True)
    layer(X, training=True)
    after = [v.value for v in layer.tracked_state if v.dtype == "float32"]
    assert any(v.astype("bfloat16").astype("float32").tolist() != v.tolist() for v in after)
    dense = layers.FlaxLayer(nn.Dense(2), dtype="mixed_bfloat16")
    assert dense(X).dtype == "bfloat16" and dense.weights[0].dtype == "float32"


@each
def test_copies(kind):
    model, layer, _ = default_fit(kind)
    expected = layer(X)
    configured = type(layer).from_config(layer.get_config())
    configured.build((None, 3))
    configured.set_weights(layer.get_weights())
    copies = [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), configured]
    for other in copies:
        np.testing.assert_allclose(other(X), expected, rtol=1e-6)
        assert other.name == layer.name and other.count_params() == layer.count_params()
        assert not {id(v) for v in other.variables} & {id(v) for v in layer.variables}


@pytest.mark.parametrize("kind", ["nnx", "equinox"])
def test_the_module_with_the_weights_of_now(kind):
    layer = default_fit(kind)[1]
    expected = layer(X)
    if kind == "nnx":
        module = layer.module
        module.eval()
        found = module(X)
    else:
        module = eqx.nn.inference_mode(layer.module)
        state = jax.tree.map(lambda v: v, layer.state)  # Variables become arrays
        found, _ = jax.vmap(module, (0, None), (0, None), axis_name="batch")(X, state)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_variables_of_a_linen_module():
    layer = default_fit("flax")[1]
    variables = jax.tree.map(lambda v: v, {**layer.params, **layer.state})
    found = Linen().apply(variables, X, training=False)
    np.testing.assert_allclose(found, layer(X), rtol=1e-6)
    assert layer.tracked_params[0].path.endswith("/params/BatchNorm_0/bias")


class Table(nn.Module):
    """Looks integers up, and takes several inputs: other shapes than the small net."""

    def setup(self):
        self.table = nn.Embed(7, 2)

    def __call__(self, inputs):
        return self.table(inputs["index"]) * inputs["scale"]

    def looked_up(self, inputs):
        return self.table(inputs)


def test_modules_of_several_inputs_and_integers():
    layer = layers.FlaxLayer(Table())
    inputs = {"index": stepfit.Input((4,), dtype="int32"), "scale": stepfit.Input((4, 1))}
    assert layer(inputs).shape == (None, 4, 2)
    other = layers.FlaxLayer(Table(), method=Table.looked_up)
    found = other(np.array([[6, 0]]))
    np.testing.assert_array_equal(found[0, 0], other.params["params"]["table"]["embedding"][6])
    assert other.get_config()["method"] == "looked_up"


@pytest.mark.parametrize("method", ["twice", Linen.twice, Linen().twice,
                                    lambda m, x, training: 2 * m(x, training)])  # fmt: skip
def test_methods(method):
    layer = layers.FlaxLayer(Linen(), method=method, variables=linen_variables())
    np.testing.assert_allclose(layer(X), 2 * make("flax")(X), rtol=1e-6)


def test_an_equinox_module_of_whole_batches():
    module = eqx.nn.Linear(3, 2, key=jax.random.key(0))
    layer = layers.EquinoxLayer(eqx.nn.Lambda(lambda x: x.T), vmap=False)
    np.testing.assert_array_equal(layer(X), X.T)
    np.testing.assert_allclose(layers.EquinoxLayer(module)(X), jax.vmap(module)(X), rtol=1e-6)


def test_a_function_without_params_and_one_with_init_fn_alone():
    assert layers.JaxLayer(lambda inputs: 2 * inputs)(X).shape == X.shape
    stepfit.utils.set_random_seed(1)
    layer = layers.JaxLayer(call_fn, init_fn)
    assert layer(stepfit.Input((5,))).shape == (None, 1)
    assert [v.shape for v in layer.weights] == [(4, 1), (), (5, 4), (4,), ()]
    again = layers.JaxLayer(call_fn, init_fn)
    again.build((None, 5))
    assert not np.array_equal(again.params["w"], layer.params["w"])


# -- errors ---------------------------------------------------------------------------------------


def called(*args, params=None, state=None, call=None, init=None):
    return layers.JaxLayer(call, init, params=params, state=state, name="mine")(*args)


ERRORS = [
    (lambda: called(call="net"), TypeError,
     "JaxLayer(call_fn): expected a function, found 'net'; decorate it with "
     "@keras.saving.register_keras_serializable() to load it by name."),
    (lambda: called(call=lambda params, x: x), ValueError,
     "JaxLayer(call_fn): expected the name of an argument, found 'x'; known names: 'inputs', "
     "'params', 'rng', 'state', 'training'."),
    (lambda: called(call=lambda param, inputs: inputs), ValueError,
     "JaxLayer(call_fn): expected the name of an argument, found 'param'; did you mean 'params'?"),
    (lambda: called(call=lambda params: params, params=1.0), ValueError,
     "JaxLayer(call_fn): expected an argument 'inputs', found (params)."),
    (lambda: called(call=call_fn, init=lambda key, inputs: 0), ValueError,
     "JaxLayer(init_fn): expected the name of an argument, found 'key'; known names: 'inputs', "
     "'rng', 'training'."),
    (lambda: called(call=call_fn), ValueError,
     "JaxLayer(init_fn): expected init_fn or params, since call_fn takes 'params', found neither; "
     "pass init_fn=..., a function of (rng, inputs), or params=...."),
    (lambda: called(X, call=call_fn, init=lambda inputs: {}), ValueError,
     "JaxLayer 'mine' init_fn: expected (params, state), since call_fn takes 'state', found dict "
     "with keys []."),
    (lambda: called(X, call=lambda state, inputs: inputs, state=0.0), ValueError,
     "JaxLayer 'mine' call_fn: expected (outputs, state), since call_fn takes 'state', found "
     "float32[8,3]."),
    (lambda: called(X, call=lambda state, inputs: (inputs, {"b": 0.0}), state={"a": 0.0}),
     ValueError,
     "JaxLayer 'mine' new state: expected the structure that the state had at first, found another "
     "one; they differ at 'a'."),
    (lambda: called(X, call=lambda state, inputs: (inputs, inputs), state=0.0), ValueError,
     "Variable 'mine/variable': expected a value of shape (), found shape (8, 3)."),
    (lambda: layers.FlaxLayer(Nnx(nnx.Rngs(0))), TypeError,
     "FlaxLayer(module): expected a flax.linen.Module, found an object of type Nnx; NnxLayer takes "
     "modules of flax.nnx."),
    (lambda: layers.NnxLayer(Linen()), TypeError,
     "NnxLayer(module): expected a flax.nnx.Module, found an object of type Linen; FlaxLayer takes "
     "modules of flax.linen."),
    (lambda: layers.EquinoxLayer(3), TypeError,
     "EquinoxLayer(module): expected an equinox.Module, found 3."),
    (lambda: layers.EquinoxLayer(eqx.nn.BatchNorm(4, "batch", mode="ema")), ValueError,
     "EquinoxLayer(state): expected the state that the module needs, found None; make both with "
     "eqx.nn.make_with_state(...)(...)."),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(ERRORS)))
def test_errors(case):
    run, kind, text = ERRORS[case]
    refused(run, kind, text)


def test_a_package_that_is_not_installed(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "flax.linen", None)
    with pytest.raises(ImportError) as caught:
        layers.FlaxLayer(3)
    assert "pip install 'stepfit[flax]'" in str(caught.value)
