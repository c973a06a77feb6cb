"""Logistic regression by the gradient of a plain function, and its check by differences."""

import numpy as np
from numpy.random import default_rng

from tinygrad_sm import grad


def sigmoid(x):
    return 0.5 * (np.tanh(x / 2.0) + 1)


def logistic_predictions(weights, inputs):
    return sigmoid(np.dot(inputs, weights))


def training_loss(weights, inputs, targets):
    preds = logistic_predictions(weights, inputs)
    label_probabilities = preds * targets + (1 - preds) * (1 - targets)
    return -np.sum(np.log(label_probabilities))


def by_differences(f, x, eps=1e-6):
    steps = eps * np.eye(len(x))
    return np.array([(f(x + step) - f(x - step)) / (2 * eps) for step in steps])


def main():
    rng = default_rng(5)
    true_weights = rng.standard_normal(4)
    inputs = rng.standard_normal((60, 4))
    targets = rng.random(60) < sigmoid(inputs @ true_weights)

    def objective(weights):
        return training_loss(weights, inputs, targets)

    training_gradient_fun = grad(objective)
    weights = np.zeros(4)
    losses = [objective(weights)]
    for _ in range(100):
        weights -= training_gradient_fun(weights) * 0.01
        losses.append(objective(weights))
    deviation = np.abs(training_gradient_fun(weights) - by_differences(objective, weights)).max()
    curvature = grad(lambda w: np.sum(grad(objective)(w) ** 2))(weights)
    return {"losses": losses, "weights": weights, "gradient is right": bool(deviation < 1e-6), "curvature": curvature}


if __name__ == "__main__":
    print(main())
