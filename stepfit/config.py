"""Process-wide defaults, under the name that Keras users look for them."""

from stepfit.core.compilation_cache import compilation_cache, set_compilation_cache
from stepfit.core.config import (
    backend,
    device_data_budget,
    disable_flash_attention,
    disable_traceback_filtering,
    enable_flash_attention,
    enable_traceback_filtering,
    epsilon,
    floatx,
    image_data_format,
    is_flash_attention_enabled,
    is_nnx_enabled,
    is_traceback_filtering_enabled,
    max_epochs,
    max_steps_per_epoch,
    read_ahead,
    set_backend,
    set_device_data_budget,
    set_epsilon,
    set_floatx,
    set_image_data_format,
    set_max_epochs,
    set_max_steps_per_epoch,
    set_read_ahead,
)
from stepfit.core.dtypes import dtype_policy, set_dtype_policy
from stepfit.utils.console import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)

__all__ = [
    "backend", "compilation_cache", "device_data_budget", "disable_flash_attention",
    "disable_interactive_logging", "disable_traceback_filtering", "dtype_policy",
    "enable_flash_attention", "enable_interactive_logging", "enable_traceback_filtering",
    "epsilon", "floatx", "image_data_format", "is_flash_attention_enabled",
    "is_interactive_logging_enabled", "is_nnx_enabled", "is_traceback_filtering_enabled",
    "max_epochs", "max_steps_per_epoch", "read_ahead", "set_backend", "set_compilation_cache",
    "set_device_data_budget", "set_dtype_policy", "set_epsilon", "set_floatx",
    "set_image_data_format", "set_max_epochs", "set_max_steps_per_epoch", "set_read_ahead",
]  # fmt: skip
