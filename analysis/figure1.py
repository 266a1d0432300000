"""The paper's Figure 1: return against iteration, GAIL against GAILFE, one panel a task.

    python -m analysis.figure1 runs=runs/figure1

Draws what is there, also while a sweep is still running, and says what is missing.
"""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gailfe.config.arguments import run_command

DEFAULT_METRIC = "eval_return_mean"
FORMATS = ("png", "pdf", "svg")

SUMMARY = """\
python -m analysis.figure1 [key=value ...]

Draws the paper's Figure 1: return against iteration, one panel an environment, GAIL against GAILFE: the mean
over seeds as a line, its 95% bootstrap interval as a band, single seeds as thin lines, the expert's return as a
horizontal line. Other settings of the algorithm are further lines, other demonstrations (or other settings of the
task) further panels. A half-done sweep is drawn as far as it is, and what is missing is named.
Writes the figure, and curves.csv and curves.parquet (the table behind it), and prints where."""

EXAMPLES = """\
Examples:
  python -m analysis.figure1
  python -m analysis.figure1 runs=runs/quick metric=return_mean
  python -m analysis.figure1 runs=results/figure1/curves.parquet out=figures formats=[pdf,svg]"""


@dataclass
class Figure1Arguments:
    runs: str = field(
        default="runs/figure1",
        metadata={
            "help": "where the learning curves are",
            "valid": "a folder with run folders below it, a results folder with curves.parquet, or a "
            "results file (.parquet, .csv)",
        },
    )
    out: str | None = field(
        default=None,
        metadata={
            "help": "where to write; null: into runs itself, or beside it where it is a file",
            "valid": "a folder, made where it does not exist, or null",
        },
    )
    metric: str = field(
        default=DEFAULT_METRIC,
        metadata={
            "help": "what to draw; other metrics than the default go to figure1_<metric>",
            "valid": "eval_return_mean (return of the mean action, evaluated), return_mean (training return) "
            "or any other column of metrics.csv",
        },
    )
    formats: list[str] = field(
        default_factory=lambda: ["png", "pdf"],
        metadata={
            "help": "the files to write",
            "valid": f"a list of one or more of {', '.join(FORMATS)}, such as [png,pdf]",
            "choices": FORMATS,
        },
    )
    title: str | None = field(
        default=None, metadata={"help": "a line above the panels", "valid": "any text, or null for none"}
    )


@dataclass(frozen=True)
class Figure1:
    """What was drawn: the files written, the table of final returns, and what the sweep lacks."""

    paths: list[Path]
    table: str
    missing: list[str]

    def report(self) -> str:
        """All of it, for a person to read."""
        lines = [self.table, ""]
        if self.missing:
            lines += [f"Not complete, {len(self.missing)} of the sweep's runs:"]
            lines += [*(f"  {line}" for line in self.missing), ""]
        return "\n".join([*lines, "Wrote:", *(f"  {path}" for path in self.paths)])


def draw_figure1(runs: Path, out: Path, metric: str, formats: list[str], title: str | None) -> Figure1:
    """Reads the curves at `runs`, writes the figure and the tables behind it into `out`.

    Raises:
        RunsError: `runs` is no source of curves, or has no value of `metric` (yet).
    """
    # Here and not above: `--help` and a mistyped key should not wait for pandas and matplotlib.
    from analysis.aggregate import final_table
    from analysis.curves import load_curves, measurements, save_curves
    from analysis.panels import draw_panels, save_figure
    from analysis.runs import RunsError
    from analysis.sweep import announced_runs, missing_runs

    curves = load_curves(runs)
    available = sorted(measurements(curves)["metric"].unique())
    if metric not in available:
        raise RunsError(
            f"metric={metric}: no run in {runs} has a value of it (yet); "
            f"metrics with values: {', '.join(available) or 'none, no iteration is finished'}"
        )
    missing = missing_runs(curves, announced_runs(runs if runs.is_dir() else runs.parent))
    figure = draw_panels(curves, metric, title, missing)
    stem = "figure1" if metric == DEFAULT_METRIC else f"figure1_{metric}"
    paths = save_figure(figure, out, stem, formats) + save_curves(curves, out)
    return Figure1(paths, final_table(curves, metric), missing)


def work(chosen: Figure1Arguments) -> None:
    logging.basicConfig(format="%(levelname)s: %(message)s")
    runs = Path(chosen.runs)
    beside = runs.parent if runs.is_file() else runs
    out = beside if chosen.out is None else Path(chosen.out)
    print(draw_figure1(runs, out, chosen.metric, chosen.formats, chosen.title).report())


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0, 1 for a source without curves, 2 for a wrong argument."""
    return run_command(Figure1Arguments, SUMMARY, EXAMPLES, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
