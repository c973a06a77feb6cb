"""A learner's folder: the package with holes, what stands in them now, and what is known of it.

    start(Path("work"), [exercise_named("exp")])
    book = open_book(Path("work"))
    answer_of(book, exercise_named("exp"))          # the text in the hole, as it is now
    book.count_hint("exp"); book.save()

Nothing of the learner's is ever overwritten: a folder that holds anything is refused. What is known stands in
`.exercises.json`, which is replaced in one step.
"""

import difflib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tinygrad_sm
from tinygrad_sm.exercises import cutting, notebooks, readme
from tinygrad_sm.exercises.chapters import CHAPTERS, EXERCISES, exercise_named
from tinygrad_sm.exercises.exercise import Chapter, Exercise
from tinygrad_sm.exercises.package import copy_source, paths_of_source, source_of
from tinygrad_sm.exercises.pieces import Answer, AnswerError, answer_in, closing, opening
from tinygrad_sm.exercises.words import SIGNS, next_hint
from tinygrad_sm.nn.files import replace_file

STATE = ".exercises.json"
COMMAND = "python -m tinygrad_sm.exercises"

WING_SHUT = "HAS_WING = False"
"""What stands in the copy: a quicker form would pass an answer by."""

KEPT_OF_THE_WING = ("__init__.py", "allocator.py", "handover.py")
"""What is imported with a shut wing too."""


class BookError(ValueError):
    """What was asked cannot be done with this folder; the message says why, and what to do."""


@dataclass
class Book:
    """What is known of a folder.

    version : of the package that made it.  form : "source" or "notebook".  names : of its exercises.
    verdicts : {name: [hash of the answer, state]} of the last check.  trainings : {chapter: [hash, accuracy]}.
    hints : {name: how many were shown}.  shown : names whose solution was shown.
    """

    folder: Path
    version: str = tinygrad_sm.__version__
    form: str = "source"
    names: list[str] = field(default_factory=list)
    verdicts: dict[str, list[str]] = field(default_factory=dict)
    trainings: dict[str, list[Any]] = field(default_factory=dict)
    hints: dict[str, int] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)

    def save(self) -> None:
        """Replace the state file in one step."""
        state = {name: value for name, value in asdict(self).items() if name != "folder"}
        replace_file(self.folder / STATE, (json.dumps(state, indent=1) + "\n").encode())

    def exercises(self) -> list[Exercise]:
        """Return the exercises of the folder, in the order of a course."""
        return [exercise for exercise in EXERCISES if exercise.name in self.names]

    def chapters(self) -> list[Chapter]:
        """Return the chapters of which the folder has exercises, with only those."""
        mine = [(c, tuple(e for e in c.exercises if e.name in self.names)) for c in CHAPTERS]
        return [chapter._replace(exercises=exercises) for chapter, exercises in mine if exercises]

    def is_known_right(self, name: str, answer: str) -> bool:
        """Whether this very answer was found right before."""
        return self.verdicts.get(name) == [digest(answer), "right"]

    def count_hint(self, name: str) -> int:
        """Count one more hint of an exercise, and return which one it is, from 1; after the last one, that again."""
        self.hints[name] = next_hint(exercise_named(name), self.hints.get(name, 0))
        return self.hints[name]


def digest(text: str) -> str:
    """Return a hash of text by which it is known again."""
    return hashlib.sha256(text.encode()).hexdigest()


def chosen(names: Sequence[str], among: Iterable[Exercise]) -> list[Exercise]:
    """Return the exercises with these names or in these chapters, all if there are no names; BookError for others."""
    exercises = list(among)
    in_chapters = {c.name: [e.name for e in c.exercises] for c in CHAPTERS}
    known = [*(e.name for e in exercises), *in_chapters]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3) or list(in_chapters)
            elsewhere = any(name in members for members in in_chapters.values())
            where = " in this folder" if elsewhere else ""
            raise BookError(f"there is no exercise {name!r}{where}: did you mean {' or '.join(near)}? `list` shows all")
    wanted = {inner for name in names for inner in (name, *in_chapters.get(name, ()))}
    return [exercise for exercise in exercises if not names or exercise.name in wanted]


def start(folder: Path, exercises: Sequence[Exercise], notebook: bool = False) -> Book:
    """Make a folder with these exercises, from the installed source; BookError if there is anything in it."""
    try:
        is_new = not folder.exists()
        if not is_new and (not folder.is_dir() or any(folder.iterdir())):
            raise BookError(
                f"{folder} is there already, and nothing is overwritten: name a folder that is new or empty"
            )
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))
    except OSError as error:
        raise BookError(f"cannot write to {folder} ({_reason(error)}): name a folder in which you may write") from error
    try:
        book = Book(unfinished, form="notebook" if notebook else "source", names=[e.name for e in exercises])
        (_write_notebooks if notebook else _write_source)(book)
        _write(unfinished / "README.md", readme.text(book.chapters(), book.form))
        book.save()
        for part in sorted(unfinished.iterdir(), key=lambda part: part.name == STATE):  # the last makes it a workbook
            part.rename(folder / part.name)
    except OSError as error:
        raise BookError(f"cannot write to {folder} ({_reason(error)}): name a folder in which you may write") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        if is_new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    book.folder = folder
    return book


def _reason(error: OSError) -> str:
    if isinstance(error, shutil.Error):  # of many files, each with its reason
        return str(error.args[0][0][2])
    return error.strerror or str(error)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _write_source(book: Book) -> None:
    package = copy_source(book.folder, with_data=True)
    shutil.rmtree(package / "exercises")
    (package / "exercises").mkdir()
    for path in filter(_is_left_out, paths_of_source()):
        (package / path).unlink()
    for path, text in _changed_texts(book).items():
        _write(book.folder / path, text)


def _changed_texts(book: Book) -> dict[str, str]:
    """Return {path: text} of the files of a folder that are not as they are installed."""
    texts = {f"tinygrad_sm/{path}": text for path, text in cutting.texts_with_holes(book.exercises()).items()}
    lines = source_of("dispatch.py").splitlines(keepends=True)
    (place,) = [i for i, line in enumerate(lines) if line.startswith("HAS_WING = ")]
    lines[place] = f"{WING_SHUT}  # the quicker forms are left out: they would pass by what you write\n"
    return texts | {
        "tinygrad_sm/dispatch.py": "".join(lines),
        "tinygrad_sm/exercises/__init__.py": '"""The exercises themselves stand in the installed package."""\n',
        "tinygrad_sm/exercises/__main__.py": cutting.FORWARDER,
        "mnist.py": source_of("exercises/flagship.py"),
    }


def _write_notebooks(book: Book) -> None:
    for chapter in book.chapters():
        _write(book.folder / f"{chapter.name}.ipynb", notebooks.notebook(chapter))


def _outside(text: str, names: Iterable[str]) -> str:
    """Return a file's text without what stands in its holes, and without the ends of lines, which editors trim."""
    kept, inside = [], ""
    marks = {opening(name): closing(name) for name in names}
    for line in text.splitlines():
        if line.strip() == inside:
            inside = ""
        if not inside:
            kept.append(line.rstrip())
            inside = marks.get(line.strip(), "")
    return "\n".join(kept)


def open_book(folder: Path) -> Book:
    """Return what is known of a folder that `start` made; BookError if it is none, or another version's."""
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        book = Book(folder, **state)
        if not _is_ours(book):
            raise TypeError
    except FileNotFoundError:
        what = f"there is no {STATE} in it" if folder.is_dir() else "there is no such folder"
        raise BookError(f"{folder} is no workbook, {what}: make one with  {COMMAND} start {folder}") from None
    except OSError as error:
        raise BookError(f"cannot read {folder / STATE}: {_reason(error)}") from error
    except (ValueError, TypeError, RecursionError):
        raise BookError(
            f"{folder / STATE} is not as `start` or `check` wrote it: make a new folder, and copy your answers into "
            "it, mark by mark"
        ) from None
    others = " with other exercises" if book.version == tinygrad_sm.__version__ else ""
    if book.version != tinygrad_sm.__version__ or len(book.exercises()) != len(book.names):
        raise BookError(
            f"{folder} was made by tinygrad_sm {book.version}, and this is {tinygrad_sm.__version__}{others}: install "
            "the one that made it, "
            f"or make a new folder with  {COMMAND} start  and copy your answers into it, mark by mark"
        )
    return book


def _is_ours(book: Book) -> bool:
    """Whether the state has the types that are written: a file can be edited."""

    def are(found: Any, types: tuple[type, ...]) -> bool:
        return isinstance(found, list) and tuple(map(type, found)) == types

    return (
        isinstance(book.version, str)
        and book.form in ("source", "notebook")
        and all(isinstance(names, list) and are(names, (str,) * len(names)) for names in (book.names, book.shown))
        and all(isinstance(known, dict) for known in (book.verdicts, book.trainings, book.hints))
        and all(are(found, (str, str)) and found[1] in SIGNS for found in book.verdicts.values())
        and all(are(found, (str, float)) for found in book.trainings.values())
        and all(type(count) is int and count >= 0 for count in book.hints.values())
    )


def place_of(book: Book, exercise: Exercise) -> str:
    """Return the file, from the folder, in which an answer stands."""
    if book.form == "notebook":
        return next(f"{c.name}.ipynb" for c in CHAPTERS if exercise in c.exercises)
    return f"tinygrad_sm/{exercise.path}"


def answer_of(book: Book, exercise: Exercise) -> Answer:
    """Return what stands in a hole now; AnswerError if its marks are lost or the file cannot be read."""
    where = place_of(book, exercise)
    text = _text(book.folder / where)
    if book.form == "notebook":
        return notebooks.answer_in(text, exercise.name, where)
    return answer_in(text, exercise.name, where)


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():  # reading one might never end
            raise AnswerError(f"{path} is no file: make a new folder, and copy your answers into it, mark by mark")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise AnswerError(f"{path}, line {line}: this is not UTF-8: let your editor save the file as UTF-8") from None
    except FileNotFoundError:
        raise AnswerError(f"{path} is gone: make a new folder, and copy your answers into it, mark by mark") from None
    except OSError as error:
        raise AnswerError(f"cannot read {path}: {_reason(error)}") from error


def changed_files(book: Book) -> list[str]:
    """Return the files of the copy that differ outside of the holes from what `start` wrote, or are gone."""
    if book.form == "notebook":
        return []
    found, texts = [], _changed_texts(book)
    paths = dict.fromkeys([*texts, *(f"tinygrad_sm/{path}" for path in _copied_paths())])
    for path in paths:
        made = texts.get(path) or source_of(path.removeprefix("tinygrad_sm/"))
        try:
            is_same = _outside(_text(book.folder / path), book.names) == _outside(made, book.names)
        except AnswerError:
            is_same = False
        if not is_same:
            found.append(path)
    return found


def _copied_paths() -> list[str]:
    """Return the paths in the package of the source files that stand in a folder as they are installed."""
    return [path for path in paths_of_source() if not path.startswith("exercises/") and not _is_left_out(path)]


def _is_left_out(path: str) -> bool:
    """Whether a file is of the wing, and not imported where that is shut."""
    is_of_wing = path.startswith("fast/") or path == "nn/fast.py"
    return is_of_wing and path.rpartition("/")[2] not in KEPT_OF_THE_WING
