"""How an optional part of this package is installed."""

from __future__ import annotations

from gailfe.config.folders import CONF


def install(extra: str) -> str:
    """Return the command that installs an extra: in a clone with its pinned versions, else by name."""
    if (CONF.parent / "constraints.txt").is_file():
        return f"pip install -c constraints.txt -e '.[{extra}]'"
    return f"pip install 'gailfe[{extra}]'"
