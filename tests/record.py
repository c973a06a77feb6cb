"""Writes what a program can find out: the stubs for editors, what steps cost, and the line counts of the README.

make record     # then look at the diff: it shows what a change costs
"""

from tests.house import cost_jobs, reading_order
from tests.typing import stubs

if __name__ == "__main__":
    stubs.record()
    cost_jobs.record()
    reading_order.record()
