"""The IDX reader gives exactly what is in a sound file, and one DatasetError that names the file for any other."""

import doctest
import gzip
import hashlib
import importlib
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinygrad_sm.datasets.idx import read_idx, read_labelled_images
from tinygrad_sm.errors import DatasetError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
LABELS = np.array([3, 0, 9, 1, 1], np.uint8)


def idx(array: np.ndarray[Any, Any], shape: tuple[int, ...] | None = None, magic: bytes = b"\0\0\x08") -> bytes:
    """Return the array as an IDX file; `shape` and `magic` replace what the header says of it."""
    shape = array.shape if shape is None else shape
    return magic + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + array.tobytes()


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]


SOUND = idx(IMAGES)
PACKED = gzip.compress(SOUND, mtime=0)
# The header's flag 8 announces a file name; this one is so long that the reader's first read ends where the file ends.
LONG_PACKED = PACKED[:3] + b"\x08" + PACKED[4:10] + b"n" * (2**18 - len(PACKED) - 1) + b"\0" + PACKED[10:]


@pytest.mark.parametrize("content", [SOUND, PACKED, LONG_PACKED], ids=["plain", "gzip", "gzip with a name"])
def test_a_sound_file_gives_its_array(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(content)
    array = read_idx(path, 3, hashlib.sha256(SOUND).hexdigest())
    assert array.dtype == np.uint8
    assert array.flags.writeable
    np.testing.assert_array_equal(array, IMAGES)


FAULTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the start, got none"),
    "text": (b"<html>404 Not Found</html>", "got 3c 68 74 6d"),
    "wrong magic": (idx(IMAGES, magic=b"\0\1\x08"), "got 00 01 08 03"),
    "wrong type: float": (idx(IMAGES, magic=b"\0\0\x0d"), "got 00 00 0d 03"),
    "one dimension": (idx(LABELS), "got 00 00 08 01"),
    "four dimensions": (idx(IMAGES[None]), "got 00 00 08 04"),
    "header cut in the magic": (SOUND[:3], "got 00 00 08"),
    "header cut in the dimensions": (SOUND[:15], "16 bytes, got 15"),
    "header alone": (SOUND[:16], "at most"),
    "a dimension of zero": (idx(IMAGES[:0]), "some data"),
    "one more image promised": (idx(IMAGES, (6, 4, 3)), "at most"),
    "one image fewer promised": (idx(IMAGES, (4, 4, 3)), "48 bytes of data"),
    "each dimension 2**31": (idx(IMAGES, (2**31,) * 3), "at most"),
    "each dimension 0xffffffff": (idx(IMAGES, (2**32 - 1,) * 3), "at most"),
    "a product that is 0 in 64 bits": (idx(IMAGES, (2**31, 2**31, 4)), "at most"),
    "a product that is 60 in 64 bits": (idx(IMAGES, (105904369, 12956191, 13444)), "at most"),
    "one byte missing": (SOUND[:-1], "at most"),
    "one byte too many": (SOUND + b"\0", "60 bytes of data"),
    "gzip of one byte missing": (gzip.compress(SOUND[:-1]), "60 bytes of data, as its header promises"),
    "gzip of one byte too many": (gzip.compress(SOUND + b"\0"), "got more"),
    "gzip of a header cut short": (gzip.compress(SOUND[:15]), "16 bytes, got 15"),
    "gzip of nothing": (gzip.compress(b""), "the start, got none"),
    "gzip that promises what it cannot hold": (gzip.compress(idx(IMAGES, (1000, 1000, 28))), "at most"),
    "gzip magic alone": (b"\x1f\x8b", "ends too early"),
    "gzip truncated in its trailer": (PACKED[:-1], "ends too early"),
    "gzip truncated in its data": (PACKED[:40], "ends too early"),
    "gzip with a corrupt stream": (PACKED[:10] + b"\xff" + PACKED[11:], "invalid block type"),
    "gzip with a wrong checksum": (flipped(PACKED, len(PACKED) - 8), "incorrect data check"),
    "gzip with a wrong length": (flipped(PACKED, len(PACKED) - 4), "incorrect length check"),
    "gzip and garbage": (PACKED + b"garbage", "goes on after the end"),
    "gzip and padding": (PACKED + b"\0", "goes on after the end"),
    "gzip that fills a read, and garbage": (LONG_PACKED + b"garbage", "goes on after the end"),
    "gzip and an empty member": (PACKED + gzip.compress(b""), "goes on after the end"),
    "gzip in two members": (gzip.compress(SOUND[:30]) + gzip.compress(SOUND[30:]), "goes on after the end"),
    "a byte changed": (flipped(SOUND, 40), "SHA-256"),
    "a byte changed, then packed": (gzip.compress(flipped(SOUND, 40)), "SHA-256"),
    "images turned on their side": (idx(IMAGES, (5, 3, 4)), "SHA-256"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_refused(tmp_path: Path, fault: str) -> None:
    content, message = FAULTS[fault]
    path = tmp_path / "images.bin"
    path.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        read_idx(path, 3, hashlib.sha256(SOUND).hexdigest())
    assert message in str(caught.value)
    assert_model_message(caught.value, path)


def assert_model_message(error: DatasetError, path: Path) -> None:
    """Assert that the message names the file, what was expected, what came and what to do, each once."""
    for part in (f"{path}: expected ", ", got ", "install tinygrad_sm again"):
        assert str(error).count(part) == 1, str(error)


@pytest.mark.parametrize("name", ["missing", "."])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError) as caught:
        read_idx(tmp_path / name, 1)
    assert isinstance(caught.value.__cause__, OSError)
    assert_model_message(caught.value, tmp_path / name)


def test_low_level_errors_are_the_cause(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(PACKED[:-1])
    with pytest.raises(DatasetError) as caught:
        read_idx(path, 3)
    assert isinstance(caught.value.__cause__, zlib.error)


def refused_within(path: Path, message: str, mebibytes: float) -> None:
    """Assert that the file of labels is refused and that little memory was allocated on the way."""
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match=message):
            read_idx(path, 1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < mebibytes * 2**20


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(gzip.compress(idx(np.zeros(2**27, np.uint8), shape=(1000,))))
    refused_within(bomb, "got more", mebibytes=2)


@pytest.mark.parametrize(
    ("start", "message"),
    [(idx(LABELS), "got more"), (gzip.compress(idx(LABELS)), "goes on")],
    ids=["plain", "gzip"],
)
def test_a_file_that_is_far_too_long_is_not_read(tmp_path: Path, start: bytes, message: str) -> None:
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(2**25)
    refused_within(path, message, mebibytes=2)


def test_an_honest_promise_can_be_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinygrad_sm.datasets.idx.MAX_DATA_BYTES", 4)
    path = tmp_path / "large"
    path.write_bytes(idx(LABELS))
    refused_within(path, "at most 4 bytes", mebibytes=2)


@pytest.mark.parametrize("unread", [np.zeros(2**24, np.uint8), np.zeros(0, np.uint8)])
def test_nothing_is_allocated_for_a_lie(tmp_path: Path, unread: np.ndarray[Any, Any]) -> None:
    path = tmp_path / "lie.gz"
    path.write_bytes(gzip.compress(idx(unread, shape=(2**30,))))
    refused_within(path, "at most", mebibytes=2)


def write_pair(folder: Path, images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> tuple[Path, Path]:
    (folder / "images").write_bytes(idx(images))
    (folder / "labels").write_bytes(idx(labels))
    return folder / "images", folder / "labels"


def test_images_and_labels_are_read_together(tmp_path: Path) -> None:
    images, labels = read_labelled_images(*write_pair(tmp_path, IMAGES, LABELS))
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([3, 0, 10, 1, 255], np.uint8), "expected labels 0 to 9, got label 10 in row 2"),
        (LABELS[:4], "expected 5 labels, one for each image, got 4"),
    ],
    ids=["label 10", "a label missing"],
)
def test_labels_that_do_not_fit_are_refused(tmp_path: Path, labels: np.ndarray[Any, Any], message: str) -> None:
    paths = write_pair(tmp_path, IMAGES, labels)
    with pytest.raises(DatasetError, match=message) as caught:
        read_labelled_images(*paths)
    assert_model_message(caught.value, paths[1])


def test_each_file_is_held_to_its_own_sha256(tmp_path: Path) -> None:
    paths = write_pair(tmp_path, IMAGES, LABELS)
    of_images, of_labels = (hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    read_labelled_images(*paths, of_images, of_labels)
    for path, sha256 in zip(paths, (of_labels, of_images), strict=True):
        with pytest.raises(DatasetError, match="SHA-256") as caught:
            read_labelled_images(*paths, sha256, sha256)
        assert str(caught.value).startswith(str(path))


def read_outcome(path: Path, content: bytes) -> np.ndarray[Any, Any] | None:
    """Return the array of a file with this content, None where it is refused; any other error passes."""
    path.write_bytes(content)
    try:
        return read_idx(path, 3)
    except DatasetError:
        return None


def described_by_header(content: bytes) -> np.ndarray[Any, Any]:
    """Read an IDX file in the slow, obvious way."""
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in (4, 8, 12))
    return np.array(list(content[16:]), np.uint8).reshape(shape)


mutations = st.lists(st.tuples(st.integers(0, len(PACKED) + 20), st.integers(0, 255)), min_size=1, max_size=3)
fuzzing = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def mutated(content: bytes, changes: list[tuple[int, int]]) -> bytes:
    result = bytearray(content)
    for position, value in changes:
        result[position % len(result)] = value
    return bytes(result)


@fuzzing
@given(changes=mutations)
def test_a_mutated_file_gives_what_it_says_or_is_refused(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    content = mutated(SOUND, changes)
    array = read_outcome(tmp_path / "mutated", content)
    if array is None:
        assert content[:16] != SOUND[:16]  # changed data are as good as any others, without a SHA-256
    else:
        np.testing.assert_array_equal(array, described_by_header(content), strict=True)


@fuzzing
@given(changes=mutations)
def test_a_mutated_gzip_file_gives_the_original_or_is_refused(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    array = read_outcome(tmp_path / "mutated.gz", mutated(PACKED, changes))
    if array is not None:
        np.testing.assert_array_equal(array, IMAGES, strict=True)


@fuzzing
@given(header=st.binary(max_size=20), pack=st.booleans())
def test_any_bytes_are_refused_or_read(tmp_path: Path, header: bytes, pack: bool) -> None:
    content = b"\0\0\x08\x03" + header
    array = read_outcome(tmp_path / "random", gzip.compress(content) if pack else content)
    if array is not None:
        np.testing.assert_array_equal(array, described_by_header(content), strict=True)


@fuzzing
@given(end=st.integers(0, max(len(SOUND), len(PACKED)) - 1))
def test_every_beginning_of_a_file_is_refused(tmp_path: Path, end: int) -> None:
    for content in (SOUND, PACKED):
        assert end >= len(content) or read_outcome(tmp_path / "beginning", content[:end]) is None


def test_the_example_in_the_documentation() -> None:
    results = doctest.testmod(importlib.import_module("tinygrad_sm.datasets.idx"))
    assert results.attempted
    assert not results.failed
