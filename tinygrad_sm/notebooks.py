"""How notebooks come to the rich display of a class, which `look.display` makes and nobody loads before it is shown.

    show_in_notebooks(Tensor, html="tensor_html", tree="tensor_tree")

A notebook asks an object for `_repr_html_`, and the pretty-printer treescope asks for `__treescope_repr__`. The classes
stand on floors below `look`. So the `__init__` of the package, which stands above all of them, gives them these
methods, and that of `nn` gives Module its own. A method finds its function when it is called. `repr` and `print` stay
text.
"""

import importlib
from typing import Any


def show_in_notebooks(cls: type, html: str, tree: str | None = None) -> None:
    """Let notebooks show a class, and its subclasses, by functions of `look.display` with these names.

    A subclass with a `__repr__` of its own is shown by that, as its author wants: the methods then answer None and
    NotImplemented, at which a notebook and treescope take the text.
    """

    def _repr_html_(self: Any) -> str | None:
        return _function(html)(self) if type(self).__repr__ is cls.__repr__ else None

    def __treescope_repr__(self: Any, path: Any, subtree_renderer: Any) -> Any:
        shown = type(self).__repr__ is cls.__repr__
        return _function(tree)(self, path, subtree_renderer) if shown else NotImplemented

    methods: list[Any] = [_repr_html_, __treescope_repr__] if tree else [_repr_html_]
    for method in methods:
        method.__qualname__ = f"{cls.__qualname__}.{method.__name__}"
        setattr(cls, method.__name__, method)


def _function(name: str | None) -> Any:
    return getattr(importlib.import_module("tinygrad_sm.look.display"), str(name))
