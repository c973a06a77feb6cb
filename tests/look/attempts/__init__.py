"""Gradients by hand, as learners write them: attempts at known exercises, right and wrong, with what is wrong in them.

They were written by others than the author of `tinygrad_sm/look/comparing.py`, who had not seen it.
"""
