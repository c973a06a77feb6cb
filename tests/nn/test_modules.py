"""Lists of Modules, dropout, initial values, clipped gradients, and parameters as one vector do what they promise."""

import math
import re

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import GradientError, Tensor, nn
from tinygrad_sm.nn import init


class Residual(nn.Module):
    """Layers in a list, as a plain Python list would not register them."""

    def __init__(self):
        self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(2))

    def forward(self, x):
        for layer in self.layers:
            x = x + layer(x)
        return x


def test_a_module_list_registers_its_modules():
    model = Residual()
    names = ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]
    assert [name for name, _ in model.named_parameters()] == names
    assert list(model.state_dict()) == names
    layers = model.layers
    extra, more = nn.Linear(3, 3), [nn.Tanh(), nn.Linear(3, 3)]
    assert layers.append(extra) is layers
    assert layers.extend(iter(more)) is layers
    assert len(layers) == 5
    assert list(layers)[2:] == [extra, *more]
    assert layers[-1] is more[1]
    assert layers[3] is more[0]
    assert [name for name, _ in model.named_parameters()][4:] == [
        f"layers.{i}.{part}" for i in (2, 4) for part in ("weight", "bias")
    ]
    layers[-2] = nn.ReLU()
    assert isinstance(list(layers)[3], nn.ReLU)
    part = layers[1:3]
    assert isinstance(part, nn.ModuleList)
    assert list(part) == [layers[1], extra]
    assert model(np.ones((2, 3), np.float32)).shape == (2, 3)
    for action in (lambda: layers[5], lambda: layers.__setitem__(5, extra)):
        with pytest.raises(IndexError):
            action()
    assert len(nn.ModuleList()) == 0
    assert repr(nn.ModuleList([nn.ReLU()])) == "ModuleList(\n  (0): ReLU()\n)"


def test_modules_are_put_in_and_taken_out():
    class Body(nn.Module):
        def __init__(self, layers):
            self.layers = nn.ModuleList(layers)

    a, b, c, d = (nn.Linear(i, i, bias=False) for i in (1, 2, 3, 4))
    body = Body([a, b])
    layers = body.layers

    def row():
        assert [name for name, _ in body.named_parameters()] == [f"layers.{i}.weight" for i in range(len(layers))]
        return [len(weight) for weight in body.state_dict().values()]

    layers.insert(1, c)
    assert row() == [1, 3, 2]
    layers.insert(-1, d)
    assert row() == [1, 3, 4, 2]
    del layers[0], layers[-1]
    assert row() == [3, 4]
    layers.insert(99, a)
    layers.insert(-99, b)
    assert row() == [2, 3, 4, 1]
    del layers[::2]
    assert row() == [3, 1]
    body.layers += iter([b, d])
    assert body.layers is layers
    assert row() == [3, 1, 2, 4]
    assert d.weight.name == "layers.3.weight"
    assert d in layers
    assert nn.Linear(4, 4, bias=False) not in layers
    assert list(reversed(layers)) == [d, b, a, c]
    for action in (lambda: layers.__delitem__(4), lambda: layers.insert(0, np.tanh), lambda: layers.__iadd__([a, 3])):
        with pytest.raises((IndexError, TypeError)):
            action()
        assert row() == [3, 1, 2, 4]
    for layer in layers:
        layers.append(layer)  # an iteration is over what the list held when it began
    assert len(layers) == 8


def test_a_module_list_refuses_what_is_no_module_and_stays_as_it_was():
    layers = nn.ModuleList([nn.ReLU()])
    for action, place in (
        (lambda: layers.append(np.tanh), 1),
        (lambda: layers.extend([nn.ReLU(), np.tanh]), 2),
        (lambda: layers.__setitem__(0, np.tanh), 0),
    ):
        with pytest.raises(TypeError, match=f"ModuleList: expected Modules, got .*tanh.* in place {place}"):
            action()
        assert len(layers) == 1
    with pytest.raises(TypeError, match="ModuleList has no forward"):
        layers(np.ones(3))


def test_a_slice_of_a_sequential_computes_and_keeps_names():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    x = np.ones((5, 4), np.float32)
    features = model[:-1]
    assert isinstance(features, nn.Sequential)
    np.testing.assert_array_equal(features(x).data, np.tanh(model[0](x).data))
    assert next(model[2:].parameters()).name == "2.weight"


def test_softplus_and_gelu_are_their_formulas():
    x = np.linspace(-4, 4, 9)
    np.testing.assert_allclose(nn.Softplus()(x), np.log(1 + np.exp(x)), rtol=1e-12)
    inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    np.testing.assert_allclose(nn.GELU("tanh")(x), 0.5 * x * (1 + np.tanh(inner)), rtol=1e-9)
    assert nn.GELU("tanh")(Tensor(x, requires_grad=True)).requires_grad


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_keeps_the_mean_and_drops_a_share_of_p(p):
    tg.manual_seed(0)
    n = 100_000
    x = Tensor(np.full((n // 10, 10), 3.0, np.float32), requires_grad=True)
    out = nn.Dropout(p)(x)
    kept = out.data != 0
    assert out.dtype == np.float32
    assert abs(kept.mean() - (1 - p)) < 5 * math.sqrt(p * (1 - p) / n)
    np.testing.assert_allclose(out.data[kept], 3 / (1 - p), rtol=1e-6)
    assert kept.any(axis=0).all()  # every column has its own draws
    assert 0 < kept[0].sum() + kept[1].sum() < 20
    out.sum().backward()
    np.testing.assert_allclose(x.grad, kept / (1 - p), rtol=1e-6)  # what was dropped gets no gradient


def test_dropout_has_two_modes_and_draws_anew():
    model = nn.Sequential(nn.Dropout(), nn.ModuleList())
    x = leaf(np.ones(100))
    assert model[0].p == 0.5
    assert model.eval()[0](x) is x
    assert nn.Dropout(0.0)(x) is x
    dropout = model.train()[0]
    tg.manual_seed(3)
    first, second = dropout(x).data, dropout(x).data
    assert (first != second).any()
    tg.manual_seed(3)
    np.testing.assert_array_equal(dropout(x.data), first)  # of an array, an array
    assert not nn.Dropout(1.0)(x).data.any()
    assert set(nn.Dropout(0.5)(np.ones(64, np.float16)).tolist()) == {0, 2}
    assert repr(dropout) == "Dropout(p=0.5)"
    for p in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=f"Dropout: expected p to be a number from 0 to 1, got {p}"):
            nn.Dropout(p)
    with pytest.raises(TypeError, match=r"dropout: expected floats, got int64 \(3,\)"):
        dropout(np.arange(3))


# (how it is drawn, the mean and the variance of the distribution, its bounds)
DISTRIBUTIONS = {
    "uniform": (lambda w: init.uniform_(w, -1.0, 3.0), 1.0, 16 / 12, (-1, 3)),
    "uniform by default": (init.uniform_, 0.5, 1 / 12, (0, 1)),
    "normal": (lambda w: init.normal_(w, 2.0, 0.5), 2.0, 0.25, None),
    "normal by default": (init.normal_, 0.0, 1.0, None),
    "xavier uniform": (init.xavier_uniform_, 0.0, 2 / 500, (-math.sqrt(6 / 500), math.sqrt(6 / 500))),
    "xavier normal with gain": (lambda w: init.xavier_normal_(w, gain=3.0), 0.0, 9 * 2 / 500, None),
    "kaiming uniform": (init.kaiming_uniform_, 0.0, 2 / 300, (-math.sqrt(6 / 300), math.sqrt(6 / 300))),
    "kaiming normal": (init.kaiming_normal_, 0.0, 2 / 300, None),
    "kaiming normal of fan_out": (lambda w: init.kaiming_normal_(w, mode="fan_out"), 0.0, 2 / 200, None),
    "kaiming for tanh": (lambda w: init.kaiming_normal_(w, nonlinearity="tanh"), 0.0, 25 / 9 / 300, None),
    "kaiming for a slope": (lambda w: init.kaiming_uniform_(w, a=2.0), 0.0, 2 / 5 / 300, None),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("shape", [(200, 300), (100, 150, 2)])
def test_draws_have_the_moments_and_bounds_of_their_distribution(name, shape):
    draw, mean, variance, bounds = DISTRIBUTIONS[name]
    tg.manual_seed(0)
    w = nn.Parameter(np.full(shape, np.nan, np.float32))
    data = w.data
    assert draw(w) is w
    assert w.data is data
    assert data.dtype == np.float32
    n = data.size
    assert abs(data.mean() - mean) < 5 * math.sqrt(variance / n)
    assert data.var(dtype=np.float64) == pytest.approx(variance, rel=5 * math.sqrt(2 / n))
    if bounds is not None:
        low, high = bounds
        margin = 1e-3 * (high - low)
        assert low - 1e-6 <= data.min() < low + margin
        assert high - margin < data.max() <= high + 1e-6
    first = data.copy()
    draw(w)
    assert (data != first).mean() > 0.99
    tg.manual_seed(0)
    np.testing.assert_array_equal(draw(w).data, first)


def test_constants_and_staleness():
    w = nn.Parameter(np.ones((2, 3), order="F"))
    loss = (w * w).sum()
    assert init.zeros_(w).tolist() == [[0] * 3] * 2
    assert init.ones_(w).tolist() == [[1] * 3] * 2
    assert init.constant_(w, 0.1).data.dtype == np.float64
    assert w.tolist() == [[0.1] * 3] * 2
    with pytest.raises(GradientError, match="was changed"):
        loss.backward()


def test_gains_are_pytorchs():
    gains = {"linear": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": 2**0.5}
    for name, gain in gains.items():
        assert init.calculate_gain(name) == pytest.approx(gain, rel=1e-15)
    assert init.calculate_gain("leaky_relu") == pytest.approx(math.sqrt(2 / 1.0001), rel=1e-15)
    assert init.calculate_gain("leaky_relu", 0.0) == math.sqrt(2)
    assert init.calculate_gain("leaky_relu", 3.0) == pytest.approx(math.sqrt(0.2), rel=1e-15)
    torch = pytest.importorskip("torch")
    for name in (*gains, "leaky_relu"):
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name), rel=1e-15)


def with_gradients(*gradients):
    parameters = []
    for g in gradients:
        parameters.append(nn.Parameter(np.ones(np.shape(g if g is not None else 0.0))))
        parameters[-1].grad = None if g is None else np.array(g, float)
    return parameters


def test_the_norm_is_clipped_over_all_gradients_together():
    parameters = with_gradients([[3.0, 0.0], [0.0, 4.0]], None, 12.0)
    grad = parameters[0].grad
    assert nn.clip_grad_norm(iter(parameters), 6.5).item() == pytest.approx(13, rel=1e-15)
    factor = 6.5 / (13 + 1e-6)
    np.testing.assert_allclose(grad, [[3 * factor, 0], [0, 4 * factor]], rtol=1e-15)
    np.testing.assert_allclose(parameters[2].grad, 12 * factor, rtol=1e-15)
    assert parameters[1].grad is None
    before = grad.copy()
    assert nn.clip_grad_norm(parameters, 6.6).item() == pytest.approx(6.5, rel=1e-6)
    np.testing.assert_array_equal(grad, before)  # they are short enough
    assert nn.clip_grad_norm(with_gradients(None), 1.0).item() == 0
    huge = with_gradients([3e200], [4e200])
    assert nn.clip_grad_norm(huge, 10.0).item() == pytest.approx(5e200, rel=1e-15)
    np.testing.assert_allclose([p.grad for p in huge], [[6], [8]], rtol=1e-14)


def test_a_norm_that_is_not_finite():
    for bad, result in ((np.inf, 0.0), (np.nan, np.nan)):
        with pytest.raises(FloatingPointError, match=f"clip_grad_norm: the norm of the gradients is {bad}; "):
            nn.clip_grad_norm(parameters := with_gradients([1.0], [bad]), 1.0, error_if_nonfinite=True)
        assert parameters[0].grad.tolist() == [1.0]
        with np.errstate(invalid="ignore"):
            norm = nn.clip_grad_norm(parameters, 1.0).item()
        np.testing.assert_equal(norm, bad)
        np.testing.assert_equal(parameters[0].grad, [result])


def test_clipping_is_pytorchs():
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    for bound in (0.0, 0.5, 3.0, 100.0):
        ours = with_gradients(random.standard_normal((4, 3)), None, random.standard_normal(5))
        for clip, other in (
            (nn.clip_grad_norm, torch.nn.utils.clip_grad_norm_),
            (nn.clip_grad_value, torch.nn.utils.clip_grad_value_),
        ):
            theirs = [torch.nn.Parameter(torch.tensor(p.data)) for p in ours]
            for p, q in zip(ours, theirs, strict=True):
                q.grad = None if p.grad is None else torch.tensor(p.grad)
            norm, expected = clip(ours, bound), other(theirs, bound)
            assert norm is expected is None or norm == pytest.approx(expected.item(), rel=1e-12)
            for p, q in zip(ours, theirs, strict=True):
                if p.grad is not None:
                    np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-12)


def test_values_are_clipped():
    parameters = with_gradients([-3.0, -0.5, 0.0, 2.0, np.nan, np.inf], None)
    grad = parameters[0].grad
    nn.clip_grad_value(parameters, 0.75)
    np.testing.assert_equal(grad, [-0.75, -0.5, 0, 0.75, np.nan, 0.75])


def test_a_vector_of_all_parameters_and_back():
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1, bias=False))
    weight, bias, last = model.parameters()
    vector = nn.parameters_to_vector(model.parameters())
    assert vector.shape == (10,)
    expected = [*weight.data[0], *weight.data[1], *bias.data, *last.data[0]]  # row by row, whatever the layout
    np.testing.assert_array_equal(vector.data, expected)
    (vector * np.arange(10)).sum().backward()
    assert weight.grad.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (bias.grad.tolist(), last.grad.tolist()) == ([6, 7], [[8, 9]])
    data, loss = weight.data, (weight * weight).sum()
    nn.vector_to_parameters(vector * 2, model.parameters())
    assert weight.data is data
    np.testing.assert_array_equal(nn.parameters_to_vector(model.parameters()).data, 2 * np.array(expected))
    with pytest.raises(GradientError, match="was changed"):
        loss.backward()


MODEL = nn.Linear(3, 2)
FIXED = Tensor(np.broadcast_to(np.float32(1), (2,)), requires_grad=True)
UNFIT, READ_ONLY = nn.Parameter([1.0, 2.0]), nn.Parameter([1.0])
UNFIT.grad, READ_ONLY.grad = np.ones(3), np.broadcast_to(1.0, (1,))
GOOD = nn.Parameter([1.0])
GOOD.grad = np.array([8.0])


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda: init.zeros_(np.ones(3)), TypeError, "zeros_: expected a Tensor, such as .*, got float64 (3,)"),
        (lambda: init.zeros_(leaf() * 2), GradientError, "assign: the result of multiply is not a leaf"),
        (lambda: init.uniform_(MODEL.weight, 1, 0), ValueError, "uniform_: expected bounds a ≤ b with .* got a=1, b=0"),
        (
            lambda: init.uniform_(MODEL.weight, 0, np.inf),
            ValueError,
            "uniform_: expected b to be a number from -3.40282e+38 to 3.40282e+38",
        ),
        (
            lambda: init.normal_(MODEL.weight, std=-1),
            ValueError,
            "normal_: expected std to be a number from 0 to 3.40282e+38, got -1",
        ),
        (lambda: init.xavier_uniform_(MODEL.bias), ValueError, "xavier_uniform_: expected weights .* got shape (2,)"),
        (lambda: init.xavier_normal_([1.0]), TypeError, "xavier_normal_: expected a Tensor, .* got list [1.0]"),
        (lambda: init.kaiming_normal_(tg.zeros(0, 3)), ValueError, "kaiming_normal_: .* got shape (0, 3)"),
        (
            lambda: init.kaiming_uniform_(MODEL.weight, mode="in"),
            ValueError,
            "expected mode to be 'fan_in' or .* got 'in'",
        ),
        (lambda: init.calculate_gain("selu"), ValueError, "expected a nonlinearity among linear, .*, got 'selu'"),
        (lambda: nn.clip_grad_norm(MODEL.weight, 1.0), TypeError, "got one Tensor: put it in a list"),
        (
            lambda: nn.clip_grad_norm([GOOD, 3.0], 1.0),
            TypeError,
            "clip_grad_norm: expected Tensors, got float in place 1",
        ),
        (lambda: nn.clip_grad_norm([], 1.0), ValueError, "expected parameters, got none"),
        (
            lambda: nn.clip_grad_norm([GOOD], -1.0),
            ValueError,
            "clip_grad_norm: expected max_norm to be a number of at least 0, got -1.0",
        ),
        (
            lambda: nn.clip_grad_value([GOOD], np.nan),
            ValueError,
            "expected clip_value to be a number of at least 0, got nan",
        ),
        (lambda: nn.clip_grad_norm([GOOD, UNFIT], 1.0), ValueError, "clip_grad_norm: expected the grad of a parameter"),
        (lambda: nn.clip_grad_value([GOOD, READ_ONLY], 0.1), ValueError, "clip_grad_value: the grad .* is read-only"),
        (
            lambda: nn.vector_to_parameters(np.ones(7), MODEL.parameters()),
            ValueError,
            "vector_to_parameters: expected a vector of shape (8,), got float64 (7,)",
        ),
        (
            lambda: nn.vector_to_parameters(np.ones(3), [GOOD, FIXED]),
            ValueError,
            "vector_to_parameters: parameter 1 has a read-only array, which cannot be changed in place: give it a copy",
        ),
        (
            lambda: nn.vector_to_parameters(np.ones(1, complex), [GOOD]),
            TypeError,
            "vector_to_parameters: expected a vector of floats, got complex128 (1,)",
        ),
        (
            lambda: nn.parameters_to_vector(["w"]),
            TypeError,
            "parameters_to_vector: expected Tensors, got str in place 0",
        ),
    ],
)
def test_errors_change_nothing(action, error, message):
    before = MODEL.state_dict()
    with pytest.raises(error, match=re.escape(message).replace(r"\.\*", ".*")):
        action()
    assert (GOOD.tolist(), GOOD.grad.tolist()) == ([1.0], [8.0])
    for name, value in MODEL.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_slice_of_a_subclass_has_the_modules_of_the_slice_alone():
    class Body(nn.Sequential):
        def __init__(self, width):
            super().__init__(*[nn.Linear(width, width) for _ in range(3)])

    body = Body(2)
    part = body[1:]
    assert type(part) is Body
    assert list(part) == list(body)[1:]
    assert part(np.ones((1, 2), np.float32)).shape == (1, 2)
    assert len(body[0:0]) == 0


def test_a_property_that_sets_a_parameter_leaves_its_name_to_that():
    class Hidden(nn.Module):
        weight = property(lambda self: self.hidden, lambda self, value: setattr(self, "hidden", value))

    model = Hidden()
    model.weight = nn.Parameter(1.0)
    assert (model.weight.name, [*model.state_dict()]) == ("hidden", ["hidden"])
