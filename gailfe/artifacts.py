"""`python -m gailfe.artifacts list|verify|prune`: what the store holds, if it is whole, and what no run needs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gailfe.config.arguments import ArgumentError, CommandError, argument, run_command
from gailfe.storage.finished import check_finished, read_summary
from gailfe.storage.inventory import load_artifacts
from gailfe.storage.names import MANIFEST, SUMMARY
from gailfe.storage.store import ArtifactError, verify

HELP = """\
python -m gailfe.artifacts list     what is there: size, what it is, which runs need it
python -m gailfe.artifacts verify   compare artefacts and finished runs with their checksums; exit status 1 and the
                                    names of those that are damaged
python -m gailfe.artifacts prune    show what no run needs; with yes=true, delete it

A run needs the demonstrations that its recipe names, and they need their expert; and what its configuration
names, as expert.folder does. A run that has not come to stage 3 has no recipe yet: for it, all artefacts of its
environment are kept. What a process holds is kept too."""

EXAMPLES = "Example:\n  python -m gailfe.artifacts prune runs=runs artifacts=artifacts"


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


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
