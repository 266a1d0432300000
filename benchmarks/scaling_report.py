"""Tables, figure and what follows from the measurements of `python -m benchmarks.scaling`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from analysis.curves import write_atomically
from analysis.panels import COLOURS, DASHES, NAMES, PAPER_WIDTH, STYLE, save_figure
from benchmarks.machine import machine, table
from benchmarks.peer_table import spread

Row = dict[str, Any]
Points = dict[int, list[float]]  # by value: one number a round

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
LARGE = 64  # cores of the machine that is asked about


def write_report(out: Path, rows: list[Row]) -> str:
    """Write scaling.md and scaling.png; returns the former."""
    page = report(rows)
    write_atomically(out / "scaling.md", lambda path: path.write_text(page))
    save_figure(draw(rows), out, "scaling", ["png"])
    return page


def points(rows: list[Row], part: str, env: str, value: Callable[[Row], float]) -> Points:
    """Of a part on a task: the measured value → what `value` makes of each round's row, in order."""
    chosen = [row for row in rows if row["part"] == part and row["env"] == env]
    keys = sorted({row["value"] for row in chosen})
    return {key: [value(row) for row in chosen if row["value"] == key] for key in keys}


def medians(values: Points) -> dict[int, float]:
    return {key: median(numbers) for key, numbers in values.items()}


def envs(rows: list[Row], part: str) -> list[str]:
    return list(dict.fromkeys(row["env"] for row in rows if row["part"] == part))


def rate(row: Row) -> float:
    return float(row["steps_per_s"])


def learning(row: Row) -> float:
    """ms an iteration"""
    return float(row["learning_ms"])


def collecting(row: Row) -> float:
    """ms an iteration, environment and acting: what no accelerator of the networks' learning takes over."""
    return float(row["environment_ms"] + row["acting_ms"])


def gain(row: Row) -> float:
    """How many times as fast an iteration would be if learning took no time."""
    return 1 + learning(row) / collecting(row)


def report(rows: list[Row]) -> str:
    """The Markdown page."""
    if not rows:
        return "# How it scales\n\nNothing has been measured yet.\n"
    cores, loads = rows[-1]["cores"], [row["load_before"] for row in rows]
    commands = dict.fromkeys(f"`{row['command']}`" for row in rows)
    lengths = sorted({row["length"] for row in rows if row["part"] != "sweep"})
    rounds = max(row["repeat"] for row in rows) + 1
    sections = [
        "# How it scales",
        f"{', '.join(commands)}\n\n{machine(cores, rows[-1]['commit'])}; load before a measurement "
        f"{spread(loads, '.1f')}. Median (smallest–largest) of {rounds} interleaved rounds of "
        f"{', '.join(f'{length:g}' for length in lengths) or 0} s of training, GAILFE's defaults, the first "
        "iterations of a run, without evaluation, checkpoints and tracking. environment: physics and Gymnasium; "
        "acting: the policy while collecting; learning: all the rest of an iteration.",
        "![How it scales](scaling.png)",
    ]
    for part in TITLES:
        if envs(rows, part):
            make = {"jobs": jobs_table, "sweep": sweep_table}.get(part, iterations_table)
            sections.append(f"## {TITLES[part]}\n\n{make(rows, part)}".rstrip())
    facts = what_follows(rows, cores)
    if facts:
        sections.append("## What follows\n\n" + "\n".join(f"* {fact}" for fact in facts))
    return "\n\n".join(sections) + "\n"


def iterations_table(rows: list[Row], part: str) -> str:
    head = [part, "task", "steps/s", "environment [ms]", "acting [ms]", "learning [ms]", "if learning were free"]
    lines = []
    for env in envs(rows, part):
        rates, gains = points(rows, part, env, rate), points(rows, part, env, gain)
        parts = [
            points(rows, part, env, lambda row, name=name: row[f"{name}_ms"])  # type: ignore[misc]
            for name in ("environment", "acting", "learning")
        ]
        for value in rates:
            spent = [spread(p[value], ",.1f") for p in parts]
            times = f"{spread(gains[value], '.2f')} × as fast"
            lines.append([f"{value:,}", env, spread(rates[value], ",.0f"), *spent, times])
    return table(head, lines)


def jobs_table(rows: list[Row], part: str) -> str:
    lines = []
    for env in envs(rows, part):
        rates, ratios = points(rows, part, env, rate), side_by_side(rows, env)
        for value in rates:
            row = [value, env, spread(rates[value], ",.0f"), spread(ratios.get(value, []), ".2f")]
            lines.append([*row, spread((100 * ratio / value for ratio in ratios.get(value, [])), ".0f")])
    return table(["jobs", "task", "steps/s, all together", "of one alone", "% of that many alone"], lines)


def side_by_side(rows: list[Row], env: str) -> Points:
    """By number of jobs: their steps/s in units of one alone, within a round."""
    alone = {r["repeat"]: rate(r) for r in rows if (r["part"], r["env"], r["value"]) == ("jobs", env, 1)}
    chosen = [row for row in rows if row["repeat"] in alone]
    return points(chosen, "jobs", env, lambda row: rate(row) / alone[row["repeat"]])


def sweep_table(rows: list[Row], part: str) -> str:
    (env,) = envs(rows, part)[-1:]
    seconds = points(rows, part, env, lambda row: row["elapsed"])
    length = next(row["length"] for row in rows if row["part"] == part)
    one = medians(seconds).get(1)
    lines = [
        [value, env, spread(s, ".1f"), f"{one / median(s):.2f}" if one else ""] for value, s in seconds.items()
    ]
    note = f"Four runs of {length:.0f} iterations with evaluation, checkpoints, W&B (offline) and all start-up."
    return table(["n_jobs", "task", "wall time [s]", "× as fast as one at a time"], lines) + "\n" + note


def what_follows(rows: list[Row], cores: int) -> list[str]:
    """Sentences that are arithmetic on the medians; what is extrapolated says so."""
    facts = []
    for env in envs(rows, "jobs"):
        ratios, rates = medians(side_by_side(rows, env)), medians(points(rows, "jobs", env, rate))
        if cores in ratios and 1 in rates:
            fact = f"{env}: {cores} trainings at once do {ratios[cores]:.2f} times the steps of one"
            if 2 * cores in ratios:
                fact += f"; {2 * cores}, two a core, {ratios[2 * cores]:.2f} times"
            if cores < LARGE:
                share = ratios[cores] / cores
                fact += (
                    f". Extrapolated, not measured: at the same {100 * share:.0f}% of a core's own rate, {LARGE} "
                    f"cores do {LARGE * share * rates[1]:,.0f} steps/s with {LARGE} trainings. Caches, memory "
                    f"bandwidth and clock that {LARGE} cores share were not put to that test"
                )
            facts.append(fact + ".")
    for part, networks in (("threads", "default networks"), ("wide_threads", "networks 400 units wide")):
        for env in envs(rows, part):
            rates = medians(points(rows, part, env, rate))
            times = [f"{r / rates[1]:.2f} times with {n}" for n, r in rates.items() if n > 1 and 1 in rates]
            if times:
                facts.append(f"{env}, {networks}: the steps/s of one thread become {', '.join(times)} threads.")
    for env in envs(rows, "width"):
        gains = medians(points(rows, "width", env, gain))
        more = [width for width, times in gains.items() if times > 2]
        bounds = ", ".join(f"{times:.1f} at {width}" for width, times in gains.items())
        from_on = f"from width {min(more)} on" if more else "at none of these widths"
        facts.append(
            f"{env}: if learning took no time and collecting stayed as it is, an iteration would be at most so "
            f"many times as fast: {bounds}. Learning is more than half of it {from_on}. It bounds what any "
            "accelerator of the learning can give, from these measurements on a CPU; no GPU was measured."
        )
    return facts


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
