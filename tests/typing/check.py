"""Lets mypy and pyright read the programs beside this file, as a user's do who has installed the package.

python -m tests.typing.check FOLDER     # with the package, as pip installed it there

What a line promises by `assert_type` must be what they infer, and a line with `# error` must be an error to both; one
with `# error: mypy`, to mypy alone. mypy's stubtest compares the stubs with the running package.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tests.helpers import ROOT

PROGRAMS = sorted(Path(__file__).parent.glob("programs/*.py"))
ALLOWED = Path(__file__).with_name("stubtest_allowed.txt")

Place = tuple[str, int]
"""A file and a line."""


def main(folder: Path) -> int:
    """Print every difference; return 1 if there is one."""
    user = _user(folder)
    differences = [line for checker in (_mypy, _pyright) for line in _compare(checker.__name__[1:], checker(user))]
    print(*differences, sep="\n", end="\n" if differences else "")
    stubtest = [sys.executable, "-m", "mypy.stubtest", "tinygrad_sm", "--concise", "--allowlist", str(ALLOWED)]
    stubtest += ["--mypy-config-file", str(ROOT / "pyproject.toml")]
    told = subprocess.run(stubtest, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder), "MYPYPATH": str(folder)})
    print(f"types: {len(PROGRAMS)} programs, {len(differences)} differences")
    return int(bool(differences or told.returncode))


def _user(folder: Path) -> Path:
    """Return a folder that a user may have: a Python with the package and what is here beside it, and the programs."""
    user = folder.with_name("user")
    venv.create(user, clear=True, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(user), "platbase": str(user)}))
    (site / "others.pth").write_text(f"{folder}\n{sysconfig.get_path('purelib')}\n")
    shutil.copytree(PROGRAMS[0].parent, user / "programs")
    (user / "pyrightconfig.json").write_text('{"include": ["programs"]}')
    return user


def expected(checker: str) -> set[Place]:
    """Return where a checker must find an error."""
    return {
        (path.name, number)
        for path in PROGRAMS
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for found in [re.search(r"# error(?:: (\w+))?", line)]
        if found and found[1] in (None, checker)
    }


def _compare(checker: str, found: dict[Place, str]) -> list[str]:
    """Return how what a checker found differs from what it must find."""
    must = expected(checker)
    missing = [f"{name}:{line}: {checker} finds no error" for name, line in sorted(must - found.keys())]
    return missing + [f"{name}:{line}: {checker}: {found[name, line]}" for name, line in sorted(found.keys() - must)]


def _mypy(user: Path) -> dict[Place, str]:
    command = [sys.executable, "-m", "mypy", "--output", "json", "--config-file=", "--check-untyped-defs"]
    command += ["--python-executable", "bin/python", *(f"programs/{path.name}" for path in PROGRAMS)]
    lines = [json.loads(line) for line in _told(command, user).splitlines()]
    errors = [x for x in lines if x["severity"] == "error" and x["file"].startswith("programs/")]
    return {(Path(x["file"]).name, x["line"]): x["message"] for x in errors}


def _pyright(user: Path) -> dict[Place, str]:
    command = [sys.executable, "-m", "pyright", "--outputjson", "--project", ".", "--pythonpath", "bin/python"]
    report = json.loads(_told(command, user))
    if report["summary"]["filesAnalyzed"] != len(PROGRAMS):
        raise RuntimeError(f"pyright read {report['summary']['filesAnalyzed']} programs of {len(PROGRAMS)}")
    return {
        (Path(x["file"]).name, x["range"]["start"]["line"] + 1): x["message"].partition("\n")[0]
        for x in report["generalDiagnostics"]
        if x["severity"] == "error"
    }


def _told(command: list[str], folder: Path) -> str:
    """Return the output of a checker, whose status 1 says that it found errors; raise for any other."""
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if told.returncode not in (0, 1) or told.stderr:
        raise RuntimeError(f"{command[2]} failed: {told.stderr or told.stdout}")
    return told.stdout


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]).resolve()))
