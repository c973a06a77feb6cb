"""A workbook is made and judged; what a learner wrote is never written over, and what goes wrong is a sentence."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy
import pytest

import tinygrad_sm
from tests.helpers import ROOT
from tinygrad_sm.exercises import (
    chapter_check,
    checking,
    grading,
    load_ipython_extension,
    notebooks,
    workbook,
)
from tinygrad_sm.exercises.__main__ import main
from tinygrad_sm.exercises.chapters import CHAPTERS, exercise_named
from tinygrad_sm.exercises.exercise import Body
from tinygrad_sm.exercises.package import copy_source, source_of
from tinygrad_sm.exercises.pieces import closing, opening, solution
from tinygrad_sm.exercises.running import copy_with, run
from tinygrad_sm.exercises.workbook import STATE

ALL = [exercise for chapter in CHAPTERS for exercise in chapter.exercises]
FILE = "tinygrad_sm/ops/elementwise.py"
HOLE = 'raise NotImplementedError("exercise exp: write this piece")'
EXP = exercise_named("exp")
FORGETS = next(sentence for sentence, answers in EXP.mistakes.items() if "x: out)" in str(answers))
"""What is said of `return out`."""

RIGHT, WRONG = "return g * out  # mine", "return out  # mine"


def copy_runs(folder, *words):
    """Run Python where the learner works, with nothing said of the wing."""
    environment = {name: value for name, value in os.environ.items() if name != "TINYGRAD_SM_PLAIN"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    return subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)


def write(folder, new, old=HOLE, file=FILE):
    path = folder / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def files_in(folder):
    """Return {path: hash} of all files but the state."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != STATE]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def state_of(folder):
    return json.loads((folder / STATE).read_text("utf-8"))


@pytest.fixture
def book(tmp_path, capsys):
    """Return a workbook with the exercise of exp."""
    folder = tmp_path / "work"
    assert main(["start", str(folder), "exp"]) == 0
    capsys.readouterr()
    return folder


@pytest.fixture
def trainings(monkeypatch):
    """Trainings without a training; the list has what each of them was given."""
    given = []
    monkeypatch.setattr(
        checking, "train", lambda chapter, answers: given.append(answers) or chapter_check.Training(92.61, "")
    )
    return given


def test_a_folder_has_a_hole_with_its_task_and_says_how_to_go_on(tmp_path, capsys):
    folder = tmp_path / "deep" / "work"
    assert main(["start", str(folder), "exp"]) == 0
    said = capsys.readouterr().out
    text = (folder / FILE).read_text("utf-8")
    inside = text.partition(opening("exp"))[2].partition(closing("exp"))[0]
    assert HOLE in inside
    assert workbook.cutting.task(EXP) in inside
    assert "return np.exp" in text or "exp(x)" in text  # the rest stands
    assert solution(source_of("ops/elementwise.py"), EXP) not in text
    line = text[: text.index(workbook.cutting.task(EXP))].count("\n") + 1
    assert f"elementwise.py, line {line}" in said
    readme = (folder / "README.md").read_text("utf-8")
    for word in ("`exp`", EXP.task, "about 5 minutes", "check .", "hint .", "python mnist.py"):
        assert word in readme
    assert sorted(path.name for path in folder.iterdir()) == [STATE, "README.md", "mnist.py", "tinygrad_sm"]


def test_a_folder_with_all_holes_imports_in_its_plain_form(tmp_path):
    """Also each module, and the data; no module of the installed exercises is there, for it has the solutions."""
    folder = tmp_path / "work"
    assert main(["start", str(folder)]) == 0
    program = (
        "import importlib, json, pkgutil, tinygrad_sm as tg\n"
        "names = [m.name for m in pkgutil.walk_packages(tg.__path__, 'tinygrad_sm.')]\n"
        "names = [name for name in names if not name.endswith('__main__')]\n"
        "[importlib.import_module(name) for name in names]\n"
        "from tinygrad_sm.dispatch import HAS_WING, PAIRS\n"
        "from tinygrad_sm.datasets import mnist\n"
        "print(json.dumps([tg.__file__, names, HAS_WING, len(PAIRS), len(mnist('test').labels)]))"
    )
    done = copy_runs(folder, "-W", "error", "-c", program)
    assert done.returncode == 0, done.stderr
    where, names, has_wing, pairs, images = json.loads(done.stdout)
    assert Path(where).is_relative_to(folder)
    assert (has_wing, pairs, images) == (False, 0, 10_000)
    assert "tinygrad_sm.nn.losses" in names
    assert "tinygrad_sm.fast.cross_entropy" not in names
    assert [name for name in names if name.startswith("tinygrad_sm.exercises.")] == []
    for exercise in ALL:
        text = (folder / "tinygrad_sm" / exercise.path).read_text("utf-8")
        lines = [line.strip() for line in text.splitlines()]
        assert lines.count(opening(exercise.name)) == lines.count(closing(exercise.name)) == 1


def test_a_copy_of_what_nobody_may_write_to_can_be_written_to(tmp_path):
    installed = copy_source(tmp_path / "installed", with_data=True)
    paths = [installed, *installed.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    command = [sys.executable, "-m", "tinygrad_sm.exercises", "start", str(tmp_path / "work"), "exp"]
    done = subprocess.run(command, cwd=installed.parent, capture_output=True, text=True)
    for path in paths:
        path.chmod(0o755)
    assert done.returncode == 0, done.stderr
    made = list((tmp_path / "work").rglob("*"))
    assert len(made) > 100
    assert [path for path in made if not path.stat().st_mode & 0o200] == []


def test_names_are_exercises_or_chapters():
    chapters = [chapter.name for chapter in CHAPTERS]
    assert len({exercise.name for exercise in ALL} | set(chapters)) == len(ALL) + len(chapters)
    assert workbook.chosen([], ALL) == ALL
    assert workbook.chosen(["exp", "rules"], ALL) == [*CHAPTERS[0].exercises]
    assert [exercise.name for exercise in workbook.chosen(["exp"], ALL)] == ["exp"]
    assert [name for name in chapters if not re.fullmatch(r"\w+", name)] == []


def test_the_weeks_of_the_teachers_page_have_all_exercises_and_their_minutes():
    minutes_of = {exercise.name: exercise.minutes for exercise in ALL}
    rows = re.findall(
        r"^\| \d+ \| .+? \| `(.+?)` \| .+ \| (\d+) \|$", (ROOT / "docs/teaching.md").read_text("utf-8"), re.M
    )
    named = [name for names, _ in rows for name in names.split()]
    assert len(rows) == 6
    assert len(set(named)) == len(named)
    assert minutes_of.keys() <= set(named)
    for names, minutes in rows:
        if minutes_of.keys() >= set(names.split()):
            assert sum(minutes_of[name] for name in names.split()) == int(minutes), names


def test_what_would_give_a_piece_away_is_hidden():
    for path, text in workbook.cutting.texts_with_holes(ALL).items():
        for hidden in (hidden for exercise in ALL for hidden in exercise.hides.get(path, ())):
            assert hidden in source_of(path), "there is nothing to hide"
            assert hidden not in text


def test_the_solutions_in_all_holes_are_the_source():
    with copy_with({exercise: solution(source_of(exercise.path), exercise) + "# mine\n" for exercise in ALL}) as folder:
        for path in {exercise.path for exercise in ALL}:
            lines = (folder / "tinygrad_sm" / path).read_text("utf-8").splitlines(keepends=True)
            assert "".join(line for line in lines if line.strip() != "# mine") == source_of(path)


def test_a_wrong_answer_an_empty_one_and_a_right_one(book, capsys, trainings):
    assert main(["check", str(book)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "– exp: nothing is written here yet",
        "– chapter rules: the flagship trains with your pieces as soon as these are right too: exp",
    ]
    write(book, WRONG)
    before = files_in(book)
    assert main(["check", str(book), "exp"]) == 1
    sentence, place, question, expected, got, _ = capsys.readouterr().out.splitlines()
    assert sentence.startswith(f"✗ exp: {FORGETS}")
    assert re.fullmatch(rf"    {re.escape(str(book / FILE))}:\d+", place)
    assert question.startswith("    ∂L/∂x of exp(")
    assert (expected.split()[0], got.split()[0]) == ("expected", "got")
    write(book, RIGHT, WRONG)
    assert main(["check", str(book)]) == 0
    assert "✓ exp\n✓ chapter rules: the flagship reaches 92.61 %" in capsys.readouterr().out
    (answers,) = trainings
    assert RIGHT in answers[EXP]
    write(book, WRONG, RIGHT)
    assert files_in(book) == before  # no command writes into a file of the learner's


def test_the_line_of_an_error_is_that_of_the_learners_file(book, capsys):
    write(book, "y = 2 *\n    return y")
    text = (book / FILE).read_text("utf-8")
    line = text[: text.index("y = 2 *")].count("\n") + 1
    assert main(["check", str(book)]) == 1
    said = capsys.readouterr().out
    assert "this is not Python" in said
    assert f"elementwise.py:{line}\n" in said


@pytest.mark.parametrize(
    ("answer", "said", "line"),
    [
        ("raise SystemExit(0)", "it raises SystemExit: 0", 1),
        ("raise KeyboardInterrupt", "it raises KeyboardInterrupt", 1),
        ("import os\n    os._exit(0)", "it ended the process before everything was asked", None),
        ("import os\n    os._exit(3)", "it ended the process before everything was asked", None),
        ("import os\n    os.kill(os.getpid(), 9)", "its process was ended by SIGKILL", None),
        ("y = 1\n    while True: y += 1", "it had not ended after 3 seconds: is there a loop that never ends", 2),
        ("input()", "it raises EOFError: EOF when reading a line", 1),
        ("class Silent(Exception):\n        def __str__(self): 1 / 0\n    raise Silent", "it raises Silent: ", 3),
        ("return undefined", "it raises NameError: name 'undefined' is not defined", 1),
        ("return sum(g, out=out)", "it raises ", 1),
        ("y = 1\n    return y.no_such", "it raises AttributeError", 2),
        ("y = 2 *\n    return y", "this is not Python: invalid syntax, at 'y = 2 *'", 1),
        ("y = '\0'", "this is not Python: ", None),
        ("y = " + "-" * 200_000 + "1", "this is not Python: ", None),
        (
            "if x is g:\n    return g",
            "this is not Python: expected an indented block after 'if' statement on line {1}",
            2,
        ),
        ("out", "gradient", None),
    ],
)
def test_an_answer_that_breaks_is_said_with_its_line(book, capsys, monkeypatch, answer, said, line):
    monkeypatch.setattr(grading, "LONGEST", 3.0)
    write(book, answer)
    text = (book / FILE).read_text("utf-8")
    first = text[: text.index(answer)].count("\n") + 1
    assert main(["check", str(book)]) == 1
    told = capsys.readouterr().out
    assert said.replace("{1}", str(first)) in told
    if line:
        assert f"elementwise.py:{first + line - 1}\n" in told


@pytest.mark.parametrize(
    "answer",
    [
        "print('hi', end='')\n    return g * out",
        '# raise NotImplementedError("exercise exp: write this piece")\n    return g * out',
        "# mine\n# at the margin\n    return g * out",
        'text = """of\nlines"""\n    return g * out',
        "import os\n    if os.fork() == 0:\n        import time\n        time.sleep(60)\n    return g * out",
        "import atexit\n    atexit.register(print, 'done')\n    return g * out",
        "import sys\n    print('é∂', file=sys.stderr)\n    return g * out",
        "while True:\n        print('again')\n        break\n    return g * out",
    ],
)
def test_what_a_right_answer_does_besides_does_not_matter(book, capsys, trainings, monkeypatch, answer):
    monkeypatch.setenv("LC_ALL", "C")
    write(book, answer)
    assert main(["check", str(book), "exp"]) == 0, capsys.readouterr().out


def test_what_an_answer_prints_at_the_question_is_shown(book, capsys):
    write(book, "print('x is', x.tolist())\n    print(10_000 * '.')\n    return g")
    assert main(["check", str(book)]) == 1
    said = capsys.readouterr().out
    assert "      printed  x is [0.0, 1.0]\n" in said
    assert len(said) < 3000


def test_a_hole_that_is_written_in_part_is_not_empty(tmp_path, capsys):
    book = tmp_path / "work"
    main(["start", str(book), "multiply"])
    text = (book / FILE).read_text("utf-8")
    hole = 'raise NotImplementedError("exercise multiply: write this piece")'
    (book / FILE).write_text(text.replace(hole, "return g * b", 1), "utf-8")
    capsys.readouterr()
    assert main(["check", str(book)]) == 1
    said = capsys.readouterr().out
    assert "✗ multiply: it raises NotImplementedError: exercise multiply: write this piece" in said
    line = (book / FILE).read_text("utf-8").split(hole)[0].count("\n") + 1
    assert f"elementwise.py:{line}\n" in said


def test_comments_alone_are_no_answer(book, capsys):
    text = (book / FILE).read_text("utf-8")
    head, _, tail = text.partition(opening("exp"))
    (book / FILE).write_text(
        f"{head}{opening('exp')}\n# later\n{closing('exp')}{tail.partition(closing('exp'))[2]}", "utf-8"
    )
    assert main(["check", str(book)]) == 1
    assert "– exp: nothing is written here yet" in capsys.readouterr().out


def test_what_was_found_right_is_kept_until_it_changes(book, monkeypatch, trainings):
    write(book, RIGHT)
    judged = []
    monkeypatch.setattr(checking, "judge", lambda e, answer: judged.append(e.name) or grading.Verdict(e.name, "right"))
    assert main(["check", str(book)]) == 0
    assert main(["check", str(book)]) == 0
    assert (len(judged), len(trainings)) == (1, 1)
    assert main(["check", str(book), "exp"]) == 0  # who names it wants it judged
    assert (len(judged), len(trainings)) == (2, 1)
    assert main(["check", str(book), "--json"]) == 0  # and who grades believes nothing
    assert (len(judged), len(trainings)) == (3, 2)
    write(book, "return out * g  # mine", RIGHT)
    assert main(["check", str(book)]) == 0
    assert (len(judged), len(trainings)) == (4, 3)


def test_the_flagship_trains_with_what_was_written(book):
    """The real training, in the plain form; and `mnist.py`, which stops where nothing is written."""
    done = copy_runs(book, "mnist.py")
    assert done.returncode == 0, done.stderr  # the flagship needs no exp of its own
    assert float(done.stdout.split()[-2]) >= chapter_check.ENOUGH
    assert "NotImplementedError: exercise exp: write this piece" in copy_runs(book, "mnist.py", "rules").stderr
    training = chapter_check.train(CHAPTERS[0], {EXP: solution(source_of(EXP.path), EXP)})
    assert training.sentence == ""
    assert training.accuracy >= chapter_check.ENOUGH


NOT_TRAINED = {"tanh", "relu", "fold", "cross_entropy_twice"}
"""What no form of the flagship runs: it has no hidden layer, no window and no second derivative."""

RUN = """
import sys
from tinygrad_sm.exercises import flagship
from tinygrad_sm.exercises.chapters import CHAPTERS
from tinygrad_sm.exercises.package import source_of
from tinygrad_sm.exercises.pieces import hole
from tinygrad_sm.exercises.planting import planted
from tinygrad_sm.datasets import mnist

small = mnist("train")._replace(images=mnist("train").images[:700], labels=mnist("train").labels[:700])
flagship.mnist = lambda part: small
for chapter in CHAPTERS:
    for exercise in chapter.exercises:
        with planted(exercise, hole(source_of(exercise.path), exercise)):
            try:
                flagship.main(chapter.name, epochs=len(flagship.FORMS[chapter.name].losses))
                print("without", exercise.name)
            except NotImplementedError as error:
                assert exercise.name in str(error)
"""


def test_the_pieces_of_a_chapter_run_in_its_training(tmp_path):
    copy_source(tmp_path, with_data=True)
    done = run(tmp_path, "-c", RUN, seconds=120)
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"without (\w+)", done.stdout)) == NOT_TRAINED


@pytest.mark.parametrize(
    ("status", "out", "error", "said"),
    [
        (0, "sgd: test accuracy 91.00 %\n", "", "reaches 91.00 % of the test images, and 92.5 % is expected"),
        (0, "epoch  1  test accuracy 93.00 %\n", "", "ended before its end"),
        (1, "", "Traceback\nValueError: no\n", "the training broke off: ValueError: no"),
        (-9, "", "", "the process ended without a word"),
    ],
)
def test_a_training_that_fails_is_said(book, capsys, monkeypatch, status, out, error, said):
    write(book, RIGHT)
    done = subprocess.CompletedProcess([], status, out, error)
    monkeypatch.setattr(chapter_check, "run", lambda *words, **options: done)
    assert main(["check", str(book)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "✓ exp"
    assert lines[1].startswith("✗ chapter rules: the training")
    assert said in lines[1]
    assert state_of(book)["trainings"] == {}


def test_a_training_without_an_end_is_ended(monkeypatch):
    def run(*words, **options):
        raise subprocess.TimeoutExpired("python", 300)

    monkeypatch.setattr(chapter_check, "run", run)
    assert "had not ended after 300 seconds" in chapter_check.train(CHAPTERS[0], {}).sentence


def test_a_list_for_teachers(book, capsys, trainings):
    write(book, WRONG)
    (book / "tinygrad_sm/errors.py").write_text("# nothing\n", "utf-8")
    main(["hint", str(book), "exp"])
    before = (book / STATE).read_bytes()
    capsys.readouterr()
    assert main(["check", str(book), "--json", "exp"]) == 1
    file, exercise, chapter = json.loads(capsys.readouterr().out)
    assert (file["kind"], file["name"], file["state"]) == ("file", "tinygrad_sm/errors.py", "changed")
    assert (exercise["kind"], exercise["name"], exercise["chapter"]) == ("exercise", "exp", "rules")
    assert (exercise["state"], exercise["is_named"], exercise["hints"]) == ("wrong", True, 1)
    assert exercise["sentence"].startswith(FORGETS)
    assert exercise["file"] == FILE
    assert (chapter["kind"], chapter["name"], chapter["state"]) == ("chapter", "rules", "empty")
    assert (book / STATE).read_bytes() == before  # a class may stand where nobody may write


def test_hints_come_one_by_one_and_a_solution_is_noted(book, capsys):
    for number in (*range(1, len(EXP.hints) + 1), len(EXP.hints)):
        assert main(["hint", str(book), "exp"]) == 0
        said = capsys.readouterr().out
        assert said.startswith(f"hint {number} of {len(EXP.hints)}: {EXP.hints[number - 1]}\n")
        assert ("the last hint" in said) == (number == len(EXP.hints))
    assert main(["solution", str(book), "exp"]) == 0
    assert solution(source_of(EXP.path), EXP) in capsys.readouterr().out
    assert state_of(book)["shown"] == ["exp"]


def test_progress_is_that_of_the_last_check(book, capsys, trainings):
    def progress():
        assert main(["progress", str(book)]) == 0
        return capsys.readouterr().out.splitlines()

    bar, row = progress()
    assert bar.split(maxsplit=2)[2] == "[....................] 0/1  about 5 minutes left"
    assert row.split() == ["–", "not", "yet", "checked", "exp", "5", "min"]
    main(["check", str(book)])
    capsys.readouterr()
    assert "– empty" in progress()[1]
    write(book, WRONG)
    assert "– changed since check" in progress()[1]
    main(["check", str(book)])
    capsys.readouterr()
    assert "✗ wrong" in progress()[1]
    write(book, RIGHT, WRONG)
    main(["check", str(book)])
    main(["hint", str(book), "exp"])
    main(["solution", str(book), "exp"])
    capsys.readouterr()
    bar, row = progress()
    assert bar.endswith("[####################] 1/1  trained: 92.61 %")
    assert "✓ right" in row
    assert row.endswith("1 hint, solution shown")
    write(book, "", closing("exp"))
    assert "✗ cannot be read" in progress()[1]


def test_the_list(capsys):
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    for exercise in ALL:
        assert re.search(rf"^  {exercise.name} +{exercise.minutes} min  {re.escape(exercise.title)}$", said, re.M)
    assert main(["list", "exp"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def fill(folder):
    (folder / "notes.txt").write_text("mine")
    return ["start", str(folder)]


def is_file(folder):
    (folder / "notes.txt").write_text("mine")
    return ["start", str(folder / "notes.txt")]


def below_a_file(folder):
    (folder / "notes.txt").write_text("mine")
    return ["start", str(folder / "notes.txt" / "work")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (fill, r"\S+ is there already, and nothing is overwritten: name a folder that is new or empty"),
        (is_file, r"\S+notes.txt is there already, and nothing is overwritten: .*"),
        (below_a_file, r"cannot write to \S+ \(Not a directory\): name a folder in which you may write"),
        (lambda folder: ["start", str(folder / (300 * "a"))], r"cannot write to \S+ \(File name too long\): name a .*"),
        (lambda folder: ["check", str(folder / (300 * "a"))], r"cannot read \S+: File name too long"),
        (
            lambda folder: ["check", str(folder)],
            r"\S+ is no workbook, there is no .exercises.json in it: make one with .*",
        ),
        (
            lambda folder: ["hint", str(folder / "no"), "exp"],
            r"\S+ is no workbook, there is no such folder: make one .*",
        ),
        (
            lambda folder: ["start", str(folder / "w"), "exq"],
            r"there is no exercise 'exq': did you mean exp.*\? `list` .*",
        ),
        (lambda folder: ["list", "rulse"], r"there is no exercise 'rulse': did you mean rules.*"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(tmp_path, capsys, words, said):
    words = words(tmp_path)
    before = files_in(tmp_path)
    assert main(words) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(said + "\n", error)
    assert files_in(tmp_path) == before
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def other_version(book):
    state = state_of(book) | {"version": "0.0.9"}
    (book / STATE).write_text(json.dumps(state), "utf-8")
    return rf"\S+ was made by tinygrad_sm 0.0.9, and this is {re.escape(tinygrad_sm.__version__)}: install the one .*"


def other_exercises(book):
    state = state_of(book) | {"names": ["exp", "pxe"]}
    (book / STATE).write_text(json.dumps(state), "utf-8")
    return r"\S+ was made by tinygrad_sm \S+, and this is \S+ with other exercises: install .*"


def no_json(book):
    (book / STATE).write_text("{", "utf-8")
    return r"\S+ is not as `start` or `check` wrote it: make a new folder, and copy your answers into it, mark by mark"


def no_dict(book):
    (book / STATE).write_text("[]", "utf-8")
    return r"\S+ is not as `start` or `check` wrote it: .*"


def other_fields(book):
    (book / STATE).write_text('{"colour": 1}', "utf-8")
    return r"\S+ is not as `start` or `check` wrote it: .*"


def other_types(book):
    (book / STATE).write_text('{"names": 1}', "utf-8")
    return r"\S+ is not as `start` or `check` wrote it: .*"


def edited(**fields):
    def spoil(book):
        (book / STATE).write_text(json.dumps(state_of(book) | fields), "utf-8")
        return r"\S+ is not as `start` or `check` wrote it: .*"

    return spoil


def too_deep(book):
    (book / STATE).write_text(200_000 * "[", "utf-8")
    return r"\S+ is not as `start` or `check` wrote it: .*"


EDITED = [
    edited(verdicts={"exp": "abc"}),
    edited(verdicts={"exp": ["", "splendid"]}),
    edited(hints={"exp": "three"}),
    edited(hints={"exp": -50}),
    edited(trainings={"rules": [1]}),
    edited(names=[["exp"]]),
    edited(shown="exp"),
    edited(form="book"),
]


@pytest.mark.parametrize(
    "spoil", [other_version, other_exercises, no_json, no_dict, other_fields, other_types, too_deep, *EDITED]
)
@pytest.mark.parametrize("command", ["check", "progress"])
def test_a_state_that_is_not_ours_is_refused(book, capsys, spoil, command):
    said = spoil(book)
    before = (book / STATE).read_bytes()
    assert main([command, str(book)]) == 2
    assert re.fullmatch(said + "\n", capsys.readouterr().err)
    assert (book / STATE).read_bytes() == before


def lost_mark(book):
    write(book, "", closing("exp"))
    return "expected one line '# >>> exercise exp' and below it one '# <<< exercise exp': they mark where"


def second_mark(book):
    write(book, f"{opening('exp')}\n{opening('exp')}", opening("exp"))
    return "expected one line '# >>> exercise exp'"


def no_utf8(book):
    text = (book / FILE).read_text("utf-8")
    (book / FILE).write_bytes(text.encode().replace(HOLE.encode(), b"return g * out  # \xe9"))
    line = text[: text.index(HOLE)].count("\n") + 1
    return f"elementwise.py, line {line}: this is not UTF-8: let your editor save the file as UTF-8"


def no_file(book):
    (book / FILE).unlink()
    return "elementwise.py is gone: make a new folder"


def folder_for_file(book):
    (book / FILE).unlink()
    (book / FILE).mkdir()
    return "elementwise.py is no file: make a new folder"


def pipe(book):
    (book / FILE).unlink()
    os.mkfifo(book / FILE)
    return "elementwise.py is no file: make a new folder"


@pytest.mark.parametrize("spoil", [lost_mark, second_mark, no_utf8, no_file, folder_for_file, pipe])
def test_an_answer_that_cannot_be_read_is_said(book, capsys, spoil):
    said = spoil(book)
    assert main(["check", str(book)]) == 2
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("✗")]
    assert line.startswith("✗ exp: ")
    assert said in line


def test_a_file_that_was_changed_elsewhere_is_named_and_its_answer_judged(book, capsys, trainings):
    write(book, RIGHT)
    assert main(["check", str(book)]) == 0
    assert "!" not in capsys.readouterr().out
    write(book, "import math\n\nimport numpy as np", "import numpy as np", "tinygrad_sm/ops/elementary.py")
    (book / "tinygrad_sm/locks.py").unlink()
    with open(book / FILE, "a", encoding="utf-8") as file:
        file.write("\nraise ValueError('this is of no account')\n")
    assert main(["check", str(book)]) == 0
    named = [line for line in capsys.readouterr().out.splitlines() if line.startswith("! ")]
    assert len(named) == 3
    for path in (FILE, "tinygrad_sm/ops/elementary.py", "tinygrad_sm/locks.py"):
        assert any(f"{book / path}: this file was changed outside of the marks" in line for line in named)


def test_what_editors_do_to_a_file_is_no_change(book, trainings, capsys):
    write(book, RIGHT)
    text = (book / FILE).read_text("utf-8")
    (book / FILE).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "  \r\n").encode())
    assert main(["check", str(book)]) == 0
    assert capsys.readouterr().out.startswith("✓ exp\n")


def test_ctrl_c_ends_quietly_and_keeps_what_was_found(book, capsys, monkeypatch):
    main(["hint", str(book), "exp"])
    capsys.readouterr()
    write(book, RIGHT)
    monkeypatch.setattr(checking, "judge", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["check", str(book)]) == 130
    out, error = capsys.readouterr()
    assert (out, error) == ("", "interrupted: what you wrote is as it was\n")
    assert state_of(book)["hints"] == {"exp": 1}


def test_ctrl_c_while_a_folder_is_made_leaves_none(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(workbook.cutting, "texts_with_holes", lambda given: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["start", str(tmp_path / "work"), "exp"]) == 130
    assert list(tmp_path.iterdir()) == []


def test_without_processes_nothing_can_be_judged(book, capsys, monkeypatch):
    def run(*words, **options):
        raise OSError(11, "Resource temporarily unavailable")

    write(book, RIGHT)
    monkeypatch.setattr(subprocess, "Popen", run)
    assert main(["check", str(book)]) == 2
    assert "in a process of its own, and none can be had here: [Errno 11] Resource" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["check", "hint", "solution"])
def test_where_nothing_can_be_kept_it_is_said(book, capsys, monkeypatch, command):
    def refused(path, content):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(workbook, "replace_file", refused)
    before = (book / STATE).read_bytes()
    assert main([command, str(book), "exp"]) == (command == "check")
    out, error = capsys.readouterr()
    assert "exp" in out or "hint 1" in out
    assert error == f"what was found is not kept: cannot write to {book} (Permission denied)\n"
    assert (book / STATE).read_bytes() == before
    assert main(["start", str(book.parent / "other"), "exp"]) == 2
    assert not (book.parent / "other").exists()


def test_a_full_disk_is_a_sentence(tmp_path, capsys, monkeypatch):
    def full(*words, **options):
        raise shutil.Error([("a", "b", "No space left on device"), ("c", "d", "No space left on device")])

    monkeypatch.setattr(workbook, "copy_source", full)
    assert main(["start", str(tmp_path / "work")]) == 2
    assert "(No space left on device): name a folder in which you may write" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_is_printed_can_be_pasted(tmp_path, capsys):
    main(["start", str(tmp_path / "my work"), "exp"])
    last = capsys.readouterr().out.splitlines()[-1]
    assert shlex.split(last)[-2:] == [str(tmp_path / "my work"), "exp"]


def test_a_class_is_graded_by_what_its_folders_hold(book, capsys, trainings):
    """The state may have been edited: what was changed is found by the installed source, and what is missing named."""
    write(book, RIGHT)
    (book / "mnist.py").write_text("print('test accuracy 99 %')", "utf-8")
    state = state_of(book)
    text = (book / FILE).read_text("utf-8")
    answer = text.partition(opening("exp") + "\n")[2].partition(closing("exp"))[0]
    (book / STATE).write_text(json.dumps(state | {"verdicts": {"exp": [workbook.digest(answer), "wrong"]}}), "utf-8")
    assert main(["check", str(book), "exp", "--json"]) == 0
    changed, exercise, _ = json.loads(capsys.readouterr().out)
    assert (changed["name"], changed["state"]) == ("mnist.py", "changed")
    assert exercise["state"] == "right"
    assert main(["check", str(book), "rules", "log", "--json"]) == 2
    assert "there is no exercise 'log' in this folder" in capsys.readouterr().err


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "work").mkdir()
    assert main(["start", str(tmp_path / "work"), "exp"]) == 0
    assert (tmp_path / "work" / STATE).exists()


def test_names_may_stand_behind_an_option(book, capsys, trainings):
    write(book, RIGHT)
    assert main(["check", str(book), "--json", "exp"]) == 0
    assert main(["check", str(book), "--json", "exq"]) == 2
    for words in (["progress", str(book), "exp"], ["check", str(book), "--quick"]):
        with pytest.raises(SystemExit, match="2"):
            main(words)


def test_inside_of_the_folder_the_installed_package_answers(book):
    """Also where the copy comes first on the path for good; where there is nothing else, that is said."""
    for environment in ({}, {"PYTHONPATH": str(book)}):
        command = [sys.executable, "-m", "tinygrad_sm.exercises", "hint", ".", "exp"]
        done = subprocess.run(command, cwd=book, env={**os.environ, **environment}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("hint ")
    command = [sys.executable, "-S", "-m", "tinygrad_sm.exercises.__main__", "list"]
    site = str(Path(numpy.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": site, "TINYGRAD_SM_ASKED": "1"}
    done = subprocess.run(command, cwd=book, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no installed package to ask" in done.stderr


class Notebook:
    """What the magics need of IPython, and cells that run."""

    def __init__(self):
        self.magics = {}

    def register_magic_function(self, function, magic_kind, magic_name):
        self.magics[magic_name] = function

    def run(self, source):
        head, _, body = source.partition("\n")
        name, _, line = head.lstrip("%").partition(" ")
        if name == "load_ext":
            assert line == "tinygrad_sm.exercises"
            load_ipython_extension(self)
        elif head.startswith("%%"):
            self.magics[name](line, body + "\n")
        elif head.startswith("%"):
            self.magics[name](line)
        else:
            assert all(line.startswith("#") for line in source.splitlines())


def cells_of(path, kind="code"):
    whole = json.loads(path.read_text("utf-8"))
    assert (whole["nbformat"], whole["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in whole["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[\w-]{1,64}", name, re.ASCII) for name in ids)
    return ["".join(cell["source"]) for cell in whole["cells"] if cell["cell_type"] == kind]


def test_notebooks_hold_each_exercise_with_its_reading_its_hole_and_its_check(tmp_path):
    folder = tmp_path / "work"
    assert main(["start", str(folder), "--notebook"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [STATE, "README.md", *(f"{chapter.name}.ipynb" for chapter in CHAPTERS)]
    )
    for chapter in CHAPTERS:
        cells = cells_of(folder / f"{chapter.name}.ipynb")
        assert cells[0] == "%load_ext tinygrad_sm.exercises"
        assert cells[-1] == f"%chapter {chapter.name}"
        told = "\n".join(cells_of(folder / f"{chapter.name}.ipynb", "markdown"))
        for exercise in chapter.exercises:
            assert all(page in told for page in exercise.reading)
            (cell,) = [cell for cell in cells if cell.split()[:2] == ["%%exercise", exercise.name]]
            assert f'NotImplementedError("exercise {exercise.name}' in cell
            if isinstance(exercise.piece, Body):  # the function around it, with no piece of any exercise in it
                (shown,) = [
                    part.partition("```")[0] for part in told.split(f"{exercise.task}")[1].split("```python\n")[1:2]
                ]
                assert f"def {exercise.piece.name.split('.')[-1]}(" in shown
                assert "…" in shown
                assert ">>> exercise" not in shown
                assert solution(source_of(exercise.path), exercise) not in textwrap.dedent(shown)


def test_a_notebook_judges_its_cells(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(notebooks, "CHAPTERS", (CHAPTERS[0]._replace(exercises=(EXP,)),))
    monkeypatch.setattr(notebooks, "train", lambda chapter, answers: chapter_check.Training(92.61, ""))
    main(["start", str(tmp_path / "work"), "exp", "--notebook"])
    notebook = Notebook()

    def said(source):
        capsys.readouterr()
        notebook.run(source)
        return capsys.readouterr().out

    load, cell, hint, chapter = cells_of(tmp_path / "work/rules.ipynb")
    assert said(load) == ""
    assert said(cell) == "– exp: nothing is written here yet\n"
    assert said(hint) == ""
    assert said(hint.lstrip("# ")).startswith("hint 1 of ")
    assert said(hint.lstrip("# ")).startswith("hint 2 of ")
    assert said(chapter) == "not yet right, or not yet run in this session: exp\n"
    assert said(cell.replace(HOLE, WRONG)).startswith(f"✗ exp: {FORGETS}")
    assert "line 5 of the cell" in said(cell.replace(HOLE, "y = 2 *"))
    assert said(cell.replace(HOLE, RIGHT)) == "✓ exp\n"
    assert said(chapter).endswith("✓ 92.61 % of the test images\n")
    assert said(cell.replace(HOLE, WRONG)).startswith("✗")
    assert said(chapter).startswith("not yet right")
    assert said("%solution exp") == solution(source_of(EXP.path), EXP) + "\n"
    for wrong in ("%%exercise pxe\n", "%hint pxe", "%solution pxe", "%chapter pxe"):
        assert said(wrong).startswith("there is no ")


def test_a_saved_notebook_is_checked_too(tmp_path, capsys, trainings):
    folder = tmp_path / "work"
    main(["start", str(folder), "exp", "--notebook"])
    place = folder / "rules.ipynb"
    new = json.loads(place.read_text("utf-8"))
    (cell,) = [cell for cell in new["cells"] if cell["id"] == "exp-answer"]
    cell["source"] = "".join(cell["source"]).replace(HOLE, RIGHT)  # one text, as some editors save it
    cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "✓"}]
    place.write_text(json.dumps(new), "utf-8")
    assert main(["check", str(folder)]) == 0
    new["cells"].append(cell)
    place.write_text(json.dumps(new), "utf-8")
    assert main(["check", str(folder)]) == 2
    assert "expected one cell whose first line is '%%exercise exp', and 2 are there" in capsys.readouterr().out
    place.write_text("{}", "utf-8")
    assert main(["check", str(folder)]) == 2
    assert "rules.ipynb is no notebook: save it again in Jupyter" in capsys.readouterr().out
