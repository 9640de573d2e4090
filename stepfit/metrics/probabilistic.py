"""The crossentropies and divergences as metrics."""

from stepfit.losses import binary, classification, probabilities
from stepfit.metrics.reduction import MeanMetricWrapper


class BinaryCrossentropy(MeanMetricWrapper):
    """Mean crossentropy of yes/no targets; see `losses.binary_crossentropy`.

    Args:
        name, dtype: as in `Metric`.
        from_logits: whether predictions are logits, that is, no sigmoid was applied.
        label_smoothing: float in [0, 1], share of 0.5 mixed into the targets.

    >>> import stepfit as keras
    >>> round(float(keras.metrics.BinaryCrossentropy()([[0.0, 1.0]], [[0.25, 0.5]])), 4)
    0.4904
    """

    def __init__(
        self, name="binary_crossentropy", dtype=None, from_logits=False, label_smoothing=0
    ):
        super().__init__(
            binary.binary_crossentropy, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing,
        )  # fmt: skip


class CategoricalCrossentropy(MeanMetricWrapper):
    """Mean crossentropy of one-hot targets; see `losses.categorical_crossentropy`.

    Args:
        name, dtype: as in `Metric`.
        from_logits: whether predictions are logits, that is, no softmax was applied.
        label_smoothing: float in [0, 1], share of the uniform distribution mixed into the targets.
        axis: int, the axis of the classes.

    >>> import stepfit as keras
    >>> round(float(keras.metrics.CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
    0.6931
    """

    def __init__(
        self,
        name="categorical_crossentropy",
        dtype=None,
        from_logits=False,
        label_smoothing=0,
        axis=-1,
    ):
        super().__init__(
            classification.categorical_crossentropy, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """Mean crossentropy of integer labels; see `losses.sparse_categorical_crossentropy`.

    Args:
        name, dtype: as in `Metric`.
        from_logits: whether predictions are logits, that is, no softmax was applied.
        ignore_class: None, or the label of entries that count with crossentropy 0.
        axis: int, the axis of the classes.

    >>> import stepfit as keras
    >>> round(float(keras.metrics.SparseCategoricalCrossentropy()([1], [[0.5, 0.5]])), 4)
    0.6931
    """

    def __init__(
        self,
        name="sparse_categorical_crossentropy",
        dtype=None,
        from_logits=False,
        ignore_class=None,
        axis=-1,
    ):
        super().__init__(
            classification.sparse_categorical_crossentropy, name, dtype,
            from_logits=from_logits, ignore_class=ignore_class, axis=axis,
        )  # fmt: skip


class KLDivergence(MeanMetricWrapper):
    """Mean Kullback-Leibler divergence; see `losses.kl_divergence`.

    Args:
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> round(float(keras.metrics.KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])), 4)
    0.1438
    """

    def __init__(self, name="kl_divergence", dtype=None):
        super().__init__(probabilities.kl_divergence, name, dtype)


class Poisson(MeanMetricWrapper):
    """Mean Poisson loss of counts; see `losses.poisson`.

    Args:
        name, dtype: as in `Metric`.

    >>> import stepfit as keras
    >>> round(float(keras.metrics.Poisson()([[2.0]], [[1.0]])), 4)
    1.0
    """

    def __init__(self, name="poisson", dtype=None):
        super().__init__(probabilities.poisson, name, dtype)
