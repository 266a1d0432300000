"""The metrics of a training: their names, and metrics.csv; wandb_run.py hands them on to W&B."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

from gailfe.storage.files import atomic, room_for

Row = dict[str, float]  # one iteration's metrics, by column; a quantity that does not exist has no key

FIRST_COLUMNS = [
    "iteration",
    "env_steps",
    "wall_time_s",
    "return_mean",
    "return_std",
    "episode_length_mean",
    "episodes",
    "eval_return_mean",
    "eval_return_std",
    "eval_episode_length_mean",
]
LAST_COLUMNS = ["steps_per_s"]


def columns(added: Sequence[str]) -> list[str]:
    """Return the columns of a training's metrics: those of every training, and those that its algorithm adds."""
    return [*FIRST_COLUMNS, *added, *LAST_COLUMNS]


class MetricsFile:
    """metrics.csv: a row for each iteration. A cell is empty where a quantity does not exist.

    Args:
        path: of the file. Rows that are there already stay, up to iteration `keep`.
        columns: of the file, in order.
        keep: the iteration of the checkpoint that the training goes on from, or 0. Later rows are made again.

    Raises:
        ValueError: if the file lacks rows that the checkpoint goes on from.
    """

    def __init__(self, path: Path, columns: Sequence[str], keep: int) -> None:
        kept = _rows_until(path, keep)
        if len(kept) < keep:
            raise ValueError(
                f"{path} has {len(kept)} of the {keep} rows that its checkpoint goes on from: move the folder "
                "away to begin anew"
            )
        with atomic(path) as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(kept)
        self._path = path
        self._file = path.open("a", newline="")
        self._writer = csv.DictWriter(self._file, columns)

    def log(self, row: Row) -> None:
        """Append a row; other processes can read it at once.

        Raises:
            ValueError: for a key that is no column.
            DiskFull: if there is no room for it.
        """
        with room_for(self._path):
            self._writer.writerow(row)
            self._file.flush()

    def sync(self, iteration: int) -> str:
        """Wait until all rows are on the disk itself, where a power cut can't take them.

        Returns:
            The checksum of those up to `iteration`, as `rows_checksum` finds it.
        """
        with room_for(self._path):
            os.fsync(self._file.fileno())
        return rows_checksum(self._path, iteration)

    def close(self) -> None:
        self._file.close()


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a `MetricsFile` as they were logged."""
    return [
        {key: int(cell) if cell.lstrip("-").isdigit() else float(cell) for key, cell in row.items() if cell}
        for row in _complete_rows(path)
    ]


def rows_checksum(path: Path, iteration: int) -> str:
    """SHA-256 of the rows up to `iteration`: of their cells by column, so that a column without values is none."""
    cells = [[(key, cell) for key, cell in row.items() if cell] for row in _rows_until(path, iteration)]
    return hashlib.sha256(repr(cells).encode()).hexdigest()


def _rows_until(path: Path, iteration: int) -> list[dict[str, str]]:
    """Rows without a number for their iteration, as of a damaged file, are left out."""
    numbered = ((row.get("iteration") or "", row) for row in _complete_rows(path))
    return [row for number, row in numbered if number.isdecimal() and int(number) <= iteration]


def _complete_rows(path: Path) -> list[dict[str, str]]:
    """Read all rows, without a half-written line at the end."""
    if not path.exists():
        return []
    text = path.read_text(errors="replace")  # what is damaged must not stop who looks for what is whole
    return list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))
