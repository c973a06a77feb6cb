"""The public names, and what stands behind them."""

import inspect

import tinygrad_sm as tg
from tinygrad_sm.engine.primitive import Primitive

MODULES = {
    "tg": tg,
    "tg.linalg": tg.linalg,
    "tg.look": tg.look,
    "tg.datasets": tg.datasets,
    "tg.parallel": tg.parallel,
    "nn": tg.nn,
    "nn.functional": tg.nn.functional,
    "nn.init": tg.nn.init,
    "nn.optim": tg.nn.optim,
    "nn.schedules": tg.nn.schedules,
}
"""Where public names are. A name that is no key is a module of the package, in which operations stand."""


def plain(x):
    """Return the Python function of an operation, and anything else as it is."""
    return x.plain if isinstance(x, Primitive) else x


def is_operation(x):
    """Whether this is an operation with rules, or a formula of others."""
    formula = inspect.isfunction(x) and (".ops." in x.__module__ or x.__module__.endswith(".functional"))
    return isinstance(x, Primitive) or formula


def first_name(x):
    """Return the name under which a function stands on these pages that has several; None if it is not public."""
    places = [(prefix, name) for prefix, module in MODULES.items() for name in module.__all__]
    names = [f"{prefix}.{name}" for prefix, name in places if getattr(MODULES[prefix], name) is x]
    return min(names, key=lambda name: not name.endswith(f".{getattr(plain(x), '__name__', '')}"), default=None)
