"""What the tables and the figure of `python -m benchmarks.scaling` read off its measurements."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

Row = dict[str, Any]
Points = dict[int, list[float]]  # by value: one number a round

TITLES = {
    "num_envs": "Environments of one training",
    "threads": "Torch threads of one training",
    "wide_threads": "Torch threads, networks 400 units wide",
    "jobs": "Trainings side by side",
    "sweep": "A sweep of four short runs",
    "buffer": "Pairs in β_F",
    "batch": "Discriminator batch, pairs a source",
    "width": "Units a hidden layer, all networks",
}


def points(rows: list[Row], part: str, env: str, value: Callable[[Row], float]) -> Points:
    """Of a part on a task: the measured value → what `value` makes of each round's row, in order."""
    chosen = [row for row in rows if row["part"] == part and row["env"] == env]
    keys = sorted({row["value"] for row in chosen})
    return {key: [value(row) for row in chosen if row["value"] == key] for key in keys}


def medians(values: Points) -> dict[int, float]:
    return {key: median(numbers) for key, numbers in values.items()}


def envs(rows: list[Row], part: str) -> list[str]:
    return list(dict.fromkeys(row["env"] for row in rows if row["part"] == part))


def rate(row: Row) -> float:
    return float(row["steps_per_s"])


def learning(row: Row) -> float:
    """ms an iteration"""
    return float(row["learning_ms"])


def collecting(row: Row) -> float:
    """ms an iteration, environment and acting: what no accelerator of the networks' learning takes over."""
    return float(row["environment_ms"] + row["acting_ms"])


def gain(row: Row) -> float:
    """How many times as fast an iteration would be if learning took no time."""
    return 1 + learning(row) / collecting(row)


def side_by_side(rows: list[Row], env: str) -> Points:
    """By number of jobs: their steps/s in units of one alone, within a round."""
    alone = {r["repeat"]: rate(r) for r in rows if (r["part"], r["env"], r["value"]) == ("jobs", env, 1)}
    chosen = [row for row in rows if row["repeat"] in alone]
    return points(chosen, "jobs", env, lambda row: rate(row) / alone[row["repeat"]])
