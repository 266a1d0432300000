"""What `--help` of the commands says, from the files of conf/ themselves."""

from __future__ import annotations

import textwrap
from pathlib import Path

from gailfe.config.folders import CONF

MORE = """\
  --cfg job                 the whole configuration: every key that can be set, as this command line sets it
  --config-dir my_conf      with your own files beside these groups' ones; with --help, lists them too
  --hydra-help              what Hydra itself can do
"""


def help_page(usage: str, own: Path | None = None) -> str:
    """Return `usage`, then every config group with its options and the first comment line of each.

    Args:
        own: the user's folder of groups, `--config-dir`. Its options are listed behind the built-in ones; where
            both have a name, Hydra takes the built-in one, and the page says so.
    """
    lines = [usage]
    folders = [CONF] if own is None else [CONF, own]
    groups = {path.name for folder in folders for path in folder.iterdir() if any(path.glob("*.yaml"))}
    for group in sorted(groups - {"hydra"}):
        lines.append(f"{group}:")
        built_in = {path.stem for path in (CONF / group).glob("*.yaml")}
        for folder in folders:
            for option in sorted((folder / group).glob("[!_]*.yaml")):
                what = textwrap.shorten(summary(option), 100, placeholder=" …")
                if folder == own:
                    hidden = option.stem in built_in
                    what = f"not used: there is a built-in {option.stem}" if hidden else f"{what} ({own})".strip()
                lines.append(f"  {group}={option.stem}".ljust(32) + what)
        lines.append("")
    return "\n".join([*lines, MORE])


def summary(path: Path) -> str:
    """Return the purpose of a file from the comment at its top, without the command that follows."""
    comments = [line[1:].strip() for line in path.read_text().splitlines()[:3] if line.startswith("#")]
    first = next((comment for comment in comments if not comment.startswith("@package")), "")
    return first.split(": python")[0].rstrip(":")
