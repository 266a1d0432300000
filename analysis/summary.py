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
from typing import Any

from analysis.arguments import CurvesArguments
from gailfe.config.arguments import argument, run_command

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


def summarise(runs: Sequence[Path], baseline: str, seeds: Sequence[int] = ()) -> tuple[str, list[dict[str, Any]]]:
    """Return the text for people, and one record a pair of algorithms (`comparison.compare`).

    Args:
        seeds: the runs that count; none: all of them.

    Raises:
        RunsError: `runs` is no source of curves, has no evaluated return (yet), or no run of `baseline`.
    """
    # Here and not above: `--help` and a mistyped key should not wait for pandas.
    from analysis.comparison import METRIC, common_lines, compare, partner, seed_table
    from analysis.curves import load_curves, measurements
    from analysis.layout import lay_out
    from analysis.runs import RunsError, parse_label
    from analysis.summary_text import LEGEND, comparison_text, panel_text, tasks_text
    from analysis.sweep import announced_runs, missing_runs, missing_text

    curves = load_curves(*runs, seeds=seeds)
    rows = measurements(curves)
    rows = rows[rows["metric"] == METRIC]
    if rows.empty:
        raise RunsError(f"no run in {', '.join(map(str, runs))} has a value of {METRIC} (yet)")
    choices = {name for label in rows["algo"].unique() for name in (label, parse_label(label)[0])}
    if baseline not in choices:
        raise RunsError(
            f"baseline={baseline}: no run of it in {', '.join(map(str, runs))}; "
            f"valid: {', '.join(sorted(choices))}"
        )
    layout = lay_out(rows[["env", "algo"]].itertuples(index=False, name=None))
    text, records, tables = [LEGEND], [], []
    for panel in layout.panels:
        names = {label: name for name, label in panel.lines.items()}
        lines = common_lines(curves, panel.env, list(names))
        table = seed_table(curves, panel.env, lines)
        tables.append((panel, table))
        text.append(panel_text(panel, table, lines.index))
        compared = 0
        for algo in names:
            against = partner(algo, list(names), baseline)
            if against is not None:
                records.append(compare(table, panel.env, against, algo))
                text.append(comparison_text(records[-1], names[algo], names[against]))
                compared += 1
        if not compared:
            text.append(
                f"Nothing is compared: there is no other algorithm beside baseline={baseline} on this task."
            )
        text.append("")
    text.append(tasks_text(tables))
    if layout.shared:
        text.append(f"All runs: {layout.shared}.")
    text.append(missing_text(missing_runs(curves, announced_runs(*runs), seeds)))
    return "\n".join(text).rstrip() + "\n", records


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
