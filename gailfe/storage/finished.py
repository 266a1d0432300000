"""What a finished run holds: its summary has the checksum of each file that a reader goes by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gailfe.storage.files import write_json
from gailfe.storage.names import CONFIG, EXPERT_RECORD, METRICS, POLICY_FILES, RECIPE, SUMMARY
from gailfe.storage.store import ArtifactError, artifact_key, check_files, checksums

CHECKSUM = "checksum"  # key of the summary: of all its other keys
HELD = (CONFIG, METRICS, RECIPE, EXPERT_RECORD, *POLICY_FILES)


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    """Write summary.json: `summary`, and the checksums of the run's files, which must be complete now."""
    held = [folder / name for name in HELD if (folder / name).exists()]
    content = {**summary, "files": checksums(folder, held)}
    write_json(folder / SUMMARY, {**content, CHECKSUM: artifact_key(content)})


def read_summary(folder: Path) -> dict[str, Any] | None:
    """Read the summary of a run; None if the run has none, so is not finished.

    Raises:
        ArtifactError: if it can't be read, or is not as it was written.
    """
    path = folder / SUMMARY
    try:
        summary = json.loads(path.read_text())
        written = summary.pop(CHECKSUM, None)  # None in those of earlier versions
        if written is not None and written != artifact_key(summary):
            raise ValueError("it is not as it was written")
        return {
            "iterations": int(summary["iterations"]),
            "stopped_early": bool(summary["stopped_early"]),
            **summary,
        }
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path} can't be read: {error}") from error


def check_finished(folder: Path, summary: dict[str, Any]) -> None:
    """Compare a finished run's files with its summary; one from before there were checksums passes.

    Raises:
        ArtifactError: naming the first file that is missing or changed.
    """
    check_files(folder, summary.get("files", {}), SUMMARY)


def is_well(folder: Path) -> bool:
    """Return whether a folder holds a finished run whose files are what its summary says."""
    try:
        summary = read_summary(folder)
        check_finished(folder, summary or {})
    except ArtifactError:
        return False
    return summary is not None
