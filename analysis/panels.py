"""The drawing itself: one panel an environment, one colour an algorithm, mean, spread and single seeds."""

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

from analysis.aggregate import RETURNS, expert_returns, mean_and_std, seed_lines
from analysis.curves import measurements
from analysis.runs import QUICK
from gailfe.storage.files import atomic

# Okabe and Ito's colours, told apart with any colour vision; the dashes tell them apart without colour.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
DASHES: list[Any] = [(0, (4, 1)), "-", "-.", (0, (1, 1))]
DENSE = 300  # points, from which on lines must be finer not to become one blot
NAMES = {"halfcheetah": "HalfCheetah"}
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
    """The figure: `metric` against the iteration, one panel an environment that has values of it.

    Args:
        curves: the tidy table, with at least one measurement of `metric`.
        title: above all panels; None for none. Quick demonstrations say so there in any case.
        missing: what the sweep lacks (`sweep.missing_runs`), for the note under the panels.
    """
    rows = measurements(curves)
    rows = rows[rows["metric"] == metric]
    envs = sorted(rows["env"].unique())
    # The paper's two come first: their colours stay theirs whatever else was run.
    algos = sorted(rows["algo"].unique(), key=lambda algo: (algo not in ("gail", "gailfe"), algo))
    columns = min(len(envs), 3)
    height = -(-len(envs) // columns)
    note = note_of(rows, missing)
    heading = title_of(curves, title)
    one_line = not any("(" in algo for algo in algos)  # labels with overrides need a line each
    legend_lines = 1 if one_line else len(algos) + 1
    panel_height = 2.6 + 0.15 * legend_lines  # inches, and so are the next
    around = 0.12 * (1 + note.count("\n")) + (0.25 if heading else 0)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PAPER_WIDTH, panel_height * height + around), layout="constrained")
        axes = figure.subplots(height, columns, squeeze=False).ravel()
        for axis in axes[len(envs) :]:
            axis.remove()
        for axis, env in zip(axes, envs, strict=False):
            draw_panel(axis, curves, env, algos, metric)
            add_legend(figure, axis, columns=3 if one_line else 1)
        axes[0].set_ylabel(Y_LABELS.get(metric, metric))
        if heading:
            figure.suptitle(heading, fontsize=10)
        figure.supxlabel(note, x=0.01, ha="left", fontsize=6, color="0.3")
    return figure


def draw_panel(axis: Axes, curves: pd.DataFrame, env: str, algos: list[str], metric: str) -> None:
    """One environment: each algorithm's seeds (thin), their mean and ± 1 standard deviation; the expert."""
    for index, algo in enumerate(algos):
        lines = seed_lines(curves, env, algo, metric)
        if lines.empty:
            continue
        colour = COLOURS[index % len(COLOURS)]
        dashes = DASHES[index % len(DASHES)]
        thin, thick = (0.2, 0.8) if len(lines) >= DENSE else (0.4, 1.5)
        for seed in lines:
            plot(axis, lines[seed].dropna(), color=colour, linewidth=thin, alpha=0.5)
        summary = mean_and_std(lines)
        seeds = lines.shape[1]
        label = f"{algo_name(algo)} ({seeds} seed{'s' if seeds > 1 else ''})"
        # GAIL's dashes lie over GAILFE's line: where the two coincide, both are seen.
        order = 3 + len(algos) - index
        style = {"color": colour, "linewidth": thick, "linestyle": dashes, "zorder": order}
        plot(axis, summary["mean"], label=label, **style)
        low, high = summary["mean"] - summary["std"], summary["mean"] + summary["std"]
        axis.fill_between(summary.index, low, high, color=colour, alpha=0.2, linewidth=0)
    rows = measurements(curves)
    rows = rows[(rows["env"] == env) & (rows["metric"] == metric)]
    experts = expert_returns(curves, env) if metric in RETURNS else []
    for index, value in enumerate(experts):
        name = f"Expert ({', '.join(f'{expert:,.0f}' for expert in experts)})"
        axis.axhline(value, color="0.25", linewidth=1, linestyle=":", label="" if index else name)
    axis.set_title(NAMES.get(env, env[:1].upper() + env[1:]))
    axis.set_xlabel(x_label(rows))
    axis.set_xlim(0, rows["iteration"].max())
    axis.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
    axis.xaxis.set_major_formatter(EXACT)
    if metric in RETURNS:
        axis.yaxis.set_major_formatter(EXACT)


def add_legend(figure: Figure, axis: Axes, columns: int) -> None:
    """The legend below the panel, where it can hide no data whatever the curves look like."""
    below_x_label = ScaledTranslation(0, -0.36, figure.dpi_scale_trans)  # inches
    axis.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=axis.transAxes + below_x_label,
        ncols=columns,
        frameon=False,
        columnspacing=1,
        handlelength=1.8,
        handletextpad=0.5,
    )


def plot(axis: Axes, line: pd.Series, **style: object) -> None:
    """A line, or a dot where the run has only one value yet and a line would not show."""
    axis.plot(line.index, line, marker="o" if len(line) == 1 else "", markersize=3, **style)  # type: ignore[arg-type]


def algo_name(label: str) -> str:
    """`gailfe (algo.z_f=-0.1)` → `GAILFE (algo.z_f=-0.1)`."""
    algo, space, settings = label.partition(" ")
    return algo.upper() + space + settings


def x_label(rows: pd.DataFrame) -> str:
    """The iteration and, where all rows agree on it, what one costs in environment steps."""
    steps = (rows["env_steps"] / rows["iteration"]).unique()
    return f"Iteration ({steps[0]:,.0f} environment steps each)" if len(steps) == 1 else "Iteration"


def title_of(curves: pd.DataFrame, title: str | None) -> str | None:
    """The title asked for; a quick demonstration is called one whatever was asked for."""
    if not (curves["metric"] == QUICK).any():
        return title
    warning = "quick demonstration, not a result"
    return f"{title} ({warning})" if title else warning


def note_of(rows: pd.DataFrame, missing: list[str]) -> str:
    """The small print: what line and band are, and what the sweep lacks (the first few; all are printed)."""
    note = (
        "Line: mean over seeds, as far as all of them have come. Band: ± 1 standard deviation over seeds (n − 1)"
    )
    if rows.groupby(["env", "algo"])["seed"].nunique().min() == 1:
        note += ", none for a single seed"
    lines = [f"{note}. Thin lines: single seeds."]
    if missing:
        shown = missing[:4] + ([f"and {len(missing) - 4} more"] if len(missing) > 4 else [])
        lines.append(f"Not complete ({len(missing)} of the sweep's runs): {'; '.join(shown)}.")
    return "\n".join(wrapped for line in lines for wrapped in textwrap.wrap(line, 165))


def save_figure(figure: Figure, folder: Path, stem: str, formats: list[str]) -> list[Path]:
    """Writes `<stem>.<format>` for each format into `folder`; the same figure gives the same bytes."""
    # It tells at level INFO of every glyph in a PDF, which Hydra would show.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    undated: dict[str, dict[str, None]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    paths = [folder / f"{stem}.{name}" for name in formats]
    for path, name in zip(paths, formats, strict=True):
        with matplotlib.rc_context(STYLE), atomic(path) as partial:
            figure.savefig(partial, format=name, dpi=300, metadata=undated.get(name))
    return paths
