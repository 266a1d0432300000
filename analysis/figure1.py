"""The paper's Figure 1: return against iteration, GAIL against GAILFE, one panel a task.

    python -m analysis.figure1 runs=runs/figure1

Draws what is there, also while a sweep is still running, and says what is missing.
"""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.arguments import FigureArguments, seeds_suffix
from gailfe.config.arguments import argument, run_command

DEFAULT_METRIC = "eval_return_mean"

SUMMARY = """\
python -m analysis.figure1 [key=value ...]

Draws the paper's Figure 1: return against iteration, one panel an environment, GAIL against GAILFE: the mean
over seeds as a line, its 95% bootstrap interval as a band, single seeds as thin lines, the expert's return as a
horizontal line. Other settings of the algorithm are further lines, other demonstrations (or other settings of the
task) further panels. A half-done sweep is drawn as far as it is, and what is missing is named.
Writes the figure, and curves.csv and curves.parquet (the table behind it), and prints where; of single seeds the
figure alone."""

EXAMPLES = """\
Examples:
  python -m analysis.figure1
  python -m analysis.figure1 runs=runs/quick metric=return_mean
  python -m analysis.figure1 runs=results/figure1/curves.parquet out=figures formats=[pdf,svg]
  python -m analysis.figure1 runs=runs/mine,results/contamination out=figures"""


@dataclass
class Figure1Arguments(FigureArguments):
    metric: str = argument(
        DEFAULT_METRIC,
        "what to draw; other metrics than the default go to figure1_<metric>",
        "eval_return_mean (return of the mean action, evaluated), return_mean (training return) or any other "
        "column of metrics.csv",
    )
    title: str | None = argument(None, "a line above the panels", "any text, or null for none")


@dataclass(frozen=True)
class Figure1:
    """What was drawn: the files written, the table of final returns, and what the sweep lacks."""

    paths: list[Path]
    table: str
    missing: list[str]

    def report(self) -> str:
        """Return all of it, for a person to read."""
        from analysis.sweep import missing_text

        parts = [
            self.table,
            missing_text(self.missing),
            "\n".join(["Wrote:", *(f"  {path}" for path in self.paths)]),
        ]
        return "\n\n".join(part for part in parts if part)


def draw_figure1(
    runs: Sequence[Path], out: Path, metric: str, formats: list[str], title: str | None, seeds: Sequence[int] = ()
) -> Figure1:
    """Reads the curves at `runs`, writes the figure and the tables behind it into `out`.

    Args:
        seeds: the runs to draw; none: all of them. The tables, which would be a part only, are not written then.

    Raises:
        RunsError: `runs` is no source of curves, or has no value of `metric` (yet).
    """
    # Here and not above: `--help` and a mistyped key should not wait for pandas and matplotlib.
    from analysis.aggregate import final_table
    from analysis.curves import load_curves, measurements, save_curves
    from analysis.panels import draw_panels, save_figure
    from analysis.runs import RunsError
    from analysis.sweep import announced_runs, missing_runs

    curves = load_curves(*runs, seeds=seeds)
    available = sorted(measurements(curves)["metric"].unique())
    if metric not in available:
        raise RunsError(
            f"metric={metric}: no run in {', '.join(map(str, runs))} has a value of it (yet); "
            f"metrics with values: {', '.join(available) or 'none, no iteration is finished'}"
        )
    missing = missing_runs(curves, announced_runs(*runs), seeds)
    figure = draw_panels(curves, metric, title, missing)
    stem = "figure1" if metric == DEFAULT_METRIC else f"figure1_{metric}"
    paths = save_figure(figure, out, stem + seeds_suffix(seeds), formats)
    if not seeds:
        paths += save_curves(curves, out)
    return Figure1(paths, final_table(curves, metric), missing)


def work(chosen: Figure1Arguments) -> None:
    logging.basicConfig(format="%(levelname)s: %(message)s")
    figure = draw_figure1(
        chosen.sources, chosen.out_folder, chosen.metric, chosen.formats, chosen.title, chosen.seeds
    )
    print(figure.report())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 for a source without curves, 2 for a wrong argument."""
    return run_command(Figure1Arguments, SUMMARY, EXAMPLES, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
