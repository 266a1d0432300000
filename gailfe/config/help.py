"""What `python -m gailfe.run --help` says, from the files of conf/ themselves."""

from __future__ import annotations

from pathlib import Path

import conf

USAGE = """\
python -m gailfe.run [key=value ...]          one run: expert, demonstrations, imitation, whatever is missing
python -m gailfe.run -m [key=value,value ...] a sweep over all combinations, on all cores, and its figure

  python -m gailfe.run algo=gailfe env=hopper seed=0
  python -m gailfe.run -m algo=gail,gailfe env=hopper,halfcheetah seed=0,1,2
"""

MORE = """\
  --cfg job                 the whole configuration: every key that can be set, as this command line sets it
  --config-dir my_conf      with your own files beside these groups' ones
  --hydra-help              what Hydra itself can do
"""


def help_page() -> str:
    """Usage, and every config group with its options and what the first line of each says of it."""
    root = Path(conf.__file__).parent
    lines = [USAGE]
    for group in sorted(path for path in root.iterdir() if path.is_dir() and any(path.glob("*.yaml"))):
        lines.append(f"{group.name}:")
        for option in sorted(group.glob("[!_]*.yaml")):
            lines.append(f"  {group.name}={option.stem}".ljust(26) + _summary(option))
        lines.append("")
    return "\n".join([*lines, MORE])


def _summary(path: Path) -> str:
    """What the comment at a file's top says it is for, without the command that follows."""
    comments = [line[1:].strip() for line in path.read_text().splitlines()[:3] if line.startswith("#")]
    first = next((comment for comment in comments if not comment.startswith("@package")), "")
    return first.split(": python")[0].rstrip(":")
