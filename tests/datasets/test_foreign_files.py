"""What is no data file is refused before it is read, and the message escapes its name."""

import gzip
import hashlib
import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.test_download import FILE, NAMES
from tinygrad_sm.datasets import fashion_mnist, idx_images
from tinygrad_sm.datasets.download import data_folder
from tinygrad_sm.datasets.idx import MAX_DATA_BYTES, read_idx
from tinygrad_sm.errors import DatasetError

posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes and devices, as POSIX has them")


def placed(kind: str, folder: Path) -> Path:
    """Return a path at which there is a pipe, or the device itself."""
    if kind != "pipe":
        return Path(kind)
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


@posix
@pytest.mark.parametrize("sha256", [None, "0" * 64])
@pytest.mark.parametrize("kind", ["pipe", "/dev/zero", "/dev/null"])
def test_a_pipe_or_a_device_is_refused_at_once(kind: str, sha256: str | None, tmp_path: Path) -> None:
    path = placed(kind, tmp_path)
    with pytest.raises(DatasetError, match=f"{path}: expected a file, got a pipe or a device"):
        read_idx(path, 3, packed_sha256=sha256)


@pytest.mark.parametrize("largest", [None, 1000])
def test_the_size_is_looked_at_before_the_hash_is_computed(largest: int | None, tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 2**38)  # to hash it would take minutes
    most = MAX_DATA_BYTES + MAX_DATA_BYTES // 1000 + 2**16 if largest is None else 1001 + 2**16
    start = time.monotonic()
    with pytest.raises(DatasetError, match=f"expected a file of at most {most} bytes, .*, got {2**38}: "):
        read_idx(path, 3, packed_sha256="0" * 64, largest=largest)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("level", [0, 9, None])
def test_data_of_the_largest_size_are_read_even_if_they_cannot_be_compressed(level: int | None, tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 256, (100, 100, 100), np.uint8)
    content = bytes([0, 0, 8, 3]) + struct.pack(">3I", *data.shape) + data.tobytes()
    packed = content if level is None else gzip.compress(content, level)
    path = tmp_path / "data"
    path.write_bytes(packed)
    sha256 = hashlib.sha256(packed).hexdigest()
    np.testing.assert_array_equal(read_idx(path, 3, packed_sha256=sha256, largest=data.size), data)


ODD = "a\n\x1b[2J\udcff\u202e"
SHOWN = r"a\n\x1b[2J\udcff\u202e"


def test_the_name_of_a_file_is_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetError) as raised:
        read_idx(tmp_path / ODD, 3)
    assert str(raised.value).startswith(f"{tmp_path}/{SHOWN}: expected")
    monkeypatch.setenv("TINYGRAD_SM_DATA", str(tmp_path / ODD))
    with pytest.raises(DatasetError) as raised:
        idx_images(ODD, [], FILE[NAMES[0]]._replace(name=ODD), FILE[NAMES[1]], ("a",))
    lines = str(raised.value).splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    assert f"{tmp_path}/{SHOWN}/{SHOWN}/{SHOWN}" in lines[1]


@pytest.mark.parametrize("folder", ["~no-such-user/x", "~no\x1b[2J"])
def test_a_folder_in_the_home_of_nobody_is_a_data_set_error(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_SM_DATA", folder)
    for call in (data_folder, fashion_mnist):
        with pytest.raises(DatasetError) as raised:
            call()
        assert str(raised.value).startswith("TINYGRAD_SM_DATA: expected the path of a folder, got ~no")
        assert str(raised.value).isprintable()


def test_a_home_in_which_nobody_can_write_is_a_data_set_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").touch()  # a file: not even the superuser can make a folder in it
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TINYGRAD_SM_DATA", "~/x")
    with pytest.raises(DatasetError, match="NotADirectoryError"):
        idx_images("set", [], FILE[NAMES[0]], FILE[NAMES[1]], ("a",))
