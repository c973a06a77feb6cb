"""The exercises on the command line: `python -m tinygrad_sm.exercises --help`."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from tinygrad_sm.exercises import checking, readme, words
from tinygrad_sm.exercises.chapters import CHAPTERS, EXERCISES, exercise_named
from tinygrad_sm.exercises.package import source_of
from tinygrad_sm.exercises.pieces import AnswerError, solution
from tinygrad_sm.exercises.workbook import (
    COMMAND,
    Book,
    BookError,
    answer_of,
    chosen,
    digest,
    open_book,
    place_of,
    start,
)

EPILOG = f"""\
{COMMAND} start work            makes the folder work, with all exercises
{COMMAND} check work            judges what stands in it
{COMMAND} hint work softmax     gives a hint, and one more each time
"""


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """Return the command and its options."""
    parser = argparse.ArgumentParser(
        COMMAND, None, "Write the engine yourself.", EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, about: str, names: str = "") -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=about, description=about)
        if name != "list":
            sub.add_argument("folder", type=Path)
        if names:
            sub.add_argument("names", nargs=names, metavar="name", help="an exercise or a chapter")
        return sub

    start = command("start", "make a folder with the package's source, and holes in it", "*")
    start.add_argument("--notebook", action="store_true", help="make notebooks, one for each chapter")
    check = command(
        "check", "judge what stands in the holes; status 0 if all of it is right, 1 if not, 2 in trouble", "*"
    )
    check.add_argument(
        "--json", action="store_true", help="print a list of dicts, and believe nothing kept in the folder"
    )
    command("hint", "give a hint, and one more each time", "+")
    command("solution", "show a piece as it stands in the source", "+")
    command("progress", "show how far one is, and how long the rest takes")
    command("list", "list all exercises", "*")
    args, more = parser.parse_known_args(given)
    if more and (not hasattr(args, "names") or any(word.startswith("-") for word in more)):
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    if more:
        args.names += more  # names behind an option, which argparse leaves over
    return args


def main(given: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console without ✓ shows a question mark
    try:
        return COMMANDS[(args := arguments(given)).command](args)
    except BookError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: what you wrote is as it was", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def run_start(args: argparse.Namespace) -> int:
    """Make a folder."""
    exercises = chosen(args.names, EXERCISES)
    book = start(args.folder, exercises, args.notebook)
    count, first = len(exercises), exercises[0]
    time = readme.in_hours(sum(exercise.minutes for exercise in exercises))
    place = args.folder / place_of(book, first)
    print(
        f"{count} exercise{'s' if count != 1 else ''} in {args.folder}, {time}. "
        f"{args.folder / 'README.md'} says how to go on."
    )
    print(f"The first one is {first.name}, in {place}, line {answer_of(book, first).lineno}.")
    print(f"Then:  {COMMAND} check {shlex.quote(str(args.folder))} {first.name}")
    return 0


def run_check(args: argparse.Namespace) -> int:
    """Judge answers, and print a line or a dict for each."""
    book = open_book(args.folder)
    exercises = chosen(args.names, book.exercises())
    for exercise in exercises if args.names else ():
        book.verdicts.pop(exercise.name, None)  # who names it wants it judged
    found = []
    try:
        for result in checking.check(book, exercises, args.json, lambda line: print(line, file=sys.stderr, flush=True)):
            found.append(result)
            if not args.json:
                print(_lines_of(result, args.folder), flush=True)
    finally:
        if not args.json:
            _keep(book)
    if args.json:
        print(json.dumps([result._asdict() for result in found], indent=1))
    elif len(exercises) > 1:
        print(_summary(found))
    states = {result.state for result in found if result.kind == "exercise"}
    if "lost" in states:
        return 2
    failed = [result for result in found if result.kind == "chapter" and result.state == "wrong"]
    return 0 if states == {"right"} and not failed else 1


def _lines_of(result: checking.Result, folder: Path) -> str:
    if result.kind == "file":
        return f"! {folder / result.name}: {result.sentence}"
    if result.kind == "chapter":
        return f"{words.SIGNS[result.state]} chapter {result.name}: {result.sentence}"
    return words.in_lines(result, f"{folder / result.file}:{result.line}" if result.state == "wrong" else "")


def _summary(found: Sequence[checking.Result]) -> str:
    judged = [result for result in found if result.kind == "exercise"]
    right = [result for result in judged if result.state == "right"]
    left = next((result for result in judged if result.state != "right"), None)
    end = f"; the next one is {left.name}, about {exercise_named(left.name).minutes} minutes" if left else ""
    return f"{len(right)} of {len(judged)} are right{end}"


def run_hint(args: argparse.Namespace) -> int:
    """Give a hint of each exercise named."""
    book = open_book(args.folder)
    for exercise in chosen(args.names, book.exercises()):
        print(words.hint_in_words(exercise, book.count_hint(exercise.name)))
    _keep(book)
    return 0


def run_solution(args: argparse.Namespace) -> int:
    """Show the piece of each exercise named."""
    book = open_book(args.folder)
    for exercise in chosen(args.names, book.exercises()):
        print(f"# {exercise.name}, tinygrad_sm/{exercise.path}\n{solution(source_of(exercise.path), exercise)}")
        if exercise.name not in book.shown:
            book.shown.append(exercise.name)
    _keep(book)
    return 0


def _keep(book: Book) -> None:
    try:
        book.save()
    except OSError as error:
        print(f"what was found is not kept: cannot write to {book.folder} ({error.strerror})", file=sys.stderr)


def run_progress(args: argparse.Namespace) -> int:
    """Show how far a folder is, by the last check."""
    book = open_book(args.folder)
    for chapter in book.chapters():
        rows, left, done = [], 0, 0
        for exercise in chapter.exercises:
            state = _state_now(book, exercise.name)
            done += state.startswith("✓")
            left += 0 if state.startswith("✓") else exercise.minutes
            hints = book.hints.get(exercise.name, 0)
            notes = [f"{hints} hint{'s' if hints > 1 else ''}"] if hints else []
            notes += ["solution shown"] if exercise.name in book.shown else []
            rows.append(f"  {state:22} {exercise.name:24} {exercise.minutes:3} min  {', '.join(notes)}".rstrip())
        whole = len(chapter.exercises)
        bar = "#" * (20 * done // whole)
        trained = book.trainings.get(chapter.name)
        end = f"trained: {trained[1]:.2f} %" if trained and done == whole else f"{readme.in_hours(left)} left"
        print(f"{chapter.title:24} [{bar:.<20}] {done}/{whole}  {end}")
        print("\n".join(rows))
    return 0


def _state_now(book: Book, name: str) -> str:
    """Return what the last check said of what stands in a hole now."""
    try:
        now = digest(answer_of(book, exercise_named(name)).text)
    except AnswerError:
        return "✗ cannot be read"
    checked, state = book.verdicts.get(name, ("", ""))
    if checked == now:
        return {"right": "✓ right", "wrong": "✗ wrong", "empty": "– empty"}[state]
    return "– changed since check" if state else "– not yet checked"


def run_list(args: argparse.Namespace) -> int:
    """List exercises by chapters."""
    names = {exercise.name for exercise in chosen(args.names, EXERCISES)}
    for chapter in CHAPTERS:
        exercises = [exercise for exercise in chapter.exercises if exercise.name in names]
        if exercises:
            minutes = sum(exercise.minutes for exercise in exercises)
            print(f"{chapter.name}: {chapter.title}, {readme.in_hours(minutes)}")
        for exercise in exercises:
            print(f"  {exercise.name:24} {exercise.minutes:3} min  {exercise.title}")
    return 0


COMMANDS = {
    "start": run_start,
    "check": run_check,
    "hint": run_hint,
    "solution": run_solution,
    "progress": run_progress,
    "list": run_list,
}

if __name__ == "__main__":
    sys.exit(main())
