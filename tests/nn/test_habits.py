"""What users of PyTorch write without looking it up: walks, freezing, groups added later, zeros."""

import math

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.nn.test_depth import nested
from tinygrad_sm import CheckpointError, Tensor, nn
from tinygrad_sm.datasets import DataLoader, mnist


class Net(nn.Module):
    scale: nn.Parameter

    def __init__(self):
        self.body = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        self.head = nn.Linear(3, 1)
        self.again = self.head  # shared
        self.scale = nn.Parameter(tg.ones(1))
        self.nothing = None

    def forward(self, x):
        return self.head(self.body(x)) * self.scale


def test_a_parameter_is_known_by_its_class():
    drawn = tg.randn(3)
    weight = nn.Parameter(drawn)
    assert isinstance(weight, nn.Parameter)
    assert isinstance(weight, Tensor)
    assert weight.requires_grad
    np.testing.assert_array_equal(weight.data, drawn.data)
    assert not np.shares_memory(weight.data, drawn.data)
    assert not isinstance(weight * 1, nn.Parameter)
    assert not isinstance(nn.Buffer(drawn), nn.Parameter)
    assert Net.__annotations__ == {"scale": nn.Parameter}
    assert [isinstance(p, nn.Parameter) for p in Net().parameters()] == [True] * 5


def test_children_and_modules_have_names():
    net = Net()
    assert [name for name, _ in net.named_children()] == ["body", "head"]
    assert list(net.children()) == [net.body, net.head]
    named = list(net.named_modules())
    assert [path for path, _ in named] == ["", "body", "body.0", "body.1", "head"]
    assert named[0] == ("", net)
    assert [m for _, m in named] == list(net.modules())
    assert list(nn.ReLU().named_modules())[0][0] == ""
    assert list(nn.ReLU().children()) == []
    net.head.parent = net  # in itself
    assert [path for path, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "head"]


def test_apply_visits_what_is_inside_first_and_each_once():
    net, seen = Net(), []
    net.head.parent = net
    assert net.apply(seen.append) is net
    assert seen == [net.body[0], net.body[1], net.body, net.head, net]

    def initialize(module):
        if isinstance(module, nn.Linear):
            nn.init.constant_(module.weight, 0.5)
            nn.init.zeros_(module.bias)

    net.apply(initialize)
    np.testing.assert_array_equal(net(np.ones((1, 2), np.float32)).data, [[1.5]])
    shared = nn.ReLU()
    diamond = nn.Sequential(nn.Sequential(shared), shared, nn.Sequential(shared))
    order = []
    diamond.apply(order.append)
    assert order == [shared, diamond[0], diamond[2], diamond]


def test_walks_have_no_limit_of_depth():
    model, seen = nested(3000), []
    model.apply(seen.append)
    assert len(seen) == 3002
    assert (type(seen[0]), seen[-1]) == (nn.Linear, model)
    assert list(model.named_modules())[-1] == (".".join("0" * 3001), seen[0])


def test_a_model_is_frozen_and_freed():
    net = Net()
    for p in net.parameters():
        nn.init.constant_(p, 0.5)
    optimizer = nn.optim.SGD(net.parameters(), lr=0.5)
    x = np.ones((1, 2), np.float32)
    before = net.state_dict()
    assert net.body.requires_grad_(False) is net.body
    assert [p.requires_grad for p in net.parameters()] == [False, False, True, True, True]
    net(x).sum().backward()
    optimizer.step()
    after = net.state_dict()
    assert {name for name in before if (before[name] != after[name]).any()} == {"head.weight", "head.bias", "scale"}
    assert all(p.requires_grad for p in net.requires_grad_().parameters())
    with pytest.raises(ValueError, match="truth value"):
        net.requires_grad_(np.ones(2))
    assert all(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize("whose", ["Module", "Optimizer"])
def test_gradients_are_forgotten_or_zeroed(whose, device):
    layer = nn.Linear(2, 1).to(device)
    owner = layer if whose == "Module" else nn.optim.SGD(layer.parameters(), lr=0.5, momentum=0.5)
    layer.weight.grad = layer.weight.data + 1
    taken = layer.weight.grad
    owner.zero_grad(set_to_none=False)
    assert layer.weight.grad is taken
    assert Tensor(taken).tolist() == [[0, 0]]
    assert layer.bias.grad is None  # there was none
    layer(Tensor(np.ones((3, 2), np.float32), device=device)).sum().backward()
    assert Tensor(layer.weight.grad).tolist() == [[3, 3]]
    owner.zero_grad(True)
    assert layer.weight.grad is None


def test_a_gradient_that_cannot_be_zeroed_stops_all():
    first, second = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizer = nn.optim.SGD([first, second], lr=0.5)
    first.grad, second.grad = np.ones(1, np.float32), np.broadcast_to(np.float32(1), (1,))
    with pytest.raises(ValueError, match="^zero_grad: the grad of a parameter is read-only: give a copy$"):
        optimizer.zero_grad(set_to_none=False)
    assert first.grad.tolist() == [1]


def with_two_groups():
    body, head = nn.Parameter([1.0, 2.0]), nn.Parameter([3.0])
    optimizer = nn.optim.SGD([body], lr=0.5, momentum=0.5)
    optimizer.add_param_group({"params": [head], "lr": 0.25})
    return optimizer, body, head


def test_a_group_is_added_with_the_options_of_the_constructor():
    optimizer, body, head = with_two_groups()
    assert optimizer.defaults == {"lr": 0.5, "momentum": 0.5, "nesterov": False, "weight_decay": 0.0}
    assert optimizer.param_groups[1] == {**optimizer.defaults, "params": (head,), "lr": 0.25}
    for _ in range(2):
        body.grad, head.grad = np.ones(2, np.float32), np.ones(1, np.float32)
        optimizer.step()
    assert body.tolist() == [1 - 0.5 * 2.5, 2 - 0.5 * 2.5]  # velocities 1 and 1.5
    assert head.tolist() == [3 - 0.25 * 2.5]
    optimizer.zero_grad()
    assert head.grad is None
    whole = nn.optim.SGD([{"params": [body]}, {"params": [head], "lr": 0.25}], lr=0.5, momentum=0.5)
    whole.load_state_dict(optimizer.state_dict())
    assert repr(whole) == repr(optimizer)


def test_a_group_that_is_refused_is_not_added():
    optimizer, body, head = with_two_groups()
    before = repr(optimizer), len(optimizer._slots)
    new = nn.Parameter([1.0])
    for group, error, message in (
        ({"params": [new, head]}, ValueError, "SGD: a parameter is given twice"),
        ({"params": [new], "lr": -1}, ValueError, "SGD: expected lr to be a finite number of at least 0, got -1"),
        ({"params": [new], "beta": 1}, TypeError, "SGD: expected the options lr, .* in a group, got 'beta'"),
        ({"params": [new, Tensor([1.0])]}, ValueError, "SGD: parameter 3, .* requires no gradient"),
        ({"params": new}, TypeError, "got one Tensor: put it in a list"),
        ({"params": []}, ValueError, "expected parameters, got none"),
        ([new], TypeError, 'expected every group to be a dict with "params", got list .* in place 2'),
    ):
        with pytest.raises(error, match=message):
            optimizer.add_param_group(group)
        assert (repr(optimizer), len(optimizer._slots)) == before
    optimizer.param_groups[0]["params"] = (head,)
    with pytest.raises(ValueError, match="set their options one by one"):
        optimizer.add_param_group({"params": [new]})


def test_states_and_files_know_the_groups_that_were_added(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))

    def made(is_whole):
        optimizer = nn.optim.Adam(model[1].parameters(), lr=0.5)
        if is_whole:
            optimizer.add_param_group({"params": model[0].parameters(), "lr": 0.125})
        return optimizer

    trained = made(True)
    model(np.ones((1, 2), np.float32)).sum().backward()
    trained.step()
    nn.save(tmp_path / "c", model, trained)
    fresh = made(True)
    nn.load(tmp_path / "c", model, fresh)
    assert fresh.state_dict()["param_groups"] == trained.state_dict()["param_groups"]
    assert fresh.param_groups[1]["lr"] == 0.125
    for load in (lambda o: nn.load(tmp_path / "c", model, o), lambda o: o.load_state_dict(trained.state_dict())):
        with pytest.raises(CheckpointError, match="param_groups: expected 1 of them, got 2"):
            load(made(False))


def test_a_schedule_scales_the_lr_of_a_group_that_came_later():
    optimizer = nn.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    schedule = nn.schedules.StepLR(optimizer, step_size=2, gamma=0.5)
    schedule.step()
    optimizer.add_param_group({"params": [nn.Parameter([1.0])], "lr": 0.25})
    state = schedule.state_dict()
    assert state["base_lrs"] == [1.0, 0.25]
    schedule.step()
    assert schedule.get_last_lr() == [0.5, 0.125]
    assert schedule.base_lrs == [1.0, 0.25]
    schedule.load_state_dict(state)
    assert schedule.get_last_lr() == [1.0, 0.25]
    cosine = nn.schedules.CosineAnnealingLR(optimizer, T_max=2)
    for _ in range(2):
        cosine.step()
    optimizer.add_param_group({"params": [nn.Parameter([1.0])], "lr": 0.75})
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0)
    cosine.step()  # the factor was 0 up to rounding: the others rise from their bases
    assert cosine.base_lrs[2] == 0.75


def test_a_compiled_step_sees_the_group_that_was_added():
    random = np.random.default_rng(0)
    batches = [(random.normal(size=(6, 4)).astype(np.float32), random.integers(0, 3, 6)) for _ in range(12)]
    runs = []
    for wrap in (lambda step: step, tg.compiled):
        tg.manual_seed(0)
        body, head = nn.Linear(4, 5), nn.Linear(5, 3)
        optimizer = nn.optim.SGD(head.parameters(), lr=0.5, momentum=0.5)

        def step(x, labels, body=body, head=head, optimizer=optimizer):
            loss = nn.functional.cross_entropy(head(nn.functional.silu(body(x))), labels)
            optimizer.zero_grad(set_to_none=False)
            loss.backward()
            optimizer.step()
            return loss

        step, losses = wrap(step), []
        for i, batch in enumerate(batches):
            if i == 6:
                before = body.weight.data.copy()
                optimizer.add_param_group({"params": body.parameters(), "lr": 0.25})
            losses.append(step(*batch).item())
        runs.append((losses, body.weight.tolist(), head.weight.tolist()))
        assert (body.weight.data != before).all()
    assert runs[0] == runs[1]
    assert step.why_eager is None
    assert step.program is not None


def test_reprs_are_short_and_true():
    optimizer = nn.optim.AdamW([nn.Parameter([1.0])], lr=0.5)
    optimizer.add_param_group({"params": [nn.Parameter([2.0])], "weight_decay": 0})
    optimizer.param_groups[0]["lr"] = 0.25
    options = ["lr: {}", "eps: 1e-08", "weight_decay: {}", "betas: [0.9, 0.999]"]
    lines = [f"    {line}" for line in options]
    assert repr(optimizer).split("\n") == [
        "AdamW (",
        "Parameter Group 0",
        *"\n".join(lines).format(0.25, 0.01).split("\n"),
        "Parameter Group 1",
        *"\n".join(lines).format(0.5, 0.0).split("\n"),
        ")",
    ]
    loader = DataLoader(mnist("test", scale=None), 100, shuffle=True, seed=3, transform=np.float32)
    next(iter(loader))
    assert repr(loader) == (
        "DataLoader(Examples(x=uint8 (10000, 1, 28, 28), y=int64 (10000,)), batch_size=100, shuffle=True, seed=3, "
        "drop_last=False, epoch=0, transform=float32)"
    )
    with tg.profile() as profile:
        tg.exp(X)
    assert repr(profile).startswith("Profile(operations=1, calls=1, forward=")
    assert repr(nn.schedules.StepLR(optimizer, 2)) == "StepLR(step_size=2, gamma=0.1)"


X = np.arange(12.0).reshape(6, 2)


def test_a_loader_shows_its_examples(device):
    loader = DataLoader((X, np.arange(6)), batch_size=4, device=device, transform=lambda x: x * 0)
    assert (len(loader), len(loader.dataset), loader.batch_size) == (2, 6, 4)
    x, y = loader.dataset[2]
    assert (Tensor(x).tolist(), int(y)) == ([4, 5], 2)  # before the transform
    assert [int(y) for _, y in loader.dataset] == list(range(6))
    assert math.ceil(len(loader.dataset) / loader.batch_size) == len(loader)
    assert np.shares_memory(loader.dataset.x, loader.x) or device != "cpu"
