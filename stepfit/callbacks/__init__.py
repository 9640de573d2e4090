"""Objects that `fit`, `evaluate` and `predict` call at certain moments."""

from typing import TYPE_CHECKING

from stepfit.callbacks.callback import Callback
from stepfit.callbacks.callback_list import CallbackList
from stepfit.callbacks.csv_logger import CSVLogger
from stepfit.callbacks.early_stopping import EarlyStopping
from stepfit.callbacks.history import History
from stepfit.callbacks.lambda_callback import LambdaCallback
from stepfit.callbacks.learning_rate_scheduler import LearningRateScheduler
from stepfit.callbacks.model_checkpoint import ModelCheckpoint
from stepfit.callbacks.progbar_logger import ProgbarLogger
from stepfit.callbacks.terminate_on_nan import TerminateOnNaN
from stepfit.core import errors

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "TerminateOnNaN",
]

if not TYPE_CHECKING:  # to a type checker, every name would be there
    __getattr__ = errors.missing_name(__name__, __all__)
