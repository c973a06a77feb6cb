"""What several test files need: the root, leaves to differentiate, and a record of the rules that a walk calls."""

import importlib.util
import re
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from tinygrad_sm import Tensor
from tinygrad_sm.dispatch import HAS_WING
from tinygrad_sm.engine.mode import Observer, observe

ROOT = Path(__file__).parent.parent
"""The repository."""

IN_FULL = hypothesis.settings.default.max_examples >= 100
"""Whether HYPOTHESIS_PROFILE=intense asks for all of what takes long, of which tests run a sample otherwise."""

of_the_wing = pytest.mark.skipif(not HAS_WING, reason="TINYGRAD_SM_PLAIN: the plain form costs more")


def loaded(path, name):
    """Import a file that belongs to no package, under a name of its own."""
    spec = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def leaf(data=(1.0, 2.0, 3.0), dtype=np.float64):
    return Tensor(np.array(data, dtype), requires_grad=True)


def check_error(action, kind, pattern, tmp_path):
    """Check a row of a table of errors: the action raises this very kind, and the whole message fits the pattern."""
    arguments = (tmp_path,) if action.__code__.co_varnames[:1] == ("tmp_path",) else ()
    with pytest.raises(kind) as raised:  # noqa: PT011  the whole message is matched below
        action(*arguments)
    message = "\n".join([str(raised.value), *getattr(raised.value, "__notes__", ())])
    assert type(raised.value) is kind
    assert re.fullmatch(pattern, message), message


class RuleLog(Observer):
    """Notes the operation and the arguments of every rule that is called."""

    def __init__(self, log):
        self.log = log

    def backward(self, node, i, rule):
        def logged(*args, **kwargs):
            self.log.append((node.op.name, args))
            return rule(*args, **kwargs)

        return logged


def calls_of_rules(log):
    return observe(RuleLog(log))


class OpLog(Observer):
    """Notes every operation that is called; a dict, so that they stand in the order of their first call."""

    def __init__(self):
        self.used = {}

    def forward(self, op, forward):
        self.used[op] = None
        return forward
