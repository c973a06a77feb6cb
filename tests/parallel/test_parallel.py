"""Several processes train as one: the same numbers as a big batch in one process, and the same bits in each of them."""

import copy
import os
import pickle
import re
import sys
import threading
import warnings
from types import SimpleNamespace
from weakref import WeakKeyDictionary, ref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_sm as tg
from tests.parallel import jobs
from tests.parallel.helpers import needs_mpi, result, run
from tinygrad_sm import nn, parallel, random, shares
from tinygrad_sm.datasets import DataLoader
from tinygrad_sm.engine import backward
from tinygrad_sm.errors import GradientError, GroupError
from tinygrad_sm.processes import Processes, _places


@needs_mpi
@pytest.mark.parametrize("case", jobs.CASES)
@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_processes_train_as_one(processes, case):
    bound = 1e-5 if case.startswith("float32") else 1e-12
    assert result(processes, "trainings")[case] <= (0 if processes == 1 else bound)


@needs_mpi
@pytest.mark.parametrize("loop", ["kept_batches", "two_loaders", "two_models", "noisy_images", "weighted_by_rows"])
@pytest.mark.parametrize("processes", [2, 3])
def test_other_loops_train_as_one(processes, loop):
    assert result(processes, "other_loops")[loop] < 1e-12


@needs_mpi
def test_a_plain_mean_over_processes_is_seen():
    """The comparison is sharp: without the shares, the parameters of means over rows are off by some percent."""
    assert all(wrong > 1e-3 for wrong in result(3, "plain_mean").values())


REFUSED = {
    "labels": r"GroupError: DataLoader: rank 1 differs from rank 0: \['y'\]",
    "images": r"GroupError: DataLoader: rank 1 differs from rank 0: \['x'\]",
    "seed": r"GroupError: DataLoader: rank 1 differs from rank 0: \['seed'\]",
    "batch_size": r"GroupError: DataLoader: rank 1 differs from rank 0: \['batch_size'\]",
    "model": r"(?s)GroupError: broadcast: rank 1 differs from rank 0: .*0\.weight: expected .*\(5, 12\).*",
    "optimizer": r"(?s)GroupError: broadcast: rank 1 differs from rank 0: .*expected 'SGD', got 'Adam'.*",
    "number of things": r"GroupError: broadcast: rank 1 differs from rank 0: expected 2 things, as there, got 1",
    "changed": r"GroupError: check_equal: rank 1 differs from rank 0: \[0\]\['1\.bias'\]",
    "drawn": r"GroupError: check_equal: rank 1 differs from rank 0: \[0\]\['.*'\]",
    "frozen in one": r"GroupError: rank 0 is at backward\(\), .*, 77 numbers of .*, but rank 1 at .*, 29 numbers of .*",
    "caught in one": r"GroupError: rank 0 is at backward\(\), batch 0 .*, but rank 1 at backward\(\), batch 1 .*",
    "another epoch": r"GroupError: rank 0 is at backward\(\), batch 0 of epoch 0, .*, "
    r"but rank 1 at .*, batch 0 of epoch 1, .*",
    "stepped in one": r"GroupError: rank 0 is at .* gradients and 1 steps, lr .*, but rank 1 at .* 0 steps, lr .*",
    "other rate": r"GroupError: rank 0 is at .* 1 steps, lr \[0\.1\], .*, but rank 1 at .* 1 steps, lr \[0\.2\], .*",
    "other order": r"GroupError: broadcast: rank 1 differs from rank 0: expected the order a\.weight, a\.bias, "
    r"b\.weight, b\.bias, as there, got b\.weight, b\.bias, a\.weight, a\.bias",
    "not broadcast": r"GradientError: step: 0\.weight was not broadcast, so each process would train it alone: call "
    r"group\.broadcast\(model, optimizer\) before the training",
}


@needs_mpi
@pytest.mark.parametrize("name", REFUSED)
def test_what_differs_is_refused_in_all_processes(name):
    first, second = result(2, "refusals")[name]
    assert first == second
    assert re.fullmatch(REFUSED[name], first), first


@needs_mpi
def test_what_broadcast_can_make_equal_is_equal():
    assert result(2, "refusals")["fits"] == [None, None]


@needs_mpi
def test_a_process_that_is_at_another_batch_is_found():
    rest = "of epoch 0, after 0 sums of gradients and 0 steps, lr [], 77 numbers of models [4], [(4, 16), (4, 20)]"
    message = (
        f"GroupError: rank 0 is at backward(), batch 0 {rest}, but rank 1 at backward(), batch 1 {rest}: "
        "all must run the same lines"
    )
    assert result(2, "refusals")["another batch"] == [message, message]


@needs_mpi
def test_a_compiled_step_runs_as_it_is_written_and_says_so():
    facts = result(2, "own_ways")
    (warning,) = facts["compiled"]
    assert warning.startswith("compiled: step runs as it is written, not as a program: several processes sum")
    assert facts["compiled gradient"] == [1, 1]


@needs_mpi
def test_leaves_are_summed_if_they_were_broadcast():
    facts = result(2, "own_ways")
    assert facts["its own"] == [[0, 0, 0], [1, 1, 1]]
    assert facts["a leaf"] == [0.5, 0.5, 0.5]
    assert facts["added"] == [1, 1, 1]
    assert facts["long"] is True  # it takes several pieces
    assert facts["frozen"] == [True, [1, 1]]
    assert facts["unfrozen"] == [[0.5, 0.5]] * 2


@needs_mpi
def test_a_broadcast_that_is_refused_changes_nothing():
    assert result(2, "own_ways")["refused"] == [[0, 0], [1, 1]]


@needs_mpi
def test_means_over_processes():
    facts = result(2, "own_ways")
    assert facts["mean"] == [0.5, [0.5, 0.5]]
    assert facts["mean of what was summed"] is True
    assert facts["sum"] == [3, 1.0, [1, 2]]


@needs_mpi
def test_a_step_takes_a_small_message_and_a_long_one():
    counts = result(2, "messages")
    for kind, messages in {"loss of nn": 2, "sum": 2, "by hand": 2, "terms": 3}.items():
        assert counts[f"{kind}: forward"] == {}
        assert counts[f"{kind}: step"] == counts[f"{kind}: mean"] == {"_add_up": messages}
        assert counts[f"{kind}: other mean"] == {"_add_up": messages + 1}


@needs_mpi
def test_half_precision_is_summed_in_float32():
    """The sum 2051 is rounded once, to 2052; in float16, 2048 + 1 is 2048, so no order of the sum would give that."""
    assert result(4, "half") == ["float16", [2052.0, 2052.0]]


@needs_mpi
@pytest.mark.parametrize(("first", "then"), [(2, 2), (2, 4), (3, 1)])
def test_a_checkpoint_of_some_processes_resumes_on_others(first, then, tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = run(first, "resumed", tmp_path / "whole", 4)
    run(first, "resumed", tmp_path / "parts", 2)
    parts = run(then, "resumed", tmp_path / "parts", 4)
    if first == then:
        assert parts == whole
    assert jobs.difference([list(map(np.array, parts))], [list(map(np.array, whole))]) < 1e-4  # Adam, in float32


@needs_mpi
def test_rank_0_saves_and_all_know_how_that_ended(tmp_path):
    errors, there, written = run(2, "unwritable", tmp_path)
    assert errors[0] == errors[1]
    assert errors[0].startswith("FileNotFoundError")
    assert there == [True, True]
    assert written == [["file", "file", "copy"], []]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "file"]


@needs_mpi
def test_a_save_by_all_waits_for_its_own_file_after_one_by_rank_0_alone(tmp_path):
    there, errors = run(2, "saved_after_a_guarded_save", tmp_path)
    assert there == [True, True]
    assert errors[0] == errors[1]
    assert errors[0].startswith("FileNotFoundError")


@needs_mpi
def test_means_of_what_a_walk_began_with():
    found = result(2, "roots")
    assert found["an array"] is True
    for shape in ((), (1,), (1, 1)):
        assert found[f"shape {shape}"] == [list(shape), True]
    assert found["Fortran's order"] == [[0.5, 0.5]] * 3


@needs_mpi
def test_garbage_collection_does_not_change_the_message():
    assert result(2, "replaced_part") is True


def test_a_group_of_one_needs_no_mpi(monkeypatch):
    for name in ("mpi4py", "mpi4py.MPI"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it would raise
    group = parallel.Group()
    model = nn.Linear(12, 5)
    group.broadcast(model)
    group.check_equal(model)
    assert (group.rank, group.size) == (0, 1)
    assert shares.current is None
    loader = DataLoader((jobs.X, jobs.LABELS), 33, group=group)
    assert [len(y) for _, y in loader] == [33, 33, 31]
    loss = nn.functional.cross_entropy(model(jobs.X), jobs.LABELS)
    loss.backward()
    assert group.mean(loss) == loss.item()
    assert repr([group.sum(3), group.sum(2.5), group.sum(True)]) == "[3, 2.5, 1]"
    assert group.sum(np.array([[1, 2]])).tolist() == [[1, 2]]


@pytest.mark.parametrize(
    "environment",
    [
        {"PMI_RANK": "0", "PMI_SIZE": "4"},
        {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"},
        {"SLURM_STEP_NUM_TASKS": "32"},
        {"PMIX_RANK": "0"},
        {"SLURM_STEP_NUM_TASKS": "1", "PMI_SIZE": "2"},
    ],
    ids=str,
)
def test_several_processes_without_mpi4py_are_told_what_to_install(environment, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", None)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ImportError, match=r'need mpi4py, which cannot be imported.*pip install "tinygrad_sm\[mpi\]"'):
        parallel.Group()


@pytest.mark.parametrize(
    "environment", [{}, {"PMI_RANK": "0", "PMI_SIZE": "1"}, {"SLURM_STEP_NUM_TASKS": "1"}], ids=str
)
def test_one_that_was_started_alone_needs_no_mpi4py(environment, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", None)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert parallel.Group().size == 1


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SLURM_STEP_NUM_TASKS": "32"}, "32 processes"),
        ({"PMI_SIZE": "2"}, "2 processes"),
        ({"OMPI_COMM_WORLD_SIZE": "4", "SLURM_STEP_NUM_TASKS": "1"}, "4 processes"),
        ({"PMIX_RANK": "3", "SLURM_STEP_NUM_TASKS": "1"}, "a process 3"),
        ({"PMI_RANK": "1"}, "a process 1"),
    ],
    ids=str,
)
def test_processes_that_mpi_does_not_bring_together_are_refused(environment, expected, monkeypatch):
    """As with an srun whose PMI the MPI does not know: each process would train alone, and write the same file."""
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", SimpleNamespace(COMM_WORLD=SimpleNamespace(rank=0, size=1)))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    message = rf"expected {expected}, as {next(iter(environment))} says, but MPI finds 1.*srun --mpi=pmix"
    with pytest.raises(RuntimeError, match=message):
        parallel.Group()
    monkeypatch.setenv("PMI_SIZE", "1")  # of an mpiexec -n 1 within a step of Slurm
    if not environment.keys() & {"PMI_SIZE", "PMI_RANK", "PMIX_RANK"}:
        with pytest.raises(AttributeError, match="Dup"):  # it goes on, with the MPI of this test
            parallel.Group()


@given(rows=st.integers(1, 300), size=st.integers(1, 12))
def test_the_parts_of_a_batch_are_all_of_its_rows_once(rows, size):
    parts = [Processes.part_of(SimpleNamespace(rank=rank, size=size), rows) for rank in range(size)]
    own = [part for part in parts if part.own]
    assert [row for part in own for row in range(part.start, part.stop)] == list(range(rows))
    assert all(part.own == part.stop - part.start for part in own)
    counts = [part.own for part in parts]
    assert sum(counts) == rows
    assert max(counts) - min(counts) <= 1
    assert all((part.start, part.stop) == (0, 1) for part in parts if not part.own)


def test_a_loader_takes_groups_only():
    with pytest.raises(TypeError, match=r"group must be a tg\.parallel\.Group, got int"):
        DataLoader((jobs.X, jobs.LABELS), 33, group=2)


def test_compiled_steps_of_a_group_of_one_are_programs():
    group = parallel.Group()
    model = nn.Linear(12, 5)
    group.broadcast(model)

    @tg.compiled
    def step(x, y):
        model.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            step(jobs.X, jobs.LABELS)
    assert step.program is not None


class Doubled(Processes):
    """Two processes of which the other has the same numbers; no message leaves this one."""

    def __init__(self, communicator=None):
        self.rank, self.size, self.sent = 0, 2, []
        self._messages, self._vectors = 0, {}
        self._process, self._thread_of_messages = os.getpid(), threading.get_ident()

    def _add_up(self, array):
        self.sent += [array.size] if array.size else []  # a short message has no rest
        array *= 2

    def by_rank_0(self, name, action):
        action()

    def of_rank_0(self, x, name=None):
        return x

    def all(self, x, name=None):
        return [x, x]


@pytest.fixture
def doubled(monkeypatch):
    """Give a group of such processes, of which nothing is left afterwards."""
    monkeypatch.setattr(backward, "sum_over_processes", None)
    for name, value in {"current": None, "once": shares.once, "summed": set(), "notes": WeakKeyDictionary()}.items():
        monkeypatch.setattr(shares, name, value)
    monkeypatch.setattr(parallel, "Processes", Doubled)
    return parallel.Group()


@pytest.mark.parametrize("y", [jobs.LABELS[:16], jobs.WITH_IGNORED[:16]], ids=["labels", "ignored"])
def test_on_all_devices(y, device, doubled):
    """Two processes with the same rows train as one that has them once; on a GPU the vector goes through the host."""
    x = jobs.X[:16].astype(np.float32)

    def trained(rows, labels, group):
        tg.manual_seed(0)
        model = nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 5)).to(device)
        model.unused = nn.Parameter(np.ones(2)).to(device)
        optimizer = nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
        loader = DataLoader((rows, labels), len(rows), device=device, group=group)
        if group:
            group.broadcast(model, optimizer)
        losses = []
        for _ in range(3):
            for images, targets in loader:
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(images), targets, weight=jobs.WEIGHTS.tolist())
                loss.backward()
                nn.clip_grad_norm(model.parameters(), 0.5)
                optimizer.step()
                losses.append(group.mean(loss) if group else loss.item())
        return losses, *[parameter.numpy() for parameter in model.parameters()]

    shared = trained(np.concatenate([x, x]), np.concatenate([y, y]), doubled)
    with jobs.alone():
        alone = trained(x, y, None)
    for one, other in zip(shared, alone, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_an_optimizer_that_stepped_before_there_was_a_group_is_checked(doubled):
    model = nn.Linear(12, 5)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)

    def step():
        tg.sum(model(jobs.X[:3].astype(np.float32))).backward()
        optimizer.step()

    with jobs.alone():
        step()
    with pytest.raises(GradientError, match="step: .* was not broadcast"):
        step()
    doubled.broadcast(model)
    step()


def test_a_walk_after_the_next_batch_was_given_is_refused(doubled):
    """Its rows are weighted by their share in their own batch, which the group knows for the last one only."""
    model = nn.Linear(12, 5)
    loader = DataLoader((jobs.X.astype(np.float32), jobs.LABELS), 33, group=doubled)
    doubled.broadcast(model)
    batches = iter(loader)
    x, y = next(batches)
    loss = tg.mean(model(x) ** 2)
    of_labels = nn.functional.cross_entropy(model(x), y)
    x, y = next(batches)
    with pytest.raises(GradientError, match="a loader has given another batch since.*call backward.. before"):
        loss.backward()
    assert model.weight.grad is None
    of_labels.backward()  # it is weighted by its labels
    assert model.weight.grad is not None


@pytest.fixture
def batch(doubled):
    """Give a model that was broadcast, and the 17 rows of a process, with numbers and labels."""
    model = nn.Linear(12, 5)
    doubled.broadcast(model)
    x, y = next(iter(DataLoader((jobs.X.astype(np.float32), jobs.LABELS), 34, group=doubled)))
    return model, x, jobs.NUMBERS[:17].astype(np.float32), y


def test_the_sum_of_a_loss_of_a_parameter_is_of_no_rows(batch):
    """So F.mse_loss(w, 0, "sum") decays weights as tg.sum(w ** 2) does: with two processes, no more than with one."""
    w = batch[0].weight
    nn.functional.mse_loss(w, np.zeros((5, 12), np.float32), reduction="sum").backward()
    np.testing.assert_allclose(w.grad, 2 * w.data, rtol=1e-6)


def test_the_sum_of_a_loss_of_a_leaf_that_is_no_parameter_is_of_its_rows(batch):
    """A batch may require a gradient too, as for a penalty on it; the other process has the same rows."""
    model, x, targets, _ = batch
    x = tg.Tensor(x, requires_grad=True)
    for first, second in [(x[:, :5], model(x)), (tg.Tensor(targets, requires_grad=True), model(x))]:
        model.zero_grad()
        with jobs.alone():
            loss = nn.functional.mse_loss(first, second, reduction="sum")
            (alone,) = tg.grad(loss, [model.weight], retain_graph=True)
        nn.functional.mse_loss(first, second, reduction="sum").backward()
        np.testing.assert_allclose(model.weight.grad, 2 * alone.data, rtol=1e-5)


@pytest.mark.parametrize(
    "divide", [lambda total, x: total / len(x), lambda total, x: total / 34, lambda total, x: total + 1]
)
def test_a_sum_of_nn_that_is_a_term_is_refused(divide, batch):
    """Divided by the rows of the process it would be twice too large here, if 1/34 shall be right."""
    model, x, targets, _ = batch
    loss = divide(nn.functional.mse_loss(model(x), targets, reduction="sum"), x)
    with pytest.raises(
        GradientError, match=r"a loss of nn with reduction=.sum. is a term of the loss.*take reduction=.mean"
    ):
        loss.backward()
    assert model.weight.grad is None


def test_batch_norm_takes_the_statistics_of_its_own_rows(batch, doubled):
    """As docs/scaling.md says; and one row alone, of a short last batch, is refused."""
    x = batch[1]
    norm = nn.BatchNorm1d(12)
    norm(x)
    np.testing.assert_allclose(norm.running_mean.data, 0.1 * x.mean(0), rtol=1e-5)
    loader = DataLoader((jobs.X[:36].astype(np.float32), jobs.LABELS[:36]), 33, group=doubled)
    (x, _), (last, _) = loader
    norm(x)
    with pytest.raises(ValueError, match="more than one value per channel"):
        norm(last)
    assert len(last) == 1


def test_a_forward_sends_nothing_and_has_the_value_of_its_own_rows(batch, doubled):
    model, x, targets, y = batch
    losses = {
        "weights": lambda: nn.functional.cross_entropy(model(x), y, weight=jobs.WEIGHTS.tolist()),
        "labels": lambda: nn.functional.cross_entropy(model(x), y),
        "a sum": lambda: nn.functional.mse_loss(model(x), targets, reduction="sum"),
        "some rows": lambda: nn.functional.l1_loss(model(x)[:7], targets[:7]),
    }
    for name, loss in losses.items():
        with jobs.alone():
            value = loss().item()
        doubled.processes.sent.clear()
        assert loss().item() == value, name
        tg.grad(loss(), model.weight)
        tg.value_and_grad(lambda w, loss=loss: loss())(model.weight)
        assert doubled.processes.sent == [], name


def test_the_mean_of_a_loss_of_nn_is_over_what_it_counts(batch, doubled):
    """Here the other process has the same rows. A loss that was no root of a walk takes one message."""
    model, x, targets, y = batch
    for loss, mean in [
        (nn.functional.mse_loss(model(x), targets, reduction="sum"), 2),
        (nn.functional.cross_entropy(model(x), y, weight=jobs.WEIGHTS.tolist()), 1),
    ]:
        doubled.processes.sent.clear()
        assert doubled.mean(loss) == pytest.approx(mean * loss.item(), rel=1e-6)
        assert len(doubled.processes.sent) == 1
    (2 * loss).backward(np.float32(0.5))
    doubled.processes.sent.clear()
    assert doubled.mean(loss) == pytest.approx(loss.item(), rel=1e-6)  # its graph was freed
    assert len(doubled.processes.sent) == 1


@pytest.mark.parametrize("seed", [None, 0.0, 0.5])
def test_the_mean_of_a_sum_of_losses_of_nn(batch, doubled, seed):
    model, x, targets, y = batch
    one = nn.functional.cross_entropy(model(x), y)
    other = nn.functional.mse_loss(model(x), targets)
    loss = one + 0.25 * other
    message = r"group.mean: losses of nn are terms of x: take the mean of each, or of that on which backward"
    with pytest.raises(GradientError, match=message):
        doubled.mean(loss)
    for_another = 3 * nn.functional.cross_entropy(model(x), y)
    (for_another / 2).backward()
    loss.backward(None if seed is None else np.float32(seed))
    with pytest.raises(GradientError, match=message):  # its graph was freed
        doubled.mean(for_another)
    if seed != 0:
        assert doubled.mean(loss) == pytest.approx(one.item() + 0.25 * other.item(), rel=1e-6)
    assert one.hooks == other.hooks == ()


def test_the_mean_of_a_metric_needs_no_graph_that_can_be_walked(batch, doubled):
    """Its graph may be freed in part, and stale: what it is the mean of is known all the same."""
    model, x, _, y = batch
    z = model(x)
    metric, loss = tg.mean(z**2), nn.functional.cross_entropy(z, y)
    loss.backward()
    nn.optim.SGD(model.parameters(), lr=0.1).step()
    assert doubled.mean(metric) == pytest.approx(metric.item(), rel=1e-6)


def test_means_of_two_losses_are_kept_as_long_as_the_losses(batch, doubled):
    model, x, targets, y = batch
    losses = [nn.functional.cross_entropy(model(x), y), tg.mean(model(x))]
    for loss in losses:
        loss.backward()
    doubled.processes.sent.clear()
    assert list(map(doubled.mean, losses)) == pytest.approx([loss.item() for loss in losses], rel=1e-6)
    assert doubled.processes.sent == []
    del loss
    losses.clear()
    assert doubled._sums.means == {}


def test_a_walk_that_fails_and_one_that_keeps_its_graph_leave_the_terms_as_they_were(batch):
    model, x, targets, y = batch

    def gradient_of(loss):
        model.zero_grad()
        loss.backward(retain_graph=True)
        return model.weight.grad.copy()

    one = nn.functional.cross_entropy(model(x), y)
    loss = one + nn.functional.mse_loss(model(x)[:7], targets[:7])
    own, ours = tg.grad(loss, [model.weight], retain_graph=True), gradient_of(loss)
    handle = model.weight.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        gradient_of(loss)
    handle.remove()
    assert one.hooks == ()
    np.testing.assert_array_equal(tg.grad(loss, [model.weight], retain_graph=True)[0].data, own[0].data)
    np.testing.assert_array_equal(gradient_of(loss), ours)


def test_labels_that_are_all_ignored_give_zero(batch, doubled):
    model, x, _, y = batch
    ignored = nn.functional.cross_entropy(model(x), np.full_like(y, -100), weight=jobs.WEIGHTS.tolist())
    for loss in (ignored, ignored + nn.functional.cross_entropy(model(x), np.full_like(y, -100))):
        loss.backward(retain_graph=True)
        assert not model.weight.grad.any()
        assert doubled.mean(loss) == 0


def test_a_process_without_rows_adds_nothing_even_if_it_is_not_finite(batch, doubled):
    model, x, _, y = batch
    doubled.begin(Processes.part_of(doubled.processes, 1))  # rank 0 of 2 has no row of one
    assert shares.current.own == 0
    with np.errstate(all="ignore"):
        loss = nn.functional.cross_entropy(model(np.where(x < 0, np.inf, x)), y)
        loss.backward()
    assert not model.weight.grad.any()
    assert doubled.mean(loss) == 0


CHOSEN = {
    "mse_loss": jobs.NUMBERS,
    "kl_div": jobs.PROBABILITIES,
    "binary_cross_entropy_with_logits": jobs.PROBABILITIES,
    "nll_loss": jobs.LABELS,
    "sparsemax_loss": jobs.LABELS,
    "entmax15_loss": jobs.PROBABILITIES,
    "cross_entropy": jobs.LABELS,
}


@pytest.mark.parametrize("weight", [None, jobs.WEIGHTS.tolist()], ids=["", "weighted"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", [*CHOSEN, "cross_entropy of probabilities"])
def test_a_process_may_have_chosen_no_row(loss, reduction, weight, doubled, device):
    """Without a group a loss of no rows is refused."""
    name = loss.partition(" ")[0]
    y = jobs.PROBABILITIES if name != loss else CHOSEN[name]
    model = nn.Linear(12, 5).to(device)
    doubled.broadcast(model)
    x, y = tg.Tensor(jobs.X[:0].astype(np.float32), device=device), tg.Tensor(y[:0], device=device).data
    options = {"reduction": reduction} | (
        {"weight": weight} if weight and name in ("cross_entropy", "nll_loss") else {}
    )
    value = getattr(nn.functional, name)(model(x), y, **options)
    value.backward()
    assert value.item() == doubled.mean(value) == 0
    assert not tg.Tensor(model.weight.grad).numpy().any()
    with jobs.alone(), pytest.raises(ValueError, match="expected at least one"):
        getattr(nn.functional, name)(model(x), y, **options)


def test_nothing_is_computed_after_a_last_batch_without_a_row_for_this_process(doubled):
    """It may be of other rows, of which nobody can know whether they count."""
    model, loss = nn.Linear(12, 5), nn.functional.cross_entropy
    doubled.broadcast(model)
    x, y = jobs.X[:33].astype(np.float32), jobs.LABELS[:33]
    loader = DataLoader((x, y), 32, group=doubled)
    losses = [loss(model(x), y) for x, y in loader]
    assert [doubled.mean(loss) > 0 for loss in losses] == [True, False]
    for action in (
        lambda: loss(model(x), y),
        lambda: tg.sum(model(x)).backward(),
        lambda: doubled.mean(0.5),
        lambda: doubled.sum(3),
    ):
        with pytest.raises(GradientError, match=r"the last batch had no row for this process.*drop_last=True"):
            action()
    with tg.no_grad():
        loss(model(x), y)
    for _ in loader:
        tg.sum(model(x)).backward()
    for _ in DataLoader((x, y), 32, drop_last=True, group=doubled):
        pass
    loss(model(x), y).backward()


def test_before_a_loader_has_given_a_batch_one_draws_as_alone(doubled):
    def drawn():
        tg.manual_seed(0)
        return [nn.functional.dropout(np.ones((4, 3))).tolist(), tg.rand(1).tolist()]

    of_group = drawn()
    with jobs.alone():
        assert of_group == drawn()


def test_the_sum_of_half_precision_is_not_larger_before_it_is_summed(doubled):
    """One process has the gradient 40,000; twice that is no number of half precision."""
    w = tg.Tensor(np.full(2, 0.25, np.float16), requires_grad=True)
    doubled.broadcast(w)
    doubled.begin(doubled.processes.part_of(8))
    # the other has zeros
    doubled.processes._add_up = lambda array: array.__imul__(2 if array.size == 16 else 1)
    nn.functional.l1_loss(w * np.float16(40000), np.zeros(2, np.float16), reduction="sum").backward()
    assert w.grad.tolist() == [40000, 40000]


def test_there_is_one_group(doubled):
    with pytest.raises(GroupError, match="Group: there is one already"):
        parallel.Group()
    assert shares.current is not None


@pytest.mark.parametrize("who", ["_thread_of_messages", "_process"])
def test_another_thread_and_a_forked_process_cannot_send_messages(who, doubled):
    setattr(doubled.processes, who, -1)
    with pytest.raises(GroupError, match=r"group\.mean.*: only the thread that made the Group may send messages"):
        Processes._waiting(doubled.processes, "group.mean", print)


def test_a_loader_with_a_group_is_copied_and_says_why_it_cannot_be_pickled(doubled):
    loader = DataLoader((jobs.X, jobs.LABELS), 33, group=doubled)
    assert copy.deepcopy(loader).group is doubled
    with pytest.raises(TypeError, match=r"a Group belongs to its process, and cannot be pickled: set loader\.group"):
        pickle.dumps(loader)
    loader.group = None
    assert len(pickle.loads(pickle.dumps(loader))) == 3


@pytest.mark.parametrize("size", [1, 3])
def test_rows_draw_what_one_process_draws_for_them(size, monkeypatch):
    """Also after an odd number of draws of 32 bits, of which the generator keeps the other half."""

    def drawn(parts):
        for part in parts:
            tg.manual_seed(0)
            random.random_generator().integers(0, 9, 3, dtype=np.uint32)
            monkeypatch.setattr(shares, "current", part)
            rows = slice(part.start, part.stop) if part else slice(10)
            x = np.zeros((10, 4), np.float32)[rows]
            yield (
                np.concatenate([nn.functional.dropout(x + 1), nn.functional.gumbel_softmax(x)], axis=1),
                random.random_generator().integers(0, 2**32, 5, dtype=np.uint32).tolist(),
            )

    ((whole, after),) = drawn([None])
    parts = list(drawn([Processes.part_of(SimpleNamespace(rank=rank, size=size), 10) for rank in range(size)]))
    np.testing.assert_array_equal(np.concatenate([rows for rows, _ in parts]), whole)
    assert all(other == after for _, other in parts)


def test_a_place_in_the_vector_has_the_axes_of_its_array():
    likes = [np.empty((4, 2, 3)).transpose(axes) for axes in [(0, 1, 2), (2, 0, 1), (1, 2, 0)]] + [np.empty(())]
    vector = np.arange(73.0)
    places = list(_places(likes, vector))
    assert [place.shape for place in places] == [like.shape for like in likes]
    assert [place.strides for place in places] == [like.strides for like in likes]
    assert sorted(x for place in places for x in place.ravel()) == vector.tolist()
    assert all(np.shares_memory(place, vector) for place in places)


def test_a_vector_is_used_again_once_nobody_has_a_part_of_it(doubled):
    def walked():
        tg.sum(model(jobs.X[:3].astype(np.float32))).backward()
        return ref(model.weight.grad.base)

    model = nn.Linear(12, 5)
    doubled.broadcast(model)
    first = walked()
    model.zero_grad()
    again = walked()
    assert again() is first()
    kept = model.weight.grad[0]  # a part of a part
    before = kept.tolist()
    model.zero_grad()
    assert walked()() is not again()
    assert kept.tolist() == before


def test_each_gradient_is_a_part_of_one_vector(doubled):
    model = nn.Linear(12, 5)
    doubled.broadcast(model)
    tg.sum(model(jobs.X[:3].astype(np.float32))).backward()
    weight, bias = model.weight.grad, model.bias.grad
    assert weight.base is bias.base is not None
    assert weight.strides == model.weight.data.strides == (4, 20)  # else each step would take ten times as long
    assert weight.flags.writeable
    assert not np.shares_memory(weight, bias)
    tg.sum(model(jobs.X[:3].astype(np.float32))).backward()  # adds to what is there, and nothing of it is overwritten
    assert model.weight.grad is weight
    assert model.bias.grad.tolist() == [6.0] * 5
