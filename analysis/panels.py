"""The drawing itself: one panel a task, one colour an algorithm, mean, interval and single seeds."""

import logging
import textwrap
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from analysis.aggregate import RETURNS, expert_returns, seed_lines
from analysis.curves import measurements
from analysis.layout import Layout, Panel, lay_out
from analysis.runs import QUICK
from analysis.statistics import mean_with_interval
from gailfe.storage.files import atomic

# Okabe and Ito's colours, which people with any colour vision distinguish; dashes serve without colour.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
DASHES: list[Any] = [(0, (4, 1)), "-", "-.", (0, (1, 1))]
DENSE = 300  # points; curves with as many get thinner lines
FEW_LINES = 2  # in a panel; with more of them the single seeds would hide the means
Y_LABELS = {
    "eval_return_mean": "Return of the mean action\n(environment reward per episode)",
    "return_mean": "Training return\n(environment reward per episode)",
}
EXACT = "{x:,.10g}"  # a tick's label: thousands separated, nothing rounded away
PAPER_WIDTH = 7.0  # inches: the text width of a two-column page
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,  # real text in the PDF, which publishers ask for
    "svg.hashsalt": "figure1",  # the same data give the same file
}


def draw_panels(curves: pd.DataFrame, metric: str, title: str | None, missing: list[str]) -> Figure:
    """Draw `metric` against the iteration, a panel for each task that has values of it.

    Args:
        curves: the tidy table, with at least one measurement of `metric`.
        title: above all panels; None for none. Quick demonstrations say so there in any case.
        missing: what the sweep lacks (`sweep.missing_runs`), for the note under the panels.
    """
    rows = measurements(curves)
    rows = rows[rows["metric"] == metric]
    layout = lay_out(rows[["env", "algo"]].itertuples(index=False, name=None))
    note = note_of(rows, layout, missing)
    heading = title_of(curves, title)
    one_line = not any("(" in name for name in layout.names)  # names with overrides need a line each
    entries = len(layout.names) + 1
    columns = 1 if not one_line else 3 if entries <= 3 else 2  # as many as a panel is wide
    legend_lines = -(-entries // columns)
    panel_height = 1.9 if layout.by_factor else 2.6 + 0.15 * legend_lines  # inches, and so are the next
    common_legend = 0.15 * (2 + len(layout.names) // 2) if layout.by_factor else 0
    y_label = Y_LABELS.get(metric, metric)
    one_label = layout.by_factor and layout.shape[0] > 1  # rows are too low for a label each
    around = 0.12 * (1 + note.count("\n")) + (0.25 if heading else 0)
    with matplotlib.rc_context(STYLE):
        figure, axes, below = panel_grid(layout, panel_height, common_legend, around)
        for axis, panel in zip(axes, layout.panels, strict=True):
            draw_panel(axis, curves, panel, layout.names, metric)
            if layout.by_factor:
                axis.set_xlabel("Iteration")
            else:
                axis.set_xlabel(x_label(rows[rows["env"] == panel.env]))
                add_legend(figure, axis, legend_entries(rows, [panel], [axis]), columns)
            if panel.column == 0 and not one_label:
                axis.set_ylabel(y_label)
        if one_label:
            figure.supylabel(y_label.replace("\n", " "), fontsize=8, y=0.6)
        if below is not None:
            add_common_legend(below, legend_entries(rows, layout.panels, axes), one_line)
        if heading:
            figure.suptitle(heading, fontsize=10)
        figure.supxlabel(note, x=0.01, ha="left", fontsize=6, color="0.3")
    return figure


def panel_grid(
    layout: Layout, panel_height: float, legend_height: float, around: float
) -> tuple[Figure, list[Axes], Axes | None]:
    """Make a figure with an axis for each panel, and an empty one below for a legend (None if its height is 0).

    Panels of one environment share their y-axis. Heights in inches, `around` for title and note.
    """
    rows, columns = layout.shape
    height = rows * panel_height + legend_height + around
    figure = Figure(figsize=(PAPER_WIDTH, height), layout="constrained")
    heights = [panel_height] * rows + [legend_height] * (legend_height > 0)
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    axes: list[Axes] = []
    first: dict[str, Axes] = {}
    for panel in layout.panels:
        axes.append(figure.add_subplot(grid[panel.row, panel.column], sharey=first.get(panel.env)))
        first.setdefault(panel.env, axes[-1])
        axes[-1].tick_params(labelleft=panel.column == 0 or first[panel.env] is axes[-1])
    if not legend_height:
        return figure, axes, None
    below = figure.add_subplot(grid[rows, :])
    below.axis("off")
    return figure, axes, below


def draw_panel(axis: Axes, curves: pd.DataFrame, panel: Panel, names: list[str], metric: str) -> None:
    """One task: each algorithm's mean over seeds and its interval, a few algorithms' single seeds; the expert."""
    single_seeds = len(panel.lines) <= FEW_LINES
    for name, algo in panel.lines.items():
        draw_algorithm(axis, seed_lines(curves, panel.env, algo, metric), name, names.index(name), single_seeds)
    experts = expert_returns(curves, panel.env, panel.lines.values()) if metric in RETURNS else []
    for index, value in enumerate(experts):
        name = f"Expert ({', '.join(f'{expert:,.0f}' for expert in experts)})"
        axis.axhline(value, color="0.25", linewidth=1, linestyle=":", label="" if index else name)
    axis.set_title(panel.title)
    rows = measurements(curves)
    rows = rows[(rows["env"] == panel.env) & rows["algo"].isin(panel.lines.values()) & (rows["metric"] == metric)]
    axis.set_xlim(0, rows["iteration"].max())
    axis.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
    axis.xaxis.set_major_formatter(EXACT)
    if metric in RETURNS:
        axis.yaxis.set_major_formatter(EXACT)


def draw_algorithm(axis: Axes, lines: pd.DataFrame, name: str, index: int, single_seeds: bool) -> None:
    """One algorithm's mean over seeds with its interval.

    Args:
        lines: its seeds, `(iterations, seeds)`, from `aggregate.seed_lines`.
        name: for the legend.
        index: its place among all algorithms of the figure: colour, dashes, and what lies above what.
        single_seeds: draw them too, as thin lines.
    """
    if lines.empty:
        return
    colour = COLOURS[index % len(COLOURS)]
    thin, thick = (0.2, 0.8) if len(lines) >= DENSE else (0.4, 1.5)
    if single_seeds:
        for seed in lines:
            plot(axis, lines[seed].dropna(), color=colour, linewidth=thin, alpha=0.5)
    summary = mean_with_interval(lines)
    # GAIL's dashes lie over GAILFE's line: where the two coincide, both are seen.
    style = {"color": colour, "linewidth": thick, "linestyle": DASHES[index % len(DASHES)], "zorder": 10 - index}
    plot(axis, summary["mean"], label=name, **style)
    alpha = 0.2 if single_seeds else 0.12
    axis.fill_between(summary.index, summary["low"], summary["high"], color=colour, alpha=alpha, linewidth=0)


def legend_entries(rows: pd.DataFrame, panels: list[Panel], axes: list[Axes]) -> dict[str, Any]:
    """Return the entries of these panels' legend, each with its artist; algorithms with their number of seeds."""
    artists: dict[str, Any] = {}
    for axis in axes:
        for artist, name in zip(*axis.get_legend_handles_labels(), strict=True):
            # Experts differ from task to task: a legend for all of them can name no number.
            artists.setdefault("Expert" if name.startswith("Expert") and len(axes) > 1 else name, artist)
    algorithms, others = {}, {}
    for name, artist in artists.items():
        runs = [(panel.env, panel.lines[name]) for panel in panels if name in panel.lines]
        seeds = [rows[(rows["env"] == env) & (rows["algo"] == algo)]["seed"].nunique() for env, algo in runs]
        if seeds:
            count = str(max(seeds)) if min(seeds) == max(seeds) else f"{min(seeds)}–{max(seeds)}"
            algorithms[f"{name} ({count} seed{'' if count == '1' else 's'})"] = artist
        else:
            others[name] = artist
    return algorithms | others


def add_legend(figure: Figure, axis: Axes, entries: dict[str, Any], columns: int) -> None:
    """The legend below the panel, where it hides no data."""
    below_x_label = ScaledTranslation(0, -0.36, figure.dpi_scale_trans)  # inches
    axis.legend(
        list(entries.values()),
        list(entries),
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=axis.transAxes + below_x_label,
        ncols=columns,
        frameon=False,
        columnspacing=1,
        handlelength=1.8,
        handletextpad=0.5,
    )


def add_common_legend(below: Axes, entries: dict[str, Any], one_line: bool) -> None:
    """One legend for all panels in the empty axis below them."""
    columns = 4 if one_line else 2
    below.legend(list(entries.values()), list(entries), loc="upper center", ncols=columns, frameon=False)


def plot(axis: Axes, line: pd.Series, **style: object) -> None:
    """A line, or a dot where the run has only one value yet and a line would not show."""
    axis.plot(line.index, line, marker="o" if len(line) == 1 else "", markersize=3, **style)  # type: ignore[arg-type]


def x_label(rows: pd.DataFrame) -> str:
    """Return the iteration and, where all rows agree on it, what one costs in environment steps."""
    steps = (rows["env_steps"] / rows["iteration"]).unique()
    return f"Iteration ({steps[0]:,.0f} environment steps each)" if len(steps) == 1 else "Iteration"


def title_of(curves: pd.DataFrame, title: str | None) -> str | None:
    """Return the title that was asked for; with a quick demonstration, it says that it is one."""
    if not (curves["metric"] == QUICK).any():
        return title
    warning = "quick demonstration, not a result"
    return f"{title} ({warning})" if title else warning


def note_of(rows: pd.DataFrame, layout: Layout, missing: list[str]) -> str:
    """Explain lines and bands, the overrides that all runs share, and the first few runs that the sweep lacks."""
    note = "Line: mean over seeds, as far as all of them have come. Band: the mean's 95% bootstrap interval"
    if rows.groupby(["env", "algo"])["seed"].nunique().min() == 1:
        note += ", none for a single seed"
    lines = [note + "."]
    if min(len(panel.lines) for panel in layout.panels) <= FEW_LINES:
        lines[0] += " Thin lines: single seeds."
    if rows["algo"].str.contains("contamination").any():
        lines.append("Expert: the clean expert's return, also where the demonstrations are contaminated.")
    if layout.shared:
        lines.append(f"All runs: {layout.shared}.")
    if missing:
        shown = missing[:4] + ([f"and {len(missing) - 4} more"] if len(missing) > 4 else [])
        lines.append(f"Not complete ({len(missing)} of the sweep's runs): {'; '.join(shown)}.")
    return "\n".join(wrapped for line in lines for wrapped in textwrap.wrap(line, 150))


def save_figure(figure: Figure, folder: Path, stem: str, formats: list[str]) -> list[Path]:
    """Writes `<stem>.<format>` for each format into `folder`; the same figure gives the same bytes."""
    # At level INFO it logs every glyph of a PDF, and Hydra would show that.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    undated: dict[str, dict[str, None]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    paths = [folder / f"{stem}.{name}" for name in formats]
    for path, name in zip(paths, formats, strict=True):
        with matplotlib.rc_context(STYLE), atomic(path) as partial:
            figure.savefig(partial, format=name, dpi=300, metadata=undated.get(name))
    return paths
