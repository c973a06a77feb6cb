"""The length and the friction of a pendulum from its motion: gradients through an ODE solver, and Newton-CG."""

import numpy as np
from numpy.random import default_rng

from tinygrad_sm import grad, hvp

DT, STEPS = 0.1, 30


def derivative(state, params):
    angle, velocity = state
    return np.stack([velocity, -params[0] * np.sin(angle) - params[1] * velocity])


def rk4(state, params):
    k1 = derivative(state, params)
    k2 = derivative(state + DT / 2 * k1, params)
    k3 = derivative(state + DT / 2 * k2, params)
    k4 = derivative(state + DT * k3, params)
    return state + DT / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def odeint(state, params):
    states = [state]
    for _ in range(STEPS):
        states.append(rk4(states[-1], params))
    return np.stack(states)


def conjugate_gradient(f, params, b, steps):
    x, r = np.zeros_like(b), b
    p = r
    for _ in range(steps):
        Ap = hvp(f, params, p)[1]
        alpha = np.dot(r, r) / np.dot(p, Ap)
        x, r_new = x + alpha * p, r - alpha * Ap
        p = r_new + np.dot(r_new, r_new) / np.dot(r, r) * p
        r = r_new
    return x


def main():
    rng = default_rng(8)
    start, truth = np.array([1.2, 0.0]), np.array([2.0, 0.3])
    observed = odeint(start, truth) + 0.02 * rng.standard_normal((STEPS + 1, 2))

    def loss(params):
        return np.mean((odeint(start, params) - observed) ** 2)

    gradient = grad(loss)
    params, losses = np.array([1.6, 0.5]), []
    for _ in range(6):
        losses.append(loss(params))
        params = params - conjugate_gradient(loss, params, gradient(params), steps=2)
    return {"losses": losses, "params": params, "gradient": gradient(np.array([1.6, 0.5]))}


if __name__ == "__main__":
    print(main())
