"""A Gaussian process: its marginal likelihood by Cholesky, solve and slogdet, and hyperparameters that climb it."""

import numpy as np
from numpy.random import default_rng

from tinygrad_sm import value_and_grad


def rbf(x, y, scale, length):
    diffs = (np.expand_dims(x, 1) - np.expand_dims(y, 0)) / length
    return scale * np.exp(-0.5 * np.sum(diffs**2, axis=2))


def unpack(params):
    return params[0], np.exp(params[1]), np.exp(params[2:4]), np.exp(params[4])


def covariance(params, x):
    _, scale, length, noise = unpack(params)
    return rbf(x, x, scale, length) + noise * np.eye(len(x))


def log_marginal_likelihood(params, x, y):
    mean, *_ = unpack(params)
    cov = covariance(params, x)
    sign, logdet = np.linalg.slogdet(cov)
    residual = y - mean
    return -0.5 * (residual @ np.linalg.solve(cov, residual) + logdet + len(x) * np.log(2 * np.pi))


def by_cholesky(params, x, y):
    L = np.linalg.cholesky(covariance(params, x))
    white = np.linalg.solve(L, y - params[0])
    return -0.5 * np.dot(white, white) - np.sum(np.log(np.diag(L))) - 0.5 * len(x) * np.log(2 * np.pi)


def predict(params, x, y, xstar):
    mean, scale, length, _ = unpack(params)
    cross = rbf(x, xstar, scale, length)
    inverse = np.linalg.inv(covariance(params, x))
    pred_mean = mean + np.dot(cross.T, np.dot(inverse, y - mean))
    pred_cov = rbf(xstar, xstar, scale, length) - cross.T @ inverse @ cross
    return pred_mean, np.sqrt(np.diag(pred_cov))


def main():
    rng = default_rng(7)
    x = rng.uniform(-2, 2, (25, 2))
    y = np.sin(2 * x[:, 0]) * np.cos(x[:, 1]) + 0.1 * rng.standard_normal(25)
    params = np.array([0.0, 0.0, 0.1, -0.1, -2.0])
    objective, check = value_and_grad(log_marginal_likelihood), value_and_grad(by_cholesky)
    values = []
    for _ in range(40):
        value, gradient = objective(params, x, y)
        params = params + 0.01 * gradient
        values.append(value)
    pred_mean, pred_std = predict(params, x, y, np.array([[0.0, 0.0], [1.0, -1.0], [5.0, 5.0]]))
    value, gradient = check(params, x, y)
    return {"values": values, "params": params, "check": [value, *gradient], "mean": pred_mean, "std": pred_std}


if __name__ == "__main__":
    print(main())
