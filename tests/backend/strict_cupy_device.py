"""The device of the strict double: what it counts, its two pretended GPUs, and their streams.

`EVENTS` counts what costs time on a GPU. One "launch" is one call that makes or changes an array, whatever number of
kernels CuPy really needs for it (`zeros` is one, so are `einsum`, `std` and `linalg.inv`; `empty` and views are none).
A "sync" is a point where the host waits for the device; "h2d" and "d2h" are copies between the two.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

EVENTS: Counter[str] = Counter()
DEVICES = 2


class CUDARuntimeError(RuntimeError):
    """The error of CUDA's runtime."""


class _State(threading.local):
    """The current device and stream of a thread, and whether a fused function is being run."""

    device = 0
    fusing = False

    def __init__(self) -> None:
        self.streams: list[Any] = []


STATE = _State()


def launched() -> None:
    """Count a launch, unless it belongs to a fused function, which is one launch as a whole."""
    if not STATE.fusing:
        EVENTS["launch"] += 1


def synchronized() -> None:
    """Count a synchronisation."""
    if STATE.fusing:
        raise TypeError("a fused function was about to wait for the device: only its result can come to the host")
    EVENTS["sync"] += 1


def copied_to_host() -> None:
    """Count a copy to the host, for which the host waits."""
    synchronized()
    EVENTS["d2h"] += 1


def copied_to_device() -> None:
    """Count a copy to the device."""
    EVENTS["h2d"] += 1


def not_fusable(name: str) -> None:
    """Refuse what CuPy's tracer of fused functions does not know."""
    raise TypeError(f"{name} cannot stand in a fused function: it takes ufuncs, where, clip, sums and the like")


def check_device(device: int) -> None:
    """Raise CuPy's error if an operand of a kernel lives on another device than the current one."""
    if device != STATE.device:
        raise ValueError(
            f"The device where the array resides ({device}) is different from the current device ({STATE.device}). "
            "Peer access is unavailable between these devices."
        )


@contextmanager
def fusing() -> Iterator[None]:
    """Count everything inside as one launch."""
    outer, STATE.fusing = STATE.fusing, True
    try:
        yield
    finally:
        STATE.fusing = outer
    launched()


class Device:
    """A pretended GPU: `with Device(1): ...` or `Device(1).use()` makes it the current one."""

    def __init__(self, device: "int | Device | None" = None) -> None:
        self.id = STATE.device if device is None else int(device)
        self._outer: list[int] = []

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def __enter__(self) -> "Device":
        outer = STATE.device
        self.use()
        self._outer.append(outer)
        return self

    def __exit__(self, *exception: Any) -> None:
        STATE.device = self._outer.pop()

    def use(self) -> None:
        """Make this the current device of the thread."""
        set_device(self.id)

    def synchronize(self) -> None:
        """Wait for the device."""
        synchronized()

    @property
    def compute_capability(self) -> str:
        """The architecture, as of an H100."""
        return "90"

    @property
    def mem_info(self) -> tuple[int, int]:
        """Free and total memory, in bytes."""
        return 8 << 30, 16 << 30


def set_device(device: int) -> None:
    """Make a device the current one of this thread."""
    if not 0 <= device < DEVICES:
        raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
    STATE.device = device


class Stream:
    """A queue of launches. The double computes at once, so that streams only count waiting."""

    null: "Stream"

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int = 0) -> None:
        self.is_non_blocking = non_blocking
        self.priority = priority
        self.ptr = 0 if null else id(self)
        self.done = True

    def __enter__(self) -> "Stream":
        STATE.streams.append(self)
        return self

    def __exit__(self, *exception: Any) -> None:
        STATE.streams.pop()

    def use(self) -> "Stream":
        """Make this the current stream."""
        STATE.streams[-1:] = [self]
        return self

    def synchronize(self) -> None:
        """Wait for everything in the queue."""
        synchronized()

    def record(self, event: "Event | None" = None) -> "Event":
        """Put an event into the queue."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: "Event") -> None:
        """Let the queue wait for an event: the host does not."""


Stream.null = Stream(null=True)


def current_stream(device_id: int | None = None) -> Stream:
    """Return the current stream of this thread."""
    return STATE.streams[-1] if STATE.streams else Stream.null


class Event:
    """A moment in a stream."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.time = time.perf_counter()
        self.done = True

    def record(self, stream: Stream | None = None) -> None:
        """Take the time."""
        self.time = time.perf_counter()

    def synchronize(self) -> None:
        """Wait for the event."""
        synchronized()


def elapsed_time(start: Event, end: Event) -> float:
    """Return the milliseconds between two events."""
    return (end.time - start.time) * 1e3
