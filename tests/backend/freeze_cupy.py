"""Writes cupy_names.json, the names and signatures that the strict double of CuPy grants, from an installed CuPy.

    python tests/backend/freeze_cupy.py

It needs a CuPy wheel (cupy-cuda12x or cupy-cuda13x), no GPU: everything is found by introspection.
"""

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

TABLE = Path(__file__).with_name("cupy_names.json")
UFUNC_METHODS = ("accumulate", "at", "outer", "reduce", "reduceat")

Names = dict[str, str | None]
"""Names, each with its signature; None for what is no function, or has no signature to be found."""


def signature(function: Callable[..., Any], name: str) -> str | None:
    """Return "a, axis=None, *, dtype=None", without `self` and annotations; None if there is none to be found."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        # Cython writes the signature into the first line of the docstring, with C types before the names.
        line = (function.__doc__ or "").strip().split("\n")[0]
        found = re.fullmatch(rf"(?:\w+\.)?{name}\((.*)\)(?: -> .*)?", line)
        if not found:
            return None
        parts = [part.strip() for part in found[1].split(",")]
        names = [part.split("=")[0].split(" ")[-1] + ("=..." if "=" in part else "") for part in parts if part]
        return ", ".join(names[1:] if names[:1] in (["self"], ["cls"]) else names)
    plain = [p.replace(annotation=p.empty) for p in parameters if p.name not in ("self", "cls")]
    text = str(inspect.Signature([p if p.default is p.empty else p.replace(default=...) for p in plain]))
    return text[1:-1].replace("Ellipsis", "...").replace(" = ", "=")


def public(owner: Any) -> Iterable[str]:
    """Return the owner's public names."""
    return (name for name in dir(owner) if not name.startswith("_"))


def described(owner: Any, names: Iterable[str]) -> Names:
    """Return the names, each with its signature if it is a function and has one."""
    table: Names = {}
    for name in names:
        value = getattr(owner, name)
        is_function = callable(value) and not inspect.isclass(value) and hasattr(value, "__name__")
        table[name] = signature(value, name) if is_function else None
    return table


def special(owner: type) -> Iterable[str]:
    """Return the special methods, by which operators and other libraries come to the class."""
    return (n for n in dir(owner) if n.startswith("__") and n not in dir(object) and "pyx" not in n)


class _Probe:
    """What CuPy's `ufunc.reduce` and its like hand on to if they support the ufunc."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args: True


def ufunc_methods(ufunc: Any) -> list[str]:
    """Return which of `.at`, `.reduce`, ... this ufunc supports; the others raise NotImplementedError."""
    supported = []
    for name in UFUNC_METHODS:
        try:
            if name != "outer":
                getattr(ufunc, name)(_Probe(), 0)
        except NotImplementedError:
            continue
        supported.append(name)
    return supported


def handed_on(module: ModuleType) -> dict[str, str]:
    """Return {"amax": "max", ...}: functions that, in the end, call a method of whatever their first argument is."""
    table = {}
    for name in public(module):
        function = getattr(module, name)
        if not inspect.isfunction(function):
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
        match definition:
            case ast.FunctionDef(
                args=ast.arguments(args=[ast.arg(arg=first), *_]),
                body=[*_, ast.Return(value=ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=method)))],
            ) if owner == first:
                table[name] = method
    return table


def freeze(cupy: Any) -> dict[str, Any]:
    """Return the table of the installed CuPy."""
    flags = cupy.ndarray(0).flags
    ufuncs = {name: value for name in public(cupy) if isinstance(value := getattr(cupy, name), cupy.ufunc)}
    return {
        "version": cupy.__version__,
        "namespace": described(cupy, public(cupy)),
        "ufuncs": {name: ufunc_methods(ufunc) for name, ufunc in ufuncs.items()},
        "handed_on": handed_on(cupy),
        "ndarray": described(cupy.ndarray, [*public(cupy.ndarray), *special(cupy.ndarray)]),
        "flags": described(flags, public(flags)),
        "generator": described(cupy.random.Generator, public(cupy.random.Generator)),
        "random": described(cupy.random, [*public(cupy.random)]),
        "lib": described(cupy.lib, public(cupy.lib)),
        "stride_tricks": described(cupy.lib.stride_tricks, public(cupy.lib.stride_tricks)),
        "linalg": described(cupy.linalg, public(cupy.linalg)),
        "cuda": described(cupy.cuda, public(cupy.cuda)),
        "runtime": described(cupy.cuda.runtime, public(cupy.cuda.runtime)),
        "device": described(cupy.cuda.Device, public(cupy.cuda.Device)),
        "stream": described(cupy.cuda.Stream, public(cupy.cuda.Stream)),
    }


def written(table: dict[str, Any]) -> str:
    """Return the table as JSON: sorted, one name a line."""
    return json.dumps(table, indent=0, sort_keys=True) + "\n"


if __name__ == "__main__":
    import cupy

    # An empty array of real CuPy needs an allocator, and so a device; of host memory it needs none.
    cupy.cuda.set_allocator(lambda size: cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(8, 1, None, 0), 0))
    TABLE.write_text(written(freeze(cupy)))
    sys.stdout.write(f"wrote {TABLE.name} from CuPy {cupy.__version__}\n")
