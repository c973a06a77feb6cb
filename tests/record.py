"""Writes what a program can find out: stubs, what steps cost, and the line counts of docs/reading_order.md.

make record     # then look at the diff: it shows what a change costs
"""

from tests.house import cost_jobs, reading_order
from tests.typing import stubs

if __name__ == "__main__":
    stubs.record()
    cost_jobs.record()
    reading_order.record()
