"""The family of x-maxs over one simplex: softmax, sparsemax, entmax and Gumbel-softmax, and argmax, which they soften.

    python examples/xmax_family.py

argmax says which of several numbers z is the largest, but no gradient passes it. Each map of the family gives the z a
distribution a instead, the one that maximises ⟨a, z⟩ + H(a). Without H the largest z would get everything. The entropy
H rewards an even distribution, and each map has its own:

    softmax     H = −Σ a ln a               never exactly 0
    1.5-entmax  H = 4/3 Σ (a − a^1.5)       exactly 0 for what is far behind, and smooth there
    sparsemax   H = 1/2 Σ (a − a²)          exactly 0 sooner: the point of the simplex that is nearest to z

Gumbel-softmax is a softmax of z + noise, with a gradient: the index of its maximum is a draw from softmax(z).
"""

import argparse
import pathlib
import sys

import numpy as np
import pictures

import tinygrad_sm as tg
from tinygrad_sm import nn

F = nn.functional


def entropy_softmax(a):
    """Return −Σ a ln a of each row, where 0 ln 0 is 0."""
    return -(a * np.log(np.where(a > 0, a, 1))).sum(axis=-1)


ENTROPIES = {
    "softmax": (F.softmax, entropy_softmax),
    "1.5-entmax": (F.entmax15, lambda a: 4 / 3 * (a - a**1.5).sum(axis=-1)),
    "sparsemax": (F.sparsemax, lambda a: 1 / 2 * (a - a**2).sum(axis=-1)),
}


def argmax(z):
    """Return 1 for the largest z of each row, and 0 for the others."""
    return F.one_hot(z.argmax(axis=-1), z.shape[-1]).astype(z.dtype)


def hexagon(radius, steps):
    """Return logits (z₁, z₂, z₃) of sum 0, a grid that fills a hexagon: a number added to all z changes no a."""
    i, j = np.meshgrid(np.arange(-steps, steps + 1), np.arange(-steps, steps + 1))
    i, j = i[np.abs(i + j) <= steps], j[np.abs(i + j) <= steps]
    return radius / steps * np.stack([i, j, -i - j], axis=1)


def check_laws(name, f, H, z):
    """Return None if f obeys the laws of the family at the logits z, shape (N, 3), else what came instead."""
    a = f(z)
    order = np.argsort(z, axis=1, kind="stable")
    sorted_a = np.take_along_axis(a, order, axis=1)
    laws = {
        "a ≥ 0": (a >= 0).all(),
        "Σ a = 1": np.allclose(a.sum(axis=1), 1, atol=1e-12),
        "a in the order of z": (np.diff(sorted_a, axis=1) > -1e-12).all(),
        "f(z + c) = f(z)": np.allclose(f(z + 7), a, atol=1e-12),
        "f(z permuted) = a permuted": np.allclose(f(z[:, [2, 0, 1]]), a[:, [2, 0, 1]], atol=1e-12),
        "f(z/T) is argmax for T → 0": np.allclose(f(z / 1e-6), argmax(z), atol=1e-12),
    }
    J = np.stack([tg.jacobian(f, row).numpy() for row in z[:50]])
    laws["J = Jᵀ"] = np.allclose(J, J.swapaxes(1, 2), atol=1e-12)
    laws["rows of J sum to 0"] = np.allclose(J.sum(axis=2), 0, atol=1e-12)
    laws["J is positive semi-definite"] = np.linalg.eigvalsh(J).min() > -1e-12
    everywhere = np.random.default_rng(1).dirichlet(np.ones(3), 2000)  # no distribution does better than a
    attained, best = z[:50] @ everywhere.T + H(everywhere), (a * z).sum(axis=1) + H(a)
    laws["a maximises ⟨a, z⟩ + H(a)"] = (attained.max(axis=1) <= best[:50] + 1e-12).all()
    broken = [law for law, holds in laws.items() if not holds]
    zeros = 100 * (a == 0).mean()
    print(f"{name:10} {len(laws) - len(broken)} of {len(laws)} laws hold; {zeros:.0f} % of the a are exactly 0")
    return f"{name}: expected the laws of the family, got a breach of: {', '.join(broken)}" if broken else None


def check_gumbel(z, draws=20_000):
    """Return None if the largest of Gumbel-softmax falls on each place as often as softmax(z) says, else what came."""
    tg.manual_seed(0)
    hard = F.gumbel_softmax(np.tile(z, (draws, 1)), tau=0.5, hard=True)
    share, a = hard.mean(axis=0), F.softmax(z)
    print(f"{draws} draws of Gumbel-softmax, hard: {share.round(3)}; softmax(z) = {a.round(3)}")
    if not (np.abs(share - a) < 5 * np.sqrt(a * (1 - a) / draws)).all():
        return f"expected the draws to fall as softmax(z) = {a} says, got {share}"
    logits = tg.Tensor(z, requires_grad=True)
    (F.gumbel_softmax(logits, hard=True) * [1.0, 2.0, 3.0]).sum().backward()
    if not np.abs(logits.grad).max() > 0:
        return "expected a gradient to pass a hard draw, straight through, got 0"
    return None


def main():
    """Check the laws of the family, and draw it; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default="runs/xmax_family", help="folder for the pictures")
    args = parser.parse_args()

    z = np.random.default_rng(0).normal(scale=1.5, size=(1000, 3))
    problems = [check_laws(name, f, H, z) for name, (f, H) in ENTROPIES.items()]
    problems.append(check_gumbel(np.array([0.0, 1.0, -0.5])))
    zeros = [(f(z) == 0).mean().item() for f, _ in ENTROPIES.values()]
    if not 0 == zeros[0] < zeros[1] < zeros[2]:
        problems.append(f"expected no zeros of softmax, some of 1.5-entmax and more of sparsemax, got shares {zeros}")

    z = hexagon(radius=3.0, steps=14)
    lead = np.sort(z, axis=1)[:, 2] - np.sort(z, axis=1)[:, 1]
    hard = F.gumbel_softmax(z, hard=True)
    members = {
        "softmax, T = 3": F.softmax(z, temperature=3.0),
        "softmax": F.softmax(z),
        "softmax, T = 0.3": F.softmax(z, temperature=0.3),
        "Gumbel-softmax, one draw each": F.gumbel_softmax(z, tau=0.5),
        "1.5-entmax": F.entmax15(z),
        "sparsemax": F.sparsemax(z),
        f"Gumbel-softmax, hard:\n{100 * (hard != argmax(z)).any(axis=1).mean():.0f} % not at argmax": hard,
        "argmax": argmax(z),
    }
    panels = {name: (a, lead) for name, a in members.items()}
    title = "The same logits under each map of the family: from the middle of the simplex to its corners"
    pictures.simplex(args.output / "simplex.png", panels, title, ("a₁", "a₂", "a₃"), label="lead of the largest logit")
    t = np.linspace(-3, 3, 301)
    pair = np.stack([t, np.zeros_like(t)], axis=1)
    steps = {name: (t, f(pair)[:, 0]) for name, (f, _) in ENTROPIES.items()} | {"argmax": (t, argmax(pair)[:, 0])}
    pictures.lines(args.output / "steps.png", {"a₁": steps}, "Two logits: from a smooth step to a step", "z₁ − z₂")
    print(f"over the simplex:  {args.output / 'simplex.png'}\nof two logits:     {args.output / 'steps.png'}")
    return "; ".join(filter(None, problems)) or 0


if __name__ == "__main__":
    sys.exit(main())
