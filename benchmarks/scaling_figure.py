"""The figure of `python -m benchmarks.scaling`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from analysis.layout import NAMES
from analysis.panels import COLOURS, DASHES, PAPER_WIDTH, STYLE
from benchmarks.scaling_points import TITLES, Points, Row, collecting, envs, learning, medians, points, rate


def draw(rows: list[Row]) -> Figure:
    """A panel for each part that was measured: medians, with bars from the smallest to the largest."""
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
            draw_panel(axis, rows, part, colours)
        keys = [Line2D([], [], color=c, marker="o", markersize=3, label=name(env)) for env, c in colours.items()]
        if "width" in parts:
            keys.append(
                Line2D([], [], color="0.3", linestyle=DASHES[0], label="collecting: environment and acting")
            )
        if {"jobs", "sweep"} & set(parts):
            keys.append(Line2D([], [], color="0.6", linestyle=":", label="every core as fast as one alone"))
        figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), frameon=False)
    return figure


def name(env: str) -> str:
    return NAMES.get(env, env.capitalize())


def draw_panel(axis: Axes, rows: list[Row], part: str, colours: dict[str, str]) -> None:
    costs = part in ("buffer", "batch", "width")
    value: Callable[[Row], float] = (lambda r: r["elapsed"]) if part == "sweep" else learning if costs else rate
    for env in envs(rows, part):
        measured = points(rows, part, env, value)
        lines(axis, measured, colours[env], "-")
        if part == "width":
            lines(axis, points(rows, part, env, collecting), colours[env], DASHES[0])
        if part in ("jobs", "sweep") and 1 in measured:
            ideal(axis, medians(measured), rows[-1]["cores"], falling=part == "sweep")
    axis.set_title(TITLES[part])
    axis.set_ylabel("Wall time [s]" if part == "sweep" else "Learning [ms/iteration]" if costs else "Steps/s")
    x = sorted({row["value"] for row in rows if row["part"] == part})
    if max(x) > 8:
        axis.set_xscale("log", base=2)
        axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticks(x, [short(number) for number in x])
    axis.margins(x=0.08)
    if part == "width":  # over two orders of magnitude
        axis.set_ylabel("Time [ms/iteration]")
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.yaxis.set_minor_locator(NullLocator())
    else:
        axis.set_ylim(0, 1.05 * axis.get_ylim()[1])
    axis.yaxis.set_major_formatter("{x:,.0f}")


def lines(axis: Axes, measured: Points, colour: str, dashes: Any) -> None:
    middle = medians(measured)
    below = [middle[x] - min(measured[x]) for x in measured]
    above = [max(measured[x]) - middle[x] for x in measured]
    style = {"color": colour, "linestyle": dashes, "linewidth": 1, "marker": "o", "markersize": 2.5, "capsize": 2}
    axis.errorbar(list(middle), list(middle.values()), yerr=[below, above], **style)


def ideal(axis: Axes, middle: dict[int, float], cores: int, falling: bool) -> None:
    """What it would be if every core did as much as one alone."""
    x = list(middle)
    used = [min(number, cores) for number in x]
    y = [middle[1] / n if falling else middle[1] * n for n in used]
    axis.plot(x, y, color="0.6", linewidth=0.8, linestyle=":", zorder=0)


def short(number: int) -> str:
    """1500000 → 1.5M."""
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if number >= 10 * size or (number >= size and number % size in (0, size // 2)):
            return f"{number / size:g}{letter}"
    return str(number)
