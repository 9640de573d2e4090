"""Files in both directions between stepfit and real Keras: model kind x format x optimizer."""

import itertools
import logging
import os

import jax
import numpy as np
import pytest

import stepfit
from tests.saving.models import (
    KINDS,
    LIBRARIES,
    fill,
    inputs_of,
    outputs_of,
    policy,
    values_of,
)

DIRECTIONS = [("keras", "stepfit"), ("stepfit", "keras"), ("stepfit", "stepfit")]
FORMATS = ["keras", "folder", "weights.h5", "weights.json", "json"]
LOSSES_OF = {"functional": {"u": "mse", "v": "mae"}, "several_outputs": ["mse", "mae"]}
_made = {}


def made(kind, library):
    """A model with values of its own and an optimizer that has state; made once."""
    if (kind, library) not in _made:
        k = LIBRARIES[library]
        model = KINDS[kind](k)
        model.compile(
            k.optimizers.Adam(k.optimizers.schedules.ExponentialDecay(0.1, 5, 0.9)),
            LOSSES_OF.get(kind, "mse"), metrics=None if kind in LOSSES_OF else ["mae"],
        )
        model.optimizer.build(model.trainable_variables)
        fill(model.weights, 1)
        fill(model.optimizer.variables, 2)
        x = inputs_of(model)
        _made[kind, library] = model, x, outputs_of(model, x), values_of(model.weights)
    return _made[kind, library]


def loaded(k, kind, path):
    """Load a model; Keras scales the loss by the policy of whoever loads, stepfit as it was."""
    here = kind == "half" and k is not stepfit
    with policy(k, "mixed_float16" if here else "float32"):
        return k.saving.load_model(path)


def check_weights(model, weights):
    for a, b in zip(values_of(model.weights), weights, strict=True):
        np.testing.assert_array_equal(a, b)


def check_same(model, x, outputs, weights):
    check_weights(model, weights)
    for a, b in zip(outputs_of(model, x), outputs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-2)


ROWS = [
    (kind, source, target, form)
    for kind in KINDS for source, target in DIRECTIONS for form in FORMATS
    if form == "keras" or kind in ("functional", "recurrent", "subclassed")
]  # fmt: skip


@pytest.mark.parametrize(("kind", "source", "target", "form"), ROWS)
def test_models_arrive_as_they_were(kind, source, target, form, tmp_path):
    check_arrives(kind, source, target, form, tmp_path)


def check_arrives(kind, source, target, form, folder):
    model, x, outputs, weights = made(kind, source)
    made(kind, target)  # its classes are registered
    k = LIBRARIES[target]
    path = os.path.join(folder, "folder" if form == "folder" else f"model.{form}")
    if form == "json":
        text = model.to_json()
        other = k.models.model_from_json(text)
        if not other.built:
            other.build((2, 4))
        other.set_weights(model.get_weights())
        check_weights(other, weights)
        return
    if form in ("keras", "folder"):
        model.save(path, zipped=form == "keras")
        other = loaded(k, kind, path)
        assert type(other).__name__ == type(model).__name__
        assert other.compiled
        state = values_of(other.optimizer.variables)
        for a, b in zip(state, values_of(model.optimizer.variables), strict=True):
            np.testing.assert_array_equal(a, b)
        if kind != "subclassed":  # whose layers are no part of the config
            assert [o.name for o in other.layers] == [o.name for o in model.layers]
    else:
        options = {"max_shard_size": 1e-6} if form == "weights.json" else {}
        model.save_weights(path, **options)
        other = KINDS[kind](k)
        other.load_weights(path)
    if form == "keras":
        check_same(other, x, outputs, weights)
    else:
        check_weights(other, weights)


OPTIMIZERS = {
    "SGD": {"momentum": 0.9, "nesterov": True}, "Adam": {"amsgrad": True, "clipnorm": 1.0},
    "AdamW": {"weight_decay": 0.01}, "Adamax": {}, "Nadam": {}, "RMSprop": {"centered": True},
    "Adagrad": {}, "Adadelta": {}, "Adafactor": {}, "Ftrl": {}, "Lion": {}, "Lamb": {}, "Muon": {},
    "ScheduleFreeAdamW": {}, "LossScaleOptimizer": {"inner_optimizer": ("Adam", {})},
    "LossScaleOptimizer of Nadam": {"inner_optimizer": ("Nadam", {})},
    "LossScaleOptimizer of Adafactor": {"inner_optimizer": ("Adafactor", {})},
    "LossScaleOptimizer with an average": {
        "inner_optimizer": ("Adam", {"use_ema": True, "gradient_accumulation_steps": 2})
    },
    "Adam with an average": {"use_ema": True, "gradient_accumulation_steps": 2},
}  # fmt: skip


def optimizer_of(k, name):
    options = dict(OPTIMIZERS[name])
    if "inner_optimizer" in options:
        inner, arguments = options["inner_optimizer"]
        options["inner_optimizer"] = getattr(k.optimizers, inner)(0.02, **arguments)
    return getattr(k.optimizers, name.split()[0])(**options)


def small(k):
    return k.Sequential([k.Input((3,)), k.layers.Dense(2, name="d"), k.layers.Dense(1, name="e")])


def update(model):
    """One update with set gradients; returns all values after it."""
    variables = model.trainable_variables
    grads = [np.full(v.shape, 0.1 + 0.1 * i, "float32") for i, v in enumerate(variables)]
    state = [np.asarray(v.numpy()) for v in model.optimizer.variables]
    weights = [np.asarray(v.numpy()) for v in variables]
    return [np.asarray(x) for x in jax.tree.leaves(
        jax.jit(model.optimizer.stateless_apply)(state, grads, weights)
    )]  # fmt: skip


def saved(optimizer):
    """The optimizer's state, as it stands in files."""
    store = {}
    optimizer.save_own_variables(store)
    return [np.asarray(store[str(i)], "float64") for i in range(len(store))]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(("source", "target"), DIRECTIONS[:2])
def test_optimizers_go_on_with_equal_state(name, source, target, tmp_path):
    path = str(tmp_path / "m.keras")
    k = LIBRARIES[source]
    model = small(k)
    model.compile(optimizer_of(k, name), "mse")
    model.optimizer.build(model.trainable_variables)
    fill(model.weights, 1)
    fill([v for v in model.optimizer.variables if "float" in str(v.dtype) and v.shape], 2)
    model.save(path)
    other = LIBRARIES[target].saving.load_model(path)
    for a, b in zip(saved(other.optimizer), saved(model.optimizer), strict=True):
        np.testing.assert_array_equal(a, b)
    count = len(model.trainable_variables)  # the order of the state is compared above
    for a, b in zip(update(model)[:count], update(other)[:count], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


LOSSES = ["mse", {"class_name": "MeanAbsoluteError", "reduction": "sum"}]
METRICS = [["mae"], [{"class_name": "MeanSquaredError", "name": "own"}, "accuracy"]]


def of_library(k, room, value):
    if isinstance(value, dict):
        given = dict(value)
        return getattr(getattr(k, room), given.pop("class_name"))(**given)
    return value


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_what_was_compiled(source, target, tmp_path):
    path = str(tmp_path / "m.keras")
    k, other = LIBRARIES[source], LIBRARIES[target]
    for loss, metrics in itertools.product(LOSSES, METRICS):
        model = small(k)
        model.compile("sgd", of_library(k, "losses", loss),
                      metrics=[of_library(k, "metrics", m) for m in metrics])  # fmt: skip
        model.save(path)
        found = other.saving.load_model(path)
        assert type(found.optimizer).__name__ == "SGD"
        assert found.get_compile_config()["metrics"] is not None
        x, y = np.ones((4, 3), "float32"), np.zeros((4, 1), "float32")
        a, b = (m.evaluate(x, y, verbose=0, return_dict=True) for m in (model, found))
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-5)
    assert not other.saving.load_model(path, compile=False).compiled


@pytest.mark.parametrize("kind", ["sequential", "recurrent"])
def test_a_model_saved_by_keras_two(kind, tmp_path):
    """Real Keras still writes that format."""
    check_keras_two(kind, tmp_path)


def check_keras_two(kind, folder):
    model, x, outputs, weights = made(kind, "keras")
    made(kind, "stepfit")  # its classes are registered
    path = os.path.join(folder, f"{kind}.h5")
    logging.getLogger("absl").setLevel(logging.ERROR)  # "this format is legacy"
    model.save(path)
    del _made[kind, "keras"]  # Keras took the optimizer out of what this model was compiled with
    other = stepfit.saving.load_model(path)
    check_same(other, x, outputs, weights)
    state = values_of(other.optimizer.variables)
    for a, b in zip(state, values_of(model.optimizer.variables), strict=True):
        np.testing.assert_array_equal(a, b)
    fresh = KINDS[kind](stepfit)
    fresh.load_weights(path)
    check_weights(fresh, weights)
