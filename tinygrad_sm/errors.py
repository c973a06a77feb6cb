"""The exceptions of our own.

Wrong shapes and values are ValueError, wrong types and dtypes TypeError, indices and labels out of range IndexError, as
in NumPy. Where none of these says what went wrong, one of the following does; each of them is also a built-in kind.
"""


class GradientError(RuntimeError):
    """Backward cannot run: nothing to differentiate, a graph that was freed, or one that is stale."""


class DeviceError(RuntimeError):
    """A device is not there, or arrays of two devices were mixed."""


class DatasetError(ValueError):
    """A data file is unreadable, truncated, oversized or not what it claims to be."""


class CheckpointError(ValueError):
    """Saved parameters cannot be read, or do not fit the model that should take them."""


class GradcheckError(AssertionError):
    """A gradient rule disagrees with numerical differentiation."""
