"""Checks all jobs of a sweep before the first one starts, and reports at the end which of them failed."""

from __future__ import annotations

import json
import logging
import traceback
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException

from gailfe.config.checks import parse
from gailfe.config.combinations import expand, meaningful
from gailfe.config.composing import composition_done, full_error
from gailfe.config.folders import fixed_arguments, job_subfolder
from gailfe.config.keys import FOLDER_NAME, ConfigError
from gailfe.config.mistakes import explain, first_line
from gailfe.config.writable import check_paths
from gailfe.processes.following import end_sweep, lead, watch_jobs
from gailfe.processes.jobs import Job, Jobs, job_labels
from gailfe.processes.stopping import Stopped, asked, check_asked
from gailfe.storage.files import write_json
from gailfe.storage.names import JOBS
from gailfe.study import check_study, sweep_arguments, trials_to_check, winner

log = logging.getLogger(__name__)

BASIC = f"{BasicSweeper.__module__}.{BasicSweeper.__name__}"
JOBS_SWEEPER = "hydra_plugins.gailfe_sweeper.JobsSweeper"  # which leaves out what has no meaning in a job
IN_FOLDERS = ("study", "env.name", "algo.name")  # keys whose values are names of folders
LAST_STAGES = {"run": "imitation", "train": "expert", "collect": "demonstrations"}  # of a job, by its command


class SweepReport(Callback):
    """Composes and checks every job before the first one starts; names those that failed when all have ended."""

    def __init__(self) -> None:
        self._jobs: dict[str, dict[str, Any]] = {}  # by subfolder, in the order of their numbers
        self._overrides: list[list[str]] = []  # of each of them

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the folders of a single job, before Hydra makes the job's own. Raises SystemExit."""
        composition_done()
        _check_folders(config)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check all jobs and list them in the sweep's folder.

        Raises:
            SystemExit: naming the first job that can't run. (Hydra turns any other exception into a warning.)
        """
        composition_done()
        _check_folders(config)
        _check_jobs_at_a_time(config.hydra.launcher)
        if not enumerates(config.hydra):
            _start_study(config)
            self._begin(config)
            return
        with read_write(config), read_write(config.hydra):
            # Neighbouring jobs have different environments, so that the first ones train different experts side
            # by side and don't wait for the same one.
            config.hydra.overrides.task = sorted(
                config.hydra.overrides.task, key=lambda override: override.startswith("env=")
            )
            config.hydra.sweeper._target_ = JOBS_SWEEPER
        fixed = fixed_arguments(config.hydra.sweeper.params)
        for overrides in _jobs(config):
            job = _checked(config, overrides)
            if config.hydra.job.name == "run" and job.study != config.get("study", job.study):
                raise SystemExit(
                    f"error: study={job.study} must be study={config.study}: a sweep has one, and several "
                    f"experiments go into one that you name, study=mystudy\n  in the job {' '.join(overrides)}"
                )
            names = {"env": job.env.name, "algo": job.algo.name, "seed": job.seed}
            subfolder = job_subfolder(config.hydra.job.name, **names, overrides=overrides, fixed=fixed)
            if subfolder in self._jobs:
                raise SystemExit(
                    f"error: two jobs of this sweep would share the folder {subfolder}: what they differ in is no "
                    f"part of a run's numbers ({' '.join(overrides)})"
                )
            self._jobs[subfolder] = names
            self._overrides.append(overrides)
        folder = Path(config.hydra.sweep.dir)
        write_json(folder / JOBS, _announced(folder / JOBS) | self._jobs)
        self._begin(config)

    def _begin(self, config: DictConfig) -> None:
        folder, launcher = Path(config.hydra.sweep.dir), config.hydra.launcher._target_
        # The basic launcher's jobs are in this process, and hear of signals as it does. Slurm's outlive it.
        override = lead(folder, not launcher.endswith(("BasicLauncher", "SlurmLauncher")))
        with read_write(config), read_write(config.hydra):
            config.hydra.overrides.hydra = [*config.hydra.overrides.get("hydra", []), override]
        from gailfe.processes.live import (  # only here: every job imports this module, and needs no rich
            begin,
            wanted,
        )

        if wanted():
            naming, labels = job_labels(list(self._jobs.values()), self._overrides)
            jobs = [Job(label, folder / name) for label, name in zip(labels, self._jobs, strict=True)]
            last_stage = LAST_STAGES.get(config.hydra.job.name, "imitation")
            begin(Jobs(watch_jobs(), str(folder), naming if jobs else "job", jobs, last_stage))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Report how the sweep ended; of a study, its best trial.

        Raises:
            SystemExit: if the sweep was asked to stop, a job failed, or its output is not in the sweep's folder.
        """
        endings = end_sweep(len(self._jobs))
        try:
            check_asked()
        except Stopped as stopped:
            log.warning("%s", stopped)
            raise SystemExit(128 + (asked() or 0)) from stopped
        if not enumerates(config.hydra):
            best = winner(config)
            if best is not None:
                log.info("the best trial of the study: %s", best)
            return
        folders = [Path(config.hydra.sweep.dir, subfolder) for subfolder in self._jobs]
        elsewhere = [folder for folder in folders if not folder.exists()]  # on a machine with other folders
        if elsewhere:
            raise SystemExit(
                f"error: {len(elsewhere)} of {len(folders)} jobs left nothing in {config.hydra.sweep.dir}: "
                f"paths.runs={config.paths.runs} and paths.artifacts={config.paths.artifacts} must be absolute, "
                "in a folder that all machines share"
            )
        lines = [
            f"  {folder}: {'its process ended without a word' if ending is None else ending}"
            for folder, ending in zip(folders, endings, strict=True)
            if ending != ""
        ]
        if lines:
            head = f"error: {len(lines)} of {len(folders)} jobs failed:"
            tail = "The same command runs the missing ones again; the log in each folder says more."
            raise SystemExit("\n".join([head, *lines, tail]))
        log.info("all %d jobs are done", len(folders))


class EndLive(Callback):
    """Ends the live table when all jobs have ended: what is printed after that is below it."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from gailfe.processes.live import end

        end()


def _check_folders(config: DictConfig) -> None:
    """Check what decides where the output goes, before Hydra makes folders. Raises SystemExit."""
    try:
        check_paths(config.paths)
        for name in IN_FOLDERS:
            value = OmegaConf.select(config, name)
            if value is not None and not FOLDER_NAME.check(str(value)):
                raise ConfigError(f"{name}={value} must be {FOLDER_NAME.words}")
    except (ConfigError, OmegaConfBaseException) as error:
        raise SystemExit(f"error: {first_line(error)}") from error


def _check_jobs_at_a_time(launcher: DictConfig) -> None:
    if launcher.get("n_jobs") == 0:
        raise SystemExit(
            "error: hydra.launcher.n_jobs=0 must be the number of jobs at a time, at least 1, or -1, one a core"
        )


def _announced(path: Path) -> dict[str, Any]:
    """The jobs of earlier sweeps; none, with a warning, where the list is damaged: it is written anew."""
    try:
        announced = json.loads(path.read_text())
        if isinstance(announced, dict):
            return announced
    except FileNotFoundError:
        return {}
    except ValueError:
        pass
    log.warning("%s can't be read: it is written anew, with the jobs of this sweep alone", path)
    return {}


def enumerates(hydra_config: Any) -> bool:
    """Return whether all jobs are known from the start, as with Hydra's own sweeper; not in a study."""
    return hydra_config.sweeper._target_ in (BASIC, JOBS_SWEEPER)


def _start_study(config: DictConfig) -> None:
    try:
        check_study(config)
    except ConfigError as error:
        raise SystemExit(f"error: {error}") from error
    for overrides in trials_to_check(config):
        _checked(config, overrides)
    Path(config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)  # a sqlite file of the study can lie there


def _checked(config: DictConfig, overrides: list[str]) -> DictConfig:
    """Compose a job and check it. Raises SystemExit, naming the job, if it can't run."""
    try:
        job = hydra.compose(config.hydra.job.config_name, overrides)
        parse(job)
    except Exception as error:  # of any kind: the job would end with it
        if full_error():
            traceback.print_exception(error)
        raise SystemExit(f"error: {explain(error, overrides)}\n  in the job {' '.join(overrides)}") from error
    return job


def _jobs(config: DictConfig) -> list[list[str]]:
    """Return the overrides of each job, and log what was left out of some."""
    combinations = expand(sweep_arguments(config))
    jobs, notes = meaningful(combinations)
    for note in notes:
        log.info("%s", note)
    if len(jobs) < len(combinations):
        log.info("%d combinations are %d different jobs", len(combinations), len(jobs))
    return [list(job) for job in jobs]
