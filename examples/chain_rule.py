"""The chain rule of softmax regression, with numbers: how the gradient of one weight comes about, factor by factor.

    python examples/chain_rule.py

An input x gives the net inputs z = Wx + b, these the probabilities a = softmax(z), and these the loss
L = −Σᵢ yᵢ ln aᵢ. The weight w_{j,k} of class j and input k changes z_j alone, but z_j changes every probability, as the
softmax is one box over all net inputs. So a path leads to w_{j,k} through each aᵢ, and the paths are added:

    ∂L/∂w_{j,k} = Σᵢ ∂L/∂aᵢ · ∂aᵢ/∂z_j · ∂z_j/∂w_{j,k}

Along a path the three factors are MULTIPLIED; a "+" between them, as in some notes, is a slip. `explain` does all this
for numbers of your own, and prints only lines that automatic differentiation confirms.
"""

import argparse
import pathlib
import sys

import drawings
import numpy as np

import tinygrad_sm as tg
from tinygrad_sm import nn


def show(text, by_formula, by_autodiff):
    """Print what a formula gives, if automatic differentiation gives the same; else raise an ArithmeticError."""
    if not np.allclose(by_formula, by_autodiff, rtol=1e-12, atol=1e-12):
        raise ArithmeticError(f"{text}: expected {by_autodiff}, as automatic differentiation has it, got {by_formula}")
    digits = {"float": "{: .6f}".format}
    print(f"  {text} = {np.array2string(by_formula + np.zeros(()), formatter=digits, prefix=' ' * (len(text) + 5))}")


def explain(W, b, x, y, j, k):
    """Print how ∂L/∂w_{j,k} comes about, and return its paths: {"via a_1": the three factors, ...}.

    W : the weights, shape (h, m), a row for each class.  b : the biases, (h,).  x : one input, (m,).  y : its class,
    one-hot, (h,).  j, k : the class and the input of the weight, counted from 1 as in the notes.
    """
    W, b, x, y = (np.asarray(array, np.float64) for array in (W, b, x, y))
    if not (1 <= j <= len(y) and 1 <= k <= len(x)):
        raise IndexError(f"expected j from 1 to {len(y)} and k from 1 to {len(x)}, got j = {j} and k = {k}")
    weight = tg.Tensor(W, requires_grad=True)
    z = weight @ x + b
    a = tg.softmax(z)
    L = -(y * tg.log(a)).sum()
    z.retain_grad()
    a.retain_grad()
    L.backward(retain_graph=True)
    p, classes, row, column = a.numpy(), range(len(y)), j - 1, k - 1
    print(f"∂L/∂w_{j},{k} for x = {x}, y = {y}\n  z = {z.numpy().round(6)}, a = {p.round(6)}, L = {L:.6f}")

    print("Part 1: L = −Σ yᵢ ln aᵢ; differentiated by one aᵢ, the others are constants")
    for i in classes:
        show(f"∂L/∂a_{i + 1} = −y_{i + 1}/a_{i + 1}", 0 - y[i] / p[i], a.grad[i])

    print(f"Part 2: aᵢ = f/g with f = exp(zᵢ), g = Σ exp(zₖ); the quotient rule (f′g − fg′)/g² by z_{j}")
    f, g, jacobian = np.exp(z.numpy()), np.exp(z.numpy()).sum(), tg.jacobian(tg.softmax, z.numpy()).numpy()
    for i in classes:
        slope = ((i == row) * f[i] * g - f[i] * f[row]) / g**2
        show(f"∂a_{i + 1}/∂z_{j} = a_{i + 1}({int(i == row)} − a_{j})", slope, jacobian[i, row])
    print("  all of them, aᵢ(δᵢₖ − aₖ); off the diagonal stands −aᵢaₖ, not 0: no aᵢ is independent")
    show("∂a/∂z", np.diag(p) - np.outer(p, p), jacobian)

    print("Part 3: z is a sum of terms wx")
    show(f"∂z_{j}/∂w_{j},{k} = x_{k}", x[column], tg.jacobian(lambda w: w @ x + b, W).numpy()[row, row, column])

    print("The product of the three along each path, and the sum of the paths")
    paths = {}
    for i in classes:
        factors = paths[f"via a_{i + 1}"] = [0 - y[i] / p[i], p[i] * ((i == row) - p[row]), x[column]]
        text = f"via a_{i + 1}: " + " · ".join(f"({factor:.6f})" for factor in factors)
        only_this = tg.where(np.arange(len(y)) == i, a, p)  # p, an array, has no history: there the other paths end
        (along,) = tg.grad(-(y * tg.log(only_this)).sum(), weight, create_graph=True)
        show(text, np.prod(factors), along.numpy()[row, column])
    show(f"∂L/∂w_{j},{k}, the sum", sum(map(np.prod, paths.values())), weight.grad[row, column])
    show(f"∂L/∂w_{j},{k} = −(y_{j} − a_{j}) x_{k}", -(y[row] - p[row]) * x[column], weight.grad[row, column])
    show("∂L/∂W = −(y − a) xᵀ", -np.outer(y - p, x), weight.grad)
    return paths


def logistic_regression(W, b, x, y):
    """Show that a logistic unit, another model with another loss, learns by the same rule; for two classes."""
    print("Logistic regression, a = σ(wᵀx + b) with w = w₁ − w₂ and b = b₁ − b₂: the same rule")
    w = tg.Tensor(W[0] - W[1], requires_grad=True)
    nn.functional.binary_cross_entropy_with_logits(w @ x + (b[0] - b[1]), y[0]).backward()
    show("∂L/∂w = −(y − a) x, as for w₁ above", -(y[0] - tg.softmax(W @ x + b)[0]) * x, w.grad)


def worked_cross_entropy(Z, labels, in_the_notes):
    """Show the losses of logits Z (N, h) with each reduction, which must be those in the notes to four digits."""
    print(f"\nThe cross-entropy −Σ_j y_j ln a_j of {len(Z)} samples, labels {labels}: the notes add them up,")
    print("libraries take the mean, so that the gradient does not grow with the number of samples")
    A, Y = tg.softmax(Z), np.eye(Z.shape[1])[labels]
    losses = -(Y * np.log(A)).sum(axis=1)
    by_hand = {"none": losses, "sum": losses.sum(), "mean": losses.mean()}
    for reduction, expected in in_the_notes.items():
        came = nn.functional.cross_entropy(Z, labels, reduction=reduction)
        show(f'reduction="{reduction}"', by_hand[reduction], came)
        if not np.allclose(came, expected, rtol=0, atol=5e-5):
            raise ArithmeticError(f'reduction="{reduction}": expected {expected}, as in the notes, got {came}')
    for z, a, y, loss in zip(Z, A, Y, losses, strict=True):
        print(f"  z = {z}, a = softmax(z) = {a.round(4)}, y = {y}: L = {loss:.4f}")


def bias_gradient(Z, labels):
    """Show two rules for the gradient of the biases; difference quotients, by gradcheck, decide which is right."""
    Y = np.eye(Z.shape[1])[labels]
    rules = {
        "right, a sum over the samples:      ": lambda b: -(Y - tg.softmax(Z + b)).sum(axis=0),
        "wrong, a sum over the classes too:  ": lambda b: -(Y - tg.softmax(Z + b)).sum() + 0 * b,
    }
    print("The gradient of the biases, Σ −(y − a). One published notebook sums over the classes too. As the")
    print("rows of y and of a both add up to 1, that gives 0, and such biases never learn")
    for name, rule in rules.items():

        @tg.primitive
        def summed_loss(b, /):
            return nn.functional.cross_entropy(Z + b, labels, reduction="sum")

        summed_loss.vjp(lambda g, out, b, rule=rule: g * rule(b))
        try:
            tg.gradcheck(summed_loss, np.zeros(Z.shape[1]), order=1)
            verdict = "right"
        except tg.GradcheckError:
            verdict = "wrong"
        print(f"  {name}{rule(np.zeros(Z.shape[1])).round(6) + 0}, which gradcheck finds {verdict}")
        if not name.startswith(verdict):
            raise ArithmeticError(f"gradient of the biases, {name.strip()} expected gradcheck to say so, got {verdict}")


def draw(path, W, b, x, y, paths):
    """Draw the network with all its numbers, and on it the paths from the loss to w_{1,2} that `explain` has found."""
    z = W @ x + b
    a = tg.softmax(z)
    values = {"x₁": x[0], "x₂": x[1], "z₁": z[0], "z₂": z[1], "a₁": a[0], "a₂": a[1], "L": -(y * np.log(a)).sum()}
    names, steps, sums = (("a₁", "a₁(1 − a₁)"), ("a₂", "a₂(0 − a₁)")), {}, []
    for (name, slope), i, (via, factors) in zip(names, "₁₂", paths.items(), strict=True):
        ends = ("L", name, f"∂L/∂{name} = −y{i}/{name}"), (name, "z₁", f"∂{name}/∂z₁ = {slope}")
        ends += (("z₁", "x₂", "∂z₁/∂w₁₂ = x₂"),)
        steps[via] = [(*end, factor + 0) for end, factor in zip(ends, factors, strict=True)]
        product = " · ".join(f"({drawings.rounded(factor + 0)})" for factor in factors)
        sums.append(f"via {name}:  {product} = {drawings.rounded(np.prod(factors) + 0)}")
    total = sum(map(np.prod, paths.values()))
    sums.append(f"the sum of the paths:  ∂L/∂w₁₂ = {drawings.rounded(total)} = −(y₁ − a₁) x₂")
    sums.append(f"where L = −y₁ ln a₁ − y₂ ln a₂ with the label y = ({y[0]:.0f}, {y[1]:.0f})")
    title = "Two paths lead from the loss to w₁₂: factors are multiplied along a path, and paths are added"
    drawings.gradient_paths(path, [["x₁", "x₂"], ["z₁", "z₂"], ["a₁", "a₂"]], values, steps, sums, title)


def record(W, b, x, y):
    """Return the recording of the loss and its gradients: the same numbers, as the tape has them."""
    W, b = tg.Tensor(W, requires_grad=True), tg.Tensor(b, requires_grad=True)
    with tg.look.record() as recording:
        z = W @ x + b
        a = tg.softmax(z)
        L = -(y * tg.log(a)).sum()
        L.backward()
    return recording


def main():
    """Explain one weight, compare with logistic regression, work through the notes' numbers; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default="runs/chain_rule", help="folder for the pictures")
    args = parser.parse_args()

    W, b = np.array([[0.5, -0.3], [-0.2, 0.4]]), np.array([0.1, -0.1])
    x, y = np.array([1.0, 2.0]), np.array([0.0, 1.0])
    Z = np.array([[-0.3, -0.5, -0.5], [-0.4, -0.1, -0.5], [-0.3, -0.94, -0.5], [-0.99, -0.88, -0.5]])
    labels = np.array([0, 1, 2, 2])
    in_the_notes = {"none": [0.9698, 0.8801, 1.0527, 0.8314], "sum": 3.7340, "mean": 0.9335}
    try:
        paths = explain(W, b, x, y, j=1, k=2)
        print("The class is 2, so the path via a_1 is 0: without the one via a_2, w_1,2 would seem not to matter")
        logistic_regression(W, b, x, y)
        worked_cross_entropy(Z, labels, in_the_notes)
        bias_gradient(Z, labels)
    except ArithmeticError as error:
        return str(error)

    draw(args.output / "network.png", W, b, x, y, paths)
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "tape.svg").write_text(record(W, b, x, y).svg(numbers=True), encoding="utf-8")
    print(f"\nthe network:  {args.output / 'network.png'}\nits tape:     {args.output / 'tape.svg'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
