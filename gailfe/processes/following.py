"""How a sweep and its jobs know of each other, with every launcher: by a folder that the sweep has while it lasts.

alive        a lock that the sweep's process holds; who can take it knows that the sweep has ended, in whatever way
stop         is there once the sweep was asked to stop
<n>          how job n ended: empty, or its error in a line; a job that was killed leaves none
reports/<n>  how far job n is; only where the sweep watches, that is, draws its live table
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import secrets
import shutil
import sys
import threading
import time
from pathlib import Path

from filelock import FileLock
from hydra.core.hydra_config import HydraConfig

from gailfe.processes.stopping import asked, note_only, note_signals, stop
from gailfe.storage import progress
from gailfe.storage.files import write_text
from gailfe.storage.locks import is_held

log = logging.getLogger(__name__)

SWEEP = "GAILFE_SWEEP"  # environment variable of a sweep's jobs, which Hydra sets for them: the name of the folder
PREFIX = ".sweep-"  # of that name, in the sweep's folder
ALIVE, STOP, REPORTS = "alive", "stop", "reports"
INTERVAL = 0.5  # seconds between a worker's looks at its sweep

_leading: list[FileLock] = []  # what the sweep of this process holds, if it has one


def lead(parent: Path, tell_of_signals: bool) -> str:
    """Begin the sweep of this process: its jobs can follow it from now on.

    Args:
        parent: the sweep's folder. Folders of sweeps that were killed are removed from it.
        tell_of_signals: a signal that asks this process to stop reaches the jobs too.

    Returns:
        What tells a job which sweep is its own, as an override of its configuration.
    """
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent.absolute() / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    alive = FileLock(folder / ALIVE)
    with FileLock(
        parent / ".sweeps.lock"
    ):  # or another sweep could take this one, which holds nothing yet, for ended
        for other in parent.glob(f"{PREFIX}*"):
            if not is_held(other / ALIVE):
                shutil.rmtree(other, ignore_errors=True)
        folder.mkdir()
        alive.acquire()
    _leading[:] = [alive]
    if tell_of_signals:
        note_signals(folder / STOP)
    return f"+hydra.job.env_set.{SWEEP}={folder.name}"


def watch_jobs() -> Path:
    """Let the jobs of this process' sweep report how far they are. Returns the sweep's folder; see above."""
    folder = Path(_leading[0].lock_file).parent
    (folder / REPORTS).mkdir()
    return folder


def end_sweep(jobs: int) -> list[str | None]:
    """End the sweep of this process, whose jobs have ended.

    Returns:
        How each of the jobs ended, by number: "", or its error in a line; None if it left no word.
    """
    alive = _leading.pop()
    folder = Path(alive.lock_file).parent
    notes = [folder / str(number) for number in range(jobs)]
    endings = [note.read_text(encoding="utf-8") if note.exists() else None for note in notes]
    shutil.rmtree(folder, ignore_errors=True)
    alive.release()
    return endings


def tell(number: int, error: str = "") -> None:
    """Leave word for the sweep of this process, or of the job that it runs, of how job `number` ended."""
    folder = Path(_leading[0].lock_file).parent if _leading else _folder_of_job()
    if folder is not None and folder.exists():  # a job that Slurm runs can outlive its sweep
        with contextlib.suppress(OSError):  # on a full disk
            write_text(folder / str(number), " ".join(error.splitlines()[:1]))


def follow() -> None:
    """Make this process, if it is a worker of a sweep, stop when the sweep is asked to, and end with the sweep.

    A worker whose sweep was killed would go on, hold the locks of its runs, and wait for jobs that never come.
    Only Slurm's jobs are meant to outlive the command that waits for them.
    """
    folder = _folder_of_job()
    _report(folder)
    outlives = "SlurmLauncher" in HydraConfig.get().launcher._target_
    if folder is None or _leading or outlives or not (folder / ALIVE).exists() or not note_only():
        return
    _look(folder)
    threading.Thread(target=_watch, args=(folder,), daemon=True).start()


def _report(folder: Path | None) -> None:
    """Report how far this process is, if its sweep watches; then its terminal doesn't show the same in lines."""
    watched = folder is not None and (folder / REPORTS).is_dir()
    progress.report_into(folder / REPORTS / str(HydraConfig.get().job.num) if folder and watched else None)
    if not watched:
        return
    progress.publish(progress.Report("starting"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # as on a terminal, though the sweep passes it on
    for handler in logging.getLogger().handlers:
        if not isinstance(handler, logging.FileHandler):  # the log in the run's folder has them
            handler.addFilter(lambda record: record.name != progress.__name__)


def _folder_of_job() -> Path | None:
    name = os.environ.get(SWEEP)
    return Path(HydraConfig.get().sweep.dir, name).absolute() if name else None


def _watch(folder: Path) -> None:
    while _look(folder):
        time.sleep(INTERVAL)
    os._exit(1)  # at once: every file is whole or not there


def _look(folder: Path) -> bool:
    """Return whether the sweep is still there; if it was asked to stop, so is this process."""
    if asked() is None and (folder / STOP).exists():
        stop()
    return is_held(folder / ALIVE)
