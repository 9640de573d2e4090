"""Process-wide defaults: float type, epsilon, image data format, and where files are kept.

A small JSON file, ``$STEPFIT_HOME/stepfit.json``, is *not* read: what a script computes depends on
the script alone.
"""

import os
import pathlib

from stepfit.core import errors

_FLOATS = ("bfloat16", "float16", "float32", "float64")
_state = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}


def floatx():
    """Return the default float dtype as a string.

    >>> import stepfit as keras
    >>> keras.config.floatx()
    'float32'
    """
    return _state["floatx"]


def x64_enabled():
    """Say whether JAX has 64-bit types switched on."""
    import jax

    return jax.config.jax_enable_x64  # type: ignore[attr-defined]  # JAX makes it at run time


def set_floatx(value):
    """Set the default float dtype.

    Args:
        value: "bfloat16", "float16", "float32" or "float64".

    Raises:
        ValueError: for another name, or for "float64" while JAX has 64-bit types switched off.
    """
    if value not in _FLOATS:
        raise errors.unknown_name("set_floatx(value)", "float dtype", value, _FLOATS)
    if value == "float64":
        if not x64_enabled():
            raise errors.bad_value(
                "set_floatx(value)",
                "a float dtype that JAX has switched on",
                "'float64'",
                'call jax.config.update("jax_enable_x64", True) first',
            )
    _state["floatx"] = value


def epsilon():
    """Return the fuzz factor that keeps divisions and logarithms finite."""
    return _state["epsilon"]


def set_epsilon(value):
    """Set the fuzz factor.

    Args:
        value: a positive float.
    """
    if not value > 0:
        raise errors.bad_value("set_epsilon(value)", "a positive float", repr(value))
    _state["epsilon"] = float(value)


def image_data_format():
    """Return "channels_last" or "channels_first", the default layout of images."""
    return _state["image_data_format"]


def set_image_data_format(data_format):
    """Set the default layout of images.

    Args:
        data_format: "channels_last" or "channels_first".
    """
    _state["image_data_format"] = standardize_data_format(data_format)


def standardize_data_format(data_format):
    """Return `data_format` checked, or the default for None."""
    if data_format is None:
        return image_data_format()
    value = str(data_format).lower()
    if value not in ("channels_last", "channels_first"):
        raise errors.unknown_name(
            "data_format", "data format", data_format, ("channels_last", "channels_first")
        )
    return value


def device_data_budget():
    """Return what `set_device_data_budget` was given."""
    return _state.get("device_data_budget")


def set_device_data_budget(budget):
    """Set how much data `fit`, `evaluate` and `predict` may keep on the device.

    Arrays that fit are sent there once and cut into batches there; others travel in chunks. The
    numbers are the same.

    Args:
        budget: bytes (int), a share of the device's free memory (float from 0 to 1), or None for
            the default: 0.25 on an accelerator, 0 on the CPU, which reads the host's memory anyway.
    """
    if budget is not None:
        number = isinstance(budget, (int, float)) and not isinstance(budget, bool)
        few = isinstance(budget, int) and 0 < budget < 1024  # 1 is rather meant as a share
        if not number or few or budget < 0 or (isinstance(budget, float) and budget > 1):
            raise errors.bad_value(
                "set_device_data_budget(budget)",
                "bytes (an int), a share (a float from 0 to 1), or None", errors.describe(budget),
            )  # fmt: skip
    _state["device_data_budget"] = budget


def read_ahead():
    """Return what `set_read_ahead` was given (default True)."""
    return _state.get("read_ahead", True)


def set_read_ahead(on):
    """Set whether slow data may be read in a thread of its own, ahead of training.

    Switch it off for a generator that must run in the thread that made it (one that holds an
    `sqlite3` connection, say).

    Args:
        on: True or False.
    """
    if not isinstance(on, bool):
        raise errors.bad_type("set_read_ahead(on)", "True or False", errors.describe(on))
    _state["read_ahead"] = on


def max_epochs():
    """Return the most epochs that a `fit` runs, or None for no limit.

    >>> import stepfit as keras
    >>> print(keras.config.max_epochs())
    None
    """
    return _limit("max_epochs")


def set_max_epochs(max_epochs):
    """Limit how many epochs every `fit` runs, to try out a script (also `KERAS_MAX_EPOCHS`).

    Args:
        max_epochs: an int of at least 1, or None for no limit.
    """
    _state["max_epochs"] = _checked_limit("set_max_epochs(max_epochs)", max_epochs)


def max_steps_per_epoch():
    """Return the most batches in an epoch of `fit`, `evaluate`, `predict`, or None for no limit."""
    return _limit("max_steps_per_epoch")


def set_max_steps_per_epoch(max_steps_per_epoch):
    """Limit the batches of an epoch, to try out a script (also `KERAS_MAX_STEPS_PER_EPOCH`).

    Args:
        max_steps_per_epoch: an int of at least 1, or None for no limit.
    """
    where = "set_max_steps_per_epoch(max_steps_per_epoch)"
    _state["max_steps_per_epoch"] = _checked_limit(where, max_steps_per_epoch)


def _limit(name):
    if name in _state:
        return _state[name]
    variable = f"KERAS_{name.upper()}"
    text = os.environ.get(variable)
    if not text:
        return None
    if not text.isdigit():
        raise errors.bad_value(variable, "an int of at least 1", repr(text))
    return _checked_limit(variable, int(text))


def _checked_limit(where, value):
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise errors.bad_value(where, "an int of at least 1, or None", errors.describe(value))
    return value


def is_flash_attention_enabled():
    """Return False where flash attention is switched off, None where JAX decides."""
    return _state.get("flash_attention")


def enable_flash_attention():
    """Leave it to JAX with which kernel `ops.dot_product_attention` runs (the default)."""
    _state["flash_attention"] = None


def disable_flash_attention():
    """Have `ops.dot_product_attention` use no fused kernel unless a call asks for one."""
    _state["flash_attention"] = False


def is_nnx_enabled():
    """Say whether layers are Flax NNX modules: never."""
    return False


def is_traceback_filtering_enabled():
    """Say whether tracebacks leave out what is inside of JAX."""
    import jax

    return jax.config.jax_traceback_filtering != "off"  # type: ignore[attr-defined]


def enable_traceback_filtering():
    """Leave out of tracebacks what is inside of JAX (the default)."""
    import jax

    jax.config.update("jax_traceback_filtering", "auto")


def disable_traceback_filtering():
    """Show in tracebacks what is inside of JAX, too; lines of stepfit are always shown."""
    import jax

    jax.config.update("jax_traceback_filtering", "off")


def backend():
    """Return the name of the engine: always "jax"."""
    return "jax"


def set_backend(backend):
    """Accept the name of the only engine.

    Args:
        backend: "jax".
    """
    if backend != "jax":
        fix = "stepfit has one engine; leave the call out"
        raise errors.bad_value("set_backend(backend)", "'jax'", errors.describe(backend), fix)


def home():
    """Return the folder for downloads and caches (`STEPFIT_HOME`, else ``~/.stepfit``)."""
    return pathlib.Path(os.environ.get("STEPFIT_HOME") or pathlib.Path.home() / ".stepfit")
