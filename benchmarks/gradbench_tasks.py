"""Seven tasks of GradBench, written from their mathematical definitions, once for all libraries.

GradBench (github.com/gradbench/gradbench) is a public benchmark of tools that differentiate. What is here is the
mathematics of its tasks alone, with inputs of our own. A formula is the same in each library; the few functions whose
names differ come as `lib`, and so does the loop, which JAX wants to be told of. All numbers are float64, as there.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator, default_rng

Arrays = list[np.ndarray]


class Library(NamedTuple):
    """The functions of a library that formulas need, beside operators.  loop : (n, step(t, carry), carry)."""

    exp: Callable[..., Any]
    log: Callable[..., Any]
    tanh: Callable[..., Any]
    sigmoid: Callable[..., Any]
    max: Callable[..., Any]
    min: Callable[..., Any]
    sum: Callable[..., Any]
    logsumexp: Callable[..., Any]
    concatenate: Callable[..., Any]
    swapaxes: Callable[..., Any]
    loop: Callable[..., Any]


def python_loop(n: int, step: Callable[..., Any], carry: Any) -> Any:
    """Take n steps, as libraries that compute at once do."""
    for t in range(n):
        carry = step(t, carry)
    return carry


def lse(lib: Library, x: Any) -> Any:
    """Return ln Σ exp(x_i) as a + ln Σ exp(x_i − a) with a = max x, from these parts, and not by a ready function."""
    a = lib.max(x)
    return a + lib.log(lib.sum(lib.exp(x - a)))


def lse_inputs(random: Generator, n: int) -> tuple[Arrays, Arrays]:
    """Return x (n,)."""
    return [random.standard_normal(n)], []


def llsq(lib: Library, x: Any, t: Any, s: Any) -> Any:
    """Return ½ Σ_i (s_i − x_0 − x_1 t_i − x_2 t_i² − …)², the polynomials by Horner's rule."""
    polynomials = x[-1]
    for j in reversed(range(len(x) - 1)):
        polynomials = polynomials * t + x[j]
    return lib.sum((s - polynomials) ** 2) / 2


def llsq_inputs(random: Generator, n: int, m: int) -> tuple[Arrays, Arrays]:
    """Return x (m,); t (n,), evenly from −1 to 1, and s, its signs."""
    t = np.linspace(-1, 1, n)
    return [random.standard_normal(m)], [t, np.sign(t)]


WISHART_GAMMA, WISHART_M = 1.0, 2


def gmm(lib: Library, alpha: Any, mu: Any, q: Any, lower: Any, x: Any, zeros: Any, places: Any) -> Any:
    """Return the log-likelihood of a mixture of Gaussians, with a Wishart prior, as ADBench defines it.

    The inverse covariance of component k is Q_kᵀQ_k. Q_k (D, D) has exp(q_k) on its diagonal and lower_k below it,
    column by column. The weights of the components are the softmax of alpha. With γ and m of the prior, the result is

        Σ_i ln Σ_k exp(alpha_k + Σ_d q_kd − ½‖Q_k(x_i − mu_k)‖²) − N ln Σ_k exp(alpha_k) − ½ N D ln 2π
        + Σ_k (m Σ_d q_kd − ½γ²(Σ_d exp(q_kd)² + Σ_j lower_kj²)) + K C

    zeros (K, 1) and places (D, D) : Q_k is taken from 0, exp(q_k) and lower_k in a row.
    """
    (N, D), (K, _) = x.shape, mu.shape
    diagonals, log_determinants = lib.exp(q), lib.sum(q, 1)
    Q = lib.concatenate([zeros, diagonals, lower], 1)[:, places]
    z = (x - mu[:, None]) @ lib.swapaxes(Q, 1, 2)  # (K, N, D)
    terms = (alpha + log_determinants)[:, None] - lib.sum(z**2, 2) / 2
    likelihood = lib.sum(lib.logsumexp(terms, 0)) - N * lib.logsumexp(alpha, 0) - N * D * math.log(2 * math.pi) / 2
    squares = lib.sum(diagonals**2) + lib.sum(lower**2)
    return likelihood + WISHART_M * lib.sum(q) - WISHART_GAMMA**2 / 2 * squares + K * log_of_wishart_constant(D)


def log_of_wishart_constant(D: int) -> float:
    """Return C = ν D (ln γ − ½ ln 2) − ln Γ_D(ν/2) with ν = D + m + 1 and the multivariate Γ."""
    nu = D + WISHART_M + 1
    gammas = D * (D - 1) / 4 * math.log(math.pi) + sum(math.lgamma((nu - j) / 2) for j in range(D))
    return nu * D * (math.log(WISHART_GAMMA) - math.log(2) / 2) - gammas


def gmm_inputs(random: Generator, N: int, D: int, K: int) -> tuple[Arrays, Arrays]:
    """Return alpha (K,), mu (K, D), q (K, D) and lower (K, D(D − 1)/2); x (N, D), and zeros and places of Q."""
    columns, rows = np.triu_indices(D, 1)
    places = np.zeros((D, D), int)
    places[np.arange(D), np.arange(D)] = 1 + np.arange(D)
    places[rows, columns] = 1 + D + np.arange(len(rows))
    parameters = [random.standard_normal(shape) for shape in ((K,), (K, D), (K, D), (K, len(rows)))]
    parameters[2] *= 0.1
    return parameters, [random.standard_normal((N, D)), np.zeros((K, 1)), places]


def kmeans(lib: Library, centroids: Any, points: Any) -> Any:
    """Return Σ_i min_j ‖C_j − P_i‖², whose Hessian is diagonal.

    What is asked for is Newton's direction: the gradient divided by the Hessian's diagonal, element by element. As the
    Hessian is diagonal, its product with a vector of ones is the diagonal.
    """
    distances = lib.sum((points[:, None] - centroids) ** 2, 2)
    return lib.sum(lib.min(distances, 1))


def kmeans_inputs(random: Generator, n: int, k: int, d: int) -> tuple[Arrays, Arrays]:
    """Return centroids (k, d); points (n, d), of which the first k are near the centroids, so that none is without."""
    centroids, points = random.standard_normal((k, d)), random.standard_normal((n, d))
    points[:k] = centroids + 0.01
    return [centroids], [points]


def lstm(lib: Library, weights: Any, biases: Any, outer: Any, state: Any, sequence: Any) -> Any:
    """Return the mean loss of an LSTM that predicts a sequence, each element from those before, as ADBench defines it.

    All its weight matrices are diagonal: weights and biases (L, 4, B) scale and shift. From the input x, the hidden
    state h and the cell state c, a layer computes, with σ the sigmoid and in the order forget, in, out, change,

        c ← c σ(w_f x + b_f) + σ(w_i h + b_i) tanh(w_c h + b_c)
        h ← σ(w_o x + b_o) tanh(c)

    and passes h on as the input of the next. outer (3, B) scales the input of the first, and scales and shifts the
    output of the last. With y that output and t the next element, the loss is −Σ_b t_b (y_b − ln(2 + Σ_b exp(y_b)))/B.
    """
    L, T, B = len(weights), len(sequence) - 1, sequence.shape[1]
    scales = [[weights[i, gate] for gate in range(4)] for i in range(L)]
    shifts = [[biases[i, gate] for gate in range(4)] for i in range(L)]
    into, out, out_shift = outer[0], outer[1], outer[2]

    def step(t: Any, carry: Any) -> Any:
        states, total = carry
        x, after = sequence[t] * into, []
        for (w_f, w_i, w_o, w_c), (b_f, b_i, b_o, b_c), (h, c) in zip(scales, shifts, states, strict=True):
            c = c * lib.sigmoid(w_f * x + b_f) + lib.sigmoid(w_i * h + b_i) * lib.tanh(w_c * h + b_c)
            x = lib.sigmoid(w_o * x + b_o) * lib.tanh(c)
            after.append((x, c))
        y = x * out + out_shift
        return after, total + lib.sum(sequence[t + 1] * (y - lib.log(2 + lib.sum(lib.exp(y)))))

    start = [(state[i, 0], state[i, 1]) for i in range(L)]
    _, total = lib.loop(T, step, (start, 0.0))
    return -total / (T * B)


def lstm_inputs(random: Generator, L: int, T: int, B: int) -> tuple[Arrays, Arrays]:
    """Return weights and biases (L, 4, B) and outer (3, B); the first state (L, 2, B) and the sequence (T + 1, B)."""
    parameters = [random.standard_normal(shape) for shape in ((L, 4, B), (L, 4, B), (3, B))]
    sequence = (random.random((T + 1, B)) < 0.5).astype(float)  # letters in bits
    return parameters, [random.standard_normal((L, 2, B)), sequence]


def ode(lib: Library, x: Any, start: Any, s: int) -> Any:
    """Return the last element of y(2) for y_0' = x_0, y_i' = x_i y_{i−1}, y(0) = 0, by s steps of Runge and Kutta.

    They are those of the fourth order, with a fixed length.
    """
    step_size, first, others = 2 / s, x[:1], x[1:]

    def slope(y: Any) -> Any:
        return lib.concatenate([first, others * y[:-1]])

    def step(_: Any, y: Any) -> Any:
        k1 = slope(y)
        k2 = slope(y + step_size / 2 * k1)
        k3 = slope(y + step_size / 2 * k2)
        k4 = slope(y + step_size * k3)
        return y + step_size / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    return lib.loop(s, step, start)[-1]


def ode_inputs(random: Generator, n: int, s: int) -> tuple[Arrays, Arrays]:
    """Return x (n,); y(0). With n up to 100 the result, near 2ⁿ/n!, is a float64 that is not 0, if n ≤ 4 s."""
    del s
    return [random.uniform(0.5, 1.5, n)], [np.zeros(n)]


def det(lib: Library, A: Any) -> Any:
    """Return the determinant of A (n, n) by expansion along the first row, and so on for the minors: n! products."""
    del lib
    n = len(A)
    return minor([[A[i, j] for j in range(n)] for i in range(n)], 0, tuple(range(n)))


def minor(elements: Any, row: int, columns: tuple[int, ...]) -> Any:
    """Return the determinant of the rows from this on, in these columns."""
    if len(columns) == 1:
        return elements[row][columns[0]]
    total = None
    for i, j in enumerate(columns):
        term = elements[row][j] * minor(elements, row + 1, columns[:i] + columns[i + 1 :])
        total = term if total is None else total - term if i % 2 else total + term
    return total


def det_inputs(random: Generator, n: int) -> tuple[Arrays, Arrays]:
    """Return A (n, n)."""
    return [random.random((n, n))], []


class Task(NamedTuple):
    """A task with its size.  options : names of sizes that the objective takes too; is_newton : see `kmeans`."""

    objective: Callable[..., Any]
    inputs: Callable[..., tuple[Arrays, Arrays]]
    size: dict[str, int]
    options: tuple[str, ...] = ()
    is_newton: bool = False

    def numbers(self, size: dict[str, int], seed: int) -> tuple[Arrays, Arrays]:
        """Return the arrays to differentiate by, and those that are constant."""
        return self.inputs(default_rng(seed), **size)


TASKS = {
    "lse": Task(lse, lse_inputs, {"n": 1_000_000}),
    "llsq": Task(llsq, llsq_inputs, {"n": 200_000, "m": 8}),
    "gmm": Task(gmm, gmm_inputs, {"N": 2000, "D": 16, "K": 10}),
    "kmeans": Task(kmeans, kmeans_inputs, {"n": 5000, "k": 10, "d": 8}, is_newton=True),
    "lstm": Task(lstm, lstm_inputs, {"L": 2, "T": 50, "B": 14}),
    "ode": Task(ode, ode_inputs, {"n": 100, "s": 50}, options=("s",)),
    "det": Task(det, det_inputs, {"n": 6}),
}
