"""Print the versions and devices found: `python -m tinygrad_sm`, the first lines of any bug report."""

import platform

from tinygrad_sm import __version__
from tinygrad_sm.backend import array_report

print(f"tinygrad_sm {__version__}, Python {platform.python_version()}, {platform.platform()}")
print("\n".join(array_report()))
