"""The example of Fashion-MNIST runs on images in its place, asks for accuracy, and says how to get missing files."""

import gzip
import hashlib
import re
import struct

import fashion_mnist
import numpy as np
import pytest

from tests.examples.helpers import check_run
from tinygrad_sm import nn
from tinygrad_sm.datasets import IdxFile, download, fashion, mnist


def put(folder, file, array):
    """Put the array as a gzipped IDX file where that of Fashion-MNIST is looked for; return what names it."""
    plain = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    packed = gzip.compress(plain, compresslevel=1, mtime=0)
    folder.mkdir(exist_ok=True)
    (folder / file.name).write_bytes(packed)
    hashes = hashlib.sha256(packed).hexdigest(), hashlib.sha256(plain).hexdigest()
    return IdxFile(file.name, len(packed), hashes[0], len(plain), hashes[1])


@pytest.fixture
def digits_for_clothes(tmp_path, monkeypatch):
    """Put some of MNIST's images where Fashion-MNIST's are looked for."""
    monkeypatch.setenv("TINYGRAD_SM_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    for split, files in fashion.FILES.items():
        images, labels, _ = mnist(split, scale=None)
        arrays = images[:4000, 0], labels[:4000].astype(np.uint8)
        pair = tuple(put(tmp_path / "data/fashion-mnist", *both) for both in zip(files, arrays, strict=True))
        monkeypatch.setitem(fashion.FILES, split, pair)


def test_fashion_mnist_runs_and_draws(run, folder, digits_for_clothes):
    pictures = ["classes.png", "curves.png", "confusion.png", "mistakes.png"]
    check_run(*run(fashion_mnist, "--epochs", 10), folder, pictures)


def test_fashion_mnist_asks_for_accuracy(run, digits_for_clothes, monkeypatch):
    message = r"softmax regression: expected a test accuracy of at least 82.0 %, got \d+\.\d\d %"
    assert re.fullmatch(message, run(fashion_mnist, "--epochs", 1)[0])
    linear, _ = fashion_mnist.models()["softmax regression"]
    narrow = nn.Sequential(nn.Flatten(), nn.Linear(784, 1), nn.ReLU(), nn.Linear(1, 10))
    monkeypatch.setattr(fashion_mnist, "models", lambda: {"linear": (linear, 50.0), "narrow": (narrow, 0.0)})
    assert re.match("expected the hidden layer to help, got", run(fashion_mnist, "--epochs", 1)[0])


def test_without_files_fashion_mnist_says_how_to_get_them(run, folder, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no network in this test")

    monkeypatch.setenv("TINYGRAD_SM_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(download, "_receive", refuse)
    status, text, errors = run(fashion_mnist)
    assert (status, text) == (3, "")
    assert errors.startswith("Fashion-MNIST is not here, and could not be fetched.\n")
    assert "by hand, or let the environment variable TINYGRAD_SM_DATA name the folder" in errors
    assert not folder.parent.exists()
