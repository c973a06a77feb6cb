"""Thousands of mutated IDX files, gzip bombs included, give a DatasetError or the true data, in bounded memory."""

import gzip
import hashlib
import io
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import IN_FULL
from tinygrad_sm.datasets.idx import read_idx
from tinygrad_sm.errors import DatasetError

BATCHES = 10
CASES = 2000 if IN_FULL else 200  # in a batch
MOST_MEMORY = 64 * 2**20  # beyond the size of the file

Array = np.ndarray[Any, Any]
Random = np.random.Generator


def idx(shape: tuple[int, ...], data: bytes) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + data


IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
SOUND = idx(IMAGES.shape, IMAGES.tobytes())
PACKED = gzip.compress(SOUND, mtime=0)
SHA256 = hashlib.sha256(SOUND).hexdigest()


def header(random: Random) -> bytes:
    """Return the sound data under a header in which anything may be wrong."""
    sizes = [0, 1, 4, 5, 6, 7, 255, 2**16, 2**20, 2**24, 2**26, 2**31 - 1, 2**31, 2**32 - 1]
    shape = [sizes[random.integers(len(sizes))] if random.random() < 0.4 else n for n in IMAGES.shape]
    if random.random() < 0.2:
        shape = [*shape, 1] if random.random() < 0.5 else shape[:-1]
    content = bytearray(idx(tuple(shape), IMAGES.tobytes()))
    if random.random() < 0.3:
        content[random.integers(4)] = random.integers(256)
    return bytes(content)


def changed(random: Random, content: bytes) -> bytes:
    """Return the content with bytes replaced, cut, repeated, inserted or added."""
    for _ in range(random.integers(1, 4)):
        start, end = sorted(random.integers(0, len(content) + 1, 2).tolist())
        kind = random.integers(6)
        if kind == 0 and content:
            place = start % len(content)
            content = content[:place] + random.bytes(1) + content[place + 1 :]
        elif kind == 1 and content:
            place = start % len(content)
            content = content[:place] + bytes([content[place] ^ 1 << random.integers(8)]) + content[place + 1 :]
        elif kind == 2:
            content = content[:start]
        elif kind == 3:
            content = content[:start] + content[end:]
        elif kind == 4:
            content = content[:end] + content[start:]
        else:
            content = content[:start] + random.bytes(int(random.integers(1, 9))) + content[start:]
    return content


def bomb(random: Random) -> bytes:
    """Return a small gzip stream that unpacks to much, under a header that admits it, or lies."""
    size = int(2 ** random.uniform(20, 27.5))
    told = [(size, 1, 1), (2, size // 2, 1), (1, 1, 16), (2**31, 2**31, 4), (2**20, 2**10, 1)][random.integers(5)]
    return packed_zeros(idx(told, b""), size)


def packed_zeros(start: bytes, size: int) -> bytes:
    """Return the gzip stream of `start` and so many zeros, without having them all in memory."""
    packer, packed, piece = zlib.compressobj(1, wbits=31), io.BytesIO(), bytes(2**20)
    packed.write(packer.compress(start))
    for done in range(0, size, len(piece)):
        packed.write(packer.compress(piece[: size - done]))
    packed.write(packer.flush())
    return packed.getvalue()


def mutated(random: Random) -> bytes:
    kind = random.random()
    if kind < 0.35:
        return header(random)
    if kind < 0.5:
        return gzip.compress(header(random), 1)
    if kind < 0.65:
        return changed(random, SOUND)
    if kind < 0.85:
        return changed(random, PACKED)
    if kind < 0.99:
        return gzip.compress(changed(random, SOUND), 1)
    return bomb(random)


def read_slowly(content: bytes) -> Array:
    """Read a file that was accepted, by Python's own gzip module and without any check."""
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    shape = struct.unpack(">3I", content[4:16])
    return np.frombuffer(content, np.uint8, offset=16).reshape(shape)


def read(path: Path, sha256: str | None) -> tuple[Array | None, int]:
    """Return the array of the file, None if it is refused, and the most memory that was in use on the way."""
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    try:
        array = read_idx(path, 3, sha256)
    except DatasetError:
        array = None
    return array, tracemalloc.get_traced_memory()[1] - before


@pytest.mark.parametrize("batch", range(BATCHES))
def test_a_mutated_file_is_refused_or_gives_what_it_holds_in_bounded_memory(tmp_path: Path, batch: int) -> None:
    random = np.random.default_rng([4, batch])
    path = tmp_path / "file"
    accepted = 0
    tracemalloc.start()
    try:
        for case in range(CASES):
            content = mutated(random)
            path.write_bytes(content)
            sha256 = SHA256 if case % 2 else None
            array, peak = read(path, sha256)
            assert peak < len(content) + MOST_MEMORY, f"{peak} bytes for a file of {len(content)}, case {case}"
            if array is not None:
                expected = IMAGES if sha256 else read_slowly(content)
                np.testing.assert_array_equal(array, expected, strict=True)
                accepted += 1
    finally:
        tracemalloc.stop()
    assert CASES / 100 < accepted < CASES / 2  # the mutations are mutations, but do not all bar the way to later checks


@pytest.mark.parametrize("told", [2**29, 16], ids=["honest", "lying"])
def test_the_largest_bomb_is_refused_in_bounded_memory(tmp_path: Path, told: int) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(packed_zeros(idx((told, 1, 1), b""), 2**29))
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match="at most 50331648 bytes" if told > 16 else "got more"):
            read_idx(path, 3)
        assert tracemalloc.get_traced_memory()[1] < 2 * 2**20
    finally:
        tracemalloc.stop()


def test_what_is_wanted_at_its_full_size_takes_little_more(tmp_path: Path) -> None:
    size = 48 * 2**20
    path = tmp_path / "zeros.gz"
    path.write_bytes(packed_zeros(idx((size, 1, 1), b""), size))
    tracemalloc.start()
    try:
        assert read_idx(path, 3).shape == (size, 1, 1)
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()
