"""What somebody else made is refused at a cost that fits the model, and in a message that is short and one can read."""

import itertools
import json
import os
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tinygrad_sm import CheckpointError, nn
from tinygrad_sm.errors import shown
from tinygrad_sm.nn import checkpoint
from tinygrad_sm.nn.checkpoint import _STRING_OR_BRACE


def file_of(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def scalar(i):
    return {"dtype": "F32", "shape": [], "data_offsets": [i, i + 4]}


def scalars(names):
    """Return a file with a tensor of four bytes for each name."""
    spans = itertools.count(0, 4)
    entries = {name: scalar(i) for name, i in zip(names, spans, strict=False)}
    return file_of(entries, bytes(4 * len(entries)))


def refusal(content, tmp_path, model=None):
    """Return the message with which the content is refused, after a check that it is short and has no control codes."""
    path = tmp_path / "c"
    path.write_bytes(content)
    model = model or nn.Linear(3, 2)
    before = model.state_dict()
    with pytest.raises(CheckpointError) as raised:
        nn.load(path, model)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    message = str(raised.value)
    assert len(message) < 8000
    assert all(line.isprintable() for line in message.split("\n"))
    return message.removeprefix(f"{path}:").strip()


def test_many_tensors_are_refused_before_they_are_read(tmp_path):
    content = scalars(map(str, range(50_000)))
    tracemalloc.start()
    start = time.process_time()
    message = refusal(content, tmp_path)
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert message.endswith("it has more than 10020 tensors, the most that are expected with this model")
    assert peak < 3 * len(content)
    assert seconds < 1


@pytest.mark.parametrize("metadata", [{}, {"__metadata__": {"{": '"{' * 20_000}}], ids=["none", "braces"])
def test_as_many_tensors_as_the_limit_are_read_and_one_more_is_refused(metadata, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "_most_tensors", lambda model: 30)
    for count in (29, 30, 31, 32):
        entries = {f"{i}{{": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(count)}
        message = refusal(file_of({**metadata, **entries}), tmp_path)
        most = 30 if metadata else 31  # metadata are always counted, because ours are always there
        assert ("more than 30 tensors" in message) == (count > most)


@pytest.mark.parametrize(
    ("text", "braces"),
    [('{"{": "{"}', 1), (r'{"\"{": {}, "\\": {"a":"\\\"{"}}', 3), ('{"a": "{{{', 1), ('{"a": "{\\', 1), ('{"a"b{', 2)],
)
def test_braces_are_counted_outside_of_strings(text, braces):
    assert sum(1 for match in _STRING_OR_BRACE.finditer(text.encode()) if match[1]) == braces


@pytest.mark.parametrize("part", [b'"', b'\\"', b"\\", b'"\\', b'a\\"'])
def test_a_header_that_is_all_quotes_takes_linear_time(part):
    start = time.process_time()
    assert not any(match[1] for match in _STRING_OR_BRACE.finditer(b'"' + part * 1_000_000))
    assert time.process_time() - start < 5


def test_what_load_does_not_take_is_not_saved(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="save: expected at most 10020 arrays with this model, .*, got 10021: .*stack"):
        nn.save(tmp_path / "c", nn.Linear(3, 2), many=[np.float32(0)] * 10_019)
    nn.save(tmp_path / "c", nn.Linear(3, 2), many=[np.float32(0)] * 10_018)
    assert len(nn.load(tmp_path / "c", nn.Linear(3, 2))["many"]) == 10_018
    before = (tmp_path / "c").read_bytes()
    monkeypatch.setattr(checkpoint, "_MAX_HEADER", 1000)
    with pytest.raises(ValueError, match="save: expected .* at most 1000 bytes, .*, got [0-9]+: .*as arrays"):
        nn.save(tmp_path / "c", nn.Linear(3, 2), text="x" * 1000)
    assert (tmp_path / "c").read_bytes() == before


def test_a_message_lists_a_few_differences_the_last_and_their_number(tmp_path):
    lines = refusal(scalars(map(str, range(5000))), tmp_path).splitlines()
    assert len(lines) == 22
    assert lines[-2] == "  ... and 4982 more, 5002 in all"
    assert "missing" in lines[1]
    lines = refusal(scalars(map(str, range(18))), tmp_path).splitlines()
    assert len(lines) == 21
    assert not any("more" in line for line in lines)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "\x9b2J", "\u202eabc", "x" * 10**6, "\udcff", "\0", "é\u2028"])
def test_names_of_tensors_are_escaped_and_cut(name, tmp_path):
    """`refusal` checks the message."""
    if name != "\udcff":  # which is no UTF-8
        assert shown(name, 200)[:10] in refusal(scalars([name]), tmp_path)
        entry = {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}
        assert "BF16" in refusal(file_of({name: entry}, bytes(2)), tmp_path)
        assert "invalid offset" in refusal(file_of({name: {**entry, "data_offsets": [2, 4]}}, bytes(2)), tmp_path)
    text = json.dumps({"version": name, "extra": {name: 1}})
    for changed in (text, text[:-2], json.dumps({"version": 1, "extra": {name: 1}})):
        metadata = {"tinygrad_sm": changed, "sha256": checkpoint._checksum({}, changed)}
        refusal(safetensors.numpy.save({}, metadata), tmp_path)


def test_the_name_of_a_file_is_escaped(tmp_path):
    path = tmp_path / "a\n\x1b[2J\udcff"
    path.write_bytes(b"nothing")
    with pytest.raises(CheckpointError) as raised:
        nn.load(path, nn.Linear(3, 2))
    assert str(raised.value).startswith(f"{tmp_path}/a\\n\\x1b[2J\\udcff: expected a safetensors file")
    nn.save(path, nn.Linear(4, 2))
    with pytest.raises(CheckpointError) as raised:
        nn.load(path, nn.Linear(3, 2))
    assert str(raised.value).startswith(f"{tmp_path}/a\\n\\x1b[2J\\udcff:\n")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes and devices, as POSIX has them")
@pytest.mark.parametrize("device", ["pipe", "/dev/zero", "/dev/null", "/dev/urandom"])
def test_a_pipe_or_a_device_is_refused_at_once(device, tmp_path):
    path = Path(device)
    if device == "pipe":
        path = tmp_path / "pipe"
        os.mkfifo(path)
    with pytest.raises(CheckpointError, match=f"{path}: expected a safetensors file, but a pipe or a device is"):
        nn.load(path, nn.Linear(3, 2))


def sparse(path, start, size):
    path.write_bytes(start)
    os.truncate(path, size)
    if os.stat(path).st_blocks * 512 >= size:
        pytest.skip("the file system has no sparse files")


@pytest.mark.parametrize("power", [10, 30, 40])
def test_a_sparse_file_is_refused_before_it_is_read(power, tmp_path):
    """A header of zeros, and one that promises as much as the size, which is more than any memory."""
    size = 2**power
    for shape in ([], [size // 4 - 32]):
        entry = {"dtype": "F32", "shape": shape, "data_offsets": [0, size - 128]}
        text = json.dumps({"w": entry}).encode().ljust(120)
        sparse(tmp_path / "c", file_of(text) if shape else bytes(8), size)
        tracemalloc.start()
        with pytest.raises(CheckpointError) as raised:
            nn.load(tmp_path / "c", nn.Linear(3, 2))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**20
        if not shape:
            assert f"of 0 bytes, is not in its {size} bytes" in str(raised.value)
        elif size > 2**26:
            assert f"of its {size} bytes only " in str(raised.value)
            assert f"with this model at most {2**26 + 10 * 32} may be absent" in str(raised.value)


def test_a_file_that_its_file_system_stores_without_zeros_is_loaded(tmp_path):
    """As a file system that compresses does."""
    path, model = tmp_path / "c", nn.Linear(1000, 2000)
    for parameter in model.parameters():
        parameter.assign(np.zeros(parameter.shape, np.float32))
    nn.save(path, model, zeros=np.zeros(2**24, np.float32))  # 72 MB
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    sparse(path, content[:end], len(content))
    assert nn.load(path, nn.Linear(1000, 2000)).keys() == {"zeros"}


@pytest.mark.parametrize("promised", [0, 1, 10**8 + 1, 2**63, 2**64 - 1])
def test_a_header_that_cannot_be_is_refused(promised, tmp_path):
    message = refusal(promised.to_bytes(8, "little") + b"{}" * 8, tmp_path)
    assert message.endswith(f"its first 8 bytes promise, of {promised} bytes, is not in its 24 bytes")
    assert "0 bytes, is not in its 0 bytes" in refusal(b"", tmp_path)


class PanicException(BaseException):
    """As pyo3_runtime.PanicException: Rust raises it where it finds a mistake of its own, and it is no Exception."""


@pytest.mark.parametrize("error", [PanicException, KeyboardInterrupt, SystemExit])
def test_a_panic_of_safetensors_is_a_checkpoint_error(error, tmp_path, monkeypatch):
    def panic(content):
        raise error("index out of bounds\x1b[2J")

    nn.save(tmp_path / "c", nn.Linear(3, 2))
    monkeypatch.setattr(safetensors.numpy, "load", panic)
    expected = CheckpointError if error is PanicException else error
    with pytest.raises(expected, match="out of bounds") as raised:
        nn.load(tmp_path / "c", nn.Linear(3, 2))
    if error is PanicException:
        message = r"c: safetensors cannot read the file: index out of bounds\x1b[2J"
        assert str(raised.value).endswith(message)
