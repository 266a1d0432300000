"""Ends a training at the end of an iteration when its process is asked to stop, by SIGTERM or Ctrl-C."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)  # SIGINT is what Ctrl-C sends
SWEEP = "GAILFE_SWEEP"  # environment variable for a sweep's workers: its process id and its stop file
INTERVAL = 0.5  # seconds between a worker's looks at its sweep

_asked: list[int] = []  # the signals that came


class Stopped(Exception):
    """This process was asked to stop, and what it did is saved."""


def asked() -> int | None:
    """The signal that asked this process to stop; None if none has come."""
    return _asked[0] if _asked else None


def check_asked() -> None:
    """Raises Stopped if this process was asked to stop."""
    if _asked:
        raise Stopped(f"stopped by {signal.Signals(_asked[0]).name}: the same command goes on from here")


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """While this lasts, a signal to stop is only noted, for `asked`. A second one ends the process at once."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) in (_note, _only_note):
        yield
        return
    before = {number: signal.signal(number, _note) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def lead_sweep(folder: Path) -> None:
    """Make this process the one that a sweep's workers follow: a signal to stop reaches them too.

    Not as a signal: a worker that has no job yet would die of it, and joblib would then end all the others.

    Args:
        folder: of the sweep, where its stop file will be.
    """
    file = folder.absolute() / f".stop-{os.getpid()}"
    file.unlink(missing_ok=True)  # of a process that had the same id
    os.environ[SWEEP] = f"{os.getpid()} {file}"
    for number in SIGNALS:
        signal.signal(number, _note)


def end_sweep() -> None:
    """The workers have ended: remove the stop file. Raises Stopped if the sweep was asked to stop."""
    if SWEEP in os.environ:
        Path(os.environ[SWEEP].partition(" ")[2]).unlink(missing_ok=True)
    check_asked()


def follow_sweep() -> None:
    """Make this process, if it is a worker of a sweep, stop when the sweep is asked to, and end with the sweep.

    A worker whose sweep was killed would go on, hold the locks of its runs, and wait for jobs that never come.
    """
    sweep, _, stop_file = os.environ.get(SWEEP, "").partition(" ")
    in_main = threading.current_thread() is threading.main_thread()
    if sweep in ("", str(os.getpid())) or not in_main or signal.getsignal(signal.SIGTERM) is _only_note:
        return
    for number in SIGNALS:  # Ctrl-C in a terminal reaches the workers too, and more than once
        signal.signal(number, _only_note)
    threading.Thread(target=_watch, args=(int(sweep), Path(stop_file)), daemon=True).start()


def _watch(sweep: int, stop_file: Path) -> None:
    while os.getppid() == sweep:
        if not _asked and stop_file.exists():
            _asked.append(signal.SIGTERM)
        time.sleep(INTERVAL)
    os._exit(1)  # at once: every file is whole or not there


def _note(number: int, frame: FrameType | None) -> None:
    if _asked:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    _only_note(number, frame)
    if SWEEP in os.environ:
        Path(os.environ[SWEEP].partition(" ")[2]).touch()
    log.warning("%s: finishing the iteration and saving it; again: stops at once", signal.Signals(number).name)


def _only_note(number: int, frame: FrameType | None) -> None:
    _asked.append(number)
