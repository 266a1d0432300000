"""Saves and loads checkpoints: the whole state of a training in a file with its checksum, and the one before."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gailfe.config.keys import Refusal
from gailfe.storage.files import atomic

log = logging.getLogger(__name__)


class CheckpointError(Refusal, RuntimeError):
    """No checkpoint can be used, though there is one: which file, and what to do."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (nested dicts, lists and tuples of tensors, arrays and plain values) atomically.

    The checkpoint that was there stays beside it, see `previous`.
    """
    with atomic(path) as partial:
        with partial.open("w+b") as file:
            file.write(_head(b""))  # of the right length, until the content can be read
            torch.save(_to_tensors(state), file)  # given a path, it would write the path's name into the file
            file.seek(len(_head(b"")))
            checksum = hashlib.file_digest(file, "sha256").digest()
            file.seek(0)
            file.write(_head(checksum))
        if path.exists():
            path.replace(previous(path))


def load_checkpoint(path: Path, accept: Callable[[dict[str, Any]], bool] = lambda state: True) -> Any:
    """Load the latest checkpoint that is whole and accepted; arrays come back as tensors.

    Where that is the one before the latest, it becomes the latest. A checkpoint can't run code (`weights_only`).

    Args:
        accept: says whether a training can go on from a state. Where it refuses every one, all are deleted, so
            that none can be mistaken for the new training's.

    Returns:
        What `save_checkpoint` was given; None if there is no checkpoint, or none that is accepted.

    Raises:
        CheckpointError: if all that are there are damaged.
    """
    there = [file for file in (path, previous(path)) if file.exists()]
    damaged = []
    for file in there:
        try:
            state = _read(file)
        except CheckpointError as error:
            log.warning("%s", error)
            damaged.append(file)
            continue
        if accept(state):
            if file != path:
                file.replace(path)
                log.warning("%s takes the place of %s", file, path.name)
            return state
    if there and damaged == there:
        files = " and ".join(map(str, damaged))
        raise CheckpointError(
            f"{files} can't be used: damaged, or of another version. Delete "
            f"{'it' if len(damaged) == 1 else 'both'}, and the same command starts this training again"
        )
    if there:
        log.warning("no checkpoint in %s can be used: the training starts again", path.parent)
        remove_checkpoints(path)
    return None


def is_there(path: Path) -> bool:
    """Return whether a training has a checkpoint, whole or not."""
    return path.exists() or previous(path).exists()


def remove_checkpoints(path: Path) -> None:
    """Delete a training's checkpoints."""
    path.unlink(missing_ok=True)
    previous(path).unlink(missing_ok=True)


def previous(path: Path) -> Path:
    """Return the path of the checkpoint before the latest one, which is at `path`."""
    return path.with_name(f"{path.stem}_before{path.suffix}")


def _head(checksum: bytes) -> bytes:
    """The file's first line: what it is, and the SHA-256 of all that follows."""
    return b"gailfe checkpoint, SHA-256 %64b\n" % checksum.hex().encode()


def _read(path: Path) -> dict[str, Any]:
    """Raise CheckpointError, naming the file, if its content is not what was written."""
    with path.open("rb") as file:
        head, content = file.read(len(_head(b""))), file.read()
    if head != _head(hashlib.sha256(content).digest()):
        raise CheckpointError(f"{path} is damaged: its content is not what its checksum says")
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # its checksum fits, so it was not written here; torch's advice is to run its code
        raise CheckpointError(f"{path} holds something else than a checkpoint: {type(error).__name__}") from error
    return state


def _to_tensors(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: _to_tensors(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_to_tensors(item) for item in value)
    return value
