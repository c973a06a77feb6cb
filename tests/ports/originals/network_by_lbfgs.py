"""A small neural network is fitted by L-BFGS: value_and_grad of a function of one long vector, for scipy."""

from itertools import pairwise

import autograd.numpy as np
from autograd import value_and_grad
from numpy.random import default_rng
from scipy.optimize import minimize

SIZES = [1, 8, 8, 1]
SHAPES = [((m, n), (n,)) for m, n in pairwise(SIZES)]


def unpack(vector):
    for (m, n), _ in SHAPES:
        yield vector[: m * n].reshape((m, n)), vector[m * n : m * n + n]
        vector = vector[m * n + n :]


def predict(vector, inputs):
    for W, b in unpack(vector):
        outputs = np.dot(inputs, W) + b
        inputs = np.tanh(outputs)
    return outputs


def log_gaussian(x, scale):
    return -0.5 * (np.log(2 * np.pi) + 2 * np.log(scale) + (x / scale) ** 2)


def main():
    rng = default_rng(6)
    inputs = np.concatenate([np.linspace(0, 3, 20), np.linspace(6, 8, 20)]).reshape((40, 1))
    targets = np.cos(inputs) / 2 + 0.05 * rng.standard_normal((40, 1))
    inputs = (inputs - 4.0) / 2.0
    start = rng.standard_normal(sum(m * n + n for (m, n), _ in SHAPES)) * 0.3

    def objective(vector):
        log_prior = np.sum(log_gaussian(vector, 3.0))
        log_likelihood = np.sum(log_gaussian(predict(vector, inputs) - targets, 0.1))
        return -log_prior - log_likelihood

    value, gradient = value_and_grad(objective)(start)
    values = []
    result = minimize(
        value_and_grad(objective),
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 15},
        callback=lambda vector: values.append(objective(vector)),
    )
    fitted = predict(result.x, inputs)
    return {"value": value, "gradient": gradient, "values": values, "steps": result.nit, "fitted": fitted[:, 0]}


if __name__ == "__main__":
    print(main())
