"""Process-wide defaults, under the name that Keras users look for them."""

from stepfit.core.compilation_cache import compilation_cache, set_compilation_cache
from stepfit.core.config import (
    backend,
    device_data_budget,
    epsilon,
    floatx,
    image_data_format,
    read_ahead,
    set_device_data_budget,
    set_epsilon,
    set_floatx,
    set_image_data_format,
    set_read_ahead,
)
from stepfit.core.dtypes import dtype_policy, set_dtype_policy
from stepfit.utils.console import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)

__all__ = [
    "backend", "compilation_cache", "device_data_budget", "disable_interactive_logging",
    "dtype_policy", "enable_interactive_logging", "epsilon", "floatx", "image_data_format",
    "is_interactive_logging_enabled", "read_ahead", "set_compilation_cache",
    "set_device_data_budget", "set_dtype_policy", "set_epsilon", "set_floatx",
    "set_image_data_format", "set_read_ahead",
]  # fmt: skip
