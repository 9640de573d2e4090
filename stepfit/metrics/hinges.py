"""The hinge losses as metrics."""

from stepfit.losses import hinges
from stepfit.metrics.reduction import MeanMetricWrapper


class Hinge(MeanMetricWrapper):
    """Mean shortfall from the margin: `mean(max(1 - y_true * y_pred, 0))`, targets -1 and 1.

    Args:
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> float(keras.metrics.Hinge()([[0.0, 1.0]], [[0.5, 0.5]]))
    1.0
    """

    def __init__(self, name="hinge", dtype=None):
        super().__init__(hinges.hinge, name, dtype)


class SquaredHinge(MeanMetricWrapper):
    """Mean squared shortfall from the margin: `mean(max(1 - y_true * y_pred, 0)**2)`.

    Args:
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> float(keras.metrics.SquaredHinge()([[0.0, 1.0]], [[0.5, 0.5]]))
    1.25
    """

    def __init__(self, name="squared_hinge", dtype=None):
        super().__init__(hinges.squared_hinge, name, dtype)


class CategoricalHinge(MeanMetricWrapper):
    """Mean shortfall of the true class's score over the best other one, with a margin of 1.

    Args:
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> float(keras.metrics.CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.25]]))
    1.25
    """

    def __init__(self, name="categorical_hinge", dtype=None):
        super().__init__(hinges.categorical_hinge, name, dtype)
