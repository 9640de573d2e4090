"""Optimizers: how gradients change weights."""

from typing import TYPE_CHECKING

from stepfit.core import errors, registry
from stepfit.optimizers import schedules
from stepfit.optimizers.adadelta import Adadelta
from stepfit.optimizers.adafactor import Adafactor
from stepfit.optimizers.adagrad import Adagrad
from stepfit.optimizers.adam import Adam, AdamW
from stepfit.optimizers.adamax import Adamax
from stepfit.optimizers.ftrl import Ftrl
from stepfit.optimizers.lamb import Lamb
from stepfit.optimizers.lion import Lion
from stepfit.optimizers.loss_scale_optimizer import LossScaleOptimizer
from stepfit.optimizers.multi_optimizer import MultiOptimizer, OptimizerMap
from stepfit.optimizers.muon import Muon
from stepfit.optimizers.nadam import Nadam
from stepfit.optimizers.optax_optimizer import OptaxOptimizer, is_transformation
from stepfit.optimizers.optimizer import Optimizer
from stepfit.optimizers.rmsprop import RMSprop
from stepfit.optimizers.schedule_free_adamw import ScheduleFreeAdamW
from stepfit.optimizers.sgd import SGD

__all__ = [
    "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion",
    "LossScaleOptimizer", "MultiOptimizer", "Muon", "Nadam", "OptaxOptimizer", "Optimizer",
    "OptimizerMap", "RMSprop", "ScheduleFreeAdamW", "deserialize", "get", "schedules", "serialize",
]  # fmt: skip

_catalogue = registry.Catalogue(
    "optimizer",
    {
        name.lower(): globals()[name]
        for name in __all__
        if isinstance(globals().get(name), type)
        and name not in ("Optimizer", "OptaxOptimizer", "OptimizerMap")  # not by name
    },
    base=Optimizer,
)


def get(identifier):
    """Return the optimizer that `identifier` stands for.

    Args:
        identifier: None, a name in any case ("adam", "SGD"), a config, an optimizer, or an
            optax.GradientTransformation.

    Raises:
        ValueError: unknown name. TypeError: a class, or anything else.

    >>> import optax, stepfit as keras
    >>> keras.optimizers.get("adam"), keras.optimizers.get(optax.sgd(0.1))
    (<Adam name=adam>, <OptaxOptimizer name=optax_optimizer>)
    """
    if isinstance(identifier, str):
        known = identifier.lower() in _catalogue.entries
        return _catalogue.get(identifier.lower() if known else identifier)
    if isinstance(identifier, dict) and "class_name" in identifier:
        lower = str(identifier["class_name"]).lower()
        if lower in _catalogue.entries and ">" not in (identifier.get("registered_name") or ""):
            identifier = {"class_name": lower, "config": identifier.get("config")}
        return _catalogue.get(identifier)
    if identifier is None or isinstance(identifier, Optimizer):
        return identifier
    if is_transformation(identifier):
        return OptaxOptimizer(identifier)
    fix = 'pass a name ("adam"), an instance (Adam()) or an optax transformation (optax.adam(1e-3))'
    if isinstance(identifier, type):
        fix = f"write {identifier.__name__}()"
    elif getattr(identifier, "__module__", "").startswith("optax"):
        fix = f"call it: optax.{identifier.__name__}(...)"
    raise errors.bad_type("optimizer", "an optimizer", identifier, fix)


def serialize(optimizer):
    """Return an optimizer's config."""
    return registry.serialize(optimizer)


def deserialize(config, custom_objects=None):
    """Return a new optimizer for `serialize`'s result."""
    found = registry.get_registered_object(config.get("class_name"), custom_objects)
    return found.from_config(config["config"]) if found else get(config)


if not TYPE_CHECKING:  # to a type checker, every name would be there
    __getattr__ = errors.missing_name(__name__, __all__)
