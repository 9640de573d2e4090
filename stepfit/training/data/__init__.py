"""Where batches come from: arrays, generators, `tf.data` datasets and torch loaders.

Every kind of data becomes one `DataSource`; the engine asks it for the batches of an epoch and
knows nothing else about it.
"""

from stepfit.training.data.arrays import ArraySource
from stepfit.training.data.base import DataSource
from stepfit.training.data.source import argument_names, make_source, unpack_validation_data
from stepfit.training.data.splitting import split_validation

__all__ = [
    "ArraySource", "DataSource", "argument_names", "make_source", "split_validation",
    "unpack_validation_data",
]  # fmt: skip
