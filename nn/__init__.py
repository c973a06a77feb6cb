"""Neural networks: Modules, layers, losses, optimizers, and models in files.

>>> import tinygrad_sm.nn as nn
>>> model = nn.Sequential(nn.Linear(784, 10), nn.LogSoftmax(dim=1))
>>> [name for name, _ in model.named_parameters()]
['0.weight', '0.bias']
"""

from typing import TYPE_CHECKING

from tinygrad_sm import names as _names
from tinygrad_sm.advice import advise_on_class, advise_on_keywords, module_hooks
from tinygrad_sm.dispatch import HAS_WING
from tinygrad_sm.nn import functional, init, optim, schedules
from tinygrad_sm.nn.attention import MultiheadAttention
from tinygrad_sm.nn.checkpoint import load, save
from tinygrad_sm.nn.containers import ModuleDict, ModuleList, Sequential
from tinygrad_sm.nn.conv import Conv1d, Conv2d
from tinygrad_sm.nn.elementwise_losses import (
    BCELoss,
    BCEWithLogitsLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    SmoothL1Loss,
)
from tinygrad_sm.nn.embedding import Embedding
from tinygrad_sm.nn.layers import (
    GELU,
    Dropout,
    Flatten,
    Identity,
    LeakyReLU,
    Linear,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from tinygrad_sm.nn.losses import CrossEntropyLoss, NLLLoss
from tinygrad_sm.nn.module import Buffer, Module, Parameter
from tinygrad_sm.nn.normalization import BatchNorm1d, BatchNorm2d, LayerNorm, RMSNorm
from tinygrad_sm.nn.parameters import clip_grad_norm, clip_grad_value, parameters_to_vector, vector_to_parameters
from tinygrad_sm.nn.pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from tinygrad_sm.notebooks import show_in_notebooks

if HAS_WING:
    from tinygrad_sm.nn import fast  # noqa: F401  importing it registers the quicker forms

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Buffer",
    "Conv1d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "GELU",
    "HuberLoss",
    "Identity",
    "KLDivLoss",
    "L1Loss",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "NLLLoss",
    "Parameter",
    "RMSNorm",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Tanh",
    "clip_grad_norm",
    "clip_grad_value",
    "functional",
    "init",
    "load",
    "optim",
    "parameters_to_vector",
    "save",
    "schedules",
    "vector_to_parameters",
]

if not TYPE_CHECKING:  # for a type checker, a name that is missing is an error by itself
    __getattr__, __dir__ = module_hooks(__name__)

advise_on_class(Module, _names.MODULE)
advise_on_keywords(__name__, functional.__name__)
show_in_notebooks(Module, html="module_html", tree="module_tree")
