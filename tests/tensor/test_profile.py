"""profile counts the calls and bytes of every operation exactly, and no time twice."""

import sys
import threading
import time

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import Tensor, detect_anomaly, primitive, profile
from tinygrad_sm.engine.mode import current_mode
from tinygrad_sm.nn.functional import cross_entropy


def test_calls_and_bytes_are_exact():
    x = leaf(np.ones((4, 5)), np.float32)
    with profile() as p:
        loss = ((x * 2.0) * x).sum()
        assert p.rows["multiply"].backward == 0
        loss.backward()
        tg.exp(1.0)  # a NumPy scalar, of 8 bytes
        cross_entropy(x, np.array([0, 1, 2, 3]))  # with a residual, which does not count
        with tg.no_grad():
            tg.sum(Tensor(np.zeros((0, 3))), axis=0)
    assert {name: (row.calls, row.bytes) for name, row in p.rows.items()} == {
        "multiply": (2, 2 * 4 * 5 * 4),
        "sum": (2, 4 + 3 * 8),
        "exp": (1, 8),
        "cross_entropy": (1, 4),
    }
    assert p.total[0::3] == (6, 160 + 28 + 8 + 4)
    assert p.rows["multiply"].backward > 0
    assert p.rows["exp"].backward == 0
    assert current_mode().observers == ()
    before = p.total
    tg.exp(x)
    assert p.total == before


@pytest.mark.parametrize("create_graph", [False, True])
def test_no_time_is_counted_twice(create_graph):
    nap = 0.002

    def napping(x):
        time.sleep(nap)
        return x

    @primitive
    def inner(x, /):
        return napping(x) * 1.0

    @primitive
    def outer(x, /):
        return inner(x) * 2.0

    inner.vjp(lambda g, out, x: inner(g))
    outer.vjp(lambda g, out, x: inner(inner(g)) * 2.0)
    x = leaf()
    with profile() as whole:
        start = time.perf_counter()
        with profile() as p:
            y = outer(inner(x))
            tg.grad(y.sum(), x, create_graph=create_graph)
        wall = time.perf_counter() - start
    assert [p.rows[name].calls for name in ("inner", "outer")] == [1, 1]  # what they call themselves is theirs
    assert p.rows["inner"].forward >= nap
    assert p.rows["inner"].backward >= nap
    assert p.rows["outer"].forward >= nap
    assert p.rows["outer"].backward >= 2 * nap
    for total in (p.total, whole.total):
        assert 5 * nap <= total.forward + total.backward <= wall
    assert [row.calls for row in whole.rows.values()] == [p.rows[name].calls for name in whole.rows]


def test_a_profile_adds_up_over_its_uses():
    p = profile()

    @p
    def step(n):
        tg.exp(1.0)
        if n:
            step(n - 1)  # enters the same profile once more

    step(2)
    assert p.rows["exp"].calls == 3
    with p, p:
        tg.exp(1.0)
    assert p.rows["exp"].calls == 4
    assert current_mode().observers == ()


def test_threads_may_share_a_profile():
    p = profile()

    @p
    def work():
        for _ in range(1000):
            tg.add(1, 2)

    threads = [threading.Thread(target=work) for _ in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert p.rows["add"].calls == 8 * 1000


def test_what_raises_is_counted_as_a_call():
    x = leaf()
    with pytest.raises(ValueError, match="broadcast"), profile() as p:
        tg.add(x, np.ones(2))
    assert p.rows["add"].calls == 1
    assert p.rows["add"].bytes == 0
    assert current_mode().observers == ()
    with profile() as p, detect_anomaly():
        with pytest.raises(FloatingPointError):
            tg.sqrt(x - 9.0)
        tg.exp(x)
    assert {name: row.calls for name, row in p.rows.items()} == {"subtract": 1, "sqrt": 1, "exp": 1}


def test_the_table_is_sorted_and_has_totals():
    @primitive
    def slow(x, /):
        time.sleep(0.01)
        return x * 1.0

    assert str(profile()).splitlines()[1].split() == ["total", "0", "0.000", "0.000", "0"]
    with profile() as p:
        tg.exp(np.zeros(1000))
        slow(1.0)
        tg.exp(np.zeros(1000))
    header, *rows, total = str(p).splitlines()
    assert header.split() == ["calls", "forward", "ms", "backward", "ms", "bytes"]
    assert [row.split()[0] for row in rows] == list(p.rows) == ["slow", "exp"]
    assert rows[1].split()[1::3] == ["2", "16,000"]
    assert total.split()[:2] == ["total", "3"]
    assert float(total.split()[2]) >= 10
    assert len({len(row) for row in (header, *rows, total)}) == 1
