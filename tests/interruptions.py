"""Interrupt an action at each line of the package that it runs, and see that it is then done wholly or not at all.

    spoiled, points = half_done(case, KeyboardInterrupt)

A case is a function that prepares everything anew; it returns the action and a function that returns the state. Ctrl-C
raises KeyboardInterrupt between any two lines, and a small object that finds no memory raises MemoryError in any line.
`tests.nn.stress` interrupts at every line, and at a sample of the instructions of the bytecode; the tests do so at a
sample of the lines.
"""

import signal
import sys
import tempfile
from contextlib import contextmanager
from functools import cache

import numpy as np

import tinygrad_sm as tg
from tests.helpers import ROOT
from tests.nn.stress import exactly
from tinygrad_sm import nn
from tinygrad_sm.datasets import DataLoader
from tinygrad_sm.engine.versions import LEAVES_LOCK
from tinygrad_sm.nn.parameters import clip_grad_norm, clip_grad_value, vector_to_parameters
from tinygrad_sm.programs.recording import RECORDING

FOLDERS = tuple(str(ROOT / name) + "/" for name in ("tinygrad_sm", "nn", "datasets"))


@contextmanager
def interrupted(at, error, event="line"):
    """Raise the error at the so-manieth line, or "opcode", of the package that runs; yield a list of the places.

    The error may be a signal too, which the process then sends to itself.
    """
    places = []

    def in_frame(frame, what, _):
        if what == event:
            places.append((frame.f_code.co_filename.removeprefix(f"{ROOT}/"), frame.f_lineno))
            if len(places) == at:
                sys.settrace(None)
                if isinstance(error, signal.Signals):
                    signal.raise_signal(error)
                else:
                    raise error
        return in_frame

    def enter(frame, what, _):
        if frame.f_code.co_filename.startswith(FOLDERS):
            frame.f_trace_opcodes = event == "opcode"
            return in_frame
        return None

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        with np.errstate():  # an error raised as another `with` of it is about to end would leave it changed
            yield places
    finally:
        sys.settrace(before)
        # Python takes no signal at a `try:`, nor as `with` is about to release; a raised error there leaves the lock
        # held, and other threads would wait for ever.
        for lock in (LEAVES_LOCK, RECORDING):
            while lock._is_owned():
                lock.release()


def half_done(case, error=KeyboardInterrupt, every=1, event="line"):
    """Interrupt a case at one point of so many; return the places that left it half done, and how many were tried."""
    act, state = case()
    before = state()
    with interrupted(None, error, event) as places:
        act()
    after, points, spoiled = state(), range(1, len(places) + 1, every), []
    assert before != after, "the action changes nothing that the state shows"
    for at in points:
        act, state = case()
        assert state() == before, "the case does not begin anew"
        is_interrupted = False
        with interrupted(at, error, event) as places:
            try:
                act()
            except error:
                is_interrupted = True
        found = state()
        if found not in ((before, after) if is_interrupted else (after,)):
            spoiled.append(places[-1])
    return spoiled, len(points)


def model_and_optimizer(kind=nn.optim.Adam, steps=1, **options):
    """Return a model of three layers, one of them in half precision, and its optimizer after so many steps."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(2, 2))
    for i, p in enumerate(model.parameters()):
        p.assign(np.linspace(-1, 1, p.size).reshape(p.shape) + i)
    model.half = nn.Parameter(np.ones(3, np.float16))
    groups = [{"params": model[0].parameters(), "lr": 0.5}, {"params": [*model[1].parameters(), model.half]}]
    optimizer = kind([*groups, {"params": model[2].parameters()}], lr=0.25, **options)
    for i in range(steps):
        give_gradients(model, i)
        optimizer.step()
    give_gradients(model, steps)
    return model, optimizer


def give_gradients(model, i):
    for p in model.parameters():
        p.grad = np.cos(p.data + i).astype(p.dtype)


def seen(model, optimizer=None):
    """Return a function that returns all that a training reads of a model and its optimizer."""

    def state():
        tensors = [(name, p.name, exactly(p.data), exactly(p.grad)) for name, p in model.named_parameters()]
        return tensors, exactly([optimizer.state_dict() if optimizer else None])

    return state


def load_model():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    for p in model.parameters():
        p.assign(np.zeros(p.shape))
    other = {name: array + 1 for name, array in model.state_dict().items()}
    return lambda: model.load_state_dict(other), seen(model)


def load_optimizer():
    model, optimizer = model_and_optimizer(steps=0)
    other = model_and_optimizer(steps=2)[1]
    other.lr = 0.125
    other = other.state_dict()
    return lambda: optimizer.load_state_dict(other), seen(model, optimizer)


def set_lr():
    model, optimizer = model_and_optimizer()
    return lambda: setattr(optimizer, "lr", 0.125), seen(model, optimizer)


def step(kind, steps=1, **options):
    def case():
        model, optimizer = model_and_optimizer(kind, steps, **options)
        return optimizer.step, seen(model, optimizer)

    return case


def schedule_and_state():
    optimizer = model_and_optimizer()[1]
    warm_up = nn.schedules.LinearLR(optimizer, total_iters=3)
    parts = [warm_up, nn.schedules.CosineAnnealingLR(optimizer, 5)]
    schedule = nn.schedules.SequentialLR(optimizer, parts, milestones=[3])
    return schedule, lambda: (repr(schedule.state_dict()), exactly(optimizer.state_dict()))


def step_schedule():
    schedule, state = schedule_and_state()
    return schedule.step, state


def load_schedule():
    schedule, state = schedule_and_state()
    other = {**schedule.state_dict(), "last_epoch": 4, "base_lrs": [1.0, 2.0, 3.0], "lrs": [0.1, 0.2, 0.3]}
    return lambda: schedule.load_state_dict(other), state


def row_of_layers():
    modules = nn.ModuleList(nn.Linear(1, 1) for _ in range(4))
    return modules.append(modules[1])  # a shared one


def layers_by_names():
    layer = nn.Linear(1, 1)
    return nn.ModuleDict({"a": layer, "b": nn.Linear(1, 1), "c": layer})


def change_list(change, made=row_of_layers):
    def case():
        modules = made()
        for p in modules.parameters():
            p.assign(np.zeros(p.shape))
        known = list(modules.children())

        def state():
            names = [(p.name, q.name) for p, q in ((m.weight, m.bias) for m in known)]
            at = [(name, known.index(module) if module in known else "new") for name, module in modules._children()]
            return names, at

        return lambda: change(modules), state

    return case


def set_vector():
    model = model_and_optimizer()[0]
    vector = np.arange(sum(p.size for p in model.parameters()), dtype=np.float32)
    return lambda: vector_to_parameters(vector, model.parameters()), seen(model)


def clip(by, at):
    def case():
        model = model_and_optimizer()[0]
        return lambda: by(model.parameters(), at), seen(model)

    return case


def forget(whose, **options):
    def case():
        parts = model_and_optimizer()
        return lambda: parts[whose].zero_grad(**options), seen(parts[0])

    return case


def freeze():
    model = model_and_optimizer()[0]
    return lambda: model.requires_grad_(False), lambda: [p.requires_grad for p in model.parameters()]


def add_group():
    optimizer = model_and_optimizer()[1]
    group = {"params": [nn.Parameter([1.0]), nn.Parameter([2.0])]}
    return lambda: optimizer.add_param_group(group), lambda: (repr(optimizer), len(optimizer._slots))


def evaluation():
    model = model_and_optimizer()[0]
    return model.eval, lambda: [module.training for module in model.modules()]


def set_attribute(value):
    def case():
        model, inner = nn.Module(), value()
        tensors = [inner] if isinstance(inner, nn.Parameter) else [*inner.parameters()]
        return lambda: setattr(model, "inner", inner), lambda: ([t.name for t in tensors], [*vars(model)])

    return case


@cache
def saved():
    """Return a folder with a checkpoint; it is removed when the process ends."""
    folder = tempfile.TemporaryDirectory()
    nn.save(f"{folder.name}/c", *model_and_optimizer(steps=2))
    return folder


def load_checkpoint():
    path = f"{saved().name}/c"
    tg.manual_seed(5)
    model, optimizer = model_and_optimizer()
    state = seen(model, optimizer)
    return lambda: nn.load(path, model, optimizer), lambda: (state(), repr(tg.get_rng_state()))


def load_loader():
    loader = DataLoader((np.arange(10.0), np.arange(10)), 2, shuffle=True)
    state = {**loader.state_dict(), "epoch": 3, "position": 2, "seed": 5}
    return lambda: loader.load_state_dict(state), lambda: repr(loader.state_dict())


def set_draws():
    tg.manual_seed(1)
    state = {**tg.get_rng_state(), "forks": 3}
    tg.manual_seed(2)
    return lambda: tg.set_rng_state(state), lambda: repr(tg.get_rng_state())


def walk(with_gradients):
    def case():
        model = model_and_optimizer()[0]
        first = next(model.parameters())
        for p in model.parameters():
            p.grad = p.grad if with_gradients or p is first else None
        x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
        loss = model[2](model[1](model[0](x))).sum() + model.half.sum()
        return loss.backward, seen(model)

    return case


CASES = {
    "Module.load_state_dict": load_model,
    "Optimizer.load_state_dict": load_optimizer,
    "Schedule.load_state_dict": load_schedule,
    "Schedule.step": step_schedule,
    "Optimizer.lr": set_lr,
    "ModuleList.append": change_list(lambda modules: modules.append(nn.Linear(1, 1))),
    "ModuleList.extend": change_list(lambda modules: modules.extend([nn.Linear(1, 1), nn.Linear(1, 1)])),
    "ModuleList.insert": change_list(lambda modules: modules.insert(1, nn.Linear(1, 1))),
    "del of a module": change_list(lambda modules: modules.__delitem__(0)),
    "del of modules": change_list(lambda modules: modules.__delitem__(slice(0, 3, 2))),
    "ModuleDict.update": change_list(
        lambda modules: modules.update({"a": nn.Linear(1, 1), "d": modules["a"]}), layers_by_names
    ),
    "ModuleDict.pop": change_list(lambda modules: modules.pop("a"), layers_by_names),
    "vector_to_parameters": set_vector,
    "clip_grad_norm": clip(clip_grad_norm, 0.5),
    "clip_grad_value": clip(clip_grad_value, 0.5),
    "Module.zero_grad": forget(0),
    "Optimizer.zero_grad": forget(1),
    "Module.zero_grad with zeros": forget(0, set_to_none=False),
    "Optimizer.zero_grad with zeros": forget(1, set_to_none=False),
    "Module.requires_grad_": freeze,
    "Optimizer.add_param_group": add_group,
    "Module.eval": evaluation,
    "Module.__setattr__ of a Module": set_attribute(lambda: nn.Linear(1, 1)),
    "Module.__setattr__ of a Parameter": set_attribute(lambda: nn.Parameter(1.0)),
    "nn.load": load_checkpoint,
    "DataLoader.load_state_dict": load_loader,
    "set_rng_state": set_draws,
    "backward": walk(False),
    "backward to old gradients": walk(True),
    "SGD.step": step(nn.optim.SGD),
    "SGD.step with momentum": step(nn.optim.SGD, momentum=0.9, weight_decay=0.1),
    "SGD.step with Nesterov's": step(nn.optim.SGD, momentum=0.9, nesterov=True),
    "SGD.step, the first": step(nn.optim.SGD, 0, momentum=0.9),
    "Adam.step": step(nn.optim.Adam, weight_decay=0.1),
    "Adam.step, the first": step(nn.optim.Adam, 0),
    "AdamW.step": step(nn.optim.AdamW),
}
