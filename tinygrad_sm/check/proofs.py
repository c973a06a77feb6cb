"""Proofs of gradient rules: the forward is differentiated as a formula, and the rules must give the same formula.

>>> from tinygrad_sm.ops.softmax import softmax
>>> print(prove(softmax, (1, 3)))
softmax: proved at orders 1 and 2 with 9 variables, where x[0,0] > x[0,1], x[0,0] > x[0,2]

`gradcheck` compares numbers at one point, as closely as their rounding allows. Here, forward and rules run unchanged on
arrays of formulas (see `symbols`), and the gradient that the engine computes from them must be SymPy's derivative of
the forward: their difference must vanish as a formula (see `identities`). A proof holds for one shape, and in the
region where forward and rules compare as they do at the sample point, and where all that they compute exists. Numbers
are real there: casts and roundings are not seen, nor are the faster forms of operations, which tests compare.
"""

import inspect
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tinygrad_sm.arguments import integer
from tinygrad_sm.arrays import described
from tinygrad_sm.backend import to_numpy
from tinygrad_sm.check.gradients import as_outputs
from tinygrad_sm.engine.tape import data_of

MOST_ELEMENTS = 128


class Proof(NamedTuple):
    """What was proved.

    name : that of the function.
    order : the highest order.
    variables : how many there were at the highest order: the elements of the inputs, and of the g of each order.
    conditions : the region: what forward and rules compared.
    rounding : 0 if rules and derivatives are the same formulas; else how far coefficients differ, relative to the
        largest one, since a rule multiplies floats.
    path : the operations of the forward.
    """

    name: str
    order: int
    variables: int
    conditions: tuple[str, ...]
    rounding: float
    path: tuple[str, ...]

    def __str__(self) -> str:
        orders = {1: "order 1", 2: "orders 1 and 2"}.get(self.order, f"orders 1 to {self.order}")
        where = f", where {', '.join(self.conditions)}" if self.conditions else ""
        rounding = f", up to a rounding of {self.rounding:.0e} of numbers in rules" if self.rounding else ""
        return f"{self.name}: proved at {orders} with {self.variables} variables{where}{rounding}"


def prove(f: Callable[..., Any], shapes: Any, order: int = 2, **static: Any) -> Proof:
    """Prove that the gradients of f, up to the order, are its derivatives.

    f : an operation, or any function of Tensors that returns a Tensor, or several. It gets `static` as keywords.
    shapes : that of each input, in a list, or a single one. An array of floats instead of a shape is the sample point
        too, which else is random, between 1/2 and 3/2. An array of integers, such as labels, is a constant.
    order : how often to differentiate. The g of each order is an input of the next one.

    Each order is proved twice: as backward() computes it, and with the walk itself recorded.

    Raises GradcheckError if a gradient is wrong: it names the rule, and shows the derivative and the difference. The
    error begins with "not proved" where code needs an element as a number, or SymPy cannot tell whether a difference
    vanishes. Raises ValueError for more than 128 elements of all inputs, or of all outputs, as formulas grow long, and
    small shapes show the same rule; TypeError for what is no shape; ImportError without SymPy.

    The extra `proofs` of the package installs SymPy.

    >>> from tinygrad_sm import relu
    >>> print(prove(relu, np.array([-1.0, 1.0])))
    relu: proved at orders 1 and 2 with 6 variables, where x[0] < 0, x[1] > 0
    """
    order = integer("prove", "order", order, smallest=1)
    points = _sample_points(shapes)
    try:
        from tinygrad_sm.check import identities  # not before it is needed: SymPy takes a third of a second
    except ImportError as error:
        raise ImportError(f'tg.prove needs SymPy ({error}): pip install "tinygrad_sm[proofs]"') from error

    def outputs(*operands: Any) -> Sequence[Any]:
        many = as_outputs("prove", f(*operands, **static))
        _check_sizes("outputs", [np.shape(data_of(x)) for x in many])
        return many

    named = dict(zip(_names(f, len(points)), points, strict=True))
    return Proof(getattr(f, "__name__", type(f).__name__), order, *identities.prove_gradients(outputs, named, order))


def _sample_points(shapes: Any) -> list[Any]:
    """Return an array for each input: the sample point, or a constant."""
    given = [shapes] if hasattr(shapes, "dtype") or _is_shape(shapes) else shapes
    if not isinstance(given, tuple | list) or not all(_is_shape(x) or _is_numeric(x) for x in given):
        raise TypeError(
            f"prove: expected a shape such as (2, 3), an array, or a list of these, got {described(shapes)}"
        )
    _check_sizes("shapes", [x.shape if hasattr(x, "dtype") else x for x in given])
    random = np.random.default_rng(0)
    points = [to_numpy(data_of(x)) if hasattr(x, "dtype") else random.uniform(0.5, 1.5, x) for x in given]
    if all(x.dtype.kind != "f" for x in points):
        raise ValueError("prove: expected an input that is no constant: a shape, or an array of floats")
    if not all(np.isfinite(x).all() for x in points):
        raise ValueError("prove: expected finite numbers as the sample point")
    return points


def _is_shape(x: Any) -> bool:
    return isinstance(x, tuple) and all(type(n) is int and n >= 0 for n in x)


def _is_numeric(x: Any) -> bool:
    return getattr(getattr(x, "dtype", None), "kind", "") in tuple("biuf")


def _check_sizes(kind: str, shapes: list[tuple[int, ...]]) -> None:
    if not shapes or sum(map(prod, shapes)) > MOST_ELEMENTS:
        came = f"{sum(map(prod, shapes))} in {', '.join(map(str, shapes)) or 'none'}"
        raise ValueError(f"prove: expected {kind} of at most {MOST_ELEMENTS} elements in all, got {came}")


def _names(f: Any, count: int) -> list[str]:
    """Return a name for each input: those of the parameters, or x0, x1, ... if they are too few, or could be g's."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):  # there is none of some callables
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    return (
        names if len(names) == count and not any(x.startswith("g") for x in names) else [f"x{i}" for i in range(count)]
    )
