"""Writes the stubs that editors and type checkers read, beside the modules that have no annotations.

`make record` writes them. In a stub stand the names of the parameters, the docstrings, and the overloads of operations:
one for each operand that may be a Tensor, the others for arrays and numbers. How that is known: `operations.py`.
"""

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

import tinygrad_sm as tg
from tests.helpers import ROOT
from tests.typing.operations import Learned, is_operation, learn
from tinygrad_sm import Tensor
from tinygrad_sm.engine.tape import Traced

POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD, VAR_POSITIONAL, KEYWORD_ONLY, VAR_KEYWORD = inspect._ParameterKind

HEAD = """\
# Written by `make record` from the running package: change the functions, or tests/typing/stubs.py, and not this file.
"""

ALIASES = """\
_Array: TypeAlias = np.ndarray[Any, Any]  # on a GPU it is CuPy's array, which has the same names
_Arrays: TypeAlias = _Array | Sequence[float] | Sequence[Sequence[float]] | Sequence[Sequence[Sequence[float]]]
_Plain: TypeAlias = _Arrays | complex | np.generic
_Operand: TypeAlias = Tensor | ArrayLike
_Other: TypeAlias = complex | np.generic | Sequence[_Operand]
_Axis: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | None
"""

OF_OPTIONS = {"axis": "_Axis", "keepdims": "bool", "dtype": "DTypeLike | None"}
"""Types of options that functions without annotations share."""

NAMES_FROM = {
    "collections.abc": ("Callable", "Iterable", "Iterator", "Mapping", "Sequence"),
    "numpy.typing": ("ArrayLike", "DTypeLike"),
    "typing": ("Any", "NoReturn", "Self", "SupportsIndex", "TypeAlias", "overload"),
}
"""Where the names stand that stubs use."""


class Parameter(NamedTuple):
    """A parameter of one overload; without a default it is required."""

    name: str
    kind: Any
    type: str
    default: str = ""


def stubs() -> dict[Path, str]:
    """Return the text of each stub by its path in the repository."""
    spaces = [space for space in _namespaces(tg) if any(map(is_operation, _values(space)))]
    functions = {x for space in spaces for x in _values(space) if is_operation(x)}
    functions |= {x for x in vars(Tensor).values() if is_operation(x) and x.__module__.startswith("tinygrad_sm.ops.")}
    learned = learn(sorted(functions, key=lambda x: (x.__module__, x.__name__)))
    texts = {_path(space): _namespace_stub(space, learned) for space in spaces}
    texts[_path(sys.modules[Tensor.__module__])] = _tensor_stub(learned)
    return texts


def record() -> None:
    """Write the stubs, and say which."""
    for path, text in stubs().items():
        (ROOT / path).write_text(text, encoding="utf-8")
        print(f"wrote {path}: {len(text.splitlines())} lines")


def _namespaces(module: ModuleType) -> Iterator[ModuleType]:
    """Yield a module that lists public names, and all that it lists."""
    yield module
    for value in _values(module):
        if inspect.ismodule(value):
            yield from _namespaces(value)


def _values(module: ModuleType) -> Iterable[Any]:
    return [getattr(module, name) for name in getattr(module, "__all__", ())]


def _path(module: ModuleType) -> Path:
    return Path(str(module.__file__)).resolve().with_suffix(".pyi").relative_to(ROOT)


def _namespace_stub(module: ModuleType, learned: dict[Any, Learned]) -> str:
    """Return the stub of a module of public names: operations are defined in it, all else is imported into it."""
    imports, body = set(), []
    for name in module.__all__:
        value = getattr(module, name)
        home = getattr(value, "__module__", None)
        if inspect.ismodule(value):
            imports.add(f"from {module.__name__} import {name} as {name}")
        elif value in learned:
            body.append(_operation(name, value, learned[value]))
        elif inspect.isfunction(value) and home == module.__name__:
            body.append(_function(name, value))
        elif (inspect.isfunction(value) or inspect.isclass(value)) and home != module.__name__:
            imports.add(f"from {home} import {name} as {name}")
        else:
            raise TypeError(f"{module.__name__}.{name} has no place in a stub: define it in a module of its own")
    head = "__version__: str\n" if hasattr(module, "__version__") else ""
    names = "".join(f'    "{name}",\n' for name in module.__all__)
    return _file(module, imports, f"{head}__all__ = [\n{names}]\n\n" + "\n".join(body))


def _file(module: ModuleType, imports: set[str], body: str) -> str:
    """Return the text of a stub with the imports that its body needs."""
    code = ALIASES + body
    words = set(re.findall(r"\w+", re.sub(r'""".*?"""', "", code, flags=re.DOTALL)))
    for home, names in NAMES_FROM.items():
        used = [name for name in names if name in words]
        imports |= {f"from {home} import {', '.join(used)}"} if used else set()
    ours = set(re.findall(r"<(tinygrad_sm[\w.]*)\.(\w+)>", code)) | {(Tensor.__module__, "Tensor")}
    imports |= {f"from {home} import {name}" for home, name in ours if home != module.__name__}
    imports -= {line.partition(" as ")[0] for line in imports if " as " in line}
    code = re.sub(r"<tinygrad_sm[\w.]*\.(\w+)>", r"\1", code)
    lines = "\n".join(["import numpy as np", *sorted(imports)])
    return f"{HEAD}{_docstring(module, '')}\n{lines}\n\n{code}"


def _docstring(x: Any, indent: str = "    ") -> str:
    text = inspect.getdoc(x) or ""
    body = "\n".join(f"{indent}{line}".rstrip() for line in text.splitlines()).lstrip()
    quote = 'r"""' if "\\" in body else '"""'
    return f'{indent}{quote}{body}{"" if len(text.splitlines()) < 2 else chr(10) + indent}"""\n'


def _operation(name: str, function: Any, learned: Learned) -> str:
    """Return the overloads of an operation; the first has the docstring."""
    forms = list(_forms(function, learned))
    if len(forms) == 1:
        return f"def {name}{forms[0]}:\n{_docstring(function)}"
    rest = [f"@overload\ndef {name}{form}: ..." for form in forms[1:]]
    if learned.rows and not any("*" in form for form in forms):
        rest[0] += "  # type: ignore[overload-overlap]"  # an empty sequence fits all
    return "\n".join([f"@overload\ndef {name}{forms[0]}:\n{_docstring(function)}".rstrip(), *rest, ""])


def _forms(function: Any, learned: Learned) -> Iterator[str]:
    """Yield parameters and result of each overload."""
    parameters = [_parameter(p) for p in inspect.signature(function).parameters.values()]
    if not learned.operands:  # the result is of one type for Tensors too
        yield _form(parameters, learned.of_tensors)
        return
    sure = [p for p in parameters if p.name in learned.sure]
    for chosen in sure:
        yield from _tensor_forms(parameters, chosen, learned)
    for chosen in sure if learned.of_arrays != "Any" or learned.rows else ():
        if not chosen.default:
            yield _form(_typed(parameters, learned, _plain_types(parameters, chosen, learned)), learned.of_arrays)
    if learned.rows:  # a sequence of both kinds gives a Tensor
        yield _form(_typed(parameters, learned, {p.name: _any_of(p, learned) for p in parameters}), learned.of_tensors)
    else:  # where arrays give arrays, no array may fit here: mypy says Any if two overloads fit one of any dtype
        last = "_Operand" if learned.of_arrays == "Any" else "_Other"
        yield _form(_typed(parameters, learned, {p.name: last for p in parameters}), "Any")


def _plain_types(parameters: list[Parameter], chosen: Parameter, learned: Learned) -> dict[str, str]:
    """Return the types of the operands in the overload in which this one is an array, and none is a Tensor."""
    types = {p.name: "_Array | Sequence[_Plain]" if _is_row(p, learned) else "_Plain" for p in parameters}
    if types[chosen.name] == "_Plain" and chosen.kind is not VAR_POSITIONAL:
        types[chosen.name] = "_Arrays"
    return types


def _tensor_forms(parameters: list[Parameter], chosen: Parameter, learned: Learned) -> Iterator[str]:
    """Yield the overload in which this operand is a Tensor: by position and, if others may be left out, by name."""
    typed = _typed(parameters, learned, {p.name: _any_of(p, learned) for p in parameters})
    place = parameters.index(chosen)
    may_be_list = _is_row(chosen, learned) or chosen.name in learned.lists
    typed[place] = chosen._replace(type="Tensor | Sequence[Tensor]" if may_be_list else "Tensor")
    required = [p._replace(default="") if p.default else p for p in typed[: place + 1]]
    yield _form(required + typed[place + 1 :], learned.of_tensors)
    if any(p.default for p in typed[:place]) and chosen.kind is POSITIONAL_OR_KEYWORD:
        named = [p._replace(kind=KEYWORD_ONLY) for p in typed[place:]]
        yield _form([*typed[:place], named[0]._replace(default=""), *named[1:]], learned.of_tensors)


def _is_row(parameter: Parameter, learned: Learned) -> bool:
    """Whether it takes a sequence of operands as one argument."""
    return parameter.name in learned.rows and parameter.kind is not VAR_POSITIONAL


def _any_of(parameter: Parameter, learned: Learned) -> str:
    return "Sequence[_Operand]" if _is_row(parameter, learned) else "_Operand"


def _typed(parameters: list[Parameter], learned: Learned, types: dict[str, str]) -> list[Parameter]:
    """Return the parameters, the operands among them with these types."""
    return [
        p._replace(type=types[p.name] + (" | None" if p.default == "None" else "")) if p.name in learned.operands else p
        for p in parameters
    ]


def _form(parameters: list[Parameter], result: str) -> str:
    """Return a signature as text."""
    kinds, parts = [p.kind for p in parameters], []
    for i, p in enumerate(parameters):
        if p.kind is KEYWORD_ONLY and not {KEYWORD_ONLY, VAR_POSITIONAL} & set(kinds[:i]):
            parts.append("*")
        star = {VAR_POSITIONAL: "*", VAR_KEYWORD: "**"}.get(p.kind, "")
        parts.append(f"{star}{p.name}" + (f": {p.type}" if p.type else "") + (f" = {p.default}" if p.default else ""))
        if p.kind is POSITIONAL_ONLY and POSITIONAL_ONLY not in kinds[i + 1 :]:
            parts.append("/")
    return f"({', '.join(parts)}) -> {result}"


def _parameter(p: inspect.Parameter) -> Parameter:
    """Return a parameter with the annotation of the source or, where there is none, what name and default tell."""
    default = "" if p.default is p.empty else _default(p.default)
    if p.annotation is not p.empty:
        return Parameter(p.name, p.kind, _annotation(p.annotation), default)
    told = type(p.default).__name__ if type(p.default) in (bool, str) else "Any"
    return Parameter(p.name, p.kind, OF_OPTIONS.get(p.name, told), default)


def _default(value: Any) -> str:
    """Return a default as it is written, `...` if it is not a simple value."""
    return repr(value) if value is None or isinstance(value, bool | int | float | str) else "..."


def _annotation(annotation: Any) -> str:
    """Return an annotation as text, with the package's classes as <module.Class>, which `_file` imports."""
    if isinstance(annotation, str):
        text = annotation
    elif isinstance(annotation, type) and not hasattr(annotation, "__origin__"):  # else it is generic, as list[int]
        text = f"{annotation.__module__}.{annotation.__name__}".removeprefix("builtins.")
    else:
        text = repr(annotation)
    text = re.sub(r"['\"]|\b(typing|collections\.abc)\.", "", text).replace("numpy.", "np.")
    text = text.replace("np.ndarray[Any, Any]", "_Array").replace(f"{Tensor.__module__}.Tensor", "Tensor")
    return re.sub(r"\btinygrad_sm[\w.]*\.\w+", lambda found: f"<{found[0]}>", text)


def _function(name: str, function: Any, is_method: bool = False) -> str:
    """Return the definition of a function with annotations, or of a method, whose first parameter has none."""
    signature = inspect.signature(function)
    parameters = [_parameter(p) for p in signature.parameters.values()]
    if is_method:
        parameters[0] = parameters[0]._replace(type="")
    result = "None" if name == "__init__" else _annotation(signature.return_annotation)
    if not function.__doc__:
        return f"def {name}{_form(parameters, result)}: ...\n"
    return f"def {name}{_form(parameters, result)}:\n{_docstring(function)}"


def _tensor_stub(learned: dict[Any, Learned]) -> str:
    """Return the stub of the module of the class Tensor."""
    module = sys.modules[Tensor.__module__]
    members = [
        "data: _Array\n",
        "grad: _Array | None\n",
        *(_member(name, value, learned) for name, value in vars(Tensor).items() if _is_shown(name, value)),
    ]
    body = "".join("".join(f"    {line}".rstrip() + "\n" for line in member.splitlines()) for member in members)
    text = f"class Tensor({Traced.__name__}):\n{_docstring(Tensor)}{body}"
    return _file(module, {f"from {Traced.__module__} import Traced"}, text)


HIDDEN = {"__doc__", "__module__", "__slots__", "__getattr__", "_data"}
"""Members of Tensor that no stub shows: with `__getattr__`, a name that is not there would be Any."""


def _is_shown(name: str, value: Any) -> bool:
    is_private = name.startswith("_") and not name.startswith("__")
    is_member = isinstance(value, property | bool) or (callable(value) and not isinstance(value, type))
    return is_member and not is_private and name not in HIDDEN


def _member(name: str, value: Any, learned: dict[Any, Learned]) -> str:
    """Return the definition of an attribute of Tensor."""
    if isinstance(value, property):
        return _property(name, value)
    if isinstance(value, bool):
        return f"{name}: bool\n"
    if value in learned:
        return _method(name, value, learned[value])
    if name == "__hash__":
        return "def __hash__(self) -> int: ...\n"
    if isinstance(value, FunctionType):
        operator = _operator(name, value)
        return operator or _function(name, value, is_method=True)
    raise TypeError(f"Tensor.{name} is no function, property or operation: say in tests/typing/stubs.py what it is")


def _method(name: str, function: Any, learned: Learned) -> str:
    parameters = [_parameter(p) for p in inspect.signature(function).parameters.values()]
    typed = _typed(parameters, learned, {p.name: _any_of(p, learned) for p in parameters})
    typed[0] = typed[0]._replace(type="")
    return f"def {name}{_form(typed, learned.of_tensors)}:\n{_docstring(function)}"


def _operator(name: str, method: Any) -> str:
    """Return the definition of an operator, whose result is found out by calling it; "" if this is none."""
    if list(inspect.signature(method).parameters)[1:] != ["other"]:
        return ""
    if name.startswith("__i"):  # a leaf changes itself, any other Tensor is replaced by a new one
        return f"def {name}(self, other: _Operand, /) -> Self: ...\n"
    given = np.ones((2, 2))
    result = "Tensor" if isinstance(getattr(Tensor(given), name)(given), Tensor) else "_Array"
    other = "object" if name in ("__eq__", "__ne__") else "_Operand"
    ignored = "  # type: ignore[override]" if name in ("__eq__", "__ne__") else ""
    return f"def {name}(self, other: {other}, /) -> {result}: ...{ignored}\n"


def _property(name: str, value: property) -> str:
    """Return a property, with the type that it has in a Tensor."""
    found = getattr(Tensor(np.ones((2, 2))), name)
    types = {Tensor: "Tensor", tuple: "tuple[int, ...]", int: "int", bool: "bool", str: "str"}
    result = types.get(type(found)) or ("np.dtype[Any]" if isinstance(found, np.dtype) else None)
    if result is None:
        raise TypeError(f"the type of Tensor.{name} is unknown: add {type(found).__name__} to {__name__}")
    text = f"@property\ndef {name}(self) -> {result}:\n{_docstring(value)}"
    if value.fset:
        text += f"@{name}.setter\ndef {name}(self, value: {result}) -> None: ...\n"
    return text
