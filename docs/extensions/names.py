"""The directive `names`: public names with their signatures, docstrings, forwards and gradient rules as they stand.

    ```{names} tg
    softmax logsumexp
    exp
        >>> print(tg.exp(0.0))
        1.0
    ```

An operation shows its forward, the rule of each operand, and how far docs/proofs.md proves it; a formula of other
operations, a Module's `forward` and an optimizer's `_update` show their source. Each operation has an example, in its
docstring or here, under its name. Examples run. A wrong one fails the build, as do an operation without an example or
without a row in the table of proofs, and a public name or an operation that stands on no page.
"""

import ast
import importlib
import inspect
import pathlib
import pkgutil
import re
import textwrap

import doctests
import numpy as np
import proved
from docstrings import content_of, words
from docutils import nodes
from public import MODULES, first_name, is_operation, plain
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

import tinygrad_sm as tg
from tinygrad_sm.engine.primitive import Primitive, zero

ROOT = pathlib.Path(__file__).resolve().parents[2]
OF_EXAMPLES = {"tg": tg, "nn": tg.nn, "F": tg.nn.functional, "np": np}
"""The names in examples on pages; for operations that have no public name, those of their module too."""
FORMULAS = {tg.nn.Module: "forward", tg.nn.optim.Optimizer: "_update", tg.nn.schedules.Schedule: "factor"}
"""The method of each kind of class that says what it computes."""


def signature(x, first=0):
    """Return the parameters from the given one on as text, without annotations."""
    try:
        found = inspect.signature(plain(x))
    except (TypeError, ValueError):
        return ""
    parameters = [p.replace(annotation=p.empty) for p in found.parameters.values()][first:]
    text = str(found.replace(parameters=parameters, return_annotation=inspect.Signature.empty))
    return re.sub(r"<class 'numpy\.(\w+)'>", r"np.\1", text)


def source_of(function):
    """Return the source text of a function without its docstring."""
    text = textwrap.dedent(inspect.getsource(function))
    body = ast.parse(text).body[0].body
    if not ast.get_docstring(ast.parse(text).body[0]) or len(body) == 1:
        return text.rstrip()
    lines = text.splitlines()
    return "\n".join(lines[: body[0].lineno - 1] + lines[body[0].end_lineno :]).rstrip()


def rules_of(op):
    """Yield (what the rule is for, its source) of an operation, and the functions that it calls to do its work."""
    helpers = {}
    rules = op.plain_rules or (op.rule_for_each,)
    for i, rule in enumerate(rules):
        name = op.operand_names[i] if op.plain_rules else "xᵢ"
        text = {None: "None: it has no gradient", zero: "zero"}.get(rule) or op.rule_source(i)
        yield f"∂L/∂{name}", text
        for called in rule.__code__.co_names if rule not in (None, zero) and rule.__name__ == "<lambda>" else ():
            helper = rule.__globals__.get(called)
            if called.startswith("_") and inspect.isfunction(helper):
                helpers[called] = inspect.getsource(helper).rstrip()
    for name, text in helpers.items():
        yield name, text


def code(text):
    """Return a block of Python."""
    return nodes.literal_block(text, text, language="python")


def shown(x):
    """Yield the nodes with the source that says what a name computes."""
    if isinstance(x, Primitive):
        yield nodes.rubric("", "Forward")
        yield code(source_of(x.plain))
        yield nodes.rubric("", "Gradient rules")
        for what, text in rules_of(x):
            same = text.startswith("def ") and text.partition("(")[0] == f"def {what}"
            yield code(text if same else f"# {what}\n{text}")
    elif is_operation(x):
        yield nodes.rubric("", "A formula of other operations")
        yield code(source_of(inspect.unwrap(x)))
    elif inspect.isclass(x):
        for base, method in FORMULAS.items():
            if issubclass(x, base) and method in vars(x) and not only_raises(vars(x)[method]):
                yield nodes.rubric("", "What it computes")
                yield code(source_of(vars(x)[method]))


def only_raises(function):
    """Whether a function does nothing else, as that of a base does which its subclasses define."""
    statements = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0].body
    return isinstance(statements[-1], ast.Raise)


class Names(SphinxDirective):
    """A section for each name of the content."""

    required_arguments = 1
    has_content = True

    def run(self):
        """Return the sections."""
        prefix = self.arguments[0]
        module = MODULES.get(prefix) or importlib.import_module(prefix)
        if not hasattr(self.env, "shown_names"):
            self.env.shown_names = []
        found = parted(self.content)
        self.env.shown_names += [(prefix, name, self.env.docname) for name, _ in found]
        return [self.section(prefix, module, name, example) for name, example in found]

    def section(self, prefix, module, name, example):
        """Return the section of one name."""
        x, title = getattr(module, name), f"{prefix}.{name}" if prefix in MODULES else name
        section = nodes.section("", nodes.title("", title), ids=[nodes.make_id(title)])
        self.state.document.note_explicit_target(section)
        head = nodes.paragraph("", "", nodes.literal("", f"{title}{signature(x)}"), classes=["signature"])
        section += head
        first = first_name(x) or title
        docstring = inspect.getdoc(plain(x)) or ""
        if first != title:
            if example:
                raise ExtensionError(f"{title} is {first}: write its example there")
            section += content_of(docstring)[:1] + [nodes.paragraph("", "", *words(f"The same as `{first}`."))]
            return section
        if inspect.isclass(x) or inspect.isfunction(plain(x)):
            target = inspect.unwrap(plain(x))
            path = pathlib.Path(inspect.getsourcefile(target)).resolve().relative_to(ROOT)
            line = inspect.getsourcelines(target)[1]
            head += [nodes.Text("  "), nodes.reference("", "source", refuri=f"source:{path}#L-{line}")]
        section += content_of(docstring)
        section += example_of(x, prefix, module, title, example)
        section += list(shown(x))
        if is_operation(x):
            section += proved.paragraph(x, title)
        if inspect.isclass(x):
            section += list(methods(x, title))
        return section


def parted(lines):
    """Return (name, example) of each name; an example stands in the indented lines under a line with its name alone."""
    found, last = [], []
    for line in lines:
        if line.startswith(" "):
            if len(last) != 1:
                raise ExtensionError(f"expected one name above the example {line.strip()!r}, got {last}")
            found[-1][1].append(line)
        else:
            last = line.split()
            found += [(name, []) for name in last]
    return [(name, textwrap.dedent("\n".join(example))) for name, example in found]


def example_of(x, prefix, module, title, example):
    """Run the examples of a name; return the nodes of that of the page, if the docstring has none."""
    docstring = inspect.getdoc(plain(x)) or ""
    if ">>>" in docstring and example:
        raise ExtensionError(f"{title} has two examples, in its docstring and on its page: remove one")
    if (is_operation(x) or prefix == "nn.functional") and ">>>" not in docstring + example:
        raise ExtensionError(f"{title} has no example: write one under its name in docs/api/, or in its docstring")
    run(docstring, vars(inspect.getmodule(plain(x))), title)
    run(example, OF_EXAMPLES if prefix in MODULES else vars(module) | OF_EXAMPLES, title)
    block = nodes.literal_block(example, example, language="pycon")
    return [nodes.rubric("", "Example"), block] if example else []


def run(text, names, where):
    """Run examples; what NumPy warns of at a pole stays out of the build's output."""
    with np.errstate(all="ignore"):
        doctests.run(text, dict(names), where)


def methods(x, title):
    """Yield a list of a class's own public methods that are no operations, and run their examples."""
    found = nodes.definition_list()
    for name, method in vars(x).items():
        told = inspect.isfunction(method) and method.__doc__ and inspect.getdoc(method)  # of its own
        if name.startswith("_") or not told or ".ops." in method.__module__:
            continue
        if name != "forward" or not issubclass(x, tg.nn.Module):
            run(told, vars(inspect.getmodule(method)), f"{title}.{name}")
            term = nodes.term("", "", nodes.literal("", f".{name}{signature(method, first=1)}"))  # without self
            found += nodes.definition_list_item("", term, nodes.definition("", *content_of(told)))
    if len(found):
        yield found


def check_all_are_shown(app, env):
    """Raise ExtensionError if a public name, or an operation, stands on no page or on two."""
    names = [(prefix, name) for prefix, name, _ in env.shown_names]
    public = [(prefix, name) for prefix, module in MODULES.items() for name in module.__all__]
    expected = {pair for pair in public if not inspect.ismodule(getattr(MODULES[pair[0]], pair[1]))}
    missing = sorted(expected - set(names))
    twice = sorted({pair for pair in names if names.count(pair) > 1})
    there = {id(getattr(MODULES.get(p) or importlib.import_module(p), name)) for p, name in names}
    for info in pkgutil.iter_modules(tg.ops.__path__, "tinygrad_sm.ops."):
        for name, x in vars(importlib.import_module(info.name)).items():
            if isinstance(x, Primitive) and id(x) not in there and x.plain.__module__ == info.name:
                missing.append((info.name, name))
    if missing or twice:
        raise ExtensionError(f"the pages of docs/api/ lack the names {missing}, and have twice {twice}")


def link_names(app, doctree, docname):
    """Make links of the names that stand in backticks, `tg.softmax` and `tinygrad_sm.softmax(z)`, to their sections."""
    places = {f"{prefix}.{name}": page for prefix, name, page in app.env.shown_names if prefix in MODULES}
    for literal in list(doctree.findall(nodes.literal)):
        name = re.match(r"@?([\w.]*)", literal.astext())[1]
        for long, short in (("tinygrad_sm.nn.", "nn."), ("tinygrad_sm.", "tg."), ("functional.", "nn.functional.")):
            name = short + name.removeprefix(long) if name.startswith(long) else name
        alone = isinstance(literal.parent, nodes.reference | nodes.title) or "signature" in literal.parent.get(
            "classes", ()
        )
        if name in places and not alone:
            address = f"{app.builder.get_relative_uri(docname, places[name])}#{nodes.make_id(name)}"
            literal.replace_self(nodes.reference("", "", literal.deepcopy(), refuri=address, internal=True))


def setup(app):
    """Connect to Sphinx."""
    app.add_directive("names", Names)
    app.connect("doctree-resolved", link_names)
    app.connect("env-check-consistency", check_all_are_shown)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
