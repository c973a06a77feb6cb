"""The questions on the walk itself: small programs, and the gradients that it gives."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import tinygrad_sm as tg
from tinygrad_sm.engine.mode import Observer, observe
from tinygrad_sm.engine.tape import count_uses
from tinygrad_sm.exercises.exercise import Probe


def leaf(*values: float, dtype: str = "float64") -> tg.Tensor:
    """Return a Tensor that requires a gradient."""
    return tg.Tensor(np.array(values if len(values) > 1 else values[0], dtype), requires_grad=True)


def gradient_of(f: Callable[..., Any], *values: float, **options: Any) -> Callable[[], Any]:
    """Return a call that gives the gradient of f, a function of one Tensor, as backward() leaves it in .grad."""

    def ask() -> Any:
        x = leaf(*values)
        f(x).backward(**options)
        return x.grad

    return ask


class _First(Observer):
    def __init__(self) -> None:
        self.first: Any = None

    def complete(self, value: Any, g: Any) -> None:
        if self.first is None:
            self.first = g


def first_gradients() -> Iterator[Probe]:
    """Yield questions on the gradient that a walk begins with."""

    def began_with(values: Any, dtype: str) -> Callable[[], Any]:
        def ask() -> Any:
            x = tg.Tensor(np.array(values, dtype), requires_grad=True)
            with observe(_First()) as observer:
                (x * x).backward()
            return observer.first

        return ask

    yield Probe("x = 3: x.grad after (x * x).backward()", gradient_of(lambda x: x * x, 3.0))
    yield Probe("x = [1, 2]: x.grad after sum(x * x).backward()", gradient_of(lambda x: (x * x).sum(), 1.0, 2.0))
    yield Probe("the first g of a loss of 4", began_with(2.0, "float64"))
    yield Probe("the first g of a loss of shape (1,)", began_with([2.0], "float64"))
    yield Probe("the first g of a loss of shape (1, 1)", began_with([[2.0]], "float64"))
    yield Probe("the first g of a float32 loss", began_with(2.0, "float32"), stage=1)
    yield Probe("x = 3: ∂(x * x)/∂x as tg.grad gives it", lambda: (lambda x: tg.grad(x * x, x)[0])(leaf(3.0)))
    yield Probe("x = 3: x.grad after x.backward()", gradient_of(lambda x: x, 3.0))


def counts() -> Iterator[Probe]:
    """Yield questions on count_uses: programs, and how often each of their values was used."""

    def of(program: Callable[[Any], dict[str, Any]], names: str) -> Callable[[], Any]:
        def ask() -> Any:
            values = program(leaf(0.5))
            found = count_uses([values["loss"]])
            return [f"{name}: {found.get(values[name], 'not counted')}" for name in names.split()]

        return ask

    def chain(x: Any) -> dict[str, Any]:
        y = tg.exp(x)
        return {"x": x, "y": y, "loss": tg.tanh(y)}

    def square(x: Any) -> dict[str, Any]:
        return {"x": x, "loss": x * x}

    def diamond(x: Any) -> dict[str, Any]:
        y = x * x
        a, b = y * y, tg.exp(y)
        return {"x": x, "y": y, "a": a, "b": b, "loss": a + b}

    def tower(x: Any) -> dict[str, Any]:
        y = x * 1.0
        z = y + y
        w = z + z
        return {"x": x, "y": y, "z": z, "w": w, "loss": w + w + w}

    def towards_x() -> Any:
        x, c = leaf(0.5), leaf(2.0)
        y = tg.exp(c)
        found = count_uses([x * y], frozenset({x}))
        return [x in found, y in found, c in found]

    def square_of_exp(x: Any) -> dict[str, Any]:
        y = tg.exp(x)
        return {"x": x, "y": y, "loss": y * y}

    yield Probe("y = exp(x); loss = tanh(y): the uses of loss, y, x", of(chain, "loss y x"))
    yield Probe("loss = x * x: the uses of x", of(square, "loss x"))
    yield Probe("y = exp(x); loss = y * y: the uses of loss, y, x", of(square_of_exp, "loss y x"))
    yield Probe("y = x*x; a = y*y; b = exp(y); loss = a + b: the uses of loss, a, b, y, x", of(diamond, "loss a b y x"))
    yield Probe("y = x*1; z = y+y; w = z+z; loss = w+w+w: the uses of w, z, y, x", of(tower, "w z y x"))

    def root_of_a_root() -> Any:
        x = leaf(0.5)
        y = tg.exp(x)
        found = count_uses([tg.tanh(y), y])
        return [found[y], found[x]]

    yield Probe("y = exp(x); the roots are tanh(y) and y: the uses of y, x", root_of_a_root, stage=1)
    yield Probe("y = exp(c); loss = x * y: are x, y and c counted, where x alone is wanted?", towards_x, stage=1)


def _diamond(x: Any) -> Any:
    y = x * x
    return y * y + tg.exp(y)


def _second_derivative() -> Any:
    x = leaf(0.5)
    (g,) = tg.grad(_diamond(x), x, create_graph=True)
    return tg.grad(g, x)[0]


def _residual_blocks(x: Any) -> Any:
    for _ in range(3):
        x = x + tg.tanh(x) * x
    return x.sum()


def accumulation() -> Iterator[Probe]:
    """Yield questions on gradients that arrive on several paths."""

    def shared() -> Any:
        a, b = leaf(1.0), leaf(2.0)
        (a + b + b * 3.0 + b * b).backward()
        return [float(a.grad), float(b.grad)]  # type: ignore[arg-type]

    def shared_more() -> Any:
        a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
        s = a + b
        ((s * s).sum() + (b * 5.0).sum() + (a + b * b).sum()).backward()
        return np.array([np.asarray(a.grad), np.asarray(b.grad)])

    yield Probe(
        "x = 3: the gradient of exp(x/2) + 2, where nothing is used twice",
        gradient_of(lambda x: tg.exp(x * 0.5) + 2.0, 3.0),
    )
    yield Probe("x = 3: the gradient of x * x", gradient_of(lambda x: x * x, 3.0))
    yield Probe("x = 3: the gradient of x + x", gradient_of(lambda x: x + x, 3.0))
    yield Probe("x = 3: the gradient of x·x + 2·x", gradient_of(lambda x: x * x + x * 2.0, 3.0))
    yield Probe("x = 3: the gradient of x·x·x", gradient_of(lambda x: x * x * x, 3.0))
    yield Probe("a = 1, b = 2: the gradients of a + b + 3·b + b·b", shared)
    yield Probe("a = [1, 2], b = [3, 4]: the gradients of Σ (a+b)² + 5·b + a + b²", shared_more)
    yield Probe("x = 0.5: the gradient of y·y + exp(y), where y = x·x", gradient_of(_diamond, 0.5))
    yield Probe(
        "x = [0.1, -0.4]: the gradient of Σ x₃, where x ← x + tanh(x)·x three times",
        gradient_of(_residual_blocks, 0.1, -0.4),
    )
    yield Probe("x = 0.5: the second derivative of y·y + exp(y), where y = x·x", _second_derivative, stage=1)


def orders() -> Iterator[Probe]:
    """Yield questions on the order of a walk."""
    yield Probe("x = 3: the gradient of exp(x)", gradient_of(tg.exp, 3.0))
    yield Probe("x = 3: the gradient of 2·x, then tanh", gradient_of(lambda x: tg.tanh(x * 2.0), 3.0))
    yield Probe("x = 3: the gradient of x + x", gradient_of(lambda x: x + x, 3.0))
    yield Probe("x = 0.5: the gradient of y·y + exp(y), where y = x·x", gradient_of(_diamond, 0.5))
    yield Probe(
        "x = 0.5: the gradient of y·y + exp(y), where y = x·x, with retain_graph=True",
        gradient_of(_diamond, 0.5, retain_graph=True),
    )
    yield Probe("x = 3: the gradient of x·x·x", gradient_of(lambda x: x * x * x, 3.0))
    yield Probe("x = 3: the gradient of x·exp(x) + x", gradient_of(lambda x: x * tg.exp(x) + x, 3.0))
    yield Probe(
        "x = [0.1, -0.4]: the gradient of Σ x₃, where x ← x + tanh(x)·x three times",
        gradient_of(_residual_blocks, 0.1, -0.4),
    )
    yield Probe(
        "x = [0.1, -0.4]: the gradient of Σ x₃, where x ← x + tanh(x)·x three times, with retain_graph=True",
        gradient_of(_residual_blocks, 0.1, -0.4, retain_graph=True),
    )
    yield Probe("x = 0.5: the second derivative of y·y + exp(y), where y = x·x", _second_derivative)
