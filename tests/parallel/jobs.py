"""What the tests let several processes do: mpiexec -n 2 python -m tests.parallel.jobs NAME ...; rank 0 prints JSON."""

import contextlib
import copy
import gc
import json
import os
import random
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import tinygrad_sm as tg
from tinygrad_sm import nn, shares
from tinygrad_sm.datasets import DataLoader
from tinygrad_sm.engine import backward
from tinygrad_sm.errors import GroupError
from tinygrad_sm.nn import checkpoint

F = nn.functional
RNG = np.random.default_rng(7)
ROWS = 97
X = RNG.standard_normal((ROWS, 12))
LABELS = RNG.integers(0, 5, ROWS)
WITH_IGNORED = np.where(RNG.random(ROWS) < 0.3, -100, LABELS)
NUMBERS = RNG.standard_normal((ROWS, 5))
PROBABILITIES = np.abs(NUMBERS) / np.abs(NUMBERS).sum(1, keepdims=True)
WEIGHTS = np.array([0.1, 1.0, 2.0, 5.0, 0.5])


@contextlib.contextmanager
def alone():
    """Compute as a program without a group."""
    part, sum_over_processes = shares.current, backward.sum_over_processes
    shares.current = backward.sum_over_processes = None
    try:
        yield
    finally:
        shares.current, backward.sum_over_processes = part, sum_over_processes


class Case:
    """A training; the rows below override what is special."""

    def __init__(self, loss, y=LABELS, batch_size=33, dtype=np.float64, optimizer=None, layers=(), clip=None, every=1):
        self.loss, self.y, self.batch_size, self.dtype, self.layers = loss, y, batch_size, dtype, layers
        self.optimizer = optimizer or (lambda ps: nn.optim.SGD(ps, lr=0.1, momentum=0.9, weight_decay=0.01))
        self.clip, self.every = clip, every

    def train(self, group, after_step=lambda model, optimizer: None):
        """Return parameters, the optimizer's state and the losses of two epochs."""
        tg.manual_seed(3)
        model = nn.Sequential(nn.Linear(12, 9), nn.Tanh(), *[layer() for layer in self.layers], nn.Linear(9, 5))
        model.unused = nn.Parameter(np.ones(2))
        for parameter in model.parameters():
            parameter.data = parameter.data.astype(self.dtype)
        optimizer = self.optimizer(model.parameters())
        loader = DataLoader((X.astype(self.dtype), self.y), self.batch_size, shuffle=True, group=group)
        if group is not None:
            group.broadcast(model, optimizer)
        losses, steps = [], 0
        for _ in range(2):
            for x, y in loader:
                loss = self.loss(model, x, y)
                loss.backward()
                losses.append(loss.item() if group is None else group.mean(loss))
                steps += 1
                if steps % self.every:
                    continue
                if self.clip is not None:
                    self.clip(model.parameters())
                optimizer.step()
                optimizer.zero_grad()
                after_step(model, optimizer)
        state = [array for slot in optimizer.state_dict()["state"] for array in slot.values()]
        return [p.numpy() for p in model.parameters()], state, losses


def made_labels(model, x, y):
    """Ignore labels by a mask that the loader does not know: of row i, those with a first pixel below 0."""
    return F.cross_entropy(model(x), np.where(x[:, 0] < 0, -100, y))


def chosen_rows(loss, **options):
    """Return a loss of some of the rows, by their first pixel; each process has another number of them, or none."""

    def of_chosen_rows(model, x, y):
        rows = x[:, 0] > 0.3
        return loss(model(x)[rows], y[rows], **options)

    return of_chosen_rows


def terms_of_other_rows(model, x, y):
    """Return a loss whose terms have other divisors each; one is of all rows, and one of none."""
    z, rows, others = model(x), x[:, 0] > 0.3, x[:, 1] < 0.9
    return (
        0.5 * F.mse_loss(z[rows], y[rows])
        + F.l1_loss(z[others], y[others]) / 3
        + 0.1 * tg.mean(z**2)
        + 0.01 * F.mse_loss(model[0].weight, np.zeros((9, 12)), reduction="sum")
    )


def several_terms(model, x, y):
    z = model(x)
    return F.cross_entropy(z, y, weight=WEIGHTS) + 0.3 * tg.mean(z**2) + 0.1 * tg.sum(model[0].weight ** 2)


CASES = {
    "uneven": Case(lambda model, x, y: F.cross_entropy(model(x), y)),
    "float32": Case(lambda model, x, y: F.cross_entropy(model(x), y), dtype=np.float32),
    "a batch of one row": Case(lambda model, x, y: F.cross_entropy(model(x), y), batch_size=32),
    "class weights": Case(lambda model, x, y: F.cross_entropy(model(x), y, weight=WEIGHTS)),
    "class weights, a batch of one row": Case(
        lambda model, x, y: F.cross_entropy(model(x), y, weight=WEIGHTS), batch_size=32
    ),
    "ignored": Case(lambda model, x, y: F.cross_entropy(model(x), y), y=WITH_IGNORED),
    "ignored in batches of three": Case(lambda model, x, y: F.cross_entropy(model(x), y), y=WITH_IGNORED, batch_size=3),
    "made labels": Case(made_labels),
    "made labels, a batch of one row": Case(made_labels, batch_size=32),
    "labels as a Tensor": Case(lambda model, x, y: F.cross_entropy(model(x), tg.Tensor(y)), y=WITH_IGNORED),
    "smoothing": Case(
        lambda model, x, y: F.cross_entropy(model(x), y, weight=WEIGHTS, label_smoothing=0.2), y=WITH_IGNORED
    ),
    "nll": Case(lambda model, x, y: F.nll_loss(F.log_softmax(model(x), 1), y, weight=WEIGHTS), y=WITH_IGNORED),
    "sparsemax": Case(lambda model, x, y: F.sparsemax_loss(model(x), y), y=WITH_IGNORED),
    "sum": Case(lambda model, x, y: F.cross_entropy(model(x), y, reduction="sum"), y=WITH_IGNORED, batch_size=32),
    "mse": Case(lambda model, x, y: F.mse_loss(model(x), y), y=NUMBERS),
    "a mean by hand": Case(lambda model, x, y: tg.mean((model(x) - y) ** 2), y=NUMBERS),
    "several terms": Case(several_terms, y=WITH_IGNORED),
    "several terms, batches of three": Case(several_terms, y=WITH_IGNORED, batch_size=3),
    "clipping": Case(
        lambda model, x, y: F.cross_entropy(model(x), y), clip=lambda parameters: nn.clip_grad_norm(parameters, 0.1)
    ),
    "clipping values": Case(
        lambda model, x, y: F.cross_entropy(model(x), y), clip=lambda parameters: nn.clip_grad_value(parameters, 0.01)
    ),
    "accumulation": Case(lambda model, x, y: F.cross_entropy(model(x), y) / 3, batch_size=20, every=3),
    "accumulation and clipping": Case(
        lambda model, x, y: F.cross_entropy(model(x), y) / 3,
        batch_size=20,
        every=3,
        clip=lambda parameters: nn.clip_grad_norm(parameters, 0.1),
    ),
    "dropout": Case(lambda model, x, y: F.cross_entropy(model(x), y), layers=[lambda: nn.Dropout(0.4)], batch_size=32),
    "chosen rows": Case(chosen_rows(F.mse_loss), y=NUMBERS),
    "chosen labels": Case(chosen_rows(F.cross_entropy, weight=WEIGHTS), y=WITH_IGNORED),
    "chosen rows, their sum": Case(chosen_rows(F.huber_loss, reduction="sum"), y=NUMBERS),
    "chosen rows, probabilities": Case(chosen_rows(F.cross_entropy), y=PROBABILITIES),
    "chosen rows, batchmean": Case(
        lambda model, x, y: chosen_rows(F.kl_div, reduction="batchmean")(lambda x: F.log_softmax(model(x), 1), x, y),
        y=PROBABILITIES,
    ),
    "terms of other rows": Case(terms_of_other_rows, y=NUMBERS),
    "decay of weights": Case(
        lambda model, x, y: (
            F.cross_entropy(model(x), y) + 0.1 * F.mse_loss(model[0].weight, np.zeros((9, 12)), reduction="sum")
        )
    ),
    "probabilities, a batch of one row": Case(
        lambda model, x, y: F.cross_entropy(model(x), y), y=PROBABILITIES, batch_size=32
    ),
    "a twice used loss": Case(lambda model, x, y: (loss := F.cross_entropy(model(x), y)) + 0.5 * loss, y=WITH_IGNORED),
    "gumbel": Case(lambda model, x, y: F.mse_loss(F.gumbel_softmax(model(x)), y), y=NUMBERS, batch_size=32),
    "float32, adam, class weights": Case(
        lambda model, x, y: F.cross_entropy(model(x), y, weight=WEIGHTS),
        y=WITH_IGNORED,
        dtype=np.float32,
        optimizer=lambda ps: nn.optim.Adam(ps, lr=0.01),
    ),
    "adam": Case(lambda model, x, y: F.cross_entropy(model(x), y), optimizer=lambda ps: nn.optim.AdamW(ps, lr=0.01)),
}


def largest(arrays):
    return max((float(np.abs(array).max()) for array in arrays if np.size(array)), default=0.0)


def difference(one, other):
    """Return how far the arrays of two trainings are from each other, relative to the largest element."""
    found = [
        largest([np.subtract(a, b) for a, b in zip(x, y, strict=True)]) / largest(y)
        for x, y in zip(one, other, strict=True)
    ]
    return max(found)


def trainings(group):
    """Return, for each case, how far a training by the group is from one without; after each step all are equal."""
    found = {}
    for name, case in CASES.items():
        shared = case.train(group, group.check_equal)
        with alone():
            found[name] = difference(shared, case.train(None))
    return found


def plain_mean(group):
    """Return how far a training is off that takes the plain mean of the gradients of all processes."""
    part_of = group.processes.part_of
    group.processes.part_of = lambda rows: part_of(rows)._replace(own=rows / group.size)
    found = {}
    for name in ("a mean by hand", "several terms"):
        case = Case(CASES[name].loss, CASES[name].y, batch_size=8)
        shared = case.train(group)
        with alone():
            found[name] = difference(shared, case.train(None))
    return found


def other_loops(group):
    """Return how far trainings with other loops than one over batches are from those without a group."""
    found = {}
    for loop in (kept_batches, two_loaders, two_models, noisy_images, weighted_by_rows):
        shared = loop(group)
        with alone():
            found[loop.__name__] = difference(shared, loop(None))
    return found


def set_up(group):
    """Return a model, its optimizer, and two loaders of other batches."""
    tg.manual_seed(3)
    model = nn.Linear(12, 5)
    for parameter in model.parameters():
        parameter.data = parameter.data.astype(np.float64)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    one = DataLoader((X, WITH_IGNORED), 20, shuffle=True, group=group)
    other = DataLoader((X[:80], NUMBERS[:80]), 16, shuffle=True, seed=1, group=group)
    if group is not None:
        group.broadcast(model, optimizer)
    return model, optimizer, one, other


def step(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def kept_batches(group):
    """Train by batches that were taken all before, and whose last one is shorter than the others."""
    model, optimizer, loader, _ = set_up(group)
    batches = list(loader)
    for _ in range(2):
        for x, y in batches:
            step(optimizer, F.cross_entropy(model(x), y, weight=WEIGHTS))
    return [[parameter.numpy() for parameter in model.parameters()]]


def two_loaders(group):
    """Train by the sum of losses of the batches of two loaders, and by each alone."""
    model, optimizer, one, other = set_up(group)
    for (x, y), (x2, y2) in zip(one, other, strict=True):
        first, second = F.cross_entropy(model(x), y), F.mse_loss(model(x2), y2)
        step(optimizer, first + 0.3 * second)
        step(optimizer, F.cross_entropy(model(x), y))
        step(optimizer, F.mse_loss(model(x2), y2))
    return [[parameter.numpy() for parameter in model.parameters()]]


def two_models(group):
    """Train a generator and a discriminator, as of a GAN, and take the means of both losses when both have walked."""
    tg.manual_seed(4)
    generator, judge = nn.Linear(3, 12), nn.Sequential(nn.Linear(12, 4), nn.Tanh(), nn.Linear(4, 1))
    parts = [generator, judge]
    for parameter in (p for part in parts for p in part.parameters()):
        parameter.data = parameter.data.astype(np.float64)
    optimizers = [nn.optim.SGD(part.parameters(), lr=0.1) for part in parts]
    loader = DataLoader((X, LABELS), 33, group=group)
    if group is not None:
        group.broadcast(generator, judge, *optimizers)
    losses, bce, mean = [], F.binary_cross_entropy_with_logits, group.mean if group else float
    for x, _ in loader:
        made, n = generator(x[:, :3]), len(x)
        of_judge = bce(judge(x), np.ones((n, 1))) + bce(judge(made.detach()), np.zeros((n, 1)))
        step(optimizers[1], of_judge)
        of_generator = bce(judge(made), np.ones((n, 1)))
        step(optimizers[0], of_generator)
        losses += [mean(of_judge), mean(of_generator)]
    return [p.numpy() for part in parts for p in part.parameters()], losses


def noisy_images(group):
    """Train by images to which a transform has put noise."""
    model, optimizer, _, _ = set_up(group)
    for batch_size in (32, 33):  # with a batch of one row; with shares that differ
        loader = DataLoader((X, LABELS), batch_size, transform=lambda x: F.dropout(x, 0.3), group=group)
        for x, y in loader:
            step(optimizer, F.cross_entropy(model(x), y))
    return [[parameter.numpy() for parameter in model.parameters()], [tg.rand(3).numpy()]]


def weighted_by_rows(group):
    """Add up the gradients of an epoch, each batch by its rows, and count what is right, before and after the step."""
    model, optimizer, loader, _ = set_up(group)
    counted = group.sum if group else np.asarray
    counts = []
    for x, y in loader:
        z = model(x)
        (F.cross_entropy(z, y) * (counted(len(x)) / ROWS)).backward()
        counts.append(counted(np.bincount(np.argmax(z.data, 1), minlength=5)))
    optimizer.step()
    counts.append(counted(sum((np.argmax(model(x).data, 1) == y).sum() for x, y in loader)))
    return [[parameter.numpy() for parameter in model.parameters()], counts]


def error_of(action):
    try:
        action()
    except Exception as error:  # noqa: BLE001  whatever it is, the test compares it
        return f"{type(error).__name__}: {error}"
    return None


def refusals(group):
    """Return the messages of what the group refuses, in each process."""
    other = group.rank == group.size - 1

    def loader(y=LABELS, **options):
        return DataLoader((X, y), **{"batch_size": 8, "shuffle": True, **options}, group=group)

    def model(width=4):
        return nn.Sequential(nn.Linear(12, width), nn.Linear(width, 5))

    def changed():
        trained = model()
        group.broadcast(trained)
        if other:
            trained[1].bias.assign(np.nextafter(trained[1].bias.numpy(), 2, dtype=np.float32))
        group.check_equal(trained)

    def drawn():
        group.broadcast()
        if other:
            tg.rand(1)
        group.check_equal()

    def not_broadcast():
        trained = model()
        optimizer = nn.optim.SGD(trained.parameters(), lr=0.1)
        F.cross_entropy(trained(X), LABELS).backward()
        optimizer.step()

    def another_batch():
        trained, batches = model(), iter(loader())
        group.broadcast(trained)
        x, y = next(batches)
        if other:
            x, y = next(batches)
        F.cross_entropy(trained(x), y).backward()

    def frozen_in_one():
        trained = model()
        group.broadcast(trained)
        trained[0].weight.requires_grad_(not other)
        x, y = next(iter(loader()))
        F.cross_entropy(trained(x), y).backward()

    def caught_in_one():
        trained = model()
        group.broadcast(trained)
        for i, (x, y) in enumerate(loader()):
            z = trained(x)
            if other and i == 0:
                z.register_hook(lambda g: 1 / 0)
            with contextlib.suppress(ZeroDivisionError):
                F.cross_entropy(z, y).backward()

    def another_epoch():
        trained, batches = model(), loader()
        batches.epoch = int(other)  # as one has it that has loaded a checkpoint
        group.broadcast(trained)
        for x, y in batches:
            F.cross_entropy(trained(x), y).backward()

    def stepped_in_one():
        trained = model()
        optimizer = nn.optim.SGD(trained.parameters(), lr=0.1)
        group.broadcast(trained, optimizer)
        try:
            for x, y in loader():
                F.cross_entropy(trained(x), y).backward()
                if not other:
                    optimizer.step()
        finally:
            shares.steps, shares.last_rates = 0, []  # the others begin alike

    def other_rate():
        trained = model()
        optimizer = nn.optim.SGD(trained.parameters(), lr=0.1)
        group.broadcast(trained, optimizer)
        try:
            for x, y in loader():
                F.cross_entropy(trained(x), y).backward()
                optimizer.lr = 0.2 if other else 0.1
                optimizer.step()
        finally:
            shares.steps, shares.last_rates = 0, []

    def other_order():
        trained = nn.Module()
        for name in ("b", "a") if other else ("a", "b"):
            setattr(trained, name, nn.Linear(3, 1))
        group.broadcast(trained)

    def one_data_set_less():
        group.broadcast(*([model()] if other else [model(), model()]))

    def fits():
        trained = model()
        optimizer = nn.optim.Adam(trained.parameters())
        tg.manual_seed(group.rank)
        for parameter in trained.parameters():
            parameter.assign(tg.randn(*parameter.shape))
        batches = loader()
        batches.epoch = group.rank
        group.broadcast(trained, optimizer, batches)
        group.check_equal(trained, optimizer, batches)

    actions = {
        "fits": fits,
        "labels": lambda: loader(y=np.roll(LABELS, other)),
        "images": lambda: DataLoader((X + other, LABELS), 8, group=group),
        "seed": lambda: loader(seed=int(other)),
        "batch_size": lambda: loader(batch_size=8 + other),
        "model": lambda: group.broadcast(model(5 if other else 4)),
        "optimizer": lambda: group.broadcast((nn.optim.SGD if other else nn.optim.Adam)(model().parameters())),
        "number of things": one_data_set_less,
        "changed": changed,
        "drawn": drawn,
        "not broadcast": not_broadcast,
        "another batch": another_batch,
        "frozen in one": frozen_in_one,
        "caught in one": caught_in_one,
        "another epoch": another_epoch,
        "stepped in one": stepped_in_one,
        "other rate": other_rate,
        "other order": other_order,
    }
    return {name: group.processes.all(error_of(action)) for name, action in actions.items()}


def own_ways(group):
    """Return facts about what a program may do besides training."""
    model, facts = nn.Linear(3, 2), {}
    group.broadcast(model)
    x = np.arange(3.0, dtype=np.float32)

    @tg.compiled
    def step():
        model.zero_grad()
        tg.sum(model(x)).backward()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        step()
    facts["compiled"] = [str(warning.message) for warning in caught]
    facts["compiled gradient"] = model.bias.grad.tolist()
    first = tg.Tensor(np.full(2, group.rank))
    with contextlib.suppress(GroupError):
        group.broadcast(first, nn.Linear(2, 3 + group.rank))
    facts["refused"] = group.processes.all(first.data.tolist())
    w = tg.Tensor(np.ones(3), requires_grad=True)  # no part of any model: of this process alone
    tg.sum(w * group.rank).backward()
    facts["its own"] = group.processes.all(w.grad.tolist())
    w = tg.Tensor(np.ones(3), requires_grad=True)
    group.broadcast(w)
    tg.sum(w * group.rank).backward()
    facts["a leaf"] = w.grad.tolist()
    tg.sum(w * group.rank).backward()
    facts["added"] = w.grad.tolist()
    frozen = nn.Linear(2, 2)
    group.broadcast(frozen)
    frozen.weight.requires_grad_(False)
    loss = tg.sum(frozen(np.ones(2, np.float32)))
    loss.backward()
    facts["frozen"] = [frozen.weight.grad is None, frozen.bias.grad.tolist()]
    frozen.weight.requires_grad_(True)
    tg.sum(frozen(np.full(2, group.rank, np.float32))).backward()
    facts["unfrozen"] = frozen.weight.grad.tolist()
    loss = tg.sum(frozen(np.ones(2, np.float32)))
    loss.backward()
    facts["mean of what was summed"] = group.mean(loss) == group.mean(loss.item())
    facts["sum"] = [group.sum(group.rank + 1), group.sum(0.5), group.sum(np.array([group.rank, 1])).tolist()]
    facts["mean"] = [group.mean(float(group.rank)), group.mean(np.full(2, group.rank)).tolist()]
    long = tg.Tensor(np.ones(2_500_000, np.float32), requires_grad=True)
    group.broadcast(long)
    weights = np.arange(2_500_000, dtype=np.float32)
    tg.sum(long * weights * (1 + group.rank)).backward()
    facts["long"] = np.array_equal(long.grad, weights * 1.5)
    return facts


def half(group):
    """Return a gradient in half precision whose parts are 2048, 1, 1 and 1."""
    w = tg.Tensor(np.ones(2, np.float16), requires_grad=True)
    group.broadcast(w)
    tg.sum(w * (4.0 if group.rank else 8192.0)).backward()
    return [str(w.grad.dtype), w.grad.tolist()]


def messages(group):
    """Return how many messages of each kind a step takes."""
    counts = {}

    def counted(name):
        send = getattr(group.processes, name)

        def sent(*args):
            if np.size(args[0]):  # a short message has no rest
                counts[name] = counts.get(name, 0) + 1
            return send(*args)

        setattr(group.processes, name, sent)

    model = nn.Linear(12, 5)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader((X.astype(np.float32), WITH_IGNORED), 16, group=group)
    group.broadcast(model, optimizer)
    for name in ("_add_up", "of_rank_0", "all", "by_rank_0"):
        counted(name)
    x, y = next(iter(loader))
    found = {}
    for kind, of in LOSSES.items():
        loss = of(model, x, y)
        found[f"{kind}: forward"] = dict(counts)
        optimizer.zero_grad()
        loss.backward()
        nn.clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()
        found[f"{kind}: step"] = dict(counts)
        group.mean(loss)
        found[f"{kind}: mean"] = dict(counts)
        group.mean(loss.item())
        found[f"{kind}: other mean"] = dict(counts)
        counts.clear()
    return found


LOSSES = {
    "loss of nn": lambda model, x, y: F.cross_entropy(model(x), y, weight=[1.0, 2.0, 3.0, 4.0, 5.0]),
    "sum": lambda model, x, y: F.cross_entropy(model(x), y, reduction="sum"),
    "by hand": lambda model, x, y: tg.mean(model(x) ** 2),
    "terms": lambda model, x, y: F.cross_entropy(model(x), y) + F.mse_loss(model(x), 0 * model(x).data),
}


def resumed(group, folder, epochs):
    """Train up to so many epochs, from the checkpoint in the folder if there is one; save at the end of each."""
    path = Path(folder, "checkpoint.safetensors")
    tg.manual_seed(group.rank)
    model = nn.Sequential(nn.Linear(12, 9), nn.Tanh(), nn.Dropout(0.3), nn.Linear(9, 5))
    optimizer = nn.optim.Adam(model.parameters(), lr=0.01)
    loader = DataLoader((X.astype(np.float32), LABELS), 16, shuffle=True, group=group)
    group.broadcast(model, optimizer)
    if path.exists():
        loader.load_state_dict(nn.load(path, model, optimizer)["loader"])
    moments, pids = random.Random(), Path(folder, f"pid-{group.rank}")
    pids.write_text(str(os.getpid()))
    while loader.epoch < int(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            if group.processes.of_rank_0(moments.random()) < 0.3:  # nobody knows which
                nn.save(path, model, optimizer, loader=loader.state_dict())
        nn.save(path, model, optimizer, loader=loader.state_dict())
        if os.environ.get("SLOWLY"):
            time.sleep(0.02)
    group.check_equal(model, optimizer)
    state = [*model.state_dict().values(), *(a for s in optimizer.state_dict()["state"] for a in s.values())]
    return [np.asarray(array).tolist() for array in state]


def fault(group, kind, folder):
    """Train for ever; after some steps something happens to the last rank."""
    model = nn.Linear(12, 5)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader((X.astype(np.float32), LABELS), 32, group=group)
    group.broadcast(model, optimizer)
    for steps in range(10**9):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        if steps == 5 and kind != "ctrl-c" and group.rank == group.size - 1:
            try:
                happen(kind, folder)
            finally:
                if kind == "save after an exception":
                    nn.save(Path(folder, "checkpoint.safetensors"), model, optimizer)
        if steps % 5 == 0 and kind == "ctrl-c":
            if steps == 10:
                os.fsync = lambda file: (Path(folder, "now").touch(), time.sleep(20))
            nn.save(Path(folder, "checkpoint.safetensors"), model, optimizer, steps=steps)
        if steps == 5 and kind == "rank 0 leaves" and group.rank == 0:
            return None
        if steps == 20 and kind == "guarded save":
            return "done"
        if steps % 5 == 0 and kind == "guarded save" and group.rank == 0:  # as PyTorch's users write it
            nn.save(Path(folder, "checkpoint.safetensors"), model, optimizer, steps=steps)
    return None


def happen(kind, folder):
    Path(folder, "now").touch()
    if kind in ("exception", "save after an exception"):
        raise RuntimeError("this rank has had enough")
    if kind == "exit":
        sys.exit(3)
    if kind == "exit with 0":
        sys.exit(0)
    if kind == "return":
        raise SystemExit
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


def unwritable(group, folder):
    """Return what `nn.save` raises in each process where rank 0 cannot write; and who writes where it can."""
    written, replace_file = [], checkpoint.replace_file
    checkpoint.replace_file = lambda path, content: written.append(path.name) or replace_file(path, content)
    model = nn.Linear(2, 2)
    group.broadcast(model)
    error = error_of(lambda: nn.save(Path(folder, "no such folder", "file"), model))
    nn.save(Path(folder, "file"), model)
    there = Path(folder, "file").exists()
    nn.save(Path(folder, "copy"), copy.deepcopy(model))  # as an average of the weights is one
    return [group.processes.all(x) for x in (error, there, written)]


def saved_after_a_guarded_save(group, folder):
    """Save under `if group.rank == 0`, then by all; return whether the file was there; and a third one's error."""
    model, last = nn.Linear(2, 2), Path(folder, "last")
    group.broadcast(model)
    if group.rank == 0:
        nn.save(Path(folder, "best"), model)
    group.processes.of_rank_0(None)
    if group.rank == 0:
        time.sleep(1)
    nn.save(last, model)
    there = last.exists()
    error = error_of(lambda: nn.save(Path(folder, "no such folder", "file"), model))
    return [group.processes.all(x) for x in (there, error)]


def roots(group):
    """Return the means of what a walk began with, and of an array in Fortran's order."""
    model, x = nn.Linear(12, 5), X[:4].astype(np.float32)
    group.broadcast(model)
    out = model(x)
    out.backward(np.ones((4, 5), np.float32))
    found = {"an array": np.array_equal(group.mean(out), out.numpy())}
    for shape in ((), (1,), (1, 1)):
        loss = tg.mean(model(x)).reshape(shape)
        loss.backward()
        found[f"shape {shape}"] = [np.shape(group.mean(loss)), np.allclose(group.mean(loss), loss.item())]
    found["Fortran's order"] = group.mean(np.full((2, 3), float(group.rank)).T).tolist()
    return found


def replaced_part(group):
    """Walk after a part of the model was replaced, and collected as garbage in one process only; return a gradient."""
    gc.disable()
    model = nn.Sequential(nn.Linear(12, 8), nn.Linear(8, 5))
    group.broadcast(model)
    cycle = [model[1]]
    cycle.append(cycle)
    del cycle
    model = nn.Sequential(model[0], nn.Linear(8, 5))
    group.broadcast(model[1])
    if group.rank == 1:
        gc.collect()
    tg.sum(model(X[:4].astype(np.float32))).backward()
    return bool(model[0].weight.grad.any())


def apart(group, kind):
    """Let one process do what the others do not, in the midst of a training."""
    model = nn.Linear(12, 5)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader((X.astype(np.float32), LABELS), 32, group=group)
    group.broadcast(model, optimizer)
    for step, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        if step == 1:
            part(group, kind, model)
        loss.backward()
        optimizer.step()
    return "done"


def part(group, kind, model):
    if kind == "a loss" and group.rank == 0:
        loss = F.cross_entropy(model(x := X[:20].astype(np.float32)), LABELS[: len(x)], weight=WEIGHTS.tolist())
        tg.grad(loss, model.weight)
    if kind == "a mean" and group.rank == 0:
        group.mean(1.0)
    if kind == "a mean of many" and group.rank == 0:
        group.mean(np.ones(100))
    if kind == "a mean on another line":
        if group.rank == 0:
            group.mean(1.0)
        group.mean(2.0)
    if kind == "a save" and group.rank == 1:
        nn.save("never written", model)
    if kind == "check_equal" and group.rank == 0:
        group.check_equal(model)
    if kind == "slow transfer":
        add_up = group.processes._add_up

        def slowly(array):
            add_up(array)
            time.sleep(3 * group.rank * (array.size > 80))  # as over a slow network: others are at the next message

        group.processes._add_up = slowly
        group.mean(np.ones(100))
        group.processes._add_up = add_up
    if kind == "slow":
        time.sleep(3 * group.rank)
        group.mean(np.ones(4))


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    GROUP = tg.parallel.Group()
    result = globals()[name](GROUP, *arguments)
    if GROUP.rank == 0:
        print(json.dumps(result), flush=True)
