"""All quicker forms of the engine and of operations: to import this registers them. Those of nn: `nn/fast.py`."""

from tinygrad_sm.fast import cross_entropy, engine, handover, products, scatter, select

__all__ = ["cross_entropy", "engine", "handover", "products", "scatter", "select"]
