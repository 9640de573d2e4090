"""Initializers: first values of weights, drawn on the host."""

from typing import TYPE_CHECKING

import jax
import numpy as np

from stepfit.core import arrays, errors, registry
from stepfit.initializers.base import (
    Constant,
    Identity,
    Initializer,
    Ones,
    Zeros,
    numpy_dtype,
    shape_tuple,
)
from stepfit.initializers.fourier import STFT
from stepfit.initializers.random import (
    Orthogonal,
    RandomInitializer,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
)
from stepfit.initializers.scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
    compute_fans,
)

__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity",
    "IdentityInitializer", "Initializer", "LecunNormal", "LecunUniform", "Ones", "Orthogonal",
    "OrthogonalInitializer", "RandomInitializer", "RandomNormal", "RandomUniform", "STFT",
    "STFTInitializer", "TruncatedNormal", "VarianceScaling", "Zeros", "compute_fans", "constant",
    "deserialize", "get", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity",
    "lecun_normal", "lecun_uniform", "ones", "orthogonal", "random_normal", "random_uniform",
    "serialize", "stft", "truncated_normal", "variance_scaling", "zeros",
]  # fmt: skip

_classes = {
    "zeros": Zeros, "ones": Ones, "constant": Constant, "identity": Identity,
    "random_normal": RandomNormal, "random_uniform": RandomUniform,
    "truncated_normal": TruncatedNormal, "variance_scaling": VarianceScaling,
    "glorot_normal": GlorotNormal, "glorot_uniform": GlorotUniform, "he_normal": HeNormal,
    "he_uniform": HeUniform, "lecun_normal": LecunNormal, "lecun_uniform": LecunUniform,
    "orthogonal": Orthogonal, "stft": STFT,
}  # fmt: skip
_aliases = {
    "zero": Zeros, "one": Ones, "normal": RandomNormal, "uniform": RandomUniform,
    "IdentityInitializer": Identity, "OrthogonalInitializer": Orthogonal,
    "STFTInitializer": STFT,
}  # fmt: skip
_catalogue = registry.Catalogue(
    "initializer",
    _classes | {c.__name__: c for c in _classes.values()} | _aliases,
    base=Initializer,
)

# Keras's other names: initializers.glorot_uniform(seed=1)
zeros, ones, constant, identity = Zeros, Ones, Constant, Identity
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling, orthogonal = VarianceScaling, Orthogonal
glorot_normal, glorot_uniform = GlorotNormal, GlorotUniform
he_normal, he_uniform, lecun_normal, lecun_uniform = HeNormal, HeUniform, LecunNormal, LecunUniform
IdentityInitializer, OrthogonalInitializer = Identity, Orthogonal
stft = STFTInitializer = STFT


def get(identifier):
    """Return the initializer that `identifier` stands for.

    Args:
        identifier: None, a name ("zeros", "GlorotUniform", "glorot_uniform", ...), a config, a
            class (built with its defaults), an instance, a function ``(shape, dtype=None)``, or an
            array to take the values from.

    Raises:
        ValueError: unknown name. TypeError: anything else.

    >>> import stepfit as keras
    >>> keras.initializers.get("he_normal").scale
    2.0
    """
    if isinstance(identifier, type):
        identifier = identifier()
    if isinstance(identifier, (np.ndarray, np.generic, jax.Array)):
        return _from_array(identifier)
    return _catalogue.get(identifier)


def _from_array(values):
    def initialize(shape, dtype=None):
        if shape_tuple(shape) != tuple(values.shape):
            raise errors.bad_value(
                "initializer given as an array", f"the shape {shape_tuple(shape)} of the weight",
                f"shape {tuple(values.shape)}",
            )  # fmt: skip
        return arrays.from_host(values, numpy_dtype(dtype))

    return initialize


def serialize(initializer):
    """Return an initializer's config."""
    return registry.serialize(initializer)


def deserialize(config, custom_objects=None):
    """Return the initializer for `serialize`'s result."""
    return get(registry.deserialize(config, custom_objects))

if not TYPE_CHECKING:  # to a type checker, every name would be there
    __getattr__ = errors.missing_name(__name__, __all__)
