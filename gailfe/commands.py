"""The skeleton of the commands that Hydra configures: `python -m gailfe.run`, `python -m expert.train`, …"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from gailfe.config.checks import parse
from gailfe.config.composing import compose_and_run, composition_done, config_dir, full_error
from gailfe.config.folders import CONF
from gailfe.config.help import help_page
from gailfe.config.keys import ConfigError, Refusal
from gailfe.config.schema import Config
from gailfe.processes.following import follow, tell
from gailfe.processes.stopping import Stopped, asked, check_asked, listening
from gailfe.storage.files import write_text
from gailfe.storage.finished import is_well
from gailfe.storage.locks import is_held, run_lock
from gailfe.storage.names import FAILURE
from gailfe.sweep import enumerates

log = logging.getLogger(__name__)


def command(usage: str, listens: bool = True) -> Callable[[Callable[[Config], Any]], Callable[[], None]]:
    """Makes a command line of a function that takes the checked configuration.

    Args:
        usage: the beginning of what `--help` prints; the groups of conf/ follow.
        listens: whether all that lasts looks whether a signal has come; else the signal ends the process at once.

    Returns:
        A decorator. What the function returns is a study's objective.
    """

    def decorate(task: Callable[[Config], Any]) -> Callable[[], None]:
        @functools.wraps(task)  # Hydra names the job after the task's module
        def job(cfg: DictConfig) -> Any:
            composition_done()
            logging.raiseExceptions = False  # where a line of a log can't be written, as on a full disk
            with report_errors(cfg), listening() if listens else contextlib.nullcontext():
                check_asked()  # a sweep may have been asked to stop before this job began
                return task(prepare(cfg))
            return None

        @functools.wraps(task)
        def main() -> None:
            refuse_shadowed_packages()
            if not {"", str(Path.cwd())} & set(sys.path):  # so it is for the processes that a launcher starts
                os.environ["PYTHONSAFEPATH"] = "1"
            if {"-h", "--help"} & set(sys.argv[1:]):
                print(help_page(usage, config_dir()))  # Hydra's own shows parts of groups too, and takes seconds
            else:
                start = hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")(job)
                with _exit_code_of_signals():
                    compose_and_run(start)

        return main

    return decorate


def prepare(cfg: DictConfig) -> Config:
    """Check the configuration and return it as dataclasses. From now on this process uses one torch thread: the
    networks are too small for more, and the jobs of a sweep would compete for the cores.

    Raises:
        ConfigError: as `parse` does, and if the device or the environment can't be had.
    """
    config = parse(cfg)
    import torch  # here, so that --help and the checks of a sweep don't wait for it

    from gailfe.envs.making import check_env

    torch.set_num_threads(1)
    index = int(config.device.partition(":")[2] or 0)
    if config.device != "cpu" and index >= torch.cuda.device_count():
        raise ConfigError(
            f"device={config.device}: torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices; "
            "valid is cpu" + "".join(f", cuda:{i}" for i in range(torch.cuda.device_count()))
        )
    dim = check_env(config.env).observation_dim
    for key in ("torso_angle", "forward_velocity"):
        value = getattr(config.env, key)
        if value is not None and value >= dim:
            raise ConfigError(f"env.{key}={value} must index an observation of {config.env.id}: 0 to {dim - 1}")
    return config


def in_sweep() -> bool:
    """Return whether the job that is running is one of a sweep."""
    return HydraConfig.get().mode is RunMode.MULTIRUN


def output_folder() -> Path:
    """Return the folder in which the running job writes."""
    return Path(HydraConfig.get().runtime.output_dir)


@contextlib.contextmanager
def report_errors(cfg: DictConfig) -> Iterator[None]:
    """Handle the exceptions of a job.

    A single job ends with its error. A `Refusal` has no traceback, if the user doesn't want all of them
    (HYDRA_FULL_ERROR=1), and a job that did nothing leaves no folder. A
    job of a sweep tells the sweep, leaves failure.txt in its folder and does not raise, so that the other jobs run
    with every launcher; `SweepReport` names it at the end. A sweeper that chooses its jobs as it goes, as Optuna's
    does, gets the exception as well: it decides what a failed job means. A job that was asked to stop has not
    failed.
    """
    folder = output_folder()
    if HydraConfig.get().mode is RunMode.RUN:
        try:
            yield
        except Stopped as stopped:
            print(stopped, file=sys.stderr)
            raise SystemExit(128 + (asked() or 0)) from stopped
        except Refusal as error:
            _remove_unused(folder, {Path(cfg.paths.runs).absolute(), Path(cfg.paths.artifacts).absolute()})
            if full_error():
                raise
            raise SystemExit(f"error: {error}") from error
        (folder / FAILURE).unlink(missing_ok=True)  # of a sweep's job: the run is well now
        return
    follow()
    number, enumerated = HydraConfig.get().job.num, enumerates(HydraConfig.get())
    (folder / FAILURE).unlink(missing_ok=True)
    try:
        yield
    except Stopped as stopped:
        log.warning("%s: %s", folder, stopped)
        tell(number, str(stopped))  # a sweep that was not asked to stop itself must not call this job done
        if not enumerated:
            raise
        return
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        plain = isinstance(error, Refusal) and not full_error()
        log.error("%s failed: %s", folder, told, exc_info=not plain)
        _leave_note(folder, told if plain else f"{told}\n\n{traceback.format_exc()}")
        tell(number, told)
        if not enumerated:
            raise
        return
    (folder / FAILURE).unlink(missing_ok=True)  # of another sweep's job, meanwhile
    tell(number)


def _leave_note(folder: Path, text: str) -> None:
    """Write failure.txt; not into the folder of a run that is well or that another process is at work on: what
    failed is this job, not that run."""
    with contextlib.suppress(OSError):  # the disk may be full: the sweep tells of the job all the same
        if not is_held(run_lock(folder)) and not is_well(folder):
            write_text(folder / FAILURE, text)


@contextlib.contextmanager
def _exit_code_of_signals() -> Iterator[None]:
    """Ends the process with 128 + its number after a signal that asked it to stop, and without a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        kept = "the same command keeps what is finished or has a checkpoint, and begins the rest again"
        print(f"interrupted: {kept}", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    except SystemExit as ending:
        raise SystemExit(128 + number if (number := asked()) else ending.code) from None


def _remove_unused(folder: Path, roots: set[Path]) -> None:
    """Remove `folder` if only Hydra has written there, and the empty folders above it, up to a root."""
    found = {path.name: path for path in folder.iterdir()}
    hydras = found.pop(str(HydraConfig.get().output_subdir), None)
    empty_logs = [path for path in found.values() if path.suffix == ".log" and path.stat().st_size == 0]
    if len(empty_logs) < len(found):
        return
    for path in empty_logs:
        path.unlink()
    if hydras is not None:
        shutil.rmtree(hydras)
    folder.rmdir()
    with contextlib.suppress(OSError):  # the first one that is not empty ends it
        for parent in folder.parents:
            if not any(root == parent or root in parent.parents for root in roots):
                break
            parent.rmdir()


def refuse_shadowed_packages() -> None:
    """Raise SystemExit if Python finds another package where this project's expert/ or analysis/ is meant, as
    `python -m` does in a working directory that has a package of that name."""
    for name in ("expert", "analysis"):
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve().parent if spec and spec.origin else None
        if found != CONF.parent / name:
            raise SystemExit(
                f"error: {found or 'nothing'} is imported as the package {name}, which must be gailfe's own, "
                f"{CONF.parent / name}: give the command in another working directory, or use an installed "
                "command (gailfe, gailfe-expert-train, …), which ignores the working directory"
            )
