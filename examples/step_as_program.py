"""A training step as a program: what `tg.compiled` has recorded of it, beside the formulas, with its time.

    python examples/step_as_program.py

From the third call on, a compiled step is a list of calls of NumPy. `print(step.program)` writes it as one would write
it by hand. Here the step is softmax regression, so its lines have to be those of the lecture and of `micro.py`:
XWᵀ + b, the shift, exp, p − y, (p − y)ᵀX. That is checked by computation: the text runs, line by line, and for each
formula a line has to be found that computes it.
"""

import argparse
import ast
import pathlib
import sys
import time

import micro
import numpy as np
import pictures
from threadpoolctl import threadpool_limits

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.datasets import mnist

LR = 0.1
BATCHES = (32, 128, 1024)
STEPS = 20  # before the program is looked at: with the first weights of a model, some formulas give nearly the same
ROUNDS = 100

IN_MICRO = {
    "XWᵀ + b": "images[rows] @ W.T + b",
    "z − max z": "z = logits - logits.data.max(axis=1, keepdims=True)",
    "exp z": "exp(z)",
    "Σ exp z": "sum(exp(z), axis=1)",
    "(p − y)/N": "logits.grad",
    "−1/N Σ y log p": "sum(log_p * y) / -len(labels)",
    "(p − y)ᵀX/N": "W.grad",
    "Σ (p − y)/N": "b.grad",
    "W − lr · ∂L/∂W": "weight -= lr * W.grad",
    "b − lr · ∂L/∂b": "bias -= lr * b.grad",
}
"""The formulas of the lecture, with what computes them in micro.py."""


def training():
    """Return softmax regression on images of 784 pixels, with a step that trains it."""
    tg.manual_seed(0)
    model = nn.Linear(784, 10)
    cross_entropy = nn.CrossEntropyLoss()
    optimizer = nn.optim.SGD(model.parameters(), lr=LR)

    def step(images, labels):
        logits = model(images)
        loss = cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return model, step


def by_hand(model):
    """Return a step that does the same in NumPy alone, on the parameters of a model."""
    weight, bias = model.weight.data, model.bias.data

    def step(images, labels):
        N = len(labels)
        z = images @ weight.T + bias
        z -= z.max(axis=1, keepdims=True)
        z_of_labels = z[np.arange(N), labels]
        p = np.exp(z, out=z)
        sums = p.sum(axis=1, keepdims=True)
        p /= sums
        p[np.arange(N), labels] -= 1
        p /= N
        weight[...] -= LR * (p.T @ images)
        bias[...] -= LR * p.sum(axis=0)
        return (np.log(sums[:, 0]) - z_of_labels).mean()

    return step


def batches(images, labels, size, count):
    """Return this number of mini-batches in order: images as rows of 784 pixels, and labels."""
    return [(images[i : i + size].reshape(size, 784), labels[i : i + size]) for i in range(0, count * size, size)]


def by_the_lecture(images, labels, weight, bias):
    """Return what each formula gives, in double precision."""
    X, W, b, N = *(x.astype(np.float64) for x in (images, weight, bias)), len(labels)
    z = X @ W.T + b
    shifted = z - z.max(axis=1, keepdims=True)
    sums = np.exp(shifted).sum(axis=1)
    p, y = np.exp(shifted) / sums[:, np.newaxis], np.eye(10)[labels]
    by_W, by_b = (p - y).T @ X / N, (p - y).sum(axis=0) / N
    loss = -(y * np.log(p)).sum() / N
    values = z, shifted, np.exp(shifted), sums, (p - y) / N, loss, by_W, by_b, W - LR * by_W, b - LR * by_b
    return dict(zip(IN_MICRO, values, strict=True))


def by_micro(images, labels, weight, bias):
    """Return what micro.py gives, for those of the formulas that end in its Values."""
    W, b = micro.Value(weight.astype(np.float64)), micro.Value(bias.astype(np.float64))
    logits = images.astype(np.float64) @ W.T + b
    loss = micro.cross_entropy(logits, labels)
    loss.backward()
    values = {"XWᵀ + b": logits.data, "(p − y)/N": logits.grad, "−1/N Σ y log p": loss.data}
    return values | {"(p − y)ᵀX/N": W.grad, "Σ (p − y)/N": b.grad}


def is_near(one, other):
    """Whether two arrays are the same but for rounding, in float32, of numbers as large as the largest of them."""
    one = np.squeeze(one)  # a sum may have kept its axis
    return one.shape == other.shape and np.abs(one - other).max() <= 1e-5 * np.abs(other).max()


def run_line_by_line(text, names):
    """Run a program in a namespace; yield each line with the array that it makes or changes, as it is then."""
    lines = text.splitlines()
    for statement in ast.parse(text).body:
        exec(compile(ast.Module([statement], []), "the program", "exec"), names)
        place = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        while isinstance(place, (ast.Subscript, ast.Call, ast.Attribute)):  # part of an array, or a view of it
            place = place.func if isinstance(place, ast.Call) else place.value
        if isinstance(place, ast.Name):
            yield lines[statement.lineno - 1], np.copy(names[place.id])


def find_formulas(text, given):
    """Return the first line of a program that computes each formula of the lecture, perhaps transposed, or None.

    Return also the namespace in which the program has run: copies of what it is given, and what it has made.
    """
    names = {name: np.copy(x) if isinstance(x, np.ndarray) else x for name, x in given.items()}
    expected = by_the_lecture(*(given[name] for name in ("images", "labels", "weight", "bias")))
    values = list(run_line_by_line(text, names))
    found = {
        formula: next((line for line, value in values if is_near(value, array) or is_near(value.T, array)), None)
        for formula, array in expected.items()
    }
    return found, names


def check_program(text, given, step, model):
    """Print each formula with its line in micro.py and in the program; return None, or what is not so.

    The program has to leave the very bits that the step leaves, which is called once.
    """
    found, names = find_formulas(text, given)
    print(f"{'the lecture':16} micro.py, and below it the program")
    for formula, line in found.items():
        print(f"{formula:16} {IN_MICRO[formula]}\n{'':16} {line or 'in no line'}")
    missing = [formula for formula, line in found.items() if line is None]
    if missing:
        return f"expected a line for each formula, got none that computes {', '.join(missing)}"
    arrays = [given[name] for name in ("images", "labels", "weight", "bias")]
    expected = by_the_lecture(*arrays)
    different = [name for name, array in by_micro(*arrays).items() if not is_near(array, expected[name])]
    if different:
        return f"expected micro.py to give what the lecture does, got something else for {', '.join(different)}"
    step(given["images"], given["labels"])
    if any(names[name].tobytes() != getattr(model, name).numpy().tobytes() for name in ("weight", "bias")):
        return "expected the text of the program to leave the parameters that the step leaves, got others"
    return None


def microseconds(steps, few_batches):
    """Return the median time of each step. All take turns, so that what else the machine does hits all alike."""
    times = {name: [] for name in steps}
    for i in range(ROUNDS):
        batch = few_batches[i % len(few_batches)]
        for name, step in steps.items():
            start = time.perf_counter()
            step(*batch)
            times[name].append(time.perf_counter() - start)
    return {name: 1e6 * np.median(seconds[ROUNDS // 10 :]).item() for name, seconds in times.items()}


def measure(images, labels, size):
    """Return the median times of the three steps in µs; and None, or how they have not learned the same."""
    models, steps = {}, {}
    for name in ("eager", "compiled", "NumPy, by hand"):
        models[name], step = training()
        steps[name] = {"eager": step, "compiled": tg.compiled(step)}.get(name) or by_hand(models[name])
    times = microseconds(steps, batches(images, labels, size, 8))
    eager, compiled, hand = (model.weight.numpy() for model in models.values())
    if eager.tobytes() != compiled.tobytes() or np.abs(eager - hand).max() > 1e-4:
        return times, f"expected three steps with batches of {size} to learn the same weights, got others"
    return times, None


def main():
    """Print a step's program, check that its lines are the lecture's, and draw its time; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default="runs/step_as_program", help="folder for the picture")
    args = parser.parse_args()
    images, labels, _ = mnist("train")

    model, step = training()
    step = tg.compiled(step)
    for batch in batches(images, labels, 128, STEPS):
        loss = step(*batch)
    print(f"# after {STEPS} steps, loss {loss.item():.3f}\n{step.program}")
    problem = check_program(str(step.program), step.program.given(), step, model)
    if problem:
        return problem
    print("all are the same but for rounding; the text leaves the parameters of the step, bit for bit\n")

    panels, problems = {}, []
    with threadpool_limits(1, user_api="blas"):  # the products are so small that two threads wait for each other
        for size in BATCHES:
            panels[f"batches of {size}"], problem = measure(images, labels, size)
            problems.append(problem)
    for name, times in panels.items():
        print(f"{name:15}  " + "   ".join(f"{step} {t:4.0f} µs" for step, t in times.items()))
    title, label = "A step of softmax regression: a large batch shares its fixed cost", "µs per image of the batch"
    for size, times in zip(BATCHES, panels.values(), strict=True):
        times.update({name: t / size for name, t in times.items()})
    pictures.bars(args.output / "time.png", panels, title, label, columns=1)
    print(f"time per step:  {args.output / 'time.png'}")
    return "; ".join(filter(None, problems)) or 0


if __name__ == "__main__":
    sys.exit(main())
