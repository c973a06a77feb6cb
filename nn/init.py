"""Initial values: set the data of parameters, in place, to constants or to random draws.

    >>> from tinygrad_sm import nn
    >>> layer = nn.Linear(784, 10)
    >>> nn.init.xavier_uniform_(layer.weight, gain=nn.init.calculate_gain("tanh")).shape
    (10, 784)
    >>> nn.init.zeros_(layer.bias)[:2].tolist()
    [0.0, 0.0]

Each function returns the Tensor that it was given. Names and formulas are those of `torch.nn.init`; the draws are not.
They come from the host, so a seed of `tg.manual_seed` gives the same values on every device. Graphs that were recorded
before are stale, as after `Tensor.assign`.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_sm.advice import module_hooks
from tinygrad_sm.arguments import choice, number
from tinygrad_sm.arrays import as_array, described
from tinygrad_sm.backend import array_module, device_of
from tinygrad_sm.random import random_generator
from tinygrad_sm.tensors import Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

if not TYPE_CHECKING:  # for a type checker, a name that is missing is an error by itself
    __getattr__, __dir__ = module_hooks(__name__)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Set every element to the value."""
    _check_tensor("constant_", tensor)
    if not (isinstance(val, float | np.floating) and not math.isfinite(val)):  # an infinity or NaN is meant to be there
        _number("constant_", "val", val, tensor)
    return tensor.assign(array_module(tensor.data).full_like(tensor.data, val))


def zeros_(tensor: Tensor) -> Tensor:
    """Set every element to 0. Not for the weights of hidden layers: their units would stay alike for ever."""
    _check_tensor("zeros_", tensor)
    return constant_(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Set every element to 1."""
    _check_tensor("ones_", tensor)
    return constant_(tensor, 1)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Draw every element from U(a, b): evenly between a and b."""
    _check_tensor("uniform_", tensor)
    low, high = _number("uniform_", "a", a, tensor), _number("uniform_", "b", b, tensor)
    if not 0 <= high - low < math.inf:
        raise ValueError(f"uniform_: expected bounds a ≤ b with a finite b − a, got a={a}, b={b}")
    return _assign_draws(tensor, random_generator().uniform(low, high, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Draw every element from N(mean, std²), the normal distribution."""
    _check_tensor("normal_", tensor)
    center, deviation = _number("normal_", "mean", mean, tensor), _number("normal_", "std", std, tensor, smallest=0)
    return _assign_draws(tensor, random_generator().normal(center, deviation, tensor.shape))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Draw from U(−a, a), a = gain · √(6 / (fan_in + fan_out)): the variance that `xavier_normal_` has."""
    bound = math.sqrt(3) * _xavier_std("xavier_uniform_", tensor, gain)
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Draw from N(0, std²), std = gain · √(2 / (fan_in + fan_out)).

    A layer then roughly keeps the size of the values that pass it forward and of the gradients that pass it backward.
    "Understanding the difficulty of training deep feedforward neural networks" (Glorot and Bengio, 2010).
    """
    return normal_(tensor, 0.0, _xavier_std("xavier_normal_", tensor, gain))


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Draw from U(−bound, bound), bound = gain · √(3 / fan): the variance that `kaiming_normal_` has."""
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Draw from N(0, std²), std = gain / √fan, for layers that a relu follows.

    a : the slope of a leaky relu below 0; 0 is the relu.
    mode : "fan_in" keeps the size of the values forward, "fan_out" that of the gradients backward.
    nonlinearity : what follows the layer; see `calculate_gain`.

    "Delving Deep into Rectifiers" (He et al., 2015).
    """
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor by which weights must be larger to make up for the function after them.

    It is √2 for relu, √(2 / (1 + param²)) for leaky_relu with the slope `param` below 0 (default 0.01), 5/3 for tanh,
    and 1 for linear and sigmoid.
    """
    return _gain("calculate_gain", nonlinearity, 0.01 if param is None else number("calculate_gain", "param", param))


def _gain(name: str, nonlinearity: str, slope: float) -> float:
    gains = {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2) / math.hypot(1, slope),
    }
    if nonlinearity not in list(gains):  # a list can be searched for unhashable values too
        raise ValueError(f"{name}: expected a nonlinearity among {', '.join(gains)}, got {nonlinearity!r}")
    return gains[nonlinearity]


def _xavier_std(name: str, tensor: Tensor, gain: float) -> float:
    fan_in, fan_out = _fans(name, tensor)
    return _number(name, "gain", gain, tensor, smallest=0) * math.sqrt(2 / (fan_in + fan_out))


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan_in, fan_out = _fans(name, tensor)
    choice(name, "mode", mode, ("fan_in", "fan_out"))
    gain = _gain(name, nonlinearity, _number(name, "a", a, tensor))
    return gain / math.sqrt(fan_in if mode == "fan_in" else fan_out)


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """Return fan_in and fan_out, the inputs of an output and the outputs of an input, of weights (out, in, ...)."""
    _check_tensor(name, tensor)
    if tensor.ndim < 2 or tensor.size == 0:
        raise ValueError(f"{name}: expected weights of shape (out, in) or (out, in, ...), got shape {tensor.shape}")
    window = math.prod(tensor.shape[2:])  # the places of a convolution's kernel
    return tensor.shape[1] * window, tensor.shape[0] * window


def _check_tensor(name: str, tensor: Any) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: expected a Tensor, such as layer.weight, got {described(tensor)}")


def _number(name: str, option: str, value: Any, tensor: Tensor, smallest: float = -math.inf) -> float:
    """Return the option of the function `name` as a float; ValueError unless it is finite in the tensor's dtype."""
    largest = float(np.finfo(tensor.dtype if tensor.dtype.kind == "f" else np.float64).max)
    return number(name, option, value, max(smallest, -largest), largest)


def _assign_draws(tensor: Tensor, draws: Any) -> Tensor:
    return tensor.assign(as_array(draws, device=device_of(tensor.data)))
