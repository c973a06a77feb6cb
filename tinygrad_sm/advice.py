"""What an error says to users of PyTorch, NumPy and JAX: t.view is t.reshape here, and dim= is axis=.

    t.view(3, 2)            # AttributeError: Tensor has no attribute 'view': write t.reshape(shape)
    tg.std(t, dim=0)        # TypeError: std() got an unexpected keyword argument 'dim'
                            # write axis= for dim=

The rows for missing names stand in `names.py`. Modules answer through `__getattr__`, which Python asks only for names
that it has not found. A `__getattr__` of Tensor would make every attribute slower, so each name of its table is an
attribute of the class, and says that it is missing.

Keywords are looked at after a call has failed. An operation does that in the branch that describes its errors. A plain
function is replaced by a frame around it that catches the TypeError, but only if it has a parameter that others name
differently: so losses and optimizers, which run in each step, pay nothing. Constructors of Modules have the frame too.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from opcode import opmap
from typing import Any, NoReturn

from tinygrad_sm.names import MODULES

_OUR_KEYWORDS = {
    "a_max": ("max",),
    "a_min": ("min",),
    "argnum": ("argnums",),
    "arrays": ("xs",),
    "axes": ("axis", "dim"),
    "axis": ("dim",),
    "diagonal": ("k",),
    "dim": ("axis",),
    "dims": ("axes", "axis"),
    "keepdim": ("keepdims",),
    "keepdims": ("keepdim",),
    "p": ("ord",),
    "rate": ("p",),
    "size": ("shape",),
    "tensors": ("xs",),
}
"""The names that others have for parameters, and ours, of which a function has one."""

_REMARKS = {
    "device": "move the result with .to(device)",
    "dtype": "convert with .astype(dtype)",
    "generator": "leave it out: tg.manual_seed(seed) sets the one generator",
    "inplace": "leave it out: the result is a new Tensor, as in x = f(x)",
    "out": "leave it out: the result is a new Tensor, as in x = f(x)",
}
"""What to write instead of keywords that have no counterpart."""

_TELLING = {"argnums", "axes", "axis", "ddof", "device", "dim", "k", "min"}
"""Functions with one of these parameters get the frame that explains wrong keywords."""


class Missing:
    """An attribute that is not there and says what to write: hasattr is False, and getattr gives its default."""

    def __init__(self, name: str, row: str):
        self.name = name
        self.row = row

    def __get__(self, instance: Any, owner: type) -> NoReturn:
        raise _attribute_error(_sentence(owner.__name__, self.name, self.row), self.name)

    def __repr__(self) -> str:
        return f"<no attribute: {_instead(self.row)}>"


def advise_on_class(cls: type, rows: Mapping[str, str]) -> None:
    """Let a class and its instances say what to write for the names; dir() of an instance leaves them out."""
    for name, row in rows.items():
        if not hasattr(cls, name):
            setattr(cls, name, Missing(name, row))

    def names_of(self: Any) -> list[str]:
        listed = object.__dir__(self)
        return [name for name in listed if not isinstance(inspect.getattr_static(self, name, None), Missing)]

    cls.__dir__ = names_of  # type: ignore[assignment, method-assign]


def rows_of_functions(module: str) -> dict[str, str]:
    """Return a row for each public operation on x, or on a and b: what t.sin() would be is tg.sin(t)."""
    public, rows = vars(sys.modules[module]), {}
    for name in public["__all__"]:
        if getattr(public.get(name), "__module__", "").startswith("tinygrad_sm.ops."):
            parameters = inspect.signature(public[name]).parameters.values()
            given = [p.name if p.default is p.empty else "axis=axis" for p in parameters if _is_named(p)]
            if given and given[0] in ("a", "x"):
                rows[name] = f"tg.{name}({', '.join(['t', *given[1:]])})"
    return rows


def _is_named(parameter: inspect.Parameter) -> bool:
    """Return whether a row names a parameter: also an axis with a default, which others mean another one by."""
    return parameter.default is parameter.empty or parameter.name == "axis"


def module_hooks(module: str) -> tuple[Callable[[str], NoReturn], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a module: advice on missing names, and a list of its public ones.

    The error of a name without a row is Python's, which then looks for one like it among the public names.
    """
    rows = MODULES[module]

    def getattr_(name: str) -> NoReturn:
        if name not in rows:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        sentence = _sentence(f"module {module!r}", name, rows[name])
        frame = sys._getframe(1)
        while frame.f_code.co_name == "__getattr__" and frame.f_back:
            frame = frame.f_back
        if frame.f_code.co_code[frame.f_lasti] == opmap["IMPORT_FROM"]:  # which drops the text of an AttributeError
            raise ImportError(sentence, name=module)
        raise _attribute_error(sentence, name)

    def dir_() -> list[str]:
        names = vars(sys.modules[module])
        return [*names["__all__"], *(name for name in names if name.startswith("__"))]

    return getattr_, dir_


def _sentence(owner: str, name: str, row: str) -> str:
    return f"{owner} has no attribute {name!r}: {_instead(row)}"


def _instead(row: str) -> str:
    code, _, remark = map(str.strip, row.partition("#"))
    return "; ".join(filter(None, [code and f"write {code}", remark]))


def _attribute_error(sentence: str, name: str) -> AttributeError:
    """Return the error; without the object in it, Python does not add a name that only looks alike."""
    return AttributeError(sentence, name=name, obj=None)


def explain(error: BaseException, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Add to the error of a call what to write, if the fault is in how the function was called."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of a function that is written in C
        return
    for note in _notes(error, function, signature, args, kwargs):
        if note not in getattr(error, "__notes__", ()):  # the call may stand in another one that explains it
            error.add_note(note)


def _notes(
    error: BaseException,
    function: Any,
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Iterator[str]:
    parameters, keyword_notes = signature.parameters, []
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        found = [_note_on_keyword(name, value, parameters) for name, value in kwargs.items()]
        keyword_notes = [note for note in found if note]
    yield from keyword_notes
    is_constructor = function.__name__ == "__init__"
    if not is_constructor and "NoneType" in str(error) and any(x is None for x in args):
        yield hint(None)
    if not (is_constructor or inspect.ismethod(function)):
        return
    owner = type(args[0] if is_constructor else function.__self__).__name__
    given, expected = args[is_constructor:], list(parameters.values())[is_constructor:]
    takes_array = ["weight" in p.name for p in expected] + [False for _ in given]
    if is_constructor and any(getattr(x, "ndim", 0) and not fits for x, fits in zip(given, takes_array, strict=False)):
        yield f"{owner} takes options when it is made, and arrays when it is called: {owner}(...)(x)"
    elif not keyword_notes and not _fits(signature, args, kwargs):
        shown = ", ".join([*("..." for _ in given), *(f"{name}=..." for name in kwargs)])
        yield f"expected {owner}{'' if is_constructor else '(...)'}({', '.join(map(_bare, expected))}), got ({shown})"


def _note_on_keyword(name: str, value: Any, parameters: Mapping[str, inspect.Parameter]) -> str | None:
    """Return what to write instead of a keyword that a function does not have, None if it has it."""
    unnamed = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
    named = [parameter for parameter, p in parameters.items() if p.kind not in unnamed]
    if name in named:
        return None
    if name in ("correction", "unbiased") and "ddof" in named and isinstance(value, int):
        return f"write ddof={int(value)} for {name}={value}: the divisor is n - ddof, by default n"
    ours = next((our for our in _OUR_KEYWORDS.get(name, (name,)) if our in parameters), None)
    if ours in named:
        return f"write {ours}= for {name}="
    if ours or name in ("input", "other", "self", "tensor"):
        return f"give {name} by position, without its name"
    return f"{name}: {_REMARKS[name]}" if name in _REMARKS else None


def _fits(signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _bare(parameter: inspect.Parameter) -> str:
    return str(parameter.replace(annotation=parameter.empty))


def check_call(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Raise the TypeError of a Python call, with advice, unless the arguments fit the parameters."""
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        explain(error, function, args, kwargs)
        raise


@functools.cache
def advised(function: Any) -> Any:
    """Return the function in a frame that explains wrong arguments; it costs as much as a call of Python."""
    if hasattr(function, "is_advised"):
        return function

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (TypeError, ValueError) as error:
            explain(error, function, args, kwargs)
            raise

    call.is_advised = True  # type: ignore[attr-defined]
    return call


def advise_on_keywords(*modules: str) -> None:
    """Put public functions and methods of modules, and the constructors of Modules, into frames.

    A function is replaced wherever the package holds it, so that there is one of each: pickle looks for it where it was
    defined, and a test that replaces it, or a form of it, must find it everywhere. A decorator at each definition would
    do the same, but in the files that learners read.
    """
    public = [vars(sys.modules[module]).get(name) for module in modules for name in sys.modules[module].__all__]
    for cls in filter(inspect.isclass, public):
        _advise_on_methods(cls)
    told = {function: advised(function) for function in public if _is_told(function)}
    for holder in [vars(module) for name, module in sys.modules.items() if name.partition(".")[0] == "tinygrad_sm"]:
        holder.update({name: told[held] for name, held in holder.items() if inspect.isfunction(held) and held in told})


def _advise_on_methods(cls: Any) -> None:
    for name, method in list(vars(cls).items()):
        if name[0] != "_" and _is_told(method):
            setattr(cls, name, advised(method))
    if hasattr(cls, "forward") and object not in cls.__bases__:  # a Module, but not the base of all
        base = next(base for base in cls.__mro__ if "__init__" in vars(base))
        if base is object:
            base, cls.__init__ = cls, _constructor_without_options(cls)
        base.__init__ = advised(base.__init__)


def _constructor_without_options(cls: Any) -> Callable[[Any], None]:
    """Return a constructor for a class that has none: the error of `object` would name neither class nor keyword."""

    def __init__(self: Any) -> None:
        super(cls, self).__init__()

    __init__.__qualname__, __init__.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
    return __init__


def _is_told(function: Any) -> bool:
    return inspect.isfunction(function) and not _TELLING.isdisjoint(inspect.signature(function).parameters)


def instead_of_module(owner: str, given: Any) -> str:
    """Return what to write instead of something that was given as a Module and is none."""
    if isinstance(given, type):
        return f"make one, {given.__name__}(...)"
    if isinstance(given, list | tuple | Iterator):
        return f"write {owner}(*modules) for {owner}(modules)" if owner == "Sequential" else "give the Modules in it"
    return "a function is called in a forward of your own, and nn.ReLU() is the Module of tg.relu"


def hint(given: Any) -> str:
    """Return what may have gone wrong where this came as a number or an array, "" if nothing is known."""
    if given is None:
        return "is it the result of a function without return, or a .grad before backward()?"
    if isinstance(given, str | bytes):
        return "float(text) reads a number"
    return "call it, as in f()" if callable(given) else ""
