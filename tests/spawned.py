"""What tests run in processes of their own; a module that imports little, so that they start quickly."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def meet(folder: Path, wait: Callable[[], Any]) -> int:
    """Says that it is there, and looks who is once all are."""
    (folder / str(os.getpid())).touch()
    wait()
    return len(list(folder.iterdir()))


def fail_in_one(folder: Path, wait: Callable[[], Any]) -> None:
    try:
        (folder / "first").mkdir()
    except FileExistsError:
        wait()  # for one that never comes
    else:
        raise ValueError("no such task")


def die(wait: Callable[[], Any]) -> None:
    os._exit(3)
