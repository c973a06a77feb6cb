"""What each kernel computes, in NumPy: the oracle of its CUDA code, and what stands for it on the strict double."""

import numpy as np

from tinygrad_sm.fast import kernels


def cross_entropy_rows(logits, labels, C, ignored, loss, kept, residual):
    assert logits.shape[1] == C
    is_class = (labels >= 0) & (labels < C) & (labels != ignored)
    largest = logits.max(axis=1, keepdims=True)
    limits = np.finfo(logits.dtype)
    z = logits - largest.clip(limits.min, limits.max)
    p = np.exp(z)
    sums = p.sum(axis=1, keepdims=True)
    sums += sums == 0
    place = np.arange(len(z)), np.where(is_class, labels, 0)
    loss[...] = np.where(is_class, np.log(sums[:, 0]) - z[place], np.where(labels == ignored, 0, np.nan))
    kept[...] = labels != ignored
    p /= sums
    p[place] -= largest[:, 0] != -np.inf
    residual[...] = np.where(is_class[:, np.newaxis], p, 0)


def mean_of_kept(total, kept, *given):
    share = 1 / np.where(kept > 0, kept, np.ones_like(kept))
    if not given:
        return total * share, share
    mean, given_share = given
    mean[...], given_share[...] = total * share, share
    return None


def momentum_step(g, lr, momentum, weight_decay, nesterov, theta, v):
    g = g + theta * weight_decay
    v[...] = momentum * v + g
    theta -= lr * (g + momentum * v if nesterov else v)


def adam_step(g, shrink, weight_decay, beta1, rest1, beta2, rest2, root, eps, rate, theta, m, v):
    moved = theta.astype(m.dtype) * shrink
    g = g + weight_decay * moved
    m[...] = beta1 * m + rest1 * g
    v[...] = beta2 * v + rest2 * g**2
    theta[...] = moved - rate * m / (np.sqrt(v) / root + eps)


BY_NAME = {name: globals()[name] for name in (kernel.name for kernel in kernels.KERNELS)}
