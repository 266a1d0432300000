"""Mean and spread over the seeds of an algorithm, and their comparison with the expert.

Before they are averaged, all seeds get the same grid: every iteration in which at least one of them has a value.
Between two values of a seed its curve is interpolated linearly (there is no training return in an iteration in
which no episode ended). Before its first and after its last value it has none. Mean and spread exist only where
every seed has a value, so that a missing seed never changes them: with a half-done seed, the mean ends where that
seed ends. A run whose algorithm finished before its budget, as behaviour cloning does, keeps its last value until
then: more iterations would change nothing.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from analysis.curves import measurements
from analysis.layout import Wording
from analysis.runs import EXPERT, EXPERT_RETURN, NUM_ITERATIONS, STOPPED_EARLY

RETURNS = ("eval_return_mean", "return_mean")


def seed_lines(curves: pd.DataFrame, env: str, algo: str, metric: str) -> pd.DataFrame:
    """Return every seed's curve on the common grid: `(iterations, seeds)`, NaN where a seed has not been."""
    own = curves[(curves["env"] == env) & (curves["algo"] == algo)]
    rows = measurements(own[own["metric"] == metric])
    grid = rows.pivot_table(index="iteration", columns="seed", values="value")
    grid = grid.interpolate(method="index", limit_area="inside")
    finished = own.loc[own["metric"] == STOPPED_EARLY, "seed"].tolist()
    budgets = own.loc[(own["metric"] == NUM_ITERATIONS) & own["seed"].isin(finished), "value"]
    if len(grid) and len(budgets):
        grid = grid.reindex(grid.index.union([int(budgets.max())]))
        for seed in grid.columns.intersection(finished):
            grid[seed] = grid[seed].ffill()
    return grid


def mean_and_std(lines: pd.DataFrame) -> pd.DataFrame:
    """Return the mean and sample standard deviation (n − 1) over seeds, in the iterations that every seed has.

    Args:
        lines: `(iterations, seeds)`, from `seed_lines`.

    Returns:
        `(common iterations, 2)` with columns `mean`, `std`; the spread of a single seed is NaN, not 0.
    """
    common = lines.dropna(how="any")
    return pd.DataFrame({"mean": common.mean(axis=1), "std": common.std(axis=1, ddof=1)})


def areas_under(lines: pd.DataFrame) -> pd.Series:
    """Return each seed's average height over the common iterations, by the trapezoidal rule: `(seeds,)`."""
    common = lines.dropna(how="any")
    width = common.index[-1] - common.index[0] if len(common) > 1 else 0
    if not width:
        return pd.Series(float("nan"), index=lines.columns)
    return pd.Series(np.trapezoid(common, x=common.index, axis=0) / width, index=lines.columns)


def expert_returns(curves: pd.DataFrame, env: str, algos: Iterable[str] | None = None) -> list[float]:
    """Return the evaluated return of each distinct expert that the runs in `env` imitated; mostly exactly one.

    With `algos`, only the experts of runs with these labels; of all runs if the table has no expert for each run.
    """
    rows = curves[curves["env"] == env]
    if algos is not None:
        theirs = rows[rows["algo"].isin(list(algos)) & (rows["metric"] == EXPERT_RETURN)]
        if len(theirs):
            return sorted(theirs["value"].unique().tolist())
    rows = rows[rows["algo"] == EXPERT]
    return sorted(rows.loc[rows["metric"] == "eval_return_mean", "value"].unique().tolist())


def final_values(curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return a row for each env and algo.

    Columns: env, algo, seeds, iteration, mean, std, area, area_std, expert and percent_of_expert.

    `iteration` is the last one that every seed has; where none is, the row ends in NaN. `mean` and `std` over
    seeds are of the values there. `area` is the mean over seeds of a curve's average height, which speaks of
    the speed of learning. `expert` is the mean over distinct experts and exists only for returns; the
    percentage needs an expert's return above 0.
    """
    rows = measurements(curves)
    table = []
    for env, algo in sorted(set(zip(rows["env"], rows["algo"], strict=True))):
        lines = seed_lines(curves, env, algo, metric)
        final = mean_and_std(lines).tail(1)
        areas = areas_under(lines)
        experts = expert_returns(curves, env, [algo]) if metric in RETURNS else []
        expert = sum(experts) / len(experts) if experts else float("nan")
        mean = float(final["mean"].iloc[0]) if len(final) else float("nan")
        table.append(
            {
                "env": env,
                "algo": algo,
                "seeds": lines.shape[1],
                "iteration": int(final.index[0]) if len(final) else float("nan"),
                "mean": mean,
                "std": float(final["std"].iloc[0]) if len(final) else float("nan"),
                "area": areas.mean(),
                "area_std": areas.std(ddof=1),
                "expert": expert,
                "percent_of_expert": 100 * mean / expert if expert > 0 else float("nan"),
            }
        )
    return pd.DataFrame(table)


def final_table(curves: pd.DataFrame, metric: str) -> str:
    """`final_values` as lines of text, a dash where a number does not exist; at the end what all runs share."""

    def number(value: float, digits: int = 0) -> str:
        return "–" if pd.isna(value) else f"{value:,.{digits}f}"

    names = ("env", "algo", "seeds", "iteration")
    header = (*names, f"{metric}, mean ± std", "area, mean ± std", "expert", "% of expert")
    digits = 0 if metric in RETURNS else 4
    rows = final_values(curves, metric).to_dict("records")
    wording = Wording.of(row["algo"] for row in rows)
    cells = [header] + [
        (
            row["env"],
            wording.label(row["algo"]),
            str(row["seeds"]),
            number(row["iteration"]),
            f"{number(row['mean'], digits)} ± {number(row['std'], digits)}",
            f"{number(row['area'], digits)} ± {number(row['area_std'], digits)}",
            number(row["expert"]),
            number(row["percent_of_expert"]),
        )
        for row in rows
    ]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    return "\n".join([*lines, f"All runs: {wording.all_runs}."] if wording.shared else lines)
