"""The logistic regression counts precision and recall, draws its thresholds' regions, and notices false claims."""

import re

import logistic_regression
import numpy as np


def test_logistic_regression_checks_its_claims(run, monkeypatch):
    train = logistic_regression.train
    monkeypatch.setattr(logistic_regression, "train", lambda x, y: train(x, y, steps=30))
    assert re.match("expected gradient descent to end where Newton's method does", run(logistic_regression)[0])
    monkeypatch.setattr(logistic_regression, "train", train)
    monkeypatch.setattr(logistic_regression, "judged", lambda a, y, threshold: (0.5, 0.5))
    assert re.match("expected a higher γ to raise the precision", run(logistic_regression)[0])


def test_the_regions_of_logistic_regression_are_those_of_its_thresholds(run, drawn):
    text = run(logistic_regression)[1]
    regions = drawn["regions.png"]
    models = {id(predict) for predict, *_ in regions["panels"].values()}
    assert len(models) == 1  # the threshold changes what is said, and not the probabilities
    assert tuple(regions["thresholds"]) == (0.2, 0.5, 0.8)
    for gamma, (heading, panel) in zip(regions["thresholds"], regions["panels"].items(), strict=True):
        predict, points, labels, names = panel
        assert heading == f"γ = {gamma}: hatched is said to be class 1"
        assert names == ["class 0, upper moon", "class 1, lower moon"]
        said = predict(points) >= gamma
        precision, recall = labels[said].mean(), said[labels == 1].mean()
        assert re.search(rf"^ *{gamma} .* {precision:.1%} +{recall:.1%}$", text, re.MULTILINE)


def test_precision_and_recall_by_hand():
    a, y = np.array([0.9, 0.6, 0.5, 0.4, 0.1]), np.array([1, 0, 1, 1, 0])
    assert logistic_regression.judged(a, y, 0.5) == (2 / 3, 2 / 3)  # of 3 said to be 1 two are right, of 3 two found
    assert logistic_regression.judged(a, y, 0.7) == (1, 1 / 3)
