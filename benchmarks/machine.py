"""What stands beside every measurement."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any


def processor() -> str:
    """The processor's own name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "?")


def commit() -> str:
    """The commit that was measured, with a + if the tree has changes."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "?"
    return head.stdout.strip() + ("+" if changes.stdout.strip() else "")


def machine(cores: int = 1, at: str | None = None) -> str:
    """Processor, versions and commit, in a line.

    Args:
        cores: how many were used.
        at: the commit that was measured; None: the one that is checked out.
    """
    used = "One core of an" if cores == 1 else f"{cores} cores of an"
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "mujoco", "gymnasium", "numpy"))
    return f"{used} {processor()}, Python {platform.python_version()}, {packages}, at {at or commit()}"


def table(head: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"
