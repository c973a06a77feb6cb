"""See it: the tape drawn with every number, pages to step through it, and a debugger for gradients by hand."""

from tinygrad_sm.look.comparing import Comparison, compare
from tinygrad_sm.look.recording import Recording, record

__all__ = ["Comparison", "Recording", "compare", "record"]
