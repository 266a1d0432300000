"""Artefacts shared by the jobs of a sweep: keyed by what made them, locked, atomic, checksummed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"


class ArtifactError(RuntimeError):
    """An artefact whose files are not what its manifest says."""


def artifact_key(recipe: dict[str, Any]) -> str:
    """SHA-256 of a recipe: the resolved config that an artefact is made from, its inputs' keys included."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


class Store:
    """A folder of artefacts, `<root>/<kind>/<label>-<first 12 digits of the key>/`.

    A folder appears under this name only when it is complete. Until then its maker works in a folder with the
    suffix `.partial` that survives an interruption, so that a maker which saves checkpoints there goes on.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, kind: str, label: str, recipe: dict[str, Any], make: Callable[[Path], None]) -> Path:
        """The folder of the artefact that `recipe` describes, made if it is missing.

        Of several processes that ask at once, one makes it; the others wait.

        Args:
            kind: "expert", "demonstrations", …
            label: readable start of the folder's name.
            recipe: everything that decides the content; JSON values only.
            make: fills the folder that it is given.
        """
        key = artifact_key(recipe)
        folder = self.root / kind / f"{label}-{key[:12]}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            if folder.exists() and not self._intact(folder):
                aside = folder.with_name(f"{folder.name}.corrupt-{time.time_ns()}")
                folder.rename(aside)
                log.warning("%s does not match its manifest: moved to %s and made again", folder, aside.name)
            if not folder.exists():
                partial = folder.with_name(folder.name + ".partial")
                partial.mkdir(exist_ok=True)
                if not (partial / MANIFEST).exists() or not self._intact(partial):
                    for stale in partial.glob(MANIFEST + "*"):  # of a maker that died at the very end
                        stale.unlink()
                    make(partial)
                    write_manifest(partial, key, recipe)
                partial.rename(folder)
                log.info("%s: made %s", kind, folder)
            else:
                log.info("%s: found %s", kind, folder)
        return folder

    @staticmethod
    def _intact(folder: Path) -> bool:
        try:
            verify(folder)
        except ArtifactError as error:
            log.warning("%s", error)
            return False
        return True


def verify(folder: Path) -> dict[str, Any]:
    """Check every file of an artefact against its manifest, and return the manifest.

    Raises:
        ArtifactError: naming the first file that is missing or changed.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        files = dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{folder / MANIFEST} can't be read: {error}") from error
    for name, checksum in files.items():
        path = folder / name
        if not path.is_file() or file_checksum(path) != checksum:
            raise ArtifactError(f"{path} is missing or is not what {MANIFEST} says")
    return manifest


def write_manifest(folder: Path, key: str, recipe: dict[str, Any]) -> None:
    """Write the checksums of all files in `folder`, and what they were made from, into it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = {
        "key": key,
        "recipe": recipe,
        "files": {path.relative_to(folder).as_posix(): file_checksum(path) for path in files},
    }
    partial = folder / (MANIFEST + ".partial")
    partial.write_text(json.dumps(manifest, indent=2) + "\n")
    partial.replace(folder / MANIFEST)


def file_checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the artefact's lock, saying so while somebody else has it; the system frees a dead holder's."""
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("waiting for another process that is making %s", folder.name)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
