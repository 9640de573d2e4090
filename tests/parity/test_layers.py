"""Every row of the table against real Keras, and against what every layer must do."""

import functools
import inspect
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from stepfit import layers
from stepfit.core import masks, registry
from tests.parity.layers import ROWS, Made
from tests.parity.properties import in_json, without_row

BY_ID = {row.id: row for row in ROWS}
assert len(BY_ID) == len(ROWS), "two rows are the same"
each_row = pytest.mark.parametrize("row_id", list(BY_ID), ids=list(BY_ID))


def inputs_of(row, seed=0):
    rng = np.random.default_rng(seed)

    def one(shape):
        if row.integers:
            return rng.integers(0, row.integers, shape).astype("int32")
        return rng.normal(size=shape).astype("float32")

    return [one(s) for s in row.shapes] if isinstance(row.shapes, list) else one(row.shapes)


def shapes_of(row):
    """The row's shapes with an unknown batch."""
    if isinstance(row.shapes, list):
        return [(None, *s[1:]) for s in row.shapes]
    return (None, *row.shapes[1:])


def make(row, module=layers, **more):
    """The row's layer; initial weights are zeros, which compile faster (the tests set others)."""
    cls = getattr(module, row.cls)
    names = inspect.signature(cls.__init__).parameters
    cheap = {n: "zeros" for n in names if n.endswith("_initializer")}
    given = {k: inner(v, module, more) for k, v in row.kwargs.items()}
    return cls(**{**cheap, **given, **more})


def inner(value, module, more):
    """A setting: layers in it are made, of the same library and with the same dtype."""
    if isinstance(value, list):
        return [inner(v, module, more) for v in value]
    return make(value, module, **more) if isinstance(value, Made) else value


def arguments_of(row, x):
    """The positional arguments of a call."""
    return x if row.spread else [x]


FAST_COMPILE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def call(layer, trainable, frozen, args, **extra):
    """A call as a pure function: outputs, state, losses."""
    if isinstance(layer, layers.Layer):
        y, state, losses = layer.stateless_call(
            trainable, frozen, *args, return_losses=True, **extra
        )
        return y, state, list(losses)
    # Keras's own stateless_call leaves out the layer's activity regularizer.
    pairs = [*zip(layer.trainable_variables, trainable, strict=True),
             *zip(layer.non_trainable_variables, frozen, strict=True)]  # fmt: skip
    with keras.StatelessScope(pairs, collect_losses=True) as scope:
        y = layer(*args, **extra)
        losses = layer.losses
    return y, [scope.get_current_value(v) for v in layer.non_trainable_variables], losses


def step_of(layer, row, training, differentiable, traces):
    """Make the function that gives a layer's value, outputs, state, losses and gradients."""

    def forward(trainable, frozen, x):
        traces.append(1)
        y, state, losses = call(layer, trainable, frozen, arguments_of(row, x), **training)
        value = sum(losses)
        for part in jax.tree.leaves(y):
            weights = jnp.cos(jnp.arange(part.size, dtype="float32")).reshape(part.shape)
            value += jnp.sum(weights * part)
        return value, (y, state, losses)

    return jax.value_and_grad(forward, argnums=(0, 2) if differentiable else 0, has_aux=True)


def mask_for(x):
    """Steps that count; each sample has one."""
    return (np.random.default_rng(5).random(x.shape[:2]) > 0.4) | (np.arange(x.shape[1]) == 0)


def takes_masks(row):
    shapes = row.shapes if isinstance(row.shapes, list) else [row.shapes]
    return row.masked and not row.integers and all(len(shape) > 2 for shape in shapes)


def masked_step_of(layer, row):
    """Make the function that gives outputs and their masks, of inputs with masks."""
    theirs = keras.src.backend.common.masking
    put, look = {True: (masks.set_mask, masks.get_mask),
                 False: (theirs.set_keras_mask, theirs.get_keras_mask)}[
        isinstance(layer, layers.Layer)]  # fmt: skip
    uses = "mask" in inspect.signature(getattr(layers, row.cls).call).parameters

    def forward(trainable, frozen, x):
        x = jax.tree.map(lambda a: a + 0, x)  # tensors of their own, to put masks on
        for a in jax.tree.leaves(x):
            put(a, jnp.asarray(mask_for(a)))
        y = call(layer, trainable, frozen, arguments_of(row, x), **row.extra)[0]
        return (y if uses else None), [look(part) for part in jax.tree.leaves(y)]

    return forward


def values_of(layer):
    return ([v.value for v in layer.trainable_variables],
            [v.value for v in layer.non_trainable_variables])  # fmt: skip


@functools.cache
def pair(row_id):
    """Real Keras's layer and ours, built, with the same weights."""
    row = BY_ID[row_id]
    theirs, ours = make(row, keras.layers), make(row)
    x = inputs_of(row)
    shapes = [s.shape for s in x] if isinstance(x, list) else x.shape
    theirs.build(*arguments_of(row, shapes))
    ours.compute_output_shape(*arguments_of(row, shapes_of(row)))
    rng = np.random.default_rng(1)
    weights = [rng.uniform(0.2, 1.0, w.shape).astype("float32") for w in theirs.weights]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    return theirs, ours, x


def close(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)  # losses and state too
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


CHUNK = 12  # rows compiled together: one compilation is cheaper than one per row and library


@functools.cache
def run_chunk(number):
    """Results of both libraries for CHUNK rows, from one compiled function that is called twice.

    Returns ``{row id: {how: (ours, theirs)}}``, one pair for each value of `training` that is
    tried and one for "masked", and how often each of our layers was traced.
    """
    jobs, arguments, traces = [], [], {}
    for row in ROWS[number * CHUNK : (number + 1) * CHUNK]:
        theirs, ours, x = pair(row.id)
        differentiable = all(a.dtype == np.float32 for a in jax.tree.leaves(x))
        takes = "training" in inspect.signature(theirs.call).parameters
        for training in (False, True) if row.train else (False,):
            key = row.id, training
            traces[key] = []
            flag = {**({"training": training} if takes else {}), **row.extra}
            steps = [step_of(ours, row, flag, differentiable, traces[key]),
                     step_of(theirs, row, flag, differentiable, [])]  # fmt: skip
            jobs.append((key, steps))
            arguments.append([(*values_of(layer), x) for layer in (ours, theirs)])
        if takes_masks(row) and ours.supports_masking:
            jobs.append(((row.id, "masked"), [masked_step_of(m, row) for m in (ours, theirs)]))
            arguments.append(arguments[-1])

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def everything(arguments):
        return [
            [step(*args) for step, args in zip(steps, both, strict=True)]
            for (_, steps), both in zip(jobs, arguments, strict=True)
        ]

    everything(arguments)
    results = {}
    for ((row_id, how), _), both in zip(jobs, everything(arguments), strict=True):
        results.setdefault(row_id, {})[how] = both
    return results, traces


@each_row
def test_numbers_and_gradients_are_keras(row_id):
    theirs, ours, _ = pair(row_id)
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    results, traces = run_chunk(ROWS.index(BY_ID[row_id]) // CHUNK)
    for how, (found, expected) in results[row_id].items():
        if how != "masked":
            close(found, expected)
    assert {len(t) for (name, _), t in traces.items() if name == row_id} == {1}


@each_row
def test_masks_are_keras(row_id):
    theirs, ours, _ = pair(row_id)
    assert ours.supports_masking == theirs.supports_masking
    found = run_chunk(ROWS.index(BY_ID[row_id]) // CHUNK)[0][row_id].get("masked")
    if found:
        (y, mask), (their_y, their_mask) = found
        close(y, their_y)
        if "return_attention_scores" in BY_ID[row_id].extra:  # on the scores, Keras's has one too
            mask, their_mask = mask[:1], their_mask[:1]
        close(mask, their_mask)


@each_row
def test_shapes_are_inferred_with_an_unknown_batch(row_id):
    theirs, ours, _ = pair(row_id)
    shapes = arguments_of(BY_ID[row_id], shapes_of(BY_ID[row_id]))
    assert ours.compute_output_shape(*shapes) == tuple(theirs.compute_output_shape(*shapes))


def plain(layer):
    """A layer's config after a stay in a JSON file."""
    return in_json(layer.get_config())


@each_row
def test_config_round_trip(row_id):
    row = BY_ID[row_id]
    _, ours, x = pair(row_id)
    config = plain(ours)
    again = type(ours).from_config(config)
    shapes = arguments_of(row, shapes_of(row))
    assert again.compute_output_shape(*shapes) == ours.compute_output_shape(*shapes)
    assert plain(again) == config and again.name == ours.name  # both built: so do inner layers say
    again.set_weights(ours.get_weights())
    assert [w.shape for w in again.weights] == [w.shape for w in ours.weights]
    assert plain(registry.deserialize(registry.serialize(ours))) == config


@each_row
@pytest.mark.parametrize(
    "policy, compute, store",
    [("mixed_bfloat16", "bfloat16", "float32"), ("float16", "float16", "float16")],
)
def test_dtype_policies(row_id, policy, compute, store):
    row = BY_ID[row_id]
    layer = make(row, dtype=policy)
    layer.compute_output_shape(*arguments_of(row, shapes_of(row)))
    for variable in layer.weights:
        assert variable.dtype == store, variable.path
    values = [v.value for v in layer.trainable_variables]
    frozen = [v.value for v in layer.non_trainable_variables]
    training = {"training": True} if row.train or row.random else {}
    out, state = jax.eval_shape(
        lambda t, n, x: layer.stateless_call(t, n, *arguments_of(row, x), **training, **row.extra),
        values, frozen, inputs_of(row),
    )  # fmt: skip
    assert {y.dtype.name for y in jax.tree.leaves(out)} == {compute}
    assert [s.dtype for s in state] == [v.dtype for v in frozen]


RANDOM = [row.id for row in ROWS if row.random]


@functools.cache
def run_random():
    """Three calls of each random layer in training: the same state twice, then the next state."""
    found = {row_id: pair(row_id)[1:] for row_id in RANDOM}

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def everything(states):
        results = {}
        for row_id, (layer, x) in found.items():
            first, state = layer.stateless_call([], states[row_id], x, training=True)
            again, _ = layer.stateless_call([], states[row_id], x, training=True)
            second, _ = layer.stateless_call([], state, x, training=True)
            results[row_id] = first, again, second
        return results

    return everything({row_id: values_of(layer)[1] for row_id, (layer, _) in found.items()})


@pytest.mark.parametrize("row_id", RANDOM)
def test_random_layers(row_id):
    _, layer, x = pair(row_id)
    assert [v.dtype for v in layer.non_trainable_variables] == ["uint32"]  # the seed's state
    first, again, second = run_random()[row_id]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second) and not np.array_equal(first, x)
    assert first.shape == x.shape


SKIPPED = {"gptq_unpacked_column_size", "lora_rank", "lora_alpha", "quantization_config",
           "renorm", "renorm_clipping", "renorm_momentum", "kwargs", "self", "name"}  # fmt: skip


@pytest.mark.parametrize("cls", sorted({row.cls for row in ROWS}))
def test_constructor_signature_is_keras(cls):
    def read(module):
        parameters = inspect.signature(getattr(module, cls).__init__).parameters.values()
        return [(p.name, _plain(p.default)) for p in parameters if p.name not in SKIPPED]

    assert [n for n, _ in read(layers)][: len(read(keras.layers))] == [
        n for n, _ in read(keras.layers)
    ]
    ours, theirs = dict(read(layers)), dict(read(keras.layers))
    assert {n: ours[n] for n in theirs} == theirs


def _plain(default):
    """One number for a tuple that repeats it."""
    while isinstance(default, tuple) and len(set(default)) == 1:
        default = default[0]
    return default


def classes_of(value):
    """The layers that a setting has made."""
    if isinstance(value, Made):
        yield value.cls
        value = list(value.kwargs.values())
    for part in value if isinstance(value, list) else []:
        yield from classes_of(part)


# Host layers and random ones, checked in tables of their own.
PREPROCESSING = "stepfit.layers.preprocessing", "stepfit.layers.image"
# Models of other libraries.
FOREIGN = {"EquinoxLayer", "FlaxLayer", "JaxLayer", "NnxLayer"}  # tests/layers/test_foreign.py
WITHOUT_ROW = FOREIGN | {
    "Function", "Input", "InputLayer", "InputSpec", "Layer", "Wrapper",  # tests/models, test_layer
    "deserialize", "serialize",
    # Functions that make a layer and call it (tests/layers/test_behaviour.py).
    "add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract",
}  # fmt: skip


def test_every_layer_has_a_row():
    names = {row.cls for row in ROWS}.union(
        *(classes_of(list(row.kwargs.values())) for row in ROWS))  # fmt: skip
    found = without_row(layers, [getattr(layers, n) for n in names])
    elsewhere = {n for n in found if getattr(layers, n).__module__.startswith(PREPROCESSING)}
    assert found - elsewhere == WITHOUT_ROW
