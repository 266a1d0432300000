"""The figure of `python -m benchmarks.scaling`, and how a part's numbers are read off the measurements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from analysis.layout import NAMES
from analysis.panels import COLOURS, DASHES, PAPER_WIDTH, STYLE
from benchmarks.measurements import Row

TITLES = {
    "num_envs": "Environments of one training",
    "threads": "Torch threads of one training",
    "wide_threads": "Torch threads, networks 400 units wide",
    "jobs": "Trainings side by side",
    "sweep": "A sweep of four short runs",
    "buffer": "Pairs in β_F",
    "batch": "Discriminator batch, pairs a source",
    "width": "Units a hidden layer, all networks",
}
COSTS = ("buffer", "batch", "width")  # of which the time of learning is drawn


def envs(rows: Sequence[Row], part: str) -> list[str]:
    return list(dict.fromkeys(row["env"] for row in rows if row["part"] == part))


def points(rows: Sequence[Row], part: str, env: str, value: Callable[[Row], float]) -> dict[int, list[float]]:
    """Collect a part on a task: from each value that was measured to `value(row)` of its rounds, in order."""
    chosen = [row for row in rows if row["part"] == part and row["env"] == env]
    return {x: [value(row) for row in chosen if row["value"] == x] for x in sorted({r["value"] for r in chosen})}


def rate(row: Row) -> float:
    return float(row["steps_per_s"])


def collecting(row: Row) -> float:
    """ms an iteration, environment and acting: what no accelerator of the networks' learning takes over."""
    return float(row["environment_ms"] + row["acting_ms"])


def draw(rows: Sequence[Row]) -> Figure:
    """Draw a panel for each part that was measured: medians, with bars from the smallest to the largest."""
    parts = [part for part in TITLES if envs(rows, part)]
    columns = min(2, max(1, len(parts)))
    height = max(1, -(-len(parts) // columns))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PAPER_WIDTH, 1.9 * height + 0.5), layout="constrained")
        axes = figure.subplots(height, columns, squeeze=False).ravel()
        for axis in axes[len(parts) :]:
            axis.remove()
        colours = dict(zip(dict.fromkeys(row["env"] for row in rows), COLOURS, strict=False))
        for axis, part in zip(axes, parts, strict=False):
            draw_panel(axis, [row for row in rows if row["part"] == part], part, colours)
        keys = [
            Line2D([], [], color=colour, marker="o", markersize=3, label=NAMES.get(env, env.capitalize()))
            for env, colour in colours.items()
        ]
        if "width" in parts:
            label = "collecting: environment and acting"
            keys.append(Line2D([], [], color="0.3", linestyle=DASHES[0], label=label))
        if {"jobs", "sweep"} & set(parts):
            keys.append(Line2D([], [], color="0.6", linestyle=":", label="every core as fast as one alone"))
        figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), frameon=False)
    return figure


def draw_panel(axis: Axes, rows: Sequence[Row], part: str, colours: dict[str, str]) -> None:
    key = "elapsed" if part == "sweep" else "learning_ms" if part in COSTS else "steps_per_s"
    for env in envs(rows, part):
        measured = points(rows, part, env, lambda row: row[key])
        draw_line(axis, measured, colours[env], "-")
        if part == "width":
            draw_line(axis, points(rows, part, env, collecting), colours[env], DASHES[0])
        if part in ("jobs", "sweep") and 1 in measured:  # what it would be if every core did as much as one alone
            one, used = median(measured[1]), [min(jobs, rows[-1]["cores"]) for jobs in measured]
            ideal = [one / cores if part == "sweep" else one * cores for cores in used]
            axis.plot(list(measured), ideal, color="0.6", linewidth=0.8, linestyle=":", zorder=0)
    axis.set_title(TITLES[part])
    axis.set_ylabel(
        {"sweep": "Wall time [s]", "width": "Time [ms/iteration]"}.get(part)
        or ("Learning [ms/iteration]" if part in COSTS else "Steps/s")
    )
    x = sorted({row["value"] for row in rows})
    if max(x) > 8:
        axis.set_xscale("log", base=2)
        axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticks(x, [short(number) for number in x])
    axis.margins(x=0.08)
    if part == "width":  # over two orders of magnitude
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.yaxis.set_minor_locator(NullLocator())
    else:
        axis.set_ylim(0, 1.05 * axis.get_ylim()[1])
    axis.yaxis.set_major_formatter("{x:,.0f}")


def draw_line(axis: Axes, measured: dict[int, list[float]], colour: str, dashes: object) -> None:
    middle = [median(numbers) for numbers in measured.values()]
    extremes = [[m - min(n), max(n) - m] for m, n in zip(middle, measured.values(), strict=True)]
    bars = list(zip(*extremes, strict=True))
    style = {"color": colour, "linestyle": dashes, "linewidth": 1, "marker": "o", "markersize": 2.5, "capsize": 2}
    axis.errorbar(list(measured), middle, yerr=bars, **style)  # type: ignore[arg-type]


def short(number: int) -> str:
    """1500000 → 1.5M."""
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if number >= 10 * size or (number >= size and number % size in (0, size // 2)):
            return f"{number / size:g}{letter}"
    return str(number)
