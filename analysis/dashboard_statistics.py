"""The statistics of a W&B report, from learning curves on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.curves import load_curves
from analysis.runs import EXPERT
from analysis.summary import default_baseline, summary_of
from analysis.summary_text import number, with_interval

HEADER = ("environment", "algorithm", "compared with", "seeds", "final return", "% of expert", "area")
COMPARED = ("difference in area", "probability of improvement", "verdict")


@dataclass(frozen=True)
class Statistics:
    """What a report says about the runs; without runs, nothing."""

    envs: Sequence[str] = ()
    table: str = ""  # Markdown: a row for each algorithm that is compared with another one
    text: str = ""  # all that analysis.summary prints


def statistics_of(runs: Sequence[Path], baseline: str | None, seeds: Sequence[int] = ()) -> Statistics:
    """Return the statistics of the curves in `runs`; arguments and errors are those of `summary.summarise`."""
    curves = load_curves(*runs, seeds=seeds)
    text, records = summary_of(curves, runs, baseline or default_baseline(curves), seeds)
    envs = sorted(curves.loc[curves["algo"] != EXPERT, "env"].unique())
    lines = [_line([*HEADER, *COMPARED]), _line(["---"] * len([*HEADER, *COMPARED]))]
    lines += [_line(_cells(record)) for record in records]
    return Statistics(envs, "\n".join(lines) if records else "", text)


def _cells(record: dict[str, Any]) -> list[str]:
    difference = with_interval(record["auc_difference"], record["auc_difference_ci95"])
    chance = with_interval(record["probability_of_improvement"], record["probability_of_improvement_ci95"], 2)
    return [
        *(record["env"], record["algo"], record["baseline"], str(record["n_seeds"])),
        with_interval(record["final_return_algo"], record["final_return_ci95_algo"]),
        number(record["percent_of_expert_algo"]),
        with_interval(record["auc_algo"], record["auc_ci95_algo"]),
        *(difference, chance, record["verdict"] or "no interval"),
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
