"""The processes that mpiexec starts together: the messages between them, and how they end.

    processes = Processes()
    processes.sum(array)                # in place: the sum over all processes, in each of them
    processes.of_rank_0(x)              # in each, the x of rank 0
    processes.all(x)                    # in each, the list of the x of all

A message waits for its partner for ever, and one that meets another message takes wrong numbers. So each begins with
its name, in 128 bytes that hold its first numbers too; where two names differ, all processes raise an error with both.
And all end together, whatever happens in one of them. An exception prints its traceback and ends all at once. A process
that ends otherwise, by `sys.exit` or with its last line, says so; in each of the others a thread listens, and ends all
if its own process goes on waiting, for a second. The thread also tells the next process for what its own has waited for
a second, and ends all where that one waits for something else. That needs an MPI that knows threads, as most are built.
A process that is killed ends all through mpiexec, which started them.
"""

import atexit
import hashlib
import importlib
import os
import sys
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from tinygrad_sm.backend import Array, array_module, device_of, is_array, to_device, to_numpy
from tinygrad_sm.errors import GroupError
from tinygrad_sm.shares import Part

_RANKS = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "MPI_LOCALRANKID")
"""Environment variables that mpiexec sets; one of them is there in each process that it starts."""

_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
"""Those in which it, or srun, says how many processes there are; the first that is there counts."""

_PIECE = 2**20
"""Longer arrays are summed in pieces of so many elements, which fit the cache. With MPICH 5.0, two processes on one
machine summed 10⁷ floats in 9 ms so, and in 28 ms in one piece: the best of 12 times in turn, beside other work."""

_WITH_NAME = 14
"""So many numbers travel with the name of each message, in 128 bytes of the same length for all."""

_ENDED, _ANSWER, _WAITS = 1, 2, 3
"""The tags of three kinds of message: of a process that has ended, what came of an action of rank 0, and the Wait of
one that has waited for long."""

_PERIOD, _LOOKS = 0.25, 4
"""Every so many seconds a thread looks for processes that have ended; when it has found its own in the same wait so
often, it ends all. It counts looks, not seconds, because a machine may stop both threads for a while."""


def _mpi() -> Any:
    """Import mpi4py's MPI when it is first used, and return it; None for a process that was started alone."""
    sizes, ranks = ({os.environ[name] for name in names if name in os.environ} for names in (_SIZES, _RANKS))
    if sizes <= {"1"} and ranks <= {"0"} and (sizes or not ranks):  # a rank 0 may be the first of many
        return None
    try:
        mpi = importlib.import_module("mpi4py.MPI")
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            f'several processes need mpi4py, which cannot be imported ({error}): pip install "tinygrad_sm[mpi]", which '
            "brings MPICH; on a cluster, pip install mpi4py where its own MPI is loaded",
            name="mpi4py",
        ) from error
    size_by = next((name for name in _SIZES if name in os.environ), "")
    rank_by = next((name for name in _RANKS if os.environ.get(name, "0") != "0"), "")
    if mpi.COMM_WORLD.size == 1 and (rank_by or int(os.environ.get(size_by, "1")) != 1):
        expected = f"a process {os.environ[rank_by]}" if rank_by else f"{os.environ[size_by]} processes"
        raise RuntimeError(
            f"expected {expected}, as {rank_by or size_by} says, but MPI finds 1: each would train alone. "
            "What started them and MPI do not know each other: with Slurm, take srun --mpi=pmix, or another "
            "of those that srun --mpi=list shows; else the mpiexec of the MPI that mpi4py uses"
        )
    return mpi


class Wait(NamedTuple):
    """What a process waits for: its name, and how many messages of all processes there were with it."""

    name: str
    messages: int


class Processes:
    """Those of a communicator of mpi4py, or all that were started together; without any, this one alone."""

    def __init__(self, communicator: Any = None):
        self._mpi = _mpi() if communicator is None else importlib.import_module("mpi4py.MPI")
        self.rank: int = 0
        self.size: int = 1
        if self._mpi is None:
            return
        world = self._mpi.COMM_WORLD if communicator is None else communicator
        self.rank, self.size = world.rank, world.size
        self._communicator, self._side_channel = world.Dup(), world.Dup()  # each has no messages but its own
        self._wait: Wait | None = None
        self._handled: BaseException | None = None
        self._process = os.getpid()  # a forked one is not of the group
        self._thread_of_messages = threading.get_ident()
        self._messages = 0  # in which all processes took part
        self._sending = threading.Lock()
        self._sent: list[Any] = []  # MPI may still read what is being sent
        self._vectors: dict[Any, Array] = {}
        if self.size > 1:
            self._end_together()

    def part_of(self, rows: int) -> Part:
        """Return the part of this process in a batch; the numbers of rows differ by 1 at most."""
        start, stop = (rows * i // self.size for i in (self.rank, self.rank + 1))
        return Part(start, stop, rows, stop - start) if start < stop else Part(0, 1, rows, 0)

    def sum(self, array: Any, name: str = "sum") -> None:
        """Replace an array on the host, contiguous in the order of C, by its sum over all processes.

        A message of at most 14 numbers is one with its name. Arrays of other lengths need another name.
        """
        if not array.flags.c_contiguous:
            raise ValueError("sum: expected an array in the order of C, whose elements are one piece of memory")
        if self.size > 1:
            array = array.reshape(-1)
            array[:_WITH_NAME] = self._meet(name, array[:_WITH_NAME])
            self._add_up(array[_WITH_NAME:])

    def sum_numbers(self, numbers: list[float], name: str) -> list[float]:
        """Return the sums of numbers over all processes."""
        sums = np.array(numbers, np.float64)
        self.sum(sums, name)
        return sums.tolist()

    def sum_in_one(
        self, likes: list[Array], parts: list[Any], factor: float, numbers: list[Any]
    ) -> tuple[list[Array], list[float]]:
        """Return the sums of arrays, each times the factor, and of numbers, which travel in one message.

        It follows a message in which all processes have met, and compares no names.

        likes : arrays of the shapes and dtypes of the parts; None is a part of zeros. The sums are views of one vector,
        which is at least float32; those of half precision are rounded once.
        """
        xp, device = array_module(likes[0]), device_of(likes[0])
        dtype = np.result_type(np.float32, *[like.dtype for like in likes])
        vector = self._vector(xp, sum(like.size for like in likes) + len(numbers), dtype)
        for part, place in zip(parts, _places(likes, vector), strict=True):
            xp.multiply(0 if part is None or not factor else part, factor, out=place, dtype=dtype)  # 0 · NaN is 0
        vector[-len(numbers) :] = xp.asarray(numbers, dtype)
        on_host = to_numpy(vector)
        self._add_up(on_host)
        places = zip(likes, _places(likes, to_device(on_host, device)), strict=True)
        return [place.astype(like.dtype, copy=False) for like, place in places], on_host[-len(numbers) :].tolist()

    def _vector(self, xp: Any, size: int, dtype: Any) -> Array:
        """Return a vector to write into: that of the last step, if nobody has a part of it any more, else a new one.

        Linux takes back what is larger than 32 MiB when it is freed, and gives it anew page by page.
        """
        vector, known = self._vectors.pop((xp, size, dtype), None), object()
        if vector is None or sys.getrefcount(vector) > sys.getrefcount(known):
            vector = xp.empty(size, dtype)
        self._vectors[xp, size, dtype] = vector
        return vector

    def of_rank_0(self, x: Any, name: str = "of_rank_0") -> Any:
        """Return the x of rank 0."""
        if self.size == 1:
            return x
        self._meet(name)
        return self._communicator.bcast(x)

    def all(self, x: Any, name: str = "all") -> list[Any]:
        """Return the x of each rank, in their order."""
        if self.size == 1:
            return [x]
        self._meet(name)
        return self._communicator.allgather(x)

    def by_rank_0(self, name: str, action: Callable[[], Any]) -> Any:
        """Let rank 0 act, and the others wait for what comes of it; all return it, or raise the same error.

        Rank 0 waits for nobody, so it may also act alone, under `if group.rank == 0`. Nobody takes the answer then.
        Each answer says to what it belongs, the name and how many messages came before, and others are thrown away.
        """
        call = name, self._messages
        if self.rank:
            answered = None
            while answered != call:
                answered, result, error = self._waiting(name, self._side_channel.recv, source=0, tag=_ANSWER)
        else:
            try:
                result, error = action(), None
            except (OSError, TypeError, ValueError) as raised:
                result, error = None, raised
            self._send((call, result, error), range(1, self.size), _ANSWER)
        if error is not None:
            raise error
        return result

    def refuse(self, caller: str, fault: str | None) -> None:
        """Raise the same GroupError in all processes if there is a fault in one."""
        for rank, text in enumerate(self.all(fault, caller)):
            if text is not None:
                raise GroupError(f"{caller}: rank {rank} differs from rank 0: {text}")

    def refuse_unequal(self, caller: str, state: Any) -> None:
        """Raise GroupError, with the first difference, unless a state has the same bits in all processes."""
        own = dict(_digests(state)) if self.size > 1 else {}
        first = self.of_rank_0(own, caller)
        self.refuse(caller, next((path for path in first | own if first.get(path) != own.get(path)), None))

    def _meet(self, name: str, numbers: Any = ()) -> Any:
        """Wait until all processes are about to send a message; raise GroupError unless it is the same one.

        Return the sums of up to 14 numbers, which travel with the name. With k from its name, Σk = nk and Σk² = nk²
        hold in all processes if the k are equal; else in none.
        """
        self._messages += 1
        k = zlib.crc32(name.encode()) % 2**20  # so small that all sums are exact
        sums = np.zeros(2 + _WITH_NAME)
        sums[: 2 + len(numbers)] = [k, k * k, *numbers]
        self._waiting(name, self._add_up, sums)
        if sums[:2].tolist() != [self.size * k, self.size * k * k]:
            names = self._communicator.allgather(name)
            rank = next(rank for rank, other in enumerate(names) if other != names[0])
            raise GroupError(f"rank 0 is at {names[0]}, but rank {rank} at {names[rank]}: all must run the same lines")
        return sums[2 : 2 + len(numbers)]

    def _add_up(self, array: Any) -> None:
        for start in range(0, array.size, _PIECE):
            self._communicator.Allreduce(self._mpi.IN_PLACE, array[start : start + _PIECE])

    def _waiting(self, name: str, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call what waits for others, which may never come; once all have met, a message may take its time."""
        if (os.getpid(), threading.get_ident()) != (self._process, self._thread_of_messages):
            raise GroupError(
                f"{name}: only the thread that made the Group may send messages, and no process that was forked later: "
                "their order must be one"
            )
        self._handled = sys.exc_info()[1]  # as in the `finally` of a training that has failed
        self._wait = Wait(name, self._messages)  # a new object for each call, by which the thread knows it
        try:
            return call(*args, **options)
        finally:
            self._wait = self._handled = None

    def _send(self, x: Any, ranks: Iterable[int], tag: int) -> None:
        """Send without waiting for anybody."""
        with self._sending:
            self._sent = [request for request in self._sent if not request.Test()]
            self._sent += [self._side_channel.isend(x, rank, tag=tag) for rank in ranks]

    def _end_together(self) -> None:
        self._ended: list[int] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="tinygrad_sm.processes", daemon=True)
        self._show, sys.excepthook = sys.excepthook, self._end_by_exception
        atexit.register(self._end)  # what is registered last runs first: mpi4py ends MPI later
        if self._mpi.Query_thread() == self._mpi.THREAD_MULTIPLE:
            self._thread.start()

    def _end_by_exception(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self._show(kind, error, trace)
        if os.getpid() == self._process:
            self._end_all("ends all processes", 130 if issubclass(kind, KeyboardInterrupt) else 1)

    def _look(self) -> None:
        looks, others, before = 0, 0, None
        while not self._is_over.wait(_PERIOD):
            now = self._wait
            is_same = now is not None and now is before
            looks, others, before = (looks + 1, others, now) if is_same else (0, 0, now)
            other = self._listen()
            if now is None or looks < _LOOKS:
                continue
            if looks == _LOOKS and self._handled:
                print(f"rank {self.rank} waits at {now.name}, while it handles this error:", file=sys.stderr)
                traceback.print_exception(self._handled)
            if self._ended:
                self._end_all(f"waits for rank {self._ended[0]}, which has ended: all must run the same lines", 1)
            others += other is not None and other != now
            if other is not None and others == 2:  # twice: the first may have been on its way while its process went on
                rank = (self.rank - 1) % self.size
                self._end_all(f"waits at {now.name}, but rank {rank} at {other.name}: all must run the same lines", 1)
            self._send(tuple(now), [(self.rank + 1) % self.size], _WAITS)

    def _end_all(self, reason: str, status: int) -> None:
        print(f"rank {self.rank} {reason}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        self._communicator.Abort(status)

    def _listen(self) -> Wait | None:
        """Take the messages of processes that have ended, and of the one before this; return its Wait, the last one."""
        status, wait = self._mpi.Status(), None
        while self._side_channel.Iprobe(tag=_ENDED, status=status):
            self._side_channel.recv(source=status.source, tag=_ENDED)
            self._ended.append(status.source)
        while self._side_channel.Iprobe(tag=_WAITS):
            wait = Wait(*self._side_channel.recv(tag=_WAITS))
        return wait

    def _end(self) -> None:
        """Say that this process ends, and wait until all do."""
        if os.getpid() != self._process:
            return
        if self._thread.is_alive():
            self._is_over.set()
            self._thread.join()
        sys.stdout.flush()
        self._send(None, range(self.size), _ENDED)
        while len(self._ended) < self.size:
            self._listen()
            time.sleep(0.01)


def _places(likes: list[Array], vector: Array) -> Iterator[Array]:
    """Yield the place of each array in a vector, in its shape and with its order of axes in memory.

    A Linear's weight lies in the order of Fortran: to add up arrays in two orders takes ten times as long.
    """
    stop = 0
    for like in likes:
        start, stop = stop, stop + like.size
        axes = sorted(range(like.ndim), key=lambda axis: -like.strides[axis])
        place = vector[start:stop].reshape([like.shape[axis] for axis in axes])
        yield place.transpose([axes.index(axis) for axis in range(like.ndim)])


def _digests(x: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and a digest of each array and value in nested dicts and lists."""
    if isinstance(x, dict | list | tuple):
        for name, inside in x.items() if isinstance(x, dict) else enumerate(x):
            yield from _digests(inside, f"{path}[{name!r}]")
    else:
        digest = hashlib.sha256(f"{x.dtype} {x.shape}".encode() if is_array(x) else repr(x).encode())
        if is_array(x):
            digest.update(np.ascontiguousarray(to_numpy(x)).reshape(-1).view(np.uint8).data)  # no copy
        yield path, digest.hexdigest()
