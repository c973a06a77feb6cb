"""Download data sets of IDX files once, keep them in a folder, and verify every byte.

    images = IdxFile("train-images-idx3-ubyte.gz", size, sha256, unpacked_size, unpacked_sha256)
    data = idx_images("my-digits", ["https://example.org/digits"], images, labels, classes=tuple("0123456789"))

Servers vanish, answer with a page that says so, or break off in the middle; and what is stored can change later. So

- a file is identified by the SHA-256 of its stored and of its unpacked bytes, and each load computes both;
- whatever goes wrong with one mirror, the next is tried, and at last the error says what was tried;
- a download goes to a temporary file, which gets its name once it has passed every check: a killed download leaves
  nothing that could be taken for data, and the next download removes its remains;
- a mirror that sends too slowly, or whatever but the file, is left, so that each try ends;
- processes that need the same files wait for each other, but not for ever, and then find the files of the first;
- every mirror, and every address to which it redirects, must be encrypted.

`pooch` provides the folder of the user's cache, the download and its progress bar.
"""

import ctypes
import os
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urljoin

from tinygrad_sm.arguments import choice
from tinygrad_sm.backend import Array
from tinygrad_sm.datasets.idx import Fault, as_fault, check_labelled, open_idx, read_open_idx
from tinygrad_sm.datasets.images import SCALES, LabelledImages, labelled_images
from tinygrad_sm.errors import DatasetError, package, shown
from tinygrad_sm.locks import lock_within, unlock

FOLDER_VARIABLE = "TINYGRAD_SM_DATA"

PARTIAL = ".partial-"
"""How the name of an unfinished download begins."""

TIMEOUT_SECONDS = 30.0
"""The seconds without a byte after which the next mirror is tried."""

WINDOW_SECONDS = 60.0
"""The seconds over which the rate of a download is measured; connecting and redirections count too."""

LEAST_RATE = 10_000
"""The bytes per second below which the next mirror is tried: n bytes take at most WINDOW_SECONDS + n / LEAST_RATE."""

WAIT_SECONDS = 3600.0
"""The seconds to wait for another process: in an hour the largest file arrives even at LEAST_RATE."""

_SECURE: tuple[str, ...] = ("https://",)  # how an address may begin; the tests add a server of their own


class IdxFile(NamedTuple):
    """An IDX file for download: its name, and its size in bytes and SHA-256 in hexadecimal, as stored and unpacked."""

    name: str
    size: int
    sha256: str
    unpacked_size: int
    unpacked_sha256: str


def data_folder() -> Path:
    """Return the folder of downloaded data: what TINYGRAD_SM_DATA names, or else a place in the user's cache.

    Raises DatasetError if it begins with ~ and the name of a user who has no home.
    """
    override = os.environ.get(FOLDER_VARIABLE)
    if override:
        try:
            return Path(override).expanduser()
        except RuntimeError as error:
            raise DatasetError(
                f"{FOLDER_VARIABLE}: expected the path of a folder, got {shown(override)}, and there is no such home "
                f"({error}): let it name a folder, from / on"
            ) from error
    return Path(_pooch().os_cache("tinygrad_sm"))


def _pooch() -> Any:
    """Import pooch on first use: it imports much, and a browser does not have it."""
    return package("pooch", "to download data")


def idx_images(
    name: str,
    mirrors: Sequence[str],
    images: IdxFile,
    labels: IdxFile,
    classes: tuple[str, ...],
    scale: str | None = "unit",
    statistics: tuple[float, float] | None = None,
) -> LabelledImages:
    """Return the labelled images of two IDX files, from the folder `name` in `data_folder()` or from a mirror.

    name : the name of the set, and of its folder
    mirrors : addresses, https only, to which "/" and the name of a file are added; they are tried in this order
    classes : the name of each label's class
    scale : as for `mnist`: "unit", "center", "standard" or None
    statistics : mean and standard deviation of all pixels of the training set, scaled to 0..1, for "standard"

    Files that are in the folder need no network. Raises ValueError for wrong arguments, and DatasetError if a file is
    not available, or if the files are not images with their labels.
    """
    choice("idx_images", "scale", scale, SCALES)
    if scale == "standard" and statistics is None:
        raise ValueError("scale 'standard' needs statistics=(mean, std) of the training set, got None")
    for mirror in [mirrors] if isinstance(mirrors, str) else mirrors:
        if isinstance(mirrors, str) or not mirror.startswith(_SECURE):
            raise ValueError(f"mirrors must be a list of addresses that begin with https://, got {mirror!r}")

    folder = data_folder() / name
    pixels = fetch_idx(images, 3, folder, mirrors)
    indices = fetch_idx(labels, 1, folder, mirrors)
    try:
        check_labelled(pixels, indices, len(classes))
    except Fault as fault:
        raise DatasetError(f"{shown(str(folder / labels.name))}: {fault}: name files that belong together") from fault
    mean, std = statistics or (0.0, 1.0)
    return labelled_images(pixels, indices, classes, scale, mean, std)


def fetch_idx(file: IdxFile, dimensions: int, folder: Path, mirrors: Sequence[str]) -> Array:
    """Return the data of the file from the folder, or else download it there from the first mirror that has it.

    Raises DatasetError, which lists what was tried, if the file is not available.
    """
    path = folder / file.name
    try:
        return _read_stored(path, file, dimensions)
    except Fault as fault:
        tried = [f"{path}: {fault}"]
    try:
        with _exclusive_access(folder):
            with suppress(Fault):
                return _read_stored(path, file, dimensions)  # another process may have downloaded it meanwhile
            for mirror in mirrors:
                address = f"{mirror.rstrip('/')}/{file.name}"
                try:
                    return _download(address, path, file, dimensions)
                except Exception as error:  # noqa: BLE001  whatever happens at one mirror, the next is tried
                    tried.append(f"{address}: {_reason(error)}")
    except OSError as error:
        tried.append(f"{folder}: {_reason(error)}")
    raise DatasetError(
        f"{shown(file.name)} is not available. Tried, in this order:\n  "
        + "\n  ".join(map(shown, tried))
        + f"\nPut the file, {file.size} bytes with SHA-256 {file.sha256}, at {shown(str(path))} by hand, or let the "
        f"environment variable {FOLDER_VARIABLE} name the folder that holds {shown(f'{folder.name}/{file.name}')}"
    )


def _reason(error: BaseException) -> str:
    """Return the innermost cause of the error in a few words: libraries wrap a refused connection four times."""
    while inner := error.__cause__ or next((part for part in error.args if isinstance(part, Exception)), None):
        error = inner
    return shown(str(error) if isinstance(error, Fault) else f"{type(error).__name__}: {error}", longest=200)


def _read_stored(path: Path, file: IdxFile, dimensions: int) -> Array:
    """Return the data of the file at the path; Fault if it is missing or has other contents."""
    try:
        with open_idx(path) as opened:
            return _read(opened, file, dimensions)
    except (OSError, zlib.error) as error:
        raise as_fault(error) from error


def _read(opened: BufferedReader | BufferedRandom, file: IdxFile, dimensions: int) -> Array:
    return read_open_idx(opened, dimensions, file.unpacked_sha256, file.sha256, largest=file.unpacked_size)


def _download(address: str, path: Path, file: IdxFile, dimensions: int) -> Array:
    """Download the file to `path` and return its data; on any error leave nothing behind."""
    partial = path.with_name(f"{PARTIAL}{os.urandom(8).hex()}")
    try:
        with partial.open("x+b") as opened:
            _receive(address, opened, file.size)
            data = _read(opened, file, dimensions)
            os.fsync(opened.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return data


def _receive(address: str, opened: IO[bytes], size: int) -> None:
    """Download from the address into the file; Fault unless the size fits, in time, and all addresses are encrypted.

    A limit for each wait, as `requests` has it, is none for a server that sends a byte before each ends, or the interim
    answer "100 Continue" again and again. So another thread downloads, and this one watches how much has arrived.
    """
    received = _Bounded(opened, size)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            _transfer(address, received)
        except BaseException as error:  # noqa: BLE001  the watching thread raises it
            errors.append(error)

    worker = threading.Thread(target=work, name=f"download of {address}", daemon=True)
    worker.start()
    try:
        while worker.is_alive():
            before = received.count
            worker.join(WINDOW_SECONDS)
            rate = (received.count - before) / WINDOW_SECONDS
            if worker.is_alive() and rate < LEAST_RATE:
                raise Fault(f"at least {LEAST_RATE} bytes per second", f"{rate:.0f} in {WINDOW_SECONDS:g} seconds")
    finally:
        _end(worker)
    if errors:
        raise errors[0]
    if received.count < size:
        raise Fault(f"{size} bytes", f"{received.count}")


def _end(worker: threading.Thread) -> None:
    """End the thread, if it runs, when its server sends the next byte or the time for that is over; do not wait.

    Python has no other way to end a thread whose loop is in a library: this raises SystemExit in it.
    """
    if worker.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(worker.ident or 0), ctypes.py_object(SystemExit))


def _transfer(address: str, received: "_Bounded") -> None:
    """Download from the address, without a limit of the time, and check each answer."""
    responses: list[Any] = []

    def check(response: Any, **_: Any) -> None:
        """Check each response, redirections included, before anything else reads it."""
        responses.append(response)
        _check_secure(response.url)
        if response.is_redirect:
            _check_secure(urljoin(response.url, response.headers["location"]))
        elif response.status_code != 200:
            raise Fault("status 200", f"{response.status_code} {response.reason}")

    download = _pooch().HTTPDownloader(
        progressbar=True,
        chunk_size=2**14,
        timeout=TIMEOUT_SECONDS,
        hooks={"response": check},
        headers={"Accept-Encoding": "identity"},  # the bytes as stored: servers may take .gz for an encoding
    )
    try:
        download(address, received, None)
    finally:
        for response in responses:
            response.close()


def _check_secure(address: str) -> None:
    if not address.startswith(_SECURE):
        raise Fault("an address that begins with https://", address)


class _Bounded:
    """A file that takes at most `size` bytes: a server may send without end."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file = file
        self.size = size
        self.count = 0

    def write(self, data: bytes) -> None:
        self.count += len(data)
        if self.count > self.size:
            raise Fault(f"{self.size} bytes", "more")
        self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


@contextmanager
def _exclusive_access(folder: Path) -> Iterator[None]:
    """Make the folder, wait until no other process downloads to it, and remove what killed downloads left there.

    Raises OSError if the folder cannot be made, or if another process holds it longer than one waits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        for leftover in folder.glob(f"{PARTIAL}*"):
            with suppress(OSError):
                leftover.unlink()
        yield


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, so that downloads take turns.

    Windows cannot open folders: two downloads at once may fail there, but do no harm, because it removes no open file.
    """
    if not hasattr(os, "O_DIRECTORY"):
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    is_locked = False
    try:
        is_locked = lock_within(descriptor, WAIT_SECONDS)
        yield
    finally:
        try:
            if is_locked:
                unlock(descriptor)
        finally:  # Ctrl-C may come as `unlock` begins, and closing unlocks too
            os.close(descriptor)
