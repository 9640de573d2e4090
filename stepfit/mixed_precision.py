"""`keras.mixed_precision`: older names of dtype policies and of loss scaling."""

from stepfit.core import errors
from stepfit.core.dtypes import DTypePolicy, dtype_policy, set_dtype_policy
from stepfit.optimizers import LossScaleOptimizer

__all__ = [
    "DTypePolicy", "LossScaleOptimizer", "Policy", "dtype_policy", "global_policy",
    "set_dtype_policy", "set_global_policy",
]  # fmt: skip

Policy = DTypePolicy
global_policy = dtype_policy
set_global_policy = set_dtype_policy

__getattr__ = errors.missing_name(__name__, __all__)
