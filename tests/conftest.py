"""Set-up for every test: the oracle's backend, one seed, and no quiet rank promotion."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest


@pytest.fixture(autouse=True)
def fresh_names_and_seed():
    """Automatic names and random numbers do not depend on the tests run before."""
    from stepfit import utils
    from stepfit.core import naming

    naming.reset_names()
    utils.set_random_seed(0)
