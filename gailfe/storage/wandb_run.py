"""A W&B run: a training's rows in sections, its expert's return as a line, its best and final values, histograms.

What stands as `d_policy` in metrics.csv is `discriminator/d_policy` in W&B, which makes a panel of each section.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from gailfe.config.keys import ConfigError, Refusal
from gailfe.config.schema import Config, TrackingConfig
from gailfe.storage.records import EVALUATED
from gailfe.storage.run_names import overrides_of
from gailfe.storage.tracking import FIRST_COLUMNS, LAST_COLUMNS, Row

AXES = ("iteration", "env_steps")  # in no section: what everything else is drawn against
SPEED = ("wall_time_s", *LAST_COLUMNS)
RETURN = tuple(name for name in FIRST_COLUMNS if name not in (*AXES, *SPEED))
OTHERS = "algorithm"  # the section of what an algorithm measures and puts into no section
EXPERT = "return/expert"  # the same in every row, so that a panel can draw it as a line
VIDEO = "policy/video"
LONGEST_TAG = 64  # characters; W&B allows no more
BINS = 50  # of a histogram


class TrackingError(Refusal, RuntimeError):
    """W&B refuses to start a run, or no longer takes what it is told."""


class Sections:
    """The W&B names of a training's metrics.

    Args:
        of_algorithm: sections, each with the metrics of the algorithm that are in it.
    """

    def __init__(self, of_algorithm: Mapping[str, Sequence[str]]) -> None:
        sections = {"return": RETURN, "speed": SPEED, **of_algorithm}
        self._section = {name: section for section, names in sections.items() for name in names}
        self.names = list(dict.fromkeys(["return", *of_algorithm, "policy", "speed", OTHERS]))

    def key(self, name: str) -> str:
        """Return what W&B calls a column of metrics.csv."""
        return name if name in AXES else f"{self._section.get(name, OTHERS)}/{name}"

    def row(self, row: Row) -> dict[str, Any]:
        """Return a row of metrics.csv under W&B's names."""
        return {self.key(name): value for name, value in row.items()}


def check_tracking(config: Config) -> None:
    """Refuse a tracking that would fail later, or would wait for an answer in the terminal.

    Raises:
        ConfigError: if online tracking has no API key.
    """
    if config.tracking.wandb and config.tracking.mode == "online":
        import wandb

        wandb.setup(wandb.Settings(silent=True))  # else it also asks the server who we are
        if not wandb.login(prompt=False, verify=False):
            raise ConfigError(
                "tracking.mode=online needs a W&B API key: run `wandb login` or set WANDB_API_KEY; "
                "tracking.mode=offline needs none, and `wandb sync` uploads it later"
            )


def start_wandb(config: Config, folder: Path, run_id: str, sections: Sections) -> Any:
    """Start a W&B run whose files are in `folder`; None if W&B is switched off.

    Runs are grouped by `group_of` and plotted against the iteration; every row has env_steps, too. A run that was
    interrupted goes on when it is started with the same `run_id`.
    """
    if not config.tracking.wandb:
        return None
    group = group_of(config, folder)
    run = init(
        config.tracking,
        folder,
        id=run_id,
        group=group,
        job_type=config.algo.name,
        name=f"{config.env.name}/{config.algo.name}/{folder.name}",
        tags=[config.study, config.experiment, config.env.name, config.algo.name],
        config=asdict(config),
    )
    run.define_metric("iteration", hidden=True)
    run.define_metric("env_steps", step_metric="iteration", hidden=True)
    for section in sections.names:
        run.define_metric(f"{section}/*", step_metric="iteration")
    return run


def group_of(config: Config, folder: Path) -> str:
    """Return the W&B group of the run in `folder`: environment, algorithm, and the overrides in the folder's name.

    Runs of one group differ by their seed alone. W&B allows 128 characters.
    """
    group = "/".join(
        filter(None, (config.study, config.env.name, config.algo.name, ",".join(overrides_of(folder))))
    )
    return group if len(group) <= 128 else f"{group[:115]}-{hashlib.sha256(group.encode()).hexdigest()[:12]}"


def init(tracking: TrackingConfig, folder: Path, tags: Sequence[str], **arguments: Any) -> Any:
    """`wandb.init` as `tracking` has it, with the files in `folder`; a run of the same id goes on.

    Raises:
        TrackingError: if W&B refuses to start the run.
    """
    import wandb

    try:
        return wandb.init(
            project=tracking.project,
            entity=tracking.entity,
            mode=tracking.mode,  # type: ignore[arg-type]  # see checks.py
            dir=folder,
            resume="allow",
            tags=list(dict.fromkeys(tag[:LONGEST_TAG] for tag in tags)),
            settings=wandb.Settings(console="off", silent=True),
            **arguments,
        )
    except (wandb.Error, ValueError) as error:  # those of its checks of arguments are ValueErrors
        told = " ".join(str(error).split())
        raise TrackingError(
            f"W&B can't start a run in {folder}: {told}. With tracking=none the same command goes on without W&B"
        ) from error


def histogram(values: np.ndarray) -> Any:
    """Return a W&B histogram of `values`, (n,); those of probabilities all have the same bins."""
    import wandb

    probabilities = values.min() >= 0 and values.max() <= 1
    return wandb.Histogram(
        np_histogram=np.histogram(values, bins=BINS, range=(0.0, 1.0) if probabilities else None)
    )


def summary_of(rows: Sequence[Row], expert: float | None) -> dict[str, float]:
    """Return what a run's summary has beside its last row: the expert's return, the best and the final evaluation.

    Args:
        rows: those of metrics.csv so far.
        expert: the expert's return, None where it isn't known.
    """
    found: dict[str, float] = {} if expert is None else {"expert/return_mean": expert}
    evaluated = [row for row in rows if EVALUATED in row]
    if evaluated:
        chosen = {"best": max(evaluated, key=lambda row: row[EVALUATED]), "final": evaluated[-1]}
        for name, row in chosen.items():
            found |= {f"{name}/{key}": row[key] for key in (*AXES, EVALUATED, "eval_return_std") if key in row}
            if expert is not None and expert > 0:
                found[f"{name}/percent_of_expert"] = 100 * row[EVALUATED] / expert
    return found
