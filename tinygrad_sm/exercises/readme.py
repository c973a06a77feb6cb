"""The README of a workbook: the exercises in their order, with what to read, and how to go on."""

from collections.abc import Sequence

from tinygrad_sm.exercises.exercise import Chapter, Exercise

COMMANDS = """\
```sh
python -P -m tinygrad_sm.exercises check .             # judges what you wrote; check . NAME only that
python -P -m tinygrad_sm.exercises hint . NAME         # a hint, and one more each time
python -P -m tinygrad_sm.exercises solution . NAME     # the piece as it stands in the source
python -P -m tinygrad_sm.exercises progress .          # how far you are
```
"""

SOURCE = f"""\
`tinygrad_sm/` is a copy of the package, with holes. Each hole stands between two marks, `# >>> exercise NAME` and
`# <<< exercise NAME`. Write in place of the `raise` there, and leave the marks. No command here writes into your files.

In this folder, run

{COMMANDS}
`-P` says that the installed package judges, and not this copy. From another folder, leave it out, and write the name
of this one for the dot.

What you print is shown beside the question that fails first.

Once all exercises of a chapter are right, `check` trains the flagship on MNIST with your pieces: it must reach 92.5 %
of the test images. That takes from 4 to 60 seconds. `python mnist.py rules` trains the same form of it, that of the
chapter `rules`, with the engine in this folder; it runs as soon as all that it needs is written.
"""

NOTEBOOK = f"""\
Each notebook is a chapter. Run its first cell, then write into the cells that begin with `%%exercise`, in place of the
`raise`: running a cell judges it. `%hint NAME` gives a hint, and one more each time, and `%solution NAME` shows the
piece as it stands in the source. The last cell trains the flagship on MNIST with your pieces, as soon as all of the
chapter are right: from 4 to 60 seconds.

The same from a terminal, in this folder, once the notebooks are saved:

{COMMANDS}"""


def text(chapters: Sequence[Chapter], form: str) -> str:
    """Return the README of a folder with these chapters, as "source" or "notebook"."""
    minutes = sum(exercise.minutes for chapter in chapters for exercise in chapter.exercises)
    count = sum(len(chapter.exercises) for chapter in chapters)
    lines = [
        "# Write the engine yourself\n",
        f"{count} exercise{'s' if count != 1 else ''}, {in_hours(minutes)}. They are cut out of the real source: "
        "what you write runs in the place of what stood there. Pages of `docs/` and `examples/` are those of the "
        "repository.\n",
        SOURCE if form == "source" else NOTEBOOK,
    ]
    for chapter in chapters:
        lines.append(f"## {chapter.title}\n\n{chapter.introduction}\n")
        lines += [_section(exercise) for exercise in chapter.exercises]
    return "\n".join(lines)


def in_hours(minutes: int) -> str:
    """Return a time as people say it."""
    return f"about {minutes} minutes" if minutes < 100 else f"about {round(minutes / 60)} hours"


def reading(exercise: Exercise) -> str:
    """Return what to read before an exercise, as a sentence; "" if there is nothing."""
    plural = "s" if len(exercise.rows) > 1 else ""
    rows = f"row{plural} {', '.join(map(str, exercise.rows))} of docs/curriculum.md" if exercise.rows else ""
    return "; ".join(filter(None, [*exercise.reading, rows]))


def _section(exercise: Exercise) -> str:
    return (
        f"### `{exercise.name}`: {exercise.title}\n\n{exercise.task}\n\n- where: `tinygrad_sm/{exercise.path}`\n"
        f"- read before: {reading(exercise)}\n- about {exercise.minutes} minutes\n"
    )
