"""Writes files atomically: a file is complete or not there, even if the process that writes it is killed.

Beside that, it reads JSON that may be damaged.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gailfe.config.keys import Refusal

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no space left, quota exceeded, file larger than allowed


class DiskFull(Refusal, OSError):
    """There is no room for a file: which one."""


@contextlib.contextmanager
def room_for(path: Path) -> Iterator[None]:
    """While this lasts, `path` is written: if it does not fit on the disk, the error says so.

    Raises:
        DiskFull: naming `path`.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, DiskFull) or not _lacks_room(error):
            raise
        raise DiskFull(
            f"the disk is full: there is no room for {path}. What was there before is as it was; make room, and "
            "the same command goes on"
        ) from error


def _lacks_room(error: BaseException | None) -> bool:
    """Return whether an error, or one that it arose from, says that the disk is full, in any words."""
    while error is not None:
        if getattr(error, "errno", None) in NO_ROOM or any(os.strerror(code) in str(error) for code in NO_ROOM):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a path to write to; when the block ends, what was written there takes the name `path`.

    Until then, and after an error in the block, `path` is what it was before. The path that is given has the same
    suffix and is in the same folder, which is made if it is missing. Each block gets another path, so processes
    that write the same file at the same time don't mix their lines.

    Raises:
        DiskFull: if there is no room for the file.
        OSError: if it can't be written for another reason.
    """
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.partial{path.suffix}")
        try:
            yield partial
            _sync(partial)  # before it is renamed: after a power cut the name must not stand for an empty file
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        _sync(path.parent)  # the renaming itself, which is an entry of the folder


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in UTF-8, atomically."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write plain values to `path` as indented JSON, atomically."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; empty if there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def remove_partials(folder: Path) -> None:
    """Delete what processes that were killed while writing left at or below `folder`.

    Only for the holder of the folder's lock: the half-written file of a living process would be deleted too.
    """
    for parent, _, names in os.walk(folder):  # which passes over a folder that disappears meanwhile, as W&B's may
        for name in fnmatch.filter(names, ".*.partial*"):
            Path(parent, name).unlink()


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of entries, is on the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
