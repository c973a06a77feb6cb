"""Every loss, with every combination of its options, is what a loop in plain Python says, and masks keep out of it."""

import itertools
import math
import re

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import Tensor, nn
from tinygrad_sm.nn import functional

INF, NAN = np.inf, np.nan
IGNORED = -100
SHAPES = ((5, 3), (1, 1), (3, 4, 2), (2, 3, 2, 2))  # (N, C, d1, ...)
REDUCTIONS = ("none", "sum", "mean")
TOLERANCE = {"float16": 4e-3, "float32": 3e-6, "float64": 1e-13}


def combinations(**options):
    return [dict(zip(options, values, strict=True)) for values in itertools.product(*options.values())]


COMBINATIONS = combinations(
    weighted=(False, True), ignore_index=(IGNORED, 0, 7), reduction=REDUCTIONS, label_smoothing=(0.0, 0.3, 1.0)
)


def drawn(shape, kind, dtype, ignore_index, seed=0):
    """Return logits, a target of the kind with labels that are ignored, and weights of the classes, one of them 0."""
    random = np.random.default_rng(seed)
    N, C, *places = shape
    logits = random.uniform(-4, 4, shape).astype(dtype)
    weight = random.uniform(0.5, 2, C)
    weight[1:2] = 0
    if kind == "probabilities":
        y = random.uniform(0, 1, shape) * (random.random(shape) < 0.7)
        return logits, y.astype(dtype), weight
    labels = random.integers(0, C, (N, *places))
    labels[random.random(labels.shape) < 0.3] = ignore_index
    return logits, labels, weight


def by_loops(logits, target, weight, ignore_index, reduction, label_smoothing, is_log=False):
    """Return the loss by its formula, number by number, and the gradient of its sum by the logits."""
    N, C, *places = logits.shape
    weight = [1.0] * C if weight is None else weight.tolist()
    losses, gradient, divisor = np.zeros((N, *places)), np.zeros(logits.shape), 0.0
    for n, *place in itertools.product(*map(range, (N, *places))):
        z = [float(logits[n, c, *place]) for c in range(C)]
        largest = max(z)
        log_sum = 0.0 if is_log else largest + math.log(sum(math.exp(t - largest) for t in z))
        if target.ndim == logits.ndim:
            y = [float(target[n, c, *place]) for c in range(C)]
            divisor += 1
        elif target[n, *place] == ignore_index:
            continue
        else:
            y = [float(c == target[n, *place]) for c in range(C)]
            divisor += weight[target[n, *place]]
        mass = [w * ((1 - label_smoothing) * t + label_smoothing / C) for w, t in zip(weight, y, strict=True)]
        losses[n, *place] = -sum(m * (t - log_sum) for m, t in zip(mass, z, strict=True))
        for c in range(C):
            p = 0.0 if is_log else math.exp(z[c] - log_sum)
            gradient[n, c, *place] = p * sum(mass) - mass[c]
    if reduction == "none":
        return losses, gradient
    divisor = divisor if reduction == "mean" else 1.0
    return (losses.sum() / divisor, gradient / divisor) if divisor else (0.0, 0 * gradient)


def value_and_gradient(loss, x, *arguments, **options):
    x = Tensor(x, requires_grad=True)
    out = loss(x, *arguments, **options)
    out.backward(np.ones(out.shape))
    assert out.dtype == x.grad.dtype == x.dtype
    return out.data, x.grad


def assert_close(found, expected, dtype, message=""):
    for x, y in zip(found, expected, strict=True):
        size = max(1.0, np.abs(y).max(initial=0))
        np.testing.assert_allclose(x, y, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * size, err_msg=str(message))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", ["labels", "probabilities"])
@pytest.mark.parametrize("shape", SHAPES)
def test_cross_entropy_is_its_formula_for_all_combinations_of_options(shape, kind, dtype):
    for combination in COMBINATIONS:
        options = dict(combination)
        logits, target, weight = drawn(shape, kind, dtype, options["ignore_index"])
        options["weight"] = weight if options.pop("weighted") else None
        found = value_and_gradient(functional.cross_entropy, logits, target, **options)
        assert_close(found, by_loops(logits, target, **options), dtype, combination)
        plain = functional.cross_entropy(logits, Tensor(target), **options)  # arrays: no tape
        np.testing.assert_array_equal(plain.data, found[0])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
def test_nll_loss_is_its_formula_for_all_combinations_of_options(shape, dtype):
    for combination in COMBINATIONS:
        options = dict(combination)
        if options.pop("label_smoothing"):
            continue
        log_p, labels, weight = drawn(shape, "labels", dtype, options["ignore_index"])
        options["weight"] = weight if options.pop("weighted") else None
        found = value_and_gradient(functional.nll_loss, log_p, labels, **options)
        assert_close(found, by_loops(log_p, labels, **options, label_smoothing=0.0, is_log=True), dtype, combination)


@pytest.mark.parametrize("kind", ["labels", "probabilities"])
def test_one_example_has_the_loss_of_a_batch_of_one(kind, device):
    for seed, combination in itertools.product((0, 3), COMBINATIONS):  # the label of the second seed is ignored
        options = dict(combination)
        logits, target, weight = drawn((1, 3), kind, "float64", options["ignore_index"], seed)
        options["weight"] = weight if options.pop("weighted") else None
        expected = by_loops(logits, target, **options)
        z = Tensor(logits[0], device=device, requires_grad=True)
        given = {**options, "weight": None if options["weight"] is None else Tensor(weight, device=device).data}
        loss = functional.cross_entropy(z, Tensor(target[0], device=device), **given)
        loss.backward()
        assert loss.shape == ()
        assert_close((loss.numpy(), Tensor(z.grad).numpy()), (np.reshape(expected[0], ()), expected[1][0]), "float64")
        if kind == "labels" and not options["label_smoothing"]:
            del given["label_smoothing"]
            log_p = tg.log_softmax(z)
            nll = functional.nll_loss(log_p, Tensor(target[0], device=device), **given)
            assert_close((nll.numpy(),), (loss.numpy(),), "float64")
            assert nll.shape == ()


def test_one_example_for_modules_and_counts():
    z = np.array([0.5, 2.0, 1.0])
    expected = math.log(sum(math.exp(t) for t in z)) - 2.0
    assert nn.CrossEntropyLoss()(z, 1) == pytest.approx(expected)
    assert nn.NLLLoss(reduction="none")(tg.log_softmax(z), np.int64(1)) == pytest.approx(expected)
    for loss in (functional.sparsemax_loss, functional.entmax15_loss):
        assert loss(z, 1) == loss(z[None], [1])
        assert loss(z, 1, reduction="none").shape == ()
    assert (functional.accuracy(z, 1), functional.accuracy(Tensor(z), 0)) == (1.0, 0.0)
    np.testing.assert_array_equal(functional.confusion_matrix(z, 2), [[0, 0, 0], [0, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize("kind", ["labels", "probabilities"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_with_options_is_right_at_both_orders(kind, reduction):
    logits, target, weight = drawn((2, 3, 2), kind, "float64", IGNORED)
    options = {"weight": weight, "label_smoothing": 0.2, "reduction": reduction}
    if kind == "labels":
        tg.gradcheck(lambda z: functional.cross_entropy(z, target, **options), [logits])
    else:
        tg.gradcheck(lambda z, y: functional.cross_entropy(z, y, **options), [logits, target])


@pytest.mark.parametrize("loss", ["cross_entropy", "nll_loss", "sparsemax_loss", "entmax15_loss"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_ignored_examples_have_loss_0_and_gradient_0_whatever_stands_there(loss, reduction):
    loss = getattr(functional, loss)
    z = np.array([[NAN, INF, -INF], [0.5, -0.5, 0.25], [-INF] * 3, [1e300, -1e300, 0]])
    labels = np.array([IGNORED, 2, IGNORED, IGNORED])
    x = leaf(z)
    out = loss(x, labels, reduction=reduction)
    (first,) = tg.grad(out, x, np.ones(out.shape), create_graph=True)
    second = tg.grad((first * first).sum(), x)[0].data if first.requires_grad else np.zeros((4, 3))
    alone, gradient = value_and_gradient(loss, z[1:2], labels[1:2], reduction="sum")
    np.testing.assert_allclose(out.data.sum(), alone, rtol=1e-15)
    for result, row in ((first.data, gradient[0]), (second, second[1])):
        np.testing.assert_array_equal(result[[0, 2, 3]], 0)
        np.testing.assert_allclose(result[1], row, rtol=1e-14)
        assert np.isfinite(row).all()
    found = value_and_gradient(loss, z, np.full(4, IGNORED), reduction=reduction)
    for result in found:
        np.testing.assert_array_equal(result, np.zeros(result.shape))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.5])
@pytest.mark.parametrize("z", [1.0, -INF])
def test_classes_of_weight_0_leave_a_mean_of_0(label_smoothing, z):
    options = {"weight": [1.0, 0.0], "label_smoothing": label_smoothing}  # smoothed, the losses themselves are not 0
    found = value_and_gradient(functional.cross_entropy, np.array([[z, 1.0], [1.0, 1.0]]), [1, 1], **options)
    np.testing.assert_array_equal(found[0], 0)
    np.testing.assert_array_equal(found[1], 0)


def test_masked_classes_without_weight_have_no_part():
    z = np.array([[0.0, -INF, 0.0]])
    for options in ({"weight": [1.0, 0, 1]}, {"weight": [1.0, 0, 1], "label_smoothing": 0.5}, {"reduction": "sum"}):
        for y in ([[0.25, 0.0, 0.75]], [2]):
            value, gradient = value_and_gradient(functional.cross_entropy, z, np.array(y), **options)
            share = 5 / 6 if "label_smoothing" in options else 1  # of the target, on classes that have weight
            np.testing.assert_allclose(value, share * math.log(2), rtol=1e-15)
            assert gradient[0, 1] == 0
            assert np.isfinite(gradient).all()
    value, gradient = value_and_gradient(functional.cross_entropy, z, np.array([2]), label_smoothing=0.5)
    assert value == INF  # a third of a half of the target is masked
    assert np.isfinite(gradient).all()
    value, gradient = value_and_gradient(functional.nll_loss, z, np.array([0]), weight=[2.0, 1, 1])
    np.testing.assert_array_equal(gradient, [[-1, 0, 0]])


@pytest.mark.parametrize("options", [{}, {"reduction": "sum"}, {"weight": [1, 1]}, {"label_smoothing": 0.1}])
def test_labels_of_a_dtype_that_cannot_hold_the_ignored_one(options):
    logits, labels = np.array([[1.0, 2.0], [0.0, 1.0]]), [1, 0]
    expected = functional.cross_entropy(logits, labels, **options)
    for dtype in (np.uint8, np.int8, np.uint64):
        assert functional.cross_entropy(logits, np.array(labels, dtype), **options) == expected


BINARY = combinations(weighted=(False, True), positive=(False, True), reduction=REDUCTIONS)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_binary_cross_entropy_is_its_formula_for_all_combinations_of_options(dtype):
    random = np.random.default_rng(0)
    logits = random.uniform(-4, 4, (4, 3)).astype(dtype)
    y = random.uniform(0, 1, (4, 3)).round(1).astype(dtype)
    weight, pos_weight = random.uniform(0.5, 2, (4, 1)), random.uniform(0.5, 2, 3)
    for combination in BINARY:
        losses, gradient = np.zeros((4, 3)), np.zeros((4, 3))
        for i, j in itertools.product(range(4), range(3)):
            w = weight[i, 0] if combination["weighted"] else 1.0
            q = pos_weight[j] if combination["positive"] else 1.0
            t = float(y[i, j])
            s = 1 / (1 + math.exp(-float(logits[i, j])))
            losses[i, j] = -w * (q * t * math.log(s) + (1 - t) * math.log(1 - s))
            gradient[i, j] = w * ((1 - t) * s - q * t * (1 - s))
        divisor = {"none": 1, "sum": 1, "mean": 12}[combination["reduction"]]
        expected = (losses if combination["reduction"] == "none" else losses.sum() / divisor), gradient / divisor
        found = value_and_gradient(
            functional.binary_cross_entropy_with_logits,
            logits,
            y,
            weight if combination["weighted"] else None,
            combination["reduction"],
            pos_weight if combination["positive"] else None,
        )
        assert_close(found, expected, dtype, combination)


@pytest.mark.parametrize(("dtype", "huge"), [(np.float32, 1e4), (np.float64, 1e300), (np.float64, INF)])
def test_binary_cross_entropy_of_extreme_logits(dtype, huge):
    z = np.array([huge, -huge, huge, -huge, 40, -40], dtype)
    y = np.array([1, 0, 0, 1, 1, 0], dtype)
    value, gradient = value_and_gradient(functional.binary_cross_entropy_with_logits, z, y, reduction="none")
    tail = math.exp(-40)
    np.testing.assert_allclose(value, [0, 0, huge, huge, tail, tail], rtol=1e-6)
    np.testing.assert_allclose(gradient, [0, 0, 1, -1, -tail, tail], rtol=1e-6, atol=1e-18)
    masked = functional.binary_cross_entropy_with_logits(z, 1 - y, weight=np.zeros(6), reduction="sum")
    assert masked == 0


def test_binary_cross_entropy_and_squares_are_right_at_both_orders_for_both_operands():
    random = np.random.default_rng(0)
    x, y = random.uniform(-3, 3, (2, 3)), random.uniform(0.1, 0.9, (2, 3))
    q, w = np.array([0.5, 2.0, 3.0]), np.array([[1.0], [2.0]])
    tg.gradcheck(lambda x, y: functional.binary_cross_entropy_with_logits(x, y, w, pos_weight=q), [x, y])
    tg.gradcheck(functional.mse_loss, [x, y])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_squares(shape, dtype):
    random = np.random.default_rng(0)
    x, y = random.uniform(-3, 3, shape).astype(dtype), random.integers(-3, 3, shape)  # integers do not widen x
    squares = (x.astype(float) - y) ** 2
    for reduction, expected in (("none", squares), ("sum", squares.sum()), ("mean", squares.mean())):
        gradient = 2 * (x.astype(float) - y) / (squares.size if reduction == "mean" else 1)
        found = value_and_gradient(functional.mse_loss, x, y, reduction=reduction)
        assert_close(found, (expected, gradient), dtype)


def test_half_precision_neither_overflows_nor_stalls():
    x = np.full(70_000, 2.0, np.float16)
    assert functional.mse_loss(x, np.zeros_like(x)) == 4
    assert abs(functional.binary_cross_entropy_with_logits(x, np.zeros_like(x)) - math.log(1 + math.e**2)) < 2e-3
    z = np.zeros((20_000, 100), np.float16)
    labels = np.zeros(20_000, np.int64)
    for loss in (
        functional.cross_entropy(z, labels, label_smoothing=0.1),
        functional.nll_loss(tg.log_softmax(z), labels),
        functional.nll_loss(tg.log_softmax(z), labels, weight=np.ones(100)),
    ):
        assert loss.dtype == np.float16
        assert abs(loss - math.log(100)) < 5e-3


def test_modules_pass_their_options_on_and_keep_weights_as_buffers():
    random = np.random.default_rng(0)
    z, labels, y = random.random((4, 3)), np.array([0, 2, 1, 7]), random.random((4, 3))
    w = np.array([1.0, 2.0, 3.0])
    pairs = [
        (nn.CrossEntropyLoss(w, 7, "sum", 0.1), (z, labels), functional.cross_entropy(z, labels, w, 7, "sum", 0.1)),
        (nn.NLLLoss(w, 7, "none"), (z, labels), functional.nll_loss(z, labels, w, 7, "none")),
        (nn.MSELoss("sum"), (z, y), functional.mse_loss(z, y, "sum")),
        (
            nn.BCEWithLogitsLoss(w, "none", w + 1),
            (z, y),
            functional.binary_cross_entropy_with_logits(z, y, w, "none", w + 1),
        ),
    ]
    for module, arguments, expected in pairs:
        np.testing.assert_array_equal(module(*arguments), expected)
        assert not list(module.parameters())
    assert pairs[0][0].state_dict().keys() == {"weight"}
    assert pairs[3][0].state_dict().keys() == {"weight", "pos_weight"}
    assert nn.CrossEntropyLoss().state_dict() == {}


def test_accuracy_and_the_confusion_matrix_count():
    random = np.random.default_rng(0)
    for shape in ((40, 3), (5, 4, 6)):
        N, C, *places = shape
        logits, labels = random.integers(0, 3, shape).astype(float), random.integers(0, C, (N, *places))
        counts = [[0] * C for _ in range(C)]
        for n, *place in itertools.product(*map(range, (N, *places))):
            row = logits[n, :, *place].tolist()
            counts[labels[n, *place]][row.index(max(row))] += 1
        found = functional.confusion_matrix(Tensor(logits), Tensor(labels))
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, counts)
        accuracy = functional.accuracy(Tensor(logits, requires_grad=True), labels)
        assert type(accuracy) is float
        assert accuracy == sum(counts[c][c] for c in range(C)) / labels.size


X, Y = np.zeros((4, 3)), np.zeros(4, int)
BCE = functional.binary_cross_entropy_with_logits
ERRORS = {
    "(N,) against (N, 1)": (
        lambda: functional.mse_loss(np.zeros(4), np.zeros((4, 1))),
        ValueError,
        r"mse_loss: expected a target of the input's shape \(4,\), got float64 \(4, 1\): reshape the target with "
        r"\.reshape\(4\)",
    ),
    "(N, 1) against (N,)": (
        lambda: nn.MSELoss()(np.zeros((4, 1)), np.zeros(4)),
        ValueError,
        r"mse_loss: .* shape \(4, 1\), got float64 \(4,\): reshape the target with \.reshape\(4, 1\)",
    ),
    "a number against many": (
        lambda: BCE(X, 1.0),
        ValueError,
        r"binary_cross_entropy_with_logits: expected a target of the input's shape \(4, 3\), got float32 \(\)",
    ),
    "shapes that no reshape can mend": (lambda: functional.mse_loss(X, X.T), ValueError, r"mse_loss: .*\(3, 4\)"),
    "nothing": (
        lambda: functional.mse_loss([], []),
        ValueError,
        r"mse_loss: expected at least one element, got an empty input of shape \(0,\)",
    ),
    "labels with an axis too many": (
        lambda: functional.cross_entropy(np.zeros((4, 3, 2)), np.zeros((4, 2, 1), int)),
        ValueError,
        r"cross_entropy: \(4, 3, 2\) needs labels of shape \(4, 2\) or probabilities of shape \(4, 3, 2\), got int64 "
        r"\(4, 2, 1\): reshape it with \.reshape\(4, 2\)",
    ),
    "labels in a column for nll_loss": (
        lambda: functional.nll_loss(X, Y[:, None]),
        ValueError,
        r"nll_loss: \(4, 3\) needs labels of shape \(4,\), got int64 \(4, 1\): reshape it with \.reshape\(4\)",
    ),
    "a bad label at a place": (
        lambda: functional.cross_entropy(np.zeros((2, 3, 2)), np.array([[0, -100], [3, 1]])),
        IndexError,
        r"labels: expected 0\.\.2 for 3 classes, got 3 at \[1, 0\]",
    ),
    "a label that only another ignore_index would allow": (
        lambda: functional.cross_entropy(X, np.array([0, -100, 1, 2]), ignore_index=-1),
        IndexError,
        r"labels: expected 0\.\.2 for 3 classes, got -100 in row 1\n.*",
    ),
    "float labels among which one is ignored": (
        lambda: functional.cross_entropy(X, np.array([0.0, -100.0, 1.0, 2.0])),
        TypeError,
        r"labels: expected integers, got float64.*\n.*",
    ),
    "an unknown reduction": (
        lambda: functional.cross_entropy(X, Y, reduction="avg"),
        ValueError,
        "cross_entropy: expected reduction to be 'none', 'mean' or 'sum', got 'avg'",
    ),
    "an unknown reduction of a Module": (lambda: nn.MSELoss("avg"), ValueError, "MSELoss: expected reduction .*'avg'"),
    "smoothing beyond 1": (
        lambda: functional.cross_entropy(X, Y, label_smoothing=1.5),
        ValueError,
        r"cross_entropy: expected label_smoothing to be a number from 0 to 1, got 1\.5",
    ),
    "weights of other classes": (
        lambda: functional.cross_entropy(X, Y, weight=[1.0, 2.0]),
        ValueError,
        r"cross_entropy: expected weight of shape \(3,\), a number for each class; got float32 \(2,\)",
    ),
    "one weight for all classes": (lambda: functional.nll_loss(X, Y, weight=[1.0]), ValueError, ".*weight.*got.*"),
    "weights that require a gradient": (
        lambda: functional.cross_entropy(X, Y, weight=leaf()),
        TypeError,
        r"cross_entropy has no gradient with respect to weight: pass weight\.detach\(\)",
    ),
    "pos_weight that does not fit": (
        lambda: BCE(X, X, pos_weight=np.ones((4, 1, 1))),
        ValueError,
        r"binary_cross_entropy_with_logits: expected pos_weight of shape \(4, 3\), or one that broadcasts to it; got "
        r"float64 \(4, 1, 1\)",
    ),
    "logits without classes": (
        lambda: functional.cross_entropy(np.zeros(4), np.zeros(3, int)),
        ValueError,
        r"cross_entropy: \(4,\) needs labels of shape \(\) or probabilities of shape \(4,\), got int64 \(3,\)",
    ),
    "accuracy of probabilities as labels": (
        lambda: functional.accuracy(X, X),
        ValueError,
        r"accuracy: \(4, 3\) needs labels of shape \(4,\), got float64 \(4, 3\)",
    ),
    "a bad label in a confusion matrix": (
        lambda: functional.confusion_matrix(X, [0, 1, 2, 3]),
        IndexError,
        "labels: .* got 3 in row 3",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_the_error(name):
    action, kind, pattern = ERRORS[name]
    with pytest.raises(kind) as raised:  # noqa: PT011  the whole message is matched below
        action()
    message = "\n".join([str(raised.value), *getattr(raised.value, "__notes__", ())])
    assert re.fullmatch(pattern, message), message


@pytest.mark.parametrize("C", [10, 127, 128, 129, 200, 300])
@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int64])
def test_labels_of_few_bits_that_are_negative_are_no_classes(C, dtype):
    z = np.zeros((3, C))
    labels = np.array([0, -100, 2], dtype)
    x = leaf(z)
    loss = functional.cross_entropy(x, labels)
    loss.backward()
    np.testing.assert_allclose(loss.item(), np.log(C))
    np.testing.assert_array_equal(x.grad[1], 0)
    with pytest.raises(IndexError, match="got -1 in row 1"):
        functional.cross_entropy(z, np.array([0, -1, 2], dtype))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_an_index_to_ignore_may_be_none_or_beyond_int64(reduction):
    z, beyond = np.zeros((3, 3)), 2**64 - 1
    factor = 1 if reduction == "mean" else 3
    for ignored in (None, -100, 7):
        loss = functional.cross_entropy(z, np.array([0, 1, 2]), ignore_index=ignored, reduction=reduction)
        np.testing.assert_allclose(loss, factor * np.log(3))
    loss = functional.cross_entropy(z, np.array([0, beyond, 2], np.uint64), ignore_index=beyond, reduction=reduction)
    np.testing.assert_allclose(loss, (1 if reduction == "mean" else 2) * np.log(3))
