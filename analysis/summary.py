"""Is one algorithm faster than another? The statistics of learning curves, for people and as JSON.

    python -m analysis.summary runs=runs/figure1

Definitions are in `analysis.comparison`, intervals in `analysis.statistics`.
"""

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.arguments import CurvesArguments
from gailfe.config.arguments import argument, run_command

if TYPE_CHECKING:
    import pandas as pd

    from analysis.layout import Layout, Panel

SUMMARY = """\
python -m analysis.summary [key=value ...]

Compares algorithms by their learning curves (the evaluated return): area under the curve, environment steps to
50, 80 and 90% of the expert's return, final return and failed episodes, over seeds with 95% intervals; and each
algorithm with a baseline: difference in area and probability of improvement. Prints tables and, as the last line,
JSON: a list with one object for each environment and pair of algorithms."""

EXAMPLES = """\
Examples:
  python -m analysis.summary runs=runs/figure1
  python -m analysis.summary runs=results/figure1/curves.parquet | tail -n 1 > summary.json
  python -m analysis.summary runs=runs/ablation baseline=gailfe
  python -m analysis.summary runs=runs/replication seeds=[0,1,2]"""


@dataclass
class SummaryArguments(CurvesArguments):
    baseline: str = argument(
        "gail",
        "what the others are compared with, on the same task; of its runs with several settings, those with the "
        "most overrides in common",
        "an algorithm's name, or a whole label such as 'gailfe (algo.failures.window=50)'",
    )


@dataclass(frozen=True)
class Task:
    """A task's numbers: `runs` is its `comparison.seed_table`, over these iterations."""

    panel: "Panel"
    runs: "pd.DataFrame"
    iterations: "pd.Index"
    records: list[dict[str, Any]]  # of `comparison.compare`, one a pair of algorithms


def compare_tasks(curves: "pd.DataFrame", sources: Sequence[Path], baseline: str) -> tuple["Layout", list[Task]]:
    """Return the tasks of the tidy table in the order of the figure's panels.

    Args:
        sources: of the table, for errors.

    Raises:
        RunsError: there is no evaluated return (yet), or no run of `baseline`.
    """
    from analysis.comparison import METRIC, common_lines, compare, partner, seed_table
    from analysis.curves import measurements
    from analysis.layout import lay_out
    from analysis.runs import RunsError, parse_label

    places = ", ".join(map(str, sources))
    rows = measurements(curves)
    rows = rows[rows["metric"] == METRIC]
    if rows.empty:
        raise RunsError(f"no run in {places} has a value of {METRIC} (yet)")
    choices = {name for label in rows["algo"].unique() for name in (label, parse_label(label)[0])}
    if baseline not in choices:
        raise RunsError(f"baseline={baseline}: no run of it in {places}; valid: {', '.join(sorted(choices))}")
    layout, tasks = lay_out(rows[["env", "algo"]].itertuples(index=False, name=None)), []
    for panel in layout.panels:
        algos = list(panel.lines.values())
        lines = common_lines(curves, panel.env, algos)
        table = seed_table(curves, panel.env, lines)
        pairs = [(partner(algo, algos, baseline), algo) for algo in algos]
        records = [compare(table, panel.env, against, algo) for against, algo in pairs if against is not None]
        tasks.append(Task(panel, table, lines.index, records))
    return layout, tasks


def summarise(runs: Sequence[Path], baseline: str, seeds: Sequence[int] = ()) -> tuple[str, list[dict[str, Any]]]:
    """Return the text for people, and one record a pair of algorithms (`comparison.compare`).

    Args:
        seeds: the runs that count; none: all of them.

    Raises:
        RunsError: `runs` is no source of curves, has no evaluated return (yet), or no run of `baseline`.
    """
    from analysis.curves import load_curves  # here, so that --help and a mistyped key don't wait for pandas

    return summary_of(load_curves(*runs, seeds=seeds), runs, baseline, seeds)


def summary_of(
    curves: "pd.DataFrame", runs: Sequence[Path], baseline: str, seeds: Sequence[int] = ()
) -> tuple[str, list[dict[str, Any]]]:
    """Return what `summarise` does, from curves that are loaded already."""
    from analysis.summary_text import LEGEND, comparison_text, panel_text, tasks_text
    from analysis.sweep import announced_runs, missing_runs, missing_text

    layout, tasks = compare_tasks(curves, runs, baseline)
    text, records = [LEGEND], []
    for task in tasks:
        names = {label: name for name, label in task.panel.lines.items()}
        text.append(panel_text(task.panel, task.runs, task.iterations))
        for record in task.records:
            text.append(comparison_text(record, names[record["algo"]], names[record["baseline"]]))
        if not task.records:
            text.append(nothing_compared(task, baseline))
        text.append("")
        records += task.records
    text.append(tasks_text([(task.panel, task.runs) for task in tasks]))
    if layout.shared:
        text.append(f"All runs: {layout.shared}.")
    text.append(missing_text(missing_runs(curves, announced_runs(*runs), seeds)))
    return "\n".join(text).rstrip() + "\n", records


def default_baseline(curves: "pd.DataFrame") -> str:
    """Return gail, or, where no run is of it, the first algorithm's name; gail where there is none at all."""
    from analysis.curves import measurements
    from analysis.runs import parse_label

    names = sorted({parse_label(label)[0] for label in measurements(curves)["algo"].unique()})
    return "gail" if "gail" in names or not names else names[0]


def nothing_compared(task: Task, baseline: str) -> str:
    """Return why a task has no comparison."""
    from analysis.runs import parse_label

    there = any(baseline in (label, parse_label(label)[0]) for label in task.panel.lines.values())
    lacks = f"no other algorithm beside baseline={baseline}" if there else f"no run of baseline={baseline}"
    return f"Nothing is compared: there is {lacks} on this task."


def work(chosen: SummaryArguments) -> None:
    logging.basicConfig(format="%(levelname)s: %(message)s")
    text, records = summarise(chosen.sources, chosen.baseline, chosen.seeds)
    print(text)
    print(json.dumps(records, allow_nan=False))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 for a source without curves, 2 for a wrong argument."""
    return run_command(SummaryArguments, SUMMARY, EXAMPLES, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
