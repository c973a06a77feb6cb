"""The scaling study finds the Hessian's largest eigenvalue and a distribution's shape, and notices a wrong one."""

import re

import numpy as np
import scaling_study

import tinygrad_sm as tg
from tinygrad_sm import nn


def test_power_iteration_finds_the_largest_eigenvalue_of_the_hessian():
    random = np.random.default_rng(0)
    x, labels = random.standard_normal((30, 4)).astype(np.float32) + 2, random.integers(0, 10, 30)
    H = tg.hessian(lambda v: nn.functional.cross_entropy(x @ v[:40].reshape(10, 4).T + v[40:], labels), np.zeros(50))
    expected = np.linalg.eigvalsh(H.numpy())[-1]
    np.testing.assert_allclose(scaling_study.largest_eigenvalue(x, labels), expected, rtol=1e-4)
    np.testing.assert_allclose(scaling_study.eigenvalues_in_closed_form(x)[0], expected, rtol=1e-6)


def test_the_shape_of_a_normal_distribution_and_of_another():
    random = np.random.default_rng(0)
    np.testing.assert_allclose(scaling_study.shape_of(random.standard_normal(100_000) * 3 + 7), (0, 3), atol=0.06)
    np.testing.assert_allclose(scaling_study.shape_of(random.exponential(size=1_000_000)), (2, 9), rtol=0.05)


def test_another_eigenvalue_is_noticed(run, monkeypatch, no_pictures):
    monkeypatch.setattr(scaling_study, "largest_eigenvalue", lambda x, labels: 4.0)
    assert re.match("raw, 0 to 255: expected λ = .*, in closed form, got 4.0", run(scaling_study, "--quick")[0])
