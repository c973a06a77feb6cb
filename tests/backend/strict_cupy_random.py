"""Random numbers of the strict double: a function of the seed, and never the numbers that NumPy draws from it."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.backend.strict_cupy_array import Host, check_dtype, memory, ndarray, new
from tests.backend.strict_cupy_device import launched
from tests.backend.strict_cupy_table import MODELLED, TABLE, StrictModule, signature


def _seed_sequence(seed: Any) -> np.random.SeedSequence:
    """Return a stream that is not NumPy's of the same seed; an array is hashed to one number, as in CuPy."""
    if seed is None:
        return np.random.SeedSequence()
    if type(seed) is ndarray:
        raise TypeError("a seed stands on the host: expected an integer or a NumPy array")
    digest = hashlib.sha256(np.asarray(seed).tobytes()).digest()
    return np.random.SeedSequence(int.from_bytes(digest[:8], "little"))


class BitGenerator:
    """A source of random bits."""

    def __init__(self, seed: Any = None) -> None:
        self.numpys = np.random.PCG64(_seed_sequence(seed))


class XORWOW(BitGenerator):
    """CuPy's default."""


class MRG32k3a(BitGenerator):
    """Another of CuPy's."""


class Philox4x3210(BitGenerator):
    """Another of CuPy's."""


class Generator:
    """Draws arrays, with the methods that CuPy's Generator has: no `normal`, `permutation`, `shuffle` or `choice`."""

    def __init__(self, bit_generator: BitGenerator) -> None:
        self._numpys = np.random.Generator(bit_generator.numpys)


def _draw(name: str) -> Callable[..., ndarray]:
    sign = signature("generator", name)

    def draw(self: Generator, *args: Any, **kwargs: Any) -> ndarray:
        arguments = {key: _host(value) for key, value in sign.named(args, kwargs).items()}
        out, dtype = arguments.pop("out", None), arguments.pop("dtype", None)
        if name == "integers" and dtype is not None:
            arguments["dtype"] = dtype
        if name == "standard_exponential":
            arguments.pop("method", None)
        drawn = np.asarray(getattr(self._numpys, name)(**arguments))
        launched()
        if out is not None:
            out[...] = drawn
            return args[sign.positional.index("out")] if len(args) > 2 else kwargs["out"]
        return new(drawn if dtype is None else drawn.astype(check_dtype(dtype)))

    draw.__name__ = name
    return draw


def _host(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    return memory(value) if type(value) is ndarray else value


for _name in TABLE["generator"]:
    setattr(Generator, _name, _draw(_name))


def default_rng(seed: Any = None) -> Generator:
    """Return a Generator of XORWOW."""
    if isinstance(seed, Generator):
        return seed
    return Generator(seed if isinstance(seed, BitGenerator) else XORWOW(seed))


class RandomState:
    """The legacy generator, as far as the double has it."""

    def __init__(self, seed: Any = None, method: int = 100) -> None:
        self._numpys = np.random.RandomState(np.random.MT19937(_seed_sequence(seed)))

    def seed(self, seed: Any = None) -> None:
        """Start again from a seed."""
        self.__init__(seed)

    def shuffle(self, a: ndarray) -> None:
        """Shuffle the first axis in place."""
        self._numpys.shuffle(memory(a))
        launched()

    def permutation(self, a: Any) -> ndarray:
        """Return the integers below a, or the array's rows, in random order."""
        launched()
        return new(self._numpys.permutation(_host(a)))

    def _draw(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ndarray:
        signature("random", name).check(args, kwargs)
        dtype = kwargs.pop("dtype", None)
        drawn: Host = np.asarray(getattr(self._numpys, name)(*args, **kwargs))
        launched()
        return new(drawn if dtype is None else drawn.astype(check_dtype(dtype)))


_STATE = RandomState()


def _legacy(name: str) -> Callable[..., ndarray]:
    return lambda *args, **kwargs: _STATE._draw(name, args, kwargs)


def module() -> StrictModule:
    """Return `cupy.random`."""
    classes = [BitGenerator, Generator, MRG32k3a, Philox4x3210, RandomState, XORWOW]
    names: dict[str, Any] = {c.__name__: c for c in classes} | {name: _legacy(name) for name in MODELLED["random"]}
    names |= {"default_rng": default_rng, "seed": _STATE.seed}
    names |= {"shuffle": _STATE.shuffle, "permutation": _STATE.permutation}
    return StrictModule("cupy.random", "random", names)
