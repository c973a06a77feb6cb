"""Cutting pieces out of source text, leaving holes, and putting answers in.

    text = source_of("ops/elementwise.py")
    with_holes(text, [exercise_named("exp")])                   # what the learner gets
    answer = answer_in(learners, "exp", "elementwise.py")       # what stands in the hole
    spliced(text, {exercise_named("exp"): answer.text})         # what is judged

A hole stands between two marks, so that an answer can be found again whatever was written into it:

    # >>> exercise exp
    ...
    # <<< exercise exp
"""

import ast
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tinygrad_sm.exercises.exercise import Body, Exercise, Rules


class Span(NamedTuple):
    """Lines of a file, counted from 0, from `first` up to and without `end`, and how far they are indented."""

    first: int
    end: int
    indent: str


class AnswerError(ValueError):
    """What a learner wrote cannot be found or read; the message says what to do."""


def find(text: str, piece: Rules | Body) -> Span:
    """Return where a piece stands in the text of a file; LookupError if it does not."""
    tree, lines = ast.parse(text), text.splitlines(keepends=True)
    if isinstance(piece, Rules):
        return _statements(lines, list(_statements_of_rules(tree, piece.name)))
    return _body(lines, _function(tree, piece.name), piece)


def _statements_of_rules(tree: ast.Module, name: str) -> Iterator[ast.stmt]:
    """Yield the statement that sets the rules of an operation, and before it the functions that are named there."""
    for statement in tree.body:
        call = getattr(statement, "value", None)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == f"{name}.vjp":
            named = {argument.id for argument in call.args if isinstance(argument, ast.Name)}
            yield from (s for s in tree.body if isinstance(s, ast.FunctionDef) and s.name in named)
            yield statement
            return
    raise LookupError(f"there is no {name}.vjp")


def _function(tree: ast.Module, name: str) -> ast.FunctionDef:
    scope: Any = tree
    for part in name.split("."):
        scope = next((s for s in scope.body if getattr(s, "name", None) == part), None)
        if scope is None:
            raise LookupError(f"there is no {name}")
    return scope


def _body(lines: list[str], function: ast.FunctionDef, piece: Body) -> Span:
    statements = function.body[1:] if ast.get_docstring(function) else function.body
    whole = _statements(lines, statements)
    if piece.first is None:
        return whole
    inside = range(whole.first, whole.end)
    first = next((i for i in inside if lines[i].strip() == piece.first), None)
    if first is None:
        raise LookupError(f"there is no line {piece.first!r} in {piece.name}")
    last = next((i for i in inside if i >= first and lines[i].strip() == (piece.last or piece.first)), None)
    if last is None:
        raise LookupError(f"there is no line {piece.last!r} in {piece.name}")
    return Span(first, last + 1, _indent(lines[first]))


def _statements(lines: list[str], statements: Iterable[ast.stmt]) -> Span:
    places = sorted((s.lineno - 1, s.end_lineno or s.lineno) for s in statements)
    for (_, end), (first, _) in zip(places, places[1:], strict=False):
        if any(line.strip() for line in lines[end:first]):
            raise LookupError("a piece must be one run of lines")
    return Span(places[0][0], places[-1][1], _indent(lines[places[0][0]]))


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def solution(text: str, exercise: Exercise) -> str:
    """Return the piece as it stands in the source, at the left margin."""
    span = find(text, exercise.piece)
    return textwrap.dedent("".join(text.splitlines(keepends=True)[span.first : span.end]))


def unwritten(name: str) -> str:
    """Return what a hole raises until something is written into it."""
    return f'NotImplementedError("exercise {name}: write this piece")'


def hole(text: str, exercise: Exercise) -> str:
    """Return what stands in the place of the piece at first, at the left margin."""
    message = f"raise {unwritten(exercise.name)}\n"
    if isinstance(exercise.piece, Body):
        return message
    return "\n\n".join([*_empty_rules(text, exercise.piece.name, message), _call_of_rules(text, exercise.piece.name)])


def _empty_rules(text: str, name: str, message: str) -> Iterator[str]:
    """Yield a function without a body for each rule that is to be written."""
    tree = ast.parse(text)
    forward = _function(tree, name)
    saved = any("saves" in ast.unparse(decorator) for decorator in forward.decorator_list)
    operands = [a.arg for a in forward.args.posonlyargs]
    static = [a.arg for a in (*forward.args.args, *forward.args.kwonlyargs)]
    for operand, rule in zip(operands, _arguments_of_rules(tree, name), strict=True):
        if rule is not None:
            parameters = ", ".join(["g", "out", *operands, *static, *(["saved"] if saved else [])])
            docstring = f'"""Return ∂L/∂{operand}, where g is ∂L/∂out."""\n'
            yield f"def {name}_rule_{operand}({parameters}):\n" + textwrap.indent(docstring + message, "    ")


def _call_of_rules(text: str, name: str) -> str:
    tree = ast.parse(text)
    operands = [a.arg for a in _function(tree, name).args.posonlyargs]
    rules = zip(operands, _arguments_of_rules(tree, name), strict=True)
    return f"{name}.vjp({', '.join(f'{name}_rule_{o}' if rule is not None else 'None' for o, rule in rules)})\n"


def _arguments_of_rules(tree: ast.Module, name: str) -> list[ast.expr | None]:
    *_, statement = _statements_of_rules(tree, name)
    arguments = statement.value.args  # type: ignore[attr-defined]
    return [None if isinstance(a, ast.Constant) and a.value is None else a for a in arguments]


def opening(name: str) -> str:
    """Return the mark before the hole of an exercise."""
    return f"# >>> exercise {name}"


def closing(name: str) -> str:
    """Return the mark behind the hole of an exercise."""
    return f"# <<< exercise {name}"


def with_holes(text: str, exercises: Iterable[Exercise]) -> str:
    """Return the text of a file with holes in the place of the pieces of these exercises, and no docstring of theirs.

    The pieces are cut from the last to the first, so that those before stay where they are.
    """
    lines = text.splitlines(keepends=True)
    cuts = []
    for exercise in exercises:
        span = find(text, exercise.piece)
        empty = f"{opening(exercise.name)}\n{hole(text, exercise)}{closing(exercise.name)}\n"
        cuts.append((span.first, span.end, textwrap.indent(empty, span.indent, lambda line: True)))
        if exercise.docstring is not None and isinstance(exercise.piece, Body):
            docstring = _function(ast.parse(text), exercise.piece.name).body[0]
            quoted = f'{span.indent}"""{exercise.docstring}"""\n'
            cuts.append((docstring.lineno - 1, docstring.end_lineno or 0, quoted))
    for first, end, new in sorted(cuts, reverse=True):
        lines[first:end] = [re.sub(r"(?m)^[ ]+$", "", new)]
    return "".join(lines)


HIDDEN = "…"
"""What stands in the copy where a text would give a piece away."""


def cut(exercises: Iterable[Exercise], source_of: Callable[[str], str]) -> dict[str, str]:
    """Return the new text of each file that changes for these exercises: with holes, and without what gives them away.

    source_of : returns the text of a file of the package.
    """
    chosen = tuple(exercises)
    paths = dict.fromkeys(path for exercise in chosen for path in (exercise.path, *exercise.hides))
    return {path: _without_giveaways(source_of(path), path, chosen) for path in paths}


def _without_giveaways(text: str, path: str, exercises: tuple[Exercise, ...]) -> str:
    text = with_holes(text, [exercise for exercise in exercises if exercise.path == path])
    for exercise in exercises:
        for giveaway in exercise.hides.get(path, ()):
            text = text.replace(giveaway, HIDDEN)
    return text


def around(exercise: Exercise, others: Iterable[Exercise], source_of: Callable[[str], str]) -> str:
    """Return the function in which a piece stands, at the left margin, with … in its place; "" of rules.

    others : whose pieces are not shown either.
    """
    if isinstance(exercise.piece, Rules):
        return ""
    cut_out = [other for other in others if other.path == exercise.path]
    text = cut(cut_out, source_of)[exercise.path]
    function = _function(ast.parse(text), exercise.piece.name)
    first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)]) - 1
    shown = "".join(text.splitlines(keepends=True)[first : function.end_lineno])
    for other in cut_out:
        marked = rf"^ *{opening(other.name)}\n|^ *{closing(other.name)}\n"
        shown = re.sub(marked, "", shown, flags=re.MULTILINE).replace(f"raise {unwritten(other.name)}", HIDDEN)
    return textwrap.dedent(shown)


class Answer(NamedTuple):
    """What stands in a hole, at the left margin, and the line of the file at which it begins, counted from 1."""

    text: str
    lineno: int


def answer_in(text: str, name: str, where: str) -> Answer:
    """Return what a learner's file has between the marks of an exercise; AnswerError if they are not there."""
    lines = text.splitlines(keepends=True)
    marks = [i for mark in (opening(name), closing(name)) for i, line in enumerate(lines) if line.strip() == mark]
    if len(marks) != 2 or marks[0] > marks[1]:
        raise AnswerError(
            f"{where}: expected one line {opening(name)!r} and below it one {closing(name)!r}: they mark where your "
            "answer stands; put them back around it"
        )
    return Answer(_at_the_margin(lines[marks[0] + 1 : marks[1]], _indent(lines[marks[0]])), marks[0] + 2)


def _at_the_margin(lines: Sequence[str], indent: str) -> str:
    """Return lines without the indent of their marks; comments and long strings may stand left of it."""
    if any(line.startswith(indent) for line in lines if line.strip()):
        return "".join(line.removeprefix(indent) for line in lines)
    return textwrap.dedent("".join(lines))  # indented in another way, such as with tabs


def spliced(text: str, answers: Mapping[Exercise, str]) -> str:
    """Return the text of a source file with answers in the places of their pieces.

    They are put in from the last to the first, so that those before stay where they are.
    """
    lines = text.splitlines(keepends=True)
    places = [(find(text, exercise.piece), answer) for exercise, answer in answers.items()]
    for span, answer in sorted(places, reverse=True):
        lines[span.first : span.end] = [textwrap.indent(answer.rstrip() + "\n", span.indent)]
    return "".join(lines)
