# Written by `make record` from the running package: change the functions, or tests/typing/stubs.py, and not this file.
"""Functions that layers and losses are made of; names and signatures are PyTorch's."""

import numpy as np
from collections.abc import Sequence
from numpy.typing import ArrayLike
from tinygrad_sm.tensors import Tensor
from typing import Any, SupportsIndex, TypeAlias, overload

_Array: TypeAlias = np.ndarray[Any, Any]  # on a GPU it is CuPy's array, which has the same names
_Arrays: TypeAlias = _Array | Sequence[float] | Sequence[Sequence[float]] | Sequence[Sequence[Sequence[float]]]
_Plain: TypeAlias = _Arrays | complex | np.generic
_Operand: TypeAlias = Tensor | ArrayLike
_Other: TypeAlias = complex | np.generic | Sequence[_Operand]
_Axis: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | None
__all__ = [
    "accuracy",
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "confusion_matrix",
    "conv1d",
    "conv2d",
    "cross_entropy",
    "dropout",
    "embedding",
    "entmax15",
    "entmax15_loss",
    "gelu",
    "gumbel_softmax",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "relu",
    "rms_norm",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "sparsemax",
    "sparsemax_loss",
    "tanh",
]

def accuracy(logits: Any, labels: Any) -> float:
    """Return the share of examples whose largest logit is that of their label; of equal logits the first counts.

    logits : shape (N, C) or (N, C, d1, ...), or probabilities; (C,) is one example. labels : integers, shape
        (N, d1, ...); one integer for one example.

    >>> accuracy([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], [1, 0, 0])
    0.6666666666666666
    """

@overload
def adaptive_avg_pool2d(x: Tensor | Sequence[Tensor], output_size: int | Sequence[int | None] | None) -> Tensor:
    """Return means over images, x of shape (N, C, H, W) or (C, H, W), so many that the result has the output size.

    output_size : (H′, W′), or one integer for both; None keeps an axis. Of m means along an axis of length n, number i
        is that of the elements from ⌊i n / m⌋ up to ⌈(i + 1) n / m⌉; they overlap where m does not divide n. So the
        size 1 gives the mean of each channel.

    >>> adaptive_avg_pool2d([[[1.0, 2.0, 3.0, 6.0]]], (1, 3))
    array([[[1.5, 2.5, 4.5]]], dtype=float32)
    """
@overload
def adaptive_avg_pool2d(x: _Arrays, output_size: int | Sequence[int | None] | None) -> _Array: ...
@overload
def adaptive_avg_pool2d(x: _Other, output_size: int | Sequence[int | None] | None) -> Any: ...

@overload
def avg_pool2d(x: Tensor | Sequence[Tensor], kernel_size: int | Sequence[int], stride: int | Sequence[int] | None = None, padding: int | Sequence[int] = 0, ceil_mode: bool = False, count_include_pad: bool = True) -> Tensor:
    """Return the mean of each window of images, x of shape (N, C, H, W) or (C, H, W).

    kernel_size, stride, padding, ceil_mode : as in max_pool2d; the padding is zeros.
    count_include_pad : whether those zeros count as elements of the mean.
    Result : shape (N, C, P₁, P₂), as in max_pool2d.

    PyTorch's divisor_override is not here.

    >>> avg_pool2d([[[1.0, 2.0, 5.0, 0.0], [4.0, 3.0, 0.0, 6.0]]], 2)
    array([[[2.5 , 2.75]]], dtype=float32)
    """
@overload
def avg_pool2d(x: _Arrays, kernel_size: int | Sequence[int], stride: int | Sequence[int] | None = None, padding: int | Sequence[int] = 0, ceil_mode: bool = False, count_include_pad: bool = True) -> _Array: ...
@overload
def avg_pool2d(x: _Other, kernel_size: int | Sequence[int], stride: int | Sequence[int] | None = None, padding: int | Sequence[int] = 0, ceil_mode: bool = False, count_include_pad: bool = True) -> Any: ...

@overload
def batch_norm(x: Tensor | Sequence[Tensor], running_mean: Any, running_var: Any, weight: _Operand | None = None, bias: _Operand | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-05) -> Tensor:
    """Return (x − μ) / √(σ² + eps) · weight + bias, with mean μ and variance σ² of each channel.

    x : shape (N, C) or (N, C, d1, ...), with C channels; half precision is computed in float32.
    running_mean, running_var : shape (C,); Tensors or arrays, which training changes in place, or both None.
    weight, bias : shape (C,), or None for none.

    Without `training`, μ is running_mean and σ² running_var. With it, they are the mean of the n numbers of the channel
    and the mean of (x − μ)², through which gradients pass too; and then, unless they are None,

        running_mean ← (1 − momentum) running_mean + momentum μ
        running_var ← (1 − momentum) running_var + momentum σ² n / (n − 1)

    A call that raises an error leaves them as they were. Raises ValueError in training if n is not at least 2. "Batch
    Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift" (Ioffe and Szegedy, 2015).

    >>> running_mean, running_var = np.zeros(1), np.ones(1)
    >>> batch_norm([[1.0], [5.0]], running_mean, running_var, training=True).round(3).tolist()
    [[-1.0], [1.0]]
    >>> running_mean.round(4), running_var.round(4)  # 0.9 · 0 + 0.1 · 3, and 0.9 · 1 + 0.1 · 8
    (array([0.3]), array([1.7]))
    """
@overload
def batch_norm(x: _Operand, running_mean: Any, running_var: Any, weight: Tensor | Sequence[Tensor], bias: _Operand | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-05) -> Tensor: ...
@overload
def batch_norm(x: _Operand, running_mean: Any, running_var: Any, weight: _Operand | None, bias: Tensor | Sequence[Tensor], training: bool = False, momentum: float = 0.1, eps: float = 1e-05) -> Tensor: ...
@overload
def batch_norm(x: _Operand, running_mean: Any, running_var: Any, weight: _Operand | None = None, *, bias: Tensor | Sequence[Tensor], training: bool = False, momentum: float = 0.1, eps: float = 1e-05) -> Tensor: ...
@overload
def batch_norm(x: _Arrays, running_mean: Any, running_var: Any, weight: _Plain | None = None, bias: _Plain | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-05) -> _Array: ...
@overload
def batch_norm(x: _Other, running_mean: Any, running_var: Any, weight: _Other | None = None, bias: _Other | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-05) -> Any: ...

@overload
def binary_cross_entropy(probabilities: Tensor | Sequence[Tensor], target: _Operand, weight: Any = None, reduction: str = 'mean') -> Tensor:
    """Return −w (y ln p + (1 − y) ln(1 − p)), by default the mean over all elements, each a yes or no.

    probabilities : p, of any shape, as sigmoid gives them; ValueError unless they are from 0 to 1, or on a GPU, where
        nobody waits to look, NaN. Better, binary_cross_entropy_with_logits takes the input of the sigmoid, and is
        right for all.
    target : y, of the same shape: 0 and 1, or probabilities between them.
    weight : w, constants that broadcast to the shape of the probabilities.

    Conventions: a logarithm is at least −100, and its derivative at most 1e12, as in PyTorch. So at p = 0 and y = 1 the
    loss is 100 and the gradient −1e12. At p = y = 0 the gradient is 1, and at p = y = 1 it is −1, the derivatives of
    the formula, where PyTorch has 0.

    >>> binary_cross_entropy([0.5, 0.0], [1.0, 1.0], reduction="none").round(4)
    array([  0.6931, 100.    ], dtype=float32)
    """
@overload
def binary_cross_entropy(probabilities: _Operand, target: Tensor | Sequence[Tensor], weight: Any = None, reduction: str = 'mean') -> Tensor: ...
@overload
def binary_cross_entropy(probabilities: _Operand, target: _Operand, weight: Any = None, reduction: str = 'mean') -> Any: ...

@overload
def binary_cross_entropy_with_logits(logits: Tensor | Sequence[Tensor], target: _Operand, weight: Any = None, reduction: str = 'mean', pos_weight: Any = None) -> Tensor:
    """Return −w (q y ln σ(z) + (1 − y) ln(1 − σ(z))), by default the mean over all elements, each a yes or no.

    logits : z, of any shape, before any sigmoid.
    target : y, of the same shape: 0 and 1, or probabilities between them.
    weight : w, and pos_weight : q, the weight of the positive; constants that broadcast to the shape of the logits.

    Computed as w (q y softplus(−z) + (1 − y) softplus(z)), which is right for all logits; 0·∞ is 0.
    """
@overload
def binary_cross_entropy_with_logits(logits: _Operand, target: Tensor | Sequence[Tensor], weight: Any = None, reduction: str = 'mean', pos_weight: Any = None) -> Tensor: ...
@overload
def binary_cross_entropy_with_logits(logits: _Operand, target: _Operand, weight: Any = None, reduction: str = 'mean', pos_weight: Any = None) -> Any: ...

def confusion_matrix(logits: Any, labels: Any) -> Any:
    """Return how often each class was predicted as which: an integer array (C, C), a row for each true class.

    The arguments are those of accuracy, which is the share of the counts that stand on the diagonal.

    >>> confusion_matrix([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], [1, 0, 0])
    array([[1, 1],
           [0, 1]])
    """

@overload
def conv1d(x: Tensor | Sequence[Tensor], weight: _Operand, bias: Any = None, stride: int | Sequence[int] = 1, padding: int | Sequence[int] | str = 0, dilation: int | Sequence[int] = 1, groups: int = 1) -> Tensor:
    """Return the convolution of sequences, x of shape (N, C, L), with kernels, weight of shape (O, C/groups, K).

    As conv2d, with one axis.

    >>> conv1d([[[1.0, 2.0, 4.0, 8.0]]], [[[-1.0, 1.0]]])  # differences
    array([[[1., 2., 4.]]], dtype=float32)
    """
@overload
def conv1d(x: _Operand, weight: Tensor | Sequence[Tensor], bias: Any = None, stride: int | Sequence[int] = 1, padding: int | Sequence[int] | str = 0, dilation: int | Sequence[int] = 1, groups: int = 1) -> Tensor: ...
@overload
def conv1d(x: _Arrays, weight: _Plain, bias: Any = None, stride: int | Sequence[int] = 1, padding: int | Sequence[int] | str = 0, dilation: int | Sequence[int] = 1, groups: int = 1) -> _Array: ...
@overload
def conv1d(x: _Plain, weight: _Arrays, bias: Any = None, stride: int | Sequence[int] = 1, padding: int | Sequence[int] | str = 0, dilation: int | Sequence[int] = 1, groups: int = 1) -> _Array: ...
@overload
def conv1d(x: _Other, weight: _Other, bias: Any = None, stride: int | Sequence[int] = 1, padding: int | Sequence[int] | str = 0, dilation: int | Sequence[int] = 1, groups: int = 1) -> Any: ...

@overload
def conv2d(x: Tensor | Sequence[Tensor], weight: _Operand, bias: _Operand | None = None, stride: int | Sequence[int] = 1, padding: int | Sequence[int] | str = 0, dilation: int | Sequence[int] = 1, groups: int = 1) -> Tensor:
    """Return the convolution of images with kernels.

    x : shape (N, C, H, W): N images of C channels; (C, H, W) is one image.
    weight : shape (O, C/groups, K₁, K₂): a kernel for each of O output channels.  bias : shape (O,), or None.
    stride : the steps from place to place.  dilation : the steps inside of a kernel.
    padding : how many zeros stand before and behind each axis; "valid" is none, and "same", with stride 1, as many as
        give the output the size of the input, one more behind than before if their number is odd.
    groups : the channels are parted into groups, each with kernels of its own; C groups are a depthwise convolution.
    Result : shape (N, O, P₁, P₂), P = ⌊(L + 2 padding − dilation (K − 1) − 1) / stride⌋ + 1, and

        result[n, o, p, q] = bias[o] + Σ_cij weight[o, c, i, j] · x[n, c, stride p + dilation i, stride q + dilation j]

    of the padded x. The kernel is not flipped, so that mathematics would say cross-correlation. In half precision the
    sums are formed in float32. Raises ValueError if the shapes do not fit, the groups do not divide the channels, or
    the kernel is larger than the padded image. "Gradient-Based Learning Applied to Document Recognition" (LeCun,
    Bottou, Bengio and Haffner, 1998).

    >>> conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), padding="same")[0, 0]
    array([[4., 4., 2.],
           [4., 4., 2.],
           [2., 2., 1.]])
    """
@overload
def conv2d(x: _Operand, weight: Tensor | Sequence[Tensor], bias: _Operand | None = None, stride: int | Sequence[int] = 1, padding: int | Sequence[int] | str = 0, dilation: int | Sequence[int] = 1, groups: int = 1) -> Tensor: ...
@overload
def conv2d(x: _Operand, weight: _Operand, bias: Tensor, stride: int | Sequence[int] = 1, padding: int | Sequence[int] | str = 0, dilation: int | Sequence[int] = 1, groups: int = 1) -> Tensor: ...
@overload
def conv2d(x: _Arrays, weight: _Plain, bias: _Plain | None = None, stride: int | Sequence[int] = 1, padding: int | Sequence[int] | str = 0, dilation: int | Sequence[int] = 1, groups: int = 1) -> _Array: ...
@overload
def conv2d(x: _Plain, weight: _Arrays, bias: _Plain | None = None, stride: int | Sequence[int] = 1, padding: int | Sequence[int] | str = 0, dilation: int | Sequence[int] = 1, groups: int = 1) -> _Array: ...
@overload
def conv2d(x: _Other, weight: _Other, bias: _Other | None = None, stride: int | Sequence[int] = 1, padding: int | Sequence[int] | str = 0, dilation: int | Sequence[int] = 1, groups: int = 1) -> Any: ...

@overload
def cross_entropy(logits: Tensor | Sequence[Tensor], target: _Operand, weight: Any = None, ignore_index: int = -100, reduction: str = 'mean', label_smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy between targets and the softmax of logits, by default its mean over the examples.

    logits : shape (N, C) or (N, C, d1, ...), or (C,) for one example, before any softmax. Passing a softmax's output is
        a common mistake, after which the loss hardly falls: cross_entropy warns, once for each line of code.
    target : integer labels 0..C−1, shape (N, d1, ...), or () for one example; or probabilities y, shaped as the logits.
    weight : w, one for each class, shape (C,); a constant.
    ignore_index : examples with this label do not count: their loss and their gradient are 0.
    label_smoothing : ε in [0, 1], the share of each target that is spread evenly over the classes.

    For an example i, with p = softmax(logits), and for labels y = 1 at the class of the label and 0 elsewhere,

        loss_i = −Σ_c w_c ((1 − ε) y_ic + ε/C) ln p_ic,        where 0·(−∞) is 0

    For labels the mean is Σ loss_i / Σ w_{label_i} over the examples that are not ignored. For probabilities it is
    Σ loss_i / N, with or without weights. N counts the examples of all places d1, ...

    All this is PyTorch's, with four exceptions on purpose. Where no example counts, because all are ignored or have
    weight 0, the mean and its gradient are 0, not NaN. 0·(−∞) is 0, not NaN. The weights take the dtype of the logits.
    With probabilities any ignore_index is allowed and means nothing; PyTorch refuses one that is not negative.
    """
@overload
def cross_entropy(logits: _Operand, target: Tensor | Sequence[Tensor], weight: Any = None, ignore_index: int = -100, reduction: str = 'mean', label_smoothing: float = 0.0) -> Tensor: ...
@overload
def cross_entropy(logits: _Operand, target: _Operand, weight: Any = None, ignore_index: int = -100, reduction: str = 'mean', label_smoothing: float = 0.0) -> Any: ...

@overload
def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Set every element to 0 with probability p and divide the others by 1 − p; return x itself without `training`.

    So the next layer's input has the same mean in both (inverted dropout). Each call draws anew, on the host;
    `tg.manual_seed` sets the draws. A dropped infinity or NaN becomes NaN. "Dropout: A Simple Way to Prevent Neural
    Networks from Overfitting" (Srivastava et al., 2014).
    """
@overload
def dropout(x: _Arrays, p: float = 0.5, training: bool = True) -> _Array: ...
@overload
def dropout(x: _Other, p: float = 0.5, training: bool = True) -> Any: ...

@overload
def embedding(indices: Any, weight: Tensor | Sequence[Tensor], padding_idx: int | None = None) -> Tensor:
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
@overload
def embedding(indices: Any, weight: _Arrays, padding_idx: int | None = None) -> _Array: ...
@overload
def embedding(indices: Any, weight: _Other, padding_idx: int | None = None) -> Any: ...

@overload
def entmax15(x: Tensor | Sequence[Tensor], dim: int = -1) -> Tensor:
    """Return [x/2 − τ]₊² along the axis `dim`, between softmax and sparsemax: smooth where a p becomes 0.

    >>> entmax15([1.0, 1.5, 0.5, -2.0]).round(4)
    array([0.2917, 0.6242, 0.0841, 0.    ], dtype=float32)
    """
@overload
def entmax15(x: _Arrays, dim: int = -1) -> _Array: ...
@overload
def entmax15(x: _Other, dim: int = -1) -> Any: ...

@overload
def entmax15_loss(logits: Tensor | Sequence[Tensor], target: _Operand, ignore_index: int = -100, reduction: str = 'mean') -> Tensor:
    """Return the Fenchel–Young loss of entmax15, as in sparsemax_loss, with H(p) = 4/3 (1 − Σ p^1.5).

    Its gradient is p − y with p = entmax15(logits); it is 0 once the logit of the label leads by 2.
    """
@overload
def entmax15_loss(logits: _Operand, target: _Operand, ignore_index: int = -100, reduction: str = 'mean') -> Any: ...

@overload
def gelu(x: Tensor | Sequence[Tensor], approximate: str = 'none') -> Tensor:
    """Return x Φ(x) with Φ(x) the probability that a number from the normal distribution is at most x.

    approximate : "tanh" gives the tanh form, which `tg.gelu` is; it differs by at most 5e-4. "Gaussian Error Linear
        Units" (Hendrycks and Gimpel, 2016) has both.

    Convention: at −∞ it is 0, its limit, where PyTorch has NaN.

    >>> gelu([-1.0, 0.0, 1.0]).round(4), gelu([-1.0, 0.0, 1.0], approximate="tanh").round(4)
    (array([-0.1587,  0.    ,  0.8413], dtype=float32), array([-0.1588,  0.    ,  0.8412], dtype=float32))
    """
@overload
def gelu(x: _Arrays, approximate: str = 'none') -> _Array: ...
@overload
def gelu(x: _Other, approximate: str = 'none') -> Any: ...

@overload
def gumbel_softmax(logits: Tensor | Sequence[Tensor], tau: _Operand = 1.0, hard: bool = False, dim: int = -1) -> Tensor:
    """Return softmax((logits + G)/τ) with G from the Gumbel distribution; `tg.manual_seed` sets the draws.

    The index of its largest number is a draw from softmax(logits). With `hard` the result is 1 there and 0 elsewhere,
    but has the gradient of the soft one, as if nothing had been rounded (straight through). "Categorical
    Reparameterization with Gumbel-Softmax" (Jang, Gu and Poole, 2017).
    """
@overload
def gumbel_softmax(logits: _Operand, tau: Tensor, hard: bool = False, dim: int = -1) -> Tensor: ...
@overload
def gumbel_softmax(logits: _Arrays, tau: _Plain = 1.0, hard: bool = False, dim: int = -1) -> _Array: ...
@overload
def gumbel_softmax(logits: _Other, tau: _Other = 1.0, hard: bool = False, dim: int = -1) -> Any: ...

@overload
def huber_loss(x: Tensor | Sequence[Tensor], target: _Operand, reduction: str = 'mean', delta: float = 1.0) -> Tensor:
    """Return d²/2 where |d| ≤ δ, and δ (|d| − δ/2) elsewhere, with d = x − target; by default the mean.

    Computed as c (d − c/2), where c is d clipped to [−δ, δ]. This is its gradient too, so that far targets pull no
    more than those at the distance δ. "Robust Estimation of a Location Parameter" (Huber, 1964).

    delta : δ, greater than 0.

    Convention: the second derivative at |d| = δ is 1, that of the square, where PyTorch has 0.

    >>> huber_loss([0.5, 3.0], [0.0, 0.0], reduction="none")
    array([0.125, 2.5  ], dtype=float32)
    """
@overload
def huber_loss(x: _Operand, target: Tensor | Sequence[Tensor], reduction: str = 'mean', delta: float = 1.0) -> Tensor: ...
@overload
def huber_loss(x: _Operand, target: _Operand, reduction: str = 'mean', delta: float = 1.0) -> Any: ...

@overload
def kl_div(log_probabilities: Tensor | Sequence[Tensor], target: _Operand, reduction: str = 'mean', log_target: bool = False) -> Tensor:
    """Return y (ln y − ln p) for each element: Σ of it over a distribution is the divergence of Kullback and Leibler.

    log_probabilities : ln p, as log_softmax gives it, of any shape.
    target : y, of the same shape, at least 0; or, with log_target=True, ln y. Where y = 0, the element is 0.
    reduction : "batchmean" divides the sum by the number of rows, and gives the mean of the divergences. "mean", the
        default as in PyTorch, divides by the number of all elements, which is no divergence.

    Conventions: 0·∞ is 0, where PyTorch has NaN, so that both may be masked. The gradient with respect to a target of 0
    leaves out ln 0, and is −ln p. "On Information and Sufficiency" (Kullback and Leibler, 1951).

    >>> kl_div([[-0.75, -0.75]], [[1.0, 0.0]], reduction="batchmean"), kl_div([[-0.75, -0.75]], [[1.0, 0.0]])
    (np.float32(0.75), np.float32(0.375))
    """
@overload
def kl_div(log_probabilities: _Operand, target: Tensor | Sequence[Tensor], reduction: str = 'mean', log_target: bool = False) -> Tensor: ...
@overload
def kl_div(log_probabilities: _Operand, target: _Operand, reduction: str = 'mean', log_target: bool = False) -> Any: ...

@overload
def l1_loss(x: Tensor | Sequence[Tensor], target: _Operand, reduction: str = 'mean') -> Tensor:
    """Return |x − target|, by default the mean over all elements; the target has the shape of x.

    Convention: the gradient where they are equal is 0, as in PyTorch.

    >>> l1_loss([1.0, 2.0], [1.5, 4.0])
    np.float32(1.25)
    """
@overload
def l1_loss(x: _Operand, target: Tensor | Sequence[Tensor], reduction: str = 'mean') -> Tensor: ...
@overload
def l1_loss(x: _Operand, target: _Operand, reduction: str = 'mean') -> Any: ...

@overload
def layer_norm(x: Tensor | Sequence[Tensor], normalized_shape: int | Sequence[int], weight: _Operand | None = None, bias: _Operand | None = None, eps: float = 1e-05) -> Tensor:
    """Return (x − x̄) / √(σ² + eps) · weight + bias, with mean x̄ and variance σ² over the last axes of x.

    x : shape (..., *normalized_shape); half precision is computed in float32.
    normalized_shape : the lengths of these axes, a tuple, or an integer for one.
    weight, bias : shape normalized_shape, or None for none.

    σ² is the mean of (x − x̄)², the biased variance. "Layer Normalization" (Ba, Kiros and Hinton, 2016).

    >>> layer_norm([[1.0, 3.0], [10.0, 50.0]], 2, bias=[0.0, 100.0]).round(3)
    array([[ -1., 101.],
           [ -1., 101.]], dtype=float32)
    """
@overload
def layer_norm(x: _Operand, normalized_shape: int | Sequence[int], weight: Tensor | Sequence[Tensor], bias: _Operand | None = None, eps: float = 1e-05) -> Tensor: ...
@overload
def layer_norm(x: _Operand, normalized_shape: int | Sequence[int], weight: _Operand | None, bias: Tensor | Sequence[Tensor], eps: float = 1e-05) -> Tensor: ...
@overload
def layer_norm(x: _Operand, normalized_shape: int | Sequence[int], weight: _Operand | None = None, *, bias: Tensor | Sequence[Tensor], eps: float = 1e-05) -> Tensor: ...
@overload
def layer_norm(x: _Arrays, normalized_shape: int | Sequence[int], weight: _Plain | None = None, bias: _Plain | None = None, eps: float = 1e-05) -> _Array: ...
@overload
def layer_norm(x: _Other, normalized_shape: int | Sequence[int], weight: _Other | None = None, bias: _Other | None = None, eps: float = 1e-05) -> Any: ...

@overload
def leaky_relu(x: Tensor | Sequence[Tensor], negative_slope: float = 0.01) -> Tensor:
    """Return x where it is positive, and negative_slope · x elsewhere.

    Convention: the gradient at the kink, x = 0, is negative_slope, as in PyTorch.

    >>> leaky_relu([-2.0, 0.0, 3.0], 0.25)
    array([-0.5,  0. ,  3. ], dtype=float32)
    """
@overload
def leaky_relu(x: _Arrays, negative_slope: float = 0.01) -> _Array: ...
@overload
def leaky_relu(x: _Other, negative_slope: float = 0.01) -> Any: ...

@overload
def linear(x: Tensor | Sequence[Tensor], weight: _Operand, bias: _Operand | None = None, /) -> Tensor:
    """Return x Wᵀ + b, the affine map of a layer; for each example, W x + b.

    x : shape (N, D) or (..., D).  weight : shape (H, D), one row per output.  bias : shape (H,) or None.
    """
@overload
def linear(x: _Operand, weight: Tensor | Sequence[Tensor], bias: _Operand | None = None, /) -> Tensor: ...
@overload
def linear(x: _Operand, weight: _Operand, bias: Tensor | Sequence[Tensor], /) -> Tensor: ...
@overload
def linear(x: _Arrays, weight: _Plain, bias: _Plain | None = None, /) -> _Array: ...
@overload
def linear(x: _Plain, weight: _Arrays, bias: _Plain | None = None, /) -> _Array: ...
@overload
def linear(x: _Other, weight: _Other, bias: _Other | None = None, /) -> Any: ...

@overload
def log_softmax(x: Tensor | Sequence[Tensor], dim: int = -1) -> Tensor:
    """Return ln softmax(x) along the axis `dim`."""
@overload
def log_softmax(x: _Arrays, dim: int = -1) -> _Array: ...
@overload
def log_softmax(x: _Other, dim: int = -1) -> Any: ...

@overload
def logsigmoid(x: Tensor | Sequence[Tensor]) -> Tensor:
    """Return ln σ(x) = −ln(1 + e⁻ˣ), accurate even where σ(x) rounds to 0 or 1.

    >>> logsigmoid([-100.0, 0.0]).round(4)
    array([-100.    ,   -0.6931], dtype=float32)
    """
@overload
def logsigmoid(x: _Arrays) -> _Array: ...
@overload
def logsigmoid(x: _Other) -> Any: ...

@overload
def max_pool2d(x: Tensor | Sequence[Tensor], kernel_size: int | Sequence[int], stride: int | Sequence[int] | None = None, padding: int | Sequence[int] = 0, dilation: int | Sequence[int] = 1, ceil_mode: bool = False) -> Tensor:
    """Return the largest element of each window of images, x of shape (N, C, H, W) or (C, H, W).

    kernel_size : the lengths of a window.  stride : the steps from window to window, by default the lengths, so that
        windows stand side by side.  dilation : the steps inside of a window.
    padding : how many elements, −∞ or the smallest integer, stand before and behind each axis, at most half a window.
    ceil_mode : whether a last window may reach over the end, if it starts before the padding there; else what it covers
        is left out.
    Result : shape (N, C, P₁, P₂), P = ⌊(L + 2 padding − dilation (K − 1) − 1) / stride⌋ + 1, and ⌈...⌉ in ceil_mode.

    Raises ValueError if a window does not fit into the padded image, or the padding is more than half of it.
    Convention: elements that tie for the largest share the gradient equally, as in `tg.max`; in PyTorch the first of
    them takes all of it. PyTorch's return_indices is not here.

    >>> max_pool2d([[[1.0, 2.0, 5.0, 0.0], [4.0, 3.0, 0.0, 6.0]]], 2)
    array([[[4., 6.]]], dtype=float32)
    """
@overload
def max_pool2d(x: _Arrays, kernel_size: int | Sequence[int], stride: int | Sequence[int] | None = None, padding: int | Sequence[int] = 0, dilation: int | Sequence[int] = 1, ceil_mode: bool = False) -> _Array: ...
@overload
def max_pool2d(x: _Other, kernel_size: int | Sequence[int], stride: int | Sequence[int] | None = None, padding: int | Sequence[int] = 0, dilation: int | Sequence[int] = 1, ceil_mode: bool = False) -> Any: ...

@overload
def mse_loss(x: Tensor | Sequence[Tensor], target: _Operand, reduction: str = 'mean') -> Tensor:
    """Return (x − target)², by default the mean over all elements; the target has the shape of x."""
@overload
def mse_loss(x: _Operand, target: Tensor | Sequence[Tensor], reduction: str = 'mean') -> Tensor: ...
@overload
def mse_loss(x: _Operand, target: _Operand, reduction: str = 'mean') -> Any: ...

@overload
def nll_loss(log_probabilities: Tensor | Sequence[Tensor], labels: Any, weight: Any = None, ignore_index: int = -100, reduction: str = 'mean') -> Tensor:
    """Return the negative log-likelihood of labels, −Σ w_{label_i} log_probabilities[i, label_i] / Σ w_{label_i}.

    log_probabilities : shape (N, C) or (N, C, d1, ...), what log_softmax gives along the axis 1, or (C,) for one
        example. The rest is as in cross_entropy: nll_loss(log_softmax(logits, 1), labels) is
        cross_entropy(logits, labels), with these options too.
    """
@overload
def nll_loss(log_probabilities: _Operand, labels: Any, weight: Any = None, ignore_index: int = -100, reduction: str = 'mean') -> Any: ...

@overload
def one_hot(labels: Tensor, num_classes: int | None = -1, dtype: Any = 'float32') -> Tensor:
    """Return a row for each label: 1 in the column of the label, 0 elsewhere.

    labels : integers 0..num_classes−1, of any shape.  Result : their shape, and an axis of num_classes behind it.
    num_classes : −1 or None stands for the largest label + 1. To find that, the host waits for a GPU, and a step of
        `tg.compiled` runs as it is written.

    PyTorch's has no dtype and gives int64; here the rows are floats, ready to be multiplied.

    >>> one_hot([[0], [2]], num_classes=3).tolist()
    [[[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]]]
    """
@overload
def one_hot(labels: _Arrays, num_classes: int | None = -1, dtype: Any = 'float32') -> _Array: ...
@overload
def one_hot(labels: _Other, num_classes: int | None = -1, dtype: Any = 'float32') -> Any: ...

@overload
def relu(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return max(x, 0).

    Convention: relu′(0) = 0, as in "Numerical influence of ReLU'(0) on backpropagation" (Bertoin et al., 2021) and in
    PyTorch and JAX; `maximum(x, 0)` splits the gradient there and gives 1/2.
    """
@overload
def relu(x: _Arrays, /) -> _Array: ...
@overload
def relu(x: _Other, /) -> Any: ...

@overload
def rms_norm(x: Tensor | Sequence[Tensor], normalized_shape: int | Sequence[int], weight: _Operand | None = None, eps: float | None = None) -> Tensor:
    """Return x / √(mean of x² + eps) · weight, with the mean over the last axes of x.

    x, normalized_shape, weight : as in layer_norm.
    eps : None stands for the distance of 1 to the next larger number, in the dtype of x; in float32 for half precision,
        in which nothing is computed.

    "Root Mean Square Layer Normalization" (Zhang and Sennrich, 2019).

    >>> rms_norm([3.0, -3.0, 1.0, 1.0], 4).round(4)
    array([ 1.3416, -1.3416,  0.4472,  0.4472], dtype=float32)
    """
@overload
def rms_norm(x: _Operand, normalized_shape: int | Sequence[int], weight: Tensor | Sequence[Tensor], eps: float | None = None) -> Tensor: ...
@overload
def rms_norm(x: _Arrays, normalized_shape: int | Sequence[int], weight: _Plain | None = None, eps: float | None = None) -> _Array: ...
@overload
def rms_norm(x: _Other, normalized_shape: int | Sequence[int], weight: _Other | None = None, eps: float | None = None) -> Any: ...

@overload
def scaled_dot_product_attention(query: Tensor | Sequence[Tensor], key: _Operand, value: _Operand, attn_mask: _Operand | None = None, dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None) -> Tensor:
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
@overload
def scaled_dot_product_attention(query: _Operand, key: Tensor | Sequence[Tensor], value: _Operand, attn_mask: _Operand | None = None, dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None) -> Tensor: ...
@overload
def scaled_dot_product_attention(query: _Operand, key: _Operand, value: Tensor | Sequence[Tensor], attn_mask: _Operand | None = None, dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None) -> Tensor: ...
@overload
def scaled_dot_product_attention(query: _Operand, key: _Operand, value: _Operand, attn_mask: Tensor | Sequence[Tensor], dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None) -> Tensor: ...
@overload
def scaled_dot_product_attention(query: _Arrays, key: _Plain, value: _Plain, attn_mask: _Plain | None = None, dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None) -> _Array: ...
@overload
def scaled_dot_product_attention(query: _Plain, key: _Arrays, value: _Plain, attn_mask: _Plain | None = None, dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None) -> _Array: ...
@overload
def scaled_dot_product_attention(query: _Plain, key: _Plain, value: _Arrays, attn_mask: _Plain | None = None, dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None) -> _Array: ...
@overload
def scaled_dot_product_attention(query: _Other, key: _Other, value: _Other, attn_mask: _Other | None = None, dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None) -> Any: ...

@overload
def sigmoid(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return σ(x) = 1 / (1 + e⁻ˣ) = eˣ / (1 + eˣ), the logistic function.

    Computed with e^−|x|, which cannot overflow, and exact to rounding in both tails.
    """
@overload
def sigmoid(x: _Arrays, /) -> _Array: ...
@overload
def sigmoid(x: _Other, /) -> Any: ...

@overload
def silu(x: Tensor | Sequence[Tensor]) -> Tensor:
    """Return x σ(x), also called swish. Convention: at −∞ it is 0, its limit, where PyTorch has NaN.

    "Gaussian Error Linear Units" (Hendrycks and Gimpel, 2016) names it; "Sigmoid-Weighted Linear Units" (Elfwing,
    Uchibe and Doya, 2018) tries it.

    >>> silu([-1.0, 0.0, 1.0]).round(4)
    array([-0.2689,  0.    ,  0.7311], dtype=float32)
    """
@overload
def silu(x: _Arrays) -> _Array: ...
@overload
def silu(x: _Other) -> Any: ...

@overload
def smooth_l1_loss(x: Tensor | Sequence[Tensor], target: _Operand, reduction: str = 'mean', beta: float = 1.0) -> Tensor:
    """Return d²/(2β) where |d| ≤ β, and |d| − β/2 elsewhere, with d = x − target: huber_loss with δ = β, divided by β.

    beta : β, at least 0; with 0 this is l1_loss. "Fast R-CNN" (Girshick, 2015).

    >>> smooth_l1_loss([0.25, 3.0], [0.0, 0.0], reduction="none", beta=0.5)
    array([0.0625, 2.75  ], dtype=float32)
    """
@overload
def smooth_l1_loss(x: _Operand, target: Tensor | Sequence[Tensor], reduction: str = 'mean', beta: float = 1.0) -> Tensor: ...
@overload
def smooth_l1_loss(x: _Operand, target: _Operand, reduction: str = 'mean', beta: float = 1.0) -> Any: ...

@overload
def softmax(x: Tensor | Sequence[Tensor], dim: int = -1, temperature: _Operand = 1.0) -> Tensor:
    """Return exp(x/T) / Σ exp(x/T) along the axis `dim`; T → 0 gives argmax, T → ∞ equal shares.

    The temperature T is a number or, if learned, a Tensor of one element; ∞ gives all that are not masked equal shares.

    >>> softmax([1.0, 1.5, 2.0], temperature=0.25).round(4)
    array([0.0159, 0.1173, 0.8668], dtype=float32)
    """
@overload
def softmax(x: _Operand, dim: int, temperature: Tensor) -> Tensor: ...
@overload
def softmax(x: _Operand, dim: int = -1, *, temperature: Tensor) -> Tensor: ...
@overload
def softmax(x: _Arrays, dim: int = -1, temperature: _Plain = 1.0) -> _Array: ...
@overload
def softmax(x: _Other, dim: int = -1, temperature: _Other = 1.0) -> Any: ...

@overload
def softplus(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return ln(1 + eˣ), a smooth relu; its gradient is the sigmoid. Computed as max(x, 0) + ln(1 + e^−|x|)."""
@overload
def softplus(x: _Arrays, /) -> _Array: ...
@overload
def softplus(x: _Other, /) -> Any: ...

@overload
def sparsemax(x: Tensor | Sequence[Tensor], dim: int = -1) -> Tensor:
    """Return [x − τ]₊ along the axis `dim`, the point of the simplex nearest to x: exactly 0 for numbers far behind.

    The gradient at the kinks, where a p begins to be positive, is that of p = 0.

    >>> sparsemax([1.0, 1.5, 0.5])
    array([0.25, 0.75, 0.  ], dtype=float32)
    """
@overload
def sparsemax(x: _Arrays, dim: int = -1) -> _Array: ...
@overload
def sparsemax(x: _Other, dim: int = -1) -> Any: ...

@overload
def sparsemax_loss(logits: Tensor | Sequence[Tensor], target: _Operand, ignore_index: int = -100, reduction: str = 'mean') -> Tensor:
    """Return the Fenchel–Young loss of sparsemax, for an example max_p (⟨p, z⟩ + H(p)) − ⟨y, z⟩ − H(y).

    H(p) = (1 − Σ p²)/2. The gradient with respect to the logits z is p − y with p = sparsemax(z), as that of
    cross_entropy, the loss of softmax. The loss is 0 where p = y, which holds once the logit of the label leads by 1,
    and positive elsewhere. Shapes and options are those of cross_entropy; probabilities y must have sum 1. "Learning
    with Fenchel–Young losses" (Blondel, Martins and Niculae, 2020).
    """
@overload
def sparsemax_loss(logits: _Operand, target: _Operand, ignore_index: int = -100, reduction: str = 'mean') -> Any: ...

@overload
def tanh(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return tanh x = (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)."""
@overload
def tanh(x: _Arrays, /) -> _Array: ...
@overload
def tanh(x: _Other, /) -> Any: ...
