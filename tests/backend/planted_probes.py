"""Short programs that show whether the framework is right on a device: each returns what it computed there.

They look up functions when they run (`functional.accuracy`, never a name imported from there), because bugs are planted
into the package and not in here.
"""

import contextlib
import copy
import tempfile
from pathlib import Path

import numpy as np

import tinygrad_sm as tg
from tinygrad_sm import Tensor, datasets, nn
from tinygrad_sm.nn import functional

_random = np.random.default_rng(0)
X = _random.normal(size=(6, 5)).astype(np.float32)
LABELS = np.array([0, 4, 1, 1, 3, 2])
PIXELS = _random.integers(0, 256, (12, 1, 3, 3), dtype=np.uint8)
DIGITS = _random.integers(0, 4, 12)


def leaf(device, data=X):
    """Return a new Tensor that requires a gradient."""
    return Tensor(np.array(data), requires_grad=True, device=device)


def there(device, data):
    return Tensor(data, device=device)


def gradient_of(f):
    """Return the probe that computes f of a matrix, and its gradient."""

    def probe(device):
        x = leaf(device)
        out = f(x)
        out.sum().backward()
        return [out, x.grad]

    return probe


def loss_of(f, target=LABELS):
    """Return the probe of a loss: its value, and the gradient by the logits."""
    return gradient_of(lambda x: f(x, Tensor(target, device=x.device)))


def train(kind=nn.optim.SGD, **options):
    """Return the probe that trains: a loader with a transform, a layer, a loss, an optimizer, and three steps."""

    def probe(device):
        data = datasets.LabelledImages(PIXELS, DIGITS, tuple("abcd"))
        loader = datasets.DataLoader(data, 4, shuffle=True, device=device, transform=datasets.scaled_mnist)
        model = nn.Sequential(nn.Flatten(), nn.Linear(9, 4)).to(device)
        optimizer, losses = kind(model.parameters(), lr=0.1, **options), []
        for images, labels in loader:
            optimizer.zero_grad()
            losses.append(functional.cross_entropy(model(images), labels))
            losses[-1].backward()
            optimizer.step()
        return [*losses, *model.parameters()]

    return probe


def moving(kind):
    """Return the probe of an optimizer whose parameters move between two steps."""

    def probe(device):
        model = nn.Linear(5, 3)
        optimizer = kind(model.parameters(), lr=0.1)
        for place in ("cpu", device):
            model.to(place).zero_grad()
            (model(there(place, X)) ** 2).sum().backward()
            optimizer.step()
        return list(model.parameters())

    return probe


def moved_before_a_step(device):
    model = nn.Linear(5, 3)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    (model(there("cpu", X)) ** 2).sum().backward()
    model.to(device)
    optimizer.step()
    return list(model.parameters())


def state_before_a_step(device):
    w = leaf(device)
    optimizer = nn.optim.SGD([w], lr=0.1, momentum=0.9)
    for _ in range(2):
        (w * w).sum().backward()
        optimizer.step()
    velocity = optimizer.state_dict()["state"][0]["velocity"]
    optimizer.step()
    return [velocity]


def state_from_a_file(device):
    with tempfile.TemporaryDirectory() as folder:
        path, w = Path(folder) / "w.safetensors", nn.Linear(2, 2).to(device)
        optimizer = nn.optim.Adam(w.parameters())
        w(there(device, np.ones((1, 2), np.float32))).sum().backward()
        optimizer.step()
        nn.save(path, w, optimizer)
        nn.load(path, w, optimizer)
    return [w.weight, optimizer.state_dict()["state"][0]["mean"]]


def bad_labels(classes, **options):
    """Return the probe that asks whether bad labels are refused, or make the loss NaN and their gradients 0."""

    def probe(device):
        z = leaf(device, np.zeros((3, classes), np.float32))
        with contextlib.suppress(IndexError):
            loss = functional.cross_entropy(z, there(device, np.array([0, classes, -1])), **options)
            loss.backward()
            return [np.isnan(loss.item()) and not z.grad[1:].any()]
        return [True]

    return probe


def probabilities_of_many_classes(device):
    """Compute with more numbers than a block for the cache holds."""
    z = leaf(device, np.resize(X, (600, 500)))
    loss = functional.cross_entropy(z, there(device, np.full(z.shape, 0.002, np.float32)))
    loss.backward()
    return [loss, z.grad]


def anomaly_in_labels(device):
    with contextlib.suppress(IndexError), tg.detect_anomaly():
        functional.cross_entropy(leaf(device), there(device, LABELS + 1))
        return ["passed"]
    return ["refused"]


def anomaly(device):
    with contextlib.suppress(FloatingPointError), tg.detect_anomaly():
        tg.exp(leaf(device) + 1000.0)
        return ["passed"]
    return ["found"]


def index_out_of_range(device):
    try:
        return [leaf(device)[there(device, np.array([0, 6]))]]
    except IndexError:
        return ["refused"]


def many_in_few_classes(device):
    labels = np.arange(60) % 3
    logits = np.eye(3, dtype=np.float32)[labels[::-1] % 2]
    return [functional.confusion_matrix(there(device, logits), there(device, labels))]


def second_device(device):
    place = "cpu" if device == "cpu" else "cuda:1"
    return [there(device, X).to(place).device == place]


def second_device_by_default(device):
    tg.set_default_device("cpu" if device == "cpu" else "cuda:1")
    out = tg.ones(3) * 2
    tg.set_default_device(device)
    return [out.sum().item()]


def one_backward_and_another(device):
    """Differentiate leaves that are their own losses: the gradient is the 1 with which every walk begins."""
    first, second = leaf(device, 3.0), leaf(device, 4.0)
    first.backward()
    first.backward()
    second.backward()
    return [first.grad, second.grad]


def backward_here_and_there(device):
    leaves = [leaf("cpu"), leaf(device)]
    for x in leaves:
        x.sum().backward()
    return [x.grad for x in leaves]


def backward_of_one_element(device):
    x = leaf(device)
    (x[:1, :1] * 3).backward()
    return [x.grad]


def clipped_norm(device):
    w, b = leaf(device), leaf(device, X[0])
    (w * 3 + b).sum().backward()
    norm = nn.clip_grad_norm([w, b], 1.0)
    return [norm.data.reshape(1).round(4), w.grad, b.grad]


def clipped_values(device):
    w = leaf(device)
    (w * w).sum().backward()
    nn.clip_grad_value([w], 0.5)
    return [w.grad]


def dropped(device):
    tg.manual_seed(0)
    return [nn.Dropout(0.4)(there(device, X))]


def drawn_into(device):
    tg.manual_seed(0)
    return [nn.init.uniform_(tg.zeros(2, 3, device=device))]


def noisy(device):
    tg.manual_seed(0)
    return [functional.gumbel_softmax(there(device, X))]


def along_an_axis(device):
    x = leaf(device)
    out = tg.take_along_axis(x, there(device, LABELS[:, None]), 1)
    out.sum().backward()
    return [out, x.grad]


def measured(device):
    accuracy = functional.accuracy(there(device, X), there(device, LABELS))
    return [accuracy, isinstance(accuracy, float)]


def copied(device):
    return [copy.deepcopy(leaf(device))]


def printed(device):
    return [repr(there(device, X)).partition(", device")[0]]
