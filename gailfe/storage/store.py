"""Keeps experts and demonstrations: each is made once, whole or not there, and checked when it is used again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gailfe.config.keys import Refusal
from gailfe.storage.files import remove_partials, room_for, write_json
from gailfe.storage.locks import artifact_lock
from gailfe.storage.names import MANIFEST
from gailfe.storage.progress import Report, publish

log = logging.getLogger(__name__)

PARTIAL = ".partial"  # the end of the name of an artefact that is being made
CORRUPT = ".corrupt-"  # in the name of one that was damaged and moved aside; a time stamp follows


class ArtifactError(Refusal, RuntimeError):
    """The files of an artefact are not what its manifest says."""


def artifact_key(recipe: dict[str, Any]) -> str:
    """SHA-256 of a recipe: everything that an artefact is made from, with the keys of other artefacts among it."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


class Store:
    """A folder of artefacts, `<root>/<kind>/<label>-<first 12 digits of the key>/`.

    A folder has this name only when it is complete. While it is being made it ends in `.partial`. An interruption
    leaves that folder as it is, so that a maker that saves checkpoints there can go on from the last one.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(
        self,
        kind: str,
        label: str,
        recipe: dict[str, Any],
        make: Callable[[Path], None],
        waiting: Callable[[], None] = lambda: None,
    ) -> Path:
        """Return the folder of the artefact that `recipe` describes; make it if it is missing or damaged.

        If several processes ask at the same time, one makes it and the others wait.

        Args:
            kind: "experts" or "demonstrations".
            label: how the folder's name begins, for people.
            recipe: everything that decides the content, as JSON values.
            make: fills the folder that it is given.
            waiting: is called every second while another process makes it; what it raises ends the waiting.
        """
        key, folder = self._place(kind, label, recipe)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder, waiting):
            if folder.exists() and not self._intact(folder):
                aside = folder.with_name(f"{folder.name}{CORRUPT}{time.time_ns()}")
                folder.rename(aside)
                log.warning("%s does not match its manifest: moved to %s and made again", folder, aside.name)
            if not folder.exists():
                partial = folder.with_name(folder.name + PARTIAL)
                with room_for(partial):
                    partial.mkdir(exist_ok=True)
                if not (partial / MANIFEST).exists() or not self._intact(partial):
                    (partial / MANIFEST).unlink(missing_ok=True)
                    with room_for(partial):  # for what libraries write there
                        make(partial)
                    remove_partials(partial)  # of an earlier maker that was killed: no part of the artefact
                    write_manifest(partial, key, recipe)
                partial.rename(folder)
                log.info("%s: made %s", kind, folder)
            else:
                log.info("%s: found %s", kind, folder)
        return folder

    def find(self, kind: str, label: str, recipe: dict[str, Any]) -> Path | None:
        """Return the folder that `get` would, if it is there and whole; None otherwise."""
        folder = self._place(kind, label, recipe)[1]
        return folder if folder.exists() and self._intact(folder) else None

    def _place(self, kind: str, label: str, recipe: dict[str, Any]) -> tuple[str, Path]:
        key = artifact_key(recipe)
        return key, self.root / kind / f"{label}-{key[:12]}"

    @staticmethod
    def _intact(folder: Path) -> bool:
        try:
            verify(folder)
        except ArtifactError as error:
            log.warning("%s", error)
            return False
        return True


def finished(root: Path, kind: str) -> list[Path]:
    """Return the folders of the complete artefacts of a kind, by name; none that is being made or was damaged."""
    folders = sorted(manifest.parent for manifest in (root / kind).glob(f"*/{MANIFEST}"))
    return [folder for folder in folders if not folder.name.endswith(PARTIAL) and CORRUPT not in folder.name]


def verify(folder: Path) -> dict[str, Any]:
    """Check every file of an artefact against its manifest; return the manifest.

    Raises:
        ArtifactError: naming the first file that is missing or changed.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        files = dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{folder / MANIFEST} can't be read: {error}") from error
    if not files:
        raise ArtifactError(f"{folder / MANIFEST} lists no files")
    check_files(folder, files, MANIFEST)
    return manifest


def write_manifest(folder: Path, key: str, recipe: dict[str, Any]) -> None:
    """Write the manifest of an artefact: its key, its recipe and the checksums of all files in `folder`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    write_json(folder / MANIFEST, {"key": key, "recipe": recipe, "files": checksums(folder, files)})


def check_files(folder: Path, files: dict[str, str], source: str) -> None:
    """Compare files with their checksums.

    Args:
        folder: of the files.
        files: checksums as `checksums` returns them.
        source: the name of the file that they were read from.

    Raises:
        ArtifactError: naming the first file that is missing or changed.
    """
    for name, checksum in files.items():
        path = folder / name
        if not path.is_file() or file_checksum(path) != checksum:
            raise ArtifactError(f"{path} is missing or is not what {source} says")


def checksums(folder: Path, files: Iterable[Path]) -> dict[str, str]:
    """The SHA-256 of each of `files`, by its path within `folder`."""
    return {path.relative_to(folder).as_posix(): file_checksum(path) for path in files}


def file_checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _locked(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the artefact's lock, and log if another process has it first. A lock ends with its process."""
    lock = FileLock(artifact_lock(folder))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("waiting for another process that is making %s", folder.name)
        publish(Report("blocked"))  # the line says by what
        while not lock.is_locked:
            waiting()
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=1)
    try:
        yield
    finally:
        lock.release()
