"""stepfit: own the step, keep `fit()`. A deep-learning framework with the Keras API, on JAX.

Names are loaded when they are first used: ``import stepfit`` costs little over ``import jax``.
"""

import importlib

__version__ = "0.1.0"

_MODULES = (
    "activations", "callbacks", "config", "constraints", "datasets", "dtype_policies",
    "initializers", "layers", "losses", "metrics", "models", "ops", "optimizers", "random",
    "regularizers", "saving", "utils",
)  # fmt: skip

_NAMES = {
    "DTypePolicy": "stepfit.core.dtypes",
    "Functional": "stepfit.models",
    "GradientTape": "stepfit.core.tape",
    "Initializer": "stepfit.initializers",
    "Input": "stepfit.layers",
    "InputSpec": "stepfit.layers",
    "KerasTensor": "stepfit.core.symbolic",
    "Layer": "stepfit.layers",
    "Loss": "stepfit.losses",
    "Metric": "stepfit.metrics",
    "Model": "stepfit.models",
    "Optimizer": "stepfit.optimizers",
    "Regularizer": "stepfit.regularizers",
    "Sequential": "stepfit.models",
    "StatelessScope": ("stepfit.core.scope", "Scope"),
    "TrainState": "stepfit.training.state",
    "Variable": "stepfit.core.variable",
    "name_scope": "stepfit.core.naming",
    "op": "stepfit.core.op",
    "value_and_grad": "stepfit.training.gradients",
}

__all__ = [*_MODULES, *_NAMES, "__version__"]


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"stepfit.{name}")
    if name in _NAMES:
        if name == "Variable":
            importlib.import_module("stepfit.initializers")  # it takes initializers by name
        place = _NAMES[name]
        module, attribute = place if isinstance(place, tuple) else (place, name)
        value = getattr(importlib.import_module(module), attribute)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'stepfit' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
