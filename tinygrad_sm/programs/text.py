"""A program as the source text that one would write by hand, with NumPy alone.

    # forward
    # linear, in line 12: logits = model(images)
    logits = images @ weight.T + bias

Names are the user's where there are any: arguments, parameters by their paths, variables of the step. The text runs by
itself, given the arrays and numbers that its first lines name: `Program.given()` returns them.

It computes what the program does, bit for bit, and is shorter in two ways. What is used once stands where it is used.
What a call writes over a whole array has a name of its own: exponentials are not called shifted logits. `variables.py`
says where this holds.
"""

import inspect
import linecache
import re
from collections import Counter
from operator import getitem, setitem
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from tinygrad_sm.programs.arrays import Number
from tinygrad_sm.programs.recording import Call, Guard, Value, values_in, written
from tinygrad_sm.programs.variables import Variables, handed_gradients, natural_dtype, phases_of, without_doubles

_ARITHMETIC = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "true_divide": "/", "power": "**"}
_MORE = {
    "matmul": "@",
    "floor_divide": "//",
    "remainder": "%",
    "bitwise_and": "&",
    "bitwise_or": "|",
    "bitwise_xor": "^",
}
_RELATIONS = {"less": "<", "less_equal": "<=", "equal": "==", "not_equal": "!=", "greater": ">", "greater_equal": ">="}
_OF_NUMBERS = {"sub": "-", "mul": "*", "truediv": "/", "pow": "**"}  # and these, in Python's module `operator`
_RELATIONS_OF_NUMBERS = {"lt": "<", "le": "<=", "eq": "==", "ne": "!=", "gt": ">", "ge": ">="}
_INFIX = _ARITHMETIC | _MORE | _RELATIONS | _OF_NUMBERS | _RELATIONS_OF_NUMBERS
_PREFIX = {"negative": "-", "neg": "-", "invert": "~"}
_LEVELS = {"**": 9, "*": 7, "@": 7, "/": 7, "//": 7, "%": 7, "+": 6, "-": 6, "&": 5, "^": 4, "|": 3}
"""How tightly operators bind, as in Python; comparisons have level 2, signs 8, and names and calls 10."""
_ATOM, _SIGN, _COMPARISON = 10, 8, 2
_LONGEST = 48
"""Longer expressions are not written into others."""
_MIXIN = inspect.getfile(NDArrayOperatorsMixin)
"""Where NumPy calls an operation for `array * tensor`: no line of the user's."""
_REDUCTIONS = {
    "add": "sum",
    "maximum": "max",
    "minimum": "min",
    "multiply": "prod",
    "logical_and": "all",
    "logical_or": "any",
}


class Text:
    """The lines of a program, and the names of its values.

    names : of arrays that exist outside of the step, by their ids, and of inputs, by the ids of their Values.
    """

    def __init__(self, calls: list[Any], effects: list[tuple[Any, ...]], names: dict[int, str], outputs: Any):
        self.calls = calls
        self.names = without_doubles(names, calls)
        self.given: dict[str, Any] = {}
        self._counts: Counter[str] = Counter()
        self._taken = set(self.names.values()) | {"np", "generator"}
        self._texts: dict[int, tuple[str, int]] = {}  # of values, by id, with the level of the operator in it
        self._numbers: dict[Any, str] = {}
        self._views: dict[int, Call] = {}  # by the id of the view
        self._stems: dict[int, str] = {}  # of what results are, by the id of the Value
        named = self._name_results(outputs, effects)
        self._gradients = handed_gradients(calls, [value for value, _ in outputs], named)
        self._variables = Variables(calls, values_in(effects), named)
        self.lines: list[str] = []
        self._phases = phases_of(calls)
        phase, operation, line = "", "", None
        for i, call in enumerate(calls):
            new = [text for text in (self._handed_gradient(i), self._line(i, call)) if text is not None]
            if not new:
                continue
            before: Any = phase, operation, line
            place = call.place or ("", "", None)
            phase, operation, line = self._phases[i], place[1], place[2] or line
            if phase != before[0]:
                self.lines += ["", f"# {phase}"]
            if before != (phase, operation, line) and (described := _described(phase, operation, line, before)):
                self.lines.append(f"# {described}")
            self.lines += new
        self.lines += [line for effect in effects if (line := self._effect(*effect)) is not None]

    def __str__(self) -> str:
        facts = [f"# {name}: {_kind(x)}" for name, x in self.given.items()]
        return "\n".join(["import numpy as np", "", "# given:", *facts, *self.lines, ""])

    def _name_results(self, outputs: list[tuple[Value, Any]], effects: list[tuple[Any, ...]]) -> list[Value]:
        """Name the last output of a line as the user has named it there, and what becomes a gradient by its parameter.

        Return what has a name.
        """
        named = []
        for (value, line), (_, after) in zip(outputs, [*outputs, (None, None)][1:], strict=True):
            if after is not None and (after[:2] == line[:2] or after.filename == _MIXIN):
                continue  # it is not the last of its line, or perhaps not
            found = re.match(r"\s*(\w+)\s*=[^=]", linecache.getline(line.filename, line.lineno))
            if found:
                self._texts[id(value)] = self._new_name(found[1]), _ATOM
                named.append(value)
        for effect in effects:
            if effect[0] is setattr and isinstance(effect[3], Value) and effect[1].name:
                self._texts[id(effect[3])] = self._name_of_gradient(effect[1]), _ATOM
                named.append(effect[3])
        return named

    def _name_of_gradient(self, tensor: Any) -> str:
        path, name = identifier(tensor.name), self.names.get(id(tensor.data), "")
        return (
            "grad_" + path + (name.rpartition(path)[2] if path in name else "")
        )  # weight_2 has the gradient grad_weight_2

    def _handed_gradient(self, i: int) -> str | None:
        """Name the gradient that the rules from call i on are given; return the line that does so, if it needs one."""
        if i not in self._gradients:
            return None
        value, output = self._gradients[i]
        text = self._of(value)
        if id(value) in self._texts and text.isidentifier():
            return None
        self._texts[id(value)] = self._new_name("grad_" + self._of(output)), _ATOM
        return f"{self._of(value)} = {text}"

    def _new_name(self, stem: str) -> str:
        self._counts[stem] += 1
        name = stem if self._counts[stem] == 1 and stem not in self._taken else f"{stem}_{self._counts[stem]}"
        self._taken.add(name)
        return name

    def _of(self, x: Any, level: int = 0) -> str:
        """Return the text of an argument, in parentheses if its operator binds less tightly than the level."""
        text, own = self._text_and_level(x)
        return f"({text})" if own < level else text

    def _text_and_level(self, x: Any) -> tuple[str, int]:
        if isinstance(x, Value):
            return self._of_value(x)
        if isinstance(x, Number):
            return self._of_number(x)
        if type(x) in (tuple, list):
            inside = ", ".join(map(self._of, x)) + ("," if type(x) is tuple and len(x) == 1 else "")
            return (f"({inside})" if type(x) is tuple else f"[{inside}]"), _ATOM
        if isinstance(x, slice):
            return f"slice({x.start}, {x.stop}, {x.step})", _ATOM
        if isinstance(x, np.dtype):
            return f"np.{x.name}" if x.isnative and x.kind in "iufc" else repr(x.str), _ATOM
        if isinstance(x, type):  # a dtype by the name of its class, bool or np.float32
            return "np." * issubclass(x, np.generic) + x.__name__, _ATOM
        if isinstance(x, float) and not np.isfinite(x):
            return {"nan": ("np.nan", _ATOM), "inf": ("np.inf", _ATOM), "-inf": ("-np.inf", _SIGN)}[str(float(x))]
        if isinstance(x, np.ndarray):  # as an index that the step itself has written out
            if id(x) not in self._texts:
                self._texts[id(x)] = self._new_name("constant"), _ATOM
                self.given[self._texts[id(x)][0]] = np.asarray(x)
            return self._texts[id(x)]
        text = "..." if x is ... else repr(x)
        return text, _SIGN if text.startswith("-") else _ATOM

    def _of_value(self, value: Value) -> tuple[str, int]:
        if id(value) not in self._texts:
            if value.origin == "number":
                return self._of_number(value.array)
            if id(value) in self._views:  # a view is written out where it is used
                return self._expression(self._views[id(value)])
            name = self.names.get(id(value)) or self.names.get(id(value.array)) or self._new_name("constant")
            self._texts[id(value)] = name, _ATOM
            self.given[name] = value.array
        return self._texts[id(value)]

    def _of_number(self, number: Number) -> tuple[str, int]:
        name = number.function.__name__.strip("_")
        if name in _INFIX or name in _PREFIX:
            return self._operation(name, number.operands)
        place = number.operands[0]
        stem = number.operands[1]
        if hasattr(place, "parameter") and place.parameter.name:
            stem += "_" + identifier(place.parameter.name)
        key = id(place)
        if (key, stem) not in self._numbers:
            self._numbers[key, stem] = self._new_name(stem)
            self.given[self._numbers[key, stem]] = number
        return self._numbers[key, stem], _ATOM

    def _operation(self, name: str, operands: Any) -> tuple[str, int]:
        if len(operands) == 1:
            return f"{_PREFIX[name]}{self._of(operands[0], _SIGN)}", _SIGN
        sign = _INFIX[name]
        level = _LEVELS.get(sign, _COMPARISON)
        is_from_the_left = sign in _LEVELS and sign != "**"  # a - b - c is (a - b) - c
        left, right = self._of(operands[0], level + (not is_from_the_left)), self._of(operands[1], level + 1)
        return f"{left} {sign} {right}", level

    def _line(self, i: int, call: Any) -> str | None:
        if isinstance(call, Guard):
            return self._question(call)
        if call.result is not None and call.result.base is not None:
            self._views[id(call.result)] = call
            named = self._texts.pop(id(call.result), None)
            if named is None:
                return None
            text, self._texts[id(call.result)] = self._of(call.result), named
            return f"{named[0]} = {text}"
        variable = self._variables.begun.get(i)
        if variable is None:
            return self._changing_line(call)
        if variable in self._variables.overwritten and not variable.uses and not call.draws:
            return None
        text, level = self._expression(call)
        named = self._texts.get(id(variable.value)) if not call.changes else None
        if named is None:
            self._stems[id(variable.value)] = stem = self._stem(i, call, text)
            if self._variables.once(variable) and len(text) <= _LONGEST:
                self._texts[id(variable.value)] = text, level
                return None
            self._texts[id(variable.value)] = named = self._new_name(stem), _ATOM
        return f"{named[0]} = {text}"

    def _question(self, guard: Guard) -> str:
        text = self._of(guard.value)
        # NumPy has no quick way to say these two: the framework compares with ∞, and reads signed as unsigned.
        if guard.answer and (found := re.fullmatch(r"(\w+) < np\.inf", text)):
            return f"assert np.isfinite({found[1]})"
        if guard.answer and (found := re.fullmatch(r"(\w+)\.view\(np\.uint\d+\)\.max\(\) < (\d+)", text)):
            return f"assert {found[1]}.min() >= 0 and {found[1]}.max() < {found[2]}"
        return f"assert {text}" if guard.answer else f"assert not {self._of(guard.value, _COMPARISON)}"

    def _changing_line(self, call: Call) -> str | None:
        """Return the line of a call that changes a part of an array, or an array that exists outside of the step."""
        function, arguments = call.function, call.arguments
        target = self._of(arguments[0])
        if function is setitem:
            target, text = f"{target}[{self._index(arguments[1])}]", self._of(arguments[2])
            if text == target:  # Python itself does this, after `x[:3] += 1`
                return None
            found = re.fullmatch(re.escape(target) + r" (\S+) ([\w.]+)", text)
            return f"{target} {found[1]}= {found[2]}" if found else f"{target} = {text}"
        name, is_in_place = getattr(function, "__name__", ""), call.changes == (arguments[0],) and not call.options
        is_place = target.isidentifier() or target.endswith("]")  # Python cannot write `x.T += 1`
        if isinstance(function, np.ufunc) and is_in_place and name in _INFIX and is_place:
            return f"{target} {_INFIX[name]}= {self._of(arguments[1])}"
        return self._expression(call)[0]

    def _expression(self, call: Call) -> tuple[str, int]:
        """Return what a call computes, and the level of the operator in it."""
        function, arguments, options = call.function, call.arguments, call.options
        name, owner = getattr(function, "__name__", ""), getattr(function, "__self__", None)
        if function is getitem:
            return f"{self._of(arguments[0], _ATOM)}[{self._index(arguments[1])}]", _ATOM
        if isinstance(function, np.ufunc) and (not call.changes or self._variables.writes_whole(call)):
            arguments = arguments[: function.nin]
            if "dtype" in options and natural_dtype(call) == options["dtype"]:
                options = {key: x for key, x in options.items() if key != "dtype"}
            if not options and (name in _INFIX or name in _PREFIX):
                return self._operation(name, arguments)
        if isinstance(owner, np.ufunc) and name == "reduce" and owner.__name__ in _REDUCTIONS and not call.changes:
            return self._reduction(call, _REDUCTIONS[owner.__name__]), _ATOM
        if getattr(function, "__objclass__", None) is np.ndarray:
            return self._method(name, call), _ATOM
        if name == "array" and options == {"order": "C"} and isinstance(arguments[0], Value):
            return f"{self._of(arguments[0], _ATOM)}.copy()", _ATOM
        if name == "arange" and arguments[0] == 0 and arguments[2:] == (1,):
            arguments = arguments[1:2]
        texts = [*map(self._of, arguments), *(f"{key}={self._of(x)}" for key, x in options.items())]
        if call.draws:
            return f"generator.{name}({', '.join(texts)})", _ATOM
        if isinstance(function, np.ufunc) and len(texts) > function.nin and call.changes:
            texts[function.nin] = f"out={texts[function.nin]}"
        return written(function, ", ".join(texts)), _ATOM

    def _reduction(self, call: Call, name: str) -> str:
        arguments = call.arguments
        given = dict(zip(("axis", "dtype", "out", "keepdims"), arguments[1:], strict=False)) | call.options
        defaults = {"axis": None, "dtype": None, "out": None, "keepdims": False}
        given.setdefault("axis", 0)
        if isinstance(arguments[0], Value) and arguments[0].array.ndim == 1 and given["axis"] == 0:
            given["axis"] = None
        texts = [f"{key}={self._of(x)}" for key, x in given.items() if x is not defaults.get(key)]
        return f"{self._of(arguments[0], _ATOM)}.{name}({', '.join(texts)})"

    def _method(self, name: str, call: Call) -> str:
        """Return a call of a method of arrays, without options that change nothing here."""
        (x, *arguments), options = call.arguments, dict(call.options)
        target = self._of(x, _ATOM)
        if name == "transpose" and arguments in ([], [None]):
            return f"{target}.T"
        if name == "astype" and call.result is not None and call.result.base is None:  # it is a copy
            options.pop("copy", None)
            if np.dtype(arguments[0]) == x.array.dtype and options == {"order": "C"}:
                return f"{target}.copy()"
        if name == "reshape" and options == {"order": "A"} and x.array.flags.c_contiguous:
            options = {}
        texts = [*map(self._of, arguments), *(f"{key}={self._of(value)}" for key, value in options.items())]
        return f"{target}.{name}({', '.join(texts)})"

    def _stem(self, i: int, call: Call, text: str) -> str:
        """Return the beginning of a name for a result, after its use or after its function; it is no name of Python."""
        variable = self._variables.begun[i]
        if any(self._is_index(variable.value, self.calls[use]) for use in variable.uses):
            return "places"
        if self._phases[i] == "backward" and any(self.calls[use].place != call.place for use in variable.uses):
            return "gradient"  # what one rule leaves to the next
        name = getattr(call.function, "__name__", "value").strip("_")
        owner = getattr(call.function, "__self__", None)
        name = _REDUCTIONS.get(owner.__name__, name) if isinstance(owner, np.ufunc) else name
        operands = [self._stems.get(id(x)) for x in call.arguments if isinstance(x, Value)]
        if name == "subtract" and operands[1:2] == ["maxima"]:
            return "shifted"
        if name in ("divide", "true_divide") and operands[:1] == ["exponentials"]:
            return "probabilities" if operands[1:2] == ["sums"] else "shares"
        if name == "getitem" and isinstance(call.arguments[1], Value):
            return "picked"
        if found := re.fullmatch(r"(\w+)(\.T)?\.copy\(\)", text):
            return f"{found[1]}_T" if found[2] else f"{found[1]}_copy"
        return _STEMS.get(name, f"{name}_of" if name in ("abs", "round") else name)

    @staticmethod
    def _is_index(value: Value, call: Any) -> bool:
        return isinstance(call, Call) and call.function in (getitem, setitem) and call.arguments[1] is value

    def _index(self, index: Any) -> str:
        if type(index) is tuple and index:
            parts = [self._of(part) if type(part) is tuple else self._index(part) for part in index]
            return ", ".join(parts) + ("," if len(parts) == 1 else "")
        if isinstance(index, slice):
            parts = ["" if part is None else self._of(part) for part in (index.start, index.stop, index.step)]
            return ":".join(parts if index.step is not None else parts[:2])
        return "None" if index is None else self._of(index)

    def _effect(self, function: Any, *arguments: Any) -> str | None:
        if function is setattr:  # the gradient has its name already
            value = arguments[2]
            return None if value is None or not arguments[0].name else self._assigned_gradient(arguments[0], value)
        if function is np.copyto:
            return f"{self._of(arguments[0])}[...] = {self._of(arguments[1])}"
        if function is setitem:
            return None
        return f"# {function.__name__}"

    def _assigned_gradient(self, tensor: Any, value: Value) -> str | None:
        name = self._name_of_gradient(tensor)
        return None if self._of(value) == name else f"{name} = {self._of(value)}"


def identifier(path: str) -> str:
    return re.sub(r"\W", "_", path)


_STEMS = {
    "add": "total",
    "subtract": "difference",
    "multiply": "product",
    "divide": "quotient",
    "true_divide": "quotient",
    "matmul": "product",
    "exp": "exponentials",
    "log": "logarithms",
    "getitem": "part",
    "take": "part",
    "array": "copy",
    "astype": "copy",
    "where": "chosen",
    "empty_like": "scratch",
    "empty": "scratch",
    "negative": "negated",
    "sum": "sums",
    "max": "maxima",
    "min": "minima",
    "prod": "products",
    "all": "all_hold",
    "any": "any_holds",
}


def _described(phase: str, operation: str, line: Any, before: Any) -> str:
    """Return the comment above the calls of one operation; `before` are the phase, operation and line before it."""
    if phase == "backward":
        return f"the gradient of {operation}" if operation else "gradients that add up"
    if phase == "update" or not operation or line is None or line.filename == _MIXIN:
        return "" if phase == "update" else operation
    if before[2] is not None and before[2][:2] == line[:2]:
        return f"{operation}, in the same line"
    source = linecache.getline(line.filename, line.lineno).strip()
    return f"{operation}, in line {line.lineno}" + (f": {source}" if source else "")


def _kind(x: Any) -> str:
    return f"{x.dtype} {x.shape}" if hasattr(x, "shape") else "a number" if isinstance(x, Number) else repr(x)
