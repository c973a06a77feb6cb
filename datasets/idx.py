"""Read files in the IDX format of MNIST, and believe nothing that they say about themselves.

An IDX file of unsigned bytes begins with two zero bytes, the code 8 of its type and its number of dimensions, one
byte each; then come the dimensions as big-endian 32-bit integers, and then the data:

    images = read_idx(Path("train-images-idx3-ubyte.gz"), dimensions=3)     # uint8, shape (60000, 28, 28)

A reader that trusts this header lets sixteen bytes ask for any amount of memory, and one that trusts gzip lets half a
megabyte unpack to half a gigabyte. So nothing is allocated for a promise that the file cannot keep, at most one byte
beyond the promise is unpacked (it shows that a file is too long), and every fault is one DatasetError.
"""

import hashlib
import math
import os
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from tinygrad_sm.backend import Array
from tinygrad_sm.errors import DatasetError

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 0x08

DEFLATE_RATIO = 1032
"""The most bytes to which one byte of a deflate stream can unpack: two bits can stand for a match of 258 bytes."""

LARGEST = 2**30
"""The most bytes of data in one file: a promise that a small file can keep may still be a harmful one."""


class GzipMember:
    """Unpack a gzip file of one member and nothing else, which `gzip.open` would take with more behind it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # 16 stands for gzip's header and checksum

    def read(self, count: int) -> bytearray:
        """Return the next `count` bytes, fewer only at the end; zlib.error if the file is not one whole member."""
        data = bytearray()
        while len(data) < count and not self.inflater.eof:
            packed = self.inflater.unconsumed_tail or self.file.read(2**18)
            data += self.inflater.decompress(packed, count - len(data))
            if not packed and not self.inflater.eof:
                raise zlib.error("the compressed data ends too early")
        if self.inflater.eof and (self.inflater.unused_data or self.file.read(1)):
            raise zlib.error("the file goes on after the end of the compressed data")
        return data


def read_idx(path: Path, dimensions: int, sha256: str | None = None) -> Array:
    """Return the data of an IDX file of unsigned bytes, gzipped or plain: its content tells which, not its name.

    path : the file
    dimensions : the number of dimensions that the file must have, 1 for labels and 3 for images
    sha256 : the SHA-256 in hexadecimal that the unpacked file, header included, must have
    Returns an array of uint8. Raises DatasetError if the file is unreadable or not exactly what it should be.

    >>> read_idx(Path(__file__).parent / "t10k-labels-idx1-ubyte.gz", dimensions=1)[:5]
    array([7, 2, 1, 0, 4], dtype=uint8)
    """
    try:
        with path.open("rb") as file:
            return _read_open_file(file, path, dimensions, sha256)
    except (OSError, zlib.error) as error:
        raise _fault(path, "a file that can be read to its end", str(error)) from error


def _read_open_file(file: IO[bytes], path: Path, dimensions: int, sha256: str | None) -> Array:
    """Read the file from its start; each check stands before the first step that relies on it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    file.seek(0)
    stream = GzipMember(file) if packed else file

    magic = bytes([0, 0, UNSIGNED_BYTE, dimensions])
    header_size = len(magic) + 4 * dimensions
    header = stream.read(header_size)
    if header[: len(magic)] != magic:
        raise _fault(path, f"the bytes {magic.hex(' ')} at the start", header[: len(magic)].hex(" ") or "none")
    if len(header) < header_size:
        raise _fault(path, f"a header of {header_size} bytes", f"{len(header)}")

    shape = struct.unpack_from(f">{dimensions}I", header, len(magic))
    promised = math.prod(shape)  # Python's integers cannot overflow, as NumPy's can
    most = min(LARGEST, size * DEFLATE_RATIO if packed else size - header_size)
    if not 0 < promised <= most:
        raise _fault(path, f"some data, but at most {most} bytes in a file of {size}", f"the shape {shape}")
    data = stream.read(promised + 1)
    if len(data) != promised:
        got = f"{len(data)}" if len(data) < promised else "more"
        raise _fault(path, f"{promised} bytes of data, as its header promises with the shape {shape}", got)

    digest = hashlib.sha256(header)
    digest.update(data)
    if sha256 is not None and digest.hexdigest() != sha256:
        raise _fault(path, f"contents with SHA-256 {sha256}", digest.hexdigest())
    return np.frombuffer(data, np.uint8).reshape(shape).copy()


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
    if len(images) != len(labels):
        raise _fault(labels_path, f"{len(images)} labels, one for each image in {images_path}", f"{len(labels)}")
    bad = np.flatnonzero(labels >= classes)
    if bad.size:
        raise _fault(labels_path, f"labels 0 to {classes - 1}", f"label {labels[bad[0]]} in row {bad[0]}")
    return images, labels


def _fault(path: Path, expected: str, got: str) -> DatasetError:
    """Return the error that says what is wrong with the file and what to do."""
    remedy = "put the right file there, or install tinygrad_sm again if the file came with it"
    return DatasetError(f"{path}: expected {expected}, got {got}: {remedy}")
