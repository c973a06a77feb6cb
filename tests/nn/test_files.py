"""A file that is replaced is the whole old one or the whole new one, whoever else writes, links or dies beside it."""

import errno
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tinygrad_sm import locks, nn
from tinygrad_sm.nn import files
from tinygrad_sm.nn.files import replace_file

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs permissions, links and locks, as POSIX has them")

LEFTOVER = ".tinygrad_sm-" + 32 * "a"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def save_and_meanwhile(action, path):
    """Replace the file, and do something else when the new one is written and has not yet the name."""
    real = os.fsync

    def fsync(descriptor):
        patch.undo()
        action()
        real(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        replace_file(path, b"new")


@pytest.mark.parametrize("old", [0o600, 0o640, 0o644, 0o444, 0o777])
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_the_permissions_of_the_old_file_are_kept(old, umask, tmp_path):
    path = tmp_path / "c"
    path.write_bytes(b"old")
    path.chmod(old)
    before = os.umask(umask)
    try:
        replace_file(path, b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == old
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_a_new_file_has_the_permissions_of_any_new_file(umask, tmp_path):
    before = os.umask(umask)
    try:
        replace_file(tmp_path / "c", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o666 & ~umask


def test_nobody_else_may_read_what_is_on_its_way_to_a_file_that_nobody_else_may_read(tmp_path, monkeypatch):
    path, seen = tmp_path / "c", []
    path.write_bytes(b"old")
    path.chmod(0o600)
    real = os.open

    def open_(name, flags, *mode):
        descriptor = real(name, flags, *mode)
        if flags & os.O_CREAT:
            seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", open_)
    replace_file(path, b"new")
    assert seen == [0o600]


@pytest.mark.parametrize("name", ["c.partial", "c.tmp", ".tinygrad_sm-mine", LEFTOVER + "a", LEFTOVER.upper()])
def test_a_file_of_the_user_beside_it_stays(name, tmp_path):
    (tmp_path / name).write_bytes(b"mine")
    replace_file(tmp_path / "c", b"new")
    assert (tmp_path / name).read_bytes() == b"mine"
    assert names(tmp_path) == sorted(["c", name])


def symlink(path, other):
    path.symlink_to(other)


def hard_link(path, other):
    path.hardlink_to(other)


def pipe(path, other):
    os.mkfifo(path)


@pytest.mark.parametrize("lay", [symlink, hard_link, pipe])
@pytest.mark.parametrize("name", ["c.partial", LEFTOVER])
def test_what_somebody_has_laid_in_the_way_is_never_written_to(lay, name, tmp_path):
    folder, other = tmp_path / "folder", tmp_path / "other"
    folder.mkdir()
    other.write_bytes(b"other")
    lay(folder / name, other)
    replace_file(folder / "c", b"new")
    assert other.read_bytes() == b"other"
    assert (folder / "c").read_bytes() == b"new"


@pytest.mark.parametrize("lay", [symlink, hard_link, pipe])
def test_a_temporary_name_that_somebody_has_guessed_is_not_used(lay, tmp_path, monkeypatch):
    folder, other = tmp_path / "folder", tmp_path / "other"
    folder.mkdir()
    other.write_bytes(b"other")
    lay(folder / LEFTOVER, other)
    monkeypatch.setattr(os, "urandom", lambda n: b"\xaa" * n)
    monkeypatch.setattr(files, "_remove_leftovers", lambda folder: None)
    with pytest.raises(FileExistsError):
        replace_file(folder / "c", b"new")
    assert names(folder) == [LEFTOVER]
    assert other.read_bytes() == b"other"


@pytest.mark.parametrize("shorter", range(8))
def test_a_name_may_be_as_long_as_the_file_system_allows(shorter, tmp_path):
    long = "x" * (os.pathconf(tmp_path, "PC_NAME_MAX") - shorter)  # where a suffix for the temporary name has no room
    replace_file(tmp_path / long, b"new")
    replace_file(tmp_path / long, b"newer")
    assert (tmp_path / long).read_bytes() == b"newer"
    assert names(tmp_path) == [long]


def test_a_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(OSError, match="File name too long") as raised:
        replace_file(tmp_path / ("x" * (os.pathconf(tmp_path, "PC_NAME_MAX") + 1)), b"new")
    assert raised.value.errno == errno.ENAMETOOLONG
    assert names(tmp_path) == []


@pytest.mark.parametrize("links", [{"c": "c"}, {"c": "d", "d": "c"}, {"c": "d/c", "d": "e", "e": "d"}], ids=str)
def test_links_that_lead_in_a_circle_are_refused_and_stay(links, tmp_path):
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    with pytest.raises(OSError, match="expected a file to write to, and its links lead in a circle: '.*'") as raised:
        nn.save(tmp_path / "c", nn.Linear(2, 2))
    assert raised.value.errno == errno.ELOOP
    assert {name: os.readlink(tmp_path / name) for name in names(tmp_path)} == links


def test_a_folder_whose_links_lead_in_a_circle_is_refused(tmp_path):
    (tmp_path / "folder").symlink_to("folder")
    with pytest.raises(OSError, match="its links lead in a circle"):
        nn.save(tmp_path / "folder" / "c", nn.Linear(2, 2))
    assert names(tmp_path) == ["folder"]


def failing(function, is_concerned, error):
    """Return the function of `os`, except that it fails where the concerned folder is its argument."""

    def call(first, *others):
        if is_concerned(first, *others):
            raise OSError(error, os.strerror(error), None if isinstance(first, int) else str(first))
        return function(first, *others)

    return call


def is_folder(descriptor):
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def is_opened_folder(path, flags, *mode):
    return bool(flags & os.O_DIRECTORY)


@pytest.mark.parametrize(
    ("name", "is_concerned", "error"),
    [
        *(("open", is_opened_folder, error) for error in (errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP)),
        *(("fsync", is_folder, error) for error in (errno.EINVAL, errno.ENOTSUP, errno.EIO, errno.EBADF, errno.EROFS)),
    ],
)
def test_a_folder_that_cannot_be_synchronized_is_a_warning(name, is_concerned, error, tmp_path, monkeypatch):
    path = tmp_path / "c"
    monkeypatch.setattr(os, name, failing(getattr(os, name), is_concerned, error))
    for content in (b"new", b"newer"):
        message = f"{path} was saved, but its folder .*{os.strerror(error)}.*loss of power may bring the old file back"
        with pytest.warns(UserWarning, match=message) as warned:
            replace_file(path, content)
        assert [warning.filename for warning in warned] == [__file__]
        assert path.read_bytes() == content
        assert names(tmp_path) == ["c"]
    monkeypatch.undo()
    in_a_thread(path)()  # the turn was given back


def test_an_error_as_the_folder_is_unlocked_is_no_failure(tmp_path, monkeypatch):
    def flock(descriptor, flags, real=locks.fcntl.flock):
        if flags == locks.fcntl.LOCK_UN:
            raise OSError
        real(descriptor, flags)

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    for content in (b"new", b"newer"):
        replace_file(tmp_path / "c", content)
        assert (tmp_path / "c").read_bytes() == content


def test_ctrl_c_as_the_folder_is_unlocked_does_not_keep_the_turn(tmp_path, monkeypatch):
    def unlock(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "unlock", unlock)
    with pytest.raises(KeyboardInterrupt):
        replace_file(tmp_path / "c", b"new")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    assert locks.lock(descriptor, wait=False)
    os.close(descriptor)


def test_control_characters_in_a_path_are_escaped_in_the_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", failing(os.fsync, is_folder, errno.EIO))
    with pytest.warns(UserWarning, match=re.escape(r"c\x1b\n was saved, but")):
        replace_file(tmp_path / "c\x1b\n", b"new")


def test_a_folder_that_cannot_be_opened_for_another_reason_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "open", failing(os.open, is_opened_folder, errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        replace_file(tmp_path / "c", b"new")
    monkeypatch.undo()
    assert names(tmp_path) == []
    with pytest.raises(FileNotFoundError, match=re.escape(f"'{tmp_path / 'absent'}'")):
        replace_file(tmp_path / "absent" / "c", b"new")


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="the superuser may read every folder")
def test_a_folder_to_write_to_and_not_to_read(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o300)
    try:
        for content in (b"new", b"newer"):
            with pytest.warns(UserWarning, match="was saved, but its folder could not be synchronized"):
                replace_file(folder / "c", content)
            assert (folder / "c").read_bytes() == content
    finally:
        folder.chmod(0o700)
    assert names(folder) == ["c"]


HOLDING = """
import fcntl, sys, time
file = open(sys.argv[1], "xb")
fcntl.flock(file, fcntl.LOCK_EX)
print("ready", flush=True)
time.sleep(60)
"""


def test_what_a_killed_saver_left_is_removed_and_what_a_living_one_holds_is_not(tmp_path):
    path = tmp_path / LEFTOVER
    with subprocess.Popen([sys.executable, "-c", HOLDING, path], stdout=subprocess.PIPE) as saver:
        saver.stdout.readline()
        replace_file(tmp_path / "c", b"new")
        assert names(tmp_path) == [LEFTOVER, "c"]
        saver.kill()
    replace_file(tmp_path / "c", b"newer")
    assert names(tmp_path) == ["c"]


SAVING = """
import pathlib, sys
from tinygrad_sm.nn.files import replace_file
print("ready", flush=True)
replace_file(pathlib.Path(sys.argv[1]), b"new")
"""


def in_a_thread(path):
    thread = threading.Thread(target=replace_file, args=(path, b"new"), daemon=True)
    thread.start()
    return lambda: thread.join(60)


def in_a_process(path):
    process = subprocess.Popen([sys.executable, "-c", SAVING, path], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return lambda: process.communicate(timeout=60)


@pytest.mark.parametrize("begin", [in_a_thread, in_a_process])
def test_savers_take_turns(begin, tmp_path):
    ends = []

    def other():
        ends.append(begin(tmp_path / "other"))
        time.sleep(0.2)
        (name,) = names(tmp_path)
        assert name.startswith(".tinygrad_sm-")

    save_and_meanwhile(other, tmp_path / "c")
    ends.pop()()
    assert names(tmp_path) == ["c", "other"]


def test_threads_that_save_to_one_path_leave_a_whole_file(tmp_path):
    path = tmp_path / "c"
    contents = [bytes([number]) * 10**5 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(replace_file, path, content) for content in 5 * contents]
        while not all(call.done() for call in calls):
            assert not path.exists() or path.read_bytes() in contents
        assert [call.result() for call in calls] == 40 * [None]
    assert names(tmp_path) == ["c"]


def test_a_signal_handler_may_save_in_the_middle_of_a_save(tmp_path):
    before = signal.signal(signal.SIGUSR1, lambda *args: replace_file(tmp_path / "emergency", b"new"))
    try:
        save_and_meanwhile(lambda: signal.raise_signal(signal.SIGUSR1), tmp_path / "c")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert names(tmp_path) == ["c", "emergency"]
    assert (tmp_path / "c").read_bytes() == b"new"


def test_a_process_that_was_forked_during_a_save_does_not_keep_the_turn(tmp_path):
    children = []

    def fork():
        children.append(os.fork())
        if not children[0]:
            time.sleep(60)
            os._exit(0)

    save_and_meanwhile(fork, tmp_path / "c")
    try:
        in_a_thread(tmp_path / "other")()
        assert names(tmp_path) == ["c", "other"]
        assert os.waitpid(children[0], os.WNOHANG) == (0, 0)
    finally:
        os.kill(children[0], signal.SIGKILL)
        os.waitpid(children[0], 0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError])
def test_a_save_that_is_broken_off_leaves_the_old_file_alone(error, tmp_path, monkeypatch):
    path = tmp_path / "c"
    replace_file(path, b"old")

    def fsync(descriptor):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(error):
            replace_file(path, b"new")
    assert names(tmp_path) == ["c"]
    assert path.read_bytes() == b"old"
    in_a_thread(path)()
    assert path.read_bytes() == b"new"  # the turn was given back


def test_files_are_replaced_where_there_are_no_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    (tmp_path / LEFTOVER).write_bytes(b"perhaps of a living saver")
    for content in (b"old", b"new"):
        replace_file(tmp_path / "c", content)
        assert (tmp_path / "c").read_bytes() == content
    assert names(tmp_path) == [LEFTOVER, "c"]


def test_files_are_replaced_on_a_file_system_without_locks(tmp_path, monkeypatch):
    def flock(descriptor, flags):
        raise OSError

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    (tmp_path / LEFTOVER).write_bytes(b"perhaps of a living saver")
    replace_file(tmp_path / "c", b"new")
    assert names(tmp_path) == [LEFTOVER, "c"]


def test_files_are_replaced_as_on_windows(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK"):
        monkeypatch.delattr(os, name)
    for content in (b"old", b"new"):
        replace_file(tmp_path / "c", content)
        assert (tmp_path / "c").read_bytes() == content
    assert names(tmp_path) == ["c"]
