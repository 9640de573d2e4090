"""Logs: from what a step returns to plain floats."""

import jax
import numpy as np


def plain_logs(logs):
    """Return logs as a flat dict of floats, sorted by name.

    Args:
        logs: mapping of scalars (also nested ones), a function that returns one, or None. Values
            that are no scalars stay as they are, device arrays as NumPy arrays.

    >>> plain_logs({"loss": np.float32(0.5), "a": {"b": 1}})
    {'b': 1.0, 'loss': 0.5}
    """
    logs = dict((logs() if callable(logs) else logs) or {})
    if all(type(value) is float for value in logs.values()):  # as the model gives them
        return dict(sorted(logs.items()))
    flat = {}
    for name, value in sorted(jax.device_get(logs).items()):
        if isinstance(value, dict):
            flat.update(plain_logs(value))
        else:
            flat[name] = _plain(value)
    return flat


def _plain(value):
    if isinstance(value, (bool, int, float)):
        return float(value)
    if isinstance(value, (np.ndarray, np.generic)) and value.size == 1:
        if jax.numpy.issubdtype(value.dtype, np.number) or value.dtype == np.bool_:
            return float(value.item())
    return value
