"""Layer norm, RMS norm and batch norm: values by hand, statistics, precision, files, errors, and steps as programs."""

import copy

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import check_error, leaf
from tests.nn.stress import exactly
from tinygrad_sm import Tensor, nn
from tinygrad_sm.nn import functional as F

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(5, 3))
IMAGES = RANDOM.normal(size=(4, 3, 2, 2))


def standardized(x, axis, eps):
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)


def per_channel(w, x):
    return w.reshape((-1,) + (1,) * (x.ndim - 2))


@pytest.mark.parametrize(("x", "shape"), [(X, 3), (X, (5, 3)), (IMAGES, (2, 2)), (X[0], [3])])
def test_layer_norm_and_rms_norm_by_hand(x, shape):
    lengths = (shape,) if isinstance(shape, int) else tuple(shape)
    axes, w, b = tuple(range(x.ndim - len(lengths), x.ndim)), RANDOM.normal(size=lengths), RANDOM.normal(size=lengths)
    np.testing.assert_allclose(F.layer_norm(x, shape, w, b, 0.1), standardized(x, axes, 0.1) * w + b, rtol=1e-12)
    np.testing.assert_allclose(F.layer_norm(x, shape), standardized(x, axes, 1e-5), rtol=1e-12)
    square = (x * x).mean(axes, keepdims=True)
    np.testing.assert_allclose(F.rms_norm(x, shape, w, 0.1), x / np.sqrt(square + 0.1) * w, rtol=1e-12)
    np.testing.assert_allclose(F.rms_norm(x, shape), x / np.sqrt(square + np.finfo(float).eps), rtol=1e-12)


@pytest.mark.parametrize("x", [X, IMAGES, IMAGES[..., 0]])
def test_batch_norm_by_hand(x):
    axes, w, b = (0, *range(2, x.ndim)), RANDOM.normal(size=3), RANDOM.normal(size=3)
    mean, var = np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.0, 2.0])
    expected = standardized(x, axes, 0.1) * per_channel(w, x) + per_channel(b, x)
    np.testing.assert_allclose(F.batch_norm(x, None, None, w, b, True, eps=0.1), expected, rtol=1e-12)
    now = Tensor(mean), Tensor(var)
    np.testing.assert_allclose(F.batch_norm(x, *now, w, b, True, 0.25, 0.1), expected, rtol=1e-12)
    np.testing.assert_allclose(now[0].data, 0.75 * np.array([1, 2, 3]) + 0.25 * x.mean(axes), rtol=1e-12)
    np.testing.assert_allclose(now[1].data, 0.75 * np.array([0.5, 1, 2]) + 0.25 * x.var(axes, ddof=1), rtol=1e-12)
    used = [per_channel(t.data, x) for t in now]
    expected = (x - used[0]) / np.sqrt(used[1] + 1e-5) * per_channel(w, x)
    before = exactly([t.data for t in now])
    np.testing.assert_allclose(F.batch_norm(x, *now, w), expected, rtol=1e-12)
    assert exactly([t.data for t in now]) == before


FORMS = {
    "layer_norm": lambda x, w, b: F.layer_norm(x, 3, w, b),
    "layer_norm over all": lambda x, w, b: F.layer_norm(x, (2, 3), eps=0.1) * w + b,
    "rms_norm": lambda x, w, b: F.rms_norm(x, (3,), w, 0.1) + b,
    "batch_norm": lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True, eps=0.1),
    "batch_norm in evaluation": lambda x, w, b: F.batch_norm(x, np.ones(3), np.full(3, 2.0), w, b),
}


@pytest.mark.parametrize("name", FORMS)
def test_gradients(name):
    arrays = RANDOM.normal(size=(2, 3)), RANDOM.normal(size=3), RANDOM.normal(size=3)
    for order in (1, 2):
        tg.gradcheck(FORMS[name], list(arrays), order=order)


def double(layer):
    """Return the layer with its floats in float64, drawn anew."""
    for name, tensor in list(vars(layer).items()):
        if isinstance(tensor, nn.Parameter | nn.Buffer) and tensor.dtype == np.float32:
            setattr(layer, name, type(tensor)(RANDOM.uniform(0.5, 1.5, tensor.shape)))
    return layer


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("make", [lambda: nn.LayerNorm((3, 2)), lambda: nn.RMSNorm(2), lambda: nn.BatchNorm1d(3)])
def test_gradients_of_whole_modules(make, training):
    layer = double(make()).train(training)
    model = nn.Sequential(layer, nn.Tanh())
    statistics = exactly([t for name, t in layer.state_dict().items() if "running" in name])
    if training and "running_mean" in vars(layer):
        layer.track_running_stats = False  # each of the checker's calls would change them
    tg.gradcheck(lambda x: model(x), [RANDOM.normal(size=(2, 3, 2))], order=2)
    assert exactly([t for name, t in layer.state_dict().items() if "running" in name]) == statistics


def test_state_and_options_are_those_of_pytorch():
    names = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    layer = nn.BatchNorm1d(3)
    assert list(layer.state_dict()) == names
    assert [(t.shape, str(t.dtype)) for t in layer.state_dict().values()] == [((3,), "float32")] * 4 + [((), "int64")]
    assert [t.tolist() for t in layer.state_dict().values()] == [[1, 1, 1], [0, 0, 0], [0, 0, 0], [1, 1, 1], 0]
    assert [name for name, _ in layer.named_parameters()] == names[:2]
    assert list(nn.BatchNorm2d(3, affine=False).state_dict()) == names[2:]
    assert list(nn.BatchNorm2d(3, bias=False).state_dict()) == [names[0], *names[2:]]
    assert list(nn.BatchNorm2d(3, track_running_stats=False).state_dict()) == names[:2]
    assert list(nn.LayerNorm((2, 3)).state_dict()) == names[:2]
    assert nn.LayerNorm((2, 3)).weight.shape == (2, 3)
    assert list(nn.LayerNorm(3, bias=False).state_dict()) == names[:1]
    assert list(nn.LayerNorm(3, elementwise_affine=False).state_dict()) == []
    assert list(nn.RMSNorm(3).state_dict()) == names[:1]
    assert list(nn.RMSNorm(3, elementwise_affine=False).state_dict()) == []


def test_running_statistics_of_several_batches():
    batches = RANDOM.normal(size=(4, 6, 3)).astype(np.float32)
    layer = nn.BatchNorm1d(3, momentum=None)
    for k, x in enumerate(batches):
        layer(x)
        assert layer.num_batches_tracked.item() == k + 1
        np.testing.assert_allclose(layer.running_mean.data, batches[: k + 1].mean((0, 1)), rtol=1e-4, atol=1e-6)
        expected = batches[: k + 1].var(1, ddof=1).mean(0)
        np.testing.assert_allclose(layer.running_var.data, expected, rtol=1e-5)
    before = exactly(list(layer.state_dict().values()))
    in_evaluation = layer.eval()(batches[0])
    assert exactly(list(layer.state_dict().values())) == before
    state = layer.state_dict()
    expected = (batches[0] - state["running_mean"]) / np.sqrt(state["running_var"] + 1e-5)
    np.testing.assert_allclose(in_evaluation.data, expected, rtol=1e-5, atol=1e-6)


def test_without_running_statistics_those_of_the_batch_are_used_in_evaluation_too():
    layer = nn.BatchNorm2d(3, track_running_stats=False)
    in_training = layer(IMAGES).data
    np.testing.assert_array_equal(layer.eval()(IMAGES).data, in_training)
    with pytest.raises(ValueError, match="more than one value per channel"):
        layer(IMAGES[:1, :, :1, :1])


def test_without_no_grad_too_no_gradient_enters_the_running_statistics():
    layer = nn.BatchNorm1d(3)
    x = leaf(X)
    first = layer(x)
    layer(x)  # changes them again: what was recorded before does not depend on them
    (first * first * first).sum().backward()
    assert layer.running_mean.node is None
    assert not layer.running_mean.requires_grad
    assert x.grad.any()


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("make", [lambda: nn.LayerNorm(64), lambda: nn.BatchNorm1d(64), lambda: nn.RMSNorm(64)])
def test_float32_far_from_0(make, offset):
    """The mean is rounded to 1e-3 around 1e4, and differences from it would be off by so much."""
    x = (RANDOM.normal(size=(96, 64)) + offset).astype(np.float32)
    found, expected = make()(x).data, double_by_hand(make(), x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    layer = nn.BatchNorm1d(64, momentum=1.0)
    layer(x)
    np.testing.assert_allclose(layer.running_var.data, x.astype(float).var(0, ddof=1), rtol=1e-4)
    np.testing.assert_allclose(layer.running_mean.data, x.astype(float).mean(0), rtol=1e-6, atol=1e-6)


def double_by_hand(layer, x):
    x = x.astype(float)
    if isinstance(layer, nn.RMSNorm):
        return x / np.sqrt((x * x).mean(1, keepdims=True))
    return standardized(x, 1 if isinstance(layer, nn.LayerNorm) else 0, 1e-5)


@pytest.mark.parametrize("make", [lambda: nn.LayerNorm(4096), lambda: nn.RMSNorm(4096), lambda: nn.BatchNorm1d(4096)])
@pytest.mark.parametrize("weights", [np.float16, np.float32])
def test_half_precision_is_computed_in_float32(make, weights):
    """In half precision a sum of 4096 numbers around 50 would be infinite, and so would their squares."""
    layer, exact = make(), make()
    for name, tensor in list(vars(layer).items()):
        if isinstance(tensor, nn.Parameter):
            setattr(layer, name, nn.Parameter(tensor.data.astype(weights)))
    x = (RANDOM.normal(size=(8, 4096)) * 10 + 50).astype(np.float16)
    g = RANDOM.normal(size=x.shape).astype(np.float16)
    half, full = leaf(x, np.float16), leaf(x, np.float32)
    found, expected = layer(half), exact(full)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found.data, expected.data.astype(np.float16), rtol=1e-3, atol=1e-4)
    found.backward(g)
    expected.backward(g.astype(np.float32))
    assert half.grad.dtype == np.float16
    np.testing.assert_allclose(half.grad, full.grad, rtol=2e-3, atol=1e-4)
    assert layer.weight.grad.dtype == weights
    np.testing.assert_allclose(layer.weight.grad, exact.weight.grad, rtol=2e-3, atol=2e-3)
    if isinstance(layer, nn.BatchNorm1d):
        assert exactly(layer.running_var.data) == exactly(exact.running_var.data)


def test_dtypes_and_integers():
    assert F.layer_norm([[1, 2, 6]], 3).dtype == np.float64
    assert F.rms_norm(X.astype(np.float32), 3).dtype == np.float32
    assert F.layer_norm(X.astype(np.float32), 3, weight=[1, 2, 3], bias=[0, 0, 1]).dtype == np.float32
    layer = nn.BatchNorm1d(3)
    assert layer(X).dtype == np.float64
    assert layer.running_mean.dtype == np.float32
    assert F.layer_norm(np.zeros((0, 3)), 3).shape == (0, 3)


def test_equal_elements_and_infinite_ones():
    x, g = leaf([[2.0, 2.0], [1.0, 3.0]]), np.array([[1.0, 0.0], [0.0, 0.0]])
    out = F.layer_norm(x, 2, eps=0.25)
    assert out.tolist()[0] == [0, 0]
    out.backward(g)
    assert x.grad.tolist() == [[1, -1], [0, 0]]  # (g − mean of g) / √eps
    with np.errstate(invalid="ignore"):
        for values, eps in (([2.0, 2.0], 0.0), ([np.inf, 1.0], 0.25)):  # as in PyTorch
            x = leaf([values, [1.0, 3.0]])
            out = F.layer_norm(x, 2, eps=eps)
            out.backward(g)
            assert np.isnan(out.data).tolist() == np.isnan(x.grad).tolist() == [[True, True], [False, False]]
    zero = leaf([0.0, 0.0])
    F.rms_norm(zero, 2, eps=0.25).backward(np.array([1.0, 0.0]))
    assert zero.grad.tolist() == [2, 0]


def training():
    tg.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.25), nn.LayerNorm(8), nn.Linear(8, 4)
    )
    return model, nn.optim.Adam(model.parameters(), lr=0.01)


BATCHES = [(RANDOM.normal(size=(6, 3)).astype(np.float32), RANDOM.integers(0, 4, 6)) for _ in range(8)]


def trained(model, optimizer, batches, wrap=lambda step: step):
    """Train, and return all that there is afterwards."""
    loss_function = nn.CrossEntropyLoss()

    @wrap
    def step(x, y):
        loss = loss_function(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    losses = [step(x, y).data for x, y in batches]
    return step, exactly([losses[-1], model.state_dict(), optimizer.state_dict(), tg.get_rng_state()])


def test_a_resumed_training_has_the_same_bits(tmp_path):
    _, through = trained(*training(), BATCHES)
    model, optimizer = training()
    trained(model, optimizer, BATCHES[:3])
    nn.save(tmp_path / "c", model, optimizer)
    model, optimizer = training()
    tg.manual_seed(7)
    nn.load(tmp_path / "c", model, optimizer)
    assert model[1].num_batches_tracked.item() == 3
    assert trained(model, optimizer, BATCHES[3:])[1] == through


def test_a_compiled_step_has_the_same_bits_with_running_statistics_too():
    _, expected = trained(*training(), BATCHES)
    step, found = trained(*training(), BATCHES, tg.compiled)
    assert step.why_eager is None
    assert step.program is not None
    assert found == expected


def test_a_label_that_is_no_class_leaves_the_statistics_of_a_program_as_those_of_the_step():
    """They are of a batch that was seen, in both: the error is of the loss, which comes after the norm."""
    found = []
    for wrap in (lambda step: step, tg.compiled):
        model, optimizer = training()
        step, _ = trained(model, optimizer, BATCHES, wrap)
        weight = exactly(model[0].weight.data)
        x, y = BATCHES[0]
        with pytest.raises(IndexError, match="expected 0..3 for 4 classes, got "):
            step(x, y + 4)
        assert exactly(model[0].weight.data) == weight
        found.append(exactly([model.state_dict(), optimizer.state_dict()]))
        assert model[1].num_batches_tracked.item() == 9
    assert found[0] == found[1]


def test_copies_have_their_own_statistics():
    layer = nn.BatchNorm1d(3)
    other = copy.deepcopy(layer)
    other(X)
    assert layer.num_batches_tracked.item() == 0
    assert layer.running_mean.tolist() == [0, 0, 0]


MEAN, VAR = np.zeros(3), np.ones(3)
READ_ONLY = np.broadcast_to(1.0, (3,))
TABLE = {
    "a last axis of another length": (
        lambda: F.layer_norm(X, 4),
        ValueError,
        r"layer_norm: expected an input of shape \(\.\.\., 4\), got float64 \(5, 3\)",
    ),
    "too few axes": (
        lambda: F.rms_norm(X, (2, 5, 3)),
        ValueError,
        r"rms_norm: expected an input of shape \(\.\.\., 2, 5, 3\), got float64 \(5, 3\)",
    ),
    "a layer of another width": (
        lambda: nn.LayerNorm(4)(X),
        ValueError,
        r"layer_norm: expected an input of shape \(\.\.\., 4\), got float64 \(5, 3\)",
    ),
    "no axes": (
        lambda: nn.LayerNorm(()),
        ValueError,
        r"LayerNorm: expected normalized_shape to be the lengths of one axis or more, got \(\)",
    ),
    "axes of length 0": (
        lambda: nn.RMSNorm((2, 0)),
        ValueError,
        "RMSNorm: expected normalized_shape to be an integer of at least 1, got 0",
    ),
    "a shape that is none": (
        lambda: F.layer_norm(X, 3.0),
        TypeError,
        r"layer_norm: expected normalized_shape to be an integer of at least 1, got float 3\.0",
    ),
    "a weight of another shape": (
        lambda: F.layer_norm(X, 3, weight=np.ones((1, 3))),
        ValueError,
        r"layer_norm: expected weight to have shape \(3,\), got float64 \(1, 3\)",
    ),
    "a negative eps": (
        lambda: nn.LayerNorm(3, eps=-1.0),
        ValueError,
        r"LayerNorm: expected eps to be a finite number of at least 0, got -1\.0",
    ),
    "an eps that is no number": (
        lambda: F.rms_norm(X, 3, eps="1e-5"),
        TypeError,
        "rms_norm: expected eps to be a finite number of at least 0, got str '1e-5'",
    ),
    "one value per channel": (
        lambda: nn.BatchNorm1d(3)(X[:1]),
        ValueError,
        r"batch_norm: expected more than one value per channel in training, got float64 \(1, 3\): take more examples "
        "at once, or evaluation mode, which uses running statistics",
    ),
    "no values": (
        lambda: F.batch_norm(X[:0], None, None, training=True),
        ValueError,
        r"batch_norm: expected more than one value per channel in training, got float64 \(0, 3\): .*",
    ),
    "one axis": (
        lambda: F.batch_norm(X[0], MEAN, VAR),
        ValueError,
        r"batch_norm: expected an input of shape \(N, C\) or \(N, C, d1, \.\.\.\), got float64 \(3,\)",
    ),
    "other channels": (
        lambda: nn.BatchNorm1d(4)(X),
        ValueError,
        r"BatchNorm1d\(4\): expected an input of shape \(N, 4\) or \(N, 4, L\), got float64 \(5, 3\)",
    ),
    "images for rows": (
        lambda: nn.BatchNorm1d(3)(IMAGES),
        ValueError,
        r"BatchNorm1d\(3\): expected an input of shape \(N, 3\) or \(N, 3, L\), got float64 \(4, 3, 2, 2\)",
    ),
    "rows for images": (
        lambda: nn.BatchNorm2d(3)(X),
        ValueError,
        r"BatchNorm2d\(3\): expected an input of shape \(N, 3, H, W\), got float64 \(5, 3\)",
    ),
    "a running mean without a variance": (
        lambda: F.batch_norm(X, MEAN, None, training=True),
        ValueError,
        "batch_norm: expected running_mean and running_var, or None for both, got running_var=None",
    ),
    "no statistics in evaluation": (
        lambda: F.batch_norm(X, None, None),
        ValueError,
        "batch_norm: expected running_mean and running_var, which are needed without training, got running_mean=None "
        "and running_var=None",
    ),
    "statistics of other channels": (
        lambda: F.batch_norm(X, MEAN[:2], VAR, training=True),
        ValueError,
        r"batch_norm: expected running_mean to be floats of shape \(3,\), got float64 \(2,\)",
    ),
    "statistics of integers": (
        lambda: F.batch_norm(X, MEAN, VAR.astype(int), training=True),
        ValueError,
        r"batch_norm: expected running_var to be floats of shape \(3,\), got int64 \(3,\)",
    ),
    "a list, which cannot be changed": (
        lambda: F.batch_norm(X, [0.0, 0.0, 0.0], VAR, training=True),
        TypeError,
        r"batch_norm: expected running_mean to be a Tensor or an array, got list \[0\.0, 0\.0, 0\.0\]",
    ),
    "a read-only array": (
        lambda: F.batch_norm(X, MEAN, READ_ONLY, training=True),
        ValueError,
        "batch_norm: running_var has a read-only array, which training cannot change: pass a copy",
    ),
    "statistics that require a gradient": (
        lambda: F.batch_norm(X, leaf(), VAR),
        TypeError,
        r"batch_norm has no gradient with respect to running_mean: pass running_mean\.detach\(\)",
    ),
    "a momentum above 1": (
        lambda: nn.BatchNorm1d(3, momentum=1.5),
        ValueError,
        r"BatchNorm1d: expected momentum to be a number from 0 to 1, got 1\.5",
    ),
    "no features": (
        lambda: nn.BatchNorm2d(0),
        ValueError,
        "BatchNorm2d: expected num_features to be an integer of at least 1, got 0",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_errors(name, tmp_path):
    check_error(*TABLE[name], tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda layer: layer(X[:1]),
        lambda layer: layer(X[:, :2]),
        lambda layer: layer(IMAGES),
        lambda layer: F.batch_norm(X, layer.running_mean, layer.running_var, np.ones(2), training=True),
        lambda layer: F.batch_norm(X, layer.running_mean, READ_ONLY, training=True),
        lambda layer: F.batch_norm(X, layer.running_mean, layer.running_var, training=True, momentum=-1),
    ],
)
def test_a_failed_call_leaves_the_statistics_as_they_were(wrong):
    layer = nn.BatchNorm1d(3)
    layer(X)
    before = exactly(list(layer.state_dict().values()))
    with pytest.raises(ValueError, match="expected|read-only"):
        wrong(layer)
    assert exactly(list(layer.state_dict().values())) == before


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_without_eps_elements_that_are_all_equal_give_nan(dtype):
    with np.errstate(invalid="ignore"):
        assert np.isnan(F.layer_norm(np.full((2, 100), 0.1, dtype), 100, eps=0.0)).all()


def test_a_count_that_cannot_change_leaves_the_statistics_as_they_were():
    layer = nn.BatchNorm1d(3)
    layer.num_batches_tracked.data.flags.writeable = False
    with pytest.raises(ValueError, match="batch_norm: num_batches_tracked has a read-only array"):
        layer(X)
    assert not layer.running_mean.data.any()


def test_a_change_of_the_statistics_makes_stale_what_was_computed_with_them_and_nothing_else():
    layer, x, w = nn.BatchNorm1d(3), leaf(X), leaf(np.ones(3))
    with_them = (layer.running_var * w).sum()
    in_training, in_evaluation = layer(x), layer.eval()(x)
    deviation = np.sqrt(layer.running_var.data + 1e-5)
    layer.train()(X)
    with pytest.raises(tg.GradientError, match="running_var"):
        with_them.backward()
    in_training.sum().backward()
    x.grad = None
    in_evaluation.sum().backward()
    np.testing.assert_allclose(x.grad, np.ones((5, 3)) / deviation, rtol=1e-6)


@pytest.mark.usefixtures("strict")
def test_arrays_on_two_devices():
    layer = nn.BatchNorm1d(3)
    layer.running_var = nn.Buffer(Tensor(np.ones(3, np.float32), device="cuda"))
    with pytest.raises(
        tg.DeviceError, match=r"batch_norm: expected arrays on one device, got some on cpu and .*cuda:0"
    ):
        layer(X)
    assert layer.running_mean.tolist() == [0, 0, 0]
    assert layer.num_batches_tracked.item() == 0


@pytest.mark.parametrize("make", [lambda: nn.LayerNorm(3), lambda: nn.RMSNorm(3), lambda: nn.BatchNorm1d(3)])
def test_devices(make, device):
    """The same on every device, running statistics too."""
    layer, other = make(), make().to(device)
    x = X.astype(np.float32)
    for training in (True, True, False):
        ours, theirs = leaf(x, np.float32), Tensor(x, requires_grad=True, device=device)
        expected, found = layer.train(training)(ours), other.train(training)(theirs)
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
        (expected * expected * expected).sum().backward()
        (found * found * found).sum().backward()
        np.testing.assert_allclose(tg.Tensor(theirs.grad).numpy(), ours.grad, rtol=1e-4, atol=1e-5)
        for name, tensor in other.state_dict().items():
            np.testing.assert_allclose(Tensor(tensor).numpy(), layer.state_dict()[name], rtol=1e-5, atol=1e-6)
