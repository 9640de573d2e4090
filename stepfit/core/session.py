"""Start afresh: what a process has gathered in names and defaults of layers is dropped."""

import gc
import importlib

from stepfit.core import dtypes, naming


def clear_session(free_memory: bool = True) -> None:
    """Start automatic names at 0 again and reset the dtype policy to that of `config.floatx()`.

    stepfit keeps no list of models: one that nothing refers to is freed without this.

    Args:
        free_memory: whether to run Python's garbage collector, for models in reference cycles.

    >>> import stepfit as keras
    >>> keras.utils.clear_session()
    >>> keras.layers.Dense(1).name
    'dense'
    """
    naming.reset_names()
    dtypes.set_dtype_policy(None)
    if free_memory:
        gc.collect()


def version() -> str:
    """Return the version of stepfit, `stepfit.__version__`.

    >>> import stepfit as keras
    >>> keras.version() == keras.__version__
    True
    """
    return importlib.import_module("stepfit").__version__
