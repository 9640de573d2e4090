"""Models as estimators of scikit-learn: in pipelines, grid searches and cross-validation."""

import copy
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from stepfit.core import errors


class _Estimator(BaseEstimator):
    """What the estimators share; arguments and attributes as in `SKLearnClassifier`."""

    def __init__(
        self,
        model: Any,
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ):
        self.model = model  # scikit-learn wants arguments kept as they came
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True
        return tags

    def __sklearn_clone__(self):
        return type(self)(self.model, self.warm_start, self.model_kwargs, self.fit_kwargs)

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Any:
        """Train the model.

        Args:
            X: samples, ``(samples, features)``.
            y: targets, ``(samples,)`` or ``(samples, outputs)``.
            kwargs: arguments of the model's `fit`, over those of `fit_kwargs`.
        """
        X, y = validate_data(self, X, y, multi_output=True)
        y = self._encode(y)
        if not (self.warm_start and hasattr(self, "model_")):
            self.model_ = self._new_model(X, y)
        history = self.model_.fit(X, y, **{**(self.fit_kwargs or {}), **kwargs})
        self.history_ = history.history
        return self

    def _new_model(self, X, y):
        if not hasattr(self.model, "fit"):
            if not callable(self.model):
                where = f"{type(self).__name__}(model)"
                expected = "a compiled model, or a function that makes one"
                raise errors.bad_type(where, expected, errors.describe(self.model))
            model = self.model(X=X, y=y, **(self.model_kwargs or {}))
        else:
            model = copy.deepcopy(self.model)
        if not getattr(model, "compiled", False):
            where = f"{type(self).__name__}(model)"
            fix = "call compile(optimizer=..., loss=...)"
            text = errors.message(where, "a compiled model", "one that is not", fix)
            raise errors.StepfitRuntimeError(text)
        return model

    def _encode(self, y):
        self._flat = y.ndim == 1
        return y[:, None] if self._flat else y

    def predict(self, X: Any) -> Any:
        """Return the model's outputs, of the shape that `y` had."""
        y = self._output(X)
        return y[:, 0] if self._flat and y.ndim == 2 and y.shape[1] == 1 else y

    def _output(self, X):
        check_is_fitted(self, "model_")
        return self.model_.predict(validate_data(self, X, reset=False), verbose=0)


class SKLearnClassifier(ClassifierMixin, _Estimator):
    """A model as a classifier of scikit-learn.

    Args:
        model: compiled model, of which each `fit` trains a copy; or a function ``f(X, y, ...)``
            that returns a compiled model. Its `y` is one-hot, ``(samples, classes)``, with two
            classes too.
        warm_start: whether another `fit` goes on with the model trained before.
        model_kwargs: further arguments of the function.
        fit_kwargs: arguments of the model's `fit`.

    Attributes:
        model_: the trained model.
        history_: dict of what its `fit` logged.
        classes_: the labels, sorted.

    >>> import numpy as np, stepfit as keras
    >>> def make(X, y):
    ...     model = keras.Sequential([keras.layers.Dense(y.shape[1], activation="softmax")])
    ...     model.compile("adam", "categorical_crossentropy")
    ...     return model
    >>> X, y = np.eye(4), np.array(["a", "b", "a", "b"])
    >>> found = keras.wrappers.SKLearnClassifier(make, fit_kwargs={"verbose": 0}).fit(X, y)
    >>> found.predict(X).shape, found.classes_.tolist()
    ((4,), ['a', 'b'])
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags

    def _encode(self, y):
        kind = type_of_target(y, raise_unknown=True)
        where = "SKLearnClassifier.fit(y)"
        if kind not in ("binary", "multiclass"):
            text = errors.message(where, "two or more classes", f"targets of kind {kind!r}")
            # scikit-learn's checks look for these words
            raise errors.StepfitValueError(f"{text} Unknown label type: {kind}.")
        self._labels = LabelBinarizer().fit(y)
        self.classes_ = self._labels.classes_
        if len(self.classes_) == 1:
            raise errors.bad_value(where, "at least two classes", "one class")
        encoded = self._labels.transform(y)
        if encoded.shape[1] == 1:
            encoded = np.concatenate([1 - encoded, encoded], 1)
        return encoded.astype("float32")

    def decision_function(self, X: Any) -> Any:
        """Return the model's outputs."""
        return self._output(X)

    def predict(self, X: Any) -> Any:
        """Return the label with the largest output, for each sample."""
        return self.classes_[np.argmax(self._output(X), -1)]


class SKLearnRegressor(RegressorMixin, _Estimator):
    """A model as a regressor of scikit-learn.

    Args:
        model, warm_start, model_kwargs, fit_kwargs: as in `SKLearnClassifier`; the function's `y`
            is ``(samples, outputs)``.

    Attributes:
        model_: the trained model.
        history_: dict of what its `fit` logged.
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags


class SKLearnTransformer(TransformerMixin, _Estimator):
    """A model as a transformer of scikit-learn, for a step of a pipeline.

    Args:
        model, warm_start, model_kwargs, fit_kwargs: as in `SKLearnRegressor`.

    Attributes:
        model_: the trained model.
        history_: dict of what its `fit` logged.
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def transform(self, X: Any) -> Any:
        """Return the model's outputs."""
        return self._output(X)
