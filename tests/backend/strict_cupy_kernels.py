"""Functions that are one launch: `cupy.fuse`, and `ElementwiseKernel`, whose CUDA code a plain function stands for."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.backend.strict_cupy_array import SCALARS, Host, memory, ndarray, new, unsupported
from tests.backend.strict_cupy_device import fusing, launched
from tests.backend.strict_cupy_rules import in_c_order

PLAIN_KERNELS: dict[str, Callable[..., Any]] = {}
"""What stands for a kernel's CUDA code: the kernel's name, and a function of NumPy arrays.

It takes the kernel's inputs in order, and after them the outputs if the caller gave them, which it writes in place. It
returns the outputs that it made itself: an array, or a tuple of arrays. Inputs are read-only.
"""


def fuse(*args: Any, **kwargs: Any) -> Any:
    """Return a function that is one launch on arrays of the device, and plain Python on anything else.

    As in CuPy, in both forms: `@fuse` and `@fuse(kernel_name="name")`.
    """

    def decorate(function: Callable[..., Any], kernel_name: str | None = None) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*operands: Any) -> Any:
            if not any(type(x) is ndarray for x in operands):
                return function(*operands)
            for x in operands:
                if type(x) is not ndarray and type(x) not in SCALARS:
                    raise TypeError(f"Invalid argument type for '{function.__name__}': ({type(x)})")
            with fusing():
                return function(*operands)

        return call

    if not args:
        return lambda function: decorate(function, **kwargs)
    return decorate(*args, **kwargs)


class _Parameter:
    """One of 'T x, raw T y, float32 scale': a type, or a letter that stands for one, and a name."""

    def __init__(self, text: str) -> None:
        words = text.split()
        if len(words) < 2:
            raise ValueError(f"expected a type and a name, got {text!r}")
        *options, self.ctype, self.name = words
        for option in options:
            if option not in ("raw", "_non_const"):
                raise ValueError(f'Unknown keyword "{option}"')
        self.raw = "raw" in options
        self.dtype = None if len(self.ctype) == 1 else np.dtype(self.ctype)


def _parameters(text: str) -> list[_Parameter]:
    return [_Parameter(part) for part in text.split(",") if part.strip()]


class ElementwiseKernel:
    """A kernel of one's own; here, the function registered for its name in `PLAIN_KERNELS`."""

    def __init__(
        self,
        in_params: str,
        out_params: str,
        operation: str,
        name: str = "kernel",
        reduce_dims: bool = True,
        preamble: str = "",
        no_return: bool = False,
        return_tuple: bool = False,
        **kwargs: Any,
    ) -> None:
        self.name, self.operation, self.preamble, self.kwargs = name, operation, preamble, kwargs
        self.reduce_dims, self.no_return, self.return_tuple = reduce_dims, no_return, return_tuple
        self.in_params, self.out_params = _parameters(in_params), _parameters(out_params)
        self.nin, self.nout = len(self.in_params), len(self.out_params)
        self.nargs = self.nin + self.nout

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Launch: the inputs, then all outputs or none; `size=` where no array says how long the loop is."""
        size = kwargs.pop("size", None)
        for option in ("block_size", "stream"):
            kwargs.pop(option, None)
        if kwargs:
            raise TypeError(f"Wrong arguments {kwargs}")
        if len(args) not in (self.nin, self.nargs):
            raise TypeError(
                f"Wrong number of arguments for {self.name!r}. It must be either {self.nin} or {self.nargs} "
                f"(with outputs), but given {len(args)}."
            )
        outs = args[self.nin :]
        for out in outs:
            if type(out) is not ndarray:
                raise TypeError(f"Output arguments type must be cupy.ndarray, not {type(out)}")
        types = self._types(args)
        self._check_loop(args, size)
        plain = PLAIN_KERNELS.get(self.name)
        if plain is None:
            raise NotImplementedError(
                f"no plain function stands for the kernel {self.name!r}: register one by "
                f"strict_cupy.PLAIN_KERNELS[{self.name!r}] = function of NumPy arrays, inputs first"
            )
        inputs = [_input(x, types[p.ctype]) for x, p in zip(args, self.in_params, strict=False)]
        with np.errstate(all="ignore"):
            made = plain(*inputs, *map(memory, outs))
        launched()
        return self._returned(outs, made, types)

    def _types(self, args: tuple[Any, ...]) -> "dict[str, np.dtype[Any]]":
        """Return what each type or letter stands for; arrays must agree with it, and with each other."""
        types = {p.ctype: p.dtype for p in [*self.in_params, *self.out_params] if p.dtype is not None}
        parameters = [*self.in_params, *self.out_params]
        for x, p in zip(args, parameters, strict=False):
            if type(x) is ndarray and types.setdefault(p.ctype, x.dtype) != x.dtype:
                raise TypeError(f"Type is mismatched. {p.name} {x.dtype} {types[p.ctype]}")
            if type(x) is not ndarray and type(x) not in SCALARS:
                raise unsupported(x)
        for x, p in zip(args, parameters, strict=False):
            if type(x) is not ndarray:
                types.setdefault(p.ctype, np.asarray(x).dtype)
        for p in self.out_params:
            if p.ctype not in types:
                raise ValueError(f"{p.ctype} is ambiguous in kernel {self.name!r}")
        return types

    def _check_loop(self, args: tuple[Any, ...], size: int | None) -> None:
        """Raise ValueError unless the arrays, or `size`, say how long the loop is."""
        parameters = [*self.in_params, *self.out_params]
        shapes = [x.shape for x, p in zip(args, parameters, strict=False) if type(x) is ndarray and not p.raw]
        if shapes and size is not None:
            raise ValueError("Specified 'size' can be used only if all of the ndarray are 'raw'.")
        if not shapes and size is None:
            raise ValueError("Loop size is undecided.")
        if len(args) == self.nin and size is None and any(p.raw for p in self.out_params):
            raise ValueError("Output array size is Undecided")
        loop = np.broadcast_shapes(*shapes) if shapes else (size,)
        for x, p in zip(args[self.nin :], self.out_params, strict=False):
            if not p.raw and x.shape != loop:
                raise ValueError(f"Out shape is mismatched: {p.name} is {x.shape}, the loop {loop}")

    def _returned(self, outs: tuple[ndarray, ...], made: Any, types: Any) -> Any:
        """Return the outputs; what the plain function made must have the declared types."""
        results = made if isinstance(made, tuple) else () if made is None else (made,)
        if outs:
            for result in results:
                if not any(np.may_share_memory(result, out._host) for out in outs):
                    raise TypeError(f"the plain function of {self.name!r} must write into the outputs it is given")
            arrays = outs
        else:
            if len(results) != self.nout:
                raise TypeError(f"the plain function of {self.name!r} must return {self.nout} outputs: {len(results)}")
            for result, p in zip(results, self.out_params, strict=True):
                if result.dtype != types[p.ctype]:
                    raise TypeError(f"output {p.name} of {self.name!r}: expected {types[p.ctype]}, got {result.dtype}")
            arrays = tuple(new(in_c_order(result)) for result in results)
        if self.no_return:
            return None
        return arrays[0] if len(arrays) == 1 and not self.return_tuple else arrays


def _input(x: Any, dtype: "np.dtype[Any]") -> Host | np.generic:
    """Return an input for the plain function: read-only memory, or a scalar of the declared type."""
    if type(x) is not ndarray:
        return dtype.type(x)
    host = memory(x).view()
    host.flags.writeable = False
    return host
