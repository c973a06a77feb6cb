"""The checker of gradients, and the numerical derivatives that it compares them with."""
