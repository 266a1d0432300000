"""The summary's tables and sentences for people; the numbers come from `analysis.comparison`."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison import PERCENT, describe
from analysis.layout import Panel
from analysis.statistics import LEVEL, Interval, interquartile_mean, interval_over_seeds

LEGEND = f"""\
Area: the average height of a seed's curve of the evaluated return, over the iterations that all seeds of a table
have. Steps: environment steps until an evaluation is at or above that part of the expert's return; median over
seeds, where one that never came there counts as longer than its run. Failed episodes: mean over seeds, – where
they are not counted. [low, high]: {LEVEL:.0%} percentile bootstrap interval over seeds, too short with few of
them; for a difference in area it is Student's t, which is right with few, too. There is none below 2 seeds.
"""
TOGETHER = "All environments together, in percent of the expert's return"
AVERAGES: dict[str, Callable[..., Any]] = {
    "mean": np.mean,
    "median": np.median,
    "interquartile mean": interquartile_mean,
}


def panel_text(panel: Panel, runs: pd.DataFrame, iterations: pd.Index) -> str:
    """Return the two tables of one task: areas, and results of the runs.

    Args:
        runs: its rows, from `comparison.seed_table`.
        iterations: those that all of them have.
    """
    areas, finals = panel_tables(panel, runs)
    place = panel.title.replace("\n", ", ")
    return "\n".join([f"{place}: {extent_text(runs, iterations)}", aligned(areas), aligned(finals)])


def extent_text(runs: pd.DataFrame, iterations: pd.Index) -> str:
    """Return which iterations the tables of a task are of, and what its experts achieve."""
    experts = sorted(runs["expert_return"].dropna().unique())
    expert = f"; expert: {', '.join(number(value) for value in experts)}" if experts else ""
    span = f"iterations {iterations[0]:,} to {iterations[-1]:,}" if len(iterations) else "no iteration in common"
    return span + expert


def panel_tables(panel: Panel, runs: pd.DataFrame) -> tuple[list[list[str]], list[list[str]]]:
    """Return the cells of the two tables of a task, of its `seed_table`: a header, and a row an algorithm."""
    named = {name: describe(runs[runs["algo"] == algo]) for name, algo in panel.lines.items()}
    areas = [["", "seeds", *(f"area, {average}" for average in AVERAGES)]]
    finals = [["", "final return", "% of expert", *(f"steps to {part}%" for part in PERCENT), "failed episodes"]]
    for name, values in named.items():
        spread = [with_interval(values[key], values[f"{key}_ci95"]) for key in ("auc", "auc_median", "auc_iqm")]
        areas.append([name, str(len(values["seeds"])), *spread])
        final = with_interval(values["final_return"], values["final_return_ci95"])
        steps = [steps_text(values, part) for part in PERCENT]
        finals.append(
            [name, final, number(values["percent_of_expert"]), *steps, number(values["failed_episodes"])]
        )
    return areas, finals


def steps_text(values: dict[str, Any], percent: int) -> str:
    """`184,320`, `> 512,000` or `never`, and how many seeds never came there."""
    key = f"steps_to_{percent}"
    never, seeds = values[f"{key}_never"], len(values["seeds"])
    if never is None:
        return "–"
    median, bound = values[key], values[f"{key}_more_than"]
    if median is None and bound is None:
        return f"never ({never} of {seeds})"
    told = f"> {number(bound)}" if median is None else number(median)
    return f"{told} ({never} of {seeds} never)" if never else told


def comparison_text(record: dict[str, Any], algo: str, baseline: str) -> str:
    """Describe a comparison of two algorithms in words.

    Args:
        record: from `comparison.compare`.
        algo, baseline: what the tables call them.
    """
    difference, interval = record["auc_difference"], record["auc_difference_ci95"]
    if difference is None:
        return f"{algo} and {baseline} cannot be compared: they have less than two iterations in common."
    paired = "paired by seed" if record["paired"] else "unpaired: not the same seeds"
    pair = f"{algo} against {baseline} ({paired})"
    relative = 100 * difference / abs(record["auc_baseline"]) if record["auc_baseline"] else float("nan")
    percent = "" if np.isnan(relative) else f" ({relative:+.0f}%)"
    chance, chances = record["probability_of_improvement"], record["probability_of_improvement_ci95"]
    if interval is None:
        return (
            f"{pair}: difference in area {difference:+,.0f}{percent}, probability of improvement {chance:.2f}.\n"
            "  No interval: that needs 2 seeds of each. Neither can be called faster."
        )
    words = {
        "faster": f"{algo} is faster: the interval lies above 0.",
        "slower": f"{algo} is slower: the interval lies below 0.",
        "undecided": "Neither is called faster: the interval holds 0.",
        "incomparable": "Neither is called faster: one of them takes no steps in the environment.",
    }
    return (
        f"{pair}: difference in area {with_interval(difference, interval)}{percent}, "
        f"probability of improvement {chance:.2f} [{chances[0]:.2f}, {chances[1]:.2f}].\n"
        f"  {words[record['verdict']]}"
    )


def tasks_text(panels: Sequence[tuple[Panel, pd.DataFrame]]) -> str:
    """`tasks_table` with its heading; empty where there is none."""
    rows = tasks_table(panels)
    return f"{TOGETHER}\n{aligned(rows)}\n" if rows else ""


def tasks_table(panels: Sequence[tuple[Panel, pd.DataFrame]]) -> list[list[str]]:
    """Areas over several environments in percent of the expert's return; empty where no algorithm has two of them.

    Every value of every environment counts alike; the bootstrap is stratified by environment.
    """
    strata: dict[tuple[str, str], list[np.ndarray]] = {}
    for panel, runs in panels:
        form = panel.title.partition("\n")[2]
        for name, algo in panel.lines.items():
            own = runs[runs["algo"] == algo]
            if (own["expert_return"] > 0).all() and own["auc"].notna().all():
                share = (100 * own["auc"] / own["expert_return"]).to_numpy()
                strata.setdefault((form, name), []).append(share)
    rows = [["", "environments", *(f"area, {average}" for average in AVERAGES)]]
    for (form, name), shares in strata.items():
        if len(shares) > 1:
            every = np.concatenate(shares)
            cells = [
                with_interval(float(average(every)), interval_over_seeds(shares, average), digits=1)
                for average in AVERAGES.values()
            ]
            rows.append([f"{name}, {form}" if form else name, str(len(shares)), *cells])
    return rows if len(rows) > 1 else []


def with_interval(value: float | None, interval: Interval | None, digits: int = 0) -> str:
    """`2,765 [2,637, 2,840]`."""
    if interval is None:
        return number(value, digits)
    return f"{number(value, digits)} [{number(interval[0], digits)}, {number(interval[1], digits)}]"


def number(value: float | None, digits: int = 0) -> str:
    """With thousands apart; a dash where there is none."""
    return "–" if value is None or pd.isna(value) else f"{value:,.{digits}f}"


def aligned(rows: list[list[str]]) -> str:
    """Cells in columns, the first one flush left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(["", first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)
