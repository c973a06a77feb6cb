"""Read files in the IDX format of MNIST, and believe nothing that they say about themselves.

An IDX file of unsigned bytes begins with two zero bytes, the code 8 of its type and its number of dimensions, one
byte each; then come the dimensions as big-endian 32-bit integers, and then the data:

    images = read_idx(Path("train-images-idx3-ubyte.gz"), dimensions=3)     # uint8, shape (60000, 28, 28)

A reader that trusts this header lets sixteen bytes ask for any amount of memory. One that trusts gzip lets half a
megabyte unpack to half a gigabyte. So this reader allocates nothing for a size that the file cannot hold. It unpacks at
most one byte beyond the promised size, which shows that a file is too long. Every fault is one DatasetError.
"""

import hashlib
import math
import os
import struct
import zlib
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import IO

import numpy as np

from tinygrad_sm.backend import Array
from tinygrad_sm.errors import DatasetError, shown
from tinygrad_sm.locks import open_file

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 0x08

DEFLATE_RATIO = 1032
"""The most bytes to which one byte of a deflate stream can unpack: two bits can stand for a match of 258 bytes."""

MAX_DATA_BYTES = 48 * 2**20
"""The most bytes of data that are read by default: MNIST has 45 MiB, and the header of a gzip bomb may be true."""

OTHER_BYTES = 2**16
"""The most bytes in a file beside its data, compressed or not, that are more than a thousandth of them."""

CHUNK_BYTES = 2**20
"""The number of bytes that are unpacked at a time."""


class Fault(ValueError):
    """What a file should hold and what it holds instead. `read_idx` adds which file it is and what to do."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"expected {expected}, got {got}")


class GzipMember:
    """Unpack a gzip file of one member, and refuse anything behind it, which `gzip.open` would accept."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # 16 stands for gzip's header and checksum

    def read(self, count: int) -> bytearray:
        """Return the next `count` bytes, fewer only at the end; zlib.error if the file is not one whole member."""
        data = bytearray()
        while len(data) < count and not self.inflater.eof:
            packed = self.inflater.unconsumed_tail or self.file.read(2**18)
            data += self.inflater.decompress(packed, min(count - len(data), CHUNK_BYTES))
            if not packed and not self.inflater.eof:
                raise zlib.error("the compressed data ends too early")
        if self.inflater.eof and (self.inflater.unused_data or self.file.read(1)):
            raise zlib.error("the file goes on after the end of the compressed data")
        return data


def read_idx(
    path: Path,
    dimensions: int,
    sha256: str | None = None,
    packed_sha256: str | None = None,
    largest: int | None = None,
) -> Array:
    """Return the data of an IDX file of unsigned bytes, gzipped or plain: its content tells which, not its name.

    path : the file
    dimensions : the number of dimensions that the file must have, 1 for labels and 3 for images
    sha256 : the SHA-256 in hexadecimal that the unpacked file, header included, must have
    packed_sha256 : the SHA-256 that the file must have as it is stored
    largest : the most bytes of data to take, None for MAX_DATA_BYTES
    Returns an array of uint8. Raises DatasetError if the file is unreadable or not exactly what it should be.

    >>> read_idx(Path(__file__).parent / "t10k-labels-idx1-ubyte.gz", dimensions=1)[:5]
    array([7, 2, 1, 0, 4], dtype=uint8)
    """
    try:
        with open_idx(path) as file:
            return read_open_idx(file, dimensions, sha256, packed_sha256, largest)
    except (OSError, zlib.error, Fault) as error:
        raise _dataset_error(path, as_fault(error)) from error


def open_idx(path: Path) -> BufferedReader:
    """Open the file to read it; OSError if that is impossible, Fault if it is none."""
    try:
        return open_file(path)
    except ValueError as error:  # so too for a name that no file can have
        raise Fault("a file", shown(str(error), 200)) from error


def read_open_idx(
    file: BufferedReader | BufferedRandom,
    dimensions: int,
    sha256: str | None,
    packed_sha256: str | None,
    largest: int | None,
) -> Array:
    """Read the file from its start; each check stands before the first step that relies on it.

    Raises Fault, OSError or zlib.error; else as `read_idx`.
    """
    largest = MAX_DATA_BYTES if largest is None else largest
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    # A header has a few bytes for each dimension; deflate adds 5 bytes to each 16 kB, and gzip a name of any length.
    most = largest + largest // 1000 + OTHER_BYTES
    if size > most:
        raise Fault(f"a file of at most {most} bytes, for {largest} bytes of data", f"{size}")
    if packed_sha256 is not None:
        _check_sha256("", hashlib.file_digest(file, "sha256").hexdigest(), packed_sha256)
        file.seek(0)
    packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    file.seek(0)
    stream = GzipMember(file) if packed else file

    magic = bytes([0, 0, UNSIGNED_BYTE, dimensions])
    header_size = len(magic) + 4 * dimensions
    header = stream.read(header_size)
    if header[: len(magic)] != magic:
        raise Fault(f"the bytes {magic.hex(' ')} at the start", header[: len(magic)].hex(" ") or "none")
    if len(header) < header_size:
        raise Fault(f"a header of {header_size} bytes", f"{len(header)}")

    shape = struct.unpack_from(f">{dimensions}I", header, len(magic))
    promised = math.prod(shape)  # Python's integers cannot overflow, as NumPy's can
    most = min(largest, size * DEFLATE_RATIO if packed else size - header_size)
    if not 0 < promised <= most:
        raise Fault(f"some data, but at most {most} bytes in a file of {size}", f"the shape {shape}")
    data = stream.read(promised + 1)
    if len(data) != promised:
        got = f"{len(data)}" if len(data) < promised else "more"
        raise Fault(f"{promised} bytes of data, as its header promises with the shape {shape}", got)

    if sha256 is not None:
        digest = hashlib.sha256(header)
        digest.update(data)
        _check_sha256("contents with ", digest.hexdigest(), sha256)
    return np.frombuffer(bytearray(data) if isinstance(data, bytes) else data, np.uint8).reshape(shape)


def read_labelled_images(
    images_path: Path,
    labels_path: Path,
    images_sha256: str | None = None,
    labels_sha256: str | None = None,
    classes: int = 10,
) -> tuple[Array, Array]:
    """Return the images, uint8 of shape (N, H, W), and their labels, uint8 of shape (N,), from two IDX files.

    Raises DatasetError as `read_idx` does, and if the counts differ or a label is outside 0..classes-1.
    """
    images = read_idx(images_path, 3, images_sha256)
    labels = read_idx(labels_path, 1, labels_sha256)
    try:
        check_labelled(images, labels, classes)
    except Fault as fault:
        raise _dataset_error(labels_path, fault) from fault
    return images, labels


def check_labelled(images: Array, labels: Array, classes: int) -> None:
    """Raise Fault unless there is one label for each image, and each is in 0..classes-1."""
    if len(images) != len(labels):
        raise Fault(f"{len(images)} labels, one for each image", f"{len(labels)}")
    bad = np.flatnonzero(labels >= classes)
    if bad.size:
        raise Fault(f"labels 0 to {classes - 1}", f"label {labels[bad[0]]} in row {bad[0]}")


def as_fault(error: Exception) -> Fault:
    """Return the error as a Fault of a file."""
    if isinstance(error, Fault):
        return error
    return Fault("a file that can be read to its end", getattr(error, "strerror", None) or str(error))


def _check_sha256(what: str, got: str, expected: str) -> None:
    if got != expected:
        raise Fault(f"{what}SHA-256 {expected}", got)


def _dataset_error(path: Path, fault: Fault) -> DatasetError:
    """Return the error that says what is wrong with which file and what to do."""
    return DatasetError(
        f"{shown(str(path))}: {fault}: put the right file there, or install tinygrad_sm again if the file came with it"
    )
