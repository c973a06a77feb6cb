"""A plugin for pytest under Pyodide: what differs there, and is not the package's matter, is known by name.

A test that asks for what no browser has is skipped as soon as it asks. A test that fails there for another reason
stands with it in `DIFFERENCES`, and fails too once it passes.
"""

import asyncio
import errno
import signal
import subprocess
import sys
import threading

import pytest

NARROW = "NumPy's integers have 32 bits there, and the row has the name of the 64-bit ones"
OLDER = "NumPy is 2.0 there, which does not have this yet"

DIFFERENCES = {
    "tests/nn/test_losses.py": {
        "test_the_error[labels in a column for nll_loss]": NARROW,
        "test_the_error[labels with an axis too many]": NARROW,
        "test_the_error[logits without classes]": NARROW,
    },
    "tests/ops/test_kinks.py": {"test_clip_of_integers_keeps_bounds_that_no_integer_reaches_away": OLDER},
    "tests/ops/test_ops.py": {
        "test_value_and_dtype_are_numpys[float32-roll(shift=1,axis=1)]": "its np.roll negates an unsigned offset",
        "test_value_and_dtype_are_numpys[float64-roll(shift=1,axis=1)]": "its np.roll negates an unsigned offset",
    },
    "tests/tensor/test_errors.py": {
        "test_the_error[a sum of floats in an integer dtype]": NARROW,
        "test_the_error[label too large]": NARROW,
        "test_the_error[labels in a column]": NARROW,
        "test_the_error[labels of some places]": NARROW,
        "test_the_error[probabilities that are integers]": NARROW,
        "test_the_error[too few labels]": NARROW,
    },
    "tests/tensor/test_protocols.py": {
        "test_positions_are_numpys": OLDER,
        "test_all_arguments_may_have_numpys_names_at_once[take]": OLDER,
        "test_bounds_of_clip_have_both_of_their_names[names1]": OLDER,
        "test_einsum_takes_numbered_axes_and_optimize[{'optimize': True}-3]": OLDER,
        "test_einsum_takes_numbered_axes_and_optimize[{'optimize': 'greedy'}-3]": OLDER,
    },
}
"""The file and the name of a test, and why it fails."""

LEAVES_SOMETHING_OPEN = "test_a_generator_that_is_closed_by_another_thread_ends_its_block_here"
"""The test that begins a block before it asks for a thread: skipped there, it would leave the block open."""


def _refused(what):
    """Return a function that skips the test which calls it. It closes a coroutine, which would warn otherwise."""

    def skip(*arguments, **_):
        for coroutine in filter(asyncio.iscoroutine, arguments):
            coroutine.close()
        pytest.skip(f"a browser has no {what}")

    return skip


def _process(*_, **__):
    """Skip a test that starts a process; to a library that only tries, say what Python says there."""
    frame = sys._getframe()
    while frame.f_globals["__name__"] in (__name__, "subprocess"):
        frame = frame.f_back
    if frame.f_globals["__name__"].startswith("tests."):
        pytest.skip("a browser has no processes")
    raise OSError(errno.ENOTSUP, "emscripten does not support processes.")


def pytest_configure():
    """Let what a browser does not have skip the test that asks for it."""
    asyncio.run = _refused("event loop that waits")
    threading.Thread.start = _refused("threads")
    subprocess.Popen.__init__ = _process
    signal.setitimer = _refused("timers that signal")


def pytest_collection_modifyitems(items):
    """Expect the differences. One that no test of its file has any more is an error."""
    names = {}
    for item in items:
        path, _, name = item.nodeid.partition("::")
        names.setdefault(path, set()).add(name)
        if name.startswith(LEAVES_SOMETHING_OPEN):
            item.add_marker(pytest.mark.skip(reason="a browser has no threads"))
        if reason := DIFFERENCES.get(path, {}).get(name):
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
    gone = [name for path in names.keys() & DIFFERENCES.keys() for name in DIFFERENCES[path].keys() - names[path]]
    if gone:
        raise pytest.UsageError(
            f"expected tests of the names {sorted(gone)}, which tests/wasm/refusals.py has, got none"
        )


def pytest_sessionfinish(session):
    """Fail a run in which nearly nothing ran: where a tool refuses too much, all tests skip."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    passed, skipped = (len(reporter.stats.get(outcome, ())) for outcome in ("passed", "skipped"))
    if passed <= 10 * skipped:
        reporter.write_line(f"expected ten tests that pass for one that skips, got {passed} and {skipped}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
