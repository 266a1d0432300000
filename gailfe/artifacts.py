"""`python -m gailfe.artifacts list|verify|prune`: what the store holds, if it is whole, and what no run needs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gailfe.config.arguments import ArgumentError, CommandError, argument, run_command
from gailfe.storage.finished import check_finished, read_summary
from gailfe.storage.locks import artifact_lock, is_held
from gailfe.storage.names import CONFIG, JOBS, MANIFEST, RECIPE, SUMMARY
from gailfe.storage.run_names import HYDRAS
from gailfe.storage.store import CORRUPT, PARTIAL, ArtifactError, verify

HELP = """\
python -m gailfe.artifacts list     what is there: size, what it is, which runs need it
python -m gailfe.artifacts verify   compare artefacts and finished runs with their checksums; exit status 1 and the
                                    names of those that are damaged
python -m gailfe.artifacts prune    show what no run needs; with yes=true, delete it

A run needs the demonstrations that its recipe names, and they need their expert; and what its configuration
names, as expert.folder does. A run that has not come to stage 3 has no recipe yet: for it, all artefacts of its
environment are kept. What a process holds is kept too."""

EXAMPLES = "Example:\n  python -m gailfe.artifacts prune runs=runs artifacts=artifacts"
KINDS = ("experts", "demonstrations")


@dataclass
class ArtifactsArguments:
    artifacts: str = argument("artifacts", "where experts and demonstrations are (paths.artifacts)", "a folder")
    runs: str = argument("runs", "where the runs are (paths.runs)", "a folder")
    yes: bool = argument(False, "prune: delete what is shown", "true or false")
    unfinished: bool = argument(
        False,
        "prune: also what was interrupted while it was made, which the same command goes on from",
        "true or false",
    )


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
        known = _json(run / RECIPE).get("demonstrations_key")
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


def show(chosen: ArtifactsArguments) -> None:
    """Print a line for each artefact, and the runs that need it."""
    artifacts = load_artifacts(Path(chosen.artifacts), Path(chosen.runs))
    for artifact in artifacts:
        print(f"{artifact.name}  {_megabytes(artifact.size)}  {artifact.meaning}")
        for run in artifact.runs:
            print(f"    needed by {run}")
        if artifact.kept_for:
            print(f"    perhaps needed by {len(artifact.kept_for)} runs that have not come to stage 3")
    print(f"{len(artifacts)} artefacts, {_megabytes(sum(artifact.size for artifact in artifacts))}")


def check(chosen: ArtifactsArguments) -> int:
    """Verify everything that is finished; returns 1 if something is damaged, each of which is named."""
    artifacts = load_artifacts(Path(chosen.artifacts), Path(chosen.runs))
    finished = [artifact.folder for artifact in artifacts if not artifact.partial and not artifact.set_aside]
    runs = sorted(path.parent for path in Path(chosen.runs).rglob(SUMMARY))
    checks: list[tuple[Callable[[Path], Any], Path]] = [(verify, folder) for folder in finished]
    checks += [(_check_run, folder) for folder in runs]
    damaged = 0
    for verify_one, folder in checks:
        try:
            verify_one(folder)
        except ArtifactError as error:
            damaged += 1
            print(f"damaged: {error}")
    print(f"{len(finished)} artefacts and {len(runs)} finished runs: {damaged or 'none'} damaged")
    return int(damaged > 0)


def prune(chosen: ArtifactsArguments) -> None:
    """Print what no run needs; delete it if the user says so.

    Raises:
        CommandError: if an artefact can't tell what it needs.
    """
    artifacts = load_artifacts(Path(chosen.artifacts), Path(chosen.runs))
    for artifact in artifacts:
        if artifact.manifest is None and not artifact.partial and not artifact.set_aside:
            raise CommandError(
                f"{artifact.folder / MANIFEST} can't be read, so what it needs is not known: the command that "
                "made it makes it again"
            )
    unneeded = [
        artifact
        for artifact in artifacts
        if artifact.set_aside
        or not (artifact.runs or artifact.kept_for or (artifact.partial and not chosen.unfinished))
    ]
    freed = 0
    for artifact in unneeded:
        size, meaning = artifact.size, artifact.meaning
        try:
            with FileLock(artifact.lock).acquire(timeout=0):
                if chosen.yes:
                    shutil.rmtree(artifact.folder)
        except Timeout:
            print(f"kept: {artifact.name}  a process is at work on it")
            continue
        freed += size
        print(f"{'deleted' if chosen.yes else 'not needed'}: {artifact.name}  {_megabytes(size)}  {meaning}")
    print(f"{_megabytes(freed)} {'freed' if chosen.yes else 'would be freed: give yes=true to delete these'}")


ACTIONS: dict[str, Callable[[ArtifactsArguments], int | None]] = {"list": show, "verify": check, "prune": prune}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 for damage or a missing folder, 2 for a wrong argument."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    action, rest = (given[0], given[1:]) if given and "=" not in given[0] else ("", given)

    def work(chosen: ArtifactsArguments) -> int | None:
        if action not in ACTIONS:
            raise ArgumentError(f"{action!r} must be one of {', '.join(ACTIONS)} (--help explains them)")
        return ACTIONS[action](chosen)

    return run_command(ArtifactsArguments, HELP, EXAMPLES, work, [action, *rest] if action[:1] == "-" else rest)


def _check_run(folder: Path) -> None:
    check_finished(folder, read_summary(folder) or {})


def _runs(runs: Path) -> list[Path]:
    """Return the folders of runs that were begun or announced."""
    begun = {path.parent for name in (RECIPE, HYDRAS.name) for path in runs.rglob(name)}
    announced = {path.parent / subfolder for path in runs.rglob(JOBS) for subfolder in _json(path)}
    return sorted(begun | announced)


def _configurations(run: Path) -> list[Path]:
    """Return the run's own, and Hydra's, which is there earlier."""
    return [path for path in (run / CONFIG, run / HYDRAS / CONFIG) if path.is_file()]


def _manifest(folder: Path) -> dict[str, Any] | None:
    manifest = _json(folder / MANIFEST)
    return manifest if isinstance(manifest.get("key"), str) and _part(manifest, "recipe") else None


def _part(content: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the object at a key; empty if there is none."""
    found = content.get(key)
    return found if isinstance(found, dict) else {}


def _json(path: Path) -> dict[str, Any]:
    """Return the object in a file; empty if there is none that can be read."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
