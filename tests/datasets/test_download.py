"""A download is taken if it is the very file: whatever a mirror does, no bad file, no leftover, and the next is tried.

All mirrors are a server on the loopback; its address, and no other plain http, passes for secure here.
"""

import gzip
import hashlib
import http.server
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import IN_FULL
from tinygrad_sm.datasets import IdxFile, download
from tinygrad_sm.errors import DatasetError

KILLS = 40 if IN_FULL else 4
NAMES = ("train-images.gz", "train-labels.gz", "test-images.gz", "test-labels.gz")
PATIENCE = 20.0
random = np.random.default_rng(0)
Array = np.ndarray[Any, Any]


def idx(array: Array) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


ARRAYS = {
    name: random.integers(0, 256, (N, 5, 6), np.uint8) if "images" in name else random.integers(0, 10, N, np.uint8)
    for name, N in zip(NAMES, (4000, 4000, 40, 40), strict=True)
}
PACKED = {name: gzip.compress(idx(array), mtime=0) for name, array in ARRAYS.items()}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


FILE = {
    name: IdxFile(name, len(PACKED[name]), sha256(PACKED[name]), len(idx(array)), sha256(idx(array)))
    for name, array in ARRAYS.items()
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers /MIRROR/NAME as the mirror of that name does, and notes what was asked for."""

    server: "Server"

    def do_GET(self) -> None:
        _, mirror, name = self.path.split("/")
        self.server.asked.append(self.path)
        self.close_connection = True
        with suppress(BrokenPipeError, ConnectionResetError):  # the client had enough
            MIRROR[mirror](self, PACKED[name])

    def answer(self, body: bytes, status: int = 200, length: object = None, **headers: str) -> None:
        self.send_response(status)
        if length != "none":
            self.send_header("Content-Length", str(len(body) if length is None else length))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    asked: list[str]
    part = 0.0  # of a file, that the mirror "paused" sends
    sent: threading.Event
    plain: "Server"  # one that does not pass for secure
    daemon_threads = True

    def address(self, mirror: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{mirror}"


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def endless(handler: Handler, body: bytes) -> None:
    handler.answer(body, length="none")
    while True:
        handler.wfile.write(bytes(2**16))


def silent(handler: Handler, body: bytes) -> None:
    """Keep the client waiting; only this one is left soon, because on a busy machine the next may take its time."""
    download.TIMEOUT_SECONDS = PATIENCE
    handler.answer(body[:50], length=len(body))
    handler.rfile.read(1)


def paused(handler: Handler, body: bytes) -> None:
    """Send a part of the file, say that it is sent, and leave the client waiting."""
    handler.answer(body[: int(handler.server.part * len(body))], length=len(body))
    handler.server.sent.set()
    handler.rfile.read(1)


def status(code: int) -> Callable[[Handler, bytes], None]:
    return lambda handler, body: handler.answer(body, code)


def elsewhere(place: Callable[[Handler], str]) -> Callable[[Handler, bytes], None]:
    return lambda handler, body: handler.answer(b"", 302, Location=place(handler))


MIRROR: dict[str, Callable[[Handler, bytes], None]] = {
    "good": lambda handler, body: handler.answer(body),
    "moved": elsewhere(lambda handler: handler.path.replace("moved", "good")),
    "paused": paused,
}
FAULTS: dict[str, tuple[Callable[[Handler, bytes], None], str]] = {
    "status-403": (status(403), "expected status 200, got 403 Forbidden"),
    "status-404": (status(404), "expected status 200, got 404 Not Found"),
    "status-500": (status(500), "expected status 200, got 500"),
    "status-503": (status(503), "expected status 200, got 503"),
    "status-206": (status(206), "expected status 200, got 206"),
    "status-304": (status(304), "expected status 200, got 304"),
    "truncated": (lambda handler, body: handler.answer(body[:-7], length=len(body)), "IncompleteRead"),
    "truncated-unnoticed": (lambda handler, body: handler.answer(body[:-7]), "expected \\d+ bytes, got \\d+"),
    "empty": (lambda handler, body: handler.answer(b""), "expected \\d+ bytes, got 0"),
    "no-answer": (lambda handler, body: handler.connection.close(), "RemoteDisconnected|ConnectionReset"),
    "no-http": (lambda handler, body: handler.wfile.write(b"hello\r\n\r\n") and None, "BadStatusLine"),
    "a-page": (lambda handler, body: handler.answer(b"<html>busy</html>"), "expected \\d+ bytes, got 17"),
    "too-long": (lambda handler, body: handler.answer(body + b"\0"), "expected \\d+ bytes, got more"),
    "endless": (endless, "expected \\d+ bytes, got more"),
    "silent": (silent, "TimeoutError"),
    "one-bit": (lambda handler, body: handler.answer(flipped(body, len(body) // 2)), "expected SHA-256 "),
    "one-bit-in-the-header": (lambda handler, body: handler.answer(flipped(body, 5)), "expected SHA-256 "),
    "zeros": (lambda handler, body: handler.answer(bytes(len(body))), "expected SHA-256 "),
    "odd-length": (lambda handler, body: handler.answer(body, length="many"), "ValueError|InvalidHeader"),
    "bad-encoding": (lambda handler, body: handler.answer(b"no gzip", Content_Encoding="gzip"), "rror"),
    "plain-http": (
        elsewhere(lambda handler: handler.server.plain.address("good/x")),
        "begins with https://, got http:",
    ),
    "a-local-file": (elsewhere(lambda handler: "file:///etc/hostname"), "begins with https://, got file:"),
    "in-circles": (elsewhere(lambda handler: handler.path), "TooManyRedirects"),
}
MIRROR |= {name: fault for name, (fault, _) in FAULTS.items()}
each_fault = pytest.mark.parametrize("fault", [*FAULTS, "refused"])
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs locks of folders, and files removed while open")
each_file = pytest.mark.parametrize("name", NAMES)


def started(server: Server) -> Server:
    server.asked, server.sent = [], threading.Event()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    server = started(Server(("127.0.0.1", 0), Handler))
    server.plain = started(Server(("127.0.0.1", 0), Handler))
    yield server
    for each in (server, server.plain):
        each.shutdown()
        each.server_close()


@pytest.fixture
def server(running: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("TINYGRAD_SM_DATA", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "_SECURE", ("https://", running.address("")))
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", PATIENCE)
    running.asked.clear()
    running.plain.asked.clear()
    return running


def mirror_of(server: Server, fault: str) -> str:
    if fault == "silent":
        download.TIMEOUT_SECONDS = 0.2  # until it is asked
    return "http://127.0.0.1:1/refused" if fault == "refused" else server.address(fault)


def fetched(name: str, folder: Path, *mirrors: str) -> Array:
    result: Array = download.fetch_idx(FILE[name], ARRAYS[name].ndim, folder, mirrors)
    return result


def content(folder: Path) -> dict[str, bytes]:
    """Return all that is in the folder, with the names that begin with a dot."""
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


@each_file
@each_fault
def test_whatever_a_mirror_does_the_next_is_tried(server: Server, tmp_path: Path, fault: str, name: str) -> None:
    data = fetched(name, tmp_path / "set", mirror_of(server, fault), server.address("good"))
    np.testing.assert_array_equal(data, ARRAYS[name], strict=True)
    assert content(tmp_path / "set") == {name: PACKED[name]}
    assert server.asked[-1] == f"/good/{name}"
    assert fault == "refused" or server.asked[0] == f"/{fault}/{name}"
    assert not server.plain.asked  # not even asked


@each_file
@each_fault
def test_no_bad_file_is_accepted_and_nothing_is_left(server: Server, tmp_path: Path, fault: str, name: str) -> None:
    with pytest.raises(DatasetError) as caught:
        fetched(name, tmp_path / "set", mirror_of(server, fault))
    assert content(tmp_path / "set") == {}
    expected = "ConnectionRefused" if fault == "refused" else FAULTS[fault][1]
    assert re.search(f"{re.escape(mirror_of(server, fault))}/{name}: .*({expected})", str(caught.value))


def test_the_error_lists_what_was_tried_and_what_to_do(server: Server, tmp_path: Path) -> None:
    name, faults = NAMES[0], ["status-403", "one-bit", "a-page"]
    with pytest.raises(DatasetError) as caught:
        fetched(name, tmp_path / "set", *map(server.address, faults))
    lines = str(caught.value).splitlines()
    path = tmp_path / "set" / name
    assert lines[0] == f"{name} is not available. Tried, in this order:"
    assert lines[1] == f"  {path}: expected a file that can be read to its end, got No such file or directory"
    assert [line.split(": ")[0] for line in lines[2:-1]] == [f"  {server.address(fault)}/{name}" for fault in faults]
    for part in (f"at {path} by hand", "TINYGRAD_SM_DATA", f"set/{name}", FILE[name].sha256, str(FILE[name].size)):
        assert part in lines[-1]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda data: data[:-1], "expected SHA-256"),
        (lambda data: flipped(data, 30), "expected SHA-256"),
        (lambda data: gzip.compress(gzip.decompress(data), mtime=1), "expected SHA-256"),
        (gzip.decompress, "expected SHA-256"),
    ],
    ids=["truncated", "one bit", "packed again", "unpacked"],
)
def test_a_file_at_hand_is_checked_each_time(
    server: Server, tmp_path: Path, bad: Callable[[bytes], bytes], message: str
) -> None:
    name = NAMES[0]
    fetched(name, tmp_path, server.address("good"))
    (tmp_path / name).write_bytes(bad(PACKED[name]))
    with pytest.raises(DatasetError, match=f"{re.escape(str(tmp_path / name))}: {message}"):
        fetched(name, tmp_path)
    np.testing.assert_array_equal(fetched(name, tmp_path, server.address("good")), ARRAYS[name])
    assert content(tmp_path) == {name: PACKED[name]}


def test_the_unpacked_bytes_are_checked_too(server: Server, tmp_path: Path) -> None:
    (tmp_path / NAMES[1]).write_bytes(PACKED[NAMES[1]])
    wrong = FILE[NAMES[1]]._replace(unpacked_sha256="0" * 64)
    with pytest.raises(DatasetError, match="expected contents with SHA-256 000"):
        download.fetch_idx(wrong, 1, tmp_path, [])
    short = FILE[NAMES[1]]._replace(unpacked_size=100)
    with pytest.raises(DatasetError, match="at most 100 bytes"):
        download.fetch_idx(short, 1, tmp_path, [])


def test_a_file_at_hand_needs_no_network(server: Server, tmp_path: Path) -> None:
    (tmp_path / NAMES[0]).write_bytes(PACKED[NAMES[0]])
    for _ in range(2):
        np.testing.assert_array_equal(fetched(NAMES[0], tmp_path, server.address("good")), ARRAYS[NAMES[0]])
    assert server.asked == []


def test_a_folder_that_cannot_be_written_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set").write_bytes(b"a file where the folder should be")
    with pytest.raises(DatasetError, match="/set: (FileExistsError|NotADirectoryError)"):
        fetched(NAMES[1], tmp_path / "set", server.address("good"))


def test_a_redirection_that_is_secure_is_followed(server: Server, tmp_path: Path) -> None:
    np.testing.assert_array_equal(fetched(NAMES[0], tmp_path, server.address("moved")), ARRAYS[NAMES[0]])
    assert server.asked == [f"/moved/{NAMES[0]}", f"/good/{NAMES[0]}"]


@posix
def test_a_download_removes_leftovers_once_it_is_alone(server: Server, tmp_path: Path) -> None:
    leftover = tmp_path / ".partial-0123"
    leftover.write_bytes(b"half")
    thread = threading.Thread(target=fetched, args=(NAMES[1], tmp_path, server.address("good")))
    with download._locked(tmp_path):
        thread.start()
        time.sleep(0.1)
        assert content(tmp_path) == {leftover.name: b"half"}  # it may be the work of another, who holds the lock
        assert server.asked == []
    thread.join()
    assert set(content(tmp_path)) == {NAMES[1]}


PROGRAM = """
import sys
from pathlib import Path
from tinygrad_sm.datasets import download
mirror, folder, *file = sys.argv[1:]
download._SECURE = (mirror,)
file = download.IdxFile(file[0], int(file[1]), file[2], int(file[3]), file[4])
assert download.fetch_idx(file, 3, Path(folder), [mirror]).shape == (4000, 5, 6)
"""


def started_download(mirror: str, folder: Path) -> "subprocess.Popen[bytes]":
    arguments = [mirror, str(folder), *map(str, FILE[NAMES[0]])]
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stderr=subprocess.DEVNULL)


@posix
def test_of_processes_that_need_the_same_file_one_downloads_it(server: Server, tmp_path: Path) -> None:
    processes = [started_download(server.address("good"), tmp_path) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert server.asked == [f"/good/{NAMES[0]}"]
    assert content(tmp_path) == {NAMES[0]: PACKED[NAMES[0]]}


@pytest.mark.parametrize("attempt", range(KILLS))
@posix
def test_a_kill_in_mid_download_leaves_nothing_that_is_taken_for_data(
    server: Server, tmp_path: Path, attempt: int
) -> None:
    name = NAMES[0]
    server.part = attempt / (KILLS - 1)  # from nothing to the whole file, which is being put in its place then
    server.sent.clear()
    with started_download(server.address("paused"), tmp_path) as process:
        assert server.sent.wait(60)
        time.sleep(0.02 * (attempt % 3))
        process.kill()
    left = content(tmp_path)
    assert len(left) == 1
    assert (
        left == {name: PACKED[name]} if server.part == 1 and name in left else next(iter(left)).startswith(".partial-")
    )

    server.asked.clear()
    np.testing.assert_array_equal(fetched(name, tmp_path, server.address("good")), ARRAYS[name])
    assert content(tmp_path) == {name: PACKED[name]}
    assert server.asked == ([] if name in left else [f"/good/{name}"])


@posix
def test_a_pipe_in_the_folder_of_downloads_is_replaced(server: Server, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / NAMES[1])
    with pytest.raises(DatasetError, match=f"{tmp_path / NAMES[1]}: expected a file, got a pipe or a device"):
        fetched(NAMES[1], tmp_path)
    assert fetched(NAMES[1], tmp_path, server.address("good")).shape == (4000,)


def odd_reason(handler: Handler, body: bytes) -> None:
    handler.wfile.write(b"HTTP/1.1 404 gone \x1b[2J\x9b2J" + b"x" * 10_000 + b"\r\n\r\n")


def odd_redirection(handler: Handler, body: bytes) -> None:
    handler.wfile.write(b"HTTP/1.1 302 Found\r\nLocation: ftp://a\x1b[2J" + b"x" * 10_000 + b"\r\n\r\n")


def odd_header(handler: Handler, body: bytes) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: \x1b[2J\r\n\r\n" + body)


def odd_protocol(handler: Handler, body: bytes) -> None:
    handler.wfile.write(b"\x1b[2J\x07\r\n\r\n")


@pytest.mark.parametrize("mirror", [odd_reason, odd_redirection, odd_header, odd_protocol])
def test_what_a_server_says_is_escaped_and_cut(
    mirror: object,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(MIRROR, "odd", mirror)  # type: ignore[arg-type]
    with pytest.raises(DatasetError) as raised:
        fetched(NAMES[0], tmp_path / "set", server.address("odd"))
    lines = str(raised.value).splitlines()
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)
    assert len(lines[2]) < 400
    assert server.asked


def drop_by_drop(handler: Handler, data: bytes, count: int = 1, pause: float = 0.01) -> None:
    """Send so many bytes at a time, so that the client never waits long."""
    for place in range(0, len(data), count):
        handler.wfile.write(data[place : place + count])
        handler.wfile.flush()
        time.sleep(pause)


def slow_body(handler: Handler, body: bytes) -> None:
    handler.answer(b"", length=len(body))
    drop_by_drop(handler, body)


def quick_and_then_slow(handler: Handler, body: bytes) -> None:
    handler.answer(body[:-2000], length=len(body))
    drop_by_drop(handler, body[-2000:])


def slow_chunks(handler: Handler, body: bytes) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for byte in body:
        drop_by_drop(handler, b"1\r\n%c\r\n" % byte, 6)


def slow_header(handler: Handler, body: bytes) -> None:
    drop_by_drop(handler, b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 10_000)


def slow_status(handler: Handler, body: bytes) -> None:
    drop_by_drop(handler, b"HTTP/1.1 200 " + b"O" * 10_000)


def continue_for_ever(handler: Handler, body: bytes) -> None:
    while True:
        drop_by_drop(handler, b"HTTP/1.1 100 Continue\r\n\r\n", 100)


def continue_without_pause(handler: Handler, body: bytes) -> None:
    while True:
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def slow_redirections(handler: Handler, body: bytes) -> None:
    time.sleep(0.2)
    handler.answer(b"", 302, Location=handler.path)


SLOW = [
    *(slow_body, quick_and_then_slow, slow_chunks, slow_header, slow_status, slow_redirections),
    *(continue_for_ever, continue_without_pause),
]


@pytest.fixture
def hasty(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Return a server of which the client expects 5000 bytes in each half of a second."""
    monkeypatch.setattr(download, "WINDOW_SECONDS", 0.5)
    return server


def downloads_at_work() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("download of ")]


@pytest.mark.parametrize("mirror", SLOW)
def test_a_mirror_that_is_too_slow_is_left(
    mirror: Callable[[Handler, bytes], None], hasty: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MIRROR, "slow", mirror)
    start = time.monotonic()
    with pytest.raises(DatasetError, match=r"/slow/.*: expected at least 10000 bytes per second, got \d+ in 0.5 sec"):
        fetched(NAMES[0], tmp_path, hasty.address("slow"))
    assert time.monotonic() - start < 10  # one or two windows, on a machine that others use
    assert content(tmp_path) == {}
    np.testing.assert_array_equal(
        fetched(NAMES[0], tmp_path, hasty.address("slow"), hasty.address("good")), ARRAYS[NAMES[0]]
    )
    assert content(tmp_path) == {NAMES[0]: PACKED[NAMES[0]]}
    end = time.monotonic() + 10
    while downloads_at_work() and time.monotonic() < end:
        time.sleep(0.05)
    assert downloads_at_work() == []


def test_a_mirror_that_is_quick_enough_has_its_time(
    hasty: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """120,000 bytes in some three seconds, which are six windows."""
    monkeypatch.setattr(download, "LEAST_RATE", 2000)
    monkeypatch.setitem(MIRROR, "steady", lambda handler, body: steady(handler, body))

    def steady(handler: Handler, body: bytes) -> None:
        handler.answer(b"", length=len(body))
        drop_by_drop(handler, body, 2000, 0.05)

    start = time.monotonic()
    np.testing.assert_array_equal(fetched(NAMES[0], tmp_path, hasty.address("steady")), ARRAYS[NAMES[0]])
    assert time.monotonic() - start > 2 * download.WINDOW_SECONDS


@posix
def test_who_waits_for_another_download_does_not_wait_for_ever(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "WAIT_SECONDS", 0.3)
    start = time.monotonic()
    with download._locked(tmp_path), pytest.raises(DatasetError) as caught:
        fetched(NAMES[0], tmp_path, server.address("good"))
    assert 0.3 < time.monotonic() - start < 10
    assert f"{tmp_path}: TimeoutError: another process still holds the lock after 0.3 s" in str(caught.value)
    assert server.asked == []
    assert fetched(NAMES[0], tmp_path, server.address("good")).shape == (4000, 5, 6)


@posix
def test_ctrl_c_as_the_folder_is_unlocked_does_not_keep_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlock(descriptor: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(download, "unlock", unlock)
        with pytest.raises(KeyboardInterrupt):
            fetched(NAMES[1], tmp_path, server.address("good"))
    monkeypatch.setattr(download, "WAIT_SECONDS", 0.3)
    assert fetched(NAMES[0], tmp_path, server.address("good")).shape == (4000, 5, 6)


@posix
def test_a_process_that_was_forked_during_a_download_does_not_keep_the_folder(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "WAIT_SECONDS", 0.3)
    with download._locked(tmp_path):
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
    try:
        assert fetched(NAMES[0], tmp_path, server.address("good")).shape == (4000, 5, 6)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_download_that_is_broken_off_leaves_nothing_and_no_thread(
    error: type[BaseException], server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MIRROR, "slow", slow_body)
    real = threading.Thread.join

    def join(thread: threading.Thread, timeout: float | None = None) -> None:
        if thread.name.startswith("download of "):
            real(thread, 0.2)
            raise error
        real(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", join)
    with pytest.raises(error if error is KeyboardInterrupt else DatasetError):
        fetched(NAMES[0], tmp_path, server.address("slow"))
    assert content(tmp_path) == {}
    end = time.monotonic() + 10
    while downloads_at_work() and time.monotonic() < end:
        time.sleep(0.05)
    assert downloads_at_work() == []
