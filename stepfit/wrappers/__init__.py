"""Models as estimators of scikit-learn."""

import importlib
from typing import TYPE_CHECKING

from stepfit.core import errors
from stepfit.utils import optional

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]

if TYPE_CHECKING:
    from stepfit.wrappers.estimators import SKLearnClassifier as SKLearnClassifier
    from stepfit.wrappers.estimators import SKLearnRegressor as SKLearnRegressor
    from stepfit.wrappers.estimators import SKLearnTransformer as SKLearnTransformer
else:  # their base classes are scikit-learn's, so it is loaded when they are first used
    _missing = errors.missing_name(__name__, __all__)

    def __getattr__(name):
        if name not in __all__:
            return _missing(name)
        optional.load("sklearn", f"wrappers.{name}", "sklearn")
        return getattr(importlib.import_module("stepfit.wrappers.estimators"), name)


def __dir__():
    return sorted({*globals(), *__all__})
