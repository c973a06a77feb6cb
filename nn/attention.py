"""Attention: each place of a sequence takes a weighted mean of values, with weights that its query decides.

    >>> query, key, value = np.eye(3)[:1] * 9, np.eye(3) * 9, np.array([[1.0], [2.0], [3.0]])
    >>> scaled_dot_product_attention(query, key, value).round(3)  # the query is like the first key
    array([[1.]])

The weights are the softmax of the products of a query with all keys. So each place reads what it looks for, wherever in
the sequence that stands, which a convolution or a recurrence reaches in many steps only. "Attention Is All You Need"
(Vaswani et al., 2017).

There are two conventions for masks of bools, both PyTorch's. In `scaled_dot_product_attention`, True means: MAY attend.
In `MultiheadAttention`, True means: may NOT attend.
"""

import functools
import math
import operator
from typing import Any

import numpy as np

from tinygrad_sm.arguments import integer, number
from tinygrad_sm.arrays import described
from tinygrad_sm.backend import Array, array_module, check_same_device
from tinygrad_sm.engine.primitive import as_operand
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.nn import init
from tinygrad_sm.nn.activations import dropout as dropped
from tinygrad_sm.nn.layers import Linear
from tinygrad_sm.nn.module import Module, Parameter
from tinygrad_sm.ops.composed import swapaxes
from tinygrad_sm.ops.elementwise import where
from tinygrad_sm.ops.linalg import linear
from tinygrad_sm.ops.reductions import mean
from tinygrad_sm.ops.softmax import softmax
from tinygrad_sm.precision import broadcasts_to, wide
from tinygrad_sm.tensors import Tensor

_SDPA = "scaled_dot_product_attention"


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Any:
    """Return softmax(scale · Q Kᵀ + mask) V, the softmax along each row: for each query a weighted mean of the values.

    query : shape (..., L, E).  key : (..., S, E).  value : (..., S, D).  Result : (..., L, D); leading axes broadcast.
    attn_mask : broadcasts to (..., L, S). Of bools, True means that the query MAY attend to the key; note that in
        `nn.MultiheadAttention` True means the opposite. Floats are added to the scores: −∞ hides a key.
    dropout_p : the share of the weights that is set to 0, while the others are divided by 1 − dropout_p; in evaluation
        too: pass 0.0 there.
    is_causal : the query i attends to the keys 0..i only, also where L and S differ. Not beside an attn_mask.
    scale : by default 1/√E, which keeps the variance of the scores.

    Convention: a query that may attend to nothing gets 0, and the gradient 0. Half precision is computed in float32.

    "Attention Is All You Need" (Vaswani et al., 2017).

    >>> x = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> scaled_dot_product_attention(x, x, x, is_causal=True, scale=1.0).round(4)
    array([[1.    , 0.    ],
           [0.2689, 0.7311]])
    """
    query, key, value = _operands(_SDPA, query, key, value)
    shape = _shape_of_scores(query, key, value)
    dropout_p = number(_SDPA, "dropout_p", dropout_p, 0, 1)
    scale = number(_SDPA, "scale", 1 / math.sqrt(query.shape[-1] or 1) if scale is None else scale)
    if is_causal and attn_mask is not None:
        raise ValueError(f"{_SDPA}: expected attn_mask or is_causal, got both: put what is causal into the mask")
    if attn_mask is not None:
        attn_mask = _checked_mask(_SDPA, "attn_mask", attn_mask, query)
        if not broadcasts_to(attn_mask.shape, shape):
            raise ValueError(
                f"{_SDPA}: expected attn_mask to broadcast to the scores' shape {shape}, got {described(attn_mask)}"
            )
    elif is_causal:
        attn_mask = _causal_mask(query, key)
    return _attend(query, key, value, attn_mask, dropout_p, scale)[0]


def _attend(query: Any, key: Any, value: Any, mask: Any, dropout_p: float, scale: float) -> tuple[Any, Any]:
    """Return the weighted means of the values, and the weights; a mask of bools is True where attention is allowed."""
    dtype = np.result_type(query.dtype, key.dtype, value.dtype)
    scores = wide(query) * scale @ swapaxes(wide(key), -1, -2)
    if mask is not None and mask.dtype.kind == "b":
        scores = where(mask, scores, -math.inf)
    elif mask is not None:
        scores = scores + mask.astype(scores.dtype)
    weights = dropped(softmax(scores), dropout_p)
    means = weights @ wide(value)
    return (means.astype(dtype), weights.astype(dtype)) if dtype == np.float16 else (means, weights)


def _causal_mask(query: Any, key: Any) -> Array:
    """Return True where the query's place is not before the key's."""
    xp = array_module(data_of(query))
    return xp.arange(query.shape[-2])[:, None] >= xp.arange(key.shape[-2])


def _operands(name: str, query: Any, key: Any, value: Any) -> list[Any]:
    """Return the three as operands; raise unless they are floats, on one device."""
    query = as_operand(query)
    found = [query, as_operand(key, beside=query), as_operand(value, beside=query)]
    for x, role in zip(found, ("query", "key", "value"), strict=True):
        if x.dtype.kind != "f":
            raise TypeError(f"{name}: expected floats as {role}, got {described(x)}")
    check_same_device(name, list(map(data_of, found)))
    return found


def _shape_of_scores(query: Any, key: Any, value: Any) -> tuple[int, ...]:
    shapes = query.shape, key.shape, value.shape
    if min(map(len, shapes)) >= 2 and query.shape[-1] == key.shape[-1] and key.shape[-2] == value.shape[-2]:
        try:
            batch = np.broadcast_shapes(*(shape[:-2] for shape in shapes))
        except ValueError:
            pass
        else:
            return (*batch, query.shape[-2], key.shape[-2])
    raise ValueError(
        f"{_SDPA}: expected query (..., L, E), key (..., S, E) and value (..., S, D), got the shapes "
        f"{shapes[0]}, {shapes[1]} and {shapes[2]}"
    )


def _checked_mask(name: str, role: str, mask: Any, query: Any) -> Any:
    """Return a mask as an operand; raise unless it has bools or floats, on the device of the query."""
    mask = as_operand(mask, beside=query)
    if mask.dtype.kind not in "bf":
        raise TypeError(f"{name}: expected {role} of bools, or of floats to add, got {described(mask)}")
    check_same_device(name, [data_of(query), data_of(mask)])
    return data_of(mask) if mask.dtype.kind == "b" else mask


class MultiheadAttention(Module):
    """Attention of several heads side by side, each with projections of its own to embed_dim / num_heads features.

    Head h computes scaled_dot_product_attention(Q W_hᵠ, K W_hᵏ, V W_hᵛ); out_proj maps all of their results, one beside
    the other, to the output. "Attention Is All You Need" (Vaswani et al., 2017).

    embed_dim : E, the features of query and output.  kdim, vdim : those of key and value; None means embed_dim.
    dropout : the share of the weights that is set to 0 in training.
    bias : whether the projections have biases.
    batch_first : False means shapes (L, N, E), as in PyTorch; True means (N, L, E).

    in_proj_weight, shape (3·E, E), holds the rows of query, key and value, one below the other; with another kdim or
    vdim there are q_proj_weight, k_proj_weight and v_proj_weight instead. These weights begin as Xavier's draws, the
    biases in_proj_bias and out_proj.bias as 0, and out_proj.weight as in Linear: all this is PyTorch's. Left out are
    its add_bias_kv and add_zero_attn.

    >>> MultiheadAttention(8, 2)
    MultiheadAttention(
      (out_proj): Linear(in_features=8, out_features=8, bias=True)
    )
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
    ):
        self.embed_dim = embed_dim = integer("MultiheadAttention", "embed_dim", embed_dim, smallest=1)
        self.num_heads = integer("MultiheadAttention", "num_heads", num_heads, smallest=1)
        if embed_dim % self.num_heads:
            raise ValueError(
                f"MultiheadAttention: expected heads of equal width, got embed_dim {embed_dim} for {num_heads} heads"
            )
        self.dropout = number("MultiheadAttention", "dropout", dropout, 0, 1)
        self.kdim = embed_dim if kdim is None else integer("MultiheadAttention", "kdim", kdim, smallest=1)
        self.vdim = embed_dim if vdim is None else integer("MultiheadAttention", "vdim", vdim, smallest=1)
        self.batch_first = batch_first
        if self._has_one_weight():
            self.in_proj_weight = _xavier(3 * embed_dim, embed_dim)
        else:
            self.q_proj_weight = _xavier(embed_dim, embed_dim)
            self.k_proj_weight = _xavier(embed_dim, self.kdim)
            self.v_proj_weight = _xavier(embed_dim, self.vdim)
        self.in_proj_bias = Parameter(np.zeros(3 * embed_dim, np.float32)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the output and, if need_weights, the weights of attention; None instead of them otherwise.

        query : shape (L, N, E).  key : (S, N, kdim).  value : (S, N, vdim).  Output : (L, N, E). With batch_first N
            comes first. One sequence may leave out the axis of N.
        key_padding_mask : shape (N, S), for keys that are padding.  attn_mask : (L, S), or (N·num_heads, L, S).
            Of bools, True means that the key may NOT be attended to; note that in
            `functional.scaled_dot_product_attention` True means the opposite. Floats are added to the scores.
        average_attn_weights : the weights have the shape (N, L, S), the mean over the heads; else (N, num_heads, L, S).
        is_causal : the query i attends to the keys 0..i only. PyTorch needs the same as an attn_mask beside it; here it
            is enough alone, and a mask beside it holds too.

        Convention: a query that may attend to nothing gets the weights 0, and the gradient 0; in PyTorch they are NaN.
        """
        query, key, value = _operands("MultiheadAttention", query, key, value)
        self._check_shapes(query, key, value)
        is_batch = query.ndim == 3
        if not is_batch:
            query, key, value = query[None], key[None], value[None]
        elif not self.batch_first:
            query, key, value = swapaxes(query, 0, 1), swapaxes(key, 0, 1), swapaxes(value, 0, 1)
        mask = self._mask(query, key, key_padding_mask, attn_mask, is_causal, is_batch)
        q, k, v = (self._heads(i, x) for i, x in enumerate((query, key, value)))
        scale = 1 / math.sqrt(self.embed_dim // self.num_heads)
        means, weights = _attend(q, k, v, mask, self.dropout if self.training else 0.0, scale)
        output = self.out_proj(means.transpose(0, 2, 1, 3).reshape(query.shape))
        if average_attn_weights and need_weights:
            weights = mean(weights, axis=1)
        if not is_batch:
            return output[0], weights[0] if need_weights else None
        return output if self.batch_first else swapaxes(output, 0, 1), weights if need_weights else None

    def _has_one_weight(self) -> bool:
        """Whether query, key and value have as many features, so that one weight holds the rows of all three."""
        return self.kdim == self.vdim == self.embed_dim

    def _heads(self, i: int, x: Any) -> Any:
        """Return the i-th of the projections of x (N, L, ...) in heads, (N, num_heads, L, embed_dim / num_heads)."""
        rows = slice(i * self.embed_dim, (i + 1) * self.embed_dim)
        if self._has_one_weight():
            weight = self.in_proj_weight[rows]
        else:
            weight = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)[i]
        y = linear(x, weight, None if self.in_proj_bias is None else self.in_proj_bias[rows])
        width = self.embed_dim // self.num_heads  # not −1: x may be empty
        return y.reshape(*x.shape[:2], self.num_heads, width).transpose(0, 2, 1, 3)

    def _check_shapes(self, query: Any, key: Any, value: Any) -> None:
        n = 0 if self.batch_first else 1  # the axis of the batch
        fits = query.ndim in (2, 3) and query.ndim == key.ndim == value.ndim and key.shape[:-1] == value.shape[:-1]
        fits = fits and (query.shape[-1], key.shape[-1], value.shape[-1]) == (self.embed_dim, self.kdim, self.vdim)
        if not (fits and (query.ndim == 2 or query.shape[n] == key.shape[n])):
            names = ("N, L", "N, S") if self.batch_first else ("L, N", "S, N")
            raise ValueError(
                f"MultiheadAttention: expected query ({names[0]}, {self.embed_dim}), key ({names[1]}, {self.kdim}) and "
                f"value ({names[1]}, {self.vdim}), or all without N; got the shapes {query.shape}, {key.shape} and "
                f"{value.shape}"
            )

    def _mask(self, query: Any, key: Any, padding: Any, attn_mask: Any, is_causal: bool, is_batch: bool) -> Any:
        """Return what masks the scores (N, num_heads, L, S): bools, True where attention is allowed, or floats to add.

        It is None where nothing does.
        """
        (N, L), S, H = query.shape[:2], key.shape[1], self.num_heads
        masks = [_causal_mask(query, key)] if is_causal else []
        if padding is not None:
            shape = (N, S) if is_batch else (S,)
            masks.append(self._oriented("key_padding_mask", padding, query, [shape]).reshape(N, 1, 1, S))
        if attn_mask is not None:
            mask = self._oriented("attn_mask", attn_mask, query, [(L, S), (N * H, L, S)])
            masks.append(mask if mask.ndim == 2 else mask.reshape(N, H, L, S))
        if not masks or all(mask.dtype.kind == "b" for mask in masks):
            return functools.reduce(operator.and_, masks) if masks else None
        return sum(where(mask, 0.0, -math.inf) if mask.dtype.kind == "b" else mask for mask in masks)

    def _oriented(self, role: str, mask: Any, query: Any, shapes: list[tuple[int, ...]]) -> Any:
        """Return a mask, if of bools the other way round: True where attention is allowed."""
        mask = _checked_mask("MultiheadAttention", role, mask, query)
        if mask.shape not in shapes:
            expected = " or ".join(map(str, shapes))
            raise ValueError(f"MultiheadAttention: expected {role} of shape {expected}, got {described(mask)}")
        return ~mask if mask.dtype.kind == "b" else mask


def _xavier(rows: int, columns: int) -> Parameter:
    weight = Parameter(np.empty((rows, columns), np.float32))
    init.xavier_uniform_(weight)
    return weight
