"""What makes many jobs out of one: checked together before the first begins, and accounted for at the end."""

from __future__ import annotations

import contextlib
import json
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, read_write

from gailfe.config.checks import parse
from gailfe.config.folders import job_subfolder
from gailfe.config.schema import ConfigError
from gailfe.storage.files import write_json, write_text
from gailfe.storage.names import FAILURE, JOBS
from gailfe.study import check_study, sweep_arguments, trials_to_check, winner

log = logging.getLogger(__name__)


@contextlib.contextmanager
def report_errors() -> Iterator[Path]:
    """Gives a job its output folder, and deals with its exceptions.

    A single job ends with its error, without a traceback where the configuration is at fault. A job of a sweep
    leaves failure.txt in its folder and lets the others run, whatever the launcher; `SweepReport` then tells. A
    sweeper that decides as it goes gets to know of it, and decides.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    if HydraConfig.get().mode is RunMode.RUN:
        try:
            yield folder
        except ConfigError as error:
            raise SystemExit(f"error: {error}") from error
        return
    note = folder / FAILURE
    note.unlink(missing_ok=True)
    try:
        yield folder
    except Exception as error:
        log.exception("%s failed", folder)
        write_text(note, f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}")
        if not _enumerates(HydraConfig.get()):
            raise


class SweepReport(Callback):
    """Composes and checks every job before any starts; afterwards names those that failed and exits with 1."""

    def __init__(self) -> None:
        self._jobs: dict[str, dict[str, Any]] = {}  # by subfolder

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Raises SystemExit, naming the job: Hydra turns any other exception of a callback into a warning."""
        if not _enumerates(config.hydra):
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
        announced = json.loads((folder / JOBS).read_text()) if (folder / JOBS).exists() else {}
        write_json(folder / JOBS, announced | self._jobs)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Raises SystemExit if a job failed, or left its output where we don't see it."""
        if not _enumerates(config.hydra):
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
    """With its cause: Hydra's own message names the override only, OmegaConf's assertion not even that."""
    if isinstance(error, AssertionError):
        return f"a key below one that is null in this job, as algo.failures is for algo=gail ({error})"
    return f"{error}: {error.__cause__}" if isinstance(error, HydraException) and error.__cause__ else str(error)


def _enumerates(hydra_config: Any) -> bool:
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
