"""The page of `python -m benchmarks.scaling`: tables, and what follows from them."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from analysis.panels import save_figure
from benchmarks.machine import machine, table
from benchmarks.peer_table import spread
from benchmarks.scaling_figure import draw
from benchmarks.scaling_points import TITLES, Row, envs, gain, medians, points, rate, side_by_side
from gailfe.storage.files import write_text

LARGE = 64  # cores of the machine that is asked about


def write_report(out: Path, rows: list[Row]) -> str:
    """Write scaling.md and scaling.png; returns the former."""
    page = report(rows)
    write_text(out / "scaling.md", page)
    save_figure(draw(rows), out, "scaling", ["png"])
    return page


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
