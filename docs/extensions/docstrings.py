"""Docstrings as they are written here, for Sphinx: paragraphs, parameters, lists, formulas and examples."""

import re
import textwrap

from docutils import nodes

QUOTE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
PARAMETER = re.compile(r"^[\w*]+(?:, [\w*]+)* : ")
NEXT_PARAMETER = re.compile(r"(?:(?<=\.)|;) +(?=[\w*]+(?:, [\w*]+)* : )")
COLUMNS = re.compile(r"\S {3,}\S")


def words(text):
    """Return the nodes of a text in which code stands in backticks."""
    found, end = [], 0
    for quote in QUOTE.finditer(text):
        found += [nodes.Text(text[end : quote.start()]), nodes.literal("", quote[2])]
        end = quote.end()
    return [*found, nodes.Text(text[end:])]


def items_of(lines, begins):
    """Return the items of a list, each of which begins with a line of its own, as single lines of text."""
    items = []
    for line in lines:
        if begins(line):
            items.append(line.strip())
        else:
            items[-1] += " " + line.strip()
    return items


def parameters_of(lines):
    """Return the list of parameters; several may stand on a line, and a table of columns under the last one."""
    parameters = nodes.definition_list(classes=["parameters"])
    table = textwrap.dedent("\n".join(filter(COLUMNS.search, lines)))
    for item in items_of([line for line in lines if not COLUMNS.search(line)], PARAMETER.match):
        for parameter in NEXT_PARAMETER.split(item):
            name, _, text = parameter.partition(" : ")
            term = nodes.term("", "", nodes.literal("", name))
            definition = nodes.definition("", nodes.paragraph("", "", *words(text)))
            parameters += nodes.definition_list_item("", term, definition)
    if table:
        definition += nodes.literal_block(table, table, language="text")
    return parameters


def content_of(docstring):
    """Return the nodes of a docstring."""
    found = []
    for block in re.split(r"\n\s*\n", docstring.strip("\n")):
        lines = block.splitlines()
        if not lines:
            continue
        if lines[0].lstrip().startswith(">>>"):
            found.append(nodes.literal_block(block, block, language="pycon"))
        elif lines[0].startswith("    "):
            block = textwrap.dedent(block)
            found.append(nodes.literal_block(block, block, language="text"))
        elif PARAMETER.match(lines[0]):
            found.append(parameters_of(lines))
        elif lines[0].startswith("- "):
            points = nodes.bullet_list()
            for item in items_of(lines, lambda line: line.startswith("- ")):
                points += nodes.list_item("", nodes.paragraph("", "", *words(item[2:])))
            found.append(points)
        else:
            found.append(nodes.paragraph("", "", *words(" ".join(line.strip() for line in lines))))
    return found
