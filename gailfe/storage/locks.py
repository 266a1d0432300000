"""The locks of runs, artefacts and sweeps: files that a process holds (`flock`), free as soon as it ends."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout


def run_lock(folder: Path) -> Path:
    """The lock of a run's folder."""
    return folder / ".lock"


def artifact_lock(folder: Path) -> Path:
    """The lock of an artefact, beside its folder, which may not be there yet."""
    return folder.with_name(f".{folder.name}.lock")


def is_held(lock: Path) -> bool:
    """Return whether a process holds a lock. A lock whose file is not there is free."""
    if not lock.exists():
        return False
    try:
        with FileLock(lock).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except FileNotFoundError:  # its folder was removed just now
        return False
