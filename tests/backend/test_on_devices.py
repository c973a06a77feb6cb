"""Operations, Modules, losses, optimizers, loaders and files give on every device what they give on the host."""

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.cases import CASES
from tinygrad_sm import Tensor, nn
from tinygrad_sm.datasets import DataLoader, mnist, scaled_mnist
from tinygrad_sm.nn import functional

X = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
LABELS = np.array([0, 4, 1, 1, 3, 2])
TARGETS = np.abs(X[::-1]) / np.abs(X[::-1]).sum(axis=1, keepdims=True)


def on(device, *arrays, requires_grad=False):
    return [Tensor(x, requires_grad=requires_grad and x.dtype.kind == "f", device=device) for x in arrays]


def close(result, expected, rtol, atol=0.0):
    """Compare a Tensor or array of any device with an array of the host, in dtype and shape too."""
    result = result.numpy() if isinstance(result, Tensor) else Tensor(result).numpy()
    expected = np.asarray(expected.data if isinstance(expected, Tensor) else expected)
    assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(result, expected, rtol=rtol, atol=atol)


def orders(case, device, arrays):
    """Return the value and the gradients, and then the gradients of the sum of their squares."""
    tensors = on(device, *arrays, requires_grad=True)
    static = {k: Tensor(v, device=device).data if isinstance(v, np.ndarray) else v for k, v in case.static.items()}
    out = case._replace(static=static)(*tensors)
    g = Tensor(np.random.default_rng(1).uniform(0.5, 1.5, out.shape).astype(out.dtype), device=device)
    first = tg.grad(out, tensors, g, create_graph=True, allow_unused=True)
    used = [part for part in first if part is not None and part.requires_grad]
    second = []
    if used:
        total = sum((part * part).sum() for part in used)
        second = tg.grad(total, tensors, allow_unused=True)
    assert {t.device for t in (out, *first, *second) if t is not None} == {tensors[0].device}
    return [out, *first], second


def size(part):
    return 0.0 if part is None else float(np.abs(part.data).max(initial=0))


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_operations(case, dtype, device):
    arrays = case.operands(case.fixed, dtype=dtype)
    rtol = 1e-9 if dtype is np.float64 else 2e-3
    results, expected = orders(case, device, arrays), orders(case, "cpu", arrays)
    # What is summed up to a second derivative is as large as the first ones and may cancel: the rest is rounding noise.
    least = max(size(part) for part in expected[0])
    for some, wanted, scale in zip(results, expected, (0.0, least), strict=True):
        for part, right in zip(some, wanted, strict=True):
            assert (part is None) == (right is None)
            if part is not None:
                close(part, right, rtol, atol=max(scale, size(right)) * rtol / 10)


LAYERS = [
    *(
        nn.ReLU(),
        nn.Sigmoid(),
        nn.Tanh(),
        nn.Softplus(),
        nn.SiLU(),
        nn.GELU("none"),
        nn.GELU("tanh"),
        nn.Softmax(dim=1),
        nn.LogSoftmax(dim=-1),
    ),
    *(nn.Flatten(), nn.Dropout(0.4), nn.Linear(5, 3), nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_layers(layer, device):
    def results(device):
        tg.manual_seed(0)
        layer.to(device).zero_grad()
        (x,) = on(device, X, requires_grad=True)
        out = layer(x)
        (out * out).sum().backward()
        return [out, x.grad, *(p.grad for p in layer.parameters())]

    expected = results("cpu")
    for result, wanted in zip(results(device), expected, strict=True):
        close(result, wanted, rtol=1e-5, atol=1e-6)


def binary_of_sigmoid(z, target):
    return functional.binary_cross_entropy(tg.sigmoid(z), target)


def loss_cases():
    classes = [functional.cross_entropy, functional.nll_loss]
    pairs = [functional.mse_loss, functional.l1_loss, functional.smooth_l1_loss, functional.kl_div, binary_of_sigmoid]
    weight = np.array([1, 2, 0.5, 0.25, 3], np.float32)
    some_ignored = np.where(LABELS == 1, -100, LABELS)
    for loss in (*classes, functional.sparsemax_loss, functional.entmax15_loss):
        for labels in (LABELS, some_ignored, np.full(6, -100)):
            for reduction in ("mean", "sum", "none"):
                yield loss, labels, {"reduction": reduction}
        yield loss, LABELS, {"ignore_index": 3}
        yield loss, np.where(LABELS == 1, -1, LABELS), {"ignore_index": -1}
    for loss in classes:
        yield loss, some_ignored, {"weight": weight}
    for reduction in ("mean", "none"):
        yield functional.cross_entropy, TARGETS, {"reduction": reduction, "weight": weight}
        yield functional.cross_entropy, LABELS, {"reduction": reduction, "label_smoothing": 0.1}
        yield functional.cross_entropy, TARGETS, {"reduction": reduction}
    yield functional.binary_cross_entropy_with_logits, TARGETS, {"pos_weight": 2 * np.ones(5, np.float32)}
    for loss in pairs:
        yield loss, TARGETS, {}


@pytest.mark.parametrize(("loss", "target", "options"), list(loss_cases()))
def test_losses(loss, target, options, device):
    def results(device):
        (x,) = on(device, X, requires_grad=True)
        there = {k: Tensor(v, device=device) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        out = loss(x, Tensor(target, device=device), **there)
        out.sum().backward()
        return out, x.grad

    for result, expected in zip(results(device), results("cpu"), strict=True):
        close(result, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("classes", [5, 100], ids=["kernel", "calls"])
def test_labels_that_nobody_has_looked_at(classes, strict):
    logits = np.random.default_rng(0).normal(size=(5, classes)).astype(np.float32)
    labels = np.array([1, classes, -1, 2, -100])
    (z,) = on("cuda", logits, requires_grad=True)
    losses = functional.cross_entropy(z, Tensor(labels, device="cuda"), reduction="none")
    assert np.isnan(losses.numpy()).tolist() == [False, True, True, False, False]
    assert losses.numpy()[4] == 0
    for loss in (functional.cross_entropy(z, Tensor(labels, device="cuda")), losses.sum()):
        z.grad = None
        assert np.isnan(loss.item())
        loss.backward()
        is_zero = (z.grad.get() == 0).all(axis=1)
        assert is_zero.tolist() == [False, True, True, False, True]
        assert np.isfinite(z.grad.get()).all()
    with tg.detect_anomaly(), pytest.raises(IndexError, match=f"expected 0..{classes - 1} .*, got {classes} in row 1"):
        functional.cross_entropy(z, Tensor(labels, device="cuda"))
    two = Tensor(np.array([1, classes, 2, 2, 0]), device="cuda")
    with tg.detect_anomaly(), pytest.raises(IndexError, match=f"got {classes} in row 1"):
        functional.cross_entropy(z, two, reduction="sum")


def test_probabilities_that_nobody_has_looked_at(strict):
    (p,) = on("cuda", np.array([0.5, 1.5, -0.5, np.nan, 0.0]), requires_grad=True)
    with np.errstate(invalid="ignore"):
        losses = functional.binary_cross_entropy(p, on("cuda", np.full(5, 0.25))[0], reduction="none")
    assert np.isnan(losses.numpy()).tolist() == [False, True, True, True, False]
    with np.errstate(invalid="ignore"):
        assert np.isnan(functional.kl_div(*on("cuda", np.zeros(1), np.full(1, -0.5))).item())


KINDS = [
    (nn.optim.SGD, {"lr": 0.1}),
    (nn.optim.SGD, {"lr": 0.1, "weight_decay": 0.1}),
    (nn.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    (nn.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (nn.optim.Adam, {"lr": 0.1, "weight_decay": 0.1}),
    (nn.optim.AdamW, {"lr": 0.1, "weight_decay": 0.1}),
]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_optimizers(kind, options, dtype, device, tmp_path):
    def results(device):
        w = Tensor(X.astype(dtype), requires_grad=True, device=device)
        optimizer = kind([w], **options)
        for _ in range(5):
            optimizer.zero_grad()
            (w * w * w).sum().backward()
            nn.clip_grad_norm([w], 5.0)
            optimizer.step()
        return [w, *optimizer.state_dict()["state"][0].values()]

    rtol = {"float16": 5e-3, "float32": 1e-5, "float64": 1e-12}[np.dtype(dtype).name]
    for result, expected in zip(results(device), results("cpu"), strict=True):
        close(np.asarray(result) if isinstance(result, int) else result, expected, rtol=rtol, atol=rtol)


def test_x_max_functions_and_draws(device):
    def results(device):
        tg.manual_seed(0)
        (x,) = on(device, X)
        soft = [functional.softmax(x, 1, 0.5), functional.sparsemax(x), functional.entmax15(x)]
        drawn = [functional.gumbel_softmax(x, hard=hard) for hard in (False, True)]
        return [*soft, *drawn, tg.randn(3, device=device), tg.rand(3, device=device)]

    for result, expected in zip(results(device), results("cpu"), strict=True):
        close(result, expected, rtol=1e-5, atol=1e-7)


def test_measures(device):
    logits, labels = on(device, X, LABELS)
    assert functional.accuracy(logits, labels) == functional.accuracy(X, LABELS)
    close(functional.confusion_matrix(logits, labels), functional.confusion_matrix(X, LABELS), rtol=0)
    close(functional.one_hot(labels, 5), functional.one_hot(LABELS, 5), rtol=0)


def test_loaders_give_the_same_batches_there(device):
    raw = mnist("test", scale=None)
    few = raw._replace(images=raw.images[:300], labels=raw.labels[:300])
    here = DataLoader(few, 64, shuffle=True, seed=3, transform=scaled_mnist)
    there = DataLoader(few, 64, shuffle=True, seed=3, transform=scaled_mnist, device=device)
    for (x, y), (images, labels) in zip(here, there, strict=True):
        close(images, x, rtol=1e-6)
        close(labels, y, rtol=0)
    assert there.x.dtype == np.uint8


def test_checkpoints_travel_between_devices(device, tmp_path):
    def model_on(device):
        tg.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 5)).to(device)
        return model, nn.optim.Adam(model.parameters(), lr=0.1)

    def train(model, optimizer, steps, device):
        x, labels = on(device, X, LABELS)
        for _ in range(steps):
            optimizer.zero_grad()
            functional.cross_entropy(model(x), labels).backward()
            optimizer.step()

    whole = model_on("cpu")
    train(*whole, steps=6, device="cpu")
    first = model_on(device)
    train(*first, steps=3, device=device)
    nn.save(tmp_path / "there.safetensors", *first)
    second = model_on("cpu")
    nn.load(tmp_path / "there.safetensors", *second)
    train(*second, steps=2, device="cpu")
    nn.save(tmp_path / "here.safetensors", *second)
    third = model_on(device)
    nn.load(tmp_path / "here.safetensors", *third)
    train(*third, steps=1, device=device)
    for result, expected in zip(third[0].parameters(), whole[0].parameters(), strict=True):
        close(result, expected, rtol=1e-4, atol=1e-6)


def test_an_optimizer_follows_its_parameters(device):
    def results(device):
        tg.manual_seed(0)
        model = nn.Linear(5, 3)
        optimizer = nn.optim.Adam(model.parameters(), lr=0.1)
        for place in ("cpu", device, "cpu"):
            model.to(place)
            for _ in range(2):
                optimizer.zero_grad()
                (model(Tensor(X, device=place)) ** 2).sum().backward()
                optimizer.step()
        return model.weight

    close(results(device), results("cpu"), rtol=1e-4, atol=1e-6)
