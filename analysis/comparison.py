"""The algorithms of one task in numbers: of each seed, of each algorithm, and of pairs of algorithms.

All of it is of the evaluated return (`eval_return_mean`), over the iterations that every seed of every algorithm
in the same panel has (`common_lines`):

- **area** (`auc`): the average height of a seed's curve over these iterations, by the trapezoidal rule: a return.
- **final return**: the value in the last of them.
- **failed episodes**: how many the run counted up to there. Behaviour cloning counts none.
- **steps to 80%** (50%, 90%): the environment steps at the first evaluation whose return is at or above that part
  of the expert's, in all that the seed has done. Where there is none, the time is censored: it is longer than the
  run. The median over seeds takes this into account; sometimes only a lower bound of it is known. A run whose
  algorithm finished before its budget will never come there.

Two algorithms with the same seeds are **paired by seed**: a seed sets the initial networks, the first states and,
where demonstrations are drawn by seed, the demonstrations, so runs of one seed are not independent. An interval of
paired differences is right for any such dependence. Where the two don't have the same seeds, they are taken for
independent samples, which is not quite right where they share some; `seeds=[…]` selects those. The probability of
improvement is over all pairs of runs; it ignores the pairing.

An iteration of behaviour cloning is a pass over the demonstrations, without a step in the environment. Its area is
no measure of the same time as that of GAIL, so neither is called faster.
"""

from typing import Any

import numpy as np
import pandas as pd

from analysis.aggregate import areas_under, expert_returns, seed_lines
from analysis.curves import measurements
from analysis.runs import EXPERT_RETURN, STOPPED_EARLY, parse_label
from analysis.statistics import (
    censored_median,
    difference_interval,
    improvement_interval,
    interquartile_mean,
    interval_over_seeds,
    probability_of_improvement,
)

METRIC = "eval_return_mean"
PERCENT = (50, 80, 90)  # of the expert's return, to which steps are counted


def partner(label: str, labels: list[str], baseline: str) -> str | None:
    """Return the label that `label` is compared with, of those on the same task; None where there is none.

    Where `baseline` is a label with overrides, that one. Where it is an algorithm's name, that algorithm's label
    with the most of `label`'s overrides and no others; for `gailfe_x`, an algorithm `<baseline>_x` comes first.
    """
    if "(" in baseline:
        return baseline if baseline in labels and label != baseline else None
    parsed = {other: parse_label(other) for other in labels if other != label}
    algo, overrides = parse_label(label)
    variant = algo.removeprefix("gailfe") if algo.startswith("gailfe") else ""
    for name in (baseline + variant, baseline):
        fitting = [other for other, (its, own) in parsed.items() if its == name and own <= overrides]
        if fitting:
            return max(fitting, key=lambda other: len(parsed[other][1]))
    return None


def common_lines(curves: pd.DataFrame, env: str, algos: list[str]) -> pd.DataFrame:
    """Return the evaluated returns in the iterations that all seeds of all `algos` have: columns (algo, seed)."""
    lines = pd.concat([seed_lines(curves, env, algo, METRIC) for algo in algos], axis=1, keys=algos)
    return lines.sort_index().interpolate(method="index", limit_area="inside").dropna(how="any")


def seed_table(curves: pd.DataFrame, env: str, lines: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each run, which is a column of `lines`.

    Args:
        lines: from `common_lines`, in the same `env`.

    Returns:
        Columns algo, seed, auc, final_return, expert_return, failed_episodes, env_steps (of its last evaluation),
        stopped_early, steps_to_50, steps_to_80, steps_to_90; NaN where a number doesn't exist: steps that were
        never reached (while expert_return exists and is above 0), failures that were not counted, areas over fewer
        than two iterations.
    """
    areas = areas_under(lines)
    last = lines.index[-1] if len(lines) else 0
    rows = curves[curves["env"] == env]
    experts = rows[rows["metric"] == EXPERT_RETURN].set_index(["algo", "seed"])["value"]
    any_expert = float(np.mean(expert_returns(curves, env) or [np.nan]))
    finished = rows.loc[rows["metric"] == STOPPED_EARLY, ["algo", "seed"]]
    stopped_early = set(finished.itertuples(index=False, name=None))
    measured = measurements(rows)
    table = []
    for algo, seed in zip(*(lines.columns.get_level_values(level) for level in (0, 1)), strict=True):
        run = measured[(measured["algo"] == algo) & (measured["seed"] == seed)]
        failed = run.loc[(run["metric"] == "failed_episodes") & (run["iteration"] <= last), "value"]
        evaluated = run[run["metric"] == METRIC]
        expert = float(experts.get((algo, seed), any_expert))
        row = {
            "algo": algo,
            "seed": int(seed),
            "auc": areas[algo, seed],
            "final_return": lines[algo, seed].iloc[-1] if len(lines) else np.nan,
            "expert_return": expert,
            "failed_episodes": failed.sum() if len(failed) else np.nan,
            "env_steps": evaluated["env_steps"].max(),
            "stopped_early": (algo, seed) in stopped_early,
        }
        for percent in PERCENT:
            there = evaluated[(evaluated["value"] >= percent / 100 * expert) & (expert > 0)]
            row[f"steps_to_{percent}"] = there["env_steps"].min()
        table.append(row)
    return pd.DataFrame(table)


def describe(runs: pd.DataFrame) -> dict[str, Any]:
    """Describe one algorithm over its seeds; None where a number or an interval doesn't exist.

    Args:
        runs: its rows of `seed_table`.
    """
    areas, finals = runs["auc"].to_numpy(), runs["final_return"].to_numpy()
    expert = runs["expert_return"].mean()
    numbers: dict[str, Any] = {"seeds": runs["seed"].tolist()}
    for name, statistic in (("auc", np.mean), ("auc_median", np.median), ("auc_iqm", interquartile_mean)):
        numbers |= {name: statistic(areas), f"{name}_ci95": interval_over_seeds([areas], statistic)}
    numbers |= {"final_return": finals.mean(), "final_return_ci95": interval_over_seeds([finals], np.mean)}
    numbers["percent_of_expert"] = 100 * finals.mean() / expert if expert > 0 else None
    numbers["failed_episodes"] = runs["failed_episodes"].mean()
    for percent in PERCENT:
        numbers |= steps_over_seeds(runs, percent)
    return {key: without_nan(value) for key, value in numbers.items()}


def steps_over_seeds(runs: pd.DataFrame, percent: int) -> dict[str, Any]:
    """Return the median steps to `percent` of the expert, or a bound, and how many seeds never reached it.

    Both the median and the bound are None where the median seed will never reach it.
    """
    steps, key = runs[f"steps_to_{percent}"], f"steps_to_{percent}"
    if not (runs["expert_return"] > 0).all():
        return {key: None, f"{key}_more_than": None, f"{key}_never": None}
    reached = steps.notna().to_numpy()
    observed = runs["env_steps"].where(~runs["stopped_early"], np.inf)
    median, known = censored_median(steps.fillna(observed).to_numpy(), reached)
    return {
        key: median if known and np.isfinite(median) else None,
        f"{key}_more_than": None if known else median,
        f"{key}_never": int((~reached).sum()),
    }


def compare(table: pd.DataFrame, env: str, baseline: str, algo: str) -> dict[str, Any]:
    """Compare two algorithms: every key of `describe` for both, their difference, and the verdict.

    Args:
        table: from `seed_table`, with both.

    Returns:
        For `json.dumps`; intervals are null where a side has fewer than 2 seeds, and then so is `verdict`.
    """
    # Ordered by seed: where both have the same seeds, rows at the same place are a pair.
    table = table.sort_values("seed")
    sides = {"baseline": table[table["algo"] == baseline], "algo": table[table["algo"] == algo]}
    base, other = (side["auc"].to_numpy() for side in sides.values())
    paired = sides["baseline"]["seed"].tolist() == sides["algo"]["seed"].tolist()
    interval = without_nan(difference_interval(base, other, paired))
    there = not np.isnan([*base, *other]).any()
    record = {
        "env": env,
        "baseline": baseline,
        "algo": algo,
        "n_seeds": min(len(base), len(other)),
        "paired": paired,
        "auc_difference": without_nan(other.mean() - base.mean()),
        "auc_difference_ci95": interval,
        "probability_of_improvement": float(probability_of_improvement(base, other)) if there else None,
        "probability_of_improvement_ci95": improvement_interval(base, other) if there else None,
        "verdict": None if interval is None else verdict(interval, list(sides.values())),
        "expert_return": without_nan(table["expert_return"].mean()),
    }
    for side, runs in sides.items():
        record |= {f"{key}_{side}": value for key, value in describe(runs).items()}
        columns = runs.drop(columns=["algo", "expert_return"])
        record[f"runs_{side}"] = [
            {key: without_nan(value) for key, value in row.items()} for row in columns.to_dict("records")
        ]
    return record


def verdict(interval: tuple[float, float], sides: list[pd.DataFrame]) -> str:
    """Return `faster` or `slower` if the interval of the difference in area excludes 0, else `undecided`.

    `incomparable` if one of the two sides takes steps in the environment and the other takes none.
    """
    if len({bool(side["env_steps"].max() > 0) for side in sides}) > 1:
        return "incomparable"
    return "faster" if interval[0] > 0 else "slower" if interval[1] < 0 else "undecided"


def without_nan(value: Any) -> Any:
    """`value` as Python's own, None for NaN and for an interval that has one."""
    if isinstance(value, tuple):
        return None if np.isnan(value).any() else value
    if isinstance(value, (float, np.floating)):
        return None if np.isnan(value) else float(value)
    return value
