"""The record as JSON and as a page."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from .harness import Record


def summary_of(record: Record) -> dict[str, Any]:
    """Return the figures, plain."""
    named = sum(damage.named for damage in record.damages)
    return {
        "kills": record.kills.total(),
        "kills_by_signal_and_target": dict(sorted(record.kills.items())),
        "kills_by_stage": dict(sorted(record.stages.items())),
        "corruptions": len(record.damages),
        "corruptions_by_kind": dict(sorted(Counter(damage.kind for damage in record.damages).items())),
        "corruptions_named_in_the_log": named,
        "refusals": record.refusals,
        "resumed_runs": record.resumed_runs,
        "resumed_ppo_trainings": record.resumed_experts,
        "sweeps": record.rounds,
        "runs_compared": record.runs,
        "rows_compared": record.rows,
        "rows_lost": record.rows_lost,
        "silent_differences": len(record.differences),
        "workers_left_behind": len(record.left_behind),
        "unexplained_ends": len(record.unexplained),
    }


def write_report(out: Path, record: Record, command: str, lines: list[str], work: Path) -> None:
    """Write faults.json, faults.md and faults.log into `out`; paths in them are relative to `work`."""
    out.mkdir(parents=True, exist_ok=True)
    summary = summary_of(record)
    found = [*record.differences, *record.left_behind, *record.unexplained]
    problems = [str(problem).replace(f"{work}/", "") for problem in found]
    (out / "faults.json").write_text(json.dumps({**summary, "problems": problems}, indent=2) + "\n")
    (out / "faults.log").write_text("\n".join(lines) + "\n")
    table = [f"| {key.replace('_', ' ')} | {_shown(value)} |" for key, value in summary.items()]
    text = ["# Kills and damage", "", f"`{command}`", "", "| what | how often |", "| --- | --- |", *table]
    (out / "faults.md").write_text("\n".join(text) + "\n")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {count}" for key, count in value.items())
    return str(value)
