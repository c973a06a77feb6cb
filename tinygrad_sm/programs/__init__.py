"""A training step as a program: recorded calls of an array module, run again without the framework."""
