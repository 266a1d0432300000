"""The Markdown page of `python -m benchmarks.peers`, made from its measurements."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measurements import Bounds, Row, as_the_last, between, listed, spread, table

FASTER = "speed-up of ours"
NOTES = Path(__file__).parent / "notes"  # what stands below the table of each part


def page(rows: Sequence[Row]) -> str:
    """The tables: of each part what was measured where its latest measurement was."""
    sections = ["# Speed beside other codebases"]
    for part in ("gail", "ppo", "imitate"):
        of_part = [row for row in rows if row["part"] == part]
        if of_part:
            current = as_the_last(of_part, "commit", "processor")
            make = rate_table if part == "gail" else time_table
            sections += [
                f"## part={part}",
                make(current).rstrip(),
                (NOTES / f"{part}.md").read_text().rstrip(),
                provenance(current),
            ]
    return "\n\n".join(sections) + "\n"


def provenance(rows: Sequence[Row]) -> str:
    """Commands, commit, processor and versions behind some rows."""
    commands = ", ".join(dict.fromkeys(f"`{row['command']}`" for row in rows))
    loads = spread([row["load_before"] for row in rows], ".1f")
    versions = {row["name"]: row["versions"] for row in rows}
    lines = [
        f"* Commands: {commands}",
        f"* Commit {rows[-1]['commit']}; {rows[-1]['processor']}; load before a measurement {loads}",
        *(f"* {name}: {listed(packages)}" for name, packages in versions.items()),
    ]
    return "\n".join(lines)


def rate_table(rows: Sequence[Row]) -> str:
    lines = []
    for group in _groups(rows):
        whole = _by_repeat(group, "gailfe", lambda row: row["steps_per_s"])
        alone = _by_repeat(group, "gailfe", lambda row: row["learning_steps_per_s"])
        for peer, name, env_id in _codebases(group):
            rates = _by_repeat(group, peer, lambda row: row["steps_per_s"])
            ratios = [
                spread([] if peer == "gailfe" else [ours[r] / rates[r] for r in rates if r in ours], ".2f")
                for ours in (whole, alone)
            ]
            shown = [spread(rates.values(), ",.0f"), *ratios, str(group[0]["length"]), str(len(rates))]
            lines.append([env_id, name, *shown])
            if peer == "gailfe":
                lines.append([env_id, f"{name}, learning alone", spread(alone.values(), ",.0f"), "", "", "", ""])
    return table(["task", "codebase", "steps/s", FASTER, "learning alone", "iterations", "rounds"], lines)


def time_table(rows: Sequence[Row]) -> str:
    lines = []
    for group in _groups(rows):
        ours = _by_repeat(group, "gailfe", lambda row: _bounds(row, "seconds"))
        for peer, name, env_id in _codebases(group):
            seconds = _by_repeat(group, peer, lambda row: _bounds(row, "seconds"))
            steps = _by_repeat(group, peer, lambda row: _bounds(row, "env_steps"))
            reached = f"{sum(high < math.inf for _, high in seconds.values())} of {len(seconds)}"
            ratios = [] if peer == "gailfe" else _ratios(seconds, ours)
            shown = [between(seconds.values(), ",.0f"), between(ratios, ".2f"), between(steps.values(), ",.0f")]
            lines.append([env_id, name, reached, *shown, f"{group[0]['length']:,}"])
    return table(["task", "codebase", "seeds that reached it", "seconds", FASTER, "env steps", "cap"], lines)


def records(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Of part=imitate, an object a task and codebase; lower bounds where some seeds were stopped at a cap.

    ratio_of_medians: this codebase's seconds in units of ours; null unless all of ours reached the return.
    """
    result = []
    for group in _groups(as_the_last([row for row in rows if row["part"] == "imitate"], "commit", "processor")):
        ours = [row["seconds"] for row in group if row["peer"] == "gailfe" and row["reached"]]
        comparable = ours and len(ours) == sum(row["peer"] == "gailfe" for row in group)
        for peer, _, _ in _codebases(group):
            chosen = [row for row in group if row["peer"] == peer]
            seconds = [row["seconds"] for row in chosen]
            result.append(
                {
                    "env": group[0]["env"],
                    "codebase": peer,
                    "n_seeds": len(chosen),
                    "n_censored": sum(not row["reached"] for row in chosen),
                    "seconds_median": median(seconds),
                    "seconds_min": min(seconds),
                    "seconds_max": max(seconds),
                    "env_steps_median": median(row["env_steps"] for row in chosen),
                    "ratio_of_medians": median(seconds) / median(ours) if comparable else None,
                }
            )
    return result


def _bounds(row: Row, key: str) -> Bounds:
    """Until the return: known if it was reached, else more than until the cap. part=ppo calls that ∞."""
    if row["reached"]:
        return row[key], row[key]
    return (row[key] if row["part"] == "imitate" else math.inf), math.inf


def _ratios(theirs: dict[int, Bounds], ours: dict[int, Bounds]) -> list[Bounds]:
    """Ratios within a repeat; none for a repeat in which no codebase reached the return."""
    pairs = [(theirs[r], ours[r]) for r in theirs if r in ours]
    return [(t[0] / o[1], t[1] / o[0]) for t, o in pairs if min(t[1], o[1]) < math.inf]


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows that may be compared: of the same environment and length, in the order of the file."""
    keys = dict.fromkeys((row["env"], row["length"]) for row in rows)
    return [[row for row in rows if (row["env"], row["length"]) == key] for key in keys]


def _codebases(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    return list(dict.fromkeys((row["peer"], row["name"], row["env_id"]) for row in rows))


def _by_repeat(rows: Iterable[Row], peer: str, value: Callable[[Row], Any]) -> dict[int, Any]:
    return {row["repeat"]: value(row) for row in rows if row["peer"] == peer}
