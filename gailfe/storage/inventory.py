"""The folders of the store, each with the runs that need it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gailfe.config.arguments import CommandError
from gailfe.storage.files import read_object
from gailfe.storage.locks import artifact_lock, is_held
from gailfe.storage.names import CONFIG, JOBS, MANIFEST, RECIPE
from gailfe.storage.run_names import HYDRAS
from gailfe.storage.store import CORRUPT, PARTIAL

KINDS = ("experts", "demonstrations")


@dataclass
class Artifact:
    """A folder of the store."""

    folder: Path
    manifest: dict[str, Any] | None  # with its key and its recipe; None if it has none that can be read
    runs: list[Path] = field(default_factory=list)  # those that need it
    kept_for: list[Path] = field(default_factory=list)  # runs of its environment without a recipe

    @property
    def name(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def partial(self) -> bool:
        return self.folder.name.endswith(PARTIAL)

    @property
    def set_aside(self) -> bool:
        return CORRUPT in self.folder.name

    @property
    def lock(self) -> Path:
        """Return the lock of the artefact that this is, was, or is going to be."""
        return artifact_lock(self.folder.with_name(self.folder.name.partition(CORRUPT)[0].removesuffix(PARTIAL)))

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    @property
    def meaning(self) -> str:
        """What it is, or what state it is in."""
        if self.set_aside:
            return "damaged, set aside when it was made again"
        if is_held(self.lock):
            return "a process is at work on it"
        if self.partial:
            return "interrupted while it was made; the same command goes on with it"
        if self.manifest is None:
            return f"damaged: {MANIFEST} can't be read"
        recipe = self.manifest["recipe"]
        env = _part(recipe, "env").get("id", "unknown environment")
        told = _part(recipe, "demonstrations") or _part(recipe, "expert")
        shown = [f"{key}={told[key]}" for key in ("seed", "num_trajectories", "total_steps") if key in told]
        annotator = _part(recipe, "annotator")
        return ", ".join([env, *shown, *([f"annotator={annotator['name']}"] if "name" in annotator else [])])


def load_artifacts(store: Path, runs: Path) -> list[Artifact]:
    """Find all folders of the store, with the runs below `runs` that need them.

    Raises:
        CommandError: if one of the two is no folder.
    """
    for name, folder in (("artifacts", store), ("runs", runs)):
        if not folder.is_dir():
            raise CommandError(f"{name}={folder} must be a folder")
    found = [
        Artifact(folder, _manifest(folder))
        for kind in KINDS
        for folder in sorted((store / kind).glob("*"))
        if folder.is_dir()
    ]
    whole = {a.manifest["key"]: a for a in found if a.manifest and not a.partial and not a.set_aside}
    for run in _runs(runs):
        known = read_object(run / RECIPE).get("demonstrations_key")
        needed = _chain(whole, known)
        configuration = "".join(path.read_text(errors="replace") for path in _configurations(run))
        for artifact in found:
            if artifact in needed or artifact.folder.name in configuration:
                artifact.runs.append(run)
            elif not isinstance(known, str) and artifact.folder.name.startswith(f"{run.parents[1].name}-"):
                artifact.kept_for.append(run)
    return found


def _chain(whole: dict[str, Artifact], key: Any) -> list[Artifact]:
    """Return what a run needs by the key in its recipe: the demonstrations, and the expert in theirs."""
    needed: list[Artifact] = []
    while isinstance(key, str) and key in whole and whole[key] not in needed:
        needed.append(whole[key])
        key = (needed[-1].manifest or {})["recipe"].get("expert")
    return needed


def _runs(runs: Path) -> list[Path]:
    """Return the folders of runs that were begun or announced."""
    begun = {path.parent for name in (RECIPE, HYDRAS.name) for path in runs.rglob(name)}
    announced = {path.parent / subfolder for path in runs.rglob(JOBS) for subfolder in read_object(path)}
    return sorted(begun | announced)


def _configurations(run: Path) -> list[Path]:
    """Return the run's own, and Hydra's, which is there earlier."""
    return [path for path in (run / CONFIG, run / HYDRAS / CONFIG) if path.is_file()]


def _manifest(folder: Path) -> dict[str, Any] | None:
    manifest = read_object(folder / MANIFEST)
    return manifest if isinstance(manifest.get("key"), str) and _part(manifest, "recipe") else None


def _part(content: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the object at a key; empty if there is none."""
    found = content.get(key)
    return found if isinstance(found, dict) else {}
