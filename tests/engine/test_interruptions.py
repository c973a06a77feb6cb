"""Ctrl-C, or a MemoryError, in any line leaves what several writes change as it was, or changes all of it."""

import signal

import pytest

import tinygrad_sm as tg
from tests.interruptions import CASES, half_done, interrupted
from tinygrad_sm import nn
from tinygrad_sm.arguments import number


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # Python closes it, as the frame dies
@pytest.mark.parametrize("case", CASES)
def test_an_interruption_finds_all_done_or_nothing(case):
    """A sample of the lines; `make stress` tries all."""
    for error, every in ((KeyboardInterrupt, 5), (MemoryError, 7)):
        spoiled, points = half_done(CASES[case], error, every)
        assert spoiled == []
        assert points > 0


def test_ctrl_c_finds_all_done_or_nothing():
    """A real signal, which the handler of Python answers where Python runs it, sent at each line of a step."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has none
    try:
        act, state = CASES["Adam.step"]()
        before = state()
        with interrupted(None, None) as places:
            act()
        after = state()
        for at in range(1, len(places) + 1, 7):
            act, state = CASES["Adam.step"]()
            with interrupted(at, signal.SIGINT), pytest.raises(KeyboardInterrupt):
                act()
            assert state() in (before, after)
    finally:
        signal.signal(signal.SIGINT, handler)


@pytest.mark.parametrize("kind", [nn.optim.SGD, nn.optim.Adam])
def test_a_step_writes_with_no_function_of_the_package(kind, device):
    """A kernel of the package would be one; on a GPU its own is called."""
    options = {"momentum": 0.9} if kind is nn.optim.SGD else {}
    w = nn.Parameter([1.0, 2.0])
    w.data = tg.Tensor(w.data, device=device).data
    optimizer = kind([w], **options)
    w.grad = w.data * 1
    writes = [*optimizer._prepare_update(optimizer._slots[0])]
    assert writes
    for function, *_ in writes:
        assert isinstance(function, type) or not type(function).__module__.startswith("tinygrad_sm"), function


def half_written():
    pair = {"x": 0, "y": 0}

    def act():
        for name in pair:
            pair[name] = number("act", name, 1.0)

    return act, lambda: dict(pair)


def test_what_is_half_done_is_seen():
    spoiled, points = half_done(half_written)
    assert 0 < len(spoiled) < points
    assert {path for path, _ in spoiled} == {"tinygrad_sm/arguments.py"}
