"""What makes many jobs out of one: checked together before the first begins, and accounted for at the end."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

from gailfe.config.checks import parse
from gailfe.config.folders import job_subfolder
from gailfe.config.keys import ConfigError
from gailfe.study import check_study, sweep_arguments, trials_to_check, winner

log = logging.getLogger(__name__)

FAILURE = "failure.txt"
JOBS = "jobs.json"  # in the sweep's folder: every job ever asked for there, by subfolder; analysis reads it


class SweepReport(Callback):
    """Composes and checks every job before any starts; afterwards names those that failed and exits with 1."""

    def __init__(self) -> None:
        self._jobs: dict[str, dict[str, Any]] = {}  # by subfolder

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Raises SystemExit, naming the job: Hydra turns any other exception of a callback into a warning."""
        if not enumerates(config.hydra):
            _start_study(config)
            return
        with read_write(config), read_write(config.hydra):
            # Environments vary fastest, so that the first jobs train different experts, side by side,
            # instead of waiting for the same one.
            config.hydra.overrides.task = sorted(
                config.hydra.overrides.task, key=lambda override: override.startswith("env=")
            )
        for overrides in _jobs(config):
            job = _checked(config, overrides)
            names = {"env": job.env.name, "algo": job.algo.name, "seed": job.seed}
            subfolder = job_subfolder(config.hydra.job.name, **names, overrides=overrides)
            if subfolder in self._jobs:
                raise SystemExit(f"error: two jobs of this sweep would share the folder {subfolder}")
            self._jobs[subfolder] = names
        folder = Path(config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        announced = json.loads((folder / JOBS).read_text()) if (folder / JOBS).exists() else {}
        (folder / JOBS).write_text(json.dumps(announced | self._jobs, indent=2) + "\n")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Raises SystemExit if a job failed, or left its output where we don't see it."""
        if not enumerates(config.hydra):
            best = winner(config)
            if best is not None:
                log.info("the best trial of the study: %s", best)
            return
        notes = [Path(config.hydra.sweep.dir, subfolder, FAILURE) for subfolder in self._jobs]
        elsewhere = [note for note in notes if not note.parent.exists()]  # on a machine with other folders
        if elsewhere:
            raise SystemExit(
                f"error: {len(elsewhere)} of {len(notes)} jobs left nothing in {config.hydra.sweep.dir}: "
                f"paths.runs={config.paths.runs} and paths.artifacts={config.paths.artifacts} must be absolute, "
                "in a folder that all machines share"
            )
        failed = [note for note in notes if note.exists()]
        if failed:
            lines = [f"  {note.parent}: {note.read_text().splitlines()[0]}" for note in failed]
            head = f"error: {len(failed)} of {len(notes)} jobs failed:"
            tail = f"The same command runs what is missing; each folder's {FAILURE} has the traceback."
            raise SystemExit("\n".join([head, *lines, tail]))
        log.info("all %d jobs are done", len(notes))


def _told(error: BaseException) -> str:
    """With its cause: Hydra's own message names the override only."""
    return f"{error}: {error.__cause__}" if isinstance(error, HydraException) and error.__cause__ else str(error)


def enumerates(hydra_config: Any) -> bool:
    """Whether all jobs are known from the start: Hydra's own sweeper. Others decide as they go."""
    return bool(hydra_config.sweeper._target_ == f"{BasicSweeper.__module__}.{BasicSweeper.__name__}")


def _start_study(config: DictConfig) -> None:
    try:
        check_study(config)
    except ConfigError as error:
        raise SystemExit(f"error: {error}") from error
    for overrides in trials_to_check(config):
        _checked(config, overrides)
    Path(config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)  # a sqlite file of the study can lie there


def _checked(config: DictConfig, overrides: list[str]) -> DictConfig:
    """The composed job; raises SystemExit, naming it, if it would fail its checks."""
    try:
        job = hydra.compose(config.hydra.job.config_name, overrides)
        parse(job)
    except Exception as error:  # whatever it is, it would be the job's end
        raise SystemExit(f"error: {' '.join(overrides)}: {_told(error)}") from error
    return job


def _jobs(config: DictConfig) -> list[list[str]]:
    """The overrides of each job, as Hydra's own sweeper will expand them."""
    parsed = OverridesParser.create().parse_overrides(sweep_arguments(config))
    (jobs,) = BasicSweeper.split_arguments(parsed, None)
    return jobs
