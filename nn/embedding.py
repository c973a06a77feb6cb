"""Embeddings: a vector for each of a number of things, such as the characters of an alphabet, in the rows of a table.

    >>> table = Embedding(65, 16)
    >>> table(np.array([[0, 1, 64], [7, 7, 7]])).shape
    (2, 3, 16)

The rows are parameters. The product of a one-hot row with the table would give the same, and the same gradients, but
would multiply mostly by 0.
"""

from typing import Any, Self

import numpy as np

from tinygrad_sm.arguments import integer
from tinygrad_sm.arrays import described
from tinygrad_sm.backend import Array, check_same_device, device_of, to_numpy
from tinygrad_sm.engine.primitive import as_operand
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.nn import init
from tinygrad_sm.nn.module import Module, Parameter
from tinygrad_sm.ops.elementwise import where
from tinygrad_sm.ops.indexing import getitem
from tinygrad_sm.targets import first_place
from tinygrad_sm.tensors import Tensor


def embedding(indices: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """Return weight[indices]: for each index its row of the table.

    indices : integers 0..N−1, of any shape.  weight : shape (N, D).  Result : the shape of indices, and an axis of D.
    padding_idx : an index that stands for nothing, as at the end of a short text; its row gets no gradient from here.
        A negative one counts from the end.

    A row's gradient is the sum of those of all places where its index stands. An index out of range raises IndexError,
    and so does a negative one, as in PyTorch. If the indices are on a GPU, this check makes the host wait for them.

    >>> embedding([2, 0], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    array([[5., 6.],
           [1., 2.]], dtype=float32)
    """
    weight = as_operand(weight)
    indices = data_of(as_operand(indices, beside=weight))
    if weight.ndim != 2:
        raise ValueError(f"embedding: expected weight of shape (N, D), a row for each index, got {described(weight)}")
    check_same_device("embedding", [indices, data_of(weight)])
    padding_idx = _checked_padding("embedding", padding_idx, len(weight))
    _check_indices(indices, len(weight))
    rows = getitem(weight, indices)
    return rows if padding_idx is None else where((indices == padding_idx)[..., None], data_of(rows), rows)


def _check_indices(indices: Array, n: int) -> None:
    """Raise unless the indices are integers 0..n−1: IndexError names the first that is not."""
    if indices.dtype.kind not in "iu":
        raise TypeError(f"embedding: expected integers as indices, got {described(indices)}")
    indices = indices if device_of(indices) == "cpu" else to_numpy(indices)
    is_wrong = (indices < 0) | (indices >= n)
    if is_wrong.any():
        first, place = first_place(is_wrong)
        raise IndexError(f"embedding: expected indices 0..{n - 1} for {n} rows, got {indices[first]}{place}")


def _checked_padding(owner: str, padding_idx: int | None, n: int) -> int | None:
    return None if padding_idx is None else integer(owner, "padding_idx", padding_idx, -n, n - 1) % n


class Embedding(Module):
    """A table of num_embeddings rows of length embedding_dim, which gives for integers of any shape their rows.

    weight : shape (num_embeddings, embedding_dim); it begins as draws from N(0, 1), as in PyTorch.
    padding_idx : the index whose row begins as 0 and gets no gradient, or None.

    `functional.embedding` says the rest.

    >>> Embedding(65, 16, padding_idx=0)
    Embedding(65, 16, padding_idx=0)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None):
        self.num_embeddings = integer("Embedding", "num_embeddings", num_embeddings, smallest=1)
        self.embedding_dim = integer("Embedding", "embedding_dim", embedding_dim, smallest=1)
        self.padding_idx = _checked_padding("Embedding", padding_idx, self.num_embeddings)
        self.weight = init.normal_(Parameter(np.empty((num_embeddings, embedding_dim), np.float32)))
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    @classmethod
    def from_pretrained(cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None) -> Self:
        """Return an Embedding with a copy of these rows, shape (num_embeddings, embedding_dim), by default frozen.

        >>> Embedding.from_pretrained([[1.0, 2.0], [3.0, 4.0]])([1, 1]).tolist()
        [[3.0, 4.0], [3.0, 4.0]]
        """
        weight = Parameter(embeddings, requires_grad=not freeze)
        if weight.ndim != 2 or weight.size == 0:
            raise ValueError(f"Embedding.from_pretrained: expected rows of shape (N, D), got {described(embeddings)}")
        padding_idx = _checked_padding("Embedding.from_pretrained", padding_idx, len(weight))
        self = cls.__new__(cls)
        self.num_embeddings, self.embedding_dim = weight.shape
        self.padding_idx, self.weight = padding_idx, weight
        return self

    def forward(self, indices: Any) -> Tensor:
        """Return the rows: for indices of shape (...), a Tensor of shape (..., embedding_dim)."""
        return embedding(indices, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
