"""Universal functions of the strict double, and the array's operators, which are made of them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.backend.strict_cupy_array import SCALARS, Host, memory, ndarray, new, to_host
from tests.backend.strict_cupy_device import STATE, launched, not_fusable
from tests.backend.strict_cupy_index import getitem, scatter, setitem
from tests.backend.strict_cupy_rules import UNLIKE_NUMPY, half_dot, in_c_order, is_half_dot, is_noisy, noisy_product
from tests.backend.strict_cupy_table import TABLE


class ufunc:  # noqa: N801
    """An elementwise function, with the methods and keywords that CuPy has for it."""

    def __init__(self, name: str, plain: Callable[..., Any], nin: int, nout: int) -> None:
        self.__name__ = name
        self.name = f"cupy_{plain.__name__}"
        self.nin, self.nout, self.nargs = nin, nout, nin + nout
        self._plain = plain
        self._compute = UNLIKE_NUMPY.get(plain.__name__, plain)

    def __repr__(self) -> str:
        return f"<ufunc '{self.name}'>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the function of arrays of the device and scalars, broadcast against each other."""
        nin = self.nin
        if not nin <= len(args) <= self.nargs:
            raise TypeError(
                f"Wrong number of arguments for {self.name!r}. It must be either {nin} or {self.nargs} (with outputs), "
                f"but given {len(args)}."
            )
        outs = args[nin:]
        if kwargs:
            outs = self._outputs(outs, kwargs)
        hosts = [memory(x) if type(x) is ndarray else to_host(x) for x in args[:nin]]
        with np.errstate(all="ignore"):
            try:
                result = self._compute(*hosts, *[_output(out) for out in outs], **kwargs)
            except TypeError as error:
                raise _plain_error(error) from None
        launched()
        if outs:
            return outs[0] if self.nout == 1 else outs
        result = in_c_order(result)
        return new(result) if self.nout == 1 else tuple(new(part) for part in result)

    def _outputs(self, outs: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Return the outputs, taking `out` from the keywords; refuse keywords that CuPy does not have."""
        out = kwargs.pop("out", None)
        wrong = {name: value for name, value in kwargs.items() if name not in ("dtype", "casting")}
        if wrong:
            raise TypeError(f"Wrong arguments {wrong}")
        if out is None:
            return outs
        if outs:
            raise ValueError("Cannot specify 'out' as both a positional and keyword argument")
        return out if isinstance(out, tuple) else (out,)

    def _supports(self, method: str) -> None:
        if method not in TABLE["ufuncs"][self.__name__]:
            raise NotImplementedError(f"`{self.name}.{method}` is not supported yet")

    def outer(self, A: Any, B: Any, **kwargs: Any) -> Any:  # noqa: N803
        """Apply the function to all pairs of elements."""
        return self(A.reshape(A.shape + (1,) * B.ndim), B, **kwargs)

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        """Apply the function in place, once for every occurrence of an index."""
        self._supports("at")
        scatter(self._plain.__name__, a, indices, b)

    def reduce(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        """Reduce an axis by the function."""
        self._supports("reduce")
        return (array.sum if self.name == "cupy_add" else array.prod)(axis, dtype, out, keepdims)

    def accumulate(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        """Return all partial reductions of an axis."""
        self._supports("accumulate")
        return (array.cumsum if self.name == "cupy_add" else array.cumprod)(axis, dtype, out)

    def reduceat(self, array: Any, indices: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        """Reduce slices of an axis: not modelled."""
        self._supports("reduceat")
        raise NotImplementedError("the strict double of CuPy does not model ufunc.reduceat")


def _plain_error(error: TypeError) -> TypeError:
    """Return CuPy's error for NumPy's: its class is TypeError itself, for all that NumPy has subclasses for."""
    if type(error).__name__ == "_UFuncOutputCastingError":
        given, asked, rule = (getattr(error, name) for name in ("from_", "to", "casting"))
        return TypeError(f"Cannot cast output operand from {given!r} to {asked!r} according to the rule {rule!r}")
    return TypeError(str(error))


def _output(out: Any) -> Host:
    if type(out) is not ndarray:
        raise TypeError(f"Output arguments type must be cupy.ndarray, not {type(out)}")
    return memory(out)


_NO_UFUNCS_OF_NUMPY = {"fix": (1, 1), "i0": (1, 1), "sinc": (1, 1)}


def _ufuncs() -> dict[str, ufunc]:
    table = {}
    for name in TABLE["ufuncs"]:
        plain = getattr(np, name)
        nin, nout = _NO_UFUNCS_OF_NUMPY.get(name) or (plain.nin, plain.nout)
        table[name] = ufunc(name, plain, nin, nout)
    return table


UFUNCS = _ufuncs()


def matmul(a: Any, b: Any, out: ndarray | None = None, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """Return the matrix product; unlike elementwise functions it takes arrays only."""
    if STATE.fusing:
        not_fusable("matmul")
    for name, operand in (("a", a), ("b", b)):
        if type(operand) is not ndarray:
            raise TypeError(
                f"Argument {name!r} has incorrect type (expected cupy._core.core._ndarray_base, "
                f"got {type(operand).__name__})"
            )
    x, y, target = memory(a), memory(b), None if out is None else _output(out)
    with np.errstate(all="ignore"):
        if is_half_dot(x, y):
            result: Any = half_dot(x, y)
        else:
            result = np.matmul(x, y, dtype=dtype, casting=casting)
        if is_noisy(x, y) and x.shape[-1] > 1:
            result = noisy_product([x, y], np.matmul, result)
    if target is not None:
        np.copyto(target, result, casting)
    launched()
    return new(in_c_order(np.asarray(result))) if out is None else out


def _gives_way(x: ndarray, y: Any) -> bool:
    """Whether an operator of `x` leaves the work to the other operand: the rules of NEP 13 as CuPy reads them."""
    try:
        return y.__array_ufunc__ is None
    except AttributeError:
        return getattr(y, "__array_priority__", 0) > x.__array_priority__


def _operators() -> dict[str, Callable[..., Any]]:
    """Return `__add__` and its like. Only operands that are plainly CuPy's own skip NumPy's dispatch."""
    methods: dict[str, Callable[..., Any]] = {}

    def binary(symbol: str, ours: Callable[..., Any], numpys: Callable[..., Any]) -> None:
        def forward(x: ndarray, y: Any) -> Any:
            if type(y) is ndarray or type(y) in (float, int):
                return ours(x, y)
            return NotImplemented if _gives_way(x, y) else numpys(x, y)

        def reflected(x: ndarray, y: Any) -> Any:
            return NotImplemented if _gives_way(x, y) else ours(y, x)

        def in_place(x: ndarray, y: Any) -> Any:
            return ours(x, y, x)

        methods[f"__{symbol}__"] = forward
        methods[f"__r{symbol}__"] = reflected
        if symbol not in ("matmul", "divmod"):  # CuPy has no `@=`
            methods[f"__i{symbol}__"] = in_place

    def comparison(symbol: str, ours: ufunc, numpys: Callable[..., Any]) -> None:
        def compare(x: ndarray, y: Any) -> Any:
            if isinstance(y, np.ndarray) and not y.ndim:
                y = y.item()
            if type(y) is not ndarray and _gives_way(x, y):
                return NotImplemented
            if symbol in ("eq", "ne") and (y is None or type(y).__eq__ is object.__eq__):  # these equal no element
                return new(np.full(x.shape, symbol == "ne"))
            return ours(x, y) if type(y) is ndarray else numpys(x, y)

        methods[f"__{symbol}__"] = compare

    def unary(symbol: str, ours: ufunc) -> None:
        methods[f"__{symbol}__"] = lambda x: ours(x)

    names = {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide"}
    names |= {"mod": "remainder", "divmod": "divmod", "lshift": "left_shift", "rshift": "right_shift"}
    names |= {"and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "pow": "power"}
    for symbol, name in names.items():
        binary(symbol, UFUNCS[name], getattr(np, name))
    binary("matmul", matmul, np.matmul)
    for symbol, name in {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal"}.items():
        comparison(symbol, UFUNCS[name], getattr(np, name))
    for symbol, name in {"gt": "greater", "ge": "greater_equal"}.items():
        comparison(symbol, UFUNCS[name], getattr(np, name))
    for symbol, name in {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}.items():
        unary(symbol, UFUNCS[name])
    return methods


def array_ufunc(x: ndarray, numpys: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """Answer NumPy's `np.exp(x)` and `np.float64(2) * x`; NumPy's arrays are handed on, to be refused by name."""
    operands = inputs
    if "out" in kwargs:
        if len(kwargs["out"]) != 1:
            raise ValueError("The 'out' parameter must have exactly one array value")
        operands = inputs + kwargs["out"]
        kwargs["out"] = kwargs["out"][0]
    name = numpys.__name__
    ours = matmul if name == "matmul" else UFUNCS.get(name)
    if method != "__call__" or ours is None:
        return NotImplemented
    for operand in operands:
        if type(operand) is not ndarray and type(operand) not in SCALARS and not isinstance(operand, np.ndarray):
            return NotImplemented
    if name in ("greater", "greater_equal", "less", "less_equal", "equal", "not_equal"):
        inputs = tuple(v.item() if isinstance(v, np.ndarray) and not v.ndim else v for v in inputs)
    return ours(*inputs, **kwargs)


for _name, _method in _operators().items():
    _method.__name__ = _name
    setattr(ndarray, _name, _method)
ndarray.__getitem__ = getitem
ndarray.__setitem__ = setitem
ndarray.__array_ufunc__ = array_ufunc
