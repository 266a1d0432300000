"""Reads what an expert achieves, from its evaluation.json or from a run's copy of it, expert.json."""

from __future__ import annotations

import json
from pathlib import Path

from gailfe.storage.names import EXPERT_RECORD
from gailfe.storage.store import ArtifactError

EVALUATED = "eval_return_mean"
MEASURED = (EVALUATED, "eval_return_std")


def read_record(path: Path) -> dict[str, float]:
    """Return the mean and the standard deviation of an expert's return, as far as the file has them.

    Returns:
        By `MEASURED`; nothing if there is no file.

    Raises:
        ArtifactError: if the file is damaged.
    """
    try:
        content = dict(json.loads(path.read_text()))
        return {name: float(content[name]) for name in MEASURED if content.get(name) is not None}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path} can't be read: {error}") from error


def expert_return(run: Path) -> float | None:
    """Return what the expert of a run achieves; None where that isn't known. Raises as `read_record`."""
    return read_record(run / EXPERT_RECORD).get(EVALUATED)
