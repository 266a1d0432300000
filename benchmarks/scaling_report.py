"""The page of `python -m benchmarks.scaling`: tables, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from analysis.panels import save_figure
from benchmarks.measurements import Row, as_the_last, machine, spread, table
from benchmarks.scaling_figure import TITLES, collecting, draw, envs, points, rate
from gailfe.storage.files import write_text

LARGE = 64  # cores, for which the speed is extrapolated


def write_report(out: Path, rows: Sequence[Row]) -> str:
    """Write scaling.md and scaling.png of what was measured where the last of `rows` was; returns the former."""
    here = as_the_last(rows, "commit", "processor", "cores", "versions")
    current = [row for part in TITLES for row in as_the_last([r for r in here if r["part"] == part], "length")]
    page = report(current)
    write_text(out / "scaling.md", page)
    save_figure(draw(current), out, "scaling", ["png"])
    return page


def report(rows: Sequence[Row]) -> str:
    """The Markdown page."""
    if not rows:
        return "# How it scales\n\nNothing has been measured yet.\n"
    cores, loads = rows[-1]["cores"], [row["load_before"] for row in rows]
    commands = dict.fromkeys(f"`{row['command']}`" for row in rows)
    lengths = sorted({row["length"] for row in rows if row["part"] != "sweep"})
    rounds = max(row["repeat"] for row in rows) + 1
    sections = [
        "# How it scales",
        f"{', '.join(commands)}\n\n{machine(rows[-1], cores)}; load before a measurement "
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


def iterations_table(rows: Sequence[Row], part: str) -> str:
    columns: list[tuple[str, Callable[[Row], float], str]] = [
        ("steps/s", rate, ",.0f"),
        ("environment [ms]", lambda row: row["environment_ms"], ",.1f"),
        ("acting [ms]", lambda row: row["acting_ms"], ",.1f"),
        ("learning [ms]", lambda row: row["learning_ms"], ",.1f"),
        ("if learning were free", gain, ".2f"),
    ]
    lines = []
    for env in envs(rows, part):
        measured = [(points(rows, part, env, value), style) for _, value, style in columns]
        for x in measured[0][0]:
            shown = [spread(numbers[x], style) for numbers, style in measured]
            lines.append([f"{x:,}", env, *shown[:-1], f"{shown[-1]} × as fast"])
    return table([part, "task", *(title for title, _, _ in columns)], lines)


def jobs_table(rows: Sequence[Row], part: str) -> str:
    lines = []
    for env in envs(rows, part):
        ratios = side_by_side(rows, env)
        for jobs, rates in points(rows, part, env, rate).items():
            shares = [100 * ratio / jobs for ratio in ratios.get(jobs, [])]
            shown = [spread(rates, ",.0f"), spread(ratios.get(jobs, []), ".2f"), spread(shares, ".0f")]
            lines.append([jobs, env, *shown])
    return table(["jobs", "task", "steps/s, all together", "of one alone", "% of that many alone"], lines)


def sweep_table(rows: Sequence[Row], part: str) -> str:
    env = envs(rows, part)[-1]
    seconds = points(rows, part, env, lambda row: row["elapsed"])
    one = median(seconds[1]) if 1 in seconds else None
    lines = [[n, env, spread(s, ".1f"), f"{one / median(s):.2f}" if one else ""] for n, s in seconds.items()]
    length = next(row["length"] for row in rows if row["part"] == part)
    note = f"Four runs of {length:.0f} iterations with evaluation, checkpoints, W&B (offline) and all start-up."
    return table(["n_jobs", "task", "wall time [s]", "× as fast as one at a time"], lines) + "\n" + note


def gain(row: Row) -> float:
    """How many times as fast an iteration would be if learning took no time."""
    return float(1 + row["learning_ms"] / collecting(row))


def side_by_side(rows: Sequence[Row], env: str) -> dict[int, list[float]]:
    """By number of jobs: their steps/s in units of one alone, within a round."""
    alone = {r["repeat"]: rate(r) for r in rows if (r["part"], r["env"], r["value"]) == ("jobs", env, 1)}
    chosen = [row for row in rows if row["repeat"] in alone]
    return points(chosen, "jobs", env, lambda row: rate(row) / alone[row["repeat"]])


def what_follows(rows: Sequence[Row], cores: int) -> list[str]:
    """Sentences that are arithmetic on the medians; what is extrapolated says so."""

    def medians(part: str, env: str, value: Callable[[Row], float]) -> dict[int, float]:
        return {x: median(numbers) for x, numbers in points(rows, part, env, value).items()}

    facts = []
    for env in envs(rows, "jobs"):
        ratios = {jobs: median(numbers) for jobs, numbers in side_by_side(rows, env).items()}
        if cores not in ratios:
            continue
        fact = f"{env}: {cores} trainings at once do {ratios[cores]:.2f} times the steps of one"
        if 2 * cores in ratios:
            fact += f"; {2 * cores}, two a core, {ratios[2 * cores]:.2f} times"
        if cores < LARGE:
            share = ratios[cores] / cores
            fact += (
                f". Extrapolated, not measured: at the same {100 * share:.0f}% of a core's own rate, {LARGE} "
                f"cores do {LARGE * share * medians('jobs', env, rate)[1]:,.0f} steps/s with {LARGE} trainings. "
                f"Caches, memory bandwidth and clock that {LARGE} cores share were not put to that test"
            )
        facts.append(fact + ".")
    for part, networks in (("threads", "default networks"), ("wide_threads", "networks 400 units wide")):
        for env in envs(rows, part):
            rates = medians(part, env, rate)
            times = [f"{r / rates[1]:.2f} times with {n}" for n, r in rates.items() if n > 1 and 1 in rates]
            if times:
                facts.append(f"{env}, {networks}: the steps/s of one thread become {', '.join(times)} threads.")
    for env in envs(rows, "width"):
        gains = medians("width", env, gain)
        more = [width for width, times in gains.items() if times > 2]
        bounds = ", ".join(f"{times:.1f} at {width}" for width, times in gains.items())
        from_on = f"from width {min(more)} on" if more else "at none of these widths"
        facts.append(
            f"{env}: if learning took no time and collecting stayed as it is, the speed would grow "
            f"at most by these factors: {bounds}. Learning is more than half of it {from_on}. It bounds what any "
            "accelerator of the learning can give, from these measurements on a CPU; no GPU was measured."
        )
    return facts
