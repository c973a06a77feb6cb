"""Save models and training runs in safetensors files, which hold arrays and text but no code.

    nn.save("model.safetensors", model)                            # to use it elsewhere, in PyTorch too
    nn.save("training.safetensors", model, optimizer, epoch=7)     # to resume training
    epoch = nn.load("training.safetensors", model, optimizer)["epoch"]

A file holds the model's arrays under their own names. Other arrays are further tensors, and JSON in the metadata holds
the structure around them. A checksum covers all of it, because safetensors itself accepts a flipped bit. A save that
fails or is killed leaves the old file unchanged. The same state gives the same bytes: safetensors writes the keys of
the metadata in random order, so all is sorted JSON under one key.
"""

import hashlib
import itertools
import json
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from tinygrad_sm import shares
from tinygrad_sm.arrays import described
from tinygrad_sm.backend import ARRAY_TYPES, Array, is_writable, owned_copy, to_numpy
from tinygrad_sm.engine.versions import LEAVES_LOCK, change, write_all
from tinygrad_sm.errors import CheckpointError, package, shown, warn_user
from tinygrad_sm.locks import open_file
from tinygrad_sm.nn.files import replace_file
from tinygrad_sm.nn.groups import Groups
from tinygrad_sm.nn.machine import Facts, check_facts, differences, facts, remedies
from tinygrad_sm.nn.module import Module
from tinygrad_sm.nn.states import faults_of
from tinygrad_sm.random import get_rng_state, rng_write
from tinygrad_sm.tensors import Tensor

VERSION = 3
"""The version of the format; it rises when `save` writes what older versions of `load` cannot read.

Version 2 holds, of the facts about the machine, the number of BLAS threads alone. In version 1 moreover the checksum is
the metadata's second key.
"""

_NAME = "tinygrad_sm"
"""The key of the metadata. It stands in the text too, so that a file of ours is known by it if the key is damaged."""

_MAX_DEPTH = 100
"""The deepest nesting of lists and dicts to save: a deeper value contains itself, or is a mistake."""

_MAX_HEADER = 100_000_000
"""The most bytes of a file's header: safetensors reads no more."""

_STRING_OR_BRACE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|(\{)', re.DOTALL)
"""A string in JSON, or a brace outside of any. Takes linear time: nothing is tried twice, and the last need not end."""

_DTYPES = {
    *("bool", "float16", "float32", "float64", "complex64"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
}


class Stateful(Protocol):
    """An object whose state can be saved: an optimizer. `load_state_dict` changes nothing if it raises."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any], /) -> Any: ...


def save(path: str | os.PathLike[str], model: Module, optimizer: Stateful | None = None, **extra: Any) -> None:
    """Write the state of the model, and of the optimizer if there is one, to a safetensors file.

    extra : further values by name: None, bools, numbers, strings, arrays (`load` returns them contiguous and in the
        machine's byte order), and lists, tuples and dicts of these

    With an optimizer the file is a checkpoint, from which training resumes exactly: it also holds the state of the
    random generator and the facts about the machine that decide the last bits: NumPy's version, the CPU's instructions
    that it uses, and the BLAS with its core and number of threads. Pass what else the training depends on as extra,
    such as `loader=loader.state_dict()`.

    At every moment the path holds the whole old file or the whole new one, which gets the old one's permissions.
    Processes and threads that save to one path take turns; the last file remains. Of the processes of a group
    (`tg.parallel`), rank 0 saves, and the others wait for it; all of them load.

    Raises TypeError or ValueError for a value that cannot be saved, and OSError if the file cannot be written.
    """
    _check_arguments("save", path, model, optimizer)
    shares.once(f"nn.save of {os.fspath(path)!r}", partial(_save, path, model, optimizer, extra))


def _save(path: str | os.PathLike[str], model: Module, optimizer: Stateful | None, extra: dict[str, Any]) -> None:
    arrays: dict[str, Array] = {}
    contents = {"format": _NAME, "version": VERSION, "extra": _to_json(extra, "extra", arrays)}
    if optimizer is not None:
        contents["optimizer"] = _to_json(optimizer.state_dict(), "optimizer", arrays)
        contents["random"] = _to_json(get_rng_state(), "random", arrays)
        contents["machine"] = _to_json(facts(), "machine", arrays)
    state = model.state_dict()
    if both := (arrays.keys() | {"__metadata__"}) & state.keys():
        raise ValueError(f"the model has parameters or buffers with the names of other things to save: {sorted(both)}")
    tensors = {name: _savable(name, array) for name, array in {**state, **arrays}.items()}
    if len(tensors) > (most := _most_tensors(model)):
        raise ValueError(
            f"save: expected at most {most} arrays with this model, because `load` takes no more, got {len(tensors)}: "
            "save lists of arrays as one, as by np.stack"
        )
    contents["sha256"] = _checksum(tensors, _sorted_json(contents))
    content = _safetensors().numpy.save(tensors, {_NAME: _sorted_json(contents)})
    if (length := int.from_bytes(content[:8], "little")) > _MAX_HEADER:
        raise ValueError(
            f"save: expected names and values other than arrays of at most {_MAX_HEADER} bytes, because `load` takes "
            f"no more, got {length}: save long lists of numbers as arrays"
        )
    replace_file(Path(os.path.realpath(path)), content)


def load(path: str | os.PathLike[str], model: Module, optimizer: Stateful | None = None) -> dict[str, Any]:
    """Set the state of the model, and of the optimizer if one is given, from a file; return what was saved as extra.

    A file from another program, such as PyTorch with safetensors, has neither checksum nor extra. With an optimizer
    `load` also restores the random generator, and warns if facts about the machine differ: they change the order of
    sums, and so their last bits.

    Raises CheckpointError with the differences, and changes nothing, if the file is damaged or does not fit,
    FileNotFoundError if there is no file, and another OSError if it cannot be read.
    """
    _check_arguments("load", path, model, optimizer)
    where = shown(os.fspath(path))
    contents = _read(path, where, model)
    if refused := _set_all_or_nothing(model, optimizer, contents):
        raise CheckpointError("\n".join([f"{where}:", *refused]))
    then, now = contents.machine or {}, facts() if optimizer is not None else {}
    if differ := differences(then, now):
        warn_user(
            f"{where} was saved where other facts decide the last bits: {'; '.join(differ)}. The training goes on, but "
            f"perhaps not bit for bit; for equal bits {remedies(then, now)}"
        )
    return contents.extra


def _check_arguments(caller: str, path: Any, model: Any, optimizer: Any) -> None:
    if not isinstance(path, str | os.PathLike) or not isinstance(model, Module):
        raise TypeError(
            f"{caller}: expected the path of a file and a Module, {caller}(path, model), got {described(path)} and "
            f"{described(model)}"
        )
    if not (optimizer is None or hasattr(optimizer, "load_state_dict")):
        raise TypeError(f"{caller}: expected an optimizer or None after the model, got {described(optimizer)}")


class _Contents(NamedTuple):
    """What a file holds; the last three are None if it is no checkpoint."""

    model: dict[str, Array]
    extra: dict[str, Any]
    optimizer: Any = None
    random: Any = None
    machine: Facts | None = None


def _safetensors() -> Any:
    """Import safetensors on first use: computing does not need it, and a browser does not have it."""
    return package("safetensors.numpy", "for files of models")


def _read(path: str | os.PathLike[str], where: str, model: Module) -> _Contents:
    """Return the contents of a file, once everything that needs no values of the model is checked."""
    safetensors = _safetensors()
    try:
        content = _plausible_content(path, model)
        try:
            # safetensors compares all sizes with the file's before it makes any array.
            tensors = safetensors.numpy.load(content)
        except KeyError as error:
            raise ValueError(_unsupported_dtype(content, error.args[0])) from None
        metadata = _header(content).get("__metadata__", {})
    except (safetensors.SafetensorError, OverflowError, ValueError) as error:
        raise CheckpointError(f"{where}: expected a safetensors file, but {shown(str(error))}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Rust's own, which no module offers to be imported
            raise
        raise CheckpointError(f"{where}: safetensors cannot read the file: {shown(str(error))}") from error
    if "sha256" not in metadata and not any(_NAME in part for pair in metadata.items() for part in pair):
        return _Contents(tensors, {})

    try:
        text, checksum = _text_and_checksum(metadata)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        text, checksum = "", None
    if checksum != _checksum(tensors, text):
        raise CheckpointError(f"{where}: the file is damaged: its contents do not have its checksum")
    try:
        described_contents = json.loads(text)
        version = described_contents.pop("version")
        if version in range(1, VERSION + 1):
            described_contents.pop("format", None)
            others = {name: _from_json(packed, tensors) for name, packed in described_contents.items()}
            if "blas_threads" in others:
                others["machine"] = {"BLAS threads": others.pop("blas_threads")}
            if "machine" in others:
                check_facts(others["machine"])
            return _Contents(tensors, **others)  # `_from_json` has removed all but the model's
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: its metadata cannot be understood: {shown(repr(error), 200)}") from error
    raise CheckpointError(
        f"{where}: expected version {VERSION} of the format or an older one, got {shown(repr(version), 60)}: "
        "update tinygrad_sm"
    )


def _sorted_json(contents: dict[str, Any]) -> str:
    return json.dumps(contents, sort_keys=True)


def _text_and_checksum(metadata: dict[str, str]) -> tuple[str, Any]:
    """Return the text that the checksum covers, and the checksum; an error of any kind if there are none."""
    text = metadata.get(_NAME, "")
    if "sha256" in metadata:
        return text, metadata["sha256"]  # of version 1
    contents = json.loads(text)
    if _sorted_json(contents) != text:
        raise ValueError("the text was changed in a way that its contents do not show")
    checksum = contents.pop("sha256")
    return _sorted_json(contents), checksum


def _most_tensors(model: Module) -> int:
    """Return the most tensors in a file of the model: enough for any optimizer, and for 10,000 arrays beside it."""
    return 10_000 + 10 * len([*model._named_tensors()])


def _plausible_content(path: str | os.PathLike[str], model: Module) -> bytes:
    """Return the content of a file; ValueError, before most of it is read, if it cannot be a file of the model.

    A file of a few kilobytes on the disk may claim any size, and a header of some megabytes a million tensors, which in
    memory are thirty times as large.
    """
    with open_file(path) as file:
        status = os.fstat(file.fileno())
        size = status.st_size
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, _MAX_HEADER):
            raise ValueError(
                f"the header that its first 8 bytes promise, of {length} bytes, is not in its {size} bytes"
            )
        on_disk = 512 * getattr(status, "st_blocks", 0)  # 0 where the file system does not say
        holes = 2**26 + 10 * sum(tensor.data.nbytes for _, tensor in model._named_tensors())
        if on_disk and size - on_disk > holes:
            raise ValueError(
                f"of its {size} bytes only {on_disk} are on the disk: with this model at most {holes} may be absent"
            )
        header = file.read(length)
        most = _most_tensors(model)
        if header.count(b"{") > most:  # which may stand in names and texts too
            braces = (match for match in _STRING_OR_BRACE.finditer(header) if match[1])
            if sum(1 for _ in itertools.islice(braces, most + 3)) == most + 3:  # two for the header and its metadata
                raise ValueError(f"it has more than {most} tensors, the most that are expected with this model")
        file.seek(0)
        return file.read(size)


def _header(content: bytes) -> dict[str, Any]:
    """Return the JSON header of a safetensors file that is sound, except that names may be repeated."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a name stands twice in its header")
        return dict(pairs)

    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length], object_pairs_hook=unique)


def _unsupported_dtype(content: bytes, dtype: str) -> str:
    """Return the message for a file with tensors of a dtype that NumPy lacks, such as PyTorch's bfloat16."""
    names = [name for name, entry in _header(content).items() if name != "__metadata__" and entry["dtype"] == dtype]
    others = f" (and {len(names) - 1} others)" if len(names) > 1 else ""
    return (
        f"the tensor {shown(repr(names[0]), 100)}{others} has dtype {dtype}, which NumPy lacks: convert before you "
        "save, as by PyTorch's .float()"
    )


def _set_all_or_nothing(model: Module, optimizer: Stateful | None, contents: _Contents) -> list[str]:
    """Set the model, the optimizer and the random generator, or none of them; return the faults that prevented it.

    All is written at once, at the end. A user's own `load_state_dict` is called before that, and undone by a second
    call if anything else prevents the rest: a second Ctrl-C could break that off.
    """
    refused: list[str] = []
    leaves: dict[Tensor, tuple[Any, ...]] = {}
    writes: list[tuple[Any, ...]] = []
    undo: list[Callable[[], Any]] = []
    has_own_way = type(model).load_state_dict is not Module.load_state_dict
    try:
        if not has_own_way:
            refused += faults_of(lambda: leaves.update(model._load_writes(contents.model)[0]))
        if optimizer is not None and contents.optimizer is None:
            refused += ["expected a checkpoint, but it was saved without optimizer"]
        elif optimizer is not None:
            refused += faults_of(lambda: writes.append(rng_write(contents.random)))
            if isinstance(optimizer, Groups) and type(optimizer).load_state_dict is Groups.load_state_dict:
                refused += faults_of(lambda: writes.extend(optimizer._load_writes(contents.optimizer)))
            else:
                undo.append(partial(optimizer.load_state_dict, optimizer.state_dict()))
                refused += faults_of(optimizer.load_state_dict, contents.optimizer)
        if has_own_way and not refused:
            undo.append(_restorer(model))
            refused += faults_of(model.load_state_dict, contents.model)
        if not refused:
            with LEAVES_LOCK:  # not while another thread saves
                change(leaves, write_all, [*leaves.values(), *writes, (undo.clear,)])
    finally:
        for restore in reversed(undo):
            restore()
    return refused


def _restorer(model: Module) -> Callable[[], None]:
    """Return a function that restores the attributes of the model's Modules and the values of their Tensors."""
    attributes = [(module, dict(vars(module))) for module in model.modules()]
    tensors = [value for _, values in attributes for value in values.values() if isinstance(value, Tensor)]
    arrays = [(t, owned_copy(t.data)) for t in tensors if t.node is None and is_writable(t.data)]

    def restore() -> None:
        for module, values in attributes:
            vars(module).clear()
            vars(module).update(values)
        for tensor, array in arrays:
            tensor.assign(array)

    return restore


def _to_json(value: Any, name: str, arrays: dict[str, Array], depth: int = 0) -> Any:
    """Return a value as JSON that `_from_json` understands; the arrays in it go to `arrays`, under their paths.

    >>> arrays = {}
    >>> _to_json({"epoch": 3, "losses": (0.5, np.ones(2))}, "extra", arrays)
    {'dict': [['epoch', 3], ['losses', {'tuple': [0.5, {'array': "extra['losses'][1]"}]}]]}
    >>> arrays
    {"extra['losses'][1]": array([1., 1.])}
    """
    if depth > _MAX_DEPTH:
        raise ValueError(f"save: {name[:40]}... is more than {_MAX_DEPTH} levels deep: does it contain itself?")
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind in ARRAY_TYPES or isinstance(value, np.generic):
        arrays[name] = value
        return {"array" if kind in ARRAY_TYPES else "scalar": name}
    if kind in (list, tuple):
        items = [_to_json(item, f"{name}[{i}]", arrays, depth + 1) for i, item in enumerate(value)]
        return items if kind is list else {"tuple": items}
    if kind is dict and all(type(key) in (str, int) for key in value):
        return {"dict": [[key, _to_json(item, f"{name}[{key!r}]", arrays, depth + 1)] for key, item in value.items()]}
    raise TypeError(
        f"save: expected None, bools, numbers, strings, arrays, or lists, tuples and dicts (by strings or ints) of "
        f"them, got as {name} {described(value)}"
    )


def _from_json(packed: Any, arrays: dict[str, Array]) -> Any:
    """Return the value that was packed, and take its arrays out of `arrays`."""
    if isinstance(packed, list):
        return [_from_json(item, arrays) for item in packed]
    if not isinstance(packed, dict):
        return packed
    [(kind, inside)] = packed.items()
    if kind == "dict":
        return {key: _from_json(item, arrays) for key, item in inside}
    if kind == "tuple":
        return tuple(_from_json(item, arrays) for item in inside)
    if kind not in ("array", "scalar"):
        raise ValueError(f"expected dict, tuple, array or scalar, got {kind!r}")
    array = owned_copy(arrays.pop(inside))
    return array if kind == "array" else array[()]


def _savable(name: str, array: Array) -> np.ndarray[Any, Any]:
    """Return the array on the host, contiguous and little-endian: safetensors saves wrong values of others."""
    if array.dtype.name not in _DTYPES:
        raise TypeError(f"save: safetensors files hold no arrays of dtype {array.dtype}, got one as {shown(name)}")
    array = to_numpy(array)
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")  # ascontiguousarray would make 0-d arrays 1-d


def _checksum(tensors: dict[str, np.ndarray[Any, Any]], text: str) -> str:
    """Return the SHA-256 of the text and of all names, dtypes, shapes and bytes; their order does not matter."""
    names = sorted(tensors)
    head = [text, [[name, tensors[name].dtype.name, tensors[name].shape] for name in names]]
    digest = hashlib.sha256(json.dumps(head).encode())
    for name in names:
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()
