"""How other libraries read the memory of a Tensor without a copy, by the protocol DLPack: torch.from_dlpack(t).

A library that understands DLPack asks an array two questions: on which device its memory is, by `__dlpack_device__`,
and where, by `__dlpack__`. A Tensor answers as its array does. The other way, from another library to here, is
`tg.from_dlpack`.
"""

from typing import Any


def dlpack(
    tensor: Any, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
) -> Any:
    """Return the memory of this Tensor for the `from_dlpack` of another library; keywords are the protocol's.

    backward() cannot see what the other library writes into the memory. The array module may refuse a keyword with a
    TypeError, as NumPy 2.0 refuses all but `stream`; libraries then ask again without it.

    Raises BufferError if the Tensor requires a gradient, which would not come back; if a stride is negative, since
    PyTorch 2.13 aborts the process for one; and where the array does, as for a foreign byte order.

    >>> import numpy as np
    >>> from tinygrad_sm.tensors import Tensor
    >>> t = Tensor([1.0, 2.0])
    >>> np.shares_memory(np.from_dlpack(t), t.data)
    True
    """
    if tensor.requires_grad:
        raise BufferError("a Tensor that requires a gradient does not go to another library in silence: use .detach()")
    if min(tensor.data.strides, default=0) < 0:
        raise BufferError(
            f"expected strides of 0 and more, got {tensor.data.strides}, as x[::-1] has them: make it of a copy"
        )
    keywords = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
    return tensor.data.__dlpack__(**{name: value for name, value in keywords.items() if value is not None})


def dlpack_device(tensor: Any) -> Any:
    """Return the type and the number of the device with the memory, as DLPack numbers them: (1, 0) is the host."""
    return tensor.data.__dlpack_device__()
