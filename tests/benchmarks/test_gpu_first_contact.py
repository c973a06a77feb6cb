"""First contact: what a part prints is kept whatever becomes of it, and so is the time; nothing needs an installation.

Small parts stand for the real ones, which `test_gpu_parts` tries. No limit is so short that a busy machine breaks it.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

import tinygrad_sm as tg
from benchmarks import gpu, gpu_first_contact, gpu_parts
from benchmarks.gpu_first_contact import PARTS, Part, importable
from tests.helpers import ROOT

fcntl = pytest.importorskip("fcntl", reason="groups of processes need POSIX")
HAS_GPU = tg.is_available("cuda")
FINE = Part("Fine", 60, ("-c", "print('all is fine')"))
FAILS = Part("Fails", 60, ("-c", "import sys; print('so far'); sys.exit(3)"), is_raw=True)
SLEEPS = Part("Sleeps", 2.5, ("-c", "import time; time.sleep(600)"))

WORKER = """
import fcntl, pathlib, sys, time
file = open(sys.argv[1] + "/lock", "w")
fcntl.flock(file, fcntl.LOCK_EX)
pathlib.Path(sys.argv[1], "ready").touch()
time.sleep(600)
"""
HANGS = f"""
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.stdout.write("before it hung")
subprocess.run([sys.executable, "-c", {WORKER!r}, sys.argv[1]])
"""
OBEYS = """
import pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    pathlib.Path(sys.argv[1], "ready").touch()
    time.sleep(600)
except KeyboardInterrupt:
    print("what has failed so far")
"""

CLAIMED_GPU = """
import sys
from tests.backend import strict_cupy
from tests.fast import plain_kernels
strict_cupy.PLAIN_KERNELS.update(plain_kernels.BY_NAME)
sys.modules["cupy"] = strict_cupy.namespace()
"""


def contact(parts, path, monkeypatch):
    """Run these parts; return the exit status, and of each what the file says under its heading."""
    monkeypatch.setattr(gpu_first_contact, "PARTS", {part.title: part for part in parts})
    status = gpu_first_contact.main([], path, "A title")
    title, *sections = path.read_text(encoding="utf-8").split("\n## ")
    assert title == "# A title\n"
    assert [section.splitlines()[0] for section in sections] == [part.title for part in parts]
    return status, sections


def expire_when_ready(folder, monkeypatch):
    """Let the limit of a part be over when it is ready for that: a busy machine begins it late."""

    class Popen(subprocess.Popen):
        limits = []

        def wait(self, timeout=None):
            self.limits.append(timeout)
            if len(self.limits) > 1:
                return super().wait(timeout)
            while not (folder / "ready").exists():
                assert self.poll() is None
                time.sleep(0.01)
            raise subprocess.TimeoutExpired(self.args, timeout)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    return Popen.limits


def assert_lock_is_free(folder):
    """Fail if the child of the part that hangs is alive, and holds its lock, some seconds after its death."""
    with (folder / "lock").open("w") as file:
        for _ in range(1000):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(0.01)
    pytest.fail("a child of the part is alive")


def test_a_part_that_fails_keeps_what_it_printed_and_the_next_goes_on(tmp_path, monkeypatch, capfd):
    path = tmp_path / "new/contact.md"
    status, (fails, fine) = contact([FAILS, FINE], path, monkeypatch)
    assert status == 1
    assert re.search(r"\n```text\nso far\n```\n\n\*\*failed, exit status 3, after \d+\.\d s\*\*\n$", fails)
    assert re.search(r"\n\nall is fine\n\nended well after \d+\.\d s\n$", fine)
    printed, errors = capfd.readouterr()
    assert (printed, errors) == (path.read_text().removeprefix("# A title\n") + f"\nwritten to {path}\n", "")


def test_if_all_end_well_the_status_is_0_and_a_file_that_is_there_goes_on(tmp_path, monkeypatch):
    assert contact([FINE], tmp_path / "contact.md", monkeypatch)[0] == 0
    before = (tmp_path / "contact.md").read_text()
    assert gpu_first_contact.main(["Fine"], tmp_path / "contact.md", "Again") == 0
    assert (tmp_path / "contact.md").read_text().startswith(before + "# Again\n\n## Fine\n")


def test_what_hangs_is_killed_with_its_children(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    expire_when_ready(tmp_path, monkeypatch)
    hangs = Part("Hangs", 2.5, ("-c", HANGS, str(tmp_path)))
    status, (hung, fine) = contact([hangs, FINE], tmp_path / "contact.md", monkeypatch)
    assert status == 1
    assert re.search(r"\n\nbefore it hung\n\n\*\*stopped after \d+\.\d s\*\*\n$", hung)
    assert "all is fine" in fine
    assert_lock_is_free(tmp_path)


def test_before_it_is_killed_a_part_may_say_what_it_knows(tmp_path, monkeypatch):
    limits = expire_when_ready(tmp_path, monkeypatch)
    obeys = Part("Obeys", 300, ("-c", OBEYS, str(tmp_path)))
    status, (section,) = contact([obeys], tmp_path / "contact.md", monkeypatch)
    assert status == 1
    assert re.search(r"\n\nwhat has failed so far\n\n\*\*stopped after \d+\.\d s\*\*\n$", section)
    assert limits[:2] == pytest.approx([270, 30])


def test_the_limit_is_one_of_time(tmp_path, monkeypatch):
    status, (section,) = contact([SLEEPS], tmp_path / "contact.md", monkeypatch)
    assert status == 1
    assert "**stopped after" in section


def test_all_parts_together_have_a_limit_too(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_first_contact, "TOTAL", 2)
    monkeypatch.setattr(gpu_first_contact, "LEAST", 0.25)  # more than what is left of the grace
    parts = [SLEEPS._replace(limit=600), FINE]
    status, (section, late) = contact(parts, tmp_path / "contact.md", monkeypatch)
    assert status == 1
    assert "**stopped after" in section
    assert late.endswith("\n\n**not begun: the 2 s for all parts are over**\n")


def test_who_is_told_to_end_ends_the_part_first(tmp_path):
    code = f"""
import sys
from pathlib import Path
from benchmarks import gpu_first_contact
gpu_first_contact.PARTS = {{"hangs": gpu_first_contact.Part("Hangs", 500, ("-c", {HANGS!r}, {str(tmp_path)!r}))}}
sys.exit(gpu_first_contact.main([], Path({str(tmp_path)!r}, "contact.md"), "A title"))
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL)
    while not (tmp_path / "ready").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert (tmp_path / "contact.md").read_text().endswith("before it hung")
    assert_lock_is_free(tmp_path)


def test_main_lets_who_called_it_end_as_before(tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    contact([FINE], tmp_path / "contact.md", monkeypatch)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.fixture
def checkout(tmp_path):
    """Return a copy of what `importable` asks for."""
    shutil.copytree(ROOT / "tinygrad_sm", tmp_path / "tinygrad_sm", ignore=shutil.ignore_patterns("nn", "datasets"))
    shutil.copytree(ROOT / "nn", tmp_path / "nn")
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")
    return tmp_path


LINKS = ("tinygrad_sm/nn", "tinygrad_sm/datasets")


def test_where_nothing_is_installed_links_are_made_and_removed(checkout, monkeypatch):
    monkeypatch.setattr(gpu_first_contact, "find_spec", lambda name: None)
    with importable(checkout):
        assert [os.readlink(checkout / link) for link in LINKS] == ["../nn", "../datasets"]
        assert (checkout / LINKS[0] / "module.py").read_text() == (ROOT / "nn/module.py").read_text()
    assert not any(os.path.lexists(checkout / link) for link in LINKS)
    with pytest.raises(ZeroDivisionError), importable(checkout):
        1 / 0  # noqa: B018  as a part might
    assert not any(os.path.lexists(checkout / link) for link in LINKS)
    (checkout / LINKS[1]).mkdir()
    with pytest.raises(FileExistsError), importable(checkout):
        pass
    assert not os.path.lexists(checkout / LINKS[0])


def test_what_is_importable_is_left_alone(checkout):
    with importable(checkout):  # installed where the tests run, or linked by who runs them
        assert not any(os.path.lexists(checkout / link) for link in LINKS)


def test_all_processes_import_by_the_links(checkout):
    code = f"""
import multiprocessing, pathlib, subprocess, sys
sys.path.insert(1, {str(ROOT)!r})
from benchmarks import gpu_first_contact
gpu_first_contact.find_spec = lambda name: None
with gpu_first_contact.importable(pathlib.Path.cwd()):
    from tinygrad_sm import datasets, nn
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(eval, ("__import__('tinygrad_sm.nn').nn.__file__",))
    command = [sys.executable, "-c", "from tinygrad_sm import nn; print(nn.__file__)"]
    print(nn.__file__, there, subprocess.check_output(command, text=True), datasets.mnist("test").labels[0])
"""
    told = subprocess.check_output([sys.executable, "-c", code], cwd=checkout, text=True).split()
    assert told == [str(checkout / "tinygrad_sm/nn/__init__.py")] * 3 + ["7"]


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU here")
def test_without_a_gpu_it_says_what_is_missing_and_writes_nothing(tmp_path):
    command = [sys.executable, "-m", "benchmarks.gpu", "--first-contact", "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (2, "", [])
    [line] = done.stderr.splitlines()
    assert line.startswith("benchmarks.gpu: ")


def test_the_benchmark_hands_over(strict, monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_first_contact, "PARTS", {"fails": FAILS, "fine": FINE})
    arguments = ["--results", str(tmp_path), "--first-contact"]
    assert gpu.main([*arguments, "fine"]) == 0
    [path] = tmp_path.iterdir()
    assert re.fullmatch(r"gpu-first-contact-\d{4}-\d\d-\d\d-Strict-double-of-a-GPU\.md", path.name)
    text = path.read_text(encoding="utf-8")
    assert re.match(r"# First contact with Strict double of a GPU, \d{4}-\d\d-\d\d\n\n## Fine\n", text)
    assert "## Fails" not in text
    assert gpu.main(arguments) == 1
    assert "## Fails" in path.read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        gpu.main([*arguments, "unknown"])


def test_the_parts_fit_the_time_and_name_what_is_there():
    assert sum(part.limit for part in PARTS.values()) <= gpu_first_contact.TOTAL <= 540
    for name, part in PARTS.items():
        if part.command[:2] == ("-m", "benchmarks.gpu_parts"):
            assert part.command[2:] == (name,)
            assert name in gpu_parts.PARTS
    assert len([part for part in PARTS.values() if "benchmarks.gpu_parts" in part.command]) == len(gpu_parts.PARTS)
    assert (ROOT / PARTS["flagship"].command[0]).is_file()
    described = re.findall(r"^\| `(\w+)` \| .* \| (\d+) \|$", (ROOT / "benchmarks/README.md").read_text(), re.MULTILINE)
    assert described == [(name, str(part.limit)) for name, part in PARTS.items()]


def collected(name, folder, *arguments):
    """Return the tests that a part would run where there is a GPU; the strict double, as a file, claims that."""
    (folder / "cupy.py").write_text(CLAIMED_GPU)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    command = [sys.executable, *PARTS[name].command, "--collect-only", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if "::" in line]


def test_the_part_of_the_gpu_runs_the_tests_there_and_no_others(tmp_path):
    files = ["tests/backend/test_on_devices.py", "tests/benchmarks/test_gpu_benchmark.py"]
    found = collected("gpu", tmp_path, *files)
    assert len(found) > 300
    on_a_gpu = [test for test in found if "::test_on_a_gpu[" in test]
    assert len(on_a_gpu) == 2
    assert all(re.search(r"[\[-]cuda[\]-]", test) for test in set(found) - set(on_a_gpu))


def test_the_part_of_nvrtc_compiles_all_kernels(tmp_path):
    from tinygrad_sm.fast.kernels import KERNELS

    found = collected("nvrtc", tmp_path)
    assert len(found) == len(KERNELS) + 1
