"""Writes what tests compare with and a program can measure: what steps cost, and the line counts of the README.

make record     # then look at the diff: it shows what a change costs
"""

from tests.house import cost_jobs, reading_order

if __name__ == "__main__":
    cost_jobs.record()
    reading_order.record()
