"""The strict double of CuPy goes wrong silently where CuPy does, and counts launches, waits and copies."""

import threading

import numpy as np
import pytest

from tests.backend import strict_cupy
from tests.backend.strict_cupy import EVENTS, PLAIN_KERNELS

xp = strict_cupy.namespace()


@pytest.fixture
def x():
    return xp.asarray(np.arange(6.0).reshape(2, 3))


@pytest.fixture
def i():
    return xp.asarray([0, 1, 1])


def events(f):
    """Return what happened in a call."""
    EVENTS.clear()
    f()
    return {name: count for name, count in EVENTS.items() if count}


# Indices.


def test_integer_arrays_wrap_round_in_every_way_to_use_them(x):
    beyond = xp.asarray([2, -3, 7])
    rows = np.arange(6.0).reshape(2, 3)[[0, 1, 1]]
    for taken in (x[beyond], xp.take(x, beyond, axis=0), x.take(beyond, 0), x[beyond, :], x[[2, -3, 7]]):
        np.testing.assert_array_equal(taken.get(), rows)
    np.testing.assert_array_equal(xp.take(x, xp.asarray([6, 13])).get(), [0, 1])
    np.testing.assert_array_equal(x[xp.asarray([0]), xp.asarray([5])].get(), [2])
    np.testing.assert_array_equal(xp.take_along_axis(x, xp.asarray([[3], [4]]), 1).get(), [[0], [4]])
    x[xp.asarray([2])] = -1.0
    assert x[0].tolist() == [-1, -1, -1]
    xp.add.at(x, xp.asarray([3, 3]), 1.0)
    assert x[1].tolist() == [5, 6, 7]


def test_a_float_index_is_cut_to_an_integer(x):
    assert x[1.9].tolist() == [3, 4, 5]


def test_empty_axes_are_refused():
    empty = xp.zeros((0, 3))
    with pytest.raises(IndexError, match="non-empty take from an empty axes"):
        _ = empty[xp.asarray([0])]
    with pytest.raises(IndexError, match="non-empty take from an empty axes"):
        xp.take(empty, xp.asarray([0]), axis=0)
    for store in (lambda at: empty.__setitem__(at, 1.0), lambda at: xp.add.at(empty, at, 1.0)):
        with pytest.raises(xp.cuda.runtime.CUDARuntimeError, match="cudaErrorIllegalAddress"):
            store(xp.asarray([0]))
        store(xp.asarray([], dtype=np.int64))  # nothing to store: no kernel
    assert empty[xp.zeros(0, np.int64)].shape == (0, 3)


def test_of_values_for_one_place_any_wins():
    winners = set()
    for _ in range(40):
        target = xp.zeros(2)
        target[xp.zeros(3, np.int64)] = xp.asarray([1.0, 2.0, 3.0])
        winners.add(target[0].item())
        assert target[1] == 0
    assert winners == {1, 2, 3}
    target = xp.zeros((2, 5))  # without duplicates, all of it is defined
    target[xp.asarray([1, 0])] = xp.asarray(np.arange(10.0).reshape(2, 5))
    assert target.tolist() == [[5, 6, 7, 8, 9], [0, 1, 2, 3, 4]]


def test_scatter_adds_in_any_order():
    values = xp.asarray(np.float32([1e8, 1.0, -1e8, 1.0, 3.0]))
    sums = set()
    for _ in range(40):
        total = xp.zeros(1, np.float32)
        xp.add.at(total, xp.zeros(5, np.int64), values)
        sums.add(total.item())
    assert len(sums) > 1
    total = xp.zeros(3, np.float32)
    xp.add.at(total, xp.asarray([0, 2, 0]), xp.asarray(np.float32([1, 2, 4])))
    assert total.tolist() == [5, 0, 2]


@pytest.mark.parametrize(
    ("name", "dtypes"),
    [("add", "ilILefd"), ("subtract", "iI"), ("maximum", "ilILfd"), ("minimum", "ilILfd"), ("bitwise_or", "ilIL")],
)
def test_scattering_knows_few_dtypes(name, dtypes, i):
    for char in "?bBhHiIlLefdFD":
        target = xp.zeros(3, char)
        if char in dtypes:
            getattr(xp, name).at(target, i, target[0])
        else:
            with pytest.raises(TypeError, match=rf"cupy\.{name}\.at only supports int32"):
                getattr(xp, name).at(target, i, target[0])


def test_indexing_agrees_with_numpy_where_it_is_defined(i):
    host = np.arange(24.0).reshape(2, 3, 4)
    array, mask = xp.asarray(host), host > 7
    device_mask = xp.asarray(mask)
    for ours, numpys in [
        ((i, ...), (i.get(), ...)),
        ((slice(None), i), (slice(None), i.get())),
        ((0, i), (0, i.get())),
        ((i, slice(None), i), (i.get(), slice(None), i.get())),
        ((None, i, 1), (None, i.get(), 1)),
        (device_mask, mask),
        ((xp.asarray([True, False]), slice(1, 2)), ([True, False], slice(1, 2))),
        ((..., i[:, None], i), (..., i.get()[:, None], i.get())),
        ((1, slice(None, None, -1), slice(3, 0, -2)), (1, slice(None, None, -1), slice(3, 0, -2))),
    ]:
        np.testing.assert_array_equal(array[ours].get(), host[numpys])
    array[device_mask] = 0.0
    array[0, :, i[:2]] = -5.0
    host[mask] = 0
    host[0, :, [0, 1]] = -5
    np.testing.assert_array_equal(array.get(), host)
    xp.put_along_axis(array, xp.asarray(np.zeros((2, 3, 1), int)), 9.0, 2)
    np.put_along_axis(host, np.zeros((2, 3, 1), int), 9.0, 2)
    np.testing.assert_array_equal(array.get(), host)


# Random numbers.


def test_a_seed_gives_the_same_run_but_not_numpys_numbers():
    draws = [xp.random.default_rng(3).random(5).tolist() for _ in range(2)]
    assert draws[0] == draws[1]
    assert draws[0] != np.random.default_rng(3).random(5).tolist()
    xp.random.seed(0)
    first = xp.random.rand(4).tolist()
    xp.random.seed(0)
    assert xp.random.rand(4).tolist() == first != np.random.RandomState(0).rand(4).tolist()


@pytest.mark.parametrize("name", ["normal", "permutation", "shuffle", "choice", "spawn", "bit_generator"])
def test_the_generator_has_cupys_methods_alone(name):
    assert hasattr(np.random.default_rng(0), name)
    assert not hasattr(xp.random.default_rng(0), name)


def test_the_generator_takes_cupys_keywords():
    rng = xp.random.default_rng(0)
    out = xp.empty(4)
    assert rng.random(4, out=out) is out
    assert not xp.isnan(out).any()
    assert rng.standard_normal(3, dtype=np.float32).dtype == np.float32
    assert rng.uniform(2.0, 3.0, 5, dtype=np.float32).dtype == np.float32
    assert rng.integers(3, size=5).dtype == np.int64
    with pytest.raises(TypeError, match="unexpected keyword argument 'loc'"):
        rng.standard_normal(loc=1.0)


# Devices and streams.


def test_two_devices_and_errors_between_them(x):
    assert xp.cuda.runtime.getDeviceCount() == 2
    assert xp.is_available()
    assert xp.cuda.is_available()
    with xp.cuda.Device(1) as device:
        y = xp.ones((2, 3))
        with xp.cuda.Device(0), device:
            assert xp.cuda.Device().id == xp.cuda.runtime.getDevice() == 1
        for wrong in (
            lambda: x + y,
            lambda: y + x,
            lambda: xp.sum(x),
            lambda: x @ y.T,
            lambda: x[xp.asarray([0])],
            lambda: x.__iadd__(1.0),
            lambda: x.fill(1),
            lambda: xp.concatenate([y, x]),
            lambda: xp.where(y > 0, x, 0.0),
            lambda: x.T.reshape(6),
            lambda: x.__setitem__(0, 1.0),
        ):
            with pytest.raises(ValueError, match=r"\(0\) is different from the current device \(1\)"):
                wrong()
        moved = xp.asarray(x)
        assert (moved.device.id, x.device.id, x[0].device.id, x.copy().device.id) == (1, 0, 0, 1)
        assert x.tolist() == moved.tolist()
        assert repr(x) == repr(moved)
    assert xp.zeros(1).device == xp.cuda.Device(0)
    with pytest.raises(ValueError, match=r"\(1\) is different from the current device \(0\)"):
        _ = y * 2.0
    with pytest.raises(RuntimeError, match="cudaErrorInvalidDevice"):
        xp.cuda.Device(2).use()
    xp.cuda.Device(1).use()
    try:
        assert xp.zeros(1).device.id == 1
        seen = []
        thread = threading.Thread(target=lambda: seen.append(xp.zeros(1).device.id))
        thread.start()
        thread.join()
        assert seen == [0]
    finally:
        xp.cuda.Device(0).use()


def test_streams_and_versions():
    assert xp.cuda.get_current_stream() is xp.cuda.Stream.null
    with xp.cuda.Stream(non_blocking=True) as stream:
        assert xp.cuda.get_current_stream() is stream
    assert xp.cuda.runtime.runtimeGetVersion() >= 12000 <= xp.cuda.runtime.driverGetVersion()
    start, end = xp.cuda.Event(), xp.cuda.Event()
    start.record()
    end.record()
    assert xp.cuda.get_elapsed_time(start, end) >= 0
    assert events(xp.cuda.get_current_stream().synchronize) == {"sync": 1}
    assert events(xp.cuda.Device(0).synchronize) == {"sync": 1}
    assert events(end.synchronize) == {"sync": 1}


# Counts.

LAUNCH, NOTHING = {"launch": 1}, {}
TO_HOST = {"sync": 1, "d2h": 1}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda x, i: x + x, LAUNCH),
        (lambda x, i: x * 2.0, LAUNCH),
        (lambda x, i: 2.0 / x, LAUNCH),
        (lambda x, i: -x, LAUNCH),
        (lambda x, i: x**2, LAUNCH),
        (lambda x, i: x == x, LAUNCH),
        (lambda x, i: x.__iadd__(x), LAUNCH),
        (lambda x, i: xp.exp(x, out=x), LAUNCH),
        (lambda x, i: np.exp(x), LAUNCH),
        (lambda x, i: x.__setitem__(..., 0.0), LAUNCH),
        (lambda x, i: x.__setitem__(0, x[1]), LAUNCH),
        (lambda x, i: x.__setitem__(i, 0.0), LAUNCH),
        (lambda x, i: xp.add.at(x, i, 1.0), LAUNCH),
        (lambda x, i: x[i], LAUNCH),
        (lambda x, i: xp.take(x, i, axis=0), LAUNCH),
        (lambda x, i: x.sum(), LAUNCH),
        (lambda x, i: xp.max(x, axis=1, keepdims=True), LAUNCH),
        (lambda x, i: xp.add.reduce(x), LAUNCH),
        (lambda x, i: x @ x.T, LAUNCH),
        (lambda x, i: xp.einsum("ij,kj->ik", x, x), LAUNCH),
        (lambda x, i: xp.tensordot(x, x), LAUNCH),
        (lambda x, i: xp.where(x > 0, x, 0.0), {"launch": 2}),
        (lambda x, i: xp.clip(x, 0, 1), LAUNCH),
        (lambda x, i: xp.concatenate([x, x]), LAUNCH),
        (lambda x, i: xp.zeros(3), LAUNCH),
        (lambda x, i: xp.arange(3), LAUNCH),
        (lambda x, i: xp.random.default_rng(0).random(3), LAUNCH),
        (lambda x, i: x.copy(), LAUNCH),
        (lambda x, i: xp.array(x), LAUNCH),
        (lambda x, i: x.astype(np.float32), LAUNCH),
        (lambda x, i: x.T.reshape(6), LAUNCH),
        (lambda x, i: x.T.ravel(), LAUNCH),
        (lambda x, i: xp.stack([x[0, 0], x[0, 1]]), LAUNCH),
        (lambda x, i: xp.asarray([x[0, 0], x[0, 1]]), LAUNCH),
        (lambda x, i: xp.empty(3), NOTHING),
        (lambda x, i: x.reshape(3, 2).ravel(), NOTHING),
        (lambda x, i: x.T, NOTHING),
        (lambda x, i: xp.swapaxes(x, 0, 1)[::2, None], NOTHING),
        (lambda x, i: xp.broadcast_to(x, (4, 2, 3)), NOTHING),
        (lambda x, i: xp.split(x, 2), NOTHING),
        (lambda x, i: xp.broadcast_arrays(x, x[0]), NOTHING),
        (lambda x, i: xp.squeeze(xp.expand_dims(x, 0)), NOTHING),
        (lambda x, i: x[0, 0], NOTHING),
        (lambda x, i: xp.asarray(x).astype(np.float64, copy=False), NOTHING),
        (lambda x, i: (x.shape, len(x), x.dtype, xp.result_type(x, 1.0), xp.ndim(x)), NOTHING),
        (lambda x, i: x.get(), TO_HOST),
        (lambda x, i: xp.asnumpy(x), TO_HOST),
        (lambda x, i: x[0, 0].item(), TO_HOST),
        (lambda x, i: float(x[0, 0]), TO_HOST),
        (lambda x, i: int(x[0, 0]), TO_HOST),
        (lambda x, i: bool(x[0, 0]), TO_HOST),
        (lambda x, i: x.tolist(), TO_HOST),
        (lambda x, i: repr(x), TO_HOST),
        (lambda x, i: f"{x[0, 0]:.1f}", TO_HOST),
        (lambda x, i: 2.0 in x[0], {"launch": 3, "sync": 3, "d2h": 3}),
        (lambda x, i: xp.asarray(np.ones(3)), {"h2d": 1}),
        (lambda x, i: xp.array([1.0, 2.0]), {"h2d": 1}),
        (lambda x, i: x.set(np.ones((2, 3))), {"h2d": 1}),
        (lambda x, i: x[[0, 1]], {"launch": 1, "h2d": 1}),
        (lambda x, i: x[np.array([0, 1])], {"launch": 1, "h2d": 1}),
        (lambda x, i: xp.take(x, [0, 1]), {"launch": 1, "h2d": 1}),
        (lambda x, i: x.__setitem__(i, np.ones((3, 3))), {"launch": 1, "h2d": 1}),
        (lambda x, i: x[x > 0], {"launch": 2, "sync": 1}),
        (lambda x, i: x.__setitem__(x > 0, 0.0), {"launch": 2, "sync": 1}),
        (lambda x, i: xp.nonzero(x), {"launch": 1, "sync": 1}),
        (lambda x, i: xp.where(x), {"launch": 1, "sync": 1}),
        (lambda x, i: xp.argwhere(x), {"launch": 1, "sync": 1}),
        (lambda x, i: xp.unique(i), {"launch": 1, "sync": 1}),
        (lambda x, i: xp.compress(i, x, axis=1), {"launch": 1, "sync": 1}),
    ],
)
def test_counts(x, i, call, expected):
    assert events(lambda: call(x, i)) == expected


# Fused functions and kernels.


def test_a_fused_function_is_one_launch_on_the_device_and_plain_on_the_host(x):
    @xp.fuse(kernel_name="scaled")
    def scaled(a, b):
        return xp.exp(a) * b + 1.0

    expected = np.exp(x.get()) * 2 + 1
    assert events(lambda: scaled(x, 2.0)) == LAUNCH
    np.testing.assert_allclose(scaled(x, 2.0).get(), expected)
    assert type(xp.fuse(lambda a: a * 2 + 1)(np.ones(2))) is np.ndarray
    nested = xp.fuse()(lambda a: scaled(a, 2.0).sum())
    assert events(lambda: nested(x)) == LAUNCH
    for wrong in (lambda a: a.reshape(6), lambda a: a @ a.T, lambda a: xp.take(a, 0), lambda a: xp.mean(a)):
        with pytest.raises(TypeError, match="cannot stand in a fused function"):
            xp.fuse(wrong)(x)
    with pytest.raises(TypeError, match="about to wait for the device"):
        xp.fuse(lambda a: a * float(a.sum()))(x)
    with pytest.raises(TypeError, match="Invalid argument type"):
        scaled(x, np.ones(3))
    assert events(lambda: x + 1) == LAUNCH  # and nothing of it remains


@pytest.fixture
def kernels():
    before = dict(PLAIN_KERNELS)
    yield PLAIN_KERNELS
    PLAIN_KERNELS.clear()
    PLAIN_KERNELS.update(before)


def test_a_kernel_is_one_launch_of_its_plain_function(x, kernels):
    axpy = xp.ElementwiseKernel("T x, T y, float32 a", "T z", "z = a * x + y", "axpy")
    with pytest.raises(NotImplementedError, match=r"PLAIN_KERNELS\['axpy'\] = function of NumPy arrays"):
        axpy(x, x, 2.0)

    def plain(x, y, a, z=None):
        assert type(a) is np.float32
        return np.add(a * x, y, out=z)

    kernels["axpy"] = plain
    assert events(lambda: axpy(x, x, 2.0)) == LAUNCH
    assert axpy(x, x, 2.0).tolist() == (3 * x).tolist()
    out = xp.empty((2, 3))
    assert axpy(x, x, 2.0, out) is out
    assert out.tolist() == (3 * x).tolist()


def test_a_kernel_keeps_cupys_calling_convention(x, kernels):
    def kernel(ins, outs, plain=None, **options):
        kernels["k"] = plain or (lambda *arrays: arrays[0].copy())
        return xp.ElementwiseKernel(ins, outs, "", "k", **options)

    def write_into_input(a):
        a[...] = 0

    single = x.astype(np.float32)
    for call, error, message in [
        (lambda: kernel("T x", "T y")(), TypeError, "Wrong number of arguments for 'k'. It must be either 1 or 2"),
        (lambda: kernel("T x", "T y")(x, x, x), TypeError, "but given 3"),
        (lambda: kernel("T x", "T y")(x, foo=1), TypeError, "Wrong arguments"),
        (lambda: kernel("T x", "T y")(np.ones(3)), TypeError, "Unsupported type <class 'numpy.ndarray'>"),
        (lambda: kernel("float32 x", "T y")(x, x), TypeError, "Type is mismatched. x float64 float32"),
        (lambda: kernel("T x, T y", "T z")(x, single), TypeError, "Type is mismatched. y float32 float64"),
        (lambda: kernel("T x", "S y")(x), ValueError, "S is ambiguous"),
        (lambda: kernel("T x", "raw T y")(x), ValueError, "Output array size is Undecided"),
        (lambda: kernel("raw T x", "T y")(x), ValueError, "Loop size is undecided"),
        (lambda: kernel("T x", "T y")(x, size=3), ValueError, "only if all of the ndarray are 'raw'"),
        (lambda: kernel("T x", "T y")(x, xp.empty(3)), ValueError, "Out shape is mismatched"),
        (lambda: kernel("T x", "T y")(x, np.empty(3)), TypeError, "Output arguments type must be cupy.ndarray"),
        (lambda: kernel("T x", "float32 y")(x), TypeError, "expected float32, got float64"),
        (lambda: kernel("T x", "T y, T z")(x), TypeError, "must return 2 outputs"),
        (lambda: kernel("T x", "T y")(x, xp.empty((2, 3))), TypeError, "must write into the outputs"),
        (lambda: kernel("T x", "T y", write_into_input)(x), ValueError, "read-only"),
        (lambda: kernel("T const x", "T y"), ValueError, 'Unknown keyword "T"'),
    ]:
        with pytest.raises(error, match=message):
            call()
    assert kernel("T x", "T y", return_tuple=True)(x)[0].tolist() == x.tolist()
    assert kernel("raw T x", "T y", lambda a: a.reshape(-1)[:4].copy())(x, size=4).shape == (4,)
    assert kernel("T x", "raw T y", lambda a, y: y.fill(1), no_return=True)(x, xp.empty(1)) is None
