"""How fast, how small, how quick to import: measured beside plain NumPy and other libraries. See `__main__.py`."""
