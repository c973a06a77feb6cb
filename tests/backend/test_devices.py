"""Devices: named, chosen, reported, never mixed; and a step of the flagship waits for nothing and copies nothing."""

import pickle
import subprocess
import sys
import types

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import of_the_wing
from tinygrad_sm import DeviceError, Tensor, backend, nn
from tinygrad_sm.backend import array_report
from tinygrad_sm.datasets import DataLoader, mnist, scaled_mnist
from tinygrad_sm.engine import backward


def test_tensors_go_where_they_are_told(strict):
    cupy = strict.namespace()
    for there in (
        Tensor([1.0, 2.0], device="cuda"),
        Tensor([1.0, 2.0]).to("cuda"),
        Tensor(np.array([1, 2], np.float32), device="cuda:0"),
        Tensor(cupy.array([1, 2], "float32")),
        tg.ones_like(Tensor([0.0, 0.0], device="cuda")) * tg.arange(1.0, 3.0, device="cuda"),
    ):
        assert (there.device, type(there.data), there.dtype) == ("cuda:0", cupy.ndarray, np.float32)
        assert there.to("cuda") is there
        assert there.to("cuda:0") is there
        assert there.tolist() == there.to("cpu").tolist() == there.numpy().tolist() == [1.0, 2.0]
        assert there.to("cpu").device == "cpu"
    assert Tensor([1.0], device="cuda:1").device == "cuda:1"
    assert Tensor([1.0], device="cuda:1").to("cuda:0").device == "cuda:0"
    with cupy.cuda.Device(1):
        assert Tensor([1.0], device="cuda").device == "cuda:1"


def test_gradients_come_back_to_where_the_leaf_is(strict):
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x.to("cuda") ** 2).to("cpu").sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
    assert type(x.grad) is np.ndarray
    (first,) = tg.grad((x.to("cuda") ** 3).sum(), x, create_graph=True)
    assert first.device == "cpu"
    assert tg.grad(first.sum(), x)[0].tolist() == [6.0, 12.0]


def test_the_default_device_is_for_what_is_new(strict):
    old = Tensor([1.0])
    tg.set_default_device("cuda")
    try:
        assert Tensor([1.0]).device == Tensor(np.ones(1)).device == tg.zeros(2).device == tg.randn(2).device == "cuda:0"
        assert nn.Linear(2, 3).weight.device == "cuda:0"
        assert Tensor([1.0], device="cpu").device == old.detach().device == Tensor(old).device == "cpu"
        assert old.exp().device == tg.zeros_like(old).device == "cpu"
        assert [x.device.id for x, _ in DataLoader((np.ones(3), np.ones(3)), 3)] == [0]
        tg.set_default_device("cuda:1")
        assert (Tensor([1.0]) * 2).device == "cuda:1"
    finally:
        tg.set_default_device("cpu")
    assert Tensor([1.0]).device == "cpu"


def test_devices_are_never_mixed(strict):
    here, there, other = (Tensor([1.0, 2.0], requires_grad=True, device=d) for d in ("cpu", "cuda", "cuda:1"))
    both = r"expected arrays on one device, got some on .* and some on .*: move them with \.to\("
    for mixed in (
        lambda: here + there,
        lambda: there * here,
        lambda: there @ here.data,
        lambda: here.data * there,
        lambda: there.data * here,
        lambda: tg.maximum(here, there.data),
        lambda: tg.where(np.array([True, False]), there, 0.0),
        lambda: tg.concatenate([here, there]),
        lambda: there + other,
        lambda: nn.functional.cross_entropy(there.reshape(1, 2), np.array([1])),
        lambda: nn.functional.mse_loss(there, here),
        lambda: nn.functional.accuracy(there.reshape(1, 2), np.array([1])),
        lambda: nn.functional.nll_loss(there.reshape(1, 2), np.array([1])),
        lambda: nn.functional.binary_cross_entropy_with_logits(there, here),
        lambda: nn.functional.cross_entropy(there.reshape(1, 2), there.data[:1].astype(int), weight=np.ones(2)),
        lambda: there > here,
        lambda: tg.clip(there, np.zeros(2), 1.0),
        lambda: here[there.data.astype(int)],
        lambda: tg.take_along_axis(here, there.data.astype(int), 0),
        lambda: (there * 2).backward(np.ones(2, np.float32)),
        lambda: (here * 2).backward(there.data),
    ):
        with pytest.raises(DeviceError, match=both):
            mixed()
    with pytest.raises(DeviceError, match=r"on cuda:1, but the current GPU is cuda:0.*set_default_device\('cuda:1'\)"):
        other * 2
    assert ((there * [1.0, 3.0]).tolist(), (there > 1.5).tolist()) == ([1.0, 6.0], [False, True])  # lists go there


def test_arrays_of_the_device_on_the_left_of_a_tensor(strict):
    x = Tensor([1.0, 2.0], requires_grad=True, device="cuda")
    array = strict.namespace().array([3.0, 4.0], "float32")
    for out in (array * x, x * array):
        assert isinstance(out, Tensor)
        assert out.tolist() == [3.0, 8.0]
        out.sum().backward()
    assert x.grad.tolist() == [6.0, 8.0]
    assert isinstance(array @ x, Tensor)
    assert (array < x).tolist() == [False, False]


def test_what_a_hook_returns_is_where_the_gradient_was(strict):
    x = Tensor([1.0, 2.0], requires_grad=True, device="cuda")
    x.register_hook(lambda g: g.get())
    with pytest.raises(DeviceError, match="a hook: expected arrays on one device"):
        (x * 2).sum().backward()
    assert x.grad is None


def test_the_current_gpu_changes_between_forward_and_backward(strict):
    def loss():
        x = Tensor([1.0, 2.0], requires_grad=True)
        return x, (x * 2).sum()

    tg.set_default_device("cuda:1")
    (_, first), (x, second) = loss(), loss()
    tg.set_default_device("cuda:0")
    with pytest.raises(DeviceError, match="on cuda:1, but the current GPU is cuda:0"):
        first.backward()
    tg.set_default_device("cuda:1")
    second.backward()
    assert (x.grad.tolist(), x.grad.device.id) == ([2.0, 2.0], 1)


@pytest.mark.parametrize("use", ["unpickled", "given"])
def test_arrays_that_came_by_themselves_are_known(use, strict):
    cupy = strict.namespace()
    file = pickle.dumps(Tensor([1.0, 2.0], device="cuda"))
    array = cupy.array([1.0, 2.0], "float32")
    del backend._MODULES[cupy.ndarray]  # as in a process that has not asked for a GPU
    backend.PLAIN_OPERANDS.remove(cupy.ndarray)
    if use == "unpickled":
        x = pickle.loads(file)
        assert (x.device, x.tolist(), (x * 2).tolist()) == ("cuda:0", [1.0, 2.0], [2.0, 4.0])
    else:
        assert nn.functional.sparsemax(array).tolist() == [0.0, 1.0]


class OtherArray(np.ndarray):
    """An array of a third module, whose devices have the names that CuPy's have."""

    device = types.SimpleNamespace(id=0)


def test_the_first_gradient_belongs_to_the_module_of_its_result(strict, monkeypatch):
    other = types.SimpleNamespace(ones_like=lambda x: np.ones_like(x).view(OtherArray), multiply=np.multiply)
    monkeypatch.setitem(backend._MODULES, OtherArray, other)
    x = Tensor(2.0, requires_grad=True, device="cuda")
    (x * 3.0).backward()
    assert type(x.grad) is strict.namespace().ndarray
    assert backend.device_of(np.ones(()).view(OtherArray)) == x.device
    root = Tensor(2.0, requires_grad=True)
    root.data = np.ones((), np.float32).view(OtherArray)
    assert type(backward.first_gradient(root)) is OtherArray


@pytest.mark.parametrize("axis", [0, -1])
def test_a_number_is_reduced_along_its_first_axis_as_numpy_does_it(axis, device):
    x = Tensor(np.array(2.0), requires_grad=True, device=device)
    operations = [tg.sum, tg.max, tg.min, tg.prod, tg.cumsum, tg.softmax, tg.log_softmax, tg.logsumexp, tg.norm]
    values = [op(x, axis=axis) for op in operations]
    assert [value.tolist() for value in values] == [2.0, 2.0, 2.0, 2.0, [2.0], 1.0, 0.0, 2.0, 2.0]
    slopes = [tg.grad(value.sum(), x, create_graph=True) for value in values]
    assert [slope.item() for (slope,) in slopes] == [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]
    assert (int(x.argmax(axis)), int(x.argmin(axis))) == (0, 0)
    assert bool(np.any(x, axis=axis)) is bool(np.all(x, axis=axis)) is True
    for op in operations:
        with pytest.raises(np.exceptions.AxisError):
            op(x, axis=1)


def test_logits_of_integers(device):
    logits, labels = np.array([[1, 2, 0], [3, 0, 1]]), np.array([1, 1])
    loss = nn.functional.cross_entropy(Tensor(logits, device=device), Tensor(labels, device=device))
    assert loss.dtype == np.float64
    expected = (np.log(np.exp(logits).sum(axis=1)) - [2, 0]).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_the_residual_of_probabilities_is_as_precise_as_the_logits(device):
    logits = Tensor(np.eye(3, dtype=np.float32), requires_grad=True, device=device)
    target = Tensor(np.full((3, 3), 1 / 3, np.float32), device=device)
    assert nn.functional.cross_entropy(logits, target).node.saved.dtype == np.float32


def test_measures_look_at_labels(device):
    logits, labels = Tensor(np.eye(3), device=device), Tensor([0, 5, 2], device=device)
    for measure in (nn.functional.accuracy, nn.functional.confusion_matrix):
        with pytest.raises(IndexError, match="got 5 in row 1"):
            measure(logits, labels)


@pytest.mark.parametrize("index", [5, -6, [0, 5], np.array([0, -6]), (slice(None), 7), 1.0, np.array([0.5])])
def test_indices_out_of_range_are_errors_on_every_device(index, device):
    x = Tensor(np.arange(10.0).reshape(5, 2), requires_grad=True, device=device)
    with pytest.raises(IndexError):
        x[index]
    if isinstance(index, np.ndarray):
        with pytest.raises(IndexError):
            x[Tensor(index, device=device)]
        with pytest.raises(IndexError):
            tg.take(x, Tensor(index, device=device), axis=0)


def test_indexing_with_arrays_of_either_side(device):
    x = Tensor(np.arange(10.0).reshape(5, 2), requires_grad=True, device=device)
    rows = np.array([0, 4, 0, -1])
    for index in (rows, rows.tolist(), Tensor(rows, device=device), Tensor(rows, device=device).data):
        x.grad = None
        x[index].sum().backward()
        assert x.grad.tolist() == [[2, 2], [0, 0], [0, 0], [0, 0], [2, 2]]
    assert x[x.data > 7].tolist() == [8.0, 9.0]
    assert x[Tensor(np.array([], int), device=device)].shape == (0, 2)
    x.grad = None
    (x[Tensor(np.array([], int), device=device)].sum() + x.sum()).backward()
    assert x.grad.tolist() == [[1, 1]] * 5


def test_a_hook_that_writes_into_its_gradient_spoils_no_other_walk(device):
    """A hook must not, but if it does, later walks begin with 1 all the same."""

    def double(g):
        g *= 2

    x = Tensor([3.0], requires_grad=True, device=device)
    for hooked in (True, False):
        loss = (x * 1).sum()
        if hooked:
            loss.register_hook(double)
        x.grad = None
        loss.backward()
    assert x.grad.tolist() == [1.0]


def test_what_is_missing_for_a_gpu(monkeypatch):
    def ask():
        with pytest.raises(DeviceError) as raised:
            Tensor([1.0], device="cuda")
        assert not tg.is_available("cuda")
        assert "no GPU: " in array_report()[1]
        return str(raised.value)

    monkeypatch.setitem(sys.modules, "cupy", None)  # import cupy is an ImportError
    assert 'pip install "tinygrad_sm[cuda13]"' in ask()

    class CUDARuntimeError(RuntimeError):
        pass

    def no_driver():
        raise CUDARuntimeError("cudaErrorInsufficientDriver")

    runtime = types.SimpleNamespace(getDeviceCount=no_driver, CUDARuntimeError=CUDARuntimeError)
    cupy = types.SimpleNamespace(ndarray=type("ndarray", (), {}), __version__="14", cuda=types.SimpleNamespace())
    cupy.cuda.runtime = runtime
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert "finds no NVIDIA driver that it can use: cudaErrorInsufficientDriver" in ask()

    def no_device():
        raise CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")

    runtime.getDeviceCount = no_device
    assert "finds no NVIDIA GPU: cudaErrorNoDevice" in ask()
    runtime.getDeviceCount = lambda: 0
    assert "there is no NVIDIA GPU" in ask()


def test_names_of_devices(strict):
    assert [tg.is_available(d) for d in ("cpu", "cuda", "cuda:1", "cuda:2", "cuda:-1", "gpu", "")] == [True] * 3 + [
        False
    ] * 4
    for name, message in {
        "cuda:2": "the GPUs are cuda:0 to cuda:1",
        "tpu": "expected device 'cpu', 'cuda', or",
    }.items():
        for use in (Tensor([1.0]).to, nn.Linear(1, 1).to, tg.set_default_device, lambda d: tg.zeros(1, device=d)):
            with pytest.raises(DeviceError, match=message):
                use(name)


def test_the_report_of_versions_and_devices():
    told = subprocess.run([sys.executable, "-m", "tinygrad_sm"], capture_output=True, text=True, check=True).stdout
    assert told.startswith(f"tinygrad_sm {tg.__version__}, Python 3.")
    assert f"NumPy {np.__version__}" in told
    assert "cuda:0" in told or "no GPU: " in told


def test_messages_name_the_device(strict):
    assert "device=cuda:0" in repr(Tensor([1.0], device="cuda"))
    with pytest.raises(ValueError, match="matmul|dimension|mismatch") as raised:
        tg.matmul(Tensor(np.ones((2, 3)), device="cuda"), Tensor(np.ones((2, 3)), device="cuda"))
    assert raised.value.__notes__ == ["in matmul(float64 (2, 3) on cuda:0, float64 (2, 3) on cuda:0)"]


MODELS = {
    "flagship": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), 15),
    "MLP": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10)), 28),
}


@of_the_wing
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("name", MODELS)
def test_a_step_makes_few_launches_and_neither_waits_nor_copies(name, optimizer, strict):
    make, most_launches = MODELS[name]
    raw = mnist("test", scale=None)
    model = make().to("cuda")
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-5} if optimizer == "SGD" else {"weight_decay": 1e-5}
    optimizer = getattr(nn.optim, optimizer)(model.parameters(), **options)
    loader = DataLoader(raw, 128, shuffle=True, device="cuda", transform=scaled_mnist)
    loss_function, losses = nn.CrossEntropyLoss(), []
    batches = iter(loader)
    for step in range(4):
        strict.EVENTS.clear()
        images, labels = next(batches)
        loss = loss_function(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        if step > 0:  # the first makes what is remembered
            assert set(strict.EVENTS) == {"launch"}
            assert strict.EVENTS["launch"] <= most_launches
    strict.EVENTS.clear()
    tg.stack(losses).numpy()
    assert strict.EVENTS["d2h"] == 1


@pytest.mark.parametrize("compiled", [False, True])
def test_the_flagship_trains_there_as_it_does_here(compiled, device):
    import mnist_softmax

    raw, test = mnist("train", scale=None), mnist("test")
    few = raw._replace(images=raw.images[:2048], labels=raw.labels[:2048])
    options = {"epochs": 2, "batch_size": 128, "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-5, "seed": 0}
    options |= {"transform": scaled_mnist, "compiled": compiled, "quiet": True}
    results = []
    for place in ("cpu", device):
        model, history = mnist_softmax.train(few, test, **options, device=place)
        results.append((model[1].weight.numpy(), [epoch[:3] for epoch in history]))
    (here, history_here), (there, history_there) = results
    np.testing.assert_allclose(there, here, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(history_there, history_here, rtol=1e-4)
