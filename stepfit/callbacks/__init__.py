"""Objects that `fit`, `evaluate` and `predict` call at certain moments."""

from typing import TYPE_CHECKING

from stepfit.callbacks.backup_and_restore import BackupAndRestore
from stepfit.callbacks.callback import Callback
from stepfit.callbacks.callback_list import CallbackList
from stepfit.callbacks.csv_logger import CSVLogger
from stepfit.callbacks.early_stopping import EarlyStopping
from stepfit.callbacks.gradient_monitor import GradientMonitor
from stepfit.callbacks.history import History
from stepfit.callbacks.lambda_callback import LambdaCallback
from stepfit.callbacks.learning_rate_finder import LearningRateFinder
from stepfit.callbacks.learning_rate_scheduler import LearningRateScheduler
from stepfit.callbacks.mlflow_logger import MLflowLogger
from stepfit.callbacks.model_checkpoint import ModelCheckpoint
from stepfit.callbacks.orbax_checkpoint import OrbaxCheckpoint
from stepfit.callbacks.progbar_logger import ProgbarLogger
from stepfit.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from stepfit.callbacks.remote_monitor import RemoteMonitor
from stepfit.callbacks.swap_ema_weights import SwapEMAWeights
from stepfit.callbacks.tensorboard import TensorBoard
from stepfit.callbacks.terminate_on_nan import TerminateOnNaN
from stepfit.callbacks.timing import Timing
from stepfit.callbacks.wandb_logger import WandbLogger
from stepfit.core import errors

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "GradientMonitor",
    "History",
    "LambdaCallback",
    "LearningRateFinder",
    "LearningRateScheduler",
    "MLflowLogger",
    "ModelCheckpoint",
    "OrbaxCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
    "Timing",
    "WandbLogger",
]

if not TYPE_CHECKING:  # to a type checker, every name would be there
    __getattr__ = errors.missing_name(__name__, __all__)
