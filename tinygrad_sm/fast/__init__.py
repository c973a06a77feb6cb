"""Quicker forms of functions: neither understanding the framework nor its results need them."""
