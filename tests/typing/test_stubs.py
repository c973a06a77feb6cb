"""The stubs are those of the running package, and what they promise is what comes."""

import inspect
import re
import runpy
import types
import typing

import numpy as np
import pytest

from tests.helpers import ROOT
from tests.typing import check, operations, stubs
from tinygrad_sm import Tensor, nn


def matches(value, promised):
    """Whether a value is of a type, as far as values tell it."""
    origin, arguments = typing.get_origin(promised), typing.get_args(promised)
    if promised is typing.Any:
        return True
    if origin is types.UnionType:
        return any(matches(value, part) for part in arguments)
    if origin is type:
        return issubclass(value, arguments)
    if not isinstance(value, origin or promised):
        return False
    if origin is tuple and arguments[-1] is not Ellipsis:
        return len(value) == len(arguments) and all(map(matches, value, arguments))
    return origin not in (list, tuple) or all(matches(part, arguments[0]) for part in value)


def test_the_stubs_are_those_of_the_running_package():
    written = {path.relative_to(ROOT): path.read_text("utf-8") for path in stub_files()}
    made = stubs.stubs()
    assert written.keys() == made.keys(), "run make record, and delete what is left"
    for path, text in made.items():
        assert written[path] == text, f"{path}: run make record"


def is_module(x):
    return inspect.isclass(x) and issubclass(x, nn.Module)


def stub_files():
    return [path for folder in ("tinygrad_sm", "nn", "datasets") for path in (ROOT / folder).rglob("*.pyi")]


@pytest.mark.parametrize("program", check.PROGRAMS, ids=lambda path: path.stem)
def test_what_is_promised_is_what_comes(program, monkeypatch):
    promises = []

    def checked(value, promised):
        promises.append(promised)
        assert matches(value, promised), f"promised {promised}, came {type(value)}"
        return value

    monkeypatch.setattr(typing, "assert_type", checked)
    runpy.run_path(str(program))
    assert len(promises) >= len(re.findall(r"^ *assert_type\(", program.read_text("utf-8"), re.MULTILINE))


def test_a_promise_is_compared():
    array = np.ones(2)
    assert matches(array, np.ndarray[typing.Any, typing.Any] | None)
    assert not matches(Tensor(array), np.ndarray[typing.Any, typing.Any] | None)
    assert matches([array], list[np.ndarray])
    assert not matches([Tensor(array)], list[np.ndarray])
    assert not matches((1, 2.0), tuple[int, int])
    assert not matches(nn.Linear, type[nn.ReLU])


@pytest.mark.parametrize("name", [name for name in nn.__all__ if is_module(getattr(nn, name))])
def test_a_program_says_what_each_module_gives(name):
    called = "\n".join(path.read_text("utf-8") for path in check.PROGRAMS)
    assert re.search(rf"nn\.{name}\b", called), f"add to tests/typing/programs/modules.py what nn.{name} gives"


def test_what_cannot_be_classified_is_said():
    def of_no_row(x, axis, more):
        raise ValueError(x, axis, more)

    with pytest.raises(
        TypeError, match="of_no_row cannot be learned: Tensors gave nothing, arrays nothing; write a row"
    ):
        operations.learn([of_no_row])
