"""`keras.backend`: what packages built on Keras ask about the engine, dtypes and names."""

from stepfit.core.config import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from stepfit.core.dtypes import is_float as is_float_dtype
from stepfit.core.dtypes import is_int as is_int_dtype
from stepfit.core.dtypes import result_type, standardize_dtype
from stepfit.core.naming import get_uid, name_scope
from stepfit.core.session import clear_session
from stepfit.core.symbolic import is_symbolic as is_keras_tensor

__all__ = [
    "backend", "clear_session", "epsilon", "floatx", "get_uid", "image_data_format",
    "is_float_dtype", "is_int_dtype", "is_keras_tensor", "name_scope", "result_type",
    "set_epsilon", "set_floatx", "set_image_data_format", "standardize_dtype",
]  # fmt: skip
