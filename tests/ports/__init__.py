"""Programs that were written for PyTorch, HIPS autograd or NumPy, and their ports.

`originals/` holds a program as its user writes it, and the file of the same name here is its port: what that user
writes with tinygrad_sm. Both draw the same first values from NumPy. `recorded.json` holds the numbers that the
originals gave, `record` writes it, and `test_ports` compares.
"""
