"""Fashion-MNIST and any other set of IDX files: what is asked of which mirror, what comes out, and what is refused.

The real files are not here; sets of the same kind stand at hand in a folder. DATASET_FASHION_MNIST may name a folder
with the real ones.
"""

import gzip
import hashlib
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_sm.datasets import DataLoader, IdxFile, LabelledImages, download, fashion, fashion_mnist, idx_images
from tinygrad_sm.errors import DatasetError

Array = np.ndarray[Any, Any]
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
LABELS = np.arange(20, dtype=np.uint8) % 10
REAL = os.environ.get("DATASET_FASHION_MNIST")


def put(folder: Path, name: str, array: Array) -> IdxFile:
    """Put the array as a gzipped IDX file into the folder, and return what names it."""
    plain = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    packed = gzip.compress(plain, mtime=0)
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(packed)
    return IdxFile(name, len(packed), hashlib.sha256(packed).hexdigest(), len(plain), hashlib.sha256(plain).hexdigest())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TINYGRAD_SM_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def at_hand(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a small set where Fashion-MNIST is looked for, in place of the real one."""
    place = folder / "fashion-mnist"
    names = {split: [file.name for file in files] for split, files in fashion.FILES.items()}
    for split, (images, labels) in names.items():
        pair = put(place, images, IMAGES), put(place, labels, LABELS if split == "train" else LABELS[::-1].copy())
        monkeypatch.setitem(fashion.FILES, split, pair)
    return place


def test_fashion_mnist_gives_what_its_files_hold(at_hand: Path) -> None:
    train, test = fashion_mnist(), fashion_mnist("test", scale=None)
    assert isinstance(train, LabelledImages)
    assert train.images.dtype == np.float32
    np.testing.assert_allclose(train.images, IMAGES[:, None] / 255, rtol=1e-6)
    np.testing.assert_array_equal(test.images, IMAGES[:, None], strict=True)
    np.testing.assert_array_equal(train.labels, LABELS.astype(np.int64), strict=True)
    np.testing.assert_array_equal(test.labels, LABELS[::-1].astype(np.int64), strict=True)
    assert len(train.classes) == 10
    assert (train.classes[0], train.classes[9]) == ("T-shirt/top", "Ankle boot")
    assert len(DataLoader(train, 8)) == 3
    for array in (train.images, train.labels, test.images, test.labels):
        assert array.flags.writeable
        assert array.flags.owndata


def test_the_scales_of_fashion_mnist(at_hand: Path) -> None:
    center, standard = fashion_mnist(scale="center"), fashion_mnist(scale="standard")
    np.testing.assert_allclose(center.images, IMAGES[:, None] / 255 - 0.5, atol=1e-6)
    np.testing.assert_allclose(standard.images, (IMAGES[:, None] / 255 - 0.28604) / 0.353024, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "validation"}, "split to be 'train' or 'test', got 'validation'"),
        ({"scale": "zscore"}, "scale to be 'unit', 'center', 'standard' or None, got 'zscore'"),
    ],
)
def test_unknown_options_are_refused(at_hand: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fashion_mnist(**options)


def test_every_mirror_is_asked_for_the_files_of_the_split(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def refuse(address: str, *_: object) -> None:
        asked.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(download, "_receive", refuse)
    with pytest.raises(DatasetError) as caught:
        fashion_mnist("test")
    assert asked == [f"{mirror}/t10k-images-idx3-ubyte.gz" for mirror in fashion.MIRRORS]
    assert len({address.split("/")[2] for address in asked}) == len(asked) >= 3
    assert all(address.startswith("https://") for address in asked)
    assert all(f"{address}: OSError: no network" in str(caught.value) for address in asked)
    assert f"at {folder / 'fashion-mnist' / 't10k-images-idx3-ubyte.gz'} by hand" in str(caught.value)
    assert not list((folder / "fashion-mnist").iterdir())


def test_the_constants_name_eight_different_contents() -> None:
    files = [file for split in fashion.FILES.values() for file in split]
    assert [file.unpacked_size for file in files] == [60000 * 784 + 16, 60000 + 8, 10000 * 784 + 16, 10000 + 8]
    hashes = {sha256 for file in files for sha256 in (file.sha256, file.unpacked_sha256)}
    assert len(hashes) == 8
    assert all(len(sha256) == 64 and int(sha256, 16) for sha256 in hashes)


@pytest.mark.skipif(not REAL, reason="DATASET_FASHION_MNIST names no folder with the real files")
def test_the_real_files(folder: Path) -> None:
    (folder / "fashion-mnist").symlink_to(Path(REAL or "").resolve())
    train, test = fashion_mnist(), fashion_mnist("test")
    assert (train.images.shape, test.images.shape) == ((60000, 1, 28, 28), (10000, 1, 28, 28))
    assert np.bincount(train.labels).tolist() == [6000] * 10
    assert np.bincount(test.labels).tolist() == [1000] * 10
    assert [train.classes[label] for label in train.labels[:3]] == ["Ankle boot", "T-shirt/top", "T-shirt/top"]
    assert abs(train.images.mean(dtype=np.float64) - fashion.TRAIN_MEAN) < 1e-8
    assert abs(train.images.std(dtype=np.float64) - fashion.TRAIN_STD) < 1e-8


def test_any_set_of_idx_files(folder: Path) -> None:
    files = put(folder / "letters", "images", IMAGES[:, :5, :7]), put(folder / "letters", "labels", LABELS % 3)
    mirrors = ["https://example.org/letters"]
    data = idx_images("letters", mirrors, *files, classes=("a", "b", "c"), scale="standard", statistics=(0.5, 0.25))
    assert data.images.shape == (20, 1, 5, 7)
    np.testing.assert_allclose(data.images, (IMAGES[:, None, :5, :7] / 255 - 0.5) / 0.25, atol=1e-5)
    assert data.classes == ("a", "b", "c")

    with pytest.raises(ValueError, match=r"scale 'standard' needs statistics=\(mean, std\)"):
        idx_images("letters", mirrors, *files, classes=("a", "b", "c"), scale="standard")
    with pytest.raises(DatasetError, match="letters/labels: expected labels 0 to 1, got label 2 in row 2"):
        idx_images("letters", mirrors, *files, classes=("a", "b"))
    fewer = put(folder / "letters", "fewer", LABELS[:7])
    with pytest.raises(DatasetError, match="letters/fewer: expected 20 labels, one for each image, got 7"):
        idx_images("letters", mirrors, files[0], fewer, classes=tuple("0123456789"))


@pytest.mark.parametrize("mirror", ["http://example.org", "ftp://example.org", "file:///tmp", "example.org", ""])
def test_a_mirror_without_encryption_is_refused(at_hand: Path, mirror: str) -> None:
    images, labels = fashion.FILES["train"]
    with pytest.raises(ValueError, match=f"mirrors must be .* begin with https://, got '{mirror}'"):
        idx_images("fashion-mnist", ["https://example.org", mirror], images, labels, fashion.CLASSES)


def test_mirrors_are_a_list(at_hand: Path) -> None:
    images, labels = fashion.FILES["train"]
    with pytest.raises(ValueError, match="mirrors must be a list .*, got 'https://example.org'"):
        idx_images("fashion-mnist", "https://example.org", images, labels, fashion.CLASSES)


def test_the_folder_of_the_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TINYGRAD_SM_DATA", str(tmp_path))
    assert download.data_folder() == tmp_path
    monkeypatch.setenv("TINYGRAD_SM_DATA", "~/data")
    assert download.data_folder() == Path.home() / "data"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for unset in (lambda: monkeypatch.setenv("TINYGRAD_SM_DATA", ""), lambda: monkeypatch.delenv("TINYGRAD_SM_DATA")):
        unset()
        assert download.data_folder().name == "tinygrad_sm"
        assert download.data_folder().is_absolute()
