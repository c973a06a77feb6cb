"""The source text of gradient rules, as it stands in the file: for pictures, documentation and exercises.

>>> from tinygrad_sm.ops.elementwise import multiply
>>> multiply.rule_source(0)
'lambda g, out, a, b: g * b  # ∂L/∂a = g ⊙ b'
"""

import ast
import inspect
import linecache
from collections.abc import Callable
from functools import cache
from types import CodeType
from typing import Any


def source_of(rule: Callable[..., Any] | None) -> str:
    """Return the text of a rule with its comment; for None, the rule of an operand without a gradient, "None".

    Raises OSError if there is no source file, as for a rule typed at the prompt.
    """
    if rule is None:
        return "None"
    code = rule.__code__
    if code.co_name != "<lambda>":
        return inspect.getsource(rule).rstrip()
    lines = linecache.getlines(code.co_filename)
    if not lines:
        raise OSError(f"there is no source of {code.co_filename}")
    found = _lambda_of(code, "".join(lines))
    text = ast.get_source_segment("".join(lines), found) or ""
    last = lines[(found.end_lineno or 1) - 1].encode()[found.end_col_offset :].decode()
    comment = last.lstrip(" ,)").rstrip()
    return f"{text}  {comment}" if comment.startswith("#") else text


def _lambda_of(code: CodeType, text: str) -> ast.Lambda:
    """Return the innermost lambda around the first instruction of the code that comes from the text."""
    line, column = next(
        (line, column) for line, _, column, _ in code.co_positions() if line is not None and column not in (None, 0)
    )
    around = [
        node
        for node in _lambdas(text)
        if (node.lineno, node.col_offset) <= (line, column) < (node.end_lineno, node.end_col_offset)
    ]
    if not around:
        raise OSError(f"the source of {code.co_filename} has changed since it was imported")
    return max(around, key=lambda node: (node.lineno, node.col_offset))


@cache
def _lambdas(text: str) -> tuple[ast.Lambda, ...]:
    return tuple(node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Lambda))
