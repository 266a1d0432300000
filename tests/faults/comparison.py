"""Is what a disturbed sweep left the same as what the undisturbed one left?"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gailfe.storage.store import ArtifactError, verify

TIMES = ("wall_time_s", "steps_per_s")
ROWS = ("metrics.csv", "curve.csv")
COMPARED = (*ROWS, "policy.safetensors", "policy.json", "expert.json", "evaluation.json", "summary.json")


@dataclass
class Comparison:
    """Of two finished sweeps."""

    runs: int = 0
    rows: int = 0  # compared, of runs and of experts
    rows_lost: int = 0  # that only the undisturbed sweep has
    differences: list[str] = field(default_factory=list)


def compare(whole: Path, disturbed: Path) -> Comparison:
    """Compare rows (without times), policies and records of all runs and experts, value by value, byte by byte."""
    found = Comparison()
    for path in sorted(path for name in COMPARED for path in whole.rglob(name)):
        relative = path.relative_to(whole)
        if "wandb" in relative.parts or relative.parts[1] == "demonstrations":
            continue  # what is learned from demonstrations is in the rows
        other = disturbed / relative
        found.runs += path.name == "metrics.csv"
        if path.name in ROWS:
            ours, theirs = _rows(path), _rows(other)
            found.rows += len(ours)
            found.rows_lost += max(0, len(ours) - len(theirs))
        if not other.exists():
            found.differences.append(f"{relative} is missing")
        elif _content(path) != _content(other) and not _would_be_named(disturbed / Path(*relative.parts[:3])):
            found.differences.append(f"{relative} differs")
    return found


def _would_be_named(artifact: Path) -> bool:
    """Whether a folder is an artefact whose damage is found when it is used; runs that are finished use none."""
    try:
        verify(artifact)
    except ArtifactError:
        return artifact.parents[1].name == "artifacts"
    return False


def _content(path: Path) -> Any:
    if path.name in ROWS:
        return _rows(path)
    if path.name == "summary.json":
        summary = json.loads(path.read_text())
        last = {key: value for key, value in summary["last_row"].items() if key not in TIMES}
        return summary["iterations"], summary["stopped_early"], last, summary["files"]["policy.safetensors"]
    return path.read_bytes()


def _rows(path: Path) -> list[dict[str, str]]:
    text = path.read_text() if path.exists() else ""
    return [
        {key: cell for key, cell in row.items() if key not in TIMES} for row in csv.DictReader(io.StringIO(text))
    ]
