"""What `--help` of the commands says, from the files of conf/ themselves."""

from __future__ import annotations

from pathlib import Path

from gailfe.config.folders import CONF

MORE = """\
  --cfg job                 the whole configuration: every key that can be set, as this command line sets it
  --config-dir my_conf      with your own files beside these groups' ones
  --hydra-help              what Hydra itself can do
"""


def help_page(usage: str) -> str:
    """Return `usage`, then every config group with its options and the first comment line of each."""
    lines = [usage]
    for group in sorted(path for path in CONF.iterdir() if path.is_dir() and any(path.glob("*.yaml"))):
        lines.append(f"{group.name}:")
        for option in sorted(group.glob("[!_]*.yaml")):
            lines.append(f"  {group.name}={option.stem}".ljust(32) + summary(option))
        lines.append("")
    return "\n".join([*lines, MORE])


def summary(path: Path) -> str:
    """Return the purpose of a file from the comment at its top, without the command that follows."""
    comments = [line[1:].strip() for line in path.read_text().splitlines()[:3] if line.startswith("#")]
    first = next((comment for comment in comments if not comment.startswith("@package")), "")
    return first.split(": python")[0].rstrip(":")
