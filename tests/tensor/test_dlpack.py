"""Memory goes between Tensors and the arrays of other libraries without a copy, and what cannot go is refused."""

import sys

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import DeviceError, GradientError, Tensor
from tinygrad_sm.backend import array_module

NEW_NUMPY = tuple(map(int, np.__version__.split(".")[:2])) >= (2, 1)
BASE = np.arange(24.0).reshape(4, 6)
LAYOUTS = {
    "dense": BASE,
    "transposed": BASE.T,
    "strided": BASE[1:, ::2],
    "0-d": np.array(3.0),
    "no elements": np.zeros((0, 3)),
    "of no axes but one element": np.ones((1, 1, 1)),
}
DTYPES = [np.dtype(char) for char in "?bBhHiIqQefdFD"]


class Exporter:
    """An array of a library of its own."""

    def __init__(self, array, device=1):
        self.array = array
        self.device = device

    def __dlpack_device__(self):
        return self.device, 0

    def __dlpack__(self, **keywords):
        return self.array.__dlpack__(**keywords)


def on(device):
    """Return the array module of the device."""
    return array_module(Tensor(1.0, device=device).data)


def place(array):
    return array.__array_interface__["data"][0], array.strides if array.size else None


@pytest.mark.parametrize("array", LAYOUTS.values(), ids=LAYOUTS)
def test_an_array_of_any_layout_comes_in_and_goes_out_where_it_is(array):
    t = tg.from_dlpack(Exporter(array))
    assert place(t.data) == place(array)
    np.testing.assert_array_equal(t.data, array)
    back = np.from_dlpack(Tensor(array))
    assert place(back) == place(array)
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_dtype_is_kept(dtype):
    array = np.array([0, 1, 2]).astype(dtype)
    t = tg.from_dlpack(array)
    assert t.dtype == np.from_dlpack(t if NEW_NUMPY else Tensor(array)).dtype == dtype
    assert place(t.data) == place(array)
    np.testing.assert_array_equal(t.data, array)


def test_what_is_written_on_the_one_side_is_read_on_the_other(device):
    x = on(device).ones(3)
    t = tg.from_dlpack(x)
    assert (t.tolist(), t.device) == ([1, 1, 1], Tensor(x).device)
    x[1] = 5
    assert t.tolist() == [1, 5, 1]
    own = Tensor(x)
    there = on(device).from_dlpack(own)
    own.data[2] = 7
    assert there.tolist() == [1, 5, 7]


def test_gradients_flow_from_what_came_in(device):
    x = on(device).asarray([1.0, 2.0, 4.0])
    t = tg.from_dlpack(x).requires_grad_()
    tg.sum(t * t).backward()
    assert t.grad.tolist() == [2, 4, 8]
    assert type(t.grad) is type(x)


def test_a_tensor_stays_where_its_array_is(strict):
    tg.set_default_device("cuda")
    assert Tensor(np.ones(2)).device == "cuda:0"
    assert tg.from_dlpack(np.ones(2)).device == "cpu"
    assert sum(strict.EVENTS.values()) == 1


def test_two_gpus(strict):
    cupy = strict.namespace()
    with cupy.cuda.Device(1):
        x = cupy.ones(2)
    assert tg.from_dlpack(x).device == "cuda:1"
    assert tg.from_dlpack(x).__dlpack_device__() == (2, 1)


def test_what_requires_a_gradient_does_not_go_out(device):
    w = leaf().to(device).detach().requires_grad_()
    for t in (w, w * 2):
        with pytest.raises(BufferError, match=r"requires a gradient.*use \.detach\(\)"):
            t.__dlpack__()
    with pytest.raises(BufferError):
        tg.from_dlpack(w)
    assert on(device).from_dlpack(w.detach()).tolist() == [1, 2, 3]


def test_a_negative_stride_comes_in_and_does_not_go_out():
    """PyTorch 2.13 aborts the process for one."""
    t = tg.from_dlpack(BASE[::-1])
    assert place(t.data) == place(BASE[::-1])
    for reversed_ in (t, tg.flip(Tensor(BASE), 1)):
        with pytest.raises(BufferError, match=r"expected strides of 0 and more, got \("):
            reversed_.__dlpack__()


def test_keywords_are_handed_on():
    t = Tensor([1.0, 2.0])
    assert t.__dlpack_device__() == (1, 0)
    assert '"dltensor"' in repr(t.__dlpack__(stream=None, max_version=None, dl_device=None, copy=None))
    with pytest.raises((RuntimeError, ValueError), match="stream=None"):  # ValueError since NumPy 2.5
        t.__dlpack__(stream=1)
    if not NEW_NUMPY:
        with pytest.raises(TypeError, match="max_version"):  # at which libraries ask again without it
            t.__dlpack__(max_version=(1, 0))
        return
    assert '"dltensor_versioned"' in repr(t.__dlpack__(max_version=(1, 0)))
    assert not np.shares_memory(np.from_dlpack(t, copy=True), t.data)
    assert np.shares_memory(np.from_dlpack(t, copy=False, device="cpu"), t.data)
    with pytest.raises((BufferError, ValueError), match="device"):
        t.__dlpack__(dl_device=(2, 0))


def test_read_only_memory_is_not_changed():
    x = np.ones(2)
    x.flags.writeable = False
    if NEW_NUMPY:
        assert np.from_dlpack(Tensor(x)).flags.writeable is False
        t = tg.from_dlpack(x)
    else:
        with pytest.raises(BufferError, match="readonly"):
            tg.from_dlpack(x)
        t = tg.from_dlpack(np.ones(2))  # before NumPy 2.2 all are read-only
    with pytest.raises(ValueError, match="read-only"):
        t.assign([2.0, 3.0])
    assert x.tolist() == [1, 1]


def test_what_changes_one_tensor_makes_stale_what_was_recorded_of_the_other():
    first, x = leaf(), leaf()
    second = tg.from_dlpack(first.detach())
    loss = tg.sum(second * x)
    first.assign([7.0, 8.0, 9.0])
    assert second.tolist() == [7, 8, 9]
    with pytest.raises(GradientError, match="changed"):
        loss.backward()
    if second.data.flags.writeable:  # not before NumPy 2.2
        loss = tg.sum(first * x)
        second.assign([1.0, 2.0, 3.0])
        with pytest.raises(GradientError, match="changed"):
            loss.backward()


def test_what_is_no_such_array_is_refused():
    with pytest.raises(TypeError, match=r"expected an array that knows DLPack, got list: use tg\.Tensor\(x\)"):
        tg.from_dlpack([1.0, 2.0])
    with pytest.raises(TypeError, match="mask"):
        tg.from_dlpack(np.ma.array([1.0, 2.0], mask=[True, False]))
    with pytest.raises(BufferError, match="byte order"):
        tg.from_dlpack(BASE.astype(BASE.dtype.newbyteorder()))
    with pytest.raises(BufferError, match="byte order"):
        Tensor(BASE.astype(BASE.dtype.newbyteorder())).__dlpack__()
    with pytest.raises(DeviceError, match="expected memory of the host or of CUDA, got DLPack device type 8"):
        tg.from_dlpack(Exporter(BASE, device=8))


def test_pinned_memory_of_the_host_is_on_the_host():
    assert place(tg.from_dlpack(Exporter(BASE, device=3)).data) == place(BASE)


def test_a_gpu_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError, match="a GPU needs CuPy"):
        tg.from_dlpack(Exporter(BASE, device=2))


# Libraries that are installed nowhere by default.


def test_pytorch_both_ways():
    torch = pytest.importorskip("torch")
    x = torch.arange(6.0).reshape(2, 3)
    t = tg.from_dlpack(x)
    assert place(t.data)[0] == x.data_ptr()
    x[0, 0] = 7
    assert t.tolist() == [[7, 1, 2], [3, 4, 5]]
    t.requires_grad_()
    tg.sum(t * t).backward()
    np.testing.assert_array_equal(t.grad, 2 * x.numpy())
    own = Tensor(np.ones((2, 3), np.float32))
    there = torch.from_dlpack(own)
    assert there.data_ptr() == place(own.data)[0]
    there[1, 2] = 5
    assert own.tolist() == [[1, 1, 1], [1, 1, 5]]
    assert torch.from_dlpack(own.T).stride() == (1, 3)
    for value in (t, t * 2):
        with pytest.raises(BufferError, match=r"use \.detach\(\)"):
            torch.from_dlpack(value)
    with pytest.raises((BufferError, RuntimeError), match="detach"):
        tg.from_dlpack(torch.ones(2, requires_grad=True))
    with pytest.raises(BufferError, match=r"expected strides of 0 and more, got \("):
        torch.from_dlpack(tg.flip(own))
    with pytest.raises((BufferError, RuntimeError), match="dtype"):  # BufferError since NumPy 2.5
        tg.from_dlpack(torch.ones(2, dtype=torch.bfloat16))


@pytest.mark.filterwarnings("default")  # those of the libraries that JAX imports are its own matter
def test_jax_both_ways():
    jax = pytest.importorskip("jax")
    x = jax.numpy.arange(6, dtype="float32").reshape(2, 3)
    t = tg.from_dlpack(x)
    assert place(t.data)[0] == x.unsafe_buffer_pointer()
    with pytest.raises(ValueError, match="read-only"):
        t.assign(np.zeros((2, 3)))
    t.requires_grad_()
    tg.sum(t * t).backward()
    np.testing.assert_array_equal(t.grad, 2 * np.asarray(x))
    memory = np.ones(64 + 16, np.float32)
    own = Tensor(memory[-place(memory)[0] % 64 // 4 :][:64])  # JAX copies what does not begin at a multiple of 64 bytes
    there = jax.numpy.from_dlpack(own)
    assert there.unsafe_buffer_pointer() == place(own.data)[0]
    np.testing.assert_array_equal(there, own.data)
    with pytest.raises(BufferError, match=r"use \.detach\(\)"):
        jax.numpy.from_dlpack(t)
