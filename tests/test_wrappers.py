"""Models as estimators of scikit-learn."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import stepfit
from stepfit import wrappers
from tests.expect import refused

RNG = np.random.RandomState(0)
X = RNG.normal(size=(60, 3)).astype("float32")
Y = np.array(["no", "yes"])[(X[:, 0] > 0).astype(int)]
QUICK = {"verbose": 0, "epochs": 30, "batch_size": 20}


def classifier(X, y, rate=0.1):
    model = stepfit.Sequential([stepfit.layers.Dense(y.shape[1], activation="softmax")])
    model.compile(stepfit.optimizers.Adam(rate), "categorical_crossentropy")
    return model


def regressor():
    model = stepfit.Sequential([stepfit.Input((3,)), stepfit.layers.Dense(1)])
    model.compile(stepfit.optimizers.Adam(0.1), "mse")
    return model


def test_a_classifier_in_a_search():
    estimator = wrappers.SKLearnClassifier(classifier, fit_kwargs=QUICK)
    pipeline = make_pipeline(StandardScaler(), estimator)
    rates = {"sklearnclassifier__model_kwargs": [{"rate": 0.0}, {"rate": 0.1}]}
    search = GridSearchCV(pipeline, rates, cv=2).fit(X, Y)
    assert search.best_params_ == {"sklearnclassifier__model_kwargs": {"rate": 0.1}}
    assert search.score(X, Y) > 0.9
    best = search.best_estimator_[-1]
    assert best.classes_.tolist() == ["no", "yes"] and len(best.history_["loss"]) == 30
    outputs = best.decision_function(X)
    assert outputs.shape == (60, 2)
    assert (best.predict(X) == best.classes_[outputs.argmax(1)]).all()


@pytest.mark.parametrize("y", [X[:, 1] * 2, X[:, 1:2] * 2], ids=["flat", "column"])
def test_a_regressor_starts_from_the_model_it_was_given(y):
    given = regressor()
    before = [v.numpy() for v in given.weights]
    estimator = wrappers.SKLearnRegressor(given, fit_kwargs=QUICK)
    assert estimator.fit(X, y, epochs=60).score(X, y) > 0.9
    assert estimator.predict(X).shape == y.shape and len(estimator.history_["loss"]) == 60
    for v, value in zip(given.weights, before, strict=True):
        np.testing.assert_array_equal(v.numpy(), value)
    first = clone(estimator).fit(X, y, shuffle=False).history_["loss"]
    assert first == clone(estimator).fit(X, y, shuffle=False).history_["loss"]


def test_a_warm_start_goes_on():
    cold, warm = (wrappers.SKLearnRegressor(regressor(), warm_start=w, fit_kwargs=QUICK)
                  for w in (False, True))  # fmt: skip
    for estimator in (cold, warm):
        estimator.fit(X, X[:, 0])
        once = estimator.model_
        estimator.fit(X, X[:, 0])
        assert (estimator.model_ is once) == estimator.warm_start


def test_a_transformer_in_a_pipeline():
    embedding = wrappers.SKLearnTransformer(regressor(), fit_kwargs=QUICK)
    pipeline = make_pipeline(embedding, DecisionTreeClassifier(max_depth=1))
    pipeline.fit(X, (X[:, 0] > 0).astype(int))
    assert embedding.transform(X).shape == (60, 1)
    assert pipeline.score(X, (X[:, 0] > 0).astype(int)) > 0.9


BAD = [
    (lambda: wrappers.SKLearnClassifier(classifier).fit(X, X[:, 0]),
     "SKLearnClassifier.fit(y): expected two or more classes, found targets of kind 'continuous'. "
     "Unknown label type: continuous."),
    (lambda: wrappers.SKLearnClassifier(classifier).fit(X, [1] * 60),
     "SKLearnClassifier.fit(y): expected at least two classes, found one class."),
    (lambda: wrappers.SKLearnRegressor(stepfit.Sequential([])).fit(X, X[:, 0]),
     "SKLearnRegressor(model): expected a compiled model, found one that is not; call "
     "compile(optimizer=..., loss=...)."),
    (lambda: wrappers.SKLearnRegressor(3).fit(X, X[:, 0]),
     "SKLearnRegressor(model): expected a compiled model, or a function that makes one, found 3."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), BAD, ids=[row[1][:40] for row in BAD])
def test_message(call, text):
    refused(call, (ValueError, TypeError, RuntimeError), text)
