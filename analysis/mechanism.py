"""Draws D on its three kinds of pairs, E[log D] of failures, and λ_F.

    python -m analysis.mechanism runs=runs/figure1

GAIL beside GAILFE, one column a task, against the iteration.
"""

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.arguments import FigureArguments, seeds_suffix
from gailfe.config.arguments import run_command

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SUMMARY = """\
python -m analysis.mechanism [key=value ...]

Draws what failures do to the discriminator, against the iteration, one column a task: D on the expert's, the
policy's and the failed pairs (D is the probability that a pair came from the policy), the mean log D of failed
pairs with Z_F, which it must exceed, and the multiplier λ_F. Lines are means over seeds, bands their 95% bootstrap
intervals.
Writes mechanism.png and mechanism.pdf, and prints where."""

EXAMPLES = """\
Examples:
  python -m analysis.mechanism
  python -m analysis.mechanism runs=results/figure1/curves.parquet out=figures formats=[pdf]"""

# Metrics of a run, from top to bottom, and what their axes say.
ROWS = {
    "d_expert": "D on\nexpert pairs",
    "d_policy": "D on\npolicy pairs",
    "d_failed": "D on\nfailed pairs",
    "log_d_failed": "E[log D] of\nfailed pairs",
    "lambda_f": "λ$_F$",
}
PROBABILITIES = ("d_expert", "d_policy", "d_failed")


def draw_mechanism(curves: "pd.DataFrame") -> "Figure":
    """Draw a row for each metric of `ROWS` and a column for each task; rows without any value are left out.

    Raises:
        RunsError: no run has a value of any of these metrics.
    """
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.aggregate import seed_lines
    from analysis.curves import measurements
    from analysis.layout import lay_out
    from analysis.panels import EXACT, PAPER_WIDTH, STYLE, add_common_legend, draw_algorithm, legend_entries
    from analysis.runs import Z_F, RunsError

    rows = measurements(curves)
    rows = rows[rows["metric"].isin(ROWS)]
    if rows.empty:
        raise RunsError(f"no run has a value of {', '.join(ROWS)} (yet)")
    metrics = [metric for metric in ROWS if (rows["metric"] == metric).any()]
    layout = lay_out(rows[["env", "algo"]].itertuples(index=False, name=None))
    panels = layout.panels
    legend_height = 0.15 * (2 + len(layout.names) // 2)  # inches, as all sizes here
    heights = [1.2] * len(metrics) + [legend_height]
    with matplotlib.rc_context(STYLE):
        size = (max(PAPER_WIDTH, 1.7 * len(panels)), sum(heights) + 0.4)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(len(heights), len(panels), height_ratios=heights)
        axes: list[Axes] = []
        for row, metric in enumerate(metrics):
            for column, panel in enumerate(panels):
                axis = figure.add_subplot(grid[row, column], sharey=axes[-1] if column else None)
                axes.append(axis)
                for name, algo in panel.lines.items():
                    lines = seed_lines(curves, panel.env, algo, metric)
                    draw_algorithm(axis, lines, name, layout.names.index(name), single_seeds=False)
                if metric == "log_d_failed":
                    facts = curves[(curves["metric"] == Z_F) & (curves["env"] == panel.env)]
                    for z_f in facts.loc[facts["algo"].isin(panel.lines.values()), "value"].unique():
                        axis.axhline(z_f, color="0.25", linewidth=1, linestyle=":", label="Z$_F$")
                if metric in PROBABILITIES:
                    axis.set_ylim(0, 1)
                    axis.axhline(0.5, color="0.25", linewidth=0.5)
                axis.set_title(panel.title if row == 0 else "")
                axis.set_ylabel(ROWS[metric] if column == 0 else "")
                axis.set_xlabel("Iteration" if row == len(metrics) - 1 else "")
                axis.set_xlim(0, rows.loc[rows["env"] == panel.env, "iteration"].max())
                axis.xaxis.set_major_formatter(EXACT)
                axis.tick_params(labelleft=column == 0, labelbottom=row == len(metrics) - 1)
        figure.align_ylabels()
        below = figure.add_subplot(grid[len(metrics), :])
        below.axis("off")
        one_line = not any("(" in name for name in layout.names)
        add_common_legend(below, legend_entries(rows, panels, axes), one_line)
        note = "Line: mean over seeds, as far as all of them have come. Band: the mean's 95% bootstrap interval."
        note += " Horizontal line: D = 0.5."
        if layout.shared:
            note += f"\nAll runs: {layout.shared}."
        figure.supxlabel(note, x=0.01, ha="left", fontsize=6, color="0.3")
    return figure


def work(chosen: FigureArguments) -> None:
    from analysis.curves import load_curves
    from analysis.panels import save_figure
    from analysis.sweep import announced_runs, missing_runs, missing_text

    logging.basicConfig(format="%(levelname)s: %(message)s")
    out = chosen.out_folder
    curves = load_curves(*chosen.sources, seeds=chosen.seeds)
    figure = draw_mechanism(curves)
    missing = missing_runs(curves, announced_runs(*chosen.sources), chosen.seeds)
    if missing:
        print(missing_text(missing))
    paths = save_figure(figure, out, "mechanism" + seeds_suffix(chosen.seeds), chosen.formats)
    print("\n".join(["Wrote:", *(f"  {path}" for path in paths)]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 for a source without curves, 2 for a wrong argument."""
    return run_command(FigureArguments, SUMMARY, EXAMPLES, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
