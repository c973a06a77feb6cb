"""The package works where a platform lacks what others have, as a browser does: locks, two packages, a 64-bit int."""

import re
import subprocess
import sys
import textwrap
from importlib import metadata

import numpy as np
import pytest

import tinygrad_sm as tg
from tinygrad_sm.datasets import toys

TRAINING = """
    import sys

    sys.modules.update(dict.fromkeys(["fcntl", "pooch", "safetensors", "resource", "msvcrt"]))  # not to be imported
    import numpy as np
    import tinygrad_sm as tg
    from tinygrad_sm import datasets, nn

    images, labels, _ = datasets.mnist("test")
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    for x, y in datasets.DataLoader((images[:256], labels[:256]), 64):
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(x), y)
        loss.backward()
        optimizer.step()
    assert np.isfinite(loss.item())
    for use in (lambda: nn.save(sys.argv[1], model), lambda: nn.load(sys.argv[1], model), datasets.fashion_mnist):
        try:
            use()
        except ImportError as error:
            print(error.name, error)
    with datasets.download._exclusive_access(datasets.download.Path(sys.argv[1] + ".folder")):
        print("alone")
"""


def test_a_training_needs_neither_locks_nor_pooch_nor_safetensors(tmp_path, monkeypatch):
    monkeypatch.delenv("TINYGRAD_SM_DATA", raising=False)
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(TRAINING), str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    *refusals, alone = done.stdout.splitlines()
    files = "safetensors for files of models the package safetensors is needed, which cannot be imported"
    data = "pooch to download data the package pooch is needed, which cannot be imported"
    assert [line.startswith(start) for line, start in zip(refusals, (files, files, data), strict=True)] == [True] * 3
    assert [line.partition(": pip install ")[2] for line in refusals] == ["safetensors", "safetensors", "pooch"]
    assert alone == "alone"


def test_the_installation_in_a_browser_asks_for_numpy_alone():
    needed = [line for line in metadata.requires("tinygrad_sm") if "extra ==" not in line]
    everywhere = [line for line in needed if "emscripten" not in line]
    assert [re.match(r"\w+", line)[0] for line in everywhere] == ["numpy"]
    assert all(re.search(r"; sys_platform != ['\"]emscripten['\"]$", line) for line in needed if line not in everywhere)


@pytest.fixture
def ints_of_32_bits(monkeypatch):
    """Let NumPy make 32-bit integers of Python's, as it does where addresses have 32 bits."""
    as_array = np.asarray

    def narrow(data, *args, **kwargs):
        array = as_array(data, *args, **kwargs)
        fits = array.dtype == np.int64 and not hasattr(data, "dtype") and not args and not kwargs
        return array.astype(np.int32) if fits and np.all(array == array.astype(np.int32)) else array

    as_range = np.arange

    def narrow_range(*bounds, dtype=None, **kwargs):
        array = as_range(*bounds, dtype=dtype, **kwargs)
        return array.astype(np.int32) if dtype is None and array.dtype == np.int64 else array

    monkeypatch.setattr(np, "asarray", narrow)
    monkeypatch.setattr(np, "arange", narrow_range)


@pytest.mark.parametrize("data", [3, [1, 2], [[1], [2]], [2**40, 1]])
def test_python_ints_are_int64_on_every_platform(data, ints_of_32_bits):
    assert tg.Tensor(data).dtype == np.int64
    assert tg.Tensor(data).tolist() == data
    assert tg.arange(3).dtype == np.int64
    assert tg.Tensor(np.array(data, np.int32 if data != [2**40, 1] else np.int64)).tolist() == data


def test_labels_of_toys_are_int64_on_every_platform(ints_of_32_bits):
    assert toys.cat_chicken_dog(6).labels.dtype == np.int64
    assert toys.spirals(6).labels.dtype == np.int64


def test_the_dtype_of_an_array_of_32_bits_is_kept(ints_of_32_bits):
    assert tg.Tensor(np.array([1, 2], np.int32)).dtype == np.int32
    assert tg.Tensor([np.int32(1), np.int32(2)]).dtype == np.int32
