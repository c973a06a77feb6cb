"""Models in files: the parameters and buffers of a Module as one safetensors file, which holds arrays and no code."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_sm.backend import to_numpy
from tinygrad_sm.errors import CheckpointError
from tinygrad_sm.nn.module import Module


def save(path: str | os.PathLike[str], model: Module) -> None:
    """Write the state of the model to a safetensors file."""
    from safetensors.numpy import save as to_bytes  # imported when first used: it is not needed to compute

    # safetensors gives wrong values, in silence, for arrays that are not contiguous
    state = {name: np.ascontiguousarray(to_numpy(array)) for name, array in model.state_dict().items()}
    Path(path).write_bytes(to_bytes(state))


def load(path: str | os.PathLike[str], model: Module) -> None:
    """Set the state of the model from a file that `save` wrote.

    Raises CheckpointError if the file is not a readable safetensors file or does not fit the model, which is then as
    it was; a file that is not there is a FileNotFoundError.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        state: dict[str, Any] = load_file(path)
    except (SafetensorError, TypeError) as error:  # TypeError: a dtype that NumPy does not have, as bfloat16
        raise CheckpointError(f"{os.fspath(path)}: expected a safetensors file, but {error}") from error
    model.load_state_dict(state)
