"""Mixed precision: numbers as exact as Keras's, in Keras's dtypes, in layers and through fit."""

import functools
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import stepfit

FAST = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
RNG = np.random.default_rng(0)
SEQ, IMG = (RNG.normal(size=s).astype("float32") for s in ((4, 6, 8), (4, 6, 6, 3)))
IDS = RNG.integers(0, 9, (4, 6)).astype("int32")

CASES = {  # name -> (class, settings, inputs, whether it is called in training)
    "dense": ("Dense", {"units": 5, "activation": "softmax"}, SEQ, False),
    "conv": ("Conv2D", {"filters": 4, "kernel_size": 3}, IMG, False),
    "batch norm": ("BatchNormalization", {}, 3 + IMG, True),
    "moving statistics": ("BatchNormalization", {}, IMG, False),
    "layer norm": ("LayerNormalization", {}, SEQ, False),
    "rms norm": ("RMSNormalization", {}, SEQ, False),
    "large logits": ("Softmax", {}, 40 * SEQ, False),
    "pooling": ("GlobalAveragePooling2D", {}, 100 + IMG, False),
    "attention": ("MultiHeadAttention", {"num_heads": 2, "key_dim": 4}, SEQ, False),
    "lstm": ("LSTM", {"units": 4, "seed": 1}, SEQ, False),
    "embedding": ("Embedding", {"input_dim": 9, "output_dim": 4}, IDS, False),
}
POLICIES = {"mixed_bfloat16": 2**-7, "mixed_float16": 2**-10}  # -> relative rounding


def made(k, name, policy):
    cls, settings, x, _ = CASES[name]
    layer = getattr(k.layers, cls)(**settings, dtype=policy)
    arguments = (x, x) if name == "attention" else (x,)
    layer.build(*(a.shape for a in arguments))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.uniform(0.2, 1, w.shape) for w in layer.weights])
    return layer, arguments


def step(layer, arguments, training):
    """Outputs, state and gradients of a loss in float32."""
    k = stepfit if isinstance(layer, stepfit.layers.Layer) else keras

    def forward(trainable, frozen):  # a layer of Keras's casts in `__call__`, not in stateless_call
        pairs = [*zip(layer.trainable_variables, trainable, strict=True),
                 *zip(layer.non_trainable_variables, frozen, strict=True)]  # fmt: skip
        with k.StatelessScope(pairs) as scope:
            y = layer(*arguments, **training)
        state = [scope.get_current_value(v) for v in layer.non_trainable_variables]
        return jnp.mean(y.astype("float32") ** 2), (y, state)

    groups = layer.trainable_variables, layer.non_trainable_variables
    values = [[v.value for v in group] for group in groups]
    return functools.partial(jax.value_and_grad(forward, has_aux=True), *values)


@functools.cache
def results(policy):
    """Of every case: ours in float32, ours and Keras's under the policy."""
    jobs = {}
    for name, (_, _, _, trains) in CASES.items():
        training = {"training": True} if trains else {}
        # Keras's attention has no gradient in float16 on the CPU.
        other = stepfit if (name, policy) == ("attention", "mixed_float16") else keras
        pairs = ((stepfit, "float32"), (stepfit, policy), (other, policy))
        jobs[name] = [step(*made(k, name, dtype), training) for k, dtype in pairs]

    @functools.partial(jax.jit, compiler_options=FAST)
    def everything():
        return {name: [run() for run in runs] for name, runs in jobs.items()}

    return everything()


def error(x, exact):
    x, exact = (np.asarray(a, "float64") for a in (x, exact))
    return np.abs(x - exact).max() / np.abs(exact).max()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", CASES)
def test_layers_are_as_exact_as_keras(name, policy):
    exact, ours, theirs = results(policy)[name]
    for right, a, b in zip(*map(jax.tree.leaves, (exact, ours, theirs)), strict=True):
        assert a.dtype == b.dtype and np.isfinite(np.asarray(a, "float32")).all()
        assert error(a, right) <= max(1.5 * error(b, right), POLICIES[policy])


# -- casting --------------------------------------------------------------------------------------

LAYERS = {
    "Dense": {"units": 2}, "Embedding": {"input_dim": 2, "output_dim": 2}, "Identity": {},
    "BatchNormalization": {}, "Rescaling": {"scale": 0.5}, "MaxPooling1D": {},
}  # fmt: skip
DTYPES = ("float32", "float64", "float16", "bfloat16", "int32", "uint8", "bool")


@pytest.mark.parametrize("cls", LAYERS)
def test_inputs_are_cast_as_in_keras(cls):
    for policy in ("float32", "mixed_float16", "bfloat16"):
        layers = [getattr(k.layers, cls)(**LAYERS[cls], dtype=policy) for k in (stepfit, keras)]
        for dtype in DTYPES:
            x = np.ones((2, 4, 3)).astype("float32" if dtype == "bfloat16" else dtype)
            x = jnp.asarray(x, dtype) if dtype == "bfloat16" else x
            ours, theirs = (jax.eval_shape(layer, x).dtype for layer in built(layers))
            assert ours == theirs, (policy, dtype)


def built(layers):
    for layer in layers:
        if not layer.built:
            layer.build((None, 4, 3))
    return layers


def test_only_floats_are_cast_and_only_where_autocast_is_on():
    class Look(stepfit.layers.Layer):
        def call(self, x, other=None, count=None):
            self.seen = [a.dtype.name for a in (x["a"], x["b"], other)] + [type(count)]
            return x["a"]

    ones = np.ones(2)
    for autocast, expected in ((True, "float16"), (False, "float32")):
        look = Look(dtype="mixed_float16", autocast=autocast)
        look({"a": ones, "b": np.ones(2, "int8")}, other=np.ones(2, "float32"), count=1.0)
        assert look.seen == [expected, "int8", expected, float]


def test_losses_and_metrics_stay_in_float32():
    y, y_pred = jnp.full((4096, 1), 300.0, "float16"), jnp.zeros((4096, 1), "float16")
    assert stepfit.losses.MeanSquaredError()(y, y_pred) == 90_000  # float16 ends at 65504
    metric = stepfit.metrics.MeanSquaredError()
    metric.update_state(y, y_pred)
    assert metric.result().dtype == "float32" and metric.result() == 90_000


def test_double_precision():
    with jax.enable_x64(True):
        layers = [k.layers.Dense(2, dtype="float64") for k in (stepfit, keras)]
        built(layers)
        layers[1].set_weights(layers[0].get_weights())
        x = np.random.default_rng(0).normal(size=(2, 3))
        ours, theirs = (layer(x) for layer in layers)
        assert ours.dtype == theirs.dtype == "float64"
        np.testing.assert_allclose(ours, theirs, rtol=1e-15)


# -- training -------------------------------------------------------------------------------------

X = RNG.normal(size=(64, 8)).astype("float32")
Y = RNG.integers(0, 3, 64).astype("int32")


def fitted(k, policy, optimizer):
    k.config.set_dtype_policy(policy)
    try:
        model = k.Sequential([
            k.Input((8,)),
            k.layers.Dense(16, activation="gelu"),
            k.layers.BatchNormalization(),
            k.layers.Dense(3),
            k.layers.Activation("softmax", dtype="float32"),
        ])  # fmt: skip
    finally:
        k.config.set_dtype_policy("float32")
    rng = np.random.default_rng(2)
    model.set_weights([rng.uniform(0.1, 0.5, w.shape) for w in model.weights])
    model.compile(optimizer(k), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(X, Y, batch_size=16, epochs=3, shuffle=False, verbose=0)
    return model, history.history


OPTIMIZERS = {
    "adam": lambda k: k.optimizers.Adam(0.01),
    "scaled, too high at first": lambda k: k.optimizers.LossScaleOptimizer(
        k.optimizers.SGD(0.1), initial_scale=2.0**24, dynamic_growth_steps=3
    ),
}


@pytest.mark.parametrize(
    "policy, optimizer",
    [("mixed_bfloat16", "adam"), ("mixed_float16", "scaled, too high at first")],
)
def test_fit_is_that_of_keras(policy, optimizer):
    ours, found = fitted(stepfit, policy, OPTIMIZERS[optimizer])
    theirs, expected = fitted(keras, policy, OPTIMIZERS[optimizer])
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=4 * POLICIES[policy])
    if policy == "mixed_float16":
        scales = [float(np.asarray(m.optimizer.dynamic_scale)) for m in (ours, theirs)]
        steps = [int(m.optimizer.inner_optimizer.iterations) for m in (ours, theirs)]
        assert scales[0] == scales[1] and steps[0] == steps[1]
        assert (steps[0] < 12) == (optimizer != "adam")  # some were left out
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        assert a.dtype == b.dtype == "float32"
        np.testing.assert_allclose(a, b, rtol=0.1, atol=20 * POLICIES[policy])


def test_policies_of_single_layers():
    """A path in a DTypePolicyMap, an instance, or a name: each layer computes in its own dtype."""
    policies = stepfit.dtype_policies.DTypePolicyMap("mixed_bfloat16")
    policies["net/head"] = stepfit.DTypePolicy("float32")
    model = stepfit.Sequential([
        stepfit.Input((8,)), stepfit.layers.Dense(4, dtype=policies, name="body"),
        stepfit.layers.Dense(4, dtype="mixed_float16", name="middle"),
        stepfit.layers.Dense(3, dtype=policies, name="head"),
    ], name="net")  # fmt: skip
    assert [layer.output.dtype for layer in model.layers] == ["bfloat16", "float16", "float32"]
    assert {v.dtype for v in model.weights} == {"float32"}
    assert model.layers[0](X).dtype == "bfloat16" and model(X).dtype == "float32"
