"""What CuPy has: the frozen table of its names, and calls checked against its signatures."""

import json
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

TABLE: dict[str, Any] = json.loads(Path(__file__).with_name("cupy_names.json").read_text())

_MODELLED = {
    # No launch, where the result shares the argument's memory.
    "views": "array_split atleast_1d atleast_2d atleast_3d broadcast_arrays broadcast_to diagonal dsplit expand_dims "
    "flip fliplr flipud hsplit imag matrix_transpose moveaxis permute_dims ravel real rollaxis rot90 split squeeze "
    "swapaxes vsplit",
    # The host must know the size of the result before it can be made.
    "syncs": "argwhere bincount compress extract flatnonzero nonzero unique unique_counts unique_inverse unique_values "
    "unravel_index",
    "launches": "all allclose amax amin angle any argmax argmin argpartition argsort around array_equal average "
    "column_stack concat concatenate convolve corrcoef correlate count_nonzero cov cross cumprod cumsum "
    "cumulative_prod cumulative_sum diag diagflat diff digitize dot dstack gradient hstack inner interp iscomplex "
    "isclose isin isneginf isposinf isreal kron lexsort max mean median min nan_to_num nanargmax nanargmin nancumprod "
    "nancumsum nanmax nanmean nanmedian nanmin nanprod nanstd nansum nanvar outer pad partition percentile prod ptp "
    "quantile repeat resize roll round searchsorted select sort stack std sum tensordot tile trace trapezoid tril triu "
    "trim_zeros unwrap vander var vdot vstack",
    # They look at types and shapes alone, and take anything.
    "host": "broadcast_shapes can_cast common_type iscomplexobj isdtype isfortran isrealobj isscalar issubdtype "
    "iterable may_share_memory min_scalar_type ndim promote_types result_type shape shares_memory size typename",
    "makers": "arange diag_indices eye identity indices linspace logspace tri tril_indices triu_indices",
    "linalg": "cholesky cond det eigh eigvalsh inv lstsq matrix_power matrix_rank norm pinv qr slogdet solve svd "
    "tensorinv tensorsolve",
    "methods": "all any argmax argmin argpartition argsort compress cumprod cumsum diagonal dot max mean min nonzero "
    "prod ptp repeat round searchsorted squeeze std sum swapaxes trace var",
    "random": "exponential normal rand randint randn random random_sample standard_normal uniform",
    # What CuPy's tracer takes inside of a fused function, besides ufuncs.
    "fusable": "all amax amin any around clip copy imag max min prod real sum where",
}

MODELLED = {kind: names.split() for kind, names in _MODELLED.items()}
MODELLED["launches"] = [name for name in MODELLED["launches"] if hasattr(np, name)]  # NumPy 2.0 lacks the youngest
"""The functions that the double makes of NumPy's, by what they cost."""


class Signature:
    """The parameters of a function of CuPy, and what Python says of a call that does not fit them."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.positional: list[str] = []
        self.required: list[str] = []
        self.names: set[str] = set()
        self.any_positional = self.any_keyword = False
        keyword_only = False
        for part in filter(None, text.split(", ")):
            parameter, _, default = part.partition("=")
            if parameter == "/":
                continue
            if parameter.startswith("**"):
                self.any_keyword = True
            elif parameter.startswith("*"):
                keyword_only = True
                self.any_positional |= parameter != "*"
            else:
                self.names.add(parameter)
                if not keyword_only:
                    self.positional.append(parameter)
                if not default:
                    self.required.append(parameter)

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise TypeError unless the call fits."""
        if len(args) > len(self.positional) and not self.any_positional:
            raise TypeError(
                f"{self.name}() takes {len(self.positional)} positional arguments but {len(args)} were given"
            )
        given = self.positional[: len(args)]
        for name in kwargs:
            if name not in self.names and not self.any_keyword:
                raise TypeError(f"{self.name}() got an unexpected keyword argument {name!r}")
            if name in given:
                raise TypeError(f"{self.name}() got multiple values for argument {name!r}")
        if len(given) < len(self.required):
            for name in self.required:
                if name not in given and name not in kwargs:
                    raise TypeError(f"{self.name}() missing required argument: {name!r}")

    def named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return all arguments by name."""
        self.check(args, kwargs)
        return {**dict(zip(self.positional, args, strict=False)), **kwargs}


@cache
def signature(owner: str, name: str) -> Signature:
    """Return the signature of, say, "namespace", "sum"."""
    text = TABLE[owner][name]
    return Signature(name, "*args, **kwargs" if text is None else text)


def missing(owner: str, what: str, name: str) -> Exception:
    """Return the error for a name that the double does not have: AttributeError if CuPy does not have it either."""
    if name in TABLE[owner]:
        return NotImplementedError(
            f"the strict double of CuPy does not model {what}.{name}: add it to tests/backend/strict_cupy*"
        )
    return AttributeError(name)


class StrictModule(ModuleType):
    """A module that has only the names CuPy's module has."""

    def __init__(self, name: str, owner: str, names: dict[str, Any]) -> None:
        super().__init__(name)
        self._owner = owner
        vars(self).update(names)
        unknown = sorted(names.keys() - TABLE[owner].keys())
        if unknown:
            raise ValueError(f"expected names that CuPy has, got {unknown} for {name}")

    def __getattr__(self, name: str) -> Any:
        error = missing(self._owner, self.__name__, name)
        if isinstance(error, AttributeError):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        raise error
