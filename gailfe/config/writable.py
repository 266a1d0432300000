"""Checks folders that a command is going to write, before it does any work."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from gailfe.config.keys import ConfigError


def check_paths(paths: Mapping[str, str]) -> None:
    """Check each folder of `paths.*` as `check_folder` does."""
    for name, value in paths.items():
        check_folder(f"paths.{name}", value)


def check_folder(key: str, folder: str | Path) -> None:
    """Refuse a folder that is not named or can't be written, before anything is made there.

    Raises:
        ConfigError: naming the key, the value and what is in the way.
    """
    if not str(folder).strip():
        raise ConfigError(f"{key}={str(folder)!r} must be the path of a folder, not empty")
    try:
        obstacle = _obstacle(Path(folder).absolute())
    except OSError as error:  # such as a name that is too long
        obstacle = error.strerror
    if obstacle is not None:
        raise ConfigError(f"{key}={folder} must be a folder that can be written: {obstacle}")


def _obstacle(folder: Path) -> str | None:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    disk = shutil.disk_usage(there)
    if not there.is_dir():
        return f"{there} is no folder"
    if not os.access(there, os.W_OK | os.X_OK) or disk.total == 0:  # 0 as of /proc
        return f"{there} can't be"
    longest = os.pathconf(there, "PC_NAME_MAX")
    if any(len(os.fsencode(part)) > longest for part in folder.relative_to(there).parts):
        return os.strerror(errno.ENAMETOOLONG)
    return "the disk is full" if disk.free == 0 else None
