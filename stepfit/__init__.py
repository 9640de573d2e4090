"""stepfit: own the step, keep `fit()`. A deep-learning framework with the Keras API, on JAX.

Names are loaded when they are first used: ``import stepfit`` costs little over ``import jax``.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_MODULES = (
    "activations", "backend", "callbacks", "config", "constraints", "datasets", "distribution",
    "dtype_policies", "errors", "initializers", "layers", "losses", "metrics",
    "mixed_precision", "models", "ops", "optimizers", "preprocessing", "random", "regularizers",
    "saving", "tree", "utils", "visualization", "wrappers",
)  # fmt: skip

_NAMES = {
    "DTypePolicy": "stepfit.core.dtypes",
    "FloatDTypePolicy": "stepfit.dtype_policies",
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
    "RematScope": "stepfit.core.remat",
    "Sequential": "stepfit.models",
    "StatelessScope": ("stepfit.core.scope", "Scope"),
    "TrainState": "stepfit.training.state",
    "Variable": "stepfit.core.variable",
    "device": "stepfit.core.devices",
    "name_scope": "stepfit.core.naming",
    "op": "stepfit.core.op",
    "remat": "stepfit.core.remat",
    "value_and_grad": "stepfit.training.gradients",
    "version": "stepfit.core.session",
}

__all__ = [*_MODULES, *_NAMES, "__version__"]


if TYPE_CHECKING:  # for type checkers and editors; at run time `__getattr__` loads the same
    from stepfit import activations as activations
    from stepfit import backend as backend
    from stepfit import callbacks as callbacks
    from stepfit import config as config
    from stepfit import constraints as constraints
    from stepfit import datasets as datasets
    from stepfit import distribution as distribution
    from stepfit import dtype_policies as dtype_policies
    from stepfit import errors as errors
    from stepfit import initializers as initializers
    from stepfit import layers as layers
    from stepfit import losses as losses
    from stepfit import metrics as metrics
    from stepfit import mixed_precision as mixed_precision
    from stepfit import models as models
    from stepfit import ops as ops
    from stepfit import optimizers as optimizers
    from stepfit import preprocessing as preprocessing
    from stepfit import random as random
    from stepfit import regularizers as regularizers
    from stepfit import saving as saving
    from stepfit import tree as tree
    from stepfit import utils as utils
    from stepfit import visualization as visualization
    from stepfit import wrappers as wrappers
    from stepfit.core.devices import device as device
    from stepfit.core.dtypes import DTypePolicy as DTypePolicy
    from stepfit.core.naming import name_scope as name_scope
    from stepfit.core.op import op as op
    from stepfit.core.remat import RematScope as RematScope
    from stepfit.core.remat import remat as remat
    from stepfit.core.scope import Scope
    from stepfit.core.session import version as version
    from stepfit.core.symbolic import KerasTensor as KerasTensor
    from stepfit.core.tape import GradientTape as GradientTape
    from stepfit.core.variable import Variable as Variable
    from stepfit.dtype_policies import FloatDTypePolicy as FloatDTypePolicy
    from stepfit.initializers import Initializer as Initializer
    from stepfit.layers import Input as Input
    from stepfit.layers import InputSpec as InputSpec
    from stepfit.layers import Layer as Layer
    from stepfit.losses import Loss as Loss
    from stepfit.metrics import Metric as Metric
    from stepfit.models import Functional as Functional
    from stepfit.models import Model as Model
    from stepfit.models import Sequential as Sequential
    from stepfit.optimizers import Optimizer as Optimizer
    from stepfit.regularizers import Regularizer as Regularizer
    from stepfit.training.gradients import value_and_grad as value_and_grad
    from stepfit.training.state import TrainState as TrainState

    StatelessScope = Scope
else:

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
        from stepfit.core import errors

        return errors.missing_name("stepfit", __all__)(name)


def __dir__():
    return sorted(__all__)
