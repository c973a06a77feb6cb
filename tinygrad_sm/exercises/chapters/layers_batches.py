"""Batches: how many there are, and what is in each."""

from tinygrad_sm.exercises.chapters import rows
from tinygrad_sm.exercises.exercise import Body, Exercise

LOADER = "datasets/loader.py"


EXERCISES = (
    Exercise(
        name="last_batch",
        title="How many batches there are",
        path=LOADER,
        piece=Body("DataLoader.__len__"),
        reading=("datasets/loader.py, its first page",),
        rows=(4,),
        minutes=5,
        task=(
            "There are len(self.x) examples, and self.batch_size in a batch. Where the division leaves a remainder, "
            "the last batch is smaller, or it is left out if self.drop_last is true. Return the number of batches."
        ),
        hints=(
            "10 examples in batches of 4: batches of 4, 4 and 2.",
            "8 in batches of 4: there is no third one, which would be empty.",
            "divmod(10, 4) is (2, 2).",
        ),
        probes=rows.lengths,
        mistakes={
            "you drop the last batch though nobody asked: its examples are never trained on": (
                "return len(self.x) // self.batch_size"
            ),
            "you count a batch too many where the division leaves no remainder: the last one is empty": (
                "whole = len(self.x) // self.batch_size\nreturn whole if self.drop_last else whole + 1"
            ),
            "you ignore drop_last: the smaller batch at the end must be left out": (
                "return -(-len(self.x) // self.batch_size)"
            ),
            "you have drop_last the wrong way round": (
                (
                    "whole, rest = divmod(len(self.x), self.batch_size)\n"
                    "return whole + 1 if self.drop_last and rest else whole"
                ),
                ("whole, rest = divmod(len(self.x), self.batch_size)\nreturn whole + 1 if self.drop_last else whole"),
            ),
            "you count one more than the whole batches, even where no remainder is left or drop_last leaves it out": (
                "return len(self.x) // self.batch_size + 1"
            ),
            "your number is rounded to the nearest: a small remainder is lost": (
                (
                    "whole, rest = divmod(len(self.x), self.batch_size)\n"
                    "return whole if self.drop_last or 2 * rest < self.batch_size else whole + 1"
                ),
                "return round(len(self.x) / self.batch_size)",
            ),
            "you return the number of examples: it must be that of batches": "return len(self.x)",
            "with drop_last you leave out the last batch even where it is whole": (
                "whole, rest = divmod(len(self.x), self.batch_size)\n"
                "if self.drop_last:\n    return whole - (rest == 0)\nreturn whole + (rest > 0)"
            ),
            "your number of batches is no integer: it must be one": "return len(self.x) / self.batch_size",
            "you add the remainder itself: what is left must make one batch": (
                "whole, rest = divmod(len(self.x), self.batch_size)\nreturn whole if self.drop_last else whole + rest"
            ),
            "you return the remainder: it must be the number of batches": "return len(self.x) % self.batch_size",
            "your division is upside down: it must say how often batch_size goes into the examples": (
                "return self.batch_size // len(self.x)",
                "return -(-self.batch_size // len(self.x))",
            ),
            "with drop_last you leave out a whole batch": (
                "whole, rest = divmod(len(self.x), self.batch_size)\n"
                "return whole - 1 if self.drop_last else whole + (rest > 0)"
            ),
            "with drop_last you count one more than the whole batches": (
                "whole, rest = divmod(len(self.x), self.batch_size)\n"
                "return whole + 1 if self.drop_last else whole + (rest > 0)"
            ),
        },
    ),
    Exercise(
        name="batches",
        title="Which examples are in a batch",
        path=LOADER,
        piece=Body("DataLoader._batches", "rows = order[i * self.batch_size : (i + 1) * self.batch_size]"),
        reading=("datasets/loader.py, its first page", "docs/layouts.md, Images: N×C×H×W"),
        rows=(4,),
        minutes=5,
        task=(
            "`order` has the numbers of all examples in the order of this epoch. Set `rows` to those of batch number "
            "i, where i counts from 0: self.batch_size of them, or what is left for the last one."
        ),
        hints=(
            "Batch 0 has the first self.batch_size, batch 1 the next ones.",
            "A slice that would end after the end of an array just ends there.",
        ),
        probes=rows.batches,
        mistakes={
            "your batches overlap: batch i must begin i whole batches after the start": (
                "rows = order[i : i + self.batch_size]"
            ),
            "your batches begin with the second one, and i counts from 0": (
                "rows = order[(i + 1) * self.batch_size : (i + 2) * self.batch_size]"
            ),
            "your batches lack their last example: a slice ends before its end": (
                "rows = order[i * self.batch_size : (i + 1) * self.batch_size - 1]",
                "rows = order[i * self.batch_size : min((i + 1) * self.batch_size, len(order)) - 1]",
                (
                    "start = i * self.batch_size\nend = min(start + self.batch_size, len(order)) - 1\n"
                    "rows = order[start:end]"
                ),
            ),
            "your batches have an example too many, with which the next one begins too": (
                "rows = order[i * self.batch_size : (i + 1) * self.batch_size + 1]"
            ),
            "you take the examples in the order of the data set: it must be that of the epoch": (
                "rows = range(len(order))[i * self.batch_size : (i + 1) * self.batch_size]",
                "rows = range(i * self.batch_size, min((i + 1) * self.batch_size, len(order)))",
                "rows = range(i * self.batch_size, (i + 1) * self.batch_size)",
                "rows = np.arange(i * self.batch_size, min((i + 1) * self.batch_size, len(order)))",
            ),
            "every one of your batches is the first one": "rows = order[: self.batch_size]",
            "your batches never end: each has all examples from its first one to the last": (
                "rows = order[i * self.batch_size :]"
            ),
            "your batches take every n-th example of `order`: each must be one run of it": (
                "rows = order[i :: len(self)]"
            ),
            "your last batch takes all that is left, also where drop_last leaves the remainder out": (
                (
                    "if i == len(self) - 1:\n    rows = order[i * self.batch_size : ]\nelse:\n"
                    "    rows = order[i * self.batch_size : (i + 1) * self.batch_size]"
                ),
                (
                    "start = i * self.batch_size\n"
                    "rows = order[start : start + self.batch_size] if i < len(self) - 1 else order[start:]"
                ),
            ),
            "your batches lack their first example": (
                "rows = order[i * self.batch_size + 1 : (i + 1) * self.batch_size]"
            ),
            "your batches begin one example too late": (
                "rows = order[i * self.batch_size + 1 : (i + 1) * self.batch_size + 1]"
            ),
            "your batches begin one example too early: the first one at −1": (
                "rows = order[i * self.batch_size - 1 : (i + 1) * self.batch_size - 1]"
            ),
            "your batches are one behind, and i counts from 0": (
                "rows = order[(i - 1) * self.batch_size : i * self.batch_size]"
            ),
            "your slice ends at i + batch_size: it must end batch_size after its own start": (
                "rows = order[i * self.batch_size : i + self.batch_size]"
            ),
            "your slice ends where the first batch ends: it must end batch_size after its own start": (
                "rows = order[i * self.batch_size : self.batch_size]"
            ),
            "you count with the number of batches: it must be the number of examples in one": (
                "rows = order[i * len(self) : (i + 1) * len(self)]"
            ),
            "each of your batches has the ones before it too: it must begin where they end": (
                "rows = order[ : (i + 1) * self.batch_size]"
            ),
            "your slice begins at i: that is the number of a batch, and no position in `order`": (
                "rows = order[i : (i + 1) * self.batch_size]"
            ),
            "you take one example, the i-th: it must be batch_size of them": "rows = order[i : i + 1]",
        },
    ),
)
