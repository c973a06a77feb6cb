"""Neural networks: Modules, layers, losses, optimizers, and models in files.

>>> import tinygrad_sm.nn as nn
>>> model = nn.Sequential(nn.Linear(784, 10), nn.LogSoftmax(dim=1))
>>> [name for name, _ in model.named_parameters()]
['0.weight', '0.bias']
"""

from tinygrad_sm.creation import Parameter
from tinygrad_sm.nn import functional, optim
from tinygrad_sm.nn.checkpoint import load, save
from tinygrad_sm.nn.layers import Flatten, Linear, LogSoftmax, ReLU, Sequential, Sigmoid, Softmax, Tanh
from tinygrad_sm.nn.losses import CrossEntropyLoss, NLLLoss
from tinygrad_sm.nn.module import Module

__all__ = [
    "CrossEntropyLoss",
    "Flatten",
    "Linear",
    "LogSoftmax",
    "Module",
    "NLLLoss",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "functional",
    "load",
    "optim",
    "save",
]
