"""The programs as a user of PyTorch, HIPS autograd or NumPy writes them."""
