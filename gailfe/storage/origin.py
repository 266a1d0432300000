"""Where numbers come from: the code's commit, the versions of what computes, and the processor."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]  # of a clone; of an installed wheel, site-packages
CODE = ("conf", "expert", "gailfe")  # what decides a run's numbers
PACKAGES = ("gailfe", "torch", "mujoco", "gymnasium", "numpy")


def run_origin() -> dict[str, Any]:
    """Return what a finished run says of its origin: {commit, versions, processor}; no commit outside a clone."""
    commit = _git("rev-parse", "--short=12", "HEAD") if (ROOT / ".git").exists() else ""
    changes = "+changes" if commit and _git("status", "--porcelain", "--", *CODE) else ""
    known = {"commit": commit + changes} if commit else {}
    return {**known, "versions": versions(), "processor": processor()}


def last_change(*paths: str) -> str:
    """Return the last commit that changed some files of the clone; `+changes` follows if not all is committed."""
    changes = "+changes" if _git("status", "--porcelain", "--", *paths) else ""
    return (_git("log", "-1", "--format=%h", "--", *paths) or "unknown") + changes


def processor() -> str:
    """Return the processor's own name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "?")


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of Python and of these packages, as far as they are installed."""
    found = {"Python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # of gailfe, where only PYTHONPATH leads to it
            continue
    return found


def _git(*arguments: str) -> str:
    """Empty where git is not installed or fails."""
    try:
        return subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
        ).stdout.strip()
    except OSError:
        return ""
