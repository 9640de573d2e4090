"""One row per optimizer class and option, and how to run a row here and in real Keras."""

import dataclasses
import functools
import typing

import jax
import keras as oracle
import numpy as np

from stepfit import constraints, optimizers
from stepfit.core import registry
from stepfit.core.variable import Variable

SHAPES = {"kernel": (3, 2), "bias": (2,)}
STEPS = 50


@dataclasses.dataclass(eq=False)
class Row:
    """An optimizer class with arguments; values that are functions get the library they are for."""

    name: str
    arguments: dict[str, typing.Any] = dataclasses.field(default_factory=dict)
    id: str = ""
    constraint: str | None = None
    prepare: typing.Callable = lambda optimizer: None
    assign: dict[int, float] = dataclasses.field(default_factory=dict)  # step -> learning rate

    def __str__(self):
        return self.name + ("-" + self.id if self.id else "")

    def has_conditions(self):
        rate = self.arguments.get("learning_rate")
        return hasattr(rate, "per_library") or "gradient_accumulation_steps" in self.arguments

    def make(self, library=optimizers):
        arguments = {
            k: v(library.schedules) if getattr(v, "per_library", False) else v
            for k, v in self.arguments.items()
        }
        optimizer = getattr(library, self.name)(**arguments)
        self.prepare(optimizer)
        return optimizer


def schedule(name, *args, **kwargs):
    def build(schedules):
        return getattr(schedules, name)(*args, **kwargs)

    build.per_library = True
    return build


@registry.register_keras_serializable("tests")
@oracle.saving.register_keras_serializable("tests")
def steady_rate():
    return 0.07


def no_bias(optimizer):
    optimizer.exclude_from_weight_decay(var_names=["bias"])


ROWS = [
    Row("SGD"),
    Row("SGD", {"learning_rate": 0.1, "momentum": 0.9}, "momentum"),
    Row("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}, "nesterov"),
    Row("Adam"),
    Row("Adam", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}, "betas"),
    Row("Adam", {"learning_rate": 0.05, "amsgrad": True, "beta_2": 0.9}, "amsgrad"),
    Row("AdamW"),
    Row("AdamW", {"learning_rate": 0.05, "weight_decay": 0.2}, "no_bias", prepare=no_bias),
    Row("RMSprop"),
    Row("RMSprop", {"learning_rate": 0.02, "rho": 0.8, "momentum": 0.5, "epsilon": 1e-3},
        "momentum"),
    Row("RMSprop", {"learning_rate": 0.02, "centered": True}, "centered"),
    Row("RMSprop", {"learning_rate": 0.02, "centered": True, "momentum": 0.5}, "both"),
    Row("Adagrad"),
    Row("Adagrad", {"learning_rate": 0.3, "initial_accumulator_value": 0.0}, "from_zero"),
    Row("Lion"),
    Row("Lion", {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.9}, "betas"),
    Row("Adam", {"learning_rate": 0.05, "weight_decay": 0.1}, "weight_decay"),
    Row("SGD", {"learning_rate": 0.1, "weight_decay": 0.1, "momentum": 0.5}, "weight_decay"),
    Row("SGD", {"learning_rate": 0.1, "clipnorm": 0.3}, "clipnorm"),
    Row("SGD", {"learning_rate": 0.1, "clipvalue": 0.1}, "clipvalue"),
    Row("Adam", {"learning_rate": 0.1, "global_clipnorm": 0.3}, "global_clipnorm"),
    Row("SGD", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.8}, "ema"),
    Row("Adam", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.8,
                 "ema_overwrite_frequency": 7}, "ema_overwrite"),
    Row("SGD", {"learning_rate": 0.1, "loss_scale_factor": 64.0}, "loss_scale"),
    Row("SGD", {"learning_rate": 0.1, "momentum": 0.9}, "max_norm", constraint="max_norm"),
    Row("Adam", {"learning_rate": 0.1, "use_ema": True, "ema_overwrite_frequency": 3},
        "ema_non_neg", constraint="non_neg"),
    Row("SGD", {"learning_rate": 0.1, "momentum": 0.9}, "assigned", assign={20: 0.01, 40: 0.2}),
    Row("RMSprop", {"learning_rate": 0.1, "momentum": 0.9}, "assigned", assign={20: 0.01}),
    Row("SGD", {"learning_rate": steady_rate, "momentum": 0.9}, "callable"),
    Row("SGD", {"learning_rate": schedule("ExponentialDecay", 0.3, 10, 0.5), "momentum": 0.9},
        "exponential"),
    Row("Adam", {"learning_rate": schedule("CosineDecay", 0.01, 30, warmup_target=0.2,
                                           warmup_steps=10)}, "cosine"),
    Row("AdamW", {"learning_rate": schedule("PiecewiseConstantDecay", [9, 30], [0.1, 0.05, 0.2]),
                  "weight_decay": 0.1}, "piecewise"),
    Row("Adadelta"),
    Row("Adadelta", {"learning_rate": 1.0, "rho": 0.8, "epsilon": 1e-3, "weight_decay": 0.02},
        "rho"),
    Row("Adafactor"),
    Row("Adafactor", {"learning_rate": 0.2, "beta_2_decay": -0.6, "epsilon_2": 0.05,
                      "clip_threshold": 0.7, "relative_step": False, "clipnorm": 1.0}, "options"),
    Row("Adafactor", {"learning_rate": schedule("ExponentialDecay", 0.3, 10, 0.5)}, "exponential"),
    Row("Adamax"),
    Row("Adamax", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3,
                   "weight_decay": 0.1}, "betas"),
    Row("Nadam"),
    Row("Nadam", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3,
                  "global_clipnorm": 1.0, "use_ema": True, "ema_momentum": 0.8}, "betas"),
    Row("Ftrl"),
    Row("Ftrl", {"learning_rate": 0.3, "learning_rate_power": -0.4, "beta": 0.2,
                 "initial_accumulator_value": 0.2, "l1_regularization_strength": 0.05,
                 "l2_regularization_strength": 0.03, "l2_shrinkage_regularization_strength": 0.02},
        "regularized"),
    Row("Lamb"),
    Row("Lamb", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3,
                 "weight_decay": 0.1}, "betas", prepare=no_bias),
    Row("Muon"),
    Row("Muon", {"learning_rate": 0.05, "nesterov": False, "rms_rate": None, "adam_lr_ratio": 0.5,
                 "momentum": 0.8, "ns_steps": 3, "weight_decay": None, "adam_weight_decay": 0.1},
        "options"),
    Row("Muon", {"learning_rate": 0.05, "exclude_layers": ["kern"], "adam_beta_1": 0.8,
                 "adam_beta_2": 0.9, "epsilon": 1e-3, "weight_decay": 0.1,
                 "adam_weight_decay": None}, "excluded"),
    Row("ScheduleFreeAdamW"),
    Row("ScheduleFreeAdamW", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3,
                              "warmup_steps": 10, "weight_decay": 0.1}, "warmup"),
]  # fmt: skip


def weights(dtype="float32"):
    """Return the first values of the weights."""
    generator = np.random.default_rng(1)
    return {n: generator.normal(size=s).astype("float32") for n, s in SHAPES.items()}


def noise(steps=STEPS):
    """Return one list of random arrays per step."""
    generator = np.random.default_rng(2)
    return [[generator.normal(size=s).astype("float32") for s in SHAPES.values()]
            for _ in range(steps)]  # fmt: skip


def gradients(values, random):
    """Return gradients that depend on the weights, so that differences would grow."""
    return [0.5 * v + r for v, r in zip(values, random, strict=True)]


def variables(row=None, dtype="float32"):
    """Return fresh Variables of ours."""
    made = []
    for name, value in weights().items():
        variable = Variable(value, dtype=dtype, name=name)
        if row is not None and row.constraint and name == "kernel":
            variable.constraint = constraints.get(row.constraint)
        made.append(variable)
    return made


def run_oracle(row, steps=STEPS):
    """Return the weights after some steps of real Keras, and the optimizer's state."""
    made = []
    for name, value in weights().items():
        variable = oracle.Variable(value, name=name)
        if row.constraint and name == "kernel":
            variable.constraint = oracle.constraints.get(row.constraint)
        made.append(variable)
    optimizer = row.make(oracle.optimizers)
    optimizer.build(made)
    apply = keras_apply(optimizer, made, compiled=row.has_conditions())
    for step, random in enumerate(noise(steps)):
        if step in row.assign:
            optimizer.learning_rate = row.assign[step]
        apply(gradients([v.value for v in made], random))
    return [[np.asarray(v.value) for v in group] for group in (made, optimizer.variables)]


def keras_apply(optimizer, made, compiled):
    """Return Keras's `apply`; compiled, which spares it a compilation per `cond` and step."""
    if not compiled:
        return lambda grads: optimizer.apply(grads, made)
    step = jax.jit(optimizer.stateless_apply)

    def apply(grads):
        state = [v.value for v in optimizer.variables]
        values, state = step(state, grads, [v.value for v in made])
        for v, x in zip([*made, *optimizer.variables], [*values, *state], strict=True):
            v.assign(x)

    return apply


def jitted(optimizer):
    """Return one update as a compiled pure function ``(state, weights, random)``."""

    @jax.jit
    def update(state, values, random):
        return optimizer.stateless_apply(state, gradients(values, random), values)

    return update


@functools.cache
def built(row):
    """Return a row's optimizer, its Variables and its compiled update, made once for all tests."""
    made, optimizer = variables(row), row.make()
    optimizer.build(made)
    return optimizer, made, jitted(optimizer)


def advance(row, state, values, start, stop):
    """Return the state and the weights after the steps from `start` to `stop`."""
    update = built(row)[2]
    for step, random in enumerate(noise(stop)[start:], start):
        if step in row.assign:  # element 1 of the state is the learning rate
            state = [state[0], jax.numpy.float32(row.assign[step]), *state[2:]]
        values, state = update(state, values, random)
    return state, values


def run(row, steps=STEPS):
    """Return the state and the weights after some compiled steps from the start."""
    optimizer, made, _ = built(row)
    return advance(row, [v.value for v in optimizer.variables], [v.value for v in made], 0, steps)


def run_eagerly(row, steps=STEPS):
    """Return the weights after some uncompiled steps."""
    made, optimizer = variables(row), row.make()
    for step, random in enumerate(noise(steps)):
        if step in row.assign:
            optimizer.learning_rate = row.assign[step]
        grads = gradients([v.value for v in made], random)
        optimizer.apply_gradients(zip(grads, made, strict=True))
    return [v.numpy() for v in made]
