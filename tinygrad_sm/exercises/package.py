"""The installed source of the package: its files, and copies of it."""

import importlib
import os
import shutil
from functools import cache
from pathlib import Path

PARTS = ("tinygrad_sm", "tinygrad_sm.nn", "tinygrad_sm.datasets")
"""An editable installation has these in three folders."""


@cache
def source_of(path: str) -> str:
    """Return the text of a file of the package, such as "ops/softmax.py"."""
    return file_of(path).read_text(encoding="utf-8")


def file_of(path: str) -> Path:
    """Return where a file of the package stands."""
    first, _, rest = path.partition("/")
    part = f"tinygrad_sm.{first}"
    return _folder_of(part) / rest if part in PARTS else _folder_of(PARTS[0]) / path


def _folder_of(part: str) -> Path:
    return Path(importlib.import_module(part).__path__[0])


def paths_of_source() -> list[str]:
    """Return the paths of all source files of the package, such as "ops/softmax.py"."""
    found = []
    for part in PARTS:
        folder, inside = _folder_of(part), Path(*part.split(".")[1:])
        found += [(inside / file.relative_to(folder)).as_posix() for file in folder.rglob("*.py")]
    return sorted(set(found))


def copy_source(folder: Path, with_data: bool = False) -> Path:
    """Copy the package into a folder, as a package; return the copy.

    With data it is for a learner; without, for a process, which starts in half the time if it finds bytecode.
    """
    ignored = shutil.ignore_patterns("*.pyi", "__pycache__" if with_data else "*.gz")
    for name in PARTS:
        place = folder.joinpath(*name.split("."))
        shutil.copytree(_folder_of(name), place, ignore=ignored, copy_function=_copy_file, dirs_exist_ok=True)
        for part in (place, *place.rglob("*")):
            if part.is_dir():  # an installation may be read-only, and a copy of it is to be written into
                part.chmod(0o755)
    return folder / "tinygrad_sm"


def _copy_file(origin: str, place: str) -> None:
    """Copy what a file holds and its time, to which its bytecode refers, but not that it may be read-only."""
    shutil.copyfile(origin, place)
    times = os.stat(origin)
    os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))
