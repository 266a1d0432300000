"""What befalls files between two starts: a bit flips, or the end is cut off."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

KINDS = {  # of files, by the ends of their names; each kind is as likely as any other
    "checkpoint": ("state.pt", "state_before.pt", "checkpoint.pt", "checkpoint_before.pt"),
    "rows": (".csv",),
    "policy": (".safetensors", "policy.json"),
    "manifest": ("manifest.json", "summary.json", "recipe.json", "jobs.json"),
    "demonstrations": (".hdf5", "metadata.json"),
    "record": ("evaluation.json", "expert.json"),
    "config": (".yaml",),
    "other": (".log", ".wandb", ".holder", ".txt", ".png"),
}


@dataclass
class Damage:
    """One file that was damaged."""

    path: Path
    kind: str
    way: str
    named: bool = False  # by the command that was given next

    def __str__(self) -> str:
        return f"{self.path}: {self.way}"


def damage_one(folder: Path, rng: random.Random) -> Damage | None:
    """Damage a random file below `folder`; None if there is none yet."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 0)
    by_kind = {kind: [path for path in files if path.name.endswith(ends)] for kind, ends in KINDS.items()}
    kinds = [kind for kind, found in by_kind.items() if found]
    if not kinds:
        return None
    kind = rng.choice(kinds)
    path = rng.choice(by_kind[kind])
    content = bytearray(path.read_bytes())
    at = rng.randrange(len(content))
    if rng.random() < 0.5:
        bit = rng.randrange(8)
        content[at] ^= 1 << bit
        way = f"bit {bit} of byte {at} flipped"
    else:
        del content[at:]
        way = f"cut after {at} bytes"
    path.write_bytes(content)
    return Damage(path, kind, way)
