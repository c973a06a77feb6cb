"""Keep what was measured: all that was printed as a Markdown file, and the ratios as a picture."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks.harness import PRINTED, TABLES, Table, say


def write(folder: Path) -> None:
    """Write measured.md and, where Matplotlib is installed, measured.svg into the folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    text, tables = "\n".join(PRINTED).strip(), [table for table in TABLES if table.ratios]
    picture = folder / "measured.svg"
    if tables and find_spec("matplotlib"):
        draw(tables, picture)
        text += f"\n\n![The ratios of all tables, medians with quartiles, on a logarithmic scale]({picture.name})"
    (folder / "measured.md").write_text(f"# Measured\n\n{text}\n", encoding="utf-8")
    say(f"\nwritten: {', '.join(map(str, sorted(folder.glob('measured.*'))))}")


def draw(tables: Sequence[Table], path: Path) -> None:
    """Draw a panel for each table: the median of each ratio with a line from quartile to quartile; 1 is the reference.

    The scale is logarithmic, so that twice as quick and twice as slow are as far from 1.
    """
    from matplotlib.figure import Figure

    heights = [len(table.ratios) + 1.5 for table in tables]
    figure = Figure(figsize=(8, 0.32 * sum(heights)), layout="constrained")
    panels = figure.subplots(len(tables), height_ratios=heights, squeeze=False)[:, 0]
    for table, panel in zip(tables, panels, strict=True):
        for row, (name, (low, median, high)) in enumerate(table.ratios.items()):
            color = "tab:red" if name.startswith("tinygrad_sm") else "tab:gray"
            panel.plot([low, high], [row, row], color=color, linewidth=2)
            panel.plot(median, row, "o", color=color)
            panel.annotate(f"{median:.2f}", (median, row), (0, 4), textcoords="offset points", ha="center", fontsize=7)
        panel.axvline(1, color="black", linewidth=0.8)
        panel.set_xscale("log")
        panel.set_xticks(ticks := [0.1, 0.2, 0.5, 1, 2, 5, 10, 20], [f"{tick:g}" for tick in ticks])
        panel.minorticks_off()
        panel.set_yticks(range(len(table.ratios)), list(table.ratios))
        panel.set_ylim(len(table.ratios) - 0.5, -0.9)
        panel.set_title(f"{table.title}: ratio to {table.reference}", fontsize=9, loc="left")
    figure.savefig(path, metadata={"Date": None})
