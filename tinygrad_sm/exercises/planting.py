"""Putting wrong answers of our own into the running package, one after the other, so that many take one process.

A learner's answer is put into a copy of the source, and has a process to itself: it may break it, or never end.
Here only the code of a function is exchanged, or the rules of an operation are set anew; whoever imported it sees that.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import CodeType, ModuleType
from typing import Any

from tinygrad_sm.exercises.exercise import Exercise, Rules
from tinygrad_sm.exercises.package import source_of
from tinygrad_sm.exercises.pieces import spliced


@contextmanager
def planted(exercise: Exercise, answer: str) -> Iterator[None]:
    """Let an answer stand in the place of its piece, until the block ends; ValueError if it cannot be done so."""
    module = import_module("tinygrad_sm." + exercise.path.removesuffix(".py").replace("/", "."))
    if isinstance(exercise.piece, Rules):
        yield from _with_rules(module, exercise.piece.name, answer)
        return
    function, name = _function(module, exercise.piece.name)
    before = function.__code__
    text = spliced(source_of(exercise.path), {exercise: answer})
    function.__code__ = _code(compile(text, str(module.__file__), "exec"), name)
    try:
        yield
    finally:
        function.__code__ = before


def _with_rules(module: ModuleType, name: str, answer: str) -> Iterator[None]:
    """Run the statements of an answer in the module; afterwards it is as before."""
    names, op = dict(vars(module)), vars(module)[name]
    rules = dict(vars(op))
    try:
        exec(answer, vars(module))  # noqa: S102  these answers are ours
        yield
    finally:
        vars(module).clear()
        vars(module).update(names)
        vars(op).update(rules)


def _function(module: ModuleType, name: str) -> tuple[Any, str]:
    """Return the plain function of a name, without what it is wrapped in, and its name.

    name : `name`, `Class.name` or, of a function in a function, `outer.inner`, for which the outer one is returned.
    """
    found: Any = module
    parts: list[str] = []
    for part in name.split("."):
        if inspect.isfunction(found):
            break
        found = inspect.getattr_static(found, part)
        parts.append(part)
    for wrapping in ("plain", "fget", "__func__"):
        found = getattr(found, wrapping, None) or found
    return inspect.unwrap(found), ".".join(parts)


def _code(code: CodeType, name: str) -> CodeType:
    """Return the code of a function within that of its file."""
    for part in name.split("."):
        inside = [c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == part]
        if len(inside) != 1:
            raise ValueError(f"expected one {name}, found {len(inside)}")
        (code,) = inside
    return code
