"""Importing this registers all quicker forms of the engine and of operations; those of nn are in `nn/fast.py`."""

from tinygrad_sm.fast import cross_entropy, elementwise, engine, handover, products, scatter, select, standardization

__all__ = ["cross_entropy", "elementwise", "engine", "handover", "products", "scatter", "select", "standardization"]
