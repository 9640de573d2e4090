"""The exceptions of stepfit: one family, each also a built-in one."""

from stepfit.core.errors import (
    BackupError,
    ExhaustedDataError,
    MissingFileError,
    NonFiniteError,
    StepfitArgumentError,
    StepfitAttributeError,
    StepfitError,
    StepfitRuntimeError,
    StepfitTypeError,
    StepfitValueError,
)

__all__ = [
    "BackupError", "ExhaustedDataError", "MissingFileError", "NonFiniteError",
    "StepfitArgumentError", "StepfitAttributeError", "StepfitError", "StepfitRuntimeError",
    "StepfitTypeError", "StepfitValueError",
]  # fmt: skip
