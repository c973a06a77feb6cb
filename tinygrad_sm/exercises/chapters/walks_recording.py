"""The questions on what is recorded: operations, and blocks in which they are not."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

import tinygrad_sm as tg
from tinygrad_sm.engine.mode import ModeScope, Observer, enable_grad, no_grad, observe
from tinygrad_sm.engine.primitive import primitive, zero
from tinygrad_sm.exercises.chapters.walks import gradient_of, leaf
from tinygrad_sm.exercises.exercise import Probe
from tinygrad_sm.ops.softmax import cross_entropy


@primitive
def _is_positive(x, /):
    return x > 0


_is_positive.vjp(zero)


def recording() -> Iterator[Probe]:
    """Yield questions on which operations are recorded."""

    def of(f: Callable[[Any, Any], Any]) -> Callable[[], Any]:
        return lambda: f(leaf(2.0), tg.Tensor(np.array(3.0))).requires_grad

    def in_block(x: Any, c: Any) -> Any:
        with no_grad():
            return x * c

    def compared(x: Any, c: Any) -> Any:
        with no_grad():
            return _is_positive(x)

    def residual() -> Any:
        z = leaf(0.0, 1.0)
        cross_entropy(z.reshape(1, 2), np.array([0])).backward()
        return z.grad

    yield Probe("x requires a gradient: does exp(x)?", of(lambda x, c: tg.exp(x)))
    yield Probe("c requires no gradient: does exp(c)?", of(lambda x, c: tg.exp(c)))
    yield Probe("x requires a gradient, c none: does x * c?", of(lambda x, c: x * c))
    yield Probe("x requires a gradient, c none: does c * x?", of(lambda x, c: c * x))
    yield Probe("x requires a gradient, c none: does x * c inside of no_grad?", of(in_block))
    yield Probe("c requires no gradient: does exp(c) inside of no_grad?", of(lambda x, c: in_block(c, c)))
    yield Probe("x = 2: x.grad after (x * 3).backward()", gradient_of(lambda x: x * 3.0, 2.0))
    yield Probe("x = [1, 2]: x.grad after sum(x * x).backward()", gradient_of(lambda x: (x * x).sum(axis=0), 1.0, 2.0))
    yield Probe("z = [[0, 1]]: the gradient of cross_entropy(z, [0])", residual)
    yield Probe(
        "x requires a gradient: does x > 0, as an operation?",
        lambda: _is_positive(leaf(1.0, -1.0)).requires_grad,
        stage=1,
    )
    yield Probe("c requires no gradient: does c > 0, as an operation?", of(lambda x, c: _is_positive(c)), stage=1)
    yield Probe("x requires a gradient: does x > 0, as an operation, inside of no_grad?", of(compared), stage=1)
    yield Probe("x requires a gradient: does array(3) * x?", of(lambda x, c: tg.multiply(np.array(3.0), x)), stage=1)


class _Names(Observer):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def forward(self, op: Any, forward: Callable[..., Any]) -> Callable[..., Any]:
        self.seen.append(op.name)
        return forward


def modes() -> Iterator[Probe]:
    """Yield questions on no_grad; they are asked in an enable_grad, so that nothing outlives them."""

    def asked(f: Callable[[Any], Any]) -> Callable[[], Any]:
        def ask() -> Any:
            with enable_grad():
                return f(leaf(2.0))

        return ask

    def inside(x: Any) -> Any:
        with no_grad():
            return (x * x).requires_grad

    def behind(x: Any) -> Any:
        with no_grad():
            pass
        return (x * x).requires_grad

    def nested(x: Any) -> Any:
        with no_grad():
            with no_grad():
                innermost = (x * x).requires_grad
            return [innermost, (x * x).requires_grad]

    def left_by_error(x: Any) -> Any:
        with suppress(ZeroDivisionError), no_grad():
            raise ZeroDivisionError
        return (x * x).requires_grad

    def switched_on(x: Any) -> Any:
        with no_grad(), enable_grad():
            return (x * x).requires_grad

    def decorator(x: Any) -> Any:
        @no_grad()
        def square(x: Any) -> Any:
            return x * x

        return [square(x).requires_grad, (x * x).requires_grad, square(x).requires_grad]

    def only_made(x: Any) -> Any:
        block = no_grad()
        before = (x * x).requires_grad
        with block:
            return [before, (x * x).requires_grad]

    def in_silence(x: Any) -> Any:
        with ModeScope(lambda mode: mode._replace(record=False)), no_grad():
            return (x * x).requires_grad

    def observed(x: Any) -> Any:
        with observe(_Names()) as names, no_grad():
            tg.exp(x * x)
        return names.seen

    def made_before(x: Any) -> Any:
        block = no_grad()
        with observe(_Names()) as names, block:
            tg.exp(x)
        return names.seen

    yield Probe("x requires a gradient: does x * x in a block of no_grad?", asked(inside))
    yield Probe("x requires a gradient: does x * x after a block of no_grad?", asked(behind))
    yield Probe(
        "no_grad inside of a block that does not record either: does x * x require a gradient?", asked(in_silence)
    )
    yield Probe(
        "no_grad inside of no_grad: does x * x in the inner block, and after it in the outer one?", asked(nested)
    )
    yield Probe("an exception leaves a block of no_grad: does x * x after it require a gradient?", asked(left_by_error))
    yield Probe("enable_grad inside of no_grad: does x * x require a gradient?", asked(switched_on))
    yield Probe(
        "@no_grad() of a function that returns x * x: does its result, x * x after it, and its result again?",
        asked(decorator),
    )
    yield Probe("block = no_grad(): does x * x before `with block`, and in it?", asked(only_made))
    yield Probe("what an observer sees inside of no_grad", asked(observed), stage=1)
    yield Probe(
        "what an observer sees in a block = no_grad() that was made before it came", asked(made_before), stage=2
    )
    yield Probe(
        "x requires a gradient: do x and x * x in a block of no_grad?", asked(lambda x: [x.requires_grad, inside(x)])
    )
