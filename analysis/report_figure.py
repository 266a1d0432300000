"""The data of the page's interactive charts: what the figures draw, thinned, as plain values for JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.aggregate import expert_returns, seed_lines
from analysis.comparison import METRIC
from analysis.curves import measurements
from analysis.layout import Layout, Panel
from analysis.mechanism import PROBABILITIES, ROWS
from analysis.panels import FEW_LINES
from analysis.runs import EXPERT, Z_F
from analysis.statistics import mean_with_interval

NUMBERS = 150_000  # in all charts, about: a page of 1 MB
POINTS = (40, 400)  # of a line, at least and at most
DIGITS = 5  # significant ones: finer than a chart can show
WALL_TIME = "wall_time_s"
X_AXES = {"iteration": "Iterations", "env_steps": "Environment steps", WALL_TIME: "Wall time"}
TITLES = {  # of ROWS, whose names are matplotlib's
    "d_expert": "D on expert pairs",
    "d_policy": "D on policy pairs",
    "d_failed": "D on failed pairs",
    "log_d_failed": "E[log D] of failed pairs",
    "lambda_f": "λ_F",
}


def figure_data(curves: pd.DataFrame, layout: Layout) -> dict[str, Any]:
    """Return the content of all charts.

    Args:
        curves: the tidy table.
        layout: of the runs with an evaluated return.

    Returns:
        `names`: the algorithms, in the order of their colours. `axes`: what x can be. `grids`: values of x, by
        axis, that several lines share. `charts`: those of the return, then those of `mechanism.ROWS`, each with
        its panel's number. `every`: the iterations between two points of the longest line.
    """
    measured = measurements(curves)
    made = _Charts(curves, layout)
    charts = []
    for number, panel in enumerate(layout.panels):
        experts = expert_returns(curves, panel.env, panel.lines.values())
        rules = [{"label": "Expert", "value": rounded(value)} for value in experts]
        charts.append(
            {
                **made.chart(number, METRIC, "Return of the mean action", rules),
                "group": "return",
                "share": panel.env,
            }
        )
    for number, panel in enumerate(layout.panels):
        for metric in ROWS:
            chart = made.chart(number, metric, TITLES[metric], _rules(curves, panel, metric))
            if chart["lines"]:
                within = {"range": [0, 1]} if metric in PROBABILITIES else {}
                charts.append({**chart, **within, "group": "mechanism"})
    timed = (measured["metric"] == WALL_TIME).any()
    return {
        "names": layout.names,
        "axes": {axis: title for axis, title in X_AXES.items() if timed or axis != WALL_TIME},
        "grids": made.grids,
        "charts": charts,
        "every": made.every,
        "seeds": sorted(int(seed) for seed in measured["seed"].unique()),
        "showSeeds": min(len(panel.lines) for panel in layout.panels) <= FEW_LINES,
    }


def _rules(curves: pd.DataFrame, panel: Panel, metric: str) -> list[dict[str, Any]]:
    """Horizontal lines of a chart of the mechanism."""
    if metric in PROBABILITIES:
        return [{"label": "", "value": 0.5}]
    if metric != "log_d_failed":
        return []
    facts = curves[(curves["metric"] == Z_F) & (curves["env"] == panel.env)]
    values = facts.loc[facts["algo"].isin(panel.lines.values()), "value"].unique()
    return [{"label": "Z_F", "value": rounded(value)} for value in sorted(values)]


class _Charts:
    """Makes charts, and collects what their lines share."""

    def __init__(self, curves: pd.DataFrame, layout: Layout) -> None:
        self.layout, self.every = layout, 1
        self.grids: list[dict[str, Any]] = []
        self._places: dict[str, int] = {}
        self._of = dict(list(curves[curves["algo"] != EXPERT].groupby(["env", "algo"])))
        seeds = sum(
            self._of[p.env, algo]["seed"].nunique() + 3 for p in layout.panels for algo in p.lines.values()
        )
        self._points = int(np.clip(NUMBERS / (seeds * (1 + len(ROWS))), *POINTS))

    def chart(self, number: int, metric: str, title: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the chart of a metric in the panel of this number; algorithms without values have no line."""
        panel = self.layout.panels[number]
        lines = []
        for name, algo in panel.lines.items():
            rows = self._of[panel.env, algo]
            grid = seed_lines(rows, panel.env, algo, metric)
            if len(grid):
                lines.append({"name": self.layout.names.index(name), **self._line(rows, grid)})
        return {"panel": number, "metric": metric, "title": title, "lines": lines, "rules": rules}

    def _line(self, rows: pd.DataFrame, grid: pd.DataFrame) -> dict[str, Any]:
        kept = self._thinned(grid)
        summary = mean_with_interval(kept).reindex(kept.index)
        seeds = {str(seed): values(kept[seed]) for seed in kept}
        return {
            "grid": self._grid(rows, kept),
            **{name: values(summary[name]) for name in ("mean", "low", "high")},
            "seeds": seeds,
        }

    def _thinned(self, grid: pd.DataFrame) -> pd.DataFrame:
        """Every k-th iteration, the first and last, and those in which a seed ends."""
        step = -(-len(grid) // self._points)
        if len(grid) > 1:
            self.every = max(self.every, step * int(np.median(np.diff(grid.index))) if step > 1 else 1)
        ends = {grid.index[0], *(grid[seed].last_valid_index() for seed in grid)}
        return grid[(np.arange(len(grid))[::-1] % step == 0) | grid.index.isin(ends)]

    def _grid(self, rows: pd.DataFrame, kept: pd.DataFrame) -> int:
        """Return the number of x's values in `grids`: at each iteration the mean over the seeds that were there,
        and, where they differ, those of each seed. After its last row a run takes no more steps and no more time.
        """
        grid: dict[str, Any] = {"iteration": {"mean": [int(iteration) for iteration in kept.index]}}
        steps = measurements(rows).drop_duplicates(["seed", "iteration"])
        times = rows[rows["metric"] == WALL_TIME]
        for axis, source, column in (("env_steps", steps, "env_steps"), (WALL_TIME, times, "value")):
            table = source.pivot_table(index="iteration", columns="seed", values=column)
            if table.empty:
                continue
            table = table.reindex(index=table.index.union(kept.index), columns=kept.columns)
            table = table.interpolate(method="index").loc[kept.index].where(kept.notna())
            grid[axis] = {"mean": values(table.mean(axis=1))}
            if (table.max(axis=1) > table.min(axis=1)).any():
                grid[axis]["seeds"] = {str(seed): values(table[seed]) for seed in table}
        key = json.dumps(grid)
        if key not in self._places:
            self._places[key] = len(self.grids)
            self.grids.append(grid)
        return self._places[key]


def values(series: "pd.Series[Any]") -> list[float | None]:
    """Return the values for JSON; None for NaN."""
    return [rounded(value) for value in series]


def rounded(value: float) -> float | None:
    """Return a value with `DIGITS` significant digits, a whole number whole; None for what is not finite."""
    if not np.isfinite(value):
        return None
    short = float(value) if float(value).is_integer() else float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() else short


def legend(layout: Layout, curves: pd.DataFrame) -> Mapping[str, str]:
    """Return how many seeds each algorithm has: `5 seeds`, or `3–5 seeds` where its tasks differ."""
    measured = measurements(curves).groupby(["env", "algo"])["seed"].nunique()
    counted = {}
    for name in layout.names:
        counts: Sequence[int] = [int(measured[p.env, p.lines[name]]) for p in layout.panels if name in p.lines]
        count = str(max(counts)) if min(counts) == max(counts) else f"{min(counts)}–{max(counts)}"
        counted[name] = f"{count} seed{'' if count == '1' else 's'}"
    return counted
