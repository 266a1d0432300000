"""Ends a job that SIGTERM or Ctrl-C asks to stop where nothing is lost: after an iteration, after an episode.

The signal is only noted, as an exception in the middle of MuJoCo's code would abort the process; whatever lasts
looks now and then, by `check_asked`.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)  # SIGINT is what Ctrl-C sends

_asked: list[int] = []  # the signals that came
_stop_file: list[Path] = []  # of the sweep that this process leads


class Stopped(Exception):
    """This process was asked to stop, and what it did is saved."""


def asked() -> int | None:
    """The signal that asked this process to stop; None if none has come."""
    return _asked[0] if _asked else None


def check_asked(then: str = "goes on from here") -> None:
    """Raise Stopped if this process was asked to stop.

    Args:
        then: what the same command does when it is given again.
    """
    if _asked:
        raise Stopped(f"stopped by {signal.Signals(_asked[0]).name}: the same command {then}")


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


def note_signals(stop_file: Path) -> None:
    """From now on, a signal to stop is noted, and makes `stop_file`, which the workers of a sweep look for.

    Workers don't get the signal itself: one that has no job yet would die of it.
    """
    _stop_file[:] = [stop_file]
    for number in SIGNALS:
        signal.signal(number, _note)


def note_only() -> bool:
    """Make signals to stop be noted only, however often they come: a worker ends when its sweep says so.

    Ctrl-C in a terminal reaches the workers too. Returns whether this call changed that.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) is _only_note:
        return False
    for number in SIGNALS:
        signal.signal(number, _only_note)
    return True


def stop() -> None:
    """Ask this process to stop, as SIGTERM does."""
    _asked.append(signal.SIGTERM)


def forget() -> None:
    """Take back that this process was asked to stop, for one that lives on, such as a notebook's."""
    _asked.clear()


def _note(number: int, frame: FrameType | None) -> None:
    if _asked:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    _only_note(number, frame)
    if _stop_file and _stop_file[0].parent.exists():
        _stop_file[0].touch()
    log.warning("%s: stopping once what can be kept is saved; again: stops at once", signal.Signals(number).name)


def _only_note(number: int, frame: FrameType | None) -> None:
    _asked.append(number)
