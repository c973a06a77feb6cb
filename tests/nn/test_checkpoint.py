"""What is saved comes back, bit for bit, to us and to PyTorch; what does not fit or is damaged changes nothing."""

import enum
import errno
import json
import os
import random
import re
import resource
import subprocess
import sys
from contextlib import suppress

import hypothesis.strategies as st
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings

import tinygrad_sm as tg
from tests.helpers import IN_FULL
from tests.nn.stress import ENVIRONMENT, exactly, flipped, mutated, small_checkpoint
from tinygrad_sm import CheckpointError, nn
from tinygrad_sm.nn import checkpoint
from tinygrad_sm.random import random_generator

EVERY_DTYPE = [bool, np.complex64, *np.typecodes["Float"][:3], *"bhiqBHIQ"]


class Holder(nn.Module):
    """Holds the arrays it is given as buffers, as they are."""

    def __init__(self, **arrays):
        for name, array in arrays.items():
            setattr(self, name, nn.Buffer(array))


def trained(inputs=3, steps=2, outputs=2):
    """Return a Linear and the optimizer that has trained it, with momentum."""
    model = nn.Linear(inputs, outputs)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    train(model, optimizer, steps)
    return model, optimizer


def train(model, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        model(tg.randn(5, model.weight.shape[1])).sum().backward()
        optimizer.step()


def state(model, optimizer):
    return exactly([model.state_dict(), optimizer.state_dict(), random_generator().bit_generator.state])


@pytest.mark.parametrize("dtype", EVERY_DTYPE)
def test_arrays_come_back_whatever_their_dtype_and_layout(dtype, tmp_path):
    values = (np.arange(24) % 7).reshape(4, 6).astype(dtype)
    arrays = {
        "plain": values,
        "transposed": values.T,
        "strided": values[::2, ::-3],
        "fortran": np.asfortranarray(values),
        "broadcast": np.broadcast_to(values[0], (3, 6)),
        "scalar": np.array(values[1, 1]),
        "empty": values[:0],
        "big_endian": values.astype(values.dtype.newbyteorder(">")),
    }
    path = tmp_path / "arrays.safetensors"
    nn.save(path, Holder(**{name: np.array(array) for name, array in arrays.items()}), **arrays)
    loaded = Holder(**{name: np.zeros(array.shape, dtype) for name, array in arrays.items()})
    extra = nn.load(path, loaded)
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(loaded, name).data, array, strict=name != "big_endian")
        np.testing.assert_array_equal(extra[name], array)
        assert extra[name].shape == array.shape
        assert extra[name].dtype == values.dtype
        assert extra[name].flags.writeable
        assert extra[name].flags.owndata


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
ARRAYS = st.sampled_from([np.arange(3), np.float32(1.5) * np.eye(2, dtype=np.float32), np.array(2.0), np.float64(0.1)])
NESTED = st.recursive(
    PLAIN | ARRAYS,
    lambda inside: (
        st.lists(inside) | st.lists(inside).map(tuple) | st.dictionaries(st.text() | st.integers(), inside, max_size=4)
    ),
    max_leaves=12,
)


@given(NESTED, NESTED)
def test_extra_comes_back_as_it_was(tmp_path_factory, one, other):
    path = tmp_path_factory.getbasetemp() / "extra.safetensors"
    nn.save(path, Holder(), one=one, other=other)
    assert exactly(nn.load(path, Holder())) == exactly({"one": one, "other": other})


class Color(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (tg.Tensor([1.0]), r"save: expected None, bools.*got as extra\['x'\]\[1\] float32 \(1,\)"),
        (object(), r"save: expected .*got as extra\['x'\]\[1\] object .*"),
        ({1, 2}, r".*got as extra\['x'\]\[1\] set \{1, 2\}"),
        (Color.RED, r".*extra\['x'\]\[1\] Color .*"),
        (b"bytes", r".*bytes b'bytes'"),
        (1j, r".*complex 1j"),
        ({(1, 2): 3}, r".*dicts \(by strings or ints\).* dict .*"),
        (np.array(["a"]), r"save: safetensors files hold no arrays of dtype <U1, got one as extra\['x'\]\[1\]"),
        (np.array([object()]), r"save: .*no arrays of dtype object.*"),
        (np.zeros(2, np.complex128), r"save: .*no arrays of dtype complex128.*"),
    ],
)
def test_what_cannot_come_back_is_not_saved(value, message, tmp_path):
    with pytest.raises(TypeError) as raised:
        nn.save(tmp_path / "x.safetensors", nn.Linear(2, 2), x=[0, value])
    assert re.fullmatch(message, str(raised.value))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["extra['order']", "__metadata__"])
def test_a_name_that_stands_for_two_things_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match=re.escape(f"names of other things to save: {[name]}")):
        nn.save(tmp_path / "x.safetensors", Holder(**{name: np.zeros(2)}), order=np.arange(3))
    assert list(tmp_path.iterdir()) == []


def test_a_training_goes_on_from_a_checkpoint(tmp_path):
    tg.manual_seed(0)
    model, optimizer = trained()
    nn.save(tmp_path / "c", model, optimizer)
    before = state(model, optimizer)
    train(model, optimizer, 3)
    after = state(model, optimizer)

    tg.manual_seed(99)
    model, optimizer = trained(steps=1)
    assert nn.load(tmp_path / "c", model, optimizer) == {}
    assert state(model, optimizer) == before
    train(model, optimizer, 3)
    assert state(model, optimizer) == after


def test_a_model_alone_is_loaded_from_a_checkpoint_and_the_random_draws_stay(tmp_path):
    model, optimizer = trained()
    nn.save(tmp_path / "c", model, optimizer, epoch=3)
    other, draws = nn.Linear(3, 2), random_generator().bit_generator.state
    assert nn.load(tmp_path / "c", other) == {"epoch": 3}
    assert exactly(other.state_dict()) == exactly(model.state_dict())
    assert random_generator().bit_generator.state == draws


def test_a_model_alone_is_no_checkpoint(tmp_path):
    model, optimizer = trained()
    nn.save(tmp_path / "c", model)
    before = state(model, optimizer)
    with pytest.raises(CheckpointError, match="c:\nexpected a checkpoint, but it was saved without optimizer"):
        nn.load(tmp_path / "c", model, optimizer)
    assert state(model, optimizer) == before


def for_one_more(model):
    return nn.optim.SGD([*model.parameters(), nn.Parameter([1.0])], lr=0.1, momentum=0.9)


@pytest.mark.parametrize(
    ("model", "optimizer", "differences"),
    [
        (nn.Linear(4, 2), None, ["weight: expected float32 (2, 4), got float32 (2, 3)"]),
        (nn.Linear(3, 2), for_one_more, ["does not fit SGD"]),
        (nn.Linear(4, 2, bias=False), for_one_more, ["weight: expected", "bias: unexpected", "does not fit SGD"]),
        (Holder(w=np.zeros(2), weight=np.zeros((2, 3))), None, ["w: missing", "bias: unexp", "float64 (2, 3)"]),
    ],
    ids=["model", "optimizer", "both", "keys and dtype"],
)
def test_what_does_not_fit_is_listed_and_nothing_is_changed(model, optimizer, differences, tmp_path):
    saved, its_optimizer = trained()
    nn.save(tmp_path / "c", saved, its_optimizer)
    optimizer = optimizer(model) if optimizer else trained(steps=3)[1]
    before = state(model, optimizer)
    with pytest.raises(CheckpointError) as raised:
        nn.load(tmp_path / "c", model, optimizer)
    for difference in differences:
        assert difference in str(raised.value)
    assert str(raised.value).startswith(f"{tmp_path / 'c'}:\n")
    assert state(model, optimizer) == before


def test_every_flipped_bit_is_refused(tmp_path):
    every, some = (1, 3000) if IN_FULL else (7, 500)  # 7 of 8 are all places in a byte
    content, loading = small_checkpoint(tmp_path / "small", inputs=1)
    assert not loading.is_refused(content)
    assert [bit for bit in range(0, 8 * len(content), every) if not loading.is_refused(flipped(content, bit))] == []

    content, loading = small_checkpoint(tmp_path / "large", inputs=270)
    assert 9_900 < len(content) < 10_500
    bits = random.Random(0).sample(range(8 * len(content)), some)
    assert [bit for bit in bits if not loading.is_refused(flipped(content, bit))] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        *(('"shape":[2,2]', '"shape":[4]'), ('"F32"', '"I32"'), ('"w"', '"v"'), ('epoch\\", 3', 'epoch\\", 4')),
        *(("sha256", "sha257"), ('"tinygrad_sm"', '"tinygrad_ms"'), ('\\"tinygrad_sm\\"', '\\"tinygrad_ms\\"')),
        *(
            ('epoch\\", 3', 'epoch\\",3'),
            ('{\\"dict', '{ \\"dict'),
            ('epoch\\", 3', 'epoch\\", 3, 3'),
            ("1e-05", "1E-05"),
        ),
    ],
)
def test_a_header_that_was_changed_is_refused(old, new, tmp_path):
    nn.save(tmp_path / "c", Holder(w=np.zeros((2, 2), np.float32)), epoch=3, lr=1e-5)
    content = (tmp_path / "c").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].decode()
    assert header.count(old) == 1
    header = header.replace(old, new)
    (tmp_path / "c").write_bytes(len(header).to_bytes(8, "little") + header.encode() + content[8 + length :])
    with pytest.raises(CheckpointError, match="c: the file is damaged: its contents do not have its checksum"):
        nn.load(tmp_path / "c", Holder())


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return small_checkpoint(tmp_path_factory.mktemp("mutated") / "c", inputs=20)


@settings(max_examples=500)
@given(seed=st.integers(0, 2**32))
def test_a_mutated_file_is_refused_or_as_good_as_the_original(original, seed):
    content, loading = original
    loading.is_refused(mutated(content, random.Random(seed).randrange))


def with_text(text, **tensors):
    """Return a file with this text and a checksum that is right: what someone makes by hand."""
    checksum = checkpoint._checksum(tensors, text)
    return safetensors.numpy.save(tensors, {"tinygrad_sm": text, "sha256": checksum})  # as version 1 does


def with_contents(contents, **tensors):
    """Return a file with these contents and a checksum that is right, in the present form."""
    checksum = checkpoint._checksum(tensors, json.dumps(contents, sort_keys=True))
    text = json.dumps({**contents, "sha256": checksum}, sort_keys=True)
    return safetensors.numpy.save(tensors, {"tinygrad_sm": text})


def change_contents(path, removed=(), **changed):
    """Write the file again, with contents of its metadata changed or removed, and with a checksum that is right."""
    content = path.read_bytes()
    text = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["tinygrad_sm"]
    contents = {**json.loads(text), **changed}
    for name in ("sha256", *removed):
        del contents[name]
    path.write_bytes(with_contents(contents, **safetensors.numpy.load(content)))


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "null", "{}", "{", "[" * 10**5, "1" * 10**5),
        *('{"version": 1}', '{"version": 1, "model": {}, "extra": 1}', '{"version": 1, "extra": {"array": "absent"}}'),
        *('{"version": 1, "extra": {}}', '{"version": 1, "extra": {"zip": 1}}', '{"version": 1, "extra": {"dict": 3}}'),
        *('{"version": 1, "extra": {"dict": [[[], 1]]}}', '{"version": 1, "extra": {"array": []}}'),
    ],
    ids=lambda text: text[:50],
)
def test_metadata_made_by_hand_are_refused(text, tmp_path):
    (tmp_path / "c").write_bytes(with_text(text))
    with pytest.raises(CheckpointError, match="c: its metadata cannot be understood"):
        nn.load(tmp_path / "c", Holder())
    with suppress(ValueError, RecursionError):
        contents = json.loads(text)
        if isinstance(contents, dict):
            (tmp_path / "c").write_bytes(with_contents(contents))
            with pytest.raises(CheckpointError, match="c: its metadata cannot be understood"):
                nn.load(tmp_path / "c", Holder())


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "{", "[" * 10**5, "1" * 10**5, '{"sha256": "00"}', "[[]]"])
def test_a_text_without_a_checksum_is_refused(text, tmp_path):
    for metadata in ({"tinygrad_sm": text}, {"tinygrad_ms": text + '{"format": "tinygrad_sm"}'}):
        (tmp_path / "c").write_bytes(safetensors.numpy.save({}, metadata))
        with pytest.raises(CheckpointError, match="c: the file is damaged: its contents do not have its checksum"):
            nn.load(tmp_path / "c", Holder())


@pytest.mark.parametrize("with_right_checksum", [lambda contents: with_text(json.dumps(contents)), with_contents])
def test_another_version_is_refused(with_right_checksum, tmp_path):
    (tmp_path / "c").write_bytes(with_right_checksum({"version": 4, "extra": 0}))
    message = "c: expected version 3 of the format or an older one, got 4: update tinygrad_sm"
    with pytest.raises(CheckpointError, match=message):
        nn.load(tmp_path / "c", Holder())


def test_a_file_of_version_1_is_loaded(tmp_path):
    """Its text is not sorted, and its checksum stands beside it; `test_saved_by_0_1` loads such files as they were."""
    text = '{"version": 1, "extra": {"dict": [["order", {"array": "extra[\'order\']"}], ["epoch", 3]]}}'
    order = np.arange(3)
    (tmp_path / "c").write_bytes(with_text(text, **{"w": np.ones(2, np.float32), "extra['order']": order}))
    extra = nn.load(tmp_path / "c", holder := Holder(w=np.zeros(2, np.float32)))
    assert exactly(extra) == exactly({"order": order, "epoch": 3})
    assert holder.w.data.tolist() == [1, 1]
    content = (tmp_path / "c").read_bytes()
    (tmp_path / "c").write_bytes(content[:-1] + b"\1")
    with pytest.raises(CheckpointError, match="c: the file is damaged"):
        nn.load(tmp_path / "c", holder)


def test_the_same_state_gives_the_same_bytes(tmp_path):
    """Safetensors writes two keys of the metadata in one order or the other, each time anew."""
    tg.manual_seed(0)
    model, optimizer = trained()
    seen = set()
    for number in range(20):
        extra = {"epoch": 3, "order": np.arange(5), "history": [(0.5, 0.25)]}
        nn.save(tmp_path / "c", model, optimizer, **(extra if number % 2 else dict(reversed(extra.items()))))
        content = (tmp_path / "c").read_bytes()
        seen.add((number % 2, content))
        assert exactly(nn.load(tmp_path / "c", model, optimizer)) == exactly(
            extra if number % 2 else dict(reversed(extra.items()))
        )
    assert len(seen) == 2  # the order of the extras is a part of the state


def test_the_same_training_gives_the_same_bytes_in_another_process(tmp_path):
    code = """if True:
        import sys
        import tinygrad_sm as tg
        from tinygrad_sm import nn
        tg.manual_seed(0)
        model = nn.Linear(3, 2)
        nn.save(sys.argv[1], model, nn.optim.SGD(model.parameters(), lr=0.1), epoch=3, names={"a": 1, "b": 2})
    """
    contents = set()
    for seed in range(4):
        environment = {**ENVIRONMENT, "PYTHONHASHSEED": str(seed)}
        subprocess.run([sys.executable, "-c", code, tmp_path / "c"], env=environment, check=True)
        contents.add((tmp_path / "c").read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize(
    "random_state",
    [None, 1, [1], {"dict": []}, {"dict": [["bit_generator", "MT19937"]]}, {"tuple": ["state"]}],
)
def test_a_state_of_the_random_draws_that_is_none_is_refused(random_state, tmp_path):
    model, optimizer = trained()
    nn.save(tmp_path / "c", model, optimizer)
    change_contents(tmp_path / "c", random=random_state)
    before = state(model, optimizer)
    with pytest.raises(
        CheckpointError, match="c:\nexpected a state of the random draws, as get_rng_state returns it, got"
    ):
        nn.load(tmp_path / "c", model, optimizer)
    assert state(model, optimizer) == before


def test_a_name_that_stands_twice_is_refused(tmp_path):
    entry = '"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    for count in (1, 2):
        header = "{" + ",".join([entry] * count) + "}"
        (tmp_path / "c").write_bytes(len(header).to_bytes(8, "little") + header.encode() + np.float32(3).tobytes())
        if count == 1:
            nn.load(tmp_path / "c", holder := Holder(w=np.zeros(1, np.float32)))
            assert holder.w.data == 3
        else:
            with pytest.raises(CheckpointError, match="c: expected a safetensors file, but a name stands twice"):
                nn.load(tmp_path / "c", Holder(w=np.zeros(1, np.float32)))


def test_models_travel_to_pytorch_and_back(tmp_path):
    torch, files = pytest.importorskip("torch"), pytest.importorskip("safetensors.torch")
    path, ours, theirs = tmp_path / "c", nn.Linear(4, 3), torch.nn.Linear(4, 3)
    nn.save(path, ours, epoch=3)
    theirs.load_state_dict(files.load_file(path))
    np.testing.assert_array_equal(theirs.weight.detach().numpy(), ours.weight.data)

    other = torch.nn.Linear(4, 3)
    files.save_file(other.state_dict(), path, metadata={"format": "pt"})
    assert nn.load(path, ours) == {}
    np.testing.assert_array_equal(ours.weight.data, other.weight.detach().numpy())
    np.testing.assert_array_equal(ours.bias.data, other.bias.detach().numpy())

    files.save_file(other.to(torch.bfloat16).state_dict(), path)
    with pytest.raises(CheckpointError, match="expected a safetensors file, but .*BF16"):
        nn.load(path, ours)


WRITE = ["open folder", "open file", "fsync file", "replace", "fsync folder"]


@pytest.fixture
def written(monkeypatch):
    """Return the list of what is done to write a file; to name a step in `failing` makes it fail."""
    done, failing = [], {}
    real = {"fsync": os.fsync, "replace": os.replace, "open": os.open}

    def step(name, action):
        done.append(name)
        if name in failing:
            raise OSError(failing[name], os.strerror(failing[name]))
        return action()

    def fsync(fd):
        return step("fsync folder" if os.path.isdir(f"/proc/self/fd/{fd}") else "fsync file", lambda: real["fsync"](fd))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", lambda *paths: step("replace", lambda: real["replace"](*paths)))

    def open_(path, flags, *args):
        return step("open file" if flags & os.O_CREAT else "open folder", lambda: real["open"](path, flags, *args))

    monkeypatch.setattr(os, "open", open_)
    return done, failing


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_the_content_is_on_the_disk_before_the_name(written, tmp_path):
    nn.save(tmp_path / "c", nn.Linear(2, 2))
    assert written[0] == WRITE


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
@pytest.mark.parametrize("step", WRITE)
def test_a_write_that_fails_leaves_a_whole_file(written, step, error, tmp_path):
    nn.save(tmp_path / "c", nn.Linear(2, 2), which="old")
    written[1][step] = error
    is_in_place = step == "fsync folder"  # that comes after the new file has the name
    message = os.strerror(error)
    with pytest.warns(UserWarning, match=message) if is_in_place else pytest.raises(OSError, match=message):
        nn.save(tmp_path / "c", nn.Linear(2, 2), which="new")
    written[1].clear()
    in_place = "new" if is_in_place else "old"
    assert nn.load(tmp_path / "c", nn.Linear(2, 2)) == {"which": in_place}
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_disk_that_is_full_in_the_middle_leaves_the_old_file(tmp_path):
    nn.save(tmp_path / "c", nn.Linear(2, 2), which="old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # the kernel writes that much, then refuses
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            nn.save(tmp_path / "c", nn.Linear(100, 100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert nn.load(tmp_path / "c", nn.Linear(2, 2)) == {"which": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to("c")
    for which in ("new", "newer"):
        nn.save(tmp_path / "link", nn.Linear(2, 2), which=which)
        assert (tmp_path / "link").is_symlink()
        assert nn.load(tmp_path / "c", nn.Linear(2, 2)) == {"which": which}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "link"]
