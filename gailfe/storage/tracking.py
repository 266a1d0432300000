"""Metrics to disk and to W&B."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config

Row = dict[str, float]  # one iteration's metrics, by column; what does not exist is left out

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
    """The columns of a training's file of rows: those of every training, and those that its algorithm adds."""
    return [*FIRST_COLUMNS, *added, *LAST_COLUMNS]


class MetricsFile:
    """metrics.csv: one row an iteration, readable when `log` returns; an empty cell for what doesn't exist.

    Args:
        path: of the file.
        columns: of the file, in order.
        keep: rows after this iteration are dropped: a run that goes on from a checkpoint makes them again.

    Raises:
        ValueError: if the file does not have as many rows as are to be kept.
    """

    def __init__(self, path: Path, columns: Sequence[str], keep: int) -> None:
        kept = [row for row in _complete_rows(path) if int(row["iteration"]) <= keep]
        if len(kept) < keep:
            raise ValueError(
                f"{path} has {len(kept)} of the {keep} rows that its checkpoint goes on from: move the folder "
                "away to begin anew"
            )
        partial = path.with_suffix(".partial")
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(kept)
            _to_disk(file)
        partial.replace(path)
        self._file = path.open("a", newline="")
        self._writer = csv.DictWriter(self._file, columns)

    def log(self, row: Row) -> None:
        """Append a row; its keys must be among the columns."""
        self._writer.writerow(row)
        self._file.flush()

    def sync(self) -> None:
        """Return when all rows would survive a power cut."""
        _to_disk(self._file)

    def close(self) -> None:
        self._file.close()


def read_rows(path: Path) -> list[Row]:
    """The rows of a `MetricsFile` as they were logged."""
    return [
        {key: int(cell) if cell.lstrip("-").isdigit() else float(cell) for key, cell in row.items() if cell}
        for row in _complete_rows(path)
    ]


def _complete_rows(path: Path) -> list[dict[str, str]]:
    """All rows, less a half-written line at the end."""
    if not path.exists():
        return []
    text = path.read_text()
    return list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))


def _to_disk(file: TextIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def check_tracking(config: Config) -> None:
    """Refuse what would fail, or wait for an answer, only after hours of work.

    Raises:
        ConfigError: for online tracking without an API key.
    """
    if config.tracking.wandb and config.tracking.mode == "online":
        import wandb

        wandb.setup(wandb.Settings(silent=True))  # else it also asks the server who we are
        if not wandb.login(prompt=False, verify=False):
            raise ConfigError(
                "tracking.mode=online needs a W&B API key: run `wandb login` or set WANDB_API_KEY; "
                "tracking.mode=offline needs none, and `wandb sync` uploads it later"
            )


def start_wandb(config: Config, folder: Path, run_id: str) -> Any:
    """A W&B run in `folder`, grouped by environment and algorithm, plotted against env_steps; None without.

    The same `run_id` goes on where an interrupted run stopped.
    """
    if not config.tracking.wandb:
        return None
    import wandb

    group = f"{config.env.name}/{config.algo.name}"
    run = wandb.init(
        project=config.tracking.project,
        entity=config.tracking.entity,
        mode=config.tracking.mode,  # type: ignore[arg-type]  # see checks.py
        dir=folder,
        id=run_id,
        resume="allow",
        group=group,
        job_type=config.algo.name,
        name=f"{group}/{folder.name}",
        tags=[config.experiment, config.env.name, config.algo.name],
        config=asdict(config),
        settings=wandb.Settings(console="off", silent=True),
    )
    run.define_metric("env_steps")
    run.define_metric("*", step_metric="env_steps")
    return run
