"""PyTorch, where it is installed, has the same losses for all combinations of options, but for what differs on purpose.

`tests/ops/test_oracle.py` says how the comparison is made; it has the losses without options.
"""

import itertools

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import nn
from tinygrad_sm.nn import functional

torch = pytest.importorskip("torch")
F = torch.nn.functional
torch.set_num_threads(1)  # the arrays are small

INF, NAN = np.inf, np.nan
SHAPES = ((5, 3), (3, 4, 2), (2, 3, 2, 2))
REDUCTIONS = ("none", "sum", "mean")


def both(ours, theirs, x, weights, *constants, **options):
    """Return of each framework the value and the gradient; the constants are arrays."""
    z, t = leaf(x, x.dtype), torch.tensor(x, requires_grad=True)
    mine = ours(z, *constants, **weights, **options)
    others = {name: weight if weight is None else torch.tensor(weight) for name, weight in weights.items()}
    other = theirs(t, *map(torch.tensor, constants), **others, **options)
    g = np.random.default_rng(1).uniform(-1, 1, mine.shape)
    gradient = tg.grad(mine, z, g)[0].data
    return (mine.data, gradient), (other.numpy(force=True), torch.autograd.grad(other, t, torch.tensor(g))[0].numpy())


def assert_agrees(results, message):
    for mine, other in zip(*results, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-13, err_msg=str(message))


@pytest.mark.parametrize("shape", SHAPES)
def test_cross_entropy_and_nll_loss(shape):
    random = np.random.default_rng(0)
    N, C, *places = shape
    compared = 0
    for weighted, ignore_index, reduction, smoothing, is_labels in itertools.product(
        (False, True), (-100, 0, 1), REDUCTIONS, (0.0, 0.3, 1.0), (True, False)
    ):
        z, weight = random.uniform(-5, 5, shape), random.uniform(0.5, 2, C) if weighted else None
        options = {"reduction": reduction}
        target = random.integers(0, C, (N, *places)) if is_labels else random.uniform(0, 1, shape)
        if is_labels:
            options["ignore_index"] = ignore_index
            target[0] = ignore_index
            target[1] = 2
            if smoothing == 0:
                assert_agrees(both(functional.nll_loss, F.nll_loss, z, {"weight": weight}, target, **options), options)
        options["label_smoothing"] = smoothing
        results = both(functional.cross_entropy, F.cross_entropy, z, {"weight": weight}, target, **options)
        assert_agrees(results, (weighted, options))
        compared += 1
    assert compared == 108


def test_one_example():
    random = np.random.default_rng(0)
    z, w = random.uniform(-5, 5, 4), random.uniform(0.5, 2, 4)
    targets = (np.array(2), random.uniform(0, 1, 4))
    for target, weight, reduction, smoothing in itertools.product(targets, (None, w), REDUCTIONS, (0.0, 0.3)):
        given = z, {"weight": weight}, target
        options = {"reduction": reduction, "label_smoothing": smoothing}
        results = both(functional.cross_entropy, F.cross_entropy, *given, **options)
        assert_agrees(results, options)
        assert results[0][0].shape == results[1][0].shape == ()
        if target.ndim == 0 and not smoothing:
            assert_agrees(both(functional.nll_loss, F.nll_loss, *given, reduction=reduction), options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in ("relu", "tanh", "sigmoid", "softplus", "logsigmoid", "leaky_relu", "silu", "gelu")),
        ("leaky_relu", {"negative_slope": 0.25}),
        ("gelu", {"approximate": "tanh"}),
    ],
)
def test_activations(name, options):
    x = np.array([-9.0, -3.0, -0.5, 0.0, 0.125, 1.0, 4.0])
    assert_agrees(both(getattr(functional, name), getattr(F, name), x, {}, **options), (name, options))


def test_binary_cross_entropy_and_squares():
    random = np.random.default_rng(0)
    for reduction, weighted, positive in itertools.product(REDUCTIONS, (False, True), (False, True)):
        z, y = random.uniform(-9, 9, (4, 3)), random.uniform(0, 1, (4, 3))
        weights = {
            "weight": random.uniform(0, 2, (4, 1)) if weighted else None,
            "pos_weight": random.uniform(0, 2, 3) if positive else None,
        }
        twins = functional.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits
        assert_agrees(both(*twins, z, weights, y, reduction=reduction), (reduction, weights))
        assert_agrees(both(functional.mse_loss, F.mse_loss, z, {}, y, reduction=reduction), reduction)


ignoring_a_warning = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")


@ignoring_a_warning
@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
def test_losses_of_elements(reduction):
    random = np.random.default_rng(0)
    kink = np.array([[1.0, -1.0, 0.5, -0.5, 0.0, 2.0]] * 2)  # from 0, where the derivatives jump
    z, y, p = random.uniform(-3, 0, (2, 6)), random.uniform(0.1, 1, (2, 6)), random.uniform(0.01, 0.99, (2, 6))
    for log_target in (False, True):
        options = {"reduction": reduction, "log_target": log_target}
        target = np.log(y) if log_target else y * (y > 0.4)
        assert_agrees(both(functional.kl_div, F.kl_div, z, {}, target, **options), options)
    if reduction == "batchmean":
        return
    for x, target in ((z, y), (kink, np.zeros((2, 6)))):
        assert_agrees(both(functional.l1_loss, F.l1_loss, x, {}, target, reduction=reduction), reduction)
        for bound in (0.5, 1.0):
            options = {"reduction": reduction, "delta": bound}
            assert_agrees(both(functional.huber_loss, F.huber_loss, x, {}, target, **options), options)
        for bound in (0.0, 0.5, 1.0):
            options = {"reduction": reduction, "beta": bound}
            assert_agrees(both(functional.smooth_l1_loss, F.smooth_l1_loss, x, {}, target, **options), options)
    for weight in (None, random.uniform(0, 2, (2, 1))):
        twins = functional.binary_cross_entropy, F.binary_cross_entropy
        assert_agrees(both(*twins, p, {"weight": weight}, y, reduction=reduction), reduction)


def test_where_binary_cross_entropy_is_bounded():
    p = np.array([0.0, 0.0, 1.0, 1.0, 1e-45, 1e-20, 1e-13, 1 - 2**-53])
    y = np.array([1.0, 0.3, 0.0, 0.3, 1.0, 1.0, 1.0, 0.0])
    twins = functional.binary_cross_entropy, F.binary_cross_entropy
    mine, other = both(*twins, p, {}, y, reduction="none")
    np.testing.assert_allclose(mine[0], other[0], rtol=1e-14)
    np.testing.assert_allclose(mine[1], other[1], rtol=1e-8)  # its bound is 1e-12 in single precision


@ignoring_a_warning
@pytest.mark.parametrize(
    ("name", "options"),
    [("L1Loss", {}), ("SmoothL1Loss", {}), ("HuberLoss", {}), ("KLDivLoss", {}), ("BCELoss", {}), ("MSELoss", {})]
    + [
        ("SiLU", {}),
        ("Identity", {}),
        ("Identity", {"bias": False}),
        ("LeakyReLU", {}),
        ("LeakyReLU", {"negative_slope": 0.25}),
    ],
)
def test_modules_have_the_defaults_and_the_text_of_pytorchs(name, options):
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    assert repr(ours) == repr(theirs)
    x, y = np.random.default_rng(0).uniform(0.1, 0.9, (2, 4, 3))
    if name.endswith("Loss"):
        assert_agrees(both(ours, theirs, x, {}, y), name)
    else:
        assert_agrees(both(ours, theirs, x - y, {}), name)


def test_a_module_dict_has_the_state_and_the_methods_of_pytorchs():
    def layers(nn):
        modules = nn.ModuleDict({"b": nn.Linear(2, 3), "a": nn.Sequential(nn.Linear(3, 1))})
        modules.update([("c", nn.ReLU()), ("b", nn.Linear(2, 4))])
        modules["d"] = nn.Linear(4, 1)
        del modules["c"]
        return modules

    ours, theirs = layers(nn), layers(torch.nn)
    assert list(ours) == list(theirs)
    assert (repr(ours), len(ours), "a" in ours, "c" in ours) == (
        repr(theirs),
        len(theirs),
        "a" in theirs,
        "c" in theirs,
    )
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    theirs.load_state_dict({name: torch.tensor(value) for name, value in ours.state_dict().items()})
    x = np.ones((3, 2), np.float32)
    np.testing.assert_allclose(ours["b"](x).data, theirs["b"](torch.tensor(x)).numpy(force=True), rtol=1e-6)
    for wrong in ("a.b", "keys", "training", ""):
        for kind, modules in ((nn, ours), (torch.nn, theirs)):
            with pytest.raises((KeyError, TypeError, ValueError)):
                modules[wrong] = kind.ReLU()


def test_softmax_with_a_temperature_and_the_distribution_of_gumbel_softmax():
    z = np.random.default_rng(0).uniform(-3, 3, (2, 5))
    assert_agrees(both(lambda z: functional.softmax(z, 1, 0.3), lambda z: F.softmax(z / 0.3, 1), z, {}), "softmax")
    tg.manual_seed(0)
    torch.manual_seed(0)
    many = np.broadcast_to(z[0], (40_000, 5))
    mine = functional.gumbel_softmax(many, 0.7)
    other = F.gumbel_softmax(torch.tensor(many), 0.7).numpy()
    for moment in (np.mean, np.var):
        np.testing.assert_allclose(moment(mine, axis=0), moment(other, axis=0), atol=0.01)


NO_LABELS = np.full(2, -100)
DIFFERENCES = {  # on purpose: the point, and of ours and PyTorch's the value, and the gradient
    "the mean of examples that are all ignored": (
        ("cross_entropy", [[1.0, 2.0], [0.0, 0.0]], NO_LABELS, {}),
        (0, [[0, 0], [0, 0]]),
        (NAN, [[0, 0], [0, 0]]),
    ),
    "the same of nll_loss": (
        ("nll_loss", [[1.0, 2.0], [0.0, 0.0]], NO_LABELS, {}),
        (0, [[0, 0], [0, 0]]),
        (NAN, [[0, 0], [0, 0]]),
    ),
    "the mean of classes of weight 0": (
        ("cross_entropy", [[0.0, 0.0]], np.array([1]), {"weight": np.array([1.0, 0.0])}),
        (0, [[0, 0]]),
        (NAN, [[NAN, NAN]]),
    ),
    "the same, smoothed": (
        ("cross_entropy", [[0.0, 0.0]], np.array([1]), {"weight": np.array([1.0, 0.0]), "label_smoothing": 0.5}),
        (0, [[0, 0]]),
        (NAN, [[NAN, NAN]]),
    ),
    "a masked class without weight, smoothed": (
        (
            "cross_entropy",
            [[0.0, -INF]],
            np.array([0]),
            {"weight": np.array([1.0, 0.0]), "label_smoothing": 0.5},
        ),
        (0, [[0, 0]]),
        (NAN, [[0, 0]]),
    ),
    "a probability of 0 whose target is 0": (
        ("binary_cross_entropy", [0.0, 1.0], np.array([0.0, 1.0]), {"reduction": "sum"}),
        (0, [1, -1]),
        (0, [0, 0]),
    ),
    "a masked log-probability whose target is 0": (
        ("kl_div", [-INF], np.array([0.0]), {"reduction": "sum"}),
        (0, [0]),
        (NAN, [0]),
    ),
    "a masked log-probability whose target is masked": (
        ("kl_div", [-INF], np.array([-INF]), {"log_target": True, "reduction": "sum"}),
        (0, [0]),
        (NAN, [0]),
    ),
    "a masked logit whose target is 0": (
        ("binary_cross_entropy_with_logits", [-INF], np.array([0.0]), {}),
        (0, [0]),
        (NAN, [0]),
    ),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_differences_are_as_they_are_described(name):
    (loss, point, target, options), *expected = DIFFERENCES[name]
    z, t = leaf(point), torch.tensor(point, dtype=torch.float64, requires_grad=True)
    out = getattr(functional, loss)(z, target, **options)
    out.backward()
    there = {key: torch.tensor(x) if isinstance(x, np.ndarray) else x for key, x in options.items()}
    other = getattr(F, loss)(t, torch.tensor(target), **there)
    other.backward()
    found = (out.data, z.grad), (other.numpy(force=True), t.grad.numpy())
    for results, numbers in zip(found, expected, strict=True):
        for result, number in zip(results, numbers, strict=True):
            np.testing.assert_array_equal(result, np.array(number, float))


def test_weights_of_another_dtype_and_probabilities_with_an_ignore_index_are_errors_there_alone():
    z, y, w = np.zeros((1, 2), np.float32), np.array([[0.5, 0.5]], np.float32), np.array([1.0, 2.0])
    for options, kind in (({"weight": w}, "scalar type"), ({"ignore_index": 1}, "ignore_index is not supported")):
        there = {key: torch.tensor(x) if isinstance(x, np.ndarray) else x for key, x in options.items()}
        with pytest.raises(RuntimeError, match=kind):
            F.cross_entropy(torch.tensor(z), torch.tensor(y if kind[0] == "i" else [1]), **there)
        assert functional.cross_entropy(z, y, **options).dtype == np.float32
